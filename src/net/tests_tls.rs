//! Tests over TLS: certificates are verified, and https never becomes http.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderValue, Method};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use url::Url;

use super::resolver::Lookup;
use super::test_upstream::{Upstream, path, redirect, response};
use super::{Client, Error, Limits, Policy, Request, install_crypto_provider};

/// A P-256 key made for these tests, as base64 of PKCS #8. Nothing trusts it.
const KEY: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgER6qvDeNpf8wJK36AaiBjaGugWPLqE6bL8ak2Z6a\
    E6yhRANCAARE99VZPSSkpWx4ZqUC3JJ6Dc4/bd8PC5TNgFgqqjEnkEiCeeXd+5VMZ/M45Kca/lV9DWi4abg3xNmc\
    k0dbGMhM";

/// Its self-signed certificate for `secure.test`, valid 2024 to 2124.
const CERTIFICATE: &str = "MIIBZDCCAQqgAwIBAgIBATAKBggqhkjOPQQDAjAWMRQwEgYDVQQDDAtzZWN1cmUudGVzdDAgFw0yNDAxMDEwMDAw\
    MDBaGA8yMTI0MDEwMTAwMDAwMFowFjEUMBIGA1UEAwwLc2VjdXJlLnRlc3QwWTATBgcqhkjOPQIBBggqhkjOPQMB\
    BwNCAARE99VZPSSkpWx4ZqUC3JJ6Dc4/bd8PC5TNgFgqqjEnkEiCeeXd+5VMZ/M45Kca/lV9DWi4abg3xNmck0db\
    GMhMo0cwRTAWBgNVHREEDzANggtzZWN1cmUudGVzdDAMBgNVHRMBAf8EAjAAMB0GA1UdDgQWBBSnbqMU4ogp0caZ\
    HBHMIsAnat3grTAKBggqhkjOPQQDAgNIADBFAiEA5Milcbh1+gkt66LvDiSxPQ7lKCV4GbiSRCppCzhzmWoCIClu\
    bspi7DopfkhrxFA4cx7oQF5boHN76Xxur66ciyY+";

/// Longest life of a server thread, and of a read in it.
const SERVER_TIME: Duration = Duration::from_secs(10);

fn pem(label: &str, base64: &str) -> Vec<u8> {
    format!("-----BEGIN {label}-----\n{base64}\n-----END {label}-----\n").into_bytes()
}

/// Serves `connections` TLS connections with one request each, from a thread
/// that ends by itself.
fn tls_server(connections: usize, answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> u16 {
    install_crypto_provider();
    let certificate = CertificateDer::from_pem_slice(&pem("CERTIFICATE", CERTIFICATE));
    let key = PrivateKeyDer::from_pem_slice(&pem("PRIVATE KEY", KEY));
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.expect("a certificate")], key.expect("a key"))
        .expect("a matching pair");
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("a bound address").port();
    listener.set_nonblocking(true).expect("non-blocking");
    std::thread::spawn(move || {
        let end = Instant::now() + SERVER_TIME;
        let mut left = connections;
        while left > 0 && Instant::now() < end {
            let Ok((stream, _)) = listener.accept() else {
                std::thread::sleep(Duration::from_millis(5));
                continue;
            };
            left -= 1;
            // A client that refuses the certificate breaks the handshake off.
            let _ = serve(stream, Arc::clone(&config), &answer);
        }
    });
    port
}

fn serve(stream: TcpStream, config: Arc<ServerConfig>, answer: &impl Fn(&str) -> Vec<u8>) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(SERVER_TIME))?;
    let connection = ServerConnection::new(config).map_err(std::io::Error::other)?;
    let mut stream = StreamOwned::new(connection, stream);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    stream.write_all(&answer(&String::from_utf8_lossy(&head)))?;
    stream.conn.send_close_notify();
    stream.flush()
}

/// A client for which every `*.test` name is 127.0.0.1.
fn client(trusting: bool) -> Client {
    let policy = Policy { allow_loopback: true, allow_http: true, ..Policy::default() };
    let lookup = Lookup::Table(Arc::new(|_| vec![IpAddr::from([127, 0, 0, 1])]));
    let root = reqwest::Certificate::from_pem(&pem("CERTIFICATE", CERTIFICATE));
    let roots = trusting.then(|| root.expect("a root"));
    Client::build(policy, lookup, roots.into_iter().collect()).expect("a client")
}

fn get(url: &str) -> Request {
    Request::new(Method::GET, Url::parse(url).expect("a test url"))
}

fn closing(status: u16, fields: &[(&str, &str)]) -> Vec<u8> {
    let fields = [fields, &[("connection", "close")]].concat();
    response(status, &fields, b"")
}

#[tokio::test]
async fn certificates_are_verified() {
    let port = tls_server(3, |_| closing(200, &[]));
    let good = get(&format!("https://secure.test:{port}/s3cret?s3cret"));
    let limits = Limits::default();
    let response = client(true).send(good.clone(), &limits).await;
    assert_eq!(response.expect("a trusted certificate").status.as_u16(), 200);

    let err = client(false).send(good, &limits).await.expect_err("an unknown issuer");
    assert!(matches!(err, Error::Tls { .. }), "{err:?}");
    assert!(!format!("{err} {err:?}").contains("s3cret"));

    let wrong = get(&format!("https://other.test:{port}/"));
    let err = client(true).send(wrong, &limits).await.expect_err("another name");
    assert!(matches!(err, Error::Tls { .. }), "{err:?}");
}

#[tokio::test]
async fn servers_without_tls_are_tls_errors() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address: SocketAddr = listener.local_addr().expect("a bound address");
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        stream.set_read_timeout(Some(SERVER_TIME)).expect("a timeout");
        let _ = stream.read(&mut [0; 64]);
        let _ = stream.write_all(b"HTTP/1.1 400 no tls here\r\n\r\n");
    });
    let request = get(&format!("https://secure.test:{}/", address.port()));
    let err = client(true).send(request, &Limits::default()).await.expect_err("no tls");
    assert!(matches!(err, Error::Tls { .. }), "{err:?}");
    server.join().expect("the server ended");
}

#[tokio::test]
async fn https_never_becomes_http_but_http_may_become_https() {
    let plain = Upstream::start(|request| redirect(302, &path(request)[1..])).await;
    let down = plain.url_at("secure.test", "/down").to_string();
    let port = tls_server(2, move |request| match path(request) {
        "/down" => closing(302, &[("location", &down)]),
        _ => closing(if request.contains("authorization") { 500 } else { 200 }, &[]),
    });
    let client = client(true);
    let limits = Limits::default();
    let request = get(&format!("https://secure.test:{port}/down"));
    let err = client.send(request, &limits).await.expect_err("a downgrade");
    let host = "secure.test".to_owned();
    assert_eq!(err, Error::Downgrade { host });
    assert_eq!(plain.connections(), 0);

    // The upgrade changes the origin, so credentials are not taken along.
    let up = plain.url_at("secure.test", &format!("/https://secure.test:{port}/up"));
    let mut request = Request::new(Method::GET, up);
    request.headers.insert("authorization", HeaderValue::from_static("s3cret"));
    let response = client.send(request, &limits).await.expect("an upgrade");
    assert_eq!((response.status.as_u16(), response.redirects), (200, 1));
}
