//! A terminal in which the commands of one page run, in order: a folder with a copy of `examples`, `evenkeel` on the
//! PATH, and servers on free ports that end with the page.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use regex::Regex;

use super::blocks::{Block, Page, write_block};
use super::output::{compare, contains};
use crate::support::{copy, request};

/// Maximum duration of a command.
const COMMAND_TIMEOUT: Duration = Duration::from_mins(2);
/// Time in which the output of a server or of a command that only reads becomes the one shown.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(40);
/// Pause between two looks at an output.
const PAUSE: Duration = Duration::from_millis(50);
/// The port in the documents unless a command names another.
const DEFAULT_PORT: u16 = 7400;
/// Commands that only read: their output may need some time to become the one shown.
const READERS: &str =
    r"^evenkeel (status|history|triggers|workflows|events|trace|executions (list|show|logs)|dlq (list|show))\b";

/// A server that a page started.
struct Server {
    child: Child,
    output: PathBuf,
    address: String,
    /// Bytes of the output that the page has shown.
    seen: usize,
}

impl Server {
    /// Ends the process as Ctrl+C does, and waits for its end.
    fn stop(&mut self) {
        let _ = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        let deadline = Instant::now() + SETTLE_TIMEOUT;
        while self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "the server does not end");
            std::thread::sleep(PAUSE);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(super) struct Session {
    // Before the folder: servers end before their files are removed.
    servers: BTreeMap<u16, Server>,
    newest: u16,
    variables: BTreeMap<String, String>,
    current: PathBuf,
    outputs: usize,
    _work: tempfile::TempDir,
    bin: tempfile::TempDir,
}

/// Follows a page: writes its files and runs its commands. Returns the number of commands.
///
/// # Panics
/// If a command fails, or prints another output than the one shown.
pub(super) fn follow(path: &str) -> usize {
    let page = Page::read(path);
    let mut session = Session::new();
    let mut ran = 0;
    for block in &page.blocks {
        write_block(block, &session.current);
        if block.language == "console" && block.option("not-run").is_none() {
            ran += session
                .run_block(block)
                .unwrap_or_else(|(line, error)| panic!("{path}:{}: {error}", block.line + line));
        }
    }
    ran
}

/// The commands of a block: the line in the block, the command, and the output that is shown.
pub(super) fn commands(block: &Block) -> Vec<(usize, String, Vec<String>)> {
    let mut commands: Vec<(usize, String, Vec<String>)> = Vec::new();
    for (number, line) in block.text.lines().enumerate() {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push((number + 1, command.to_owned(), Vec::new())),
            // A command goes on after a backslash.
            (None, Some((_, command, shown))) if shown.is_empty() && command.ends_with('\\') => {
                command.pop();
                *command += line.trim_start();
            }
            (None, Some((_, _, shown))) => shown.push(line.to_owned()),
            (None, None) => panic!("line {}: output before any command", block.line + number + 1),
        }
    }
    commands
}

impl Session {
    fn new() -> Session {
        let work = tempfile::tempdir().unwrap();
        let examples = copy("examples");
        std::fs::rename(examples.path(), work.path().join("examples")).unwrap();
        let bin = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_evenkeel"), bin.path().join("evenkeel")).unwrap();
        Session {
            servers: BTreeMap::new(),
            newest: DEFAULT_PORT,
            variables: BTreeMap::new(),
            current: work.path().to_owned(),
            outputs: 0,
            _work: work,
            bin,
        }
    }

    fn run_block(&mut self, block: &Block) -> Result<usize, (usize, String)> {
        if block.option("server").is_some() {
            let shown: Vec<String> = block.text.lines().map(str::to_owned).collect();
            self.wait_for(self.newest, &shown).map_err(|error| (1, error))?;
            return Ok(0);
        }
        if block.option("stopped").is_some() {
            self.servers.values_mut().for_each(Server::stop);
            self.servers.clear();
        }
        let commands = commands(block);
        let last = commands.len();
        for (number, (line, command, shown)) in commands.into_iter().enumerate() {
            let exit = block.option("exit").filter(|_| number + 1 == last).map_or(0, |code| code.parse().unwrap());
            self.run(&command, &shown, exit).map_err(|error| (line, format!("{command}\n{error}")))?;
        }
        Ok(last)
    }

