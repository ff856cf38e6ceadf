//! Repositories over HTTP with and without credentials and on this disk, and the cost of a fetch.

use std::sync::Mutex;

use super::*;
use crate::git_server::{Fault, basic};

fn credentials(make: impl Fn() -> Credentials + Send + Sync + 'static) -> CredentialsProvider {
    Arc::new(move || Ok(make()))
}

fn token(token: &'static str) -> CredentialsProvider {
    credentials(move || Credentials::Token(token.to_owned().into()))
}

#[test]
fn fetches_and_follows_a_branch() {
    let place = Place::with(&[("a.yaml", TENANT), ("b/c.json", "{}"), ("read me.txt", "x"), (".ci/x.yaml", "x")]);
    let git = place.source(&json!({ "branch": "main" }));
    let first = fetch(&git).unwrap();
    assert_eq!(paths(&first), ["a.yaml", "b/c.json"]);
    assert_eq!(text(&first, "a.yaml"), TENANT);
    assert_eq!(first.snapshot.names.iter().collect::<Vec<_>>(), ["a.yaml", "b/c.json", "read me.txt"]);
    let head = place.repository.head();
    assert_eq!(first.revision.name, format!("main@sha1:{head}"));
    assert_eq!((&*first.revision.commit, &*first.revision.author, &*first.revision.subject), (&*head, "Ada", "first"));
    assert!(first.revision.committed > 1_600_000_000 && !first.rewritten);

    place.repository.commit(&[("a.yaml", "changed")], "second");
    let second = fetch(&git).unwrap();
    assert_eq!(text(&second, "a.yaml"), "changed");
    assert!(
        Arc::ptr_eq(&first.snapshot.files[1].bytes, &second.snapshot.files[1].bytes),
        "the other file was read again"
    );
    assert!(Arc::ptr_eq(&first.snapshot.files[0].path, &second.snapshot.files[0].path));
    assert!(Arc::ptr_eq(&first.snapshot.names, &second.snapshot.names));
    assert!(!second.rewritten);
}

#[test]
fn an_unchanged_revision_costs_one_listing() {
    let place = Place::with(&[("a.yaml", TENANT)]);
    let git = place.source(&json!({}));
    let first = fetch(&git).unwrap();
    // A shallow fetch needs two requests: one for the wanted, one for the known commits.
    let post = "POST /repo.git/git-upload-pack";
    assert_eq!(place.server.requests(), ["GET /repo.git/info/refs", post, post]);
    let again = fetch(&git).unwrap();
    assert!(Arc::ptr_eq(&first, &again));
    assert_eq!(place.server.requests(), ["GET /repo.git/info/refs"]);
}

#[test]
fn a_new_process_reuses_the_local_copy() {
    let place = Place::with(&[("a.yaml", TENANT)]);
    fetch(&place.source(&json!({}))).unwrap();
    let Place { repository: _repository, server, repositories, cache } = place;
    assert!(GitRepositories::open(cache.path()).unwrap_err().message.contains("another process"));
    drop(repositories);
    server.requests();
    let repositories = GitRepositories::open(cache.path()).unwrap();
    let git = source_at(&repositories, &server.url(), &json!({}), anonymous(), Budgets::default()).unwrap();
    assert_eq!(paths(&fetch(&git).unwrap()), ["a.yaml"]);
    assert_eq!(server.requests(), ["GET /repo.git/info/refs"]);
}

