//! `git-upload-pack` over SSH: the library speaks the Git protocol to the relay (`gitprotocol-pack(5)`, "Git
//! Transport"), and the relay SSH to the host. After the library's first line both carry the same bytes.
//!
//! Each connection runs a Tokio runtime of its own on the relay's thread: dropping it ends everything that the
//! connection started. Everything that the host sends counts against the byte limit, handshake and padding included,
//! which bounds the memory that a hostile host can make this process use.

use std::borrow::Cow;
use std::io::Read as _;
use std::net::TcpStream;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use russh::client::{self, AuthResult, DisconnectReason, Handle, Msg};
use russh::keys::{Algorithm, HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{Channel, ChannelMsg, Disconnect, Preferred, SshId, kex};
use ssh_key::known_hosts::Entry;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::session::{ConnectionError, Session, StopReason};
use crate::source::git::error::{fail, printable};
use crate::source::git::known_hosts;
use crate::source::{FetchError, FetchReason};

/// Timeout from the TCP connection to the start of the command: key exchange and authentication.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);
/// Wait for the exit status after the end of the output, and for the end of the connection after ours.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Maximum length of the library's first line, in bytes.
const MAX_REQUEST_BYTES: usize = 512;
/// Bytes that are read from the library at once.
const BUFFER_BYTES: usize = 32 << 10;

/// The user, key, path and trusted host keys of one SSH session.
pub(in crate::source::git) struct SshLogin {
    user: String,
    key: Arc<PrivateKey>,
    command: String,
    known_hosts: Arc<[Entry]>,
    token: String,
    taken: AtomicBool,
}

impl SshLogin {
    /// Reads the private key, in PEM or in OpenSSH's format. `path` is that of the repository, as the host knows it.
    ///
    /// # Errors
    /// The cause if the key cannot be read or has a passphrase.
    pub(in crate::source::git) fn new(
        user: &str,
        private_key: &str,
        path: &str,
        known_hosts: Arc<[Entry]>,
    ) -> Result<SshLogin, russh::keys::Error> {
        // A secret that was copied from a document may be indented.
        let lines: Vec<&str> = private_key.lines().map(str::trim).collect();
        let text = Zeroizing::new(lines.join("\n"));
        let key = Arc::new(russh::keys::decode_secret_key(&text, None)?);
        let token = format!("{:032x}", rand::random::<u128>());
        let command = format!("git-upload-pack {}", quoted(path));
        Ok(SshLogin { user: user.to_owned(), key, command, known_hosts, token, taken: AtomicBool::new(false) })
    }

    /// The random path that the library must request: other processes of this machine cannot use the relay.
    pub(super) fn token(&self) -> &str {
        &self.token
    }
}

/// Quotes a path for the host's shell, as Git does. A path in the home of a user, `/~user/…`, is sent without its slash.
fn quoted(path: &str) -> String {
    let path = if path.starts_with("/~") { path.strip_prefix('/').unwrap_or(path) } else { path };
    let escaped = path.replace('\'', r"'\''").replace('!', r"'\!'");
    format!("'{escaped}'")
}

/// Relays the one connection of the library that knows the token.
pub(super) fn exchange(
    client: &mut TcpStream,
    session: &Arc<Session>,
    login: &SshLogin,
) -> Result<(), ConnectionError> {
    read_request(client, login.token()).map_err(|_| None)?;
    if login.taken.swap(true, Ordering::SeqCst) {
        return Err(None);
    }
    let upstream = session.dial()?;
    let local = |error: std::io::Error| {
        Some(StopReason::Unreachable(format!("no connection can be made from this machine: {error}")))
    };
    let client = client.try_clone().map_err(local)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(local)?;
    runtime.block_on(async {
        let client = asynchronous(client).map_err(local)?;
        let upstream = Counted { stream: asynchronous(upstream).map_err(local)?, session: Arc::clone(session) };
        relay(client, upstream, session, login).await
    })
}

fn asynchronous(stream: TcpStream) -> std::io::Result<tokio::net::TcpStream> {
    stream.set_nonblocking(true)?;
    tokio::net::TcpStream::from_std(stream)
}

/// Reads the library's first line, `git-upload-pack /TOKEN\0host=…\0` with its length in front.
fn read_request(client: &mut TcpStream, token: &str) -> std::io::Result<()> {
    let refused = || std::io::Error::other("not the request of this session");
    let mut length = [0; 4];
    client.read_exact(&mut length)?;
    let length = std::str::from_utf8(&length).ok().and_then(|digits| usize::from_str_radix(digits, 16).ok());
    let length = length.and_then(|length| length.checked_sub(4)).filter(|length| *length <= MAX_REQUEST_BYTES);
    let mut request = vec![0; length.ok_or_else(refused)?];
    client.read_exact(&mut request)?;
    let expected = format!("git-upload-pack /{token}\0");
    if request.starts_with(expected.as_bytes()) { Ok(()) } else { Err(refused()) }
}

/// Opens the SSH connection, runs the command, and copies in both directions until one side ends.
async fn relay(
    client: tokio::net::TcpStream,
    upstream: Counted,
    session: &Session,
    login: &SshLogin,
) -> Result<(), ConnectionError> {
    let observed = Arc::new(Mutex::new(Observed::default()));
    let opening = open(upstream, session, login, &observed);
    let opened = timeout(HANDSHAKE_TIMEOUT, opening).await.map_err(|_| Some(StopReason::TimedOut))?;
    let (mut handle, channel) = opened.map_err(Some)?;
    let result = copy(client, channel, session).await;
    let _ = timeout(CLOSE_TIMEOUT, async {
        let _ = handle.disconnect(Disconnect::ByApplication, "", "").await;
        (&mut handle).await
    })
    .await;
    result
}

/// Connects, verifies the host, authenticates, and starts the command.
async fn open(
    upstream: Counted,
    session: &Session,
    login: &SshLogin,
    observed: &Arc<Mutex<Observed>>,
) -> Result<(Handle<Verifier>, Channel<Msg>), StopReason> {
    let host = &session.host;
    let failed = |error: &russh::Error| {
        StopReason::Unreachable(format!("SSH with `{host}` failed: {}", printable(&error.to_string(), 200)))
    };
    let verifier = Verifier {
        host: host.clone(),
        port: session.port,
        known_hosts: Arc::clone(&login.known_hosts),
        observed: Arc::clone(observed),
    };
    let config = Arc::new(config(&known_hosts::algorithms(&login.known_hosts, host, session.port)));
    let connected = client::connect_stream(config, upstream, verifier).await;
    let mut handle = connected.map_err(|error| match (lock(observed).refused.take(), &error) {
        (Some(refused), _) => StopReason::UntrustedHostKey(refused),
        (None, russh::Error::WrongServerSig) => StopReason::UntrustedHostKey(fail(
            FetchReason::UntrustedHost,
            format!("`{host}` does not prove that it holds its host key: the signature is wrong"),
        )),
        (None, error) => failed(error),
    })?;
    if !authenticate(&mut handle, login, observed).await.map_err(|error| failed(&error))? {
        return Err(StopReason::CredentialsRefused);
    }
    let channel = handle.channel_open_session().await.map_err(|error| failed(&error))?;
    channel.exec(true, login.command.as_bytes()).await.map_err(|error| failed(&error))?;
    Ok((handle, channel))
}

/// Authenticates with the key. RSA keys sign with SHA-2, and with SHA-1 only for hosts that accept nothing else.
async fn authenticate(
    handle: &mut Handle<Verifier>,
    login: &SshLogin,
    observed: &Mutex<Observed>,
) -> Result<bool, russh::Error> {
    let hashes = match login.key.algorithm() {
        Algorithm::Rsa { .. } => match handle.best_supported_rsa_hash().await? {
            Some(hash) => vec![hash],
            // The host does not say what it accepts (RFC 8308).
            None => vec![Some(HashAlg::Sha512), None],
        },
        _ => vec![None],
    };
    for hash in hashes {
        let key = PrivateKeyWithHashAlg::new(Arc::clone(&login.key), hash);
        let result = handle.authenticate_publickey(&login.user, key).await;
        if matches!(result, Ok(AuthResult::Success)) {
            return Ok(true);
        }
        match (lock(observed).ended, result) {
            // Hosts may close the connection instead of refusing the key.
            (Some(Ended::Refused), _) => return Ok(false),
            (Some(Ended::Broken), _) => return Err(russh::Error::HUP),
            (None, result) => drop(result?),
        }
    }
    Ok(false)
}

/// Copies in both directions until the library or the host ends.
async fn copy(
    mut client: tokio::net::TcpStream,
    channel: Channel<Msg>,
    session: &Session,
) -> Result<(), ConnectionError> {
    let (mut output, input) = channel.split();
    let (mut from_client, mut to_client) = client.split();
    // Both directions wait for each other's buffers, so neither may wait for the other here.
    let upload = async {
        let mut buffer = vec![0; BUFFER_BYTES];
        while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
            let bytes = Bytes::copy_from_slice(buffer.get(..length).unwrap_or_default());
            if input.data_bytes(bytes).await.is_err() {
                // The host ended; its output says why.
                std::future::pending::<()>().await;
            }
        }
    };
    let download = async {
        let (mut sent, mut failed, mut ended) = (false, false, false);
        loop {
            let message = match ended {
                false => output.wait().await,
                true => timeout(CLOSE_TIMEOUT, output.wait()).await.unwrap_or(None),
            };
            match message {
                Some(ChannelMsg::Data { data }) => {
                    sent = true;
                    to_client.write_all(&data).await.map_err(|_| None)?;
                }
                // The host's own words are not repeated: they may be cut off, or quote secrets.
                Some(ChannelMsg::ExtendedData { .. }) => failed = true,
                Some(ChannelMsg::ExitStatus { exit_status }) => failed |= exit_status != 0,
                Some(ChannelMsg::ExitSignal { .. }) => failed = true,
                Some(ChannelMsg::Failure) => {
                    let message = format!("`{}` refuses to run `git-upload-pack`", session.host);
                    return Err(Some(StopReason::Unreachable(message)));
                }
                Some(ChannelMsg::Eof) => ended = true,
                Some(ChannelMsg::Close) | None if failed && !sent => return Err(Some(StopReason::RepositoryNotFound)),
                Some(ChannelMsg::Close) | None => return Ok(()),
                Some(_) => {}
            }
        }
    };
    tokio::select! {
        () = upload => Ok(()),
        result = download => result,
    }
}

