//! Tests against servers on loopback: plain exchanges, address checks, errors and
//! the environment; and what the other test files share.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, StatusCode};
use url::Url;

use super::resolver::Lookup;
use super::test_upstream::{Reply, Upstream, response};
use super::{Client, Error, Limits, Policy, Request, Response, install_crypto_provider};

/// Bounds a test whose client fails to bound itself.
const TEST_TIME: Duration = Duration::from_secs(20);

fn dev() -> Policy {
    Policy { allow_loopback: true, ..Policy::default() }
}

/// A development client for which every `*.test` name is 127.0.0.1.
pub(super) fn client() -> Client {
    let policy = Policy { allow_http: true, ..dev() };
    let lookup = Lookup::Table(Arc::new(|_| vec![IpAddr::from([127, 0, 0, 1])]));
    Client::build(policy, lookup, Vec::new()).expect("a client")
}

pub(super) fn get(url: Url) -> Request {
    Request::new(Method::GET, url)
}

pub(super) async fn send(client: &Client, request: Request) -> Result<Response, Error> {
    send_within(client, request, &Limits::default()).await
}

pub(super) async fn send_within(client: &Client, request: Request, limits: &Limits) -> Result<Response, Error> {
    tokio::time::timeout(TEST_TIME, client.send(request, limits)).await.expect("the client's own deadline holds")
}

#[tokio::test]
async fn plain_requests_share_a_connection() {
    let upstream = Upstream::fixed(response(200, &[("x-a", "b")], b"hi")).await;
    let client = Client::new(dev()).expect("a client");
    for _ in 0..3 {
        let mut request = get(upstream.url("/p?q=1#fragment"));
        request.headers.insert("x-mine", HeaderValue::from_static("1"));
        let response = send(&client.clone(), request).await.expect("a response");
        assert_eq!(response.status, StatusCode::OK);
        assert_eq!(response.headers["x-a"], "b");
        assert_eq!(response.body, "hi");
        assert_eq!(response.redirects, 0);
    }
    let requests = upstream.requests();
    assert!(requests[0].starts_with("GET /p?q=1 HTTP/1.1\r\n"), "{requests:?}");
    assert!(requests[0].contains("x-mine: 1\r\n"));
    assert_eq!((upstream.connections(), requests.len()), (1, 3));
}

#[tokio::test]
async fn loopback_is_refused_by_default() {
    let upstream = Upstream::fixed(response(200, &[], b"")).await;
    let client = Client::new(Policy { allow_http: true, ..Policy::default() }).expect("a client");
    for host in ["127.0.0.1", "localhost", "x.localhost.", "[::1]", "[::ffff:127.0.0.1]", "0x7f.1"] {
        let err = send(&client, get(upstream.url_at(host, "/"))).await.expect_err(host);
        assert!(matches!(err, Error::Refused { class: "loopback", .. }), "{host}: {err:?}");
    }
    assert_eq!(upstream.connections(), 0);
    // And with the permission, localhost is found without DNS.
    let client = Client::new(dev()).expect("a client");
    send(&client, get(upstream.url_at("x.localhost", "/"))).await.expect("a response");
}

#[tokio::test]
async fn resolved_addresses_are_filtered() {
    let upstream = Upstream::fixed(response(200, &[], b"ok")).await;
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    let table = move |host: &str| -> Vec<IpAddr> {
        let list: &[[u8; 4]] = match host {
            "metadata.test" => &[[169, 254, 169, 254], [10, 0, 0, 1]],
            // The private one comes first; a connection to it would hang or fail.
            "mixed.test" => &[[10, 0, 0, 1], [127, 0, 0, 1]],
            // DNS rebinding: permitted once, then turned inwards.
            "rebind.test" if counter.fetch_add(1, Ordering::SeqCst) == 0 => &[[127, 0, 0, 1]],
            "rebind.test" => &[[192, 168, 0, 1]],
            _ => &[],
        };
        list.iter().copied().map(IpAddr::from).collect()
    };
    let policy = Policy { allow_http: true, ..dev() };
    let client = Client::build(policy, Lookup::Table(Arc::new(table)), Vec::new()).expect("a client");
    let refused = |host: &str, address: [u8; 4], class| Error::Refused {
        host: host.to_owned(),
        address: Some(address.into()),
        class,
    };
    let to = |host: &str| get(upstream.url_at(host, "/"));

    let err = send(&client, to("metadata.test")).await.expect_err("refused");
    assert_eq!(err, refused("metadata.test", [169, 254, 169, 254], "cloud-metadata"));
    let err = send(&client, to("nowhere.test")).await.expect_err("no address");
    assert_eq!(err, Error::Dns { host: "nowhere.test".to_owned() });
    assert_eq!(upstream.connections(), 0);
    send(&client, to("mixed.test")).await.expect("the permitted address");
    // `Connection: close` as the server closes: the next call resolves the name again.
    let closing = Upstream::start(|_| Reply::Close(response(200, &[("connection", "close")], b""))).await;
    let rebind = || get(closing.url_at("rebind.test", "/"));
    send(&client, rebind()).await.expect("the first answer");
    let err = send(&client, rebind()).await.expect_err("the second answer");
    assert_eq!(err, refused("rebind.test", [192, 168, 0, 1], "private"));
    assert_eq!((closing.connections(), calls.load(Ordering::SeqCst)), (1, 2));
}

