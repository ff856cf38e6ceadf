//! Verification of the signatures of commits and tags against the trusted keys.

use git2::{ErrorCode, Oid, Repository};

use super::error::{broken, fail, invalid};
use super::select::Choice;
use super::{openpgp, ssh_signature};
use crate::definition::environment::Verify;
use crate::source::{FetchError, FetchReason};

/// Maximum number of trusted keys of a source, and maximum size of a key and of a signature in bytes.
const MAX_KEYS: usize = 1000;
const MAX_KEY_BYTES: usize = 1 << 20;
const MAX_SIGNATURE_BYTES: usize = 64 << 10;
/// Maximum size of a tag, in bytes.
const MAX_TAG_BYTES: usize = 1 << 20;

const SSH: &str = "-----BEGIN SSH SIGNATURE-----";
const PGP: [&str; 2] = ["-----BEGIN PGP SIGNATURE-----", "-----BEGIN PGP MESSAGE-----"];

/// The trusted keys of a source.
pub(super) struct Keys {
    ssh: Vec<ssh_key::PublicKey>,
    pgp: Vec<openpgp::Key>,
}

impl Keys {
    /// Reads SSH public keys (`ssh-ed25519 AAAA…`) and armored OpenPGP public keys.
    ///
    /// # Errors
    /// `Invalid`, with the number of the key that cannot be used.
    pub(super) fn parse(texts: &[String]) -> Result<Keys, FetchError> {
        if texts.len() > MAX_KEYS {
            return Err(invalid(format!("`trustedKeys` has more than {MAX_KEYS} keys")));
        }
        let mut keys = Keys { ssh: Vec::new(), pgp: Vec::new() };
        for (at, text) in texts.iter().enumerate() {
            let text = text.trim();
            let read = if text.len() > MAX_KEY_BYTES {
                Err("is too large".to_owned())
            } else if text.starts_with("-----BEGIN PGP PUBLIC KEY BLOCK-----") {
                openpgp::keys(text).map(|read| keys.pgp.extend(read))
            } else {
                ssh_signature::key(text).map(|read| keys.ssh.push(read))
            };
            read.map_err(|why| invalid(format!("`trustedKeys` number {}: {why}", at + 1)))?;
        }
        Ok(keys)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ssh.is_empty() && self.pgp.is_empty()
    }

    /// Verifies the tag, the commit, or both, as `what` requires.
    ///
    /// # Errors
    /// Each failure has its own reason.
    pub(super) fn verify(
        &self,
        repository: &Repository,
        choice: &Choice,
        commit: Oid,
        what: Verify,
    ) -> Result<(), FetchError> {
        if what != Verify::Head {
            self.tag(repository, choice)?;
        }
        if what == Verify::Tag { Ok(()) } else { self.commit(repository, commit) }
    }

    fn commit(&self, repository: &Repository, commit: Oid) -> Result<(), FetchError> {
        let (signature, signed) = repository.extract_signature(&commit, None).map_err(|error| match error.code() {
            ErrorCode::NotFound => fail(FetchReason::Unsigned, format!("the commit `{commit}` is not signed")),
            _ => broken(&error),
        })?;
        self.check(&signature, &signed, &format!("the commit `{commit}`"))
    }

    /// Verifies a tag. The signature covers the tag's name: a signed tag under another name is rejected.
    fn tag(&self, repository: &Repository, choice: &Choice) -> Result<(), FetchError> {
        let name = choice.tag.as_deref().unwrap_or_default();
        let shown = format!("the tag `{name}`");
        let unsigned = || fail(FetchReason::Unsigned, format!("{shown} is not signed"));
        let tag = repository.find_tag(choice.object).map_err(|_| unsigned())?;
        let odb = repository.odb().map_err(|error| broken(&error))?;
        let (size, _) = odb.read_header(choice.object).map_err(|error| broken(&error))?;
        if size > MAX_TAG_BYTES {
            return Err(fail(FetchReason::TooLarge, format!("{shown} is larger than {MAX_TAG_BYTES} bytes")));
        }
        let raw = odb.read(choice.object).map_err(|error| broken(&error))?;
        let start = signature_start(raw.data()).ok_or_else(unsigned)?;
        let (signed, signature) = raw.data().split_at(start);
        if tag.name_bytes() != name.as_bytes() {
            let message = format!("{shown} holds the signed tag of another name; tag the commit again");
            return Err(fail(FetchReason::BadSignature, message));
        }
        self.check(signature, signed, &shown)
    }

    fn check(&self, signature: &[u8], signed: &[u8], shown: &str) -> Result<(), FetchError> {
        let bad = |why: &str| fail(FetchReason::BadSignature, format!("the signature of {shown} {why}"));
        if signature.len() > MAX_SIGNATURE_BYTES {
            return Err(bad("is too large"));
        }
        let text = std::str::from_utf8(signature).map_err(|_| bad("cannot be read"))?.trim();
        let checked = if text.starts_with(SSH) {
            ssh_signature::check(&self.ssh, text, signed)
        } else if PGP.iter().any(|start| text.starts_with(start)) {
            openpgp::check(&self.pgp, text, signed)
        } else {
            Err((FetchReason::BadSignature, "is neither an SSH nor an OpenPGP signature"))
        };
        checked.map_err(|(reason, why)| fail(reason, format!("the signature of {shown} {why}")))
    }
}

/// Offset of a tag's signature: the last line that starts one, as Git reads it.
fn signature_start(tag: &[u8]) -> Option<usize> {
    let starts = |line: &[u8]| PGP.iter().chain(&[SSH]).any(|start| line.starts_with(start.as_bytes()));
    let mut at = 0;
    let mut found = None;
    for line in tag.split_inclusive(|byte| *byte == b'\n') {
        if starts(line) {
            found = Some(at);
        }
        at += line.len();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tags_signature_is_the_last_one() {
        let tag = format!("tag v1\n\nsee {SSH}\n{SSH}\nfirst\n{SSH}\nlast\n");
        let start = signature_start(tag.as_bytes()).unwrap();
        assert_eq!(&tag[start..], format!("{SSH}\nlast\n"));
        assert_eq!(signature_start(format!("tag v1\n\n {SSH}\n").as_bytes()), None);
        assert_eq!(signature_start(b""), None);
    }

    #[test]
    fn names_the_key_that_cannot_be_used() {
        let good = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ me";
        let message = |bad: &str| Keys::parse(&[good.to_owned(), bad.to_owned()]).err().map(|error| error.message);
        assert_eq!(message(good), None);
        for bad in ["", "nonsense", "ssh-ed25519 AAAA", "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n"] {
            assert!(message(bad).is_some_and(|message| message.contains("number 2")), "{bad}");
        }
    }
}