#[test]
fn many_environments_share_one_fetch() {
    let place = Place::with(&[("a.yaml", TENANT), ("b/b.yaml", TENANT)]);
    place.repository.git(&["branch", "next"]);
    let sources: Vec<Git> = (0..8)
        .map(|at| place.source(&if at % 2 == 0 { json!({ "path": "b" }) } else { json!({ "branch": "next" }) }))
        .collect();
    // The first visit is delayed until all sources wait: those that came after its start share a second visit.
    place.server.fault(Fault::Stall);
    let deadline = Instant::now() + Duration::from_secs(12);
    std::thread::scope(|scope| {
        let early = scope.spawn(|| sources[0].fetch(deadline));
        while place.server.requests().is_empty() {
            std::thread::sleep(Duration::from_millis(5));
        }
        place.server.fault(Fault::None);
        let late: Vec<_> = sources.iter().skip(1).map(|source| scope.spawn(move || fetch(source).unwrap())).collect();
        assert_eq!(early.join().unwrap().unwrap_err().reason, FetchReason::TimedOut);
        for fetched in late {
            fetched.join().unwrap();
        }
    });
    let requests = place.server.requests();
    let fetches = requests.iter().filter(|request| request.starts_with("POST")).count();
    // A shallow fetch needs two of them.
    assert_eq!((sources[0].visit_count(), fetches), (2, 2), "{requests:?}");
}

#[test]
fn a_fetch_is_never_older_than_its_call() {
    let place = Place::with(&[("a.yaml", "0")]);
    let sources: Vec<Git> = (0..4).map(|_| place.source(&json!({}))).collect();
    for round in 1..=5 {
        let pushed = place.repository.commit(&[("a.yaml", &round.to_string())], "next");
        std::thread::scope(|scope| {
            let fetches: Vec<_> = sources.iter().map(|source| scope.spawn(|| fetch(source).unwrap())).collect();
            for fetched in fetches {
                assert_eq!(fetched.join().unwrap().revision.commit, pushed);
            }
        });
    }
}

#[test]
fn sends_tokens_and_passwords_only_on_request() {
    let place = Place::with(&[("a.yaml", TENANT)]);
    let auth = json!({ "auth": { "token": { "secretRef": "x" } } });
    let open = |credentials| place.source_with(&auth, credentials, Budgets::default()).unwrap();
    place.server.require(Some(&basic("x-access-token", "t0k")));
    assert_eq!(paths(&fetch(&open(token("t0k"))).unwrap()), ["a.yaml"]);
    assert_eq!(reason(&open(token("wrong"))), FetchReason::Unauthorized);
    assert_eq!(reason(&open(anonymous())), FetchReason::Unauthorized);
    place.server.require(Some(&basic("ada", "p4ss")));
    let login = |password: &'static str| {
        credentials(move || Credentials::Basic { username: "ada".into(), password: password.to_owned().into() })
    };
    assert_eq!(paths(&fetch(&open(login("p4ss"))).unwrap()), ["a.yaml"]);
    let error = fetch(&open(login("s3cret"))).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("s3cret"));
}

#[test]
fn row_15_rotated_credentials_are_picked_up() {
    let place = Place::with(&[("a.yaml", TENANT)]);
    let current = Arc::new(Mutex::new(Some("old".to_owned())));
    let secret = Arc::clone(&current);
    let credentials: CredentialsProvider = Arc::new(move || match &*secret.lock().unwrap() {
        Some(token) => Ok(Credentials::Token(token.clone().into())),
        None => Err(FetchError { reason: FetchReason::SecretMissing, message: "the secret is gone".into() }),
    });
    let auth = json!({ "auth": { "token": { "secretRef": "x" } } });
    let git = place.source_with(&auth, credentials, Budgets::default()).unwrap();
    place.server.require(Some(&basic("x-access-token", "old")));
    let first = fetch(&git).unwrap();
    place.server.require(Some(&basic("x-access-token", "new")));
    assert_eq!(reason(&git), FetchReason::Unauthorized);
    *current.lock().unwrap() = None;
    assert_eq!(reason(&git), FetchReason::SecretMissing);
    *current.lock().unwrap() = Some("new".to_owned());
    assert!(Arc::ptr_eq(&first, &fetch(&git).unwrap()), "the last good revision was lost");
}