/// The configuration of a client that prefers the types of host keys that `known_hosts` lists for the host.
fn config(listed: &[String]) -> client::Config {
    let mut preferred = Preferred::DEFAULT;
    let mut keys = preferred.key.to_vec();
    keys.sort_by_key(|algorithm| {
        let name = if matches!(algorithm, Algorithm::Rsa { .. }) { "ssh-rsa" } else { algorithm.as_str() };
        !listed.iter().any(|listed| listed == name)
    });
    preferred.key = Cow::Owned(keys);
    // Hosts that must follow FIPS 140 may offer these only.
    let curves = [kex::ECDH_SHA2_NISTP256, kex::ECDH_SHA2_NISTP384, kex::ECDH_SHA2_NISTP521];
    preferred.kex = Cow::Owned(preferred.kex.iter().copied().chain(curves).collect());
    let id = concat!("SSH-2.0-", env!("CARGO_PKG_NAME"), "_", env!("CARGO_PKG_VERSION"));
    client::Config { client_id: SshId::Standard(Cow::Borrowed(id)), preferred, ..client::Config::default() }
}

/// Facts that the SSH library reports through callbacks.
#[derive(Default)]
struct Observed {
    refused: Option<FetchError>,
    ended: Option<Ended>,
}

/// End of the connection by the host.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// The host sent a disconnect message, or accepts no further authentication method.
    Refused,
    /// The connection broke.
    Broken,
}

