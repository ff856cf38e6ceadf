//! Tests of the bounds: body and header size, time; and of bodies as such.

use std::time::{Duration, Instant};

use http::Method;

use super::test_upstream::{Reply, Upstream, gzip_bomb, path, response};
use super::tests::{client, get, send, send_within};
use super::{Error, Limits, Request};

#[tokio::test]
async fn bodies_are_capped() {
    const CHUNKED: &[u8] = b"HTTP/1.1 200 T\r\ntransfer-encoding: chunked\r\n\r\n";
    let upstream = Upstream::start(|request| match path(request) {
        "/exact" => Reply::Once(response(200, &[], &[b'x'; 1000])),
        "/announced" => Reply::Once(b"HTTP/1.1 200 T\r\ncontent-length: 99999999999999\r\n\r\n".into()),
        "/absurd" => Reply::Once(b"HTTP/1.1 200 T\r\ncontent-length: 99999999999999999999999\r\n\r\n".into()),
        "/chunked" => {
            let chunk = [b"1000\r\n".as_slice(), &[b'x'; 0x1000], b"\r\n"].concat();
            Reply::Endless(CHUNKED.into(), chunk, Duration::ZERO)
        }
        "/until-close" => Reply::Endless(b"HTTP/1.1 200 T\r\n\r\n".into(), vec![b'x'; 1000], Duration::ZERO),
        "/bomb" => Reply::Once(response(200, &[("content-encoding", "gzip")], &gzip_bomb(256 << 20))),
        _ => Reply::Once(response(200, &[], &[b'x'; 1001])),
    })
    .await;
    let client = client();
    let small = Limits { max_response_bytes: 1000, ..Limits::default() };
    let response = send_within(&client, get(upstream.url("/exact")), &small).await.expect("fits");
    assert_eq!(response.body.len(), 1000);
    for path in ["/more", "/announced", "/chunked", "/until-close", "/bomb"] {
        let err = send_within(&client, get(upstream.url(path)), &small).await.expect_err(path);
        assert_eq!(err, Error::BodyTooLarge { limit: 1000 }, "{path}");
    }
    let err = send_within(&client, get(upstream.url("/absurd")), &small).await.expect_err("absurd");
    assert!(matches!(err, Error::Protocol { .. }), "{err:?}");
    // 256 MiB of zeros must also stop at a cap that takes many chunks to reach.
    let err = send(&client, get(upstream.url("/bomb"))).await.expect_err("a bomb");
    assert_eq!(err, Error::BodyTooLarge { limit: 8 << 20 });
    // The endless bodies were not read to the end.
    assert!(upstream.written() < 64 << 20, "{}", upstream.written());
}

#[tokio::test]
async fn gzip_is_decoded_and_checked() {
    const HELLO: &[u8] = &[
        31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 203, 72, 205, 201, 201, 87, 72, 175, 202, 44, 0, 0, 25, 106, 210, 223, 10, 0,
        0, 0,
    ];
    let upstream = Upstream::start(|request| {
        let gzip = [("content-encoding", "gzip")];
        Reply::Once(match path(request) {
            "/hello" => response(200, &gzip, HELLO),
            "/cut" => response(200, &gzip, &HELLO[..20]),
            _ => response(200, &gzip, b"no gzip at all, s3cret"),
        })
    })
    .await;
    let client = client();
    let response = send(&client, get(upstream.url("/hello"))).await.expect("decoded");
    assert_eq!(response.body, "hello gzip");
    assert!(!response.headers.contains_key("content-encoding"));
    assert!(upstream.requests()[0].contains("accept-encoding: gzip"));
    for path in ["/cut", "/plain"] {
        let err = send(&client, get(upstream.url(path))).await.expect_err(path);
        assert!(matches!(err, Error::Protocol { .. }), "{path}: {err:?}");
        assert!(!format!("{err} {err:?}").contains("s3cret"));
    }
}

#[tokio::test]
async fn responses_without_body() {
    let upstream = Upstream::start(|request| {
        let gzip = ("content-encoding", "gzip");
        Reply::Once(match path(request) {
            "/head" => b"HTTP/1.1 200 T\r\ncontent-length: 99999999999\r\ncontent-encoding: gzip\r\n\r\n".into(),
            "/204" => b"HTTP/1.1 204 T\r\ncontent-encoding: gzip\r\n\r\n".into(),
            "/304" => b"HTTP/1.1 304 T\r\ncontent-length: 99999999999\r\netag: \"a\"\r\n\r\n".into(),
            "/empty-gzip" => response(200, &[gzip], b""),
            _ => response(200, &[], b""),
        })
    })
    .await;
    let client = client();
    let head = Request::new(Method::HEAD, upstream.url("/head"));
    assert_eq!(send(&client, head).await.expect("a head").body, "");
    for path in ["/204", "/304", "/empty-gzip", "/empty"] {
        let response = send(&client, get(upstream.url(path))).await.expect(path);
        assert_eq!(response.body, "", "{path}");
    }
}

#[tokio::test]
async fn the_deadline_covers_everything() {
    let upstream = Upstream::start(|request| {
        let pause = Duration::from_millis(20);
        let drip = |first: &[u8]| Reply::Endless(first.to_vec(), b"x".to_vec(), pause);
        match path(request) {
            "/body" => drip(b"HTTP/1.1 200 T\r\n\r\n"),
            "/head" => drip(b"HTTP/1.1 200 T\r\nx: "),
            "/redirect" => drip(b"HTTP/1.1 302 T\r\nlocation: /body\r\n\r\n"),
            _ => drip(b""),
        }
    })
    .await;
    let client = client();
    let after = Duration::from_millis(300);
    let limits = Limits { timeout: after, ..Limits::default() };
    for path in ["/body", "/head", "/redirect", "/silent"] {
        let started = Instant::now();
        let err = send_within(&client, get(upstream.url(path)), &limits).await.expect_err(path);
        let expected = matches!(err, Error::Timeout { after: a } if a == after);
        // "/silent" writes bytes that are no HTTP at all, which may be seen first.
        assert!(expected || (path == "/silent" && matches!(err, Error::Protocol { .. })), "{err:?}");
        assert!(started.elapsed() < Duration::from_secs(3));
    }
}

#[tokio::test]
async fn header_sections_are_capped() {
    let upstream = Upstream::start(|request| match path(request) {
        "/many" => Reply::Once(response(200, &vec![("x-a", "b"); 200], b"")),
        "/endless" => Reply::Endless(b"HTTP/1.1 200 T\r\nx: ".into(), vec![b'x'; 4096], Duration::ZERO),
        _ => Reply::Once(response(200, &[("x-a", &"b".repeat(70_000))], b"")),
    })
    .await;
    let client = client();
    let err = send(&client, get(upstream.url("/big"))).await.expect_err("too large");
    assert_eq!(err, Error::HeadersTooLarge { limit: 64 * 1024 });
    for path in ["/many", "/endless"] {
        let err = send(&client, get(upstream.url(path))).await.expect_err(path);
        assert!(matches!(err, Error::Protocol { .. }), "{path}: {err:?}");
    }
}
