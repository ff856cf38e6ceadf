//! Tests of the rules that need no network: openings, host patterns, URL checks,
//! and what messages reveal.

use std::net::IpAddr;

use http::{HeaderValue, Method};
use url::Url;

use super::{Error, HostPattern, Policy, Request};
use crate::definition::address::NEVER_OPENED;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("a test address")
}

fn url(text: &str) -> Url {
    Url::parse(text).expect("a test url")
}

fn patterns(list: &[&str]) -> Vec<HostPattern> {
    list.iter().map(|p| p.parse().expect("a pattern")).collect()
}

#[test]
fn openings_open_what_they_name_and_no_more() {
    let with = |ranges: &[&str]| Policy {
        allowed_private: ranges.iter().map(|r| r.parse().expect("a range")).collect(),
        ..Policy::default()
    };
    let policy = with(&["10.1.0.0/16", "fd12::/16", "169.254.0.0/16", "100.64.0.0/10", "fc00::/7"]);
    for open in ["10.1.2.3", "::ffff:10.1.2.3", "fd12::1", "169.254.1.1", "100.64.0.1", "8.8.8.8"] {
        assert_eq!(policy.permit(ip(open)), Ok(()), "{open}");
    }
    assert_eq!(policy.permit(ip("10.2.0.1")), Err("private"));
    assert_eq!(policy.permit(ip("127.0.0.1")), Err("loopback"));
    for metadata in ["169.254.169.254", "100.100.100.200", "fd00:ec2::254"] {
        assert_eq!(policy.permit(ip(metadata)), Err("cloud-metadata"), "{metadata}");
    }
    assert_eq!(with(&["169.254.169.254"]).permit(ip("169.254.169.254")), Ok(()));
    let wide = with(&["0.0.0.0/8", "224.0.0.0/8", "255.0.0.0/8", "::/128", "ff00::/8"]);
    for never in ["0.0.0.0", "0.0.0.1", "224.0.0.1", "255.255.255.255", "::", "ff02::1"] {
        let class = wide.permit(ip(never)).expect_err(never);
        assert!(NEVER_OPENED.contains(&class), "{never}");
    }
    let dev = Policy { allow_loopback: true, ..Policy::default() };
    for open in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
        assert_eq!(dev.permit(ip(open)), Ok(()), "{open}");
    }
    assert_eq!(dev.permit(ip("64:ff9b::127.0.0.1")), Err("loopback"));
    assert_eq!(dev.permit(ip("10.0.0.1")), Err("private"));
}

#[test]
fn odd_spellings_of_refused_hosts_are_seen_through() {
    let policy = Policy { allow_http: true, ..Policy::default() };
    let table = [
        ("loopback", "2130706433 0x7f.1 0x7f000001 0177.0.0.1 127.1 127.0.0.1. 017700000001"),
        ("loopback", "[::1] [::ffff:127.0.0.1] [::ffff:7f00:1] [0:0:0:0:0:ffff:127.0.0.1]"),
        ("loopback", "localhost LOCALHOST localhost. a.localhost A.b.LocalHost. %6cocalhost"),
        ("loopback", "１２７.０.０.１ ⓛocalhost 127。0。0。1"),
        ("unspecified", "0 0.0.0.0 [::] 0x0"),
        ("cloud-metadata", "169.254.169.254 0xa9fea9fe 2852039166 [::ffff:a9fe:a9fe] 169.254.43518"),
        ("private", "10.1 0xa000001 192.168.257"),
    ];
    for (class, hosts) in table {
        for host in hosts.split(' ') {
            match policy.check(&url(&format!("http://{host}/"))) {
                Err(Error::Refused { class: found, .. }) => assert_eq!(found, class, "{host}"),
                other => panic!("{host}: {other:?}"),
            }
        }
    }
    // Names that only look alike are left to the resolver.
    for host in ["notlocalhost", "localhost.example.com", "127.0.0.1.nip.io", "8.8.8.8"] {
        assert_eq!(policy.check(&url(&format!("http://{host}/"))), Ok(()), "{host}");
    }
}

#[test]
fn schemes_and_userinfo_are_checked() {
    let strict = Policy::default();
    assert_eq!(strict.check(&url("https://example.com:8443/a?b#c")), Ok(()));
    for text in ["http://example.com/", "ftp://example.com/", "file:///etc/passwd", "data:,x"] {
        assert!(matches!(strict.check(&url(text)), Err(Error::Scheme { .. })), "{text}");
    }
    for text in ["https://user@example.com/", "https://:pw@example.com/"] {
        assert!(matches!(strict.check(&url(text)), Err(Error::BadUrl { .. })), "{text}");
    }
    let long = url(&format!("https://example.com/{}", "a".repeat(17_000)));
    assert!(matches!(strict.check(&long), Err(Error::BadUrl { .. })));
    let dev = Policy { allow_loopback: true, ..Policy::default() };
    for text in ["http://127.0.0.1/", "http://[::1]:1/", "http://x.localhost/"] {
        assert_eq!(dev.check(&url(text)), Ok(()), "{text}");
    }
    assert!(matches!(dev.check(&url("http://example.com/")), Err(Error::Scheme { .. })));
}

#[test]
fn host_patterns() {
    let policy = Policy {
        allowed_hosts: patterns(&["API.example.com.", "*.example.org", "bücher.example"]),
        ..Policy::default()
    };
    let hosts = "api.example.com api.example.com. a.example.org a.b.example.org \
        BÜCHER.example xn--bcher-kva.example";
    for host in hosts.split_whitespace() {
        assert_eq!(policy.check(&url(&format!("https://{host}/"))), Ok(()), "{host}");
    }
    let hosts = "example.com b.api.example.com example.org badexample.org .example.org \
        a.example.org.evil.com 8.8.8.8";
    for host in hosts.split_whitespace() {
        let verdict = policy.check(&url(&format!("https://{host}/")));
        assert!(matches!(verdict, Err(Error::NotAllowedHost { .. })), "{host}");
    }
    for text in ["", "*", "*.", ".", "*.10.0.0.1", "a.*.com", "https://a", "a:80", "a/b", "*.*.a"] {
        assert!(text.parse::<HostPattern>().is_err(), "{text}");
    }
    // A listed host opens no address.
    let policy = Policy { allowed_hosts: patterns(&["10.0.0.1"]), ..Policy::default() };
    let verdict = policy.check(&url("https://10.0.0.1/"));
    assert!(matches!(verdict, Err(Error::Refused { class: "private", .. })));
}

#[test]
fn messages_and_debug_forms_keep_secrets() {
    let secret = "https://us:s3cret@example.com/s3cret?k=s3cret#s3cret";
    let err = Policy::default().check(&url(secret)).expect_err("userinfo");
    assert!(!format!("{err} {err:?}").contains("s3cret"));
    let mut request = Request::new(Method::GET, url(secret));
    let value = HeaderValue::from_static("s3cret");
    request.headers.insert("x-key", value);
    let shown = format!("{request:?}");
    assert!(!shown.contains("s3cret") && shown.contains("x-key"), "{shown}");
    let refused = Error::Refused { host: "a.example".to_owned(), address: Some(ip("10.0.0.1")), class: "private" };
    let shown = refused.to_string();
    assert_eq!(
        shown,
        "a.example is refused: its address 10.0.0.1 is not public (private); use a public host, or ask the operator"
    );
}
