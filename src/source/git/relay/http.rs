//! One HTTP exchange through the relay: the library speaks plain HTTP to it, and the relay TLS to the host.
//!
//! Only heads are changed: the host's real name on the way there, a redirect's place on the way back. There is one
//! exchange for each connection, so bodies pass as they are.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use super::{Shared, Stop, copy};
use crate::source::git::TlsError;

/// Longest head of a request or answer.
const LONGEST_HEAD: usize = 64 << 10;
/// Largest body of a request: what the library has and wants, a line for each.
const LARGEST_REQUEST: u64 = 64 << 20;
/// Most answers before the real one (RFC 9110, 15.2).
const MAX_INTERIM: usize = 10;

/// What ends an exchange: something to tell, or a connection that just broke.
type Ended = Option<Stop>;

pub(super) fn exchange(client: &mut TcpStream, shared: &Arc<Shared>, tls: bool) -> Result<(), Ended> {
    let broken = |_: std::io::Error| None;
    let head = read_head(client, &mut |_| {}).map_err(broken)?;
    let (head, length) = request_head(&head, shared, tls)?;
    let stream = shared.dial().map_err(Some)?;
    shared.register(&stream).map_err(broken)?;
    let _ = (client.set_nodelay(true), stream.set_nodelay(true));
    let mut upstream: Box<dyn crate::source::git::Stream> = match (&shared.secure, tls) {
        (Some(secure), true) => secure.secure(stream, &shared.host).map_err(|error| match error {
            TlsError::Untrusted(why) => Some(Stop::Untrusted(why)),
            TlsError::Broken(why) => Some(Stop::Unreachable(format!("TLS with `{}` failed: {why}", shared.host))),
        })?,
        (None, true) => return Err(Some(Stop::Unreachable("no TLS is set up for Git".to_owned()))),
        (_, false) => Box::new(stream),
    };
    upstream.write_all(head.as_bytes()).map_err(broken)?;
    std::io::copy(&mut client.take(length), &mut upstream).map_err(broken)?;
    upstream.flush().map_err(broken)?;
    for _ in 0..MAX_INTERIM {
        let head = read_head(&mut upstream, &mut |bytes| shared.count(bytes)).map_err(broken)?;
        let (status, head) = answer_head(&head, shared, tls)?;
        if (100..200).contains(&status) {
            continue;
        }
        client.write_all(head.as_bytes()).map_err(broken)?;
        copy(&mut upstream, client, |bytes| shared.count(bytes));
        return Ok(());
    }
    Err(None)
}

/// The head for the host, and the length of the body that follows.
fn request_head(head: &str, shared: &Shared, tls: bool) -> Result<(String, u64), Ended> {
    let mut lines = head.split("\r\n");
    let mut text = lines.next().unwrap_or("").to_owned() + "\r\n";
    let mut length = 0;
    for (name, value, line) in lines.filter_map(field) {
        match name.as_str() {
            "host" | "connection" | "expect" => {}
            "content-length" => {
                length = value.parse().ok().filter(|length| *length <= LARGEST_REQUEST).ok_or(None)?;
                text += &format!("{line}\r\n");
            }
            // The library sends the lengths of what it sends when it fetches.
            "transfer-encoding" => return Err(None),
            _ => text += &format!("{line}\r\n"),
        }
    }
    let host = if shared.host.contains(':') { format!("[{}]", shared.host) } else { shared.host.clone() };
    let usual = if tls { 443 } else { 80 };
    let host = if shared.port == usual { host } else { format!("{host}:{}", shared.port) };
    Ok((format!("{text}Host: {host}\r\nConnection: close\r\n\r\n"), length))
}

/// The status, and the head for the library. A redirect may lead to another path, never to another host.
fn answer_head(head: &str, shared: &Shared, tls: bool) -> Result<(u16, String), Ended> {
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap_or("");
    let status = first.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or(None)?;
    let mut text = format!("{first}\r\n");
    for (name, value, line) in lines.filter_map(field) {
        match name.as_str() {
            "connection" | "keep-alive" => {}
            "location" => text += &format!("Location: {}\r\n", redirected(value, shared, tls)?),
            _ => text += &format!("{line}\r\n"),
        }
    }
    Ok((status, text + "Connection: close\r\n\r\n"))
}

fn redirected(location: &str, shared: &Shared, tls: bool) -> Result<String, Ended> {
    let scheme = if tls { "https" } else { "http" };
    let host = if shared.host.contains(':') { format!("[{}]", shared.host) } else { shared.host.clone() };
    let base = url::Url::parse(&format!("{scheme}://{host}:{}/", shared.port)).map_err(|_| None)?;
    let to = base.join(location).map_err(|_| None)?;
    if to.origin() != base.origin() {
        let shown = to.host_str().unwrap_or("").chars().filter(|c| !c.is_control()).take(100).collect();
        return Err(Some(Stop::OtherHost(shown)));
    }
    let relay = shared.address;
    let query = to.query().map_or_else(String::new, |query| format!("?{query}"));
    Ok(format!("http://{relay}{}{query}", to.path()))
}

/// Name in lower case, value, and the whole line.
fn field(line: &str) -> Option<(String, &str, &str)> {
    let (name, value) = line.split_once(':')?;
    Some((name.to_ascii_lowercase(), value.trim(), line))
}

/// Up to the empty line; without it.
fn read_head(from: &mut impl Read, count: &mut dyn FnMut(u64)) -> std::io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= LONGEST_HEAD {
            return Err(std::io::Error::other("the head is too long"));
        }
        from.read_exact(&mut byte)?;
        count(1);
        head.extend_from_slice(&byte);
    }
    head.truncate(head.len() - 4);
    String::from_utf8(head).map_err(std::io::Error::other)
}
