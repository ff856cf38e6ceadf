//! One visit to a server: connect, list, and fetch what is wanted, within the deadline and the budgets.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Instant;

use git2::cert::Cert;
use git2::{
    AutotagOption, CertificateCheckStatus, Cred, CredentialType, Direction, ErrorClass, ErrorCode, FetchOptions,
    Remote, RemoteCallbacks, Repository,
};
use ssh_key::known_hosts::Entry;

use super::relay::{ProxyMode, Relay, Stop};
use super::select::Head;
use super::url::GitUrl;
use super::{Budgets, Credentials, Secure, fail, printable};
use crate::source::{FetchError, FetchReason};

/// Most times that the server may ask for credentials in one visit: a second time means that they were refused.
const MAX_ASKED: u32 = 1;
/// The user name that goes with a token where the server does not care for it.
const TOKEN_USER: &str = "x-access-token";

/// Where to go, as whom, and for how long.
pub(super) struct Visit<'a> {
    pub(super) url: &'a GitUrl,
    pub(super) credentials: &'a Credentials,
    pub(super) known_hosts: &'a [Entry],
    pub(super) deadline: Instant,
    pub(super) budgets: &'a Budgets,
    pub(super) secure: Option<Arc<dyn Secure>>,
}

/// How much of the history comes along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// Only the commit itself, where the server can do that.
    One,
    /// All history, of commits that are here already as well.
    Full,
    /// Whatever the server sends to those who ask for no depth.
    Unlimited,
}

/// What callbacks leave for the error that the library then gives.
#[derive(Default)]
struct Notes {
    refused: RefCell<Option<FetchError>>,
    asked: Cell<u32>,
}

