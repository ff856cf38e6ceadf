use std::io::{Read as _, Write as _};

use super::*;

/// A server that sends these bytes to the first connection, and then waits.
fn server(sends: Vec<u8>) -> (u16, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let _ = stream.write_all(&sends);
        // Ends when the client closes the connection.
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    (port, thread)
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

/// Connects and sends a request without body.
fn request(relay: &Relay) -> TcpStream {
    let mut stream = TcpStream::connect(relay.address()).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    stream
}

fn all(mut stream: TcpStream) -> Vec<u8> {
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    bytes
}

#[test]
fn stops_above_the_byte_limit() {
    let head = b"HTTP/1.1 200 OK\r\n\r\n";
    let (port, server) = server([&head[..], &vec![7; 100_000]].concat());
    let relay = Relay::start("127.0.0.1", port, Upstream::Http, soon(), 50_000).unwrap();
    let received = all(request(&relay));
    let body = received.get(head.len() + 19..).unwrap_or_default();
    assert!(received.len() < 100_000 && body.iter().all(|byte| *byte == 7));
    assert_eq!(relay.stop_reason(), Some(StopReason::TooLarge));
    drop(relay);
    server.join().unwrap();
}

#[test]
fn stops_at_the_deadline_if_the_server_is_silent() {
    let (port, server) = server(Vec::new());
    let deadline = Instant::now() + Duration::from_millis(50);
    let relay = Relay::start("127.0.0.1", port, Upstream::Http, deadline, 100).unwrap();
    assert_eq!(all(request(&relay)), b"");
    assert_eq!(relay.stop_reason(), Some(StopReason::TimedOut));
    server.join().unwrap();
}

/// Sends a request through a relay to a server with this response; returns the request at the server, the response at the
/// client and the stop reason.
fn exchanged(request: &str, answer: &str) -> (String, String, Option<StopReason>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = answer.replace("PORT", &port.to_string());
    let posts = request.starts_with("POST");
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut got = Vec::new();
        let end: &[u8] = if posts { b"body" } else { b"\r\n\r\n" };
        while !got.ends_with(end) {
            let mut byte = [0];
            if stream.read_exact(&mut byte).is_err() {
                break;
            }
            got.push(byte[0]);
        }
        let _ = stream.write_all(answer.as_bytes());
        String::from_utf8(got).unwrap()
    });
    let relay = Relay::start("127.0.0.1", port, Upstream::Http, soon(), 1000).unwrap();
    let mut stream = TcpStream::connect(relay.address()).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let answer = String::from_utf8(all(stream)).unwrap();
    let there = server.join().unwrap().replace(&port.to_string(), "PORT");
    (there, answer.replace(&relay.address().port().to_string(), "RELAY"), relay.stop_reason())
}

#[test]
fn rewrites_heads_and_passes_bodies() {
    let get = "GET /a?b HTTP/1.1\r\nHost: 127.0.0.1:1\r\nConnection: keep-alive\r\nAccept: */*\r\n\r\n";
    let answer = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nConnection: keep-alive\r\nX: y\r\n\r\nhello\r\n\r\n";
    let (there, back, stop) = exchanged(get, answer);
    assert_eq!(there, "GET /a?b HTTP/1.1\r\nAccept: */*\r\nHost: 127.0.0.1:PORT\r\nConnection: close\r\n\r\n");
    assert_eq!(back, "HTTP/1.1 200 OK\r\nX: y\r\nConnection: close\r\n\r\nhello\r\n\r\n");
    assert_eq!(stop, None);
    let post = "POST /a HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody";
    let (there, back, _) = exchanged(post, "HTTP/1.1 200 OK\r\n\r\n");
    assert!(there.ends_with("\r\n\r\nbody") && back.starts_with("HTTP/1.1 200"), "{there} {back}");
}

