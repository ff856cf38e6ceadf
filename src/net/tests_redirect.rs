//! Tests of redirects: their number, their targets, and the fields and bodies that follow.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};

use super::test_upstream::{Reply, Upstream, path, redirect, response};
use super::tests::{client, get, send, send_within};
use super::{Error, Limits, Request};

#[tokio::test]
async fn redirects_are_followed_up_to_the_limit() {
    // /0 -> 1 -> 2 ...: relative to the path, absolute path, and whole URL.
    let upstream = Upstream::start(|request| {
        let n: u16 = path(request).trim_start_matches('/').parse().unwrap_or(0);
        match n {
            5 => Reply::Once(response(200, &[], b"end")),
            n => redirect([301, 302, 303, 307, 308][usize::from(n % 5)], &(n + 1).to_string()),
        }
    })
    .await;
    let client = client();
    let response = send(&client, get(upstream.url("/0#top"))).await.expect("the end");
    assert_eq!((response.redirects, &*response.body), (5, &b"end"[..]));
    // The fragment is inherited (RFC 9110 section 10.2.2).
    assert_eq!(response.url, upstream.url("/5#top"));
    assert_eq!(upstream.connections(), 1, "redirects without body reuse the connection");

    let limits = |max_redirects| Limits { max_redirects, ..Limits::default() };
    let err = send_within(&client, get(upstream.url("/0")), &limits(4)).await.expect_err("limit");
    assert_eq!(err, Error::TooManyRedirects { limit: 4 });
    let response = send_within(&client, get(upstream.url("/0")), &limits(0)).await.expect("as is");
    assert_eq!((response.status.as_u16(), response.redirects), (301, 0));
}

#[tokio::test]
async fn redirect_loops_end() {
    let upstream = Upstream::start(|_| redirect(302, "/again")).await;
    let limits = Limits { max_redirects: u8::MAX, ..Limits::default() };
    let err = send_within(&client(), get(upstream.url("/")), &limits).await.expect_err("a loop");
    assert_eq!(err, Error::TooManyRedirects { limit: u8::MAX });
    assert_eq!(upstream.requests().len(), 256);
}

#[tokio::test]
async fn redirects_to_refused_addresses_are_refused() {
    let upstream = Upstream::start(|request| redirect(302, &path(request)[1..])).await;
    let client = client();
    let table = [
        ("http://169.254.169.254/latest/meta-data/?s3cret", "cloud-metadata"),
        ("http://10.0.0.1/s3cret", "private"),
        ("//0xa000001/", "private"),
        ("http://[::ffff:10.0.0.1]/", "private"),
        ("http://0/", "unspecified"),
    ];
    for (location, class) in table {
        let started = Instant::now();
        let err = send(&client, get(upstream.url(&format!("/{location}")))).await.expect_err(location);
        assert!(matches!(err, Error::Refused { class: c, .. } if c == class), "{err:?}");
        assert!(!err.to_string().contains("s3cret"));
        // A connection attempt to such an address would hang instead.
        assert!(started.elapsed() < Duration::from_secs(2));
    }
}

#[tokio::test]
async fn unusable_locations_are_errors() {
    let upstream = Upstream::start(|request| match path(request) {
        "/none" => Reply::Once(response(302, &[], b"body")),
        "/not-modified" => Reply::Once(response(300, &[("location", "/")], b"")),
        "/invalid" => redirect(302, "http://[::1"),
        "/two" => Reply::Once(response(302, &[("location", "/a"), ("location", "/b")], b"")),
        "/bytes" => Reply::Once(b"HTTP/1.1 302 T\r\nlocation: /\xff\r\ncontent-length: 0\r\n\r\n".into()),
        "/scheme" => redirect(302, "file:///etc/passwd"),
        "/userinfo" => redirect(302, "http://us:s3cret@a.test/"),
        _ => Reply::Once(response(200, &[], b"")),
    })
    .await;
    let client = client();
    let at = |path: &str| send(&client, get(upstream.url(path)));
    let response = at("/none").await.expect("nothing to follow");
    assert_eq!((response.status.as_u16(), &*response.body), (302, &b"body"[..]));
    assert_eq!(at("/not-modified").await.expect("no redirect").status.as_u16(), 300);
    for bad in ["/invalid", "/two", "/bytes"] {
        let err = at(bad).await.expect_err(bad);
        assert!(matches!(err, Error::BadRedirect { .. }), "{bad}: {err:?}");
    }
    assert!(matches!(at("/scheme").await, Err(Error::Scheme { .. })));
    let err = at("/userinfo").await.expect_err("userinfo");
    assert!(matches!(err, Error::BadUrl { .. }) && !format!("{err:?}").contains("s3cret"));
}

