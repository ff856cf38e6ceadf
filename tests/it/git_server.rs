//! Real Git servers on loopback: `git http-backend` behind a small HTTP server with faults on demand, and `sshd`.
//! They stop when dropped.

mod ssh;

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub use ssh::{GitSsh, keygen};

/// Maximum wait for a request's next byte.
const READ_TIMEOUT: Duration = Duration::from_secs(20);

/// A bare repository, edited with the `git` command line through a working folder beside it.
pub struct Repository {
    folder: tempfile::TempDir,
}

impl Repository {
    /// Creates an empty repository whose default branch is `main`.
    pub fn new() -> Repository {
        let repository = Repository { folder: tempfile::tempdir().unwrap() };
        std::fs::create_dir(repository.work()).unwrap();
        repository.run(Command::new("git").args(["init", "--quiet", "--bare", "--initial-branch=main", "repo.git"]));
        // As on Git hosts: a client may request any reachable commit by its id.
        repository.git(&["config", "uploadpack.allowReachableSHA1InWant", "true"]);
        repository
    }

    /// Creates a repository with a first commit of these files.
    pub fn with(files: &[(&str, &str)]) -> Repository {
        let repository = Repository::new();
        repository.commit(files, "first");
        repository
    }

    /// The folder that a server serves, with this repository as `repo.git`.
    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    pub fn git_dir(&self) -> PathBuf {
        self.folder.path().join("repo.git")
    }

    pub fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// Runs `git` on the repository; returns its output.
    pub fn git(&self, args: &[&str]) -> String {
        self.git_with(args, "")
    }

    /// Runs `git` with standard input.
    pub fn git_with(&self, args: &[&str], input: &str) -> String {
        let mut command = Command::new("git");
        command.arg("--git-dir").arg(self.git_dir()).arg("--work-tree").arg(self.work()).args(args);
        self.run_with(&mut command, input.as_bytes())
    }

    fn run(&self, command: &mut Command) -> String {
        self.run_with(command, b"")
    }

    fn run_with(&self, command: &mut Command, input: &[u8]) -> String {
        let shown = format!("{command:?}");
        let people = ["GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"];
        let mut child = isolated(command)
            .current_dir(self.folder.path())
            .envs(people.map(|name| (name, if name.ends_with("NAME") { "Ada" } else { "ada@git.test" })))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{shown}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Writes files and commits everything; returns the commit.
    pub fn commit(&self, files: &[(&str, &str)], message: &str) -> String {
        self.write(files);
        self.commit_all(&["-m", message])
    }

    pub fn write(&self, files: &[(&str, &str)]) {
        for (name, text) in files {
            crate::support::write(&self.work().join(name), text);
        }
    }

    /// Commits the content of the working folder; returns the commit.
    pub fn commit_all(&self, args: &[&str]) -> String {
        self.git(&["add", "--all", "--force", "."]);
        self.git(&[&["commit", "--quiet", "--allow-empty"][..], args].concat());
        self.head()
    }

    pub fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"])
    }

    /// Commits a tree of any entries, also invalid ones, to the current branch. An entry is a mode, an object and a name.
    pub fn commit_tree(&self, entries: &[(&str, &str, &[u8])]) -> String {
        let mut raw = Vec::new();
        for (mode, id, name) in entries {
            raw.extend_from_slice(mode.as_bytes());
            raw.push(b' ');
            raw.extend_from_slice(name);
            raw.push(0);
            let digits: Vec<char> = id.chars().collect();
            raw.extend(digits.chunks(2).map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap()));
        }
        let mut command = Command::new("git");
        command.arg("--git-dir").arg(self.git_dir());
        let tree = self.run_with(command.args(["hash-object", "-t", "tree", "-w", "--literally", "--stdin"]), &raw);
        let commit = self.git(&["commit-tree", "-m", "odd", &tree]);
        self.git(&["update-ref", "HEAD", &commit]);
        commit
    }

    pub fn blob(&self, text: &str) -> String {
        self.git_with(&["hash-object", "-w", "--stdin"], text)
    }
}

