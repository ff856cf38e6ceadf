//! A relay on loopback between the Git library and one host: the only way out that the library is given.
//!
//! ```text
//! libgit2 ── http://127.0.0.1:PORT/path ──► relay ── HTTP, or HTTPS by rustls ──► host
//! libgit2 ── git://127.0.0.1:PORT/token ──► relay ── SSH by russh ──────────────► host
//! ```
//!
//! libgit2 waits for a silent server for ever, reads a listing of any size into memory, and follows redirects to
//! other hosts; its own TLS and SSH need OpenSSL. The relay closes every connection at the deadline or above the byte
//! limit, dials only the host that it was made for, and speaks TLS and SSH itself. The plain text of a session stays
//! in this process and on the loopback interface.

mod http;
mod session;
mod ssh;

use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use crate::net::Tls;
use session::{ConnectionError, Session};

pub(super) use session::StopReason;
pub(super) use ssh::SshLogin;

/// Maximum number of connections of one session. The library uses two or three.
const MAX_CONNECTIONS: usize = 32;

/// Protocol between the relay and the host.
pub(super) enum Upstream {
    /// HTTP without TLS, for tests and development.
    Http,
    /// HTTP over TLS.
    Https(Tls),
    /// `git-upload-pack` over SSH.
    Ssh(SshLogin),
}

/// A running relay. Dropping it closes all its connections.
pub(super) struct Relay {
    session: Arc<Session>,
    upstream: Arc<Upstream>,
    _supervisor: Sender<()>,
}

impl Relay {
    /// Starts a relay to a host that may send at most `max_received` bytes.
    ///
    /// # Errors
    /// The error of the operating system if no port can be bound or no thread started.
    pub(super) fn start(
        host: &str,
        port: u16,
        upstream: Upstream,
        deadline: Instant,
        max_received: u64,
    ) -> std::io::Result<Relay> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let session = Arc::new(Session::new(host, port, listener.local_addr()?, deadline, max_received));
        let upstream = Arc::new(upstream);
        let (supervisor, ended) = channel::<()>();
        let watched = Arc::clone(&session);
        std::thread::Builder::new().name("git-deadline".into()).spawn(move || {
            let left = watched.deadline.saturating_duration_since(Instant::now());
            if ended.recv_timeout(left) == Err(RecvTimeoutError::Timeout) {
                watched.stop(StopReason::TimedOut);
            }
        })?;
        let (accepting, protocol) = (Arc::clone(&session), Arc::clone(&upstream));
        let name = "git-relay".to_owned();
        std::thread::Builder::new().name(name).spawn(move || accept(&listener, &accepting, &protocol))?;
        Ok(Relay { session, upstream, _supervisor: supervisor })
    }

    /// Loopback address that the relay listens on.
    pub(super) fn address(&self) -> SocketAddr {
        self.session.address
    }

    /// The secret path that the library must request; `None` over HTTP, where the path is the repository's.
    pub(super) fn token(&self) -> Option<&str> {
        match &*self.upstream {
            Upstream::Ssh(login) => Some(login.token()),
            Upstream::Http | Upstream::Https(_) => None,
        }
    }

    /// Sets the total number of bytes that the server may send.
    pub(super) fn set_max_received(&self, bytes: u64) {
        self.session.set_max_received(bytes);
    }

    /// Reason for which the relay ended the session, if it did.
    pub(super) fn stop_reason(&self) -> Option<StopReason> {
        self.session.stop_reason()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.session.close();
        // Wakes the thread that waits for a connection.
        let _ = TcpStream::connect_timeout(&self.session.address, Duration::from_secs(1));
    }
}

fn accept(listener: &TcpListener, session: &Arc<Session>, upstream: &Arc<Upstream>) {
    let mut connections = 0;
    for stream in listener.incoming() {
        connections += 1;
        if session.is_closed() || connections > MAX_CONNECTIONS {
            return;
        }
        let Ok(stream) = stream else { continue };
        let (session, upstream) = (Arc::clone(session), Arc::clone(upstream));
        let thread = std::thread::Builder::new().name("git-relay".into());
        let _ = thread.spawn(move || connection(stream, &session, &upstream));
    }
}

/// Serves one connection of the library.
fn connection(mut client: TcpStream, session: &Arc<Session>, upstream: &Upstream) {
    if session.register(&client).is_err() {
        return;
    }
    // The reason is stored before the library can see that the connection ended.
    if let Err(Some(reason)) = exchange(&mut client, session, upstream) {
        session.stop(reason);
    }
    let _ = client.shutdown(Shutdown::Both);
}

fn exchange(client: &mut TcpStream, session: &Arc<Session>, upstream: &Upstream) -> Result<(), ConnectionError> {
    let _ = client.set_nodelay(true);
    match upstream {
        Upstream::Http => http::exchange(client, session, None),
        Upstream::Https(tls) => http::exchange(client, session, Some(tls)),
        Upstream::Ssh(login) => ssh::exchange(client, session, login),
    }
}

#[cfg(test)]
mod tests;
