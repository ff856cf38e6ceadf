//! The state of one relay session: the host that may be dialled, the deadline, the byte limit and the open sockets.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::source::fetch::FetchError;

/// Timeout of a TCP connection to one address of the host.
const DIAL_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum number of addresses of the host that are tried.
const MAX_ADDRESSES: usize = 8;

/// Reason for which the relay ended a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::source::git) enum StopReason {
    /// The deadline passed, or the SSH handshake took too long.
    TimedOut,
    /// The server sent more bytes than the limit.
    TooLarge,
    /// The host has no address, or no address that answers.
    Unreachable(String),
    /// The server redirected to this other host.
    OtherHost(String),
    /// The certificate is not trusted.
    UntrustedCertificate(String),
    /// The SSH host key was rejected.
    UntrustedHostKey(FetchError),
    /// The SSH server rejected the private key.
    CredentialsRefused,
    /// The SSH server reported an error before it sent any data.
    RepositoryNotFound,
}

/// Error of one connection: a reason to report, or `None` if the connection just broke.
pub(super) type ConnectionError = Option<StopReason>;

/// The state shared by the connections of a relay.
pub(super) struct Session {
    pub(super) host: String,
    pub(super) port: u16,
    /// Loopback address that the relay listens on.
    pub(super) address: SocketAddr,
    pub(super) deadline: Instant,
    received: AtomicU64,
    max_received: AtomicU64,
    closed: AtomicBool,
    stop: Mutex<Option<StopReason>>,
    streams: Mutex<Vec<TcpStream>>,
}

impl Session {
    pub(super) fn new(host: &str, port: u16, address: SocketAddr, deadline: Instant, max_received: u64) -> Session {
        Session {
            host: host.to_owned(),
            port,
            address,
            deadline,
            received: AtomicU64::new(0),
            max_received: AtomicU64::new(max_received),
            closed: AtomicBool::new(false),
            stop: Mutex::new(None),
            streams: Mutex::new(Vec::new()),
        }
    }

    /// Sets the total number of bytes that the server may send.
    pub(super) fn set_max_received(&self, bytes: u64) {
        self.max_received.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn stop_reason(&self) -> Option<StopReason> {
        lock(&self.stop).clone()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Closes the session. The first reason is kept.
    pub(super) fn stop(&self, reason: StopReason) {
        if !self.is_closed() {
            lock(&self.stop).get_or_insert(reason);
        }
        self.close();
    }

    /// Closes every socket of the session, which ends all reads and writes.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        for stream in lock(&self.streams).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Counts bytes that the server sent; stops the session above the limit.
    pub(super) fn count(&self, bytes: u64) {
        let received = self.received.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if received > self.max_received.load(Ordering::Relaxed) {
            self.stop(StopReason::TooLarge);
        }
    }

    /// Registers a socket, so that it is closed with the session.
    pub(super) fn register(&self, stream: &TcpStream) -> std::io::Result<()> {
        lock(&self.streams).push(stream.try_clone()?);
        if self.is_closed() {
            self.close();
        }
        Ok(())
    }

    /// Connects to the host and registers the socket.
    pub(super) fn dial(&self) -> Result<TcpStream, ConnectionError> {
        let addresses = (self.host.as_str(), self.port).to_socket_addrs();
        let no_address = || StopReason::Unreachable(format!("the host `{}` has no address", self.host));
        let addresses = addresses.map_err(|_| no_address())?;
        let mut last = no_address();
        for address in addresses.take(MAX_ADDRESSES) {
            let left = self.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Some(StopReason::TimedOut));
            }
            match TcpStream::connect_timeout(&address, left.min(DIAL_TIMEOUT)) {
                Ok(stream) => {
                    self.register(&stream).map_err(|_| None)?;
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Err(error) => {
                    last = StopReason::Unreachable(format!("the host `{}` does not answer: {error}", self.host));
                }
            }
        }
        Err(Some(last))
    }
}

/// Copies until one side ends; `count` is called with the length of each read.
pub(super) fn copy(from: &mut impl Read, to: &mut impl Write, mut count: impl FnMut(u64)) {
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