/// Removes this machine's Git configuration, agents and proxies from a command's environment.
pub fn isolated(command: &mut Command) -> &mut Command {
    command
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env_remove("GIT_DIR")
        .env_remove("SSH_AUTH_SOCK")
}

/// The fault that the HTTP server applies to requests.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Fault {
    #[default]
    None,
    /// Responds to every request with this status.
    Status(u16),
    /// Responds to every request with 301 to this prefix and the request's path.
    Redirect(String),
    /// Sends one byte per second.
    Drip,
    /// Sends the head only.
    Stall,
    /// Sends the head, and closes the connection when the fault changes.
    Hold,
    /// Cuts off responses to POST after this number of bytes.
    Truncate(usize),
    /// Changes the byte of a pack at this offset.
    Flip(usize),
}

/// `git http-backend` behind HTTP.
pub struct GitHttp {
    port: u16,
    scheme: &'static str,
    state: Arc<State>,
}

struct State {
    root: PathBuf,
    rules: Mutex<(Fault, Option<String>)>,
    requests: Mutex<Vec<String>>,
    ended: AtomicBool,
}

impl GitHttp {
    pub fn start(root: &Path) -> GitHttp {
        GitHttp::serving(root, None)
    }

    /// Starts the server with TLS.
    pub fn start_tls(root: &Path, config: rustls::ServerConfig) -> GitHttp {
        GitHttp::serving(root, Some(Arc::new(config)))
    }

    fn serving(root: &Path, tls: Option<Arc<rustls::ServerConfig>>) -> GitHttp {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = State {
            root: root.to_owned(),
            rules: Mutex::default(),
            requests: Mutex::default(),
            ended: AtomicBool::new(false),
        };
        let state = Arc::new(state);
        let serving = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if serving.ended.load(Ordering::SeqCst) {
                    return;
                }
                let serving = Arc::clone(&serving);
                let Ok(mut stream) = stream else { continue };
                let tls = tls.clone();
                std::thread::spawn(move || {
                    stream.set_read_timeout(Some(READ_TIMEOUT)).unwrap();
                    match tls {
                        None => drop(serve(&mut stream, &serving)),
                        Some(config) => {
                            let mut tls = rustls::ServerConnection::new(config).unwrap();
                            drop(serve(&mut rustls::Stream::new(&mut tls, &mut stream), &serving));
                            tls.send_close_notify();
                            let _ = tls.complete_io(&mut stream);
                        }
                    }
                    let _ = stream.shutdown(Shutdown::Both);
                });
            }
        });
        GitHttp { port, scheme, state }
    }

    /// The address of the repository.
    pub fn url(&self) -> String {
        format!("{}://127.0.0.1:{}/repo.git", self.scheme, self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn fault(&self, fault: Fault) {
        self.state.rules.lock().unwrap().0 = fault;
    }

    /// Requires this `Authorization` header.
    pub fn require(&self, authorization: Option<&str>) {
        self.state.rules.lock().unwrap().1 = authorization.map(str::to_owned);
    }

    /// Requests since the last call, such as `GET /repo.git/info/refs`.
    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut *self.state.requests.lock().unwrap())
    }
}

