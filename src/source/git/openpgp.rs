//! Signatures by OpenPGP keys (RFC 9580).

use std::io::Cursor;
use std::time::{SystemTime, UNIX_EPOCH};

use pgp::composed::{Deserializable as _, DetachedSignature, SignedPublicKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType};
use pgp::ser::Serialize as _;
use pgp::types::{KeyDetails, PublicParams, Tag};

use super::known_hosts::MIN_RSA_BITS;
use crate::source::FetchReason;

/// Maximum number of keys in one armored block, and of subkeys of a key.
const MAX_KEYS: usize = 100;
const MAX_SUBKEYS: usize = 100;

/// A trusted key.
pub(super) type Key = SignedPublicKey;

/// The state of a key at a point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Good,
    Expired,
    Revoked,
    /// The key may not sign, or is not bound to its primary key.
    Unfit,
}

/// Reads armored public keys.
///
/// # Errors
/// The cause, as the end of a sentence that starts with "the key".
pub(super) fn keys(text: &str) -> Result<Vec<Key>, String> {
    let unreadable = |_| "cannot be read as an armored OpenPGP public key".to_owned();
    let (read, _) = SignedPublicKey::from_armor_many(Cursor::new(text)).map_err(unreadable)?;
    let keys = read.take(MAX_KEYS).collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    match keys.iter().find(|key| key.public_subkeys.len() > MAX_SUBKEYS) {
        _ if keys.is_empty() => Err("holds no OpenPGP public key".to_owned()),
        Some(_) => Err(format!("has more than {MAX_SUBKEYS} subkeys")),
        None => Ok(keys),
    }
}

/// Checks a signature at the current time.
///
/// # Errors
/// The reason, and the cause as the end of a sentence that starts with "the signature of …".
pub(super) fn check(keys: &[Key], signature: &str, signed: &[u8]) -> Result<(), (FetchReason, &'static str)> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    check_at(keys, signature, signed, now)
}

fn check_at(keys: &[Key], signature: &str, signed: &[u8], now: u64) -> Result<(), (FetchReason, &'static str)> {
    let bad = |why: &'static str| (FetchReason::BadSignature, why);
    let (signature, _) = DetachedSignature::from_armor_single(Cursor::new(signature))
        .map_err(|_| bad("cannot be read as an OpenPGP signature"))?;
    if !matches!(signature.signature.typ(), Some(SignatureType::Binary | SignatureType::Text)) {
        return Err(bad("is of a type that does not sign documents"));
    }
    let strong = [
        HashAlgorithm::Sha256,
        HashAlgorithm::Sha384,
        HashAlgorithm::Sha512,
        HashAlgorithm::Sha3_256,
        HashAlgorithm::Sha3_512,
    ];
    if !signature.signature.hash_alg().is_some_and(|hash| strong.contains(&hash)) {
        return Err(bad("uses a hash that is broken or unknown"));
    }
    let mut claimed = false;
    for key in keys {
        let parts = std::iter::once(None).chain(key.public_subkeys.iter().map(Some));
        for subkey in parts {
            let (fits, ours) = match subkey {
                None => (signature.verify(&key.primary_key, signed).is_ok(), is_by(&signature, &key.primary_key)),
                Some(part) => (signature.verify(&part.key, signed).is_ok(), is_by(&signature, &part.key)),
            };
            claimed |= ours;
            if !fits {
                continue;
            }
            let own = primary(key, now);
            let state = match subkey {
                None => own,
                Some(part) => worse(own, subkey_state(key, part, now)),
            };
            let weak = match subkey {
                None => is_weak(key.primary_key.public_params()),
                Some(part) => is_weak(part.key.public_params()),
            };
            let expires = signature.signature.signature_expiration_time().map_or(0, |time| u64::from(time.as_secs()));
            let made = signature.signature.created().map_or(0, |time| u64::from(time.as_secs()));
            return match state {
                State::Revoked => Err((FetchReason::RevokedKey, "is by a key that was revoked")),
                State::Expired => Err((FetchReason::ExpiredKey, "is by a key that has expired")),
                State::Unfit => Err((FetchReason::UntrustedKey, "is by a key that may not sign")),
                State::Good if weak => Err((FetchReason::UntrustedKey, "is by a key that is too weak")),
                State::Good if expires != 0 && made + expires <= now => Err(bad("has expired")),
                State::Good => Ok(()),
            };
        }
    }
    if claimed {
        return Err(bad("does not match its content"));
    }
    Err((FetchReason::UntrustedKey, "is by an OpenPGP key that is not in `trustedKeys`"))
}

