//! One visit to a server: connect, list the references, and fetch the missing ones, within the deadline and the budgets.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use git2::{
    AutotagOption, CertificateCheckStatus, Cred, CredentialType, Direction, ErrorClass, ErrorCode, FetchOptions,
    Remote, RemoteCallbacks, Repository,
};
use ssh_key::known_hosts::Entry;

use super::error::{fail, printable};
use super::options::{Budgets, Credentials};
use super::relay::{Relay, SshLogin, StopReason, Upstream};
use super::repository_format::{sha256, shallow, unsupported};
use super::select::Head;
use super::url::GitUrl;
use crate::net::Tls;
use crate::source::{FetchError, FetchReason};

/// Maximum number of requests for credentials in one visit: a second request means that they were refused.
const MAX_CREDENTIAL_REQUESTS: u32 = 1;
/// The user name that is sent with a token, for servers that ignore it.
const TOKEN_USER: &str = "x-access-token";

/// The address, credentials and limits of a visit.
pub(super) struct Visit<'a> {
    pub(super) url: &'a GitUrl,
    pub(super) credentials: &'a Credentials,
    pub(super) known_hosts: &'a Arc<[Entry]>,
    pub(super) deadline: Instant,
    pub(super) budgets: &'a Budgets,
    pub(super) tls: Option<&'a Tls>,
}

/// The part of the history that is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// Only the commit itself, if the server supports shallow fetches.
    One,
    /// The whole history, also of commits that were fetched without it.
    Full,
    /// The history that the server sends if no depth is requested.
    Unlimited,
}

/// State of the callbacks: an error that stopped the library, and the number of requests for credentials.
#[derive(Default)]
struct CallbackState {
    error: RefCell<Option<FetchError>>,
    credential_requests: Cell<u32>,
}

