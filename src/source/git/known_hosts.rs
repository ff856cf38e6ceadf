//! Host keys that are accepted, written as in OpenSSH's `known_hosts` (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT").

use pgp::crypto::hash::HashAlgorithm;
use ssh_key::known_hosts::{Entry, HostPatterns, KnownHosts, Marker};
use ssh_key::public::KeyData;

use super::{fail, invalid};
use crate::source::{FetchError, FetchReason};

/// Fewest bits of an RSA key: less can be factored.
pub(super) const FEWEST_RSA_BITS: usize = 2048;
/// Most lines of one source.
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

/// Checks the key that a server showed, in the wire format of RFC 4253, 6.6.
///
/// # Errors
/// `UntrustedHost` unless the key is listed for the host, strong enough and not revoked.
pub(super) fn check(entries: &[Entry], host: &str, port: u16, key: &[u8]) -> Result<(), FetchError> {
    let untrusted = |message: String| fail(FetchReason::UntrustedHost, message);
    let shown = if port == 22 { host.to_owned() } else { format!("[{host}]:{port}") };
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
            // Certificates of hosts are not used, so a key of an authority is not a host's.
            Some(_) => {}
            None if same => found = true,
            None => others.push(entry.public_key().algorithm()),
        }
    }
    let algorithm = key.algorithm();
    if found {
        if rsa_bits(key.key_data()).is_some_and(|bits| bits < FEWEST_RSA_BITS) {
            return Err(untrusted(format!(
                "the host key of `{shown}` is RSA with fewer than {FEWEST_RSA_BITS} bits; give the host a stronger key"
            )));
        }
        return Ok(());
    }
    Err(untrusted(if others.contains(&algorithm) {
        format!(
            "the host key of `{shown}` is not the one in `knownHosts`: it was changed, or someone stands between; \
             ask whoever runs the host before you replace it"
        )
    } else {
        let algorithm = algorithm.as_str();
        format!("`{shown}` shows a key of the type {algorithm} that `knownHosts` does not have; add its line")
    }))
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

/// HMAC (RFC 2104) with SHA-1, which is how OpenSSH hides names of hosts; nothing depends on its strength.
fn hmac_sha1(key: &[u8], text: &[u8]) -> Option<Vec<u8>> {
    let sha1 = |bytes: &[u8]| HashAlgorithm::Sha1.digest(bytes).ok();
    let mut block = [0; 64];
    let key = if key.len() > block.len() { sha1(key)? } else { key.to_vec() };
    block.iter_mut().zip(key).for_each(|(to, from)| *to = from);
    let padded = |pad: u8, rest: &[u8]| [&block.map(|byte| byte ^ pad), rest].concat();
    sha1(&padded(0x5C, &sha1(&padded(0x36, text))?))
}

/// Does `pattern` with `*` and `?` match the whole text? Takes time in the product of both lengths at most.
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

    fn told(lines: &[&str], host: &str, port: u16) -> Result<(), String> {
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        let key = ssh_key::PublicKey::from_openssh(KEY).unwrap().to_bytes().unwrap();
        check(&parse(&lines).unwrap(), host, port, &key).map_err(|error| {
            assert_eq!(error.reason, FetchReason::UntrustedHost);
            error.message
        })
    }

    #[test]
    fn hosts_are_found_as_openssh_finds_them() {
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
            assert_eq!(told(&[&format!("{hosts} {KEY}")], host, port), Ok(()), "{hosts}");
            assert!(told(&[&format!("{hosts} {KEY}")], "git.example.evil", port).is_err(), "{hosts}");
        }
    }

    #[test]
    fn the_mac_is_that_of_rfc_2202() {
        let hex = |mac: Vec<u8>| mac.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let mac = hmac_sha1(b"Jefe", b"what do ya want for nothing?").unwrap();
        assert_eq!(hex(mac), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
        let long = hmac_sha1(&[0xaa; 80], b"Test Using Larger Than Block-Size Key - Hash Key First").unwrap();
        assert_eq!(hex(long), "aa4ae5e15272d00e95705637ce8a3b55ed402112");
    }

    #[test]
    fn a_missing_changed_or_revoked_key_is_refused() {
        let missing = told(&[&format!("other {KEY}")], "git.example", 22).unwrap_err();
        assert!(missing.contains("does not have"), "{missing}");
        let port = told(&[&format!("git.example {KEY}")], "git.example", 2222).unwrap_err();
        assert!(port.contains("[git.example]:2222"), "{port}");
        let changed = told(&[&format!("git.example {OTHER}")], "git.example", 22).unwrap_err();
        assert!(changed.contains("changed"), "{changed}");
        let good = format!("git.example {KEY}");
        let revoked = told(&[&good, &format!("@revoked * {KEY}")], "git.example", 22).unwrap_err();
        assert!(revoked.contains("revoked"), "{revoked}");
        assert!(told(&[&format!("@cert-authority * {KEY}")], "git.example", 22).is_err());
        assert!(told(&[&format!("*,!git.example {KEY}")], "git.example", 22).is_err());
        assert!(told(&[], "git.example", 22).is_err());
        assert_eq!(told(&[&format!("git.example {OTHER}"), &good], "git.example", 22), Ok(()));
    }

    #[test]
    fn lines_that_cannot_be_read_are_told_by_number() {
        let lines = [format!("git.example {KEY}"), "git.example nonsense".to_owned()];
        assert!(parse(&lines).unwrap_err().message.contains("entry 2"));
        assert!(parse(&vec!["# x".to_owned(); 2000]).is_err());
    }

    #[test]
    fn wildcards_end() {
        assert!(wildcard("*a*", "bab") && wildcard("", "") && wildcard("**", "") && !wildcard("a", ""));
        assert!(!wildcard(&"*a".repeat(100), &"a".repeat(99)));
    }
}