#[test]
fn rejects_redirects_to_another_host() {
    for (location, expected) in [
        ("/b/info/refs?x", Ok("http://127.0.0.1:RELAY/b/info/refs?x")),
        ("http://127.0.0.1:PORT/b", Ok("http://127.0.0.1:RELAY/b")),
        ("http://127.0.0.1:1/b", Err("127.0.0.1")),
        ("https://127.0.0.1:PORT/b", Err("127.0.0.1")),
        ("http://evil.example/b", Err("evil.example")),
        ("//evil.example/b", Err("evil.example")),
        ("file:///etc/passwd", Err("")),
    ] {
        let answer = format!("HTTP/1.1 301 Moved\r\nLocation: {location}\r\n\r\n");
        let (_, back, stop) = exchanged("GET / HTTP/1.1\r\n\r\n", &answer);
        match expected {
            Ok(to) => assert!(back.contains(&format!("Location: {to}\r\n")), "{location}: {back}"),
            Err(host) => {
                assert_eq!((back.as_str(), stop), ("", Some(StopReason::OtherHost(host.into()))), "{location}");
            }
        }
    }
}

#[test]
fn malformed_responses_end_the_exchange() {
    for answer in ["", "nonsense\r\n\r\n", "HTTP/1.1 abc\r\n\r\n", &"HTTP/1.1 100 Go on\r\n\r\n".repeat(30)] {
        assert_eq!(exchanged("GET / HTTP/1.1\r\n\r\n", answer).1, "", "{answer}");
    }
    let (_, back, stop) = exchanged("GET / HTTP/1.1\r\n\r\n", &format!("HTTP/1.1 200 OK\r\nX: {}", "y".repeat(2000)));
    assert_eq!((back.as_str(), stop), ("", Some(StopReason::TooLarge)));
}

#[test]
fn a_closed_port_is_unreachable() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let relay = Relay::start("127.0.0.1", free, Upstream::Http, soon(), 100).unwrap();
    assert_eq!(all(request(&relay)), b"");
    assert!(matches!(relay.stop_reason(), Some(StopReason::Unreachable(_))), "{:?}", relay.stop_reason());
}

#[test]
fn rejects_requests_that_the_library_never_makes() {
    for head in [
        format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(70_000)),
        "POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n".to_owned(),
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
    ] {
        let relay = Relay::start("127.0.0.1", 9, Upstream::Http, soon(), 100).unwrap();
        let mut stream = TcpStream::connect(relay.address()).unwrap();
        let _ = stream.write_all(head.as_bytes());
        assert_eq!(all(stream), b"");
    }
}

/// A relay to a port of this machine over SSH.
fn ssh_relay(port: u16) -> Relay {
    let key = russh::keys::PrivateKey::random(&mut rand::rng(), russh::keys::Algorithm::Ed25519).unwrap();
    let key = key.to_openssh(russh::keys::ssh_key::LineEnding::LF).unwrap();
    let login = SshLogin::new("git", &key, "/repo.git", Vec::new().into()).unwrap();
    Relay::start("127.0.0.1", port, Upstream::Ssh(login), soon(), 1000).unwrap()
}

/// Sends the first line of the Git protocol.
fn request_path(relay: &Relay, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(relay.address()).unwrap();
    let request = format!("git-upload-pack /{path}\0host=127.0.0.1\0");
    stream.write_all(format!("{:04x}{request}", request.len() + 4).as_bytes()).unwrap();
    stream
}

#[test]
fn only_the_first_connection_with_the_token_is_relayed_over_ssh() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let relay = ssh_relay(listener.local_addr().unwrap().port());
    for path in ["", "repo.git", "0123456789abcdef0123456789abcdef"] {
        assert_eq!(all(request_path(&relay, path)), b"", "{path}");
    }
    for start in ["zzzz", "0000", "ffff", "git-upload-pack /"] {
        let mut stream = TcpStream::connect(relay.address()).unwrap();
        stream.write_all(start.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(all(stream), b"", "{start}");
    }
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "the host was dialled without the token");
    listener.set_nonblocking(false).unwrap();
    let token = relay.token().unwrap().to_owned();
    let first = request_path(&relay, &token);
    let (mut host, _) = listener.accept().unwrap();
    let mut greeting = [0; 8];
    host.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"SSH-2.0-");
    assert_eq!(all(request_path(&relay, &token)), b"");
    drop(host);
    assert_eq!(all(first), b"");
    assert!(matches!(relay.stop_reason(), Some(StopReason::Unreachable(_))), "{:?}", relay.stop_reason());
    assert_ne!(ssh_relay(9).token(), Some(token.as_str()));
}