#[test]
fn fetches_a_local_repository_in_tests() {
    let place = Place::with(&[("a.yaml", TENANT)]);
    let url = format!("file://{}", place.repository.git_dir().display());
    let git = source_at(&place.repositories, &url, &json!({}), anonymous(), Budgets::default()).unwrap();
    assert_eq!(paths(&fetch(&git).unwrap()), ["a.yaml"]);
    let old = place.repository.commit(&[("b.yaml", TENANT)], "second");
    assert_eq!(paths(&fetch(&git).unwrap()), ["a.yaml", "b.yaml"]);
    place.repository.git(&["reset", "--quiet", "--soft", "HEAD~1"]);
    place.repository.commit(&[("c.yaml", TENANT)], "other");
    let rewritten = fetch(&git).unwrap();
    assert!(rewritten.rewritten && rewritten.revision.commit != old);
}

/// A self-signed certificate for this machine as PEM, and a server configuration with it.
fn self_signed() -> (Vec<u8>, rustls::ServerConfig) {
    use rustls::pki_types::pem::PemObject as _;
    let folder = tempfile::tempdir().unwrap();
    let made = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(made.status.success());
    let pem = std::fs::read(folder.path().join("cert.pem")).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::from_pem_file(folder.path().join("key.pem")).unwrap();
    let certificate = rustls::pki_types::CertificateDer::from_pem_slice(&pem).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    (pem, config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap())
}

#[test]
#[cfg_attr(missing_openssl, ignore = "needs openssl: tests/run installs it")]
fn row_14_certificates_are_verified() {
    let place = Place::with(&[("a.yaml", TENANT)]);
    let (pem, config) = self_signed();
    let server = GitHttp::start_tls(place.repository.root(), config);
    let fetched = |url: &str, authorities: &[u8]| {
        let tls = Some(evenkeel::net::Tls::trusting(authorities).unwrap());
        let spec: GitSource = serde_json::from_value(json!({ "url": url })).unwrap();
        let options = GitOptions { tls, ..GitOptions::default() };
        let git = Git::new(&place.repositories, &spec, anonymous(), options).unwrap();
        fetch(&git).map(|fetched| paths(&fetched).len()).map_err(|error| error.reason)
    };
    assert_eq!(fetched(&server.url(), b""), Err(FetchReason::UntrustedHost));
    assert_eq!(fetched(&server.url(), &pem), Ok(1));
    place.repository.commit(&[("b.yaml", TENANT)], "second");
    assert_eq!(fetched(&server.url(), &pem), Ok(2));
    let other_name = server.url().replace("127.0.0.1", "localhost");
    assert_eq!(fetched(&other_name, &pem), Err(FetchReason::UntrustedHost));
    // A server without TLS at an `https://` URL.
    let plain = place.server.url().replace("http:", "https:");
    assert_eq!(fetched(&plain, &pem), Err(FetchReason::Unreachable));
}

#[test]
fn rejects_contradictory_sources() {
    let place = Place::with(&[("a.yaml", TENANT)]);
    let refused = |url: &str, more: Value| {
        let made = source_at(&place.repositories, url, &more, anonymous(), Budgets::default());
        assert_eq!(made.expect_err(url).reason, FetchReason::Invalid, "{url} {more}");
    };
    let ssh = json!({ "ssh": { "privateKey": { "secretRef": "x" }, "knownHosts": [] } });
    refused("git@git.example:a", json!({}));
    refused("https://git.example/a", json!({ "auth": ssh }));
    refused("https://git.example/a", json!({ "verify": "Tag" }));
    refused("https://git.example/a", json!({ "semver": "latest" }));
    refused("https://git.example/a", json!({ "branch": "a:b" }));
    refused("https://git.example/a", json!({ "branch": "--upload-pack=x" }));
    refused("https://git.example/a", json!({ "commit": "abc" }));
    refused("https://git.example/a", json!({ "trustedKeys": ["nonsense"] }));
    refused("ext::sh -c touch", json!({}));
}
