//! A relay on loopback between the Git library and one host: the only way out that the library is given.
//!
//! libgit2 waits for a silent server for ever, reads a listing of any size into memory, and follows redirects to
//! other hosts. The relay ends every connection at the deadline or when too much was received, and dials nobody but
//! the host that it was made for. It neither reads nor changes what is encrypted through it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Longest head of a request to the proxy.
const LONGEST_HEAD: usize = 16 << 10;
/// Most connections of one session. The library uses two or three.
const MOST_CONNECTIONS: usize = 32;
/// Longest wait for one address of the host.
const DIAL: Duration = Duration::from_secs(10);

/// Why the relay ended a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The deadline passed.
    TimedOut,
    /// The server sent more than it may.
    TooMuch,
    /// The host has no address, or none that answers.
    Unreachable(String),
    /// The server pointed to this other host.
    OtherHost(String),
}

/// How the library reaches the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entrance {
    /// As an HTTP proxy.
    Proxy,
    /// As if it were the host.
    Direct,
}

/// A running relay; ended, with all its connections, when dropped.
#[derive(Debug)]
pub(super) struct Relay {
    shared: Arc<Shared>,
    address: SocketAddr,
    _supervisor: Sender<()>,
}

#[derive(Debug)]
struct Shared {
    host: String,
    port: u16,
    entrance: Entrance,
    deadline: Instant,
    received: AtomicU64,
    most: AtomicU64,
    closed: AtomicBool,
    stop: Mutex<Option<Stop>>,
    streams: Mutex<Vec<TcpStream>>,
}

impl Relay {
    /// Starts a relay to a host, for at most `most` bytes from it.
    ///
    /// # Errors
    /// Where this machine has no free port or thread.
    pub(super) fn start(
        host: &str,
        port: u16,
        entrance: Entrance,
        deadline: Instant,
        most: u64,
    ) -> std::io::Result<Relay> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            host: host.to_owned(),
            port,
            entrance,
            deadline,
            received: AtomicU64::new(0),
            most: AtomicU64::new(most),
            closed: AtomicBool::new(false),
            stop: Mutex::new(None),
            streams: Mutex::new(Vec::new()),
        });
        let (supervisor, ended) = channel::<()>();
        let watched = Arc::clone(&shared);
        std::thread::Builder::new().name("git-deadline".into()).spawn(move || {
            let left = watched.deadline.saturating_duration_since(Instant::now());
            if ended.recv_timeout(left) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                watched.end(Stop::TimedOut);
            }
        })?;
        let accepting = Arc::clone(&shared);
        std::thread::Builder::new().name("git-relay".into()).spawn(move || accept(&listener, &accepting))?;
        Ok(Relay { shared, address, _supervisor: supervisor })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets the server send more, or less, in total.
    pub(super) fn allow(&self, most: u64) {
        self.shared.most.store(most, Ordering::Relaxed);
    }

    /// Why it ended the session, if it did.
    pub(super) fn stopped(&self) -> Option<Stop> {
        lock(&self.shared.stop).clone()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.close();
        // The thread that accepts waits for a connection; this is one.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
    }
}

impl Shared {
    fn end(&self, why: Stop) {
        if !self.closed.load(Ordering::SeqCst) {
            lock(&self.stop).get_or_insert(why);
        }
        self.close();
    }

    fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        for stream in lock(&self.streams).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Notes a connection so that it is ended with the session.
    fn register(&self, stream: &TcpStream) -> std::io::Result<()> {
        lock(&self.streams).push(stream.try_clone()?);
        if self.closed.load(Ordering::SeqCst) {
            self.close();
        }
        Ok(())
    }

