//! A small HTTP/1.1 server on a free loopback port, for tests. It answers with
//! raw bytes, so that it can break rules no server library lets one break.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use url::Url;

/// Longest head and body a test sends, in bytes.
const MAX_REQUEST: usize = 64 * 1024;

/// Action for a request.
pub(super) enum Reply {
    /// Write these bytes; keep the connection.
    Once(Vec<u8>),
    /// Write the first, then the second again and again, this far apart, until
    /// the peer goes away.
    Endless(Vec<u8>, Vec<u8>, Duration),
    /// Write these bytes; close the connection.
    Close(Vec<u8>),
}

/// The running server; ends when dropped.
pub(super) struct Upstream {
    address: SocketAddr,
    log: Arc<Mutex<Log>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Log {
    connections: usize,
    requests: Vec<String>,
    written: usize,
}

impl Upstream {
    pub(super) async fn start<F>(answer: F) -> Upstream
    where
        F: Fn(&str) -> Reply + Send + Sync + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let log = Arc::new(Mutex::new(Log::default()));
        let shared = Arc::clone(&log);
        let answer = Arc::new(answer);
        let task = tokio::spawn(async move {
            // Connections end with this task, for they live in its set.
            let mut open = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                lock(&shared).connections += 1;
                let (log, answer) = (Arc::clone(&shared), Arc::clone(&answer));
                open.spawn(async move { serve(&stream, &log, &*answer).await });
            }
        });
        Upstream { address, log, task }
    }

    /// Always the same answer.
    pub(super) async fn fixed(answer: impl Into<Vec<u8>>) -> Upstream {
        let answer = answer.into();
        Upstream::start(move |_| Reply::Once(answer.clone())).await
    }

    pub(super) fn url(&self, path: &str) -> Url {
        self.url_at("127.0.0.1", path)
    }

    /// The same port under another host name.
    pub(super) fn url_at(&self, host: &str, path: &str) -> Url {
        let text = format!("http://{host}:{}{path}", self.address.port());
        Url::parse(&text).expect("a test url")
    }

    pub(super) fn connections(&self) -> usize {
        lock(&self.log).connections
    }

    /// The requests so far: head and body as they came.
    pub(super) fn requests(&self) -> Vec<String> {
        lock(&self.log).requests.clone()
    }

    /// Bytes written so far.
    pub(super) fn written(&self) -> usize {
        lock(&self.log).written
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A response with a Content-Length.
pub(super) fn response(status: u16, fields: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut out = format!("HTTP/1.1 {status} Test\r\n");
    for (name, value) in fields {
        out += &format!("{name}: {value}\r\n");
    }
    out += &format!("content-length: {}\r\n\r\n", body.len());
    let mut out = out.into_bytes();
    out.extend_from_slice(body);
    out
}

/// A redirect without body.
pub(super) fn redirect(status: u16, location: &str) -> Reply {
    Reply::Once(response(status, &[("location", location)], b""))
}

/// The path and query of a request head.
pub(super) fn path(request: &str) -> &str {
    request.split(' ').nth(1).unwrap_or_default()
}

/// `len` zero bytes as a gzip stream of `len / 158` bytes: fixed Huffman codes
/// (RFC 1951 section 3.2.6), one literal and then copies of 258 bytes at
/// distance 1. There is no valid checksum; a reader that gets there has read too
/// much already.
pub(super) fn gzip_bomb(len: usize) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    // One final block (1), fixed codes (01), the literal 0 (00110000); Huffman
    // codes go most significant bit first.
    let start = [1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0].into_iter();
    // Length symbol 285 is 11000101, distance symbol 0 is 00000.
    let copy = [1, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0];
    let copies = std::iter::repeat_n(copy, len / 258).flatten();
    let bits: Vec<u8> = start.chain(copies).collect();
    for byte in bits.chunks(8) {
        out.push(byte.iter().rev().fold(0, |sum, bit| sum << 1 | bit));
    }
    out
}

async fn serve<F>(stream: &TcpStream, log: &Mutex<Log>, answer: &F) -> io::Result<()>
where
    F: Fn(&str) -> Reply + ?Sized,
{
    let mut unread = Vec::new();
    while let Some(request) = read_request(stream, &mut unread).await? {
        lock(log).requests.push(request.clone());
        match answer(&request) {
            Reply::Once(bytes) => write(stream, &bytes, log).await?,
            Reply::Close(bytes) => return write(stream, &bytes, log).await,
            Reply::Endless(first, again, pause) => {
                write(stream, &first, log).await?;
                loop {
                    tokio::time::sleep(pause).await;
                    write(stream, &again, log).await?;
                }
            }
        }
    }
    Ok(())
}

async fn read_request(stream: &TcpStream, unread: &mut Vec<u8>) -> io::Result<Option<String>> {
    loop {
        if let Some(length) = request_length(unread)
            && unread.len() >= length
        {
            let request: Vec<u8> = unread.drain(..length).collect();
            return Ok(Some(String::from_utf8_lossy(&request).into_owned()));
        }
        stream.readable().await?;
        let mut buffer = [0; 8192];
        match stream.try_read(&mut buffer) {
            Ok(0) => return Ok(None),
            Ok(n) => unread.extend_from_slice(&buffer[..n]),
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => {}
            Err(err) => return Err(err),
        }
        if unread.len() > MAX_REQUEST {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
}

/// Length of head and body, once the head is complete.
fn request_length(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&bytes[..head]).to_lowercase();
    let body = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .and_then(|value| value.trim().parse::<usize>().ok());
    Some(head + body.unwrap_or(0))
}

async fn write(stream: &TcpStream, mut bytes: &[u8], log: &Mutex<Log>) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.writable().await?;
        match stream.try_write(bytes) {
            Ok(n) => {
                lock(log).written += n;
                bytes = &bytes[n..];
            }
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => {}
            Err(err) => return Err(err),
        }
    }
    Ok(())
}

/// The log stays readable when an answering closure has panicked.
fn lock(log: &Mutex<Log>) -> std::sync::MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}
