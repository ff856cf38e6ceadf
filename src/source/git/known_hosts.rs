//! Accepted host keys in the format of OpenSSH's `known_hosts` (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT").

use pgp::crypto::hash::HashAlgorithm;
use ssh_key::known_hosts::{Entry, HostPatterns, KnownHosts, Marker};
use ssh_key::public::KeyData;

use super::error::{fail, invalid};
use crate::source::{FetchError, FetchReason};

/// Minimum length of an RSA key, in bits: a shorter key can be factored.
pub(super) const MIN_RSA_BITS: usize = 2048;
/// Maximum number of lines of one source.
const MAX_LINES: usize = 1000;

/// Reads lines of `known_hosts`.
///
/// # Errors
/// `Invalid`, with the number of the line that cannot be read.
pub(super) fn parse(lines: &[String]) -> Result<Vec<Entry>, FetchError> {
    let text = lines.join("\n");
    if text.lines().count() > MAX_LINES {
        return Err(invalid(format!("`knownHosts` has more than {MAX_LINES} lines")));
    }
    let entries: Vec<_> = KnownHosts::new(&text).collect();
    let read = entries.into_iter().enumerate().map(|(at, entry)| {
        entry.map_err(|error| {
            let number = at + 1;
            invalid(format!("`knownHosts` entry {number} cannot be read ({error}); copy it from `ssh-keyscan HOST`"))
        })
    });
    read.collect()
}

/// Checks the host key of a server, given in the wire format of RFC 4253, 6.6.
///
/// # Errors
/// `UntrustedHost` unless the key is listed for the host, strong enough and not revoked.
pub(super) fn check(entries: &[Entry], host: &str, port: u16, key: &[u8]) -> Result<(), FetchError> {
    let untrusted = |message: String| fail(FetchReason::UntrustedHost, message);
    let shown = shown(host, port);
    let key = ssh_key::PublicKey::from_bytes(key)
        .map_err(|error| untrusted(format!("the host key of `{shown}` cannot be read: {error}")))?;
    let mut others = Vec::new();
    let mut found = false;
    for entry in entries.iter().filter(|entry| names(entry.host_patterns(), &shown)) {
        let same = entry.public_key().key_data() == key.key_data();
        match entry.marker() {
            Some(Marker::Revoked) if same => {
                return Err(untrusted(format!("the host key of `{shown}` is marked as revoked in `knownHosts`")));
            }
            // Host certificates are not supported, so the key of an authority is not a host key.
            Some(_) => {}
            None if same => found = true,
            None => others.push(entry.public_key().algorithm()),
        }
    }
    let algorithm = key.algorithm();
    if found {
        if rsa_bits(key.key_data()).is_some_and(|bits| bits < MIN_RSA_BITS) {
            return Err(untrusted(format!(
                "the host key of `{shown}` is RSA with fewer than {MIN_RSA_BITS} bits; give the host a stronger key"
            )));
        }
        return Ok(());
    }
    Err(untrusted(if others.contains(&algorithm) {
        format!(
            "the host key of `{shown}` is not the one in `knownHosts`: the host has a new key, or the connection is \
             intercepted; ask the administrator of the host before you replace the line"
        )
    } else {
        let algorithm = algorithm.as_str();
        format!("`{shown}` has a host key of type {algorithm}, which `knownHosts` does not have; add its line")
    }))
}

/// Types of the keys that are listed for a host, such as `ssh-ed25519`.
pub(super) fn algorithms(entries: &[Entry], host: &str, port: u16) -> Vec<String> {
    let shown = shown(host, port);
    let listed = entries.iter().filter(|entry| entry.marker().is_none() && names(entry.host_patterns(), &shown));
    listed.map(|entry| entry.public_key().algorithm().as_str().to_owned()).collect()
}

/// The host as `known_hosts` writes it: with brackets and a port unless the port is 22.
fn shown(host: &str, port: u16) -> String {
    if port == 22 { host.to_owned() } else { format!("[{host}]:{port}") }
}

/// Bits of an RSA key; `None` for other keys.
pub(super) fn rsa_bits(key: &KeyData) -> Option<usize> {
    let modulus = key.rsa()?.n.as_positive_bytes()?;
    let leading = modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
    Some((modulus.len() * 8).saturating_sub(leading))
}

fn names(patterns: &HostPatterns, shown: &str) -> bool {
    match patterns {
        HostPatterns::Patterns(patterns) => {
            let fits = |pattern: &str| wildcard(&pattern.to_ascii_lowercase(), &shown.to_ascii_lowercase());
            let refused = |pattern: &String| pattern.strip_prefix('!').is_some_and(fits);
            patterns.iter().any(|pattern| fits(pattern)) && !patterns.iter().any(refused)
        }
        HostPatterns::HashedName { salt, hash } => hmac_sha1(salt, shown.as_bytes()).is_some_and(|mac| mac == hash),
    }
}