#[tokio::test]
async fn credentials_stay_with_their_origin() {
    let other = Upstream::start(|request| match path(request) {
        "/back" => redirect(307, request.lines().find_map(|l| l.strip_prefix("x-back: ")).unwrap_or("/")),
        _ => Reply::Once(response(200, &[], b"")),
    })
    .await;
    let away = other.url_at("b.test", "/back").to_string();
    let home = Upstream::start(move |request| match path(request) {
        "/start" => redirect(307, "/away"),
        "/away" => redirect(307, &away),
        _ => Reply::Once(response(200, &[], b"")),
    })
    .await;
    let mut request = get(home.url_at("a.test", "/start"));
    for name in ["authorization", "cookie", "x-api-key", "x-keep"] {
        request.headers.insert(name, HeaderValue::from_static("s3cret"));
    }
    let mut marked = HeaderValue::from_static("s3cret");
    marked.set_sensitive(true);
    request.headers.insert("x-marked", marked);
    let back = home.url_at("a.test", "/home").to_string();
    request.headers.insert("x-back", back.parse().expect("a value"));
    request.sensitive = vec![HeaderName::from_static("x-api-key")];
    let response = send(&client(), request).await.expect("a response");
    assert_eq!(response.url.path(), "/home");

    let secrets = ["authorization", "cookie", "x-api-key", "x-marked"];
    let held = |request: &String| secrets.iter().filter(|name| request.contains(*name)).count();
    let at_home: Vec<usize> = home.requests().iter().map(held).collect();
    // All within the origin, none away, and none after coming back.
    assert_eq!(at_home, [4, 4, 0]);
    assert_eq!(other.requests().iter().map(held).collect::<Vec<_>>(), [0]);
    assert!(home.requests().iter().all(|request| request.contains("x-keep")));
    assert!(!other.requests()[0].contains("referer"));
}

#[tokio::test]
async fn methods_and_bodies_across_redirects() {
    let upstream = Upstream::start(|request| match path(request).strip_prefix("/to/") {
        Some(status) => redirect(status.parse().unwrap_or(500), "/end"),
        None => Reply::Once(response(200, &[], b"")),
    })
    .await;
    let client = client();
    let table = [
        (Method::POST, 301, "GET", false),
        (Method::POST, 302, "GET", false),
        (Method::POST, 303, "GET", false),
        (Method::PUT, 303, "GET", false),
        (Method::HEAD, 303, "HEAD", true),
        (Method::PUT, 301, "PUT", true),
        (Method::DELETE, 302, "DELETE", true),
        (Method::POST, 307, "POST", true),
        (Method::PATCH, 308, "PATCH", true),
    ];
    for (method, status, expected, kept) in table {
        let mut request = Request::new(method.clone(), upstream.url(&format!("/to/{status}")));
        request.headers.insert("content-type", HeaderValue::from_static("text/x"));
        request.body = Bytes::from_static(b"the body");
        send(&client, request).await.expect("a response");
        let last = upstream.requests().pop().expect("a request");
        assert!(last.starts_with(&format!("{expected} /end ")), "{method} {status}: {last}");
        assert_eq!(last.ends_with("the body"), kept, "{method} {status}: {last}");
        assert_eq!(last.contains("content-type: text/x"), kept, "{method} {status}: {last}");
    }
    let empty = Request::new(Method::POST, upstream.url("/end"));
    send(&client, empty).await.expect("a response");
    assert!(upstream.requests().pop().expect("a request").contains("content-length: 0\r\n"));
}
