//! TLS over a connection that the caller made, for clients that speak their own protocol.

use std::io::{Error, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// TLS with the certificate authorities that this machine trusts. Servers' certificates are always verified.
#[derive(Clone, Debug)]
pub struct Tls {
    config: Arc<ClientConfig>,
}

impl Tls {
    /// Reads the machine's authorities once. `SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured.
    ///
    /// # Errors
    /// The error of the TLS library. A machine without authorities is not an error here: each connection then fails.
    pub fn new() -> std::io::Result<Tls> {
        Tls::trusting(&[])
    }

    /// Trusts additional authorities, given as PEM.
    ///
    /// # Errors
    /// The cause if a certificate cannot be read.
    pub fn trusting(authorities: &[u8]) -> std::io::Result<Tls> {
        let mut roots = RootCertStore::empty();
        // Authorities that cannot be parsed are ignored.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        for authority in rustls::pki_types::CertificateDer::pem_slice_iter(authorities) {
            roots.add(authority.map_err(Error::other)?).map_err(Error::other)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.map_err(Error::other)?.with_root_certificates(roots).with_no_client_auth();
        Ok(Tls { config: Arc::new(config) })
    }
}

/// Cause of a failed handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsError {
    /// The certificate is not trusted.
    Untrusted(String),
    /// Any other cause.
    Failed(String),
}

impl Tls {
    /// Shakes hands as a client of `host` over a connected stream.
    ///
    /// # Errors
    /// [`TlsError`] if the certificate is not trusted for the host, or the connection breaks.
    pub fn connect(&self, stream: TcpStream, host: &str) -> Result<TlsStream, TlsError> {
        let broken = |error: &dyn std::fmt::Display| TlsError::Failed(error.to_string());
        let name = ServerName::try_from(host.to_owned()).map_err(|error| broken(&error))?;
        let connection = ClientConnection::new(Arc::clone(&self.config), name).map_err(|error| broken(&error))?;
        let mut stream = StreamOwned::new(connection, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).map_err(|error| {
                let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
                match inner {
                    Some(rustls::Error::InvalidCertificate(why)) => TlsError::Untrusted(why.to_string()),
                    _ => broken(&error),
                }
            })?;
        }
        Ok(TlsStream(stream))
    }
}

/// An established TLS connection.
///
/// A connection that ends without `close_notify` is read as ended: the reader knows the length of the response, and so
/// detects one that was cut off.
#[derive(Debug)]
pub struct TlsStream(StreamOwned<ClientConnection, TcpStream>);

impl Read for TlsStream {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self.0.read(buffer) {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(0),
            read => read,
        }
    }
}

impl Write for TlsStream {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}