/// HMAC (RFC 2104) with SHA-1, with which OpenSSH hides host names. No decision depends on its strength.
fn hmac_sha1(key: &[u8], text: &[u8]) -> Option<Vec<u8>> {
    let sha1 = |bytes: &[u8]| HashAlgorithm::Sha1.digest(bytes).ok();
    let mut block = [0; 64];
    let key = if key.len() > block.len() { sha1(key)? } else { key.to_vec() };
    block.iter_mut().zip(key).for_each(|(to, from)| *to = from);
    let padded = |pad: u8, rest: &[u8]| [&block.map(|byte| byte ^ pad), rest].concat();
    sha1(&padded(0x5C, &sha1(&padded(0x36, text))?))
}

/// True if `pattern` with `*` and `?` matches the whole text. Takes at most the product of both lengths in time.
fn wildcard(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t, mut star, mut mark) = (0, 0, None, 0);
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some(p);
                mark = t;
                p += 1;
            }
            Some(byte) if *byte == b'?' || Some(byte) == text.get(t) => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some(star) => {
                    p = star + 1;
                    mark += 1;
                    t = mark;
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA6rWI3G1sz07DnfFlrouTcysQlj2P+jpNSOEWD9OJ3X";

    fn check_error(lines: &[&str], host: &str, port: u16) -> Result<(), String> {
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        let key = ssh_key::PublicKey::from_openssh(KEY).unwrap().to_bytes().unwrap();
        check(&parse(&lines).unwrap(), host, port, &key).map_err(|error| {
            assert_eq!(error.reason, FetchReason::UntrustedHost);
            error.message
        })
    }

    #[test]
    fn matches_hosts_as_openssh_does() {
        for (hosts, host, port) in [
            ("git.example", "git.example", 22),
            ("GIT.example", "git.EXAMPLE", 22),
            ("other,git.example,10.0.0.1", "git.example", 22),
            ("*.example", "git.example", 22),
            ("g?t.example", "git.example", 22),
            ("[git.example]:2222", "git.example", 2222),
            // Written by `ssh-keygen -H` for `git.example` with a fixed salt.
            ("|1|AAECAwQFBgcICQoLDA0ODxAREhM=|HASH", "git.example", 22),
        ] {
            let mac = hmac_sha1(&(0..20).collect::<Vec<u8>>(), b"git.example").unwrap();
            let hosts = hosts.replace("HASH", &base64::engine::general_purpose::STANDARD.encode(mac));
            assert_eq!(check_error(&[&format!("{hosts} {KEY}")], host, port), Ok(()), "{hosts}");
            assert!(check_error(&[&format!("{hosts} {KEY}")], "git.example.evil", port).is_err(), "{hosts}");
        }
    }

    #[test]
    fn computes_the_hmac_of_rfc_2202() {
        let hex = |mac: Vec<u8>| mac.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let mac = hmac_sha1(b"Jefe", b"what do ya want for nothing?").unwrap();
        assert_eq!(hex(mac), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
        let long = hmac_sha1(&[0xaa; 80], b"Test Using Larger Than Block-Size Key - Hash Key First").unwrap();
        assert_eq!(hex(long), "aa4ae5e15272d00e95705637ce8a3b55ed402112");
    }

    #[test]
    fn rejects_a_missing_changed_or_revoked_key() {
        let missing = check_error(&[&format!("other {KEY}")], "git.example", 22).unwrap_err();
        assert!(missing.contains("does not have"), "{missing}");
        let port = check_error(&[&format!("git.example {KEY}")], "git.example", 2222).unwrap_err();
        assert!(port.contains("[git.example]:2222"), "{port}");
        let changed = check_error(&[&format!("git.example {OTHER}")], "git.example", 22).unwrap_err();
        assert!(changed.contains("has a new key"), "{changed}");
        let good = format!("git.example {KEY}");
        let revoked = check_error(&[&good, &format!("@revoked * {KEY}")], "git.example", 22).unwrap_err();
        assert!(revoked.contains("revoked"), "{revoked}");
        assert!(check_error(&[&format!("@cert-authority * {KEY}")], "git.example", 22).is_err());
        assert!(check_error(&[&format!("*,!git.example {KEY}")], "git.example", 22).is_err());
        assert!(check_error(&[], "git.example", 22).is_err());
        assert_eq!(check_error(&[&format!("git.example {OTHER}"), &good], "git.example", 22), Ok(()));
    }

    #[test]
    fn names_the_line_that_cannot_be_read() {
        let lines = [format!("git.example {KEY}"), "git.example nonsense".to_owned()];
        assert!(parse(&lines).unwrap_err().message.contains("entry 2"));
        assert!(parse(&vec!["# x".to_owned(); 2000]).is_err());
    }

    #[test]
    fn matches_wildcards_in_bounded_time() {
        assert!(wildcard("*a*", "bab") && wildcard("", "") && wildcard("**", "") && !wildcard("a", ""));
        assert!(!wildcard(&"*a".repeat(100), &"a".repeat(99)));
    }
}