impl Visit<'_> {
    /// Lists the server's references, and fetches the refspecs that `wanted` derives from them.
    ///
    /// # Errors
    /// The reason is as specific as the server's answer allows.
    pub(super) fn run(
        &self,
        repository: &Repository,
        depth: Depth,
        wanted: impl Fn(&[Head]) -> Vec<String>,
    ) -> Result<Vec<Head>, FetchError> {
        match self.try_to(repository, depth, &wanted) {
            // A server without support for shallow fetches.
            Err((error, _)) if depth != Depth::Unlimited && error.message().contains("doesn't support shallow") => {
                self.try_to(repository, Depth::Unlimited, &wanted).map_err(|(_, error)| error)
            }
            // A push between the list and the fetch removed the listed commit.
            Err((error, _)) if error.message().contains("not our ref") => {
                self.try_to(repository, depth, &wanted).map_err(|(_, error)| error)
            }
            Err((_, error)) => Err(error),
            Ok(heads) => Ok(heads),
        }
    }

    fn try_to(
        &self,
        repository: &Repository,
        depth: Depth,
        wanted: impl Fn(&[Head]) -> Vec<String>,
    ) -> Result<Vec<Head>, (git2::Error, FetchError)> {
        // Errors before the library runs have no error of the library.
        let own = |error: FetchError| (git2::Error::from_str(""), error);
        if Instant::now() >= self.deadline {
            return Err(own(self.timed_out()));
        }
        let listing = self.budgets.listing_bytes;
        let relay = match self.upstream().map_err(own)? {
            Some((host, port, upstream)) => {
                let started = Relay::start(host, port, upstream, self.deadline, listing);
                Some(started.map_err(|error| {
                    let message = format!("no connection can be made from this machine: {error}");
                    own(fail(FetchReason::Unreachable, message))
                })?)
            }
            None => None,
        };
        let state = CallbackState::default();
        let visited = self.connected(repository, depth, wanted, relay.as_ref(), &state);
        visited.map_err(|error| {
            let stop = relay.as_ref().and_then(Relay::stop_reason);
            let explained = self.explain(&error, stop, &state);
            (error, explained)
        })
    }

    /// Host, port and protocol of the relay; `None` for a repository on this disk.
    fn upstream(&self) -> Result<Option<(&str, u16, Upstream)>, FetchError> {
        Ok(match self.url {
            GitUrl::File(_) => None,
            GitUrl::Http { tls: false, host, port, .. } => Some((host, *port, Upstream::Http)),
            GitUrl::Http { tls: true, host, port, .. } => {
                let tls = self.tls.cloned();
                let tls = tls.ok_or_else(|| fail(FetchReason::Invalid, "TLS is not set up for Git"))?;
                Some((host, *port, Upstream::Https(tls)))
            }
            GitUrl::Ssh { user, host, port, path, .. } => {
                let shown = self.url.shown();
                let Credentials::Ssh { private_key } = self.credentials else {
                    let message = format!("`{shown}` requires another kind of credentials than `auth` names");
                    return Err(fail(FetchReason::Unauthorized, message));
                };
                let login = SshLogin::new(user, private_key, path, Arc::clone(self.known_hosts));
                let login = login.map_err(|error| {
                    let message = format!(
                        "the private key for `{shown}` cannot be used ({}); give one without passphrase",
                        printable(&error.to_string(), 200)
                    );
                    fail(FetchReason::Unauthorized, message)
                })?;
                Some((host, *port, Upstream::Ssh(login)))
            }
        })
    }

    fn connected(
        &self,
        repository: &Repository,
        depth: Depth,
        wanted: impl Fn(&[Head]) -> Vec<String>,
        relay: Option<&Relay>,
        state: &CallbackState,
    ) -> Result<Vec<Head>, git2::Error> {
        let address = relay.map_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)), Relay::address);
        let url = self.url.library_url(address, relay.and_then(Relay::token));
        let mut remote = repository.remote_anonymous(&url)?;
        let mut connection = remote.connect_auth(Direction::Fetch, Some(self.callbacks(state)), None)?;
        let heads = self.heads(connection.remote(), state)?;
        let refspecs = wanted(&heads);
        if refspecs.is_empty() {
            return Ok(heads);
        }
        if let Some(relay) = relay {
            relay.set_max_received(self.budgets.listing_bytes.saturating_add(self.budgets.received_bytes));
        }
        let mut options = FetchOptions::new();
        options.remote_callbacks(self.callbacks(state));
        options.download_tags(AutotagOption::None).update_fetchhead(false);
        // The library cannot make a shallow fetch of a local repository.
        options.depth(match depth {
            Depth::One if relay.is_some() => 1,
            // `git fetch --unshallow`.
            Depth::Full if relay.is_some() => i32::MAX,
            _ => 0,
        });
        connection.remote().fetch(&refspecs, Some(&mut options), None)?;
        Ok(heads)
    }

    fn heads(&self, remote: &Remote<'_>, state: &CallbackState) -> Result<Vec<Head>, git2::Error> {
        let listed = remote.list()?;
        let most = self.budgets.references;
        if listed.len() > most {
            let message = format!("the repository has {} branches and tags, at most {most} are read", listed.len());
            state.error.replace(Some(fail(FetchReason::TooLarge, message)));
            return Err(git2::Error::from_str("too many references"));
        }
        let head = |head: &git2::RemoteHead<'_>| Head {
            name: head.name().to_owned(),
            oid: head.oid(),
            target: head.symref_target().map(str::to_owned),
        };
        Ok(listed.iter().map(head).collect())
    }

    fn callbacks<'cb>(&'cb self, state: &'cb CallbackState) -> RemoteCallbacks<'cb> {
        let mut callbacks = RemoteCallbacks::new();
        callbacks.credentials(move |_, _, allowed| self.credentials(allowed, state));
        // The relay verifies certificates.
        callbacks.certificate_check(|_, _| Ok(CertificateCheckStatus::CertificatePassthrough));
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
                state.error.replace(Some(error));
            }
            go_on
        });
        callbacks
    }

    fn credentials(&self, allowed: CredentialType, state: &CallbackState) -> Result<Cred, git2::Error> {
        let user = match self.url {
            GitUrl::Http { user, .. } => user.as_deref(),
            // The relay authenticates over SSH.
            GitUrl::Ssh { .. } | GitUrl::File(_) => None,
        };
        if allowed.is_username() {
            return Cred::username(user.unwrap_or("git"));
        }
        let refuse = |message: &str| {
            state.error.replace(Some(fail(FetchReason::Unauthorized, format!("`{}` {message}", self.url.shown()))));
            Err(git2::Error::new(ErrorCode::Auth, ErrorClass::Callback, "refused"))
        };
        if state.credential_requests.get() >= MAX_CREDENTIAL_REQUESTS {
            state.error.replace(Some(self.refused()));
            return Err(git2::Error::new(ErrorCode::Auth, ErrorClass::Callback, "refused"));
        }
        state.credential_requests.set(state.credential_requests.get() + 1);
        match self.credentials {
            Credentials::None => refuse("requires credentials; name a secret in `auth`"),
            Credentials::Token(token) if allowed.is_user_pass_plaintext() => {
                Cred::userpass_plaintext(user.unwrap_or(TOKEN_USER), token)
            }
            Credentials::Basic { username, password } if allowed.is_user_pass_plaintext() => {
                Cred::userpass_plaintext(username, password)
            }
            _ => refuse("requires another kind of credentials than `auth` names"),
        }
    }

    /// Converts an error of the library. The error of a callback and the stop reason of the relay come first; the rest is
    /// derived from codes, and from texts only if the library has no code.
    fn explain(&self, error: &git2::Error, stop: Option<StopReason>, state: &CallbackState) -> FetchError {
        let shown = self.url.shown();
        let refused = state.error.borrow_mut().take();
        if let Some(error) = refused {
            return error;
        }
        if matches!(self.url, GitUrl::File(path) if !path.exists()) {
            return fail(
                FetchReason::RepositoryNotFound,
                format!("there is no repository at `{shown}`; restore it, or correct `url`"),
            );
        }
        if let GitUrl::File(path) = self.url
            && let Some(reason) = unsupported(path).or_else(|| shallow(path))
        {
            return fail(FetchReason::Unreadable, reason);
        }
        match stop {
            Some(StopReason::TimedOut) => return self.timed_out(),
            Some(StopReason::TooLarge) => return self.too_much(),
            Some(StopReason::Unreachable(why)) => return fail(FetchReason::Unreachable, why),
            Some(StopReason::OtherHost(host)) => {
                let message =
                    format!("`{shown}` redirects to another host, `{host}`; use that host in `url` if it is right");
                return fail(FetchReason::Unreachable, message);
            }
            Some(StopReason::UntrustedCertificate(why)) => {
                let why = printable(&why, 200);
                let message = format!("the certificate of `{shown}` is not one that this machine trusts: {why}");
                return fail(FetchReason::UntrustedHost, message);
            }
            Some(StopReason::UntrustedHostKey(error)) => return error,
            Some(StopReason::CredentialsRefused) => return self.refused(),
            Some(StopReason::RepositoryNotFound) => return self.not_found(),
            None => {}
        }
        let text = error.message();
        if text.contains("remote object format") {
            return fail(FetchReason::Unreadable, sha256(&format!("the repository at `{shown}`")));
        }
        // The library cannot read the line by which a server announces that its own repository is shallow.
        if text.contains("invalid packet line") {
            let message = format!(
                "`{shown}` sends a list of references that cannot be read; if it is a shallow clone, run `git fetch \
                 --unshallow` in it"
            );
            return fail(FetchReason::Unreachable, message);
        }
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
            (ErrorClass::Repository, ErrorCode::NotFound, _) => self.not_found(),
            (ErrorClass::Indexer | ErrorClass::Zlib | ErrorClass::Odb | ErrorClass::Object, _, _) => fail(
                FetchReason::Corrupt,
                format!("the data from `{shown}` is damaged or cut off; the next fetch starts again"),
            ),
            (ErrorClass::Http, _, _) if text.contains("content-type") => {
                fail(FetchReason::RepositoryNotFound, format!("`{shown}` does not respond like a Git server"))
            }
            (ErrorClass::Os | ErrorClass::Filesystem, _, _) if let Some(why) = local_disk_error(text) => {
                let message =
                    format!("the data from `{shown}` cannot be stored in the state folder ({why}); free space there");
                fail(FetchReason::Unreadable, message)
            }
            _ => {
                let text = printable(text, 200);
                fail(FetchReason::Unreachable, format!("`{shown}` cannot be fetched: {text}"))
            }
        }
    }

    fn refused(&self) -> FetchError {
        let shown = self.url.shown();
        let message =
            format!("`{shown}` refuses the credentials; check that the secret is current and may read the repository");
        fail(FetchReason::Unauthorized, message)
    }

    fn not_found(&self) -> FetchError {
        let message = format!("there is no repository at `{}`, or the credentials may not see it", self.url.shown());
        fail(FetchReason::RepositoryNotFound, message)
    }

    fn timed_out(&self) -> FetchError {
        fail(FetchReason::TimedOut, format!("`{}` did not respond completely before the deadline", self.url.shown()))
    }

    fn too_much(&self) -> FetchError {
        let most = self.budgets.received_bytes >> 20;
        fail(FetchReason::TooLarge, format!("`{}` sends more than the limit of {most} MiB", self.url.shown()))
    }
}

/// The operating system's text of an error of the local disk, as POSIX defines it, without a path.
fn local_disk_error(text: &str) -> Option<&'static str> {
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
