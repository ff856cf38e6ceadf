//! One HTTP exchange through the relay: the library speaks plain HTTP to it, and the relay HTTP or HTTPS to the host.
//!
//! Only heads are changed: the `Host` field of the request, and the `Location` field of a redirect. Each connection
//! carries one exchange, so bodies pass unchanged.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use super::session::{ConnectionError, Session, StopReason, copy};
use crate::net::{Tls, TlsError};

/// Maximum length of the head of a request or response, in bytes.
const MAX_HEAD_BYTES: u64 = 64 << 10;
/// Maximum length of the body of a request, in bytes: a line for each object that the library has or wants.
const MAX_REQUEST_BYTES: u64 = 64 << 20;
/// Maximum number of interim responses before the final one (RFC 9110, 15.2).
const MAX_INTERIM_RESPONSES: usize = 10;

/// A connection to the host, with or without TLS.
trait Connection: Read + Write {}

impl<T: Read + Write> Connection for T {}

/// Relays one request and its response; without `tls` in the clear.
pub(super) fn exchange(client: &mut TcpStream, session: &Session, tls: Option<&Tls>) -> Result<(), ConnectionError> {
    let broken = |_: std::io::Error| None;
    let mut request = BufReader::new(client.try_clone().map_err(broken)?);
    let head = read_head(&mut request).map_err(broken)?;
    let (head, length) = request_head(&head, session, tls.is_some())?;
    let stream = session.dial()?;
    let upstream: Box<dyn Connection> = match tls {
        Some(tls) => Box::new(tls.connect(stream, &session.host).map_err(|error| match error {
            TlsError::Untrusted(why) => StopReason::UntrustedCertificate(why),
            TlsError::Failed(why) => StopReason::Unreachable(format!("TLS with `{}` failed: {why}", session.host)),
        })?),
        None => Box::new(stream),
    };
    let mut upstream = BufReader::new(Counted { upstream, session });
    let to_host = upstream.get_mut();
    to_host.write_all(head.as_bytes()).map_err(broken)?;
    std::io::copy(&mut request.take(length), to_host).map_err(broken)?;
    to_host.flush().map_err(broken)?;
    for _ in 0..MAX_INTERIM_RESPONSES {
        let head = read_head(&mut upstream).map_err(broken)?;
        let (status, head) = response_head(&head, session, tls.is_some())?;
        if (100..200).contains(&status) {
            continue;
        }
        client.write_all(head.as_bytes()).map_err(broken)?;
        copy(&mut upstream, client, |_| {});
        return Ok(());
    }
    Err(None)
}

/// A connection whose received bytes are counted.
struct Counted<'a> {
    upstream: Box<dyn Connection>,
    session: &'a Session,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.upstream.read(buffer)?;
        self.session.count(length as u64);
        Ok(length)
    }
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.upstream.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.upstream.flush()
    }
}

/// The request head for the host, and the length of the body that follows.
fn request_head(head: &str, session: &Session, tls: bool) -> Result<(String, u64), ConnectionError> {
    let mut lines = head.split("\r\n");
    let mut text = lines.next().unwrap_or("").to_owned() + "\r\n";
    let mut length = 0;
    for (name, value, line) in lines.filter_map(field) {
        match name.as_str() {
            "host" | "connection" | "expect" => {}
            "content-length" => {
                length = value.parse().ok().filter(|length| *length <= MAX_REQUEST_BYTES).ok_or(None)?;
                text += &format!("{line}\r\n");
            }
            // The library sends `Content-Length` when it fetches.
            "transfer-encoding" => return Err(None),
            _ => text += &format!("{line}\r\n"),
        }
    }
    let host = bracketed(&session.host);
    let default_port = if tls { 443 } else { 80 };
    let host = if session.port == default_port { host } else { format!("{host}:{}", session.port) };
    Ok((format!("{text}Host: {host}\r\nConnection: close\r\n\r\n"), length))
}

/// The status, and the response head for the library. A redirect may lead to another path, never to another host.
fn response_head(head: &str, session: &Session, tls: bool) -> Result<(u16, String), ConnectionError> {
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap_or("");
    let status = first.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or(None)?;
    let mut text = format!("{first}\r\n");
    for (name, value, line) in lines.filter_map(field) {
        match name.as_str() {
            "connection" | "keep-alive" => {}
            "location" => text += &format!("Location: {}\r\n", relayed_location(value, session, tls)?),
            _ => text += &format!("{line}\r\n"),
        }
    }
    Ok((status, text + "Connection: close\r\n\r\n"))
}

/// The location of a redirect as an address of the relay.
fn relayed_location(location: &str, session: &Session, tls: bool) -> Result<String, ConnectionError> {
    let scheme = if tls { "https" } else { "http" };
    let base = format!("{scheme}://{}:{}/", bracketed(&session.host), session.port);
    let base = url::Url::parse(&base).map_err(|_| None)?;
    let target = base.join(location).map_err(|_| None)?;
    if target.origin() != base.origin() {
        let host = target.host_str().unwrap_or("").chars().filter(|c| !c.is_control()).take(100).collect();
        return Err(Some(StopReason::OtherHost(host)));
    }
    let relay = session.address;
    let query = target.query().map_or_else(String::new, |query| format!("?{query}"));
    Ok(format!("http://{relay}{}{query}", target.path()))
}

/// The host as it is written in a URL: an IPv6 address in brackets.
fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

/// A header field: the name in lower case, the value, and the whole line.
fn field(line: &str) -> Option<(String, &str, &str)> {
    let (name, value) = line.split_once(':')?;
    Some((name.to_ascii_lowercase(), value.trim(), line))
}

/// Reads up to the empty line that ends a head; gives the head without it.
fn read_head(from: &mut impl BufRead) -> std::io::Result<String> {
    let mut head = Vec::new();
    let mut limited = from.take(MAX_HEAD_BYTES);
    while !head.ends_with(b"\r\n\r\n") {
        if limited.read_until(b'\n', &mut head)? == 0 {
            return Err(std::io::Error::other("the head is cut off or too long"));
        }
    }
    head.truncate(head.len() - 4);
    String::from_utf8(head).map_err(std::io::Error::other)
}
