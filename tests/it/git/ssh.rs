//! Repositories over SSH, served by a real `sshd`, and servers that break the protocol.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use super::*;
use crate::git_server::GitSsh;

fn source(place: &Place, url: &str, known: &str, key: String) -> Result<Git, FetchError> {
    source_within(place, url, known, key, Budgets::default())
}

fn source_within(place: &Place, url: &str, known: &str, key: String, budgets: Budgets) -> Result<Git, FetchError> {
    let auth = json!({ "auth": { "ssh": { "privateKey": { "secretRef": "x" }, "knownHosts": [known] } } });
    let key: CredentialsProvider = Arc::new(move || Ok(Credentials::Ssh { private_key: key.clone().into() }));
    source_at(&place.repositories, url, &auth, key, budgets)
}

#[test]
#[cfg_attr(missing_sshd, ignore = "needs sshd: tests/run installs it")]
fn fetches_and_follows_with_keys_of_every_type_and_format() {
    let place = Place::with(&[("a.yaml", TENANT)]);
    let server = GitSsh::start();
    let url = server.url(&place.repository.git_dir());
    let keys = [
        server.private_key("login"),
        server.private_key("rsa"),
        server.private_key("ecdsa"),
        server.private_key_as("rsa", "PEM", ""),
        server.private_key_as("rsa", "PKCS8", ""),
        server.private_key_as("ecdsa", "PEM", ""),
        server.private_key_as("ecdsa", "PKCS8", ""),
        format!("\n  {}  \r\n", server.private_key("login").replace('\n', "\r\n  ")),
    ];
    for key in keys {
        let kind = key.lines().find(|line| line.contains("BEGIN")).unwrap_or_default().to_owned();
        let git = source(&place, &url, &server.known_host("host"), key).unwrap();
        assert_eq!(paths(&fetch(&git).unwrap()), ["a.yaml"], "{kind}");
        assert!(!format!("{git:?}").contains("PRIVATE"));
    }
    let git = source(&place, &url, &server.known_host("host"), server.private_key("login")).unwrap();
    fetch(&git).unwrap();
    place.repository.commit(&[("b.yaml", TENANT)], "second");
    assert_eq!(paths(&fetch(&git).unwrap()), ["a.yaml", "b.yaml"]);
}

#[test]
#[cfg_attr(missing_sshd, ignore = "needs sshd: tests/run installs it")]
fn rejects_keys_that_may_not_log_in_or_cannot_be_read() {
    let place = Place::with(&[("a.yaml", TENANT)]);
    let server = GitSsh::start_with("MaxAuthTries 1");
    let url = server.url(&place.repository.git_dir());
    for (key, text) in [
        (server.private_key("other"), "refuses the credentials"),
        (server.private_key_as("login", "RFC4716", "s3cret"), "without passphrase"),
        (server.private_key_as("rsa", "PEM", "s3cret"), "without passphrase"),
        ("nonsense".to_owned(), "cannot be used"),
        (String::new(), "cannot be used"),
    ] {
        let error = fetch(&source(&place, &url, &server.known_host("host"), key).unwrap()).unwrap_err();
        assert!(error.reason == FetchReason::Unauthorized && error.message.contains(text), "{error}");
    }
    let other = source_at(
        &place.repositories,
        &url,
        &json!({ "auth": { "ssh": { "privateKey": { "secretRef": "x" }, "knownHosts": [server.known_host("host")] } } }),
        anonymous(),
        Budgets::default(),
    );
    assert_eq!(reason(&other.unwrap()), FetchReason::Unauthorized);
}

#[test]
#[cfg_attr(missing_sshd, ignore = "needs sshd: tests/run installs it")]
fn row_14_a_changed_or_missing_host_key_is_refused() {
    let place = Place::with(&[("a.yaml", TENANT)]);
    let server = GitSsh::start();
    let url = server.url(&place.repository.git_dir());
    for known in [server.known_host("other"), server.known_host("host").replace("127.0.0.1", "127.0.0.2")] {
        let git = source(&place, &url, &known, server.private_key("login")).unwrap();
        assert_eq!(reason(&git), FetchReason::UntrustedHost, "{known}");
    }
    let error = source(&place, &url, "nonsense", server.private_key("login")).unwrap_err();
    assert_eq!(error.reason, FetchReason::Invalid);
    // The type of host key that is listed is the one that is negotiated.
    let git = source(&place, &url, &server.known_host("host_rsa"), server.private_key("login")).unwrap();
    assert_eq!(paths(&fetch(&git).unwrap()), ["a.yaml"]);
}

#[test]
#[cfg_attr(missing_sshd, ignore = "needs sshd: tests/run installs it")]
fn paths_are_quoted_for_the_shell_of_the_host() {
    let place = Place::with(&[("a.yaml", TENANT)]);
    let server = GitSsh::start();
    let odd = place.repository.root().join("it's $(touch made)!.git");
    std::os::unix::fs::symlink(place.repository.git_dir(), &odd).unwrap();
    let url = server.url(&odd).replace(' ', "%20");
    let git = source(&place, &url, &server.known_host("host"), server.private_key("login")).unwrap();
    assert_eq!(paths(&fetch(&git).unwrap()), ["a.yaml"]);
}

