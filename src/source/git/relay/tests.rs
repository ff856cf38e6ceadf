use super::*;

/// A server that sends what it is told to the first connection, byte by byte where `drip` is set, and then waits.
fn server(sends: Vec<u8>) -> (u16, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let _ = stream.write_all(&sends);
        // Ends when the other side does.
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    (port, thread)
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

fn all(mut stream: TcpStream) -> Vec<u8> {
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    bytes
}

#[test]
fn bytes_pass_and_too_many_end_it() {
    let (port, server) = server(vec![7; 100_000]);
    let relay = Relay::start("127.0.0.1", port, ProxyMode::Raw, None, soon(), 50_000).unwrap();
    let received = all(TcpStream::connect(relay.address()).unwrap());
    assert!(received.len() < 100_000 && received.iter().all(|byte| *byte == 7));
    assert_eq!(relay.stopped(), Some(Stop::TooMuch));
    drop(relay);
    server.join().unwrap();
}

#[test]
fn a_silent_server_ends_at_the_deadline() {
    let (port, server) = server(Vec::new());
    let deadline = Instant::now() + Duration::from_millis(50);
    let relay = Relay::start("127.0.0.1", port, ProxyMode::Raw, None, deadline, 100).unwrap();
    assert_eq!(all(TcpStream::connect(relay.address()).unwrap()), b"");
    assert_eq!(relay.stopped(), Some(Stop::TimedOut));
    server.join().unwrap();
}

/// Sends a request through a relay to a server that answers so; gives the answer and why the relay ended it.
fn exchanged(request: &str, answer: &str) -> (String, String, Option<Stop>) {
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
    let relay = Relay::start("127.0.0.1", port, ProxyMode::Http { tls: false }, None, soon(), 1000).unwrap();
    let mut stream = TcpStream::connect(relay.address()).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let answer = String::from_utf8(all(stream)).unwrap();
    let there = server.join().unwrap().replace(&port.to_string(), "PORT");
    (there, answer.replace(&relay.address().port().to_string(), "RELAY"), relay.stopped())
}

#[test]
fn heads_are_changed_and_bodies_are_not() {
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
fn redirects_stay_on_the_host() {
    for (location, told) in [
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
        match told {
            Ok(to) => assert!(back.contains(&format!("Location: {to}\r\n")), "{location}: {back}"),
            Err(host) => assert_eq!((back.as_str(), stop), ("", Some(Stop::OtherHost(host.into()))), "{location}"),
        }
    }
}

#[test]
fn nonsense_ends_the_exchange() {
    for answer in ["", "nonsense\r\n\r\n", "HTTP/1.1 abc\r\n\r\n", &"HTTP/1.1 100 Go on\r\n\r\n".repeat(30)] {
        assert_eq!(exchanged("GET / HTTP/1.1\r\n\r\n", answer).1, "", "{answer}");
    }
    let (_, back, stop) = exchanged("GET / HTTP/1.1\r\n\r\n", &format!("HTTP/1.1 200 OK\r\nX: {}", "y".repeat(2000)));
    assert_eq!((back.as_str(), stop), ("", Some(Stop::TooMuch)));
}

#[test]
fn a_closed_port_is_told() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let relay = Relay::start("127.0.0.1", free, ProxyMode::Raw, None, soon(), 100).unwrap();
    assert_eq!(all(TcpStream::connect(relay.address()).unwrap()), b"");
    assert!(matches!(relay.stopped(), Some(Stop::Unreachable(_))), "{:?}", relay.stopped());
}

#[test]
fn requests_that_the_library_never_makes_are_refused() {
    for head in [
        format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(70_000)),
        "POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n".to_owned(),
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
    ] {
        let relay = Relay::start("127.0.0.1", 9, ProxyMode::Http { tls: false }, None, soon(), 100).unwrap();
        let mut stream = TcpStream::connect(relay.address()).unwrap();
        let _ = stream.write_all(head.as_bytes());
        assert_eq!(all(stream), b"");
    }
}