/// True if a signature names this key as its issuer.
fn is_by(signature: &DetachedSignature, key: &impl KeyDetails) -> bool {
    let (id, fingerprint) = (key.legacy_key_id(), key.fingerprint());
    let signature = &signature.signature;
    signature.issuer_key_id().contains(&&id) || signature.issuer_fingerprint().contains(&&fingerprint)
}

/// True for a key that can be broken: DSA, and RSA with too few bits.
fn is_weak(key: &PublicParams) -> bool {
    match key {
        // A number follows its length in bits (RFC 9580, 3.2), and the modulus comes first.
        PublicParams::RSA(key) => match key.to_bytes().as_deref() {
            Ok([high, low, ..]) => usize::from(u16::from_be_bytes([*high, *low])) < MIN_RSA_BITS,
            _ => true,
        },
        PublicParams::DSA(_) => true,
        _ => false,
    }
}

fn worse(one: State, other: State) -> State {
    let order = [State::Revoked, State::Expired, State::Unfit, State::Good];
    order.into_iter().find(|state| *state == one || *state == other).unwrap_or(State::Unfit)
}

/// The state of a primary key, by its newest self-signature.
fn primary(key: &Key, now: u64) -> State {
    let own = &key.primary_key;
    let details = &key.details;
    if details.revocation_signatures.iter().any(|signature| signature.verify_key(own).is_ok()) {
        return State::Revoked;
    }
    let direct = details.direct_signatures.iter().filter(|signature| signature.verify_key(own).is_ok());
    let users = details.users.iter().flat_map(|user| {
        let certifies = |signature: &&Signature| {
            signature.is_certification() && signature.verify_certification(own, Tag::UserId, &user.id).is_ok()
        };
        user.signatures.iter().filter(certifies)
    });
    let newest =
        direct.chain(users).max_by_key(|signature| signature.created().map_or(0, pgp::types::Timestamp::as_secs));
    state_by(newest, own.created_at().as_secs(), now)
}

/// The state of a subkey, by its newest binding.
fn subkey_state(key: &Key, subkey: &pgp::composed::SignedPublicSubKey, now: u64) -> State {
    let own = &key.primary_key;
    let bound = subkey.signatures.iter().filter(|signature| signature.verify_subkey_binding(own, &subkey.key).is_ok());
    let (revocations, bindings): (Vec<_>, Vec<_>) =
        bound.partition(|signature| signature.typ() == Some(SignatureType::SubkeyRevocation));
    if !revocations.is_empty() {
        return State::Revoked;
    }
    let newest =
        bindings.into_iter().max_by_key(|signature| signature.created().map_or(0, pgp::types::Timestamp::as_secs));
    // A signing subkey confirms that it belongs to the primary key, so that a foreign subkey cannot be claimed (RFC 9580,
    // 5.2.1.9).
    let back = newest.and_then(Signature::embedded_signature);
    if back.is_none_or(|back| back.verify_primary_key_binding(&subkey.key, own).is_err()) {
        return State::Unfit;
    }
    state_by(newest, subkey.key.created_at().as_secs(), now)
}

fn state_by(signature: Option<&Signature>, created: u32, now: u64) -> State {
    let Some(signature) = signature else { return State::Unfit };
    let lives = signature.key_expiration_time().map_or(0, |time| u64::from(time.as_secs()));
    if lives != 0 && u64::from(created) + lives <= now {
        State::Expired
    } else if signature.key_flags().sign() {
        State::Good
    } else {
        State::Unfit
    }
}
