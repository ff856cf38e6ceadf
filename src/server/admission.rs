//! The port of the admission webhook, which the Kubernetes API server calls before it accepts a resource: TLS with a
//! certificate that can change at any time, and one route, `/admission`.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::serve::Listener;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::server::TlsStream;

use super::listener::{Connection, IdleTimeoutListener};
use super::reply;

/// Largest request: two objects of the API server's limit of 3 MiB (old and new), with a margin.
const MAX_BODY: usize = 8 << 20;
/// Longest TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// Reviews a request: `AdmissionReview` in, `AdmissionReview` out; `None` if the body is not an `AdmissionReview`.
pub type Reviewer = Arc<dyn Fn(Bytes) -> Pin<Box<dyn Future<Output = Option<Value>> + Send>> + Send + Sync>;

/// A certificate and its key, as PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Pem {
    /// The certificate chain.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

impl Pem {
    /// True if the key belongs to the certificate.
    pub fn is_usable(&self) -> bool {
        acceptor(self).is_ok()
    }
}

/// Serves until the process ends; closes connections until there is a certificate.
///
/// # Errors
/// Fails if the listener fails.
pub async fn serve(
    listener: TcpListener,
    certificate: watch::Receiver<Option<Pem>>,
    reviewer: Reviewer,
) -> io::Result<()> {
    let router = Router::new()
        .route("/admission", post(review))
        .route("/healthz", get(async || "ok\n"))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(reviewer);
    axum::serve(TlsListener::new(listener, certificate)?, router).await
}

async fn review(State(reviewer): State<Reviewer>, body: Bytes) -> Response {
    match reviewer(body).await {
        Some(value) => reply::json(200, &value),
        None => (StatusCode::BAD_REQUEST, "the body is not an AdmissionReview\n").into_response(),
    }
}

/// A listener of connections whose TLS handshake is complete.
struct TlsListener {
    ready: mpsc::Receiver<(TlsStream<Connection>, SocketAddr)>,
    address: SocketAddr,
}

impl TlsListener {
    fn new(listener: TcpListener, certificate: watch::Receiver<Option<Pem>>) -> io::Result<TlsListener> {
        let address = listener.local_addr()?;
        let (done, ready) = mpsc::channel(16);
        // Handshakes run concurrently: a slow one does not delay the others.
        let mut listener = IdleTimeoutListener::new(listener);
        tokio::spawn(async move {
            let mut current: Option<(Pem, TlsAcceptor)> = None;
            loop {
                let (stream, from) = listener.accept().await;
                let latest = certificate.borrow().clone();
                let Some(pem) = latest else { continue };
                if current.as_ref().is_none_or(|(loaded, _)| *loaded != pem) {
                    match acceptor(&pem) {
                        Ok(acceptor) => current = Some((pem, acceptor)),
                        Err(error) => tracing::error!(%error, "the admission certificate is invalid"),
                    }
                }
                let Some((_, acceptor)) = &current else { continue };
                let (acceptor, done) = (acceptor.clone(), done.clone());
                tokio::spawn(async move {
                    if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
                        let _ = done.send((stream, from)).await;
                    }
                });
            }
        });
        Ok(TlsListener { ready, address })
    }
}

fn acceptor(pem: &Pem) -> io::Result<TlsAcceptor> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.certificate.as_bytes()).collect();
    let certificates = certificates.map_err(|error| io::Error::other(error.to_string()))?;
    let key = PrivateKeyDer::from_pem_slice(pem.key.as_bytes()).map_err(|error| io::Error::other(error.to_string()))?;
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(certificates, key);
    Ok(TlsAcceptor::from(Arc::new(config.map_err(io::Error::other)?)))
}

impl Listener for TlsListener {
    type Io = TlsStream<Connection>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TlsStream<Connection>, SocketAddr) {
        match self.ready.recv().await {
            Some(connection) => connection,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}
