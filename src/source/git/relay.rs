//! A relay on loopback between the Git library and one host: the only way out that the library is given.
//!
//! libgit2 waits for a silent server for ever, reads a listing of any size into memory, and follows redirects to
//! other hosts; its own proxy support uses freed memory where a certificate is refused (1.9.7). The relay ends every
//! connection at the deadline or when too much was received, dials nobody but the host that it was made for, and
//! speaks TLS itself. What passes through it in the clear stays in this process and the machine's loopback.

mod http;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Secure;

/// Most connections of one session. The library uses two or three.
const MAX_CONNECTIONS: usize = 32;
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
    /// The certificate is not trusted.
    Untrusted(String),
}

/// How the library reaches the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProxyMode {
    /// As a web server without TLS, which the host may have.
    Http { tls: bool },
    /// Bytes as they are.
    Raw,
}

/// A running relay; ended, with all its connections, when dropped.
pub(super) struct Relay {
    shared: Arc<Shared>,
    address: SocketAddr,
    _supervisor: Sender<()>,
}

struct Shared {
    host: String,
    port: u16,
    entrance: ProxyMode,
    secure: Option<Arc<dyn Secure>>,
    address: SocketAddr,
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
        entrance: ProxyMode,
        secure: Option<Arc<dyn Secure>>,
        deadline: Instant,
        most: u64,
    ) -> std::io::Result<Relay> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            host: host.to_owned(),
            port,
            entrance,
            secure,
            address,
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

    /// Counts what the server sent.
    fn count(&self, bytes: u64) {
        let received = self.received.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if received > self.most.load(Ordering::Relaxed) {
            self.end(Stop::TooMuch);
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
        if shared.closed.load(Ordering::SeqCst) || connections > MAX_CONNECTIONS {
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
    // The reason is noted before the library can see that the connection ended.
    if let Err(Some(stop)) = relay(&mut client, shared) {
        shared.end(stop);
    }
    let _ = client.shutdown(Shutdown::Both);
}

fn relay(client: &mut TcpStream, shared: &Arc<Shared>) -> Result<(), Option<Stop>> {
    match shared.entrance {
        ProxyMode::Http { tls } => http::exchange(client, shared, tls),
        ProxyMode::Raw => raw(client, shared),
    }
}

/// Passes bytes in both directions as they are.
fn raw(client: &mut TcpStream, shared: &Arc<Shared>) -> Result<(), Option<Stop>> {
    let broken = |_: std::io::Error| None;
    let mut upstream = shared.dial().map_err(Some)?;
    shared.register(&upstream).map_err(broken)?;
    let _ = (client.set_nodelay(true), upstream.set_nodelay(true));
    let (mut from, mut to) = (upstream.try_clone().map_err(broken)?, client.try_clone().map_err(broken)?);
    let counting = Arc::clone(shared);
    let down = std::thread::Builder::new().name("git-relay".into()).spawn(move || {
        copy(&mut from, &mut to, |bytes| counting.count(bytes));
        let _ = (to.shutdown(Shutdown::Write), from.shutdown(Shutdown::Read));
    });
    copy(client, &mut upstream, |_| {});
    let _ = upstream.shutdown(Shutdown::Write);
    let _ = down.map_err(broken)?.join();
    Ok(())
}

/// Copies until one side ends.
fn copy(from: &mut impl Read, to: &mut impl Write, mut count: impl FnMut(u64)) {
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
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
