//! Helpers of the tests: the binary, folders, and servers that end with their test.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A command that runs the built binary.
pub fn evenkeel() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
    command.current_dir(root());
    // The caller's terminal, CI job and server do not count.
    let variables = ["NO_COLOR", "CLICOLOR_FORCE", "COLUMNS", "GITHUB_SERVER_URL", "CI_PROJECT_URL"];
    for variable in variables.iter().chain(&["EVENKEEL_SERVER", "EVENKEEL_TOKEN", "EVENKEEL_ENVIRONMENT"]) {
        command.env_remove(variable);
    }
    command
}

/// The output of a finished command.
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// Runs the binary and returns its output.
pub fn run<I: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = I>) -> Said {
    said(&evenkeel().args(args).stdin(Stdio::null()).output().unwrap())
}

pub fn said(output: &Output) -> Said {
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A folder with files; deleted on drop.
pub fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        write(&folder.path().join(name), text);
    }
    folder
}

/// Replaces a file atomically: a watcher of its folder never sees a part of it.
pub fn write(path: &Path, text: &str) {
    let folder = path.parent().unwrap();
    std::fs::create_dir_all(folder).unwrap();
    // Hidden files are not definitions.
    let temporary = folder.join(format!(".{}.part", path.file_name().unwrap().display()));
    std::fs::write(&temporary, text).unwrap();
    std::fs::rename(temporary, path).unwrap();
}

/// A copy of a folder of the repository.
pub fn copy(from: &str) -> tempfile::TempDir {
    fn copy_into(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let target = to.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                copy_into(&entry.path(), &target);
            } else {
                std::fs::copy(entry.path(), target).unwrap();
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    copy_into(&root().join(from), folder.path());
    folder
}

/// A running server, such as `evenkeel dev`; killed on drop.
pub struct Dev {
    child: Child,
    pub address: String,
    lines: Receiver<String>,
    seen: String,
}

impl Dev {
    /// Starts `evenkeel dev` on a free port and waits until it listens.
    pub fn start(path: &Path, more: &[&str]) -> Dev {
        Dev::start_in(root(), &path.to_string_lossy(), more)
    }

    /// Starts `evenkeel dev` in a folder.
    pub fn start_in(folder: &Path, path: &str, more: &[&str]) -> Dev {
        Dev::spawn(evenkeel().current_dir(folder).arg("dev").arg(path).args(["--port", "0"]).args(more))
    }

    /// Starts a command that prints its address, and waits until it listens.
    pub fn spawn(command: &mut Command) -> Dev {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        let address = first.trim().strip_prefix("listening on ").unwrap_or_else(|| {
            let said: Vec<String> = lines.iter().collect();
            panic!("the server did not start: {first}{}", said.join("\n"))
        });
        Dev { address: address.to_owned(), child, lines, seen: String::new() }
    }

    /// The process ID.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills the process, as `kill -9` does.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Kills the process and returns the text on stderr since the last call.
    pub fn finish(&mut self) -> String {
        self.kill();
        self.seen.extend(self.lines.iter().map(|line| line + "\n"));
        std::mem::take(&mut self.seen)
    }

    /// Text on stderr since the last call.
    pub fn said(&mut self) -> String {
        self.seen.extend(self.lines.try_iter().map(|line| line + "\n"));
        std::mem::take(&mut self.seen)
    }

    /// Waits until stderr contains a text; returns the text on stderr since the last call.
    pub fn wait_for(&mut self, text: &str) -> String {
        let deadline = Instant::now() + Duration::from_mins(2);
        while !self.seen.contains(text) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    self.seen += &line;
                    self.seen += "\n";
                }
                Err(std::sync::mpsc::RecvTimeoutError::Timeout | std::sync::mpsc::RecvTimeoutError::Disconnected) => {
                    panic!("`{text}` never appeared on stderr:\n{}", self.seen)
                }
            }
        }
        std::mem::take(&mut self.seen)
    }

    /// Sends a POST request.
    pub fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        request(&self.address, "POST", path, headers, body)
    }

    pub fn get(&self, path: &str) -> Answer {
        request(&self.address, "GET", path, &[], "")
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        if std::thread::panicking() {
            use std::io::Write as _;
            let said = self.said();
            let _ = writeln!(std::io::stderr(), "stderr of the server:\n{said}");
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An HTTP response.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Sends one request on a new connection. Deliberately minimal: tests must not depend on Evenkeel's own client.
pub fn request(address: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    use std::io::{Read as _, Write as _};
    let host = address.trim_start_matches("http://");
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(2))).unwrap();
    let mut text = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        text += &format!("host: {host}\r\n");
    }
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    text += "\r\n";
    stream.write_all(text.as_bytes()).unwrap();
    // A server may respond and close before it has read the whole body.
    let _ = stream.write_all(body.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
    let headers = lines.filter_map(|line| line.split_once(": "));
    Answer {
        status: status.unwrap_or_else(|| panic!("not an HTTP response: {answer}")),
        headers: headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect(),
        body: body.to_owned(),
    }
}

/// Compares a text with a committed file; `UPDATE=1` rewrites the file.
pub fn golden(path: &str, actual: &str) {
    let path: PathBuf = root().join(path);
    if std::env::var_os("UPDATE").is_some_and(|update| update == "1") {
        write(&path, actual);
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    if expected != actual {
        let diff = similar::TextDiff::from_lines(expected.as_str(), actual);
        let diff = diff.unified_diff().context_radius(2).to_string();
        let shown: String = diff.lines().take(80).map(|line| format!("{line}\n")).collect();
        panic!("{} differs from the committed file (UPDATE=1 rewrites it):\n{shown}", path.display());
    }
}
