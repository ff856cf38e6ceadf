//! Inputs that are wrong on purpose: the rows of the fault list about reading, schemas and templates, one test or more
//! for each, named after its row.
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
    let place = |finding: &Finding| finding.span().map_or_else(String::new, |span| sources.place(span));
    findings.into_iter().map(|finding| format!("{} {}", finding.code.id, place(finding))).collect()
}

/// The values of a file's documents as JSON, and its findings as `EK0004 a.yaml:2:1`.
fn read(path: &str, bytes: &[u8]) -> (Vec<serde_json::Value>, Vec<String>) {
    let (mut sources, mut findings) = (SourceMap::default(), Vec::new());
    let documents = text::read(&mut sources, path, bytes, &ReadLimits::default(), &mut findings);
    let values = documents.iter().map(|document| Node::to_json(&document.root)).collect();
    (values, places(&findings, &sources))
}

/// A table of cases: all that are wrong are told at once.
#[track_caller]
fn none_wrong(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Writes files into a folder and examines it.
fn folder<N: AsRef<str>, T: AsRef<[u8]>>(files: &[(N, T)]) -> Validated {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name.as_ref());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    examined(folder.path())
}

/// As `validate::folder`, with paths from the folder.
fn examined(folder: &Path) -> Validated {
    let (mut snapshot, unreadable) = directory::read(folder).unwrap();
    snapshot.shown_under.clear();
    validate::with(&snapshot, unreadable)
}

/// The errors of a folder as `EK0004 a.yaml:2:1`; warnings are left out.
fn errors(examined: &Validated) -> Vec<String> {
    let error = |finding: &&Finding| finding.severity == text::Severity::Error;
    places(examined.findings.iter().filter(error), &examined.catalog.sources)
}

/// The whole text of a connector `probe` with these actions (two spaces of indentation are added).
fn probe(actions: &str) -> String {
    let actions: String = actions.lines().map(|line| format!("    {line}\n")).collect();
    format!(
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Connector\nmetadata:\n  name: probe\nspec:\n  displayName: Probe\n  \
         baseUrl: https://api.orbit.example/v1\n  actions:\n{actions}"
    )
}

/// The lines of [`probe`] before its first action.
const PROBE_LINES: usize = 8;

/// Compiles definitions that must be free of errors.
fn runtime(text: &str) -> Runtime {
    let snapshot = Snapshot::of([("probe.yaml", text.as_bytes())]);
    let (catalog, findings) = catalog::load(&snapshot);
    assert_eq!(places(&findings, &catalog.sources), [""; 0], "{text}");
    Runtime::compile(&catalog, None, String::new(), None).unwrap()
}

/// The request of an action of `probe`.
fn prepare(runtime: &Runtime, action: &str, call: &Call) -> Result<PreparedRequest, CallError> {
    connector::prepare(runtime, Arc::new(MaskedSecrets), "probe", action, call)
}

fn input(input: serde_json::Value) -> Call {
    Call { input, ..Call::default() }
}

type ResponseFuture<'a> = Pin<Box<dyn Future<Output = Result<UpstreamResponse, CallError>> + Send + 'a>>;

/// An application that always answers the same.
struct Answers {
    status: u16,
    headers: BTreeMap<String, String>,
    body: bytes::Bytes,
}

impl Answers {
    fn new(status: u16, body: impl Into<Vec<u8>>) -> Answers {
        let headers = BTreeMap::from([("content-type".to_owned(), "application/json".to_owned())]);
        Answers { status, headers, body: body.into().into() }
    }
}

impl Upstream for Answers {
    fn send<'a>(&'a self, _connector: &'a str, _action: &'a str, _request: &'a PreparedRequest) -> ResponseFuture<'a> {
        let answer = UpstreamResponse {
            status: self.status,
            headers: self.headers.clone(),
            body: self.body.clone(),
            mock: None,
        };
        Box::pin(async move { Ok(answer) })
    }
}

/// Calls an action of `probe` on an application that answers so.
fn call(runtime: &Runtime, answers: &Answers, action: &str, call: Call) -> CallOutcome {
    let executor = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    executor.block_on(connector::call(runtime, answers, Arc::new(MaskedSecrets), "probe", action, call))
}

/// Runs an ignored test of this executable in a process of its own, through a line of shell that ends by running
/// `"$0" "$@"`, and gives what it printed; an error where it ends badly, or has not ended after a time that is far
/// above what it takes: a process that hangs must not hang the tests.
fn child(shell: &str, test: &str, variables: &[(&str, &str)], most: Duration) -> Result<String, String> {
    fn drain(mut pipe: impl std::io::Read + Send + 'static) -> std::thread::JoinHandle<String> {
        std::thread::spawn(move || {
            let mut told = Vec::new();
            pipe.read_to_end(&mut told).unwrap();
            String::from_utf8_lossy(&told).into_owned()
        })
    }
    let mut command = Command::new("sh");
    command.arg("-c").arg(shell).arg(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "--nocapture", "--test-threads=1", test]);
    command.envs(variables.iter().copied()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let (out, err) = (drain(process.stdout.take().unwrap()), drain(process.stderr.take().unwrap()));
    let end = Instant::now() + most;
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

/// Prints from a worker: the test harness does not hold it back.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).unwrap();
    out.flush().unwrap();
}
