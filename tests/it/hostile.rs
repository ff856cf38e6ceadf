//! Malicious and malformed inputs: the rows of the fault table about reading, schemas and templates. Each row has at least
//! one test, named after it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod bombs;
mod files;
mod injection;
mod json;
mod numbers;
mod responses;
mod schemas;
mod templates;
mod yaml;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::pin::Pin;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use evenkeel::catalog::{self, Snapshot};
use evenkeel::connector::{
    self, Call, CallError, CallOutcome, MaskedSecrets, PreparedRequest, Runtime, Upstream, UpstreamResponse,
};
use evenkeel::reconcile::validate::{self, Validated};
use evenkeel::source::directory;
use evenkeel::text::{self, Finding, Node, ReadLimits, SourceMap};

/// `EK0004 a.yaml:2:1` of each finding.
fn places<'a>(findings: impl IntoIterator<Item = &'a Finding>, sources: &SourceMap) -> Vec<String> {
    let place = |finding: &Finding| finding.span().map_or_else(String::new, |span| sources.display_position(span));
    findings.into_iter().map(|finding| format!("{} {}", finding.code.id, place(finding))).collect()
}

/// The values of a file's documents as JSON, and its findings as `EK0004 a.yaml:2:1`.
fn read(path: &str, bytes: &[u8]) -> (Vec<serde_json::Value>, Vec<String>) {
    let (mut sources, mut findings) = (SourceMap::default(), Vec::new());
    let documents = text::read(&mut sources, path, bytes, &ReadLimits::default(), &mut findings);
    let values = documents.iter().map(|document| Node::to_json(&document.root)).collect();
    (values, places(&findings, &sources))
}

/// Fails if a table of cases has failures, and lists all of them.
#[track_caller]
fn assert_no_failures(failures: Vec<String>) {
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

/// Writes files to a folder and validates it.
fn folder<N: AsRef<str>, T: AsRef<[u8]>>(files: &[(N, T)]) -> Validated {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name.as_ref());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    validated(folder.path())
}

/// Validates a folder like `validate::folder`, with paths relative to the folder.
fn validated(folder: &Path) -> Validated {
    let (mut snapshot, unreadable) = directory::read(folder).unwrap();
    snapshot.shown_under.clear();
    validate::with(&snapshot, unreadable)
}

/// The errors of a folder as `EK0004 a.yaml:2:1`, without warnings.
fn errors(validated: &Validated) -> Vec<String> {
    let error = |finding: &&Finding| finding.severity == text::Severity::Error;
    places(validated.findings.iter().filter(error), &validated.catalog.sources)
}

/// The text of a connector `probe` with the given actions, which are indented by four spaces.
fn probe(actions: &str) -> String {
    let actions: String = actions.lines().map(|line| format!("    {line}\n")).collect();
    format!(
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Connector\nmetadata:\n  name: probe\nspec:\n  displayName: Probe\n  \
         baseUrl: https://api.orbit.example/v1\n  actions:\n{actions}"
    )
}

/// Number of lines of [`probe`] before its first action.
const PROBE_LINES: usize = 8;

/// Compiles definitions that must be valid.
fn runtime(text: &str) -> Runtime {
    let snapshot = Snapshot::of([("probe.yaml", text.as_bytes())]);
    let (catalog, findings) = catalog::load(&snapshot);
    assert_eq!(places(&findings, &catalog.sources), [""; 0], "{text}");
    Runtime::compile(&catalog, None, String::new(), None).unwrap()
}

/// Prepares the request of an action of `probe`.
fn prepare(runtime: &Runtime, action: &str, call: &Call) -> Result<PreparedRequest, CallError> {
    connector::prepare(runtime, Arc::new(MaskedSecrets), "probe", action, call)
}

fn input(input: serde_json::Value) -> Call {
    Call { input, ..Call::default() }
}

type ResponseFuture<'a> = Pin<Box<dyn Future<Output = Result<UpstreamResponse, CallError>> + Send + 'a>>;

/// An application with a fixed response.
struct FixedResponse {
    status: u16,
    headers: BTreeMap<String, String>,
    body: bytes::Bytes,
}

impl FixedResponse {
    fn new(status: u16, body: impl Into<Vec<u8>>) -> FixedResponse {
        let headers = BTreeMap::from([("content-type".to_owned(), "application/json".to_owned())]);
        FixedResponse { status, headers, body: body.into().into() }
    }
}

impl Upstream for FixedResponse {
    fn send<'a>(&'a self, _connector: &'a str, _action: &'a str, _request: &'a PreparedRequest) -> ResponseFuture<'a> {
        let response = UpstreamResponse {
            status: self.status,
            headers: self.headers.clone(),
            body: self.body.clone(),
            mock: None,
        };
        Box::pin(async move { Ok(response) })
    }
}

/// Calls an action of `probe` against an application with a fixed response.
fn call(runtime: &Runtime, response: &FixedResponse, action: &str, call: Call) -> CallOutcome {
    let executor = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    executor.block_on(connector::call(runtime, response, Arc::new(MaskedSecrets), "probe", action, call))
}

/// Runs an ignored test of this executable in a separate process, through a shell command that ends with `"$0" "$@"`, and
/// returns its output. A failure or a timeout is an error; the timeout is far above the expected duration and only
/// prevents a hanging process from blocking the tests.
fn child(shell: &str, test: &str, variables: &[(&str, &str)], timeout: Duration) -> Result<String, String> {
    fn drain(mut pipe: impl std::io::Read + Send + 'static) -> std::thread::JoinHandle<String> {
        std::thread::spawn(move || {
            let mut output = Vec::new();
            pipe.read_to_end(&mut output).unwrap();
            String::from_utf8_lossy(&output).into_owned()
        })
    }
    let mut command = Command::new("sh");
    command.arg("-c").arg(shell).arg(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "--nocapture", "--test-threads=1", test]);
    command.envs(variables.iter().copied()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let (out, err) = (drain(process.stdout.take().unwrap()), drain(process.stderr.take().unwrap()));
    let end = Instant::now() + timeout;
    let ended = loop {
        match process.try_wait().unwrap() {
            Some(status) => break status.success().then_some(()).ok_or_else(|| format!("ended with {status}")),
            None if Instant::now() > end => {
                process.kill().unwrap();
                process.wait().unwrap();
                break Err("does not end".to_owned());
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    let (out, err) = (out.join().unwrap(), err.join().unwrap());
    ended.map_err(|error| format!("{test} {variables:?} {error}\n{out}\n{err}")).map(|()| out)
}

/// Prints from a worker process, bypassing the capture of the test harness.
fn print_line(text: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).unwrap();
    out.flush().unwrap();
}
