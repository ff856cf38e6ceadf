//! Signatures by SSH keys in the format of OpenSSH's PROTOCOL.sshsig.

use ssh_key::{Algorithm, Error, HashAlg, PublicKey, SshSig};

use super::known_hosts::{MIN_RSA_BITS, rsa_bits};
use crate::source::FetchReason;

/// The namespace of Git's signatures. A signature with another namespace was made for another purpose.
const NAMESPACE: &str = "git";

/// Reads a public key, as in a `.pub` file.
///
/// # Errors
/// The cause, as the end of a sentence that starts with "the key".
pub(super) fn key(text: &str) -> Result<PublicKey, String> {
    let key = PublicKey::from_openssh(text)
        .map_err(|_| "is neither an SSH public key (`ssh-ed25519 AAAA…`) nor an armored OpenPGP key".to_owned())?;
    if rsa_bits(key.key_data()).is_some_and(|bits| bits < MIN_RSA_BITS) {
        return Err(format!("is RSA with fewer than {MIN_RSA_BITS} bits"));
    }
    match key.algorithm() {
        Algorithm::Dsa => Err("is DSA, which is broken".to_owned()),
        Algorithm::Ed25519 | Algorithm::SkEd25519 | Algorithm::Ecdsa { .. } | Algorithm::Rsa { .. } => Ok(key),
        other => Err(format!("is of the type {}, which is not supported", other.as_str())),
    }
}

/// Checks a signature.
///
/// # Errors
/// The reason, and the cause as the end of a sentence that starts with "the signature of …".
pub(super) fn check(keys: &[PublicKey], signature: &str, signed: &[u8]) -> Result<(), (FetchReason, &'static str)> {
    let signature =
        SshSig::from_pem(signature).map_err(|_| (FetchReason::BadSignature, "cannot be read as an SSH signature"))?;
    if signature.namespace() != NAMESPACE {
        return Err((FetchReason::WrongNamespace, "was made for another purpose than Git"));
    }
    let untrusted = (FetchReason::UntrustedKey, "is by an SSH key that is not in `trustedKeys`");
    let key = keys.iter().find(|key| key.key_data() == signature.public_key()).ok_or(untrusted)?;
    // `ssh-rsa` means SHA-1, for which collisions can be computed.
    if matches!(signature.algorithm(), Algorithm::Rsa { hash: None }) {
        return Err((FetchReason::BadSignature, "uses SHA-1, which is broken"));
    }
    if !matches!(signature.hash_alg(), HashAlg::Sha256 | HashAlg::Sha512) {
        return Err((FetchReason::BadSignature, "uses a hash that is not supported"));
    }
    key.verify(NAMESPACE, signed, &signature).map_err(|error| match error {
        Error::AlgorithmUnsupported { .. } => (FetchReason::BadSignature, "uses an algorithm that is not supported"),
        _ => (FetchReason::BadSignature, "does not match its content"),
    })
}