    fn dial(&self) -> Result<TcpStream, Stop> {
        let unreachable = |why: String| Stop::Unreachable(why);
        let addresses = (self.host.as_str(), self.port).to_socket_addrs();
        let addresses = addresses.map_err(|_| unreachable(format!("the host `{}` has no address", self.host)))?;
        let mut last = format!("the host `{}` has no address", self.host);
        for address in addresses.take(8) {
            let left = self.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Stop::TimedOut);
            }
            match TcpStream::connect_timeout(&address, left.min(DIAL)) {
                Ok(stream) => return Ok(stream),
                Err(error) => last = format!("the host `{}` does not answer: {error}", self.host),
            }
        }
        Err(unreachable(last))
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut connections = 0;
    for stream in listener.incoming() {
        connections += 1;
        if shared.closed.load(Ordering::SeqCst) || connections > MOST_CONNECTIONS {
            return;
        }
        let Ok(stream) = stream else { continue };
        let shared = Arc::clone(shared);
        let _ = std::thread::Builder::new().name("git-relay".into()).spawn(move || connection(stream, &shared));
    }
}

/// One connection of the library, from its first byte to its last.
fn connection(mut client: TcpStream, shared: &Arc<Shared>) {
    if shared.register(&client).is_err() {
        return;
    }
    let served = relay(&mut client, shared);
    let _ = client.shutdown(Shutdown::Both);
    if let Err(Some(stop)) = served {
        shared.end(stop);
    }
}

fn relay(client: &mut TcpStream, shared: &Arc<Shared>) -> Result<(), Option<Stop>> {
    let head = match shared.entrance {
        Entrance::Proxy => read_head(client).map_err(|_| None)?,
        Entrance::Direct => Vec::new(),
    };
    let tunnel = match shared.entrance {
        Entrance::Proxy => asked_for(&head, shared)?,
        Entrance::Direct => false,
    };
    let mut upstream = shared.dial().map_err(Some)?;
    let broken = |_: std::io::Error| None;
    shared.register(&upstream).map_err(broken)?;
    let _ = (client.set_nodelay(true), upstream.set_nodelay(true));
    if tunnel {
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").map_err(broken)?;
    } else {
        upstream.write_all(&head).map_err(broken)?;
    }
    let (mut from, mut to) = (upstream.try_clone().map_err(broken)?, client.try_clone().map_err(broken)?);
    let counting = Arc::clone(shared);
    let down = std::thread::Builder::new().name("git-relay".into()).spawn(move || {
        copy(&mut from, &mut to, |bytes| {
            let received = counting.received.fetch_add(bytes, Ordering::Relaxed) + bytes;
            if received > counting.most.load(Ordering::Relaxed) {
                counting.end(Stop::TooMuch);
            }
        });
    });
    copy(client, &mut upstream, |_| {});
    let _ = down.map_err(broken)?.join();
    Ok(())
}

/// Copies until one side ends, and tells the other.
fn copy(from: &mut TcpStream, to: &mut TcpStream, mut count: impl FnMut(u64)) {
    let mut buffer = vec![0; 32 << 10];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => {
                count(length as u64);
                if to.write_all(buffer.get(..length).unwrap_or_default()).is_err() {
                    break;
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}

fn read_head(client: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= LONGEST_HEAD {
            return Err(std::io::Error::other("the head is too long"));
        }
        client.read_exact(&mut byte)?;
        head.extend_from_slice(&byte);
    }
    Ok(head)
}

/// Is a tunnel asked for? Refuses any host but ours.
fn asked_for(head: &[u8], shared: &Shared) -> Result<bool, Option<Stop>> {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let tunnel = method == "CONNECT";
    let authority = match target.split_once("://") {
        Some((_, rest)) if !tunnel => rest.split('/').next().unwrap_or(""),
        _ => target,
    };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()),
        _ => (authority, Some(if tunnel { 443 } else { 80 })),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.eq_ignore_ascii_case(&shared.host) && port == Some(shared.port) {
        Ok(tunnel)
    } else {
        let shown = host.chars().filter(|c| !c.is_control()).take(100).collect();
        Err(Some(Stop::OtherHost(shown)))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
