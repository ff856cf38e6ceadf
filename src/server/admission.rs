//! The port that the Kubernetes API server asks before it accepts a resource: TLS with a certificate that may change at any
//! time, and one question at `/admission`.

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
use super::response;

/// Largest question: an object of 3 MiB, which is what the API server takes, before and after.
const MAX_BODY: usize = 8 << 20;
/// Longest handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// Answers a question: an `AdmissionReview` in, one out. `None` where it is no question.
pub type Answer = Arc<dyn Fn(Bytes) -> Pin<Box<dyn Future<Output = Option<Value>> + Send>> + Send + Sync>;

/// A certificate and its key, as PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Pem {
    /// The certificate, with those above it.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

impl Pem {
    /// Can it be served: are these a certificate and its own key?
    pub fn is_usable(&self) -> bool {
        acceptor(self).is_ok()
    }
}

/// Serves until the process ends; nobody is answered before there is a certificate.
///
/// # Errors
/// Where the listener breaks.
pub async fn serve(listener: TcpListener, certificate: watch::Receiver<Option<Pem>>, answer: Answer) -> io::Result<()> {
    let router = Router::new()
        .route("/admission", post(review))
        .route("/healthz", get(async || "ok\n"))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(answer);
    axum::serve(Secure::new(listener, certificate)?, router).await
}

async fn review(State(answer): State<Answer>, body: Bytes) -> Response {
    match answer(body).await {
        Some(value) => response::json(200, &value),
        None => (StatusCode::BAD_REQUEST, "this is no AdmissionReview\n").into_response(),
    }
}

/// Connections whose handshake is done.
struct Secure {
    ready: mpsc::Receiver<(TlsStream<Connection>, SocketAddr)>,
    address: SocketAddr,
}

impl Secure {
    fn new(listener: TcpListener, certificate: watch::Receiver<Option<Pem>>) -> io::Result<Secure> {
        let address = listener.local_addr()?;
        let (done, ready) = mpsc::channel(16);
        // One slow handshake holds up no other.
        let mut listener = IdleTimeoutListener::new(listener);
        tokio::spawn(async move {
            let mut current: Option<(Pem, TlsAcceptor)> = None;
            loop {
                let (stream, from) = listener.accept().await;
                let wanted = certificate.borrow().clone();
                let Some(pem) = wanted else { continue };
                if current.as_ref().is_none_or(|(known, _)| *known != pem) {
                    match acceptor(&pem) {
                        Ok(acceptor) => current = Some((pem, acceptor)),
                        Err(error) => tracing::error!("the certificate cannot be used: {error}"),
                    }
                }
                let Some((_, acceptor)) = &current else { continue };
                let (acceptor, done) = (acceptor.clone(), done.clone());
                tokio::spawn(async move {
                    if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                        let _ = done.send((stream, from)).await;
                    }
                });
            }
        });
        Ok(Secure { ready, address })
    }
}

fn acceptor(pem: &Pem) -> io::Result<TlsAcceptor> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.certificate.as_bytes()).collect();
    let certificates = certificates.map_err(|error| io::Error::other(error.to_string()))?;
    let key = PrivateKeyDer::from_pem_slice(pem.key.as_bytes()).map_err(|error| io::Error::other(error.to_string()))?;
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(certificates, key);
    Ok(TlsAcceptor::from(Arc::new(config.map_err(io::Error::other)?)))
}

impl Listener for Secure {
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