#[test]
#[cfg_attr(missing_sshd, ignore = "needs sshd: tests/run installs it")]
fn keys_are_exchanged_again_during_a_large_fetch() {
    // Text that does not compress well, in files that hold no definitions.
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut noise = || {
        let mut text = String::with_capacity(3 << 20);
        while text.len() < 3 << 20 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            text += &format!("{state:016x}");
        }
        text
    };
    let (one, other) = (noise(), noise());
    let place = Place::with(&[("a.yaml", TENANT), ("one.bin", &one), ("other.bin", &other)]);
    let server = GitSsh::start_with("RekeyLimit 256K");
    let url = server.url(&place.repository.git_dir());
    let git = source(&place, &url, &server.known_host("host"), server.private_key("login")).unwrap();
    let fetched = fetch(&git).unwrap();
    assert_eq!(paths(&fetched), ["a.yaml"]);
    assert_eq!(git.read(&fetched, "other.bin").unwrap(), other.as_bytes());
}

#[test]
#[cfg_attr(missing_sshd, ignore = "needs sshd: tests/run installs it")]
fn each_failure_of_the_remote_command_has_its_reason() {
    let place = Place::with(&[("a.yaml", &"0123456789".repeat(100)), ("b.yaml", TENANT)]);
    let server = GitSsh::start();
    let url = server.url(&place.repository.git_dir());
    let missing = source(&place, &(url.clone() + "x"), &server.known_host("host"), server.private_key("login"));
    assert_eq!(reason(&missing.unwrap()), FetchReason::RepositoryNotFound);
    let budgets = Budgets { listing_bytes: 100_000, ..Budgets::default() };
    for (command, expected) in [
        ("echo 'ERROR: Repository not found.' >&2; exit 1", FetchReason::RepositoryNotFound),
        ("exit 1", FetchReason::RepositoryNotFound),
        ("exit 0", FetchReason::Unreachable),
        ("kill -9 $PPID", FetchReason::Unreachable),
        ("echo nonsense", FetchReason::Unreachable),
        ("yes | head -c 1000", FetchReason::Unreachable),
        ("printf 0014; yes | head -c 1000", FetchReason::Unreachable),
        ("for line in 1 2 3 4 5 6 7 8 9; do printf '0032'; printf 'a%.0s' $(seq 46); done", FetchReason::Unreachable),
        ("yes >&2", FetchReason::TooLarge),
        // Cut off in the list of references, also with a message.
        ("sh -c \"$SSH_ORIGINAL_COMMAND\" </dev/null | head -c 100", FetchReason::Unreachable),
        (
            "sh -c \"$SSH_ORIGINAL_COMMAND\" </dev/null | (head -c 420; echo broken >&2; exit 1)",
            FetchReason::Unreachable,
        ),
    ] {
        let key = server.private_key_with_command(command);
        let git = source_within(&place, &url, &server.known_host("host"), key, budgets.clone()).unwrap();
        let error = fetch(&git).unwrap_err();
        assert_eq!(error.reason, expected, "{command}: {error}");
    }
    let git = source(&place, &url, &server.known_host("host"), server.private_key("login")).unwrap();
    assert_eq!(paths(&fetch(&git).unwrap()), ["a.yaml", "b.yaml"]);
}

#[test]
#[cfg_attr(missing_sshd, ignore = "needs sshd: tests/run installs it")]
fn row_05_a_remote_command_that_stalls_ends_at_the_deadline() {
    let place = Place::with(&[("a.yaml", &"0123456789".repeat(100))]);
    let server = GitSsh::start();
    let url = server.url(&place.repository.git_dir());
    for command in ["sleep 20", "sh -c \"$SSH_ORIGINAL_COMMAND\" | (head -c 100; sleep 20)"] {
        let key = server.private_key_with_command(command);
        let git = source(&place, &url, &server.known_host("host"), key).unwrap();
        let started = Instant::now();
        let error = git.fetch(started + Duration::from_secs(2)).unwrap_err();
        assert_eq!(error.reason, FetchReason::TimedOut, "{command}: {error}");
        assert!(started.elapsed() < Duration::from_secs(15), "{command}: {:?}", started.elapsed());
    }
}

/// A server that sends these bytes to each connection, and then closes it, or leaves it open.
fn tcp_server(greeting: &'static [u8], closes: bool) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().take(2) {
            let mut stream = stream.unwrap();
            let _ = stream.write_all(greeting);
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            // A socket that is closed with unread bytes may discard sent bytes.
            let _ = if closes { stream.read(&mut [0; 64]) } else { stream.read_to_end(&mut Vec::new()) };
        }
    });
    port
}

#[test]
#[cfg_attr(missing_sshd, ignore = "needs sshd: tests/run installs it")]
fn servers_that_do_not_speak_ssh_are_unreachable() {
    let place = Place::with(&[("a.yaml", TENANT)]);
    let ssh = GitSsh::start();
    let fetched = |greeting: &'static [u8], closes: bool| {
        let port = tcp_server(greeting, closes);
        let known = ssh.known_host("host").split_once(' ').map(|(_, key)| format!("[127.0.0.1]:{port} {key}")).unwrap();
        let url = format!("ssh://git@127.0.0.1:{port}/repo.git");
        let git = source(&place, &url, &known, ssh.private_key("login")).unwrap();
        git.fetch(Instant::now() + Duration::from_secs(if closes { 20 } else { 1 })).unwrap_err()
    };
    for greeting in [&b""[..], b"SSH-2.0-x\r\n", b"SSH-1.5-x\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", &[b'x'; 5000]] {
        let error = fetched(greeting, true);
        assert_eq!(error.reason, FetchReason::Unreachable, "{greeting:?}: {error}");
    }
    for greeting in [&b""[..], b"SSH-2.0-x\r\n", b"banner\r\n"] {
        let error = fetched(greeting, false);
        assert_eq!(error.reason, FetchReason::TimedOut, "{greeting:?}: {error}");
    }
    let git = source(&place, "ssh://git@127.0.0.1:9/a", &ssh.known_host("host"), ssh.private_key("login")).unwrap();
    assert_eq!(reason(&git), FetchReason::Unreachable);
}