    fn run(&mut self, command: &str, shown: &[String], exit: i32) -> Result<(), String> {
        let command = &command.replace("cargo run --release -- ", "evenkeel ");
        if let Some(folder) = command.strip_prefix("cd ") {
            self.current = self.current.join(folder);
            return Ok(());
        }
        if let Some(name) = command.strip_prefix("unset ") {
            self.variables.remove(name);
            return Ok(());
        }
        if let Some(found) =
            regex(r"^(?:export )?([A-Za-z_]+)=(\S*|'[^']*'|\x22[^\x22]*\x22|\$\(.*\))$").captures(command)
        {
            let (_, value) = self.shell(&format!("{} && printf '%s' \"${}\"", &found[0], &found[1]), true)?;
            self.variables.insert(found[1].to_owned(), value);
            return Ok(());
        }
        if regex(r"^(\w+=\S+ )*evenkeel (dev|serve)\b").is_match(command) && exit == 0 {
            return self.start(command.trim_end_matches(" &"), shown);
        }
        let deadline = Instant::now() + SETTLE_TIMEOUT;
        loop {
            let (code, output) = match command.strip_prefix("curl ") {
                Some(arguments) => (0, self.curl(arguments)?),
                None => self.shell(command, false)?,
            };
            let result = match (code == exit, shown) {
                (false, _) => Err(format!("exit status {code} instead of {exit}:\n{output}")),
                (true, []) => Ok(()),
                (true, shown) => compare(shown, &output),
            };
            if result.is_ok() || !regex(READERS).is_match(command) || Instant::now() > deadline {
                return result;
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Runs a command in a shell; gives its status and its output, or only stdout.
    fn shell(&mut self, command: &str, only_stdout: bool) -> Result<(i32, String), String> {
        let file = self.output_file();
        let output = std::fs::File::create(&file).map_err(|error| error.to_string())?;
        let errors = if only_stdout { Stdio::null() } else { Stdio::from(output.try_clone().unwrap()) };
        let mut shell = self.command(&self.real(command));
        let mut child = shell.stdout(output).stderr(errors).spawn().map_err(|error| error.to_string())?;
        let deadline = Instant::now() + COMMAND_TIMEOUT;
        let status = loop {
            match child.try_wait().map_err(|error| error.to_string())? {
                Some(status) => break status,
                None if Instant::now() > deadline => {
                    let _ = child.kill();
                    let _ = child.wait();
                    return Err(format!("no end after {COMMAND_TIMEOUT:?}"));
                }
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        let text = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
        Ok((status.code().unwrap_or(-1), self.documented(&text)))
    }

    /// A shell that runs a command with this session's folder and variables.
    fn command(&self, command: &str) -> Command {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).current_dir(&self.current).stdin(Stdio::null());
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("EVENKEEL_")) {
            shell.env_remove(name);
        }
        shell.env("PATH", format!("{}:{path}", self.bin.path().display())).env("HOME", self.bin.path());
        shell.env_remove("CLICOLOR_FORCE").env("NO_COLOR", "1").env("COLUMNS", "100");
        for role in ["AUTHOR", "COMMITTER"] {
            shell.env(format!("GIT_{role}_NAME"), "Ada").env(format!("GIT_{role}_EMAIL"), "ada@acme.example");
        }
        crate::git_server::isolated(&mut shell);
        // `plan` compares folders unless a server is named.
        if let Some(server) = self.servers.get(&DEFAULT_PORT).filter(|_| !command.contains("evenkeel plan")) {
            shell.env("EVENKEEL_SERVER", &server.address);
        }
        shell.envs(&self.variables);
        shell
    }

    /// Starts a server on a free port instead of the one that the command names. A server that the page started on the
    /// same port ends.
    fn start(&mut self, command: &str, shown: &[String]) -> Result<(), String> {
        let option = regex(r" (?:--port|-p) (\d+)");
        let port = option.captures(command).map_or(DEFAULT_PORT, |found| found[1].parse().unwrap());
        self.servers.remove(&port);
        let command = self.real(&option.replace(command, ""));
        let output = self.output_file();
        let file = std::fs::File::create(&output).map_err(|error| error.to_string())?;
        let mut shell = self.command(&format!("exec env {command} --port 0"));
        let child = shell.stdout(file.try_clone().unwrap()).stderr(file).spawn().map_err(|error| error.to_string())?;
        let mut server = Server { child, output, address: String::new(), seen: 0 };
        let deadline = Instant::now() + COMMAND_TIMEOUT;
        while server.address.is_empty() {
            let text = String::from_utf8_lossy(&std::fs::read(&server.output).unwrap()).into_owned();
            if let Some(found) = regex(r"listening on (http://\S+)\n").captures(&text) {
                server.address = found[1].to_owned();
            } else if Instant::now() > deadline || server.child.try_wait().unwrap().is_some() {
                return Err(format!("the server did not start:\n{text}"));
            }
            std::thread::sleep(PAUSE);
        }
        self.servers.insert(port, server);
        self.newest = port;
        self.wait_for(port, shown)
    }

    /// Waits until the new output of a server has these lines.
    fn wait_for(&mut self, port: u16, shown: &[String]) -> Result<(), String> {
        let server = self.servers.get(&port).ok_or("no server runs")?;
        let (file, seen) = (server.output.clone(), server.seen);
        let deadline = Instant::now() + SETTLE_TIMEOUT;
        loop {
            let bytes = std::fs::read(&file).unwrap();
            let text = self.documented(&String::from_utf8_lossy(&bytes[seen..]));
            match contains(shown, &text) {
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => std::thread::sleep(PAUSE),
                Ok(()) => {
                    self.servers.get_mut(&port).unwrap().seen = bytes.len();
                    return Ok(());
                }
            }
        }
    }

    /// Sends the request of a `curl` command: `-X`, `-H`, `-d`, `-i` and an address.
    fn curl(&mut self, arguments: &str) -> Result<String, String> {
        let (_, words) = self.shell(&format!("printf '%s\\n' {arguments}"), true)?;
        let (mut method, mut headers, mut body, mut address, mut show_head) = (None, Vec::new(), None, None, false);
        let mut words = words.lines().map(str::to_owned);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} without a value"));
            match word.as_str() {
                "-X" => method = Some(value()?),
                "-H" => headers.push(value()?),
                "-d" => body = Some(value()?),
                "-i" => show_head = true,
                word if word.starts_with("http://") => address = Some(self.real(word)),
                word => return Err(format!("this test does not know `{word}` of curl")),
            }
        }
        let address = address.ok_or("no address")?;
        let (host, path) = address["http://".len()..].split_once('/').unwrap_or((&address["http://".len()..], ""));
        let headers: Vec<(&str, &str)> = headers.iter().filter_map(|header| header.split_once(": ")).collect();
        let method = method.unwrap_or_else(|| if body.is_some() { "POST" } else { "GET" }.to_owned());
        let answer = request(host, &method, &format!("/{path}"), &headers, body.as_deref().unwrap_or_default());
        if !show_head && answer.status >= 400 {
            return Err(format!("{answer:?}"));
        }
        let mut text = String::new();
        if show_head {
            text += &format!("HTTP/1.1 {}\n", answer.status);
            answer.headers.iter().for_each(|(name, value)| text += &format!("{name}: {value}\n"));
        }
        Ok(self.documented(&(text + &answer.body)))
    }

    /// A text with the addresses that servers really have.
    fn real(&self, text: &str) -> String {
        self.servers.iter().fold(text.to_owned(), |text, (port, server)| {
            text.replace(&format!("http://127.0.0.1:{port}"), &server.address)
        })
    }

    /// A text with the addresses and folders of the documents.
    fn documented(&self, text: &str) -> String {
        self.servers.iter().fold(text.to_owned(), |text, (port, server)| {
            text.replace(&server.address, &format!("http://127.0.0.1:{port}"))
        })
    }

    fn output_file(&mut self) -> PathBuf {
        self.outputs += 1;
        self.bin.path().join(format!("output-{}", self.outputs))
    }
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).unwrap()
}