/// Verifies the host key.
struct Verifier {
    host: String,
    port: u16,
    known_hosts: Arc<[Entry]>,
    observed: Arc<Mutex<Observed>>,
}

impl client::Handler for Verifier {
    type Error = russh::Error;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        // Certificates are never offered, so none can be negotiated.
        let PublicKeyOrCertificate::PublicKey { key, .. } = key else { return Ok(false) };
        match known_hosts::check(&self.known_hosts, &self.host, self.port, &key.to_bytes()?) {
            Ok(()) => Ok(true),
            Err(error) => {
                lock(&self.observed).refused = Some(error);
                Ok(false)
            }
        }
    }

    async fn disconnected(&mut self, reason: DisconnectReason<russh::Error>) -> Result<(), russh::Error> {
        lock(&self.observed).ended = Some(match reason {
            DisconnectReason::ReceivedDisconnect(_) | DisconnectReason::Error(russh::Error::NoAuthMethod) => {
                Ended::Refused
            }
            DisconnectReason::Error(_) => Ended::Broken,
        });
        Ok(())
    }
}

/// A connection whose received bytes are counted.
struct Counted {
    stream: tokio::net::TcpStream,
    session: Arc<Session>,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(context, buffer);
        let received = buffer.filled().len().saturating_sub(before);
        self.session.count(received as u64);
        result
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_paths_as_git_does() {
        for (path, expected) in [
            ("/srv/a.git", "'/srv/a.git'"),
            ("team/a b.git", "'team/a b.git'"),
            ("/~ada/a.git", "'~ada/a.git'"),
            ("/it's;touch x!", r"'/it'\''s;touch x'\!''"),
        ] {
            assert_eq!(quoted(path), expected, "{path}");
        }
    }

    #[test]
    fn prefers_the_listed_types_of_host_keys() {
        let first = |listed: &[&str]| {
            let listed: Vec<String> = listed.iter().map(|name| (*name).to_owned()).collect();
            let config = config(&listed);
            assert_eq!(config.preferred.key.len(), Preferred::DEFAULT.key.len());
            config.preferred.key.iter().take(2).map(|key| key.as_str().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(first(&[]), ["ssh-ed25519", "ecdsa-sha2-nistp256"]);
        assert_eq!(first(&["ssh-rsa"]), ["rsa-sha2-512", "rsa-sha2-256"]);
        assert_eq!(first(&["ecdsa-sha2-nistp384"]), ["ecdsa-sha2-nistp384", "ssh-ed25519"]);
    }
}