impl Drop for GitHttp {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

/// `Basic …` of a user name and password.
pub fn basic(user: &str, password: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
}

fn serve(stream: &mut (impl Read + Write), state: &State) -> std::io::Result<()> {
    let mut reader = BufReader::new(&mut *stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next().unwrap_or("").to_owned(), words.next().unwrap_or("").to_owned());
    // A request through a proxy names the whole URL.
    let target = match target.strip_prefix("http://") {
        Some(rest) => rest.find('/').map_or("/", |at| &rest[at..]).to_owned(),
        None => target,
    };
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let header = |name: &str| headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let mut body = Vec::new();
    if header("transfer-encoding") == Some("chunked") {
        loop {
            let mut size = String::new();
            reader.read_line(&mut size)?;
            let size = u64::from_str_radix(size.trim(), 16).map_err(std::io::Error::other)?;
            (&mut reader).take(size).read_to_end(&mut body)?;
            reader.read_line(&mut String::new())?;
            if size == 0 {
                break;
            }
        }
    } else {
        let length = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        (&mut reader).take(length).read_to_end(&mut body)?;
    }
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    state.requests.lock().unwrap().push(format!("{method} {path}"));
    let (fault, required) = state.rules.lock().unwrap().clone();
    if required.is_some() && header("authorization") != required.as_deref() {
        let head = "HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Basic realm=\"git\"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        return stream.write_all(head.as_bytes());
    }
    match &fault {
        Fault::Status(status) => {
            let head = format!("HTTP/1.1 {status} No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            return stream.write_all(head.as_bytes());
        }
        Fault::Redirect(to) => {
            let head = format!(
                "HTTP/1.1 301 Moved\r\nlocation: {to}{target}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            );
            return stream.write_all(head.as_bytes());
        }
        _ => {}
    }
    let (head, mut answer) = backend(state, &method, path, query, &headers, &body)?;
    let head = format!("{head}content-length: {}\r\nconnection: close\r\n\r\n", answer.len());
    let post = method == "POST";
    match fault {
        Fault::Drip => {
            for byte in head.bytes().chain(answer) {
                stream.write_all(&[byte])?;
                wait(state, Duration::from_secs(1));
            }
            Ok(())
        }
        Fault::Stall => {
            stream.write_all(head.as_bytes())?;
            wait(state, READ_TIMEOUT);
            Ok(())
        }
        Fault::Hold => {
            stream.write_all(head.as_bytes())?;
            let until = std::time::Instant::now() + READ_TIMEOUT;
            let held = || state.rules.lock().unwrap().0 == Fault::Hold && !state.ended.load(Ordering::SeqCst);
            while held() && std::time::Instant::now() < until {
                std::thread::sleep(Duration::from_millis(20));
            }
            Ok(())
        }
        Fault::Truncate(length) if post => {
            stream.write_all(head.as_bytes())?;
            stream.write_all(&answer[..length.min(answer.len())])
        }
        Fault::Flip(from_start) if post => {
            if let Some(pack) = answer.windows(4).position(|four| four == b"PACK") {
                answer[pack + from_start] ^= 1;
            }
            stream.write_all(head.as_bytes())?;
            stream.write_all(&answer)
        }
        _ => {
            stream.write_all(head.as_bytes())?;
            stream.write_all(&answer)
        }
    }
}

fn wait(state: &State, time: Duration) {
    let steps = time.as_millis() / 20;
    for _ in 0..steps {
        if state.ended.load(Ordering::SeqCst) {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Runs the CGI program (RFC 3875); returns the status line with headers, and the body.
fn backend(
    state: &State,
    method: &str,
    path: &str,
    query: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> std::io::Result<(String, Vec<u8>)> {
    let header = |name: &str| headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value);
    let mut child = isolated(Command::new("git").arg("http-backend"))
        .env("GIT_PROJECT_ROOT", &state.root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", method)
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .env("REMOTE_ADDR", "127.0.0.1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut input = child.stdin.take().unwrap();
    let body = body.to_vec();
    let writing = std::thread::spawn(move || {
        let _ = input.write_all(&body);
    });
    let output = child.wait_with_output()?;
    let _ = writing.join();
    let end = output.stdout.windows(4).position(|four| four == b"\r\n\r\n").map_or(output.stdout.len(), |at| at + 4);
    let (head, body) = output.stdout.split_at(end);
    let head = String::from_utf8_lossy(head).into_owned();
    let status = head.lines().find_map(|line| line.strip_prefix("Status: ")).unwrap_or("200 OK").to_owned();
    let rest: String = head
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("Status: "))
        .fold(String::new(), |all, line| all + line + "\r\n");
    Ok((format!("HTTP/1.1 {status}\r\n{rest}"), body.to_vec()))
}
