//! A proxy in front of a Kubernetes API server that injects faults: it answers 429, drops or delays chosen requests, and can
//! cut all connections. It records every request, so that tests wait for what happened instead of for time to pass.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

/// A fault of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// The proxy answers 429 with `Retry-After: 1`; the API server does not see the request.
    TooManyRequests,
    /// The proxy closes the connection without a response; the API server does not see the request.
    Drop,
    /// The API server executes the request, and the connection closes before its response arrives.
    DropResponse,
    /// The request arrives at the API server after this time.
    Delay(Duration),
}

/// A request and what the proxy did with it.
#[derive(Clone, Debug)]
pub struct Record {
    pub method: String,
    /// Path and query.
    pub path: String,
    pub fault: Option<Fault>,
    /// Status of the API server; `None` until it responds, and if it does not.
    pub status: Option<u16>,
}

/// A fault for the next requests that match.
struct Rule {
    method: &'static str,
    path: String,
    faults: VecDeque<Fault>,
}

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
    records: Vec<Record>,
    is_cut: bool,
    clients: Vec<TcpStream>,
}

/// The proxy; it accepts plain HTTP.
pub struct FaultProxy {
    pub port: u16,
    state: Arc<Mutex<State>>,
}

impl FaultProxy {
    /// A proxy in front of the API server on a port of this machine.
    pub fn start(api_port: u16) -> FaultProxy {
        evenkeel::net::install_crypto_provider();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                {
                    let mut state = state.lock().unwrap();
                    if state.is_cut {
                        continue;
                    }
                    state.clients.extend(client.try_clone());
                }
                std::thread::spawn(move || {
                    let _ = serve(&client, api_port, &state);
                    let _ = client.shutdown(Shutdown::Both);
                });
            }
        });
        FaultProxy { port, state }
    }

    /// Injects faults into the next requests whose path contains the text, one each; requests that match an earlier rule
    /// do not reach a later one until its faults are used up.
    pub fn inject(&self, method: &'static str, path: &str, faults: &[Fault]) {
        let faults = faults.iter().copied().collect();
        self.state.lock().unwrap().rules.push(Rule { method, path: path.to_owned(), faults });
    }

    /// Cuts all connections and refuses new ones until [`FaultProxy::reconnect`].
    pub fn cut(&self) {
        let mut state = self.state.lock().unwrap();
        state.is_cut = true;
        for client in state.clients.drain(..) {
            let _ = client.shutdown(Shutdown::Both);
        }
    }

    /// Accepts connections again.
    pub fn reconnect(&self) {
        self.state.lock().unwrap().is_cut = false;
    }

    /// The requests so far.
    pub fn records(&self) -> Vec<Record> {
        self.state.lock().unwrap().records.clone()
    }
}

/// Serves one request; the connection then ends, so that the API server's responses need no parsing.
fn serve(client: &TcpStream, api_port: u16, state: &Mutex<State>) -> std::io::Result<()> {
    let mut reader = BufReader::new(client);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    let mut words = head.split(' ');
    let (method, path) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let header = |name: &str| {
        let lines = head.lines().filter_map(|line| line.split_once(':'));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned()).next()
    };
    assert!(header("transfer-encoding").is_none(), "the proxy reads bodies with a length only: {head}");
    let length = header("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;

    let (fault, index) = {
        let mut state = state.lock().unwrap();
        let matches = |rule: &&mut Rule| rule.method == method && path.contains(&rule.path) && !rule.faults.is_empty();
        let fault = state.rules.iter_mut().find(matches).and_then(|rule| rule.faults.pop_front());
        state.records.push(Record { method, path, fault, status: None });
        (fault, state.records.len() - 1)
    };
    match fault {
        Some(Fault::Drop) => return Ok(()),
        Some(Fault::TooManyRequests) => return too_many_requests(client),
        Some(Fault::Delay(delay)) => std::thread::sleep(delay),
        Some(Fault::DropResponse) | None => {}
    }
    let mut upstream = connect(api_port)?;
    let lines = head.lines().filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
    let head: String = lines.filter(|line| !line.is_empty()).map(|line| format!("{line}\r\n")).collect();
    upstream.write_all(format!("{head}connection: close\r\n\r\n").as_bytes())?;
    upstream.write_all(&body)?;
    upstream.flush()?;
    let mut buffer = vec![0; 64 << 10];
    let mut is_first = true;
    loop {
        // A server that ends without a TLS close has still sent everything.
        let Ok(read @ 1..) = upstream.read(&mut buffer) else { return Ok(()) };
        if std::mem::take(&mut is_first) {
            let status = String::from_utf8_lossy(&buffer[..read]).split(' ').nth(1).and_then(|code| code.parse().ok());
            state.lock().unwrap().records[index].status = status;
        }
        if fault == Some(Fault::DropResponse) {
            return Ok(());
        }
        (&mut &*client).write_all(&buffer[..read])?;
    }
}

fn too_many_requests(mut client: &TcpStream) -> std::io::Result<()> {
    let body = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","message":"too many requests","reason":"TooManyRequests","code":429}"#;
    let length = body.len();
    let head =
        "HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\nretry-after: 1\r\nconnection: close";
    client.write_all(format!("{head}\r\ncontent-length: {length}\r\n\r\n{body}").as_bytes())
}

fn connect(port: u16) -> std::io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let config = ClientConfig::builder()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate))
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").map_err(std::io::Error::other)?;
    let connection = ClientConnection::new(Arc::new(config), name).map_err(std::io::Error::other)?;
    Ok(StreamOwned::new(connection, TcpStream::connect(("127.0.0.1", port))?))
}

/// Accepts the self-signed certificate of the test's API server.
#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let provider = rustls::crypto::CryptoProvider::get_default().expect("the provider is installed");
        provider.signature_verification_algorithms.supported_schemes()
    }
}
