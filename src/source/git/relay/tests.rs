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
    let relay = Relay::start("127.0.0.1", port, Entrance::Direct, soon(), 50_000).unwrap();
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
    let relay = Relay::start("127.0.0.1", port, Entrance::Direct, deadline, 100).unwrap();
    assert_eq!(all(TcpStream::connect(relay.address()).unwrap()), b"");
    assert_eq!(relay.stopped(), Some(Stop::TimedOut));
    server.join().unwrap();
}

#[test]
fn only_one_host_is_dialled() {
    for (head, stop) in [
        ("CONNECT other.example:443 HTTP/1.1\r\n\r\n", Stop::OtherHost("other.example".into())),
        ("CONNECT 127.0.0.1:1 HTTP/1.1\r\n\r\n", Stop::OtherHost("127.0.0.1".into())),
        ("GET http://other.example/a HTTP/1.1\r\n\r\n", Stop::OtherHost("other.example".into())),
        ("nonsense\r\n\r\n", Stop::OtherHost(String::new())),
    ] {
        let relay = Relay::start("127.0.0.1", 9, Entrance::Proxy, soon(), 100).unwrap();
        let mut stream = TcpStream::connect(relay.address()).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        assert_eq!(all(stream), b"");
        assert_eq!(relay.stopped(), Some(stop), "{head}");
    }
}

#[test]
fn a_tunnel_and_a_plain_request_reach_the_host() {
    for (head, start) in [
        ("CONNECT 127.0.0.1:PORT HTTP/1.1\r\nhost: x\r\n\r\n", "HTTP/1.1 200"),
        ("GET http://127.0.0.1:PORT/a HTTP/1.1\r\n\r\n", "hello"),
    ] {
        let (port, server) = server(b"hello".to_vec());
        let relay = Relay::start("127.0.0.1", port, Entrance::Proxy, soon(), 100).unwrap();
        let mut stream = TcpStream::connect(relay.address()).unwrap();
        stream.write_all(head.replace("PORT", &port.to_string()).as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let answer = String::from_utf8(all(stream)).unwrap();
        assert!(answer.starts_with(start) && answer.ends_with("hello"), "{answer}");
        assert_eq!(relay.stopped(), None);
        server.join().unwrap();
    }
}

#[test]
fn a_closed_port_is_told() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let relay = Relay::start("127.0.0.1", free, Entrance::Direct, soon(), 100).unwrap();
    assert_eq!(all(TcpStream::connect(relay.address()).unwrap()), b"");
    assert!(matches!(relay.stopped(), Some(Stop::Unreachable(_))), "{:?}", relay.stopped());
}

#[test]
fn a_long_head_is_refused() {
    let relay = Relay::start("127.0.0.1", 9, Entrance::Proxy, soon(), 100).unwrap();
    let mut stream = TcpStream::connect(relay.address()).unwrap();
    let _ = stream.write_all(&vec![b'a'; LONGEST_HEAD + 100]);
    assert_eq!(all(stream), b"");
}