impl Visit<'_> {
    /// Lists the server's references, and fetches the refspecs that `wanted` makes of them.
    ///
    /// # Errors
    /// With the reason told apart as far as the server lets one.
    pub(super) fn go(
        &self,
        repository: &Repository,
        depth: Depth,
        wanted: impl Fn(&[Head]) -> Vec<String>,
    ) -> Result<Vec<Head>, FetchError> {
        match self.try_to(repository, depth, &wanted) {
            // A server from before 2007, or one that was told not to.
            Err((error, _)) if depth != Depth::Unlimited && error.message().contains("doesn't support shallow") => {
                self.try_to(repository, Depth::Unlimited, &wanted).map_err(|(_, told)| told)
            }
            // Someone pushed between the list and the fetch: what was listed is gone.
            Err((error, _)) if error.message().contains("not our ref") => {
                self.try_to(repository, depth, &wanted).map_err(|(_, told)| told)
            }
            Err((_, told)) => Err(told),
            Ok(heads) => Ok(heads),
        }
    }

    fn try_to(
        &self,
        repository: &Repository,
        depth: Depth,
        wanted: impl Fn(&[Head]) -> Vec<String>,
    ) -> Result<Vec<Head>, (git2::Error, FetchError)> {
        let told = |error: FetchError| (git2::Error::from_str(""), error);
        if Instant::now() >= self.deadline {
            return Err(told(self.timed_out()));
        }
        let listing = self.budgets.listing_bytes;
        let entrance = match self.url {
            GitUrl::Http { tls, .. } => ProxyMode::Http { tls: *tls },
            _ => ProxyMode::Raw,
        };
        let relay = self.url.authority().map(|(host, port)| {
            let secure = self.secure.clone();
            Relay::start(host, port, entrance, secure, self.deadline, listing)
        });
        let relay = relay.transpose().map_err(|error| {
            told(fail(FetchReason::Unreachable, format!("no connection can be made from this machine: {error}")))
        })?;
        let notes = Notes::default();
        let visited = self.connected(repository, depth, wanted, relay.as_ref(), &notes);
        visited.map_err(|error| {
            let stop = relay.as_ref().and_then(Relay::stopped);
            let told = self.explain(&error, stop, &notes);
            (error, told)
        })
    }

    fn connected(
        &self,
        repository: &Repository,
        depth: Depth,
        wanted: impl Fn(&[Head]) -> Vec<String>,
        relay: Option<&Relay>,
        notes: &Notes,
    ) -> Result<Vec<Head>, git2::Error> {
        let mut remote = repository.remote_anonymous(&self.url.through(relay.map(Relay::address)))?;
        let mut connection = remote.connect_auth(Direction::Fetch, Some(self.callbacks(notes)), None)?;
        let heads = self.heads(connection.remote(), notes)?;
        let refspecs = wanted(&heads);
        if refspecs.is_empty() {
            return Ok(heads);
        }
        if let Some(relay) = relay {
            relay.allow(self.budgets.listing_bytes.saturating_add(self.budgets.received_bytes));
        }
        let mut options = FetchOptions::new();
        options.remote_callbacks(self.callbacks(notes));
        options.download_tags(AutotagOption::None).update_fetchhead(false);
        // The library cannot fetch a part of a repository on this disk.
        options.depth(match depth {
            Depth::One if relay.is_some() => 1,
            // What Git calls `--unshallow`.
            Depth::Full if relay.is_some() => i32::MAX,
            _ => 0,
        });
        connection.remote().fetch(&refspecs, Some(&mut options), None)?;
        Ok(heads)
    }

    fn heads(&self, remote: &Remote<'_>, notes: &Notes) -> Result<Vec<Head>, git2::Error> {
        let listed = remote.list()?;
        let most = self.budgets.references;
        if listed.len() > most {
            let message = format!("the repository has {} branches and tags, at most {most} are read", listed.len());
            notes.refused.replace(Some(fail(FetchReason::TooLarge, message)));
            return Err(git2::Error::from_str("too many references"));
        }
        let head = |head: &git2::RemoteHead<'_>| Head {
            name: head.name().to_owned(),
            oid: head.oid(),
            target: head.symref_target().map(str::to_owned),
        };
        Ok(listed.iter().map(head).collect())
    }

    fn callbacks<'cb>(&'cb self, notes: &'cb Notes) -> RemoteCallbacks<'cb> {
        let mut callbacks = RemoteCallbacks::new();
        callbacks.credentials(move |_, _, allowed| self.credentials(allowed, notes));
        callbacks.certificate_check(move |certificate, _| self.certificate(certificate, notes));
        callbacks.transfer_progress(move |progress| {
            let refused = if Instant::now() >= self.deadline {
                Some(self.timed_out())
            } else if progress.received_bytes() as u64 > self.budgets.received_bytes {
                Some(self.too_much())
            } else if progress.total_objects() > self.budgets.objects {
                let (objects, most) = (progress.total_objects(), self.budgets.objects);
                Some(fail(
                    FetchReason::TooLarge,
                    format!("the server sends {objects} objects, at most {most} are read"),
                ))
            } else {
                None
            };
            let go_on = refused.is_none();
            if let Some(error) = refused {
                notes.refused.replace(Some(error));
            }
            go_on
        });
        callbacks
    }

    fn credentials(&self, allowed: CredentialType, notes: &Notes) -> Result<Cred, git2::Error> {
        let user = match self.url {
            GitUrl::Http { user, .. } => user.as_deref(),
            GitUrl::Ssh { user, .. } => Some(user.as_str()),
            GitUrl::File(_) => None,
        };
        if allowed.is_username() {
            return Cred::username(user.unwrap_or("git"));
        }
        let refuse = |message: &str| {
            notes.refused.replace(Some(fail(FetchReason::Unauthorized, format!("`{}` {message}", self.url.shown()))));
            Err(git2::Error::new(ErrorCode::Auth, ErrorClass::Callback, "refused"))
        };
        if notes.asked.get() >= MAX_ASKED {
            return refuse("refuses the credentials; check that the secret is current and may read the repository");
        }
        notes.asked.set(notes.asked.get() + 1);
        match self.credentials {
            Credentials::None => refuse("asks for credentials; name a secret in `auth`"),
            Credentials::Token(token) if allowed.is_user_pass_plaintext() => {
                Cred::userpass_plaintext(user.unwrap_or(TOKEN_USER), token)
            }
            Credentials::Basic { username, password } if allowed.is_user_pass_plaintext() => {
                Cred::userpass_plaintext(username, password)
            }
            Credentials::Ssh { private_key } if allowed.is_ssh_memory() || allowed.is_ssh_key() => {
                Cred::ssh_key_from_memory(user.unwrap_or("git"), None, private_key, None)
            }
            _ => refuse("asks for another kind of credentials than `auth` names"),
        }
    }

    fn certificate(&self, certificate: &Cert<'_>, notes: &Notes) -> Result<CertificateCheckStatus, git2::Error> {
        let Some(shown) = certificate.as_hostkey() else {
            // Certificates of web servers are checked by the relay.
            return Ok(CertificateCheckStatus::CertificatePassthrough);
        };
        let (host, port) = self.url.authority().unwrap_or_default();
        let key = shown.hostkey().unwrap_or_default();
        match super::known_hosts::check(self.known_hosts, host, port, key) {
            Ok(()) => Ok(CertificateCheckStatus::CertificateOk),
            Err(error) => {
                notes.refused.replace(Some(error));
                Err(git2::Error::new(ErrorCode::Certificate, ErrorClass::Ssh, "refused"))
            }
        }
    }

    /// What a failure means. What we refused ourselves is known best; the rest is read from codes, and from texts only
    /// where the library gives no code.
    fn explain(&self, error: &git2::Error, stop: Option<Stop>, notes: &Notes) -> FetchError {
        let shown = self.url.shown();
        let refused = notes.refused.borrow_mut().take();
        if let Some(error) = refused {
            return error;
        }
        match stop {
            Some(Stop::TimedOut) => return self.timed_out(),
            Some(Stop::TooMuch) => return self.too_much(),
            Some(Stop::Unreachable(why)) => return fail(FetchReason::Unreachable, why),
            Some(Stop::OtherHost(host)) => {
                let message =
                    format!("`{shown}` points to another host, `{host}`; name that one in `url` if it is right");
                return fail(FetchReason::Unreachable, message);
            }
            Some(Stop::Untrusted(why)) => {
                let why = printable(&why, 200);
                let message = format!("the certificate of `{shown}` is not one that this machine trusts: {why}");
                return fail(FetchReason::UntrustedHost, message);
            }
            None => {}
        }
        let text = error.message();
        let status = text.split("unexpected http status code: ").nth(1).and_then(|code| code.parse::<u16>().ok());
        match (error.class(), error.code(), status) {
            (_, _, Some(401 | 403 | 407)) => {
                fail(FetchReason::Unauthorized, format!("`{shown}` does not let these credentials read the repository"))
            }
            (_, _, Some(404 | 410)) => self.not_found(),
            (_, _, Some(status)) => {
                fail(FetchReason::Unreachable, format!("`{shown}` answered with the HTTP status {status}"))
            }
            (_, ErrorCode::Auth, _) => {
                fail(FetchReason::Unauthorized, format!("`{shown}` refuses the credentials; check the secret"))
            }
            (ErrorClass::Ssh, _, _) if text.contains("authenticate") => {
                let message = format!("the private key for `{shown}` cannot be used; give one without passphrase");
                fail(FetchReason::Unauthorized, message)
            }
            // The server's own words, which the library gives for this case only, are not repeated: they may be cut.
            (ErrorClass::Ssh, ErrorCode::Eof, _) => self.not_found(),
            (ErrorClass::Repository, ErrorCode::NotFound, _) => self.not_found(),
            (ErrorClass::Indexer | ErrorClass::Zlib | ErrorClass::Odb | ErrorClass::Object, _, _) => fail(
                FetchReason::Corrupt,
                format!("what `{shown}` sent is broken or cut off; it is fetched anew next time"),
            ),
            (ErrorClass::Http, _, _) if text.contains("content-type") => {
                fail(FetchReason::RepositoryNotFound, format!("`{shown}` does not answer as a Git server does"))
            }
            (ErrorClass::Os | ErrorClass::Filesystem, _, _) if let Some(why) = own_disk(text) => {
                let message =
                    format!("what `{shown}` sent cannot be kept in the state folder ({why}); make room for it there");
                fail(FetchReason::Unreadable, message)
            }
            _ => {
                let text = printable(text, 200);
                fail(FetchReason::Unreachable, format!("`{shown}` cannot be fetched: {text}"))
            }
        }
    }

    fn not_found(&self) -> FetchError {
        let message = format!("there is no repository at `{}`, or the credentials may not see it", self.url.shown());
        fail(FetchReason::RepositoryNotFound, message)
    }

    fn timed_out(&self) -> FetchError {
        fail(FetchReason::TimedOut, format!("`{}` took longer than it may", self.url.shown()))
    }

    fn too_much(&self) -> FetchError {
        let most = self.budgets.received_bytes >> 20;
        fail(FetchReason::TooLarge, format!("`{}` sends more than the {most} MiB that are read", self.url.shown()))
    }
}

/// What the operating system says of our own disk, where that is what failed: the texts of POSIX, without a path.
fn own_disk(text: &str) -> Option<&'static str> {
    let known = [
        "No space left on device",
        "File too large",
        "Disk quota exceeded",
        "Read-only file system",
        "Permission denied",
        "Too many open files",
    ];
    known.into_iter().find(|known| text.contains(known))
}