#[tokio::test]
async fn the_system_resolver_is_guarded_too() {
    // RFC 6761: `.invalid` never resolves; names without DNS fail alike.
    let client = Client::new(Policy::default()).expect("a client");
    let url = Url::parse("https://evenkeel.invalid/s3cret?s3cret").expect("a url");
    let limits = Limits { timeout: Duration::from_secs(5), ..Limits::default() };
    let err = send_within(&client, get(url), &limits).await.expect_err("no such name");
    assert!(matches!(err, Error::Dns { .. } | Error::Timeout { .. }), "{err:?}");
    assert!(!format!("{err} {err:?}").contains("s3cret"));
}

#[tokio::test]
async fn forbidden_methods_and_headers() {
    let client = client();
    let url = Url::parse("http://a.test/").expect("a url");
    for method in [Method::CONNECT, Method::TRACE] {
        let err = send(&client, Request::new(method, url.clone())).await.expect_err("forbidden");
        assert!(matches!(err, Error::ForbiddenMethod { .. }));
    }
    let names = "host content-length transfer-encoding connection keep-alive upgrade te trailer \
        expect http2-settings proxy-authorization proxy-connection";
    for name in names.split_whitespace() {
        let mut request = get(url.clone());
        let name = HeaderName::from_static(name);
        request.headers.insert(&name, HeaderValue::from_static("s3cret"));
        let err = send(&client, request).await.expect_err("forbidden");
        assert_eq!(err, Error::ForbiddenHeader { name });
    }
}

#[tokio::test]
async fn names_the_cause_of_a_broken_connection() {
    let client = client();
    let upstream = Upstream::start(|_| Reply::Close(b"HTTP/1.1 200 T\r\ncontent-length: 9\r\n\r\nab".into())).await;
    let err = send(&client, get(upstream.url("/"))).await.expect_err("cut short");
    assert!(matches!(err, Error::Protocol { .. }), "{err:?}");
    let closed = upstream.url("/s3cret?s3cret");
    drop(upstream);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let err = send(&client, get(closed)).await.expect_err("the port is closed");
    let reason = "connection refused".to_owned();
    assert_eq!(err, Error::Connect { host: "127.0.0.1".to_owned(), reason });
}

/// Runs itself again with proxy variables set, as setting them in this process
/// is unsafe while other threads read them.
#[tokio::test]
async fn proxies_from_the_environment_are_ignored() {
    const CHILD: &str = "EVENKEEL_NET_TEST_PROXY_CHILD";
    if std::env::var_os(CHILD).is_some() {
        install_crypto_provider();
        let upstream = Upstream::fixed(response(200, &[], b"direct")).await;
        // reqwest by itself does use the (dead) proxy: the test can fail.
        #[allow(clippy::disallowed_methods, reason = "the unguarded client shows what the guarded one must not do")]
        let naive = reqwest::Client::new().get(upstream.url("/")).send().await;
        assert!(naive.is_err(), "the variables have no effect at all");
        let response = send(&client(), get(upstream.url("/"))).await.expect("direct");
        assert_eq!(response.body, "direct");
        return;
    }
    let name = "proxies_from_the_environment_are_ignored";
    let module = module_path!().split_once("::").map_or("", |(_, rest)| rest);
    let mut child = std::process::Command::new(std::env::current_exe().expect("this binary"));
    child.args(["--exact", &format!("{module}::{name}")]).env(CHILD, "1");
    for name in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        child.env(name, "http://127.0.0.1:1");
    }
    child.env_remove("no_proxy").env_remove("NO_PROXY");
    let output = child.output().expect("the child runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}
