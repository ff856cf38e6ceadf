//! Scripts in processes of their own: what brings one down brings down nothing else, and the operating system keeps limits.
//!
//! ```text
//! server ──{"run": …}──► script worker        one line of JSON each way; one script at a time
//!        ◄─{"ask": …}───
//!        ──{"told": …}─►
//!        ◄─{"ended": …}─
//! ```

use std::future::poll_fn;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{mpsc, oneshot};

use super::engine::{
    CancelReason, CancelToken, HostCall, HostReply, Limits, ScriptEngine, ScriptException, ScriptHost, ScriptOutcome,
    ScriptRun,
};
use super::quickjs::QuickJs;

/// Scripts that one process runs before another takes its place.
const MAX_RUNS: u64 = 500;
/// Processes that wait for a script.
const MAX_IDLE: usize = 16;
/// Bytes of one line: a value may be 4 MiB, and escaping makes it six times as long at most. A process whose engine broke
/// must not fill this one's memory.
const MAX_LINE: u64 = 32 << 20;
/// Bytes of address space beside what the program has when it starts and what scripts may use: threads, their stacks, and
/// what the allocator reserves and does not touch.
const BESIDE: u64 = 2 << 30;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum ToScript {
    Execution(u64, Box<ScriptRun>, Limits),
    Told(u64, HostReply),
    CancelToken,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum FromScript {
    Ask(u64, u64, HostCall),
    ScriptOutcome(u64, ScriptOutcome),
}

/// Runs scripts in processes of their own.
#[derive(Debug)]
pub struct ProcessEngine {
    program: PathBuf,
    idle: Arc<Mutex<Vec<Process>>>,
}

#[derive(Debug)]
struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// The beginning of a line that has not come whole.
    line: Vec<u8>,
    runs: u64,
}

impl ProcessEngine {
    /// An engine that starts `program script-worker`.
    pub fn new(program: PathBuf) -> ProcessEngine {
        ProcessEngine { program, idle: Arc::default() }
    }

    fn take(&self) -> std::io::Result<Process> {
        if let Some(process) = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            return Ok(process);
        }
        let mut child = Command::new(&self.program)
            .arg("script-worker")
            // Nothing of this process's environment: it may hold secrets.
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let broken = || std::io::Error::other("a script worker has no pipes");
        let (input, output) = (child.stdin.take().ok_or_else(broken)?, child.stdout.take().ok_or_else(broken)?);
        Ok(Process { child, input, output: BufReader::new(output), line: Vec::new(), runs: 0 })
    }
}

#[async_trait]
impl ScriptEngine for ProcessEngine {
    async fn run(
        &self,
        call: ScriptRun,
        limits: Limits,
        host: Arc<dyn ScriptHost>,
        stop: CancelToken,
    ) -> ScriptOutcome {
        let threw = |message: String| ScriptOutcome::Threw(ScriptException::new("SCRIPT_PROCESS_ENDED", message));
        let mut process = match self.take() {
            Ok(process) => process,
            Err(error) => return threw(format!("a script worker cannot be started: {error}")),
        };
        // It ends by itself in time; one that does not is killed.
        let patience = limits.time.saturating_add(Duration::from_secs(2));
        let ended = tokio::time::timeout(patience, process.run(call, limits, host, stop)).await;
        match ended {
            Ok(Ok(ended)) => {
                let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
                if process.runs < MAX_RUNS && idle.len() < MAX_IDLE {
                    idle.push(process);
                }
                ended
            }
            Ok(Err(error)) => {
                let status = tokio::time::timeout(Duration::from_secs(1), process.child.wait()).await;
                let how =
                    status.ok().and_then(Result::ok).map_or_else(|| error.to_string(), |status| status.to_string());
                threw(format!("the script's process ended: {how}"))
            }
            Err(_) => ScriptOutcome::TimedOut,
        }
    }
}

impl Process {
    async fn run(
        &mut self,
        call: ScriptRun,
        limits: Limits,
        host: Arc<dyn ScriptHost>,
        stop: CancelToken,
    ) -> std::io::Result<ScriptOutcome> {
        self.runs += 1;
        // What an earlier script asked for and did not wait for is nobody's.
        let own = self.runs;
        self.send(&ToScript::Execution(own, Box::new(call), limits)).await?;
        let (answer, mut answers) = mpsc::unbounded_channel::<(u64, HostReply)>();
        let mut stopping = false;
        loop {
            tokio::select! {
                line = next_line(&mut self.output, &mut self.line) => {
                    match serde_json::from_slice(&line?)? {
                        FromScript::ScriptOutcome(run, ended) if run == own => return Ok(ended),
                        FromScript::Ask(run, id, op) if run == own => {
                            let (mut answering, answer) = (Arc::clone(&host).call(op), answer.clone());
                            // In the order that the script asked; see the other engine.
                            match poll_fn(|context| Poll::Ready(answering.as_mut().poll(context))).await {
                                Poll::Ready(reply) => self.send(&ToScript::Told(id, reply)).await?,
                                Poll::Pending => {
                                    tokio::spawn(async move {
                                        let reply = answering.await;
                                        let _ = answer.send((id, reply));
                                    });
                                }
                            }
                        }
                        FromScript::ScriptOutcome(..) | FromScript::Ask(..) => {}
                    }
                }
                Some((id, reply)) = answers.recv() => self.send(&ToScript::Told(id, reply)).await?,
                () = stop.stopped(), if !stopping => {
                    stopping = true;
                    self.send(&ToScript::CancelToken).await?;
                }
            }
        }
    }

    async fn send(&mut self, message: &ToScript) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        self.input.write_all(&line).await?;
        self.input.flush().await
    }
}

/// The next line. What came of it is kept in `line`, so that it may be dropped in between.
async fn next_line(output: &mut BufReader<ChildStdout>, line: &mut Vec<u8>) -> std::io::Result<Vec<u8>> {
    let left = MAX_LINE.saturating_sub(line.len() as u64);
    output.take(left).read_until(b'\n', line).await?;
    match line.last() {
        Some(b'\n') => Ok(std::mem::take(line)),
        _ => Err(std::io::Error::other("it broke off, or says too much")),
    }
}

/// Answers of the server, for one script.
#[derive(Clone)]
struct Remote {
    run: u64,
    out: mpsc::UnboundedSender<FromScript>,
    next: Arc<AtomicU64>,
    waiting: Arc<Mutex<std::collections::HashMap<u64, oneshot::Sender<HostReply>>>>,
}

impl ScriptHost for Remote {
    fn call(self: Arc<Self>, op: HostCall) -> BoxFuture<'static, HostReply> {
        Box::pin(async move {
            let id = self.next.fetch_add(1, Ordering::Relaxed);
            let (tell, told) = oneshot::channel();
            self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id, tell);
            if self.out.send(FromScript::Ask(self.run, id, op)).is_err() {
                return HostReply::Gone;
            }
            told.await.unwrap_or(HostReply::Gone)
        })
    }
}

/// What `evenkeel script-worker` does: runs scripts that come in, one at a time, until that is closed.
///
/// # Errors
/// Where the pipes break.
pub async fn serve_scripts(
    input: impl tokio::io::AsyncRead + Unpin,
    mut output: impl tokio::io::AsyncWrite + Unpin + Send + 'static,
) -> std::io::Result<()> {
    let mut input = BufReader::new(input).lines();
    let (out, mut messages) = mpsc::unbounded_channel::<FromScript>();
    let writing = tokio::spawn(async move {
        while let Some(message) = messages.recv().await {
            let Ok(mut line) = serde_json::to_vec(&message) else { continue };
            line.push(b'\n');
            if output.write_all(&line).await.is_err() || output.flush().await.is_err() {
                // Nobody is there who could be told anything.
                std::process::exit(1);
            }
        }
    });
    let mut remote = Remote { run: 0, out: out.clone(), next: Arc::default(), waiting: Arc::default() };
    let mut stop = CancelToken::default();
    while let Some(line) = input.next_line().await? {
        match serde_json::from_str(&line)? {
            ToScript::Execution(run, call, limits) => {
                limit(limits);
                stop = CancelToken::default();
                remote.run = run;
                let (host, out, stop): (Arc<dyn ScriptHost>, _, _) =
                    (Arc::new(remote.clone()), out.clone(), stop.clone());
                tokio::spawn(async move {
                    let ended = QuickJs.run(*call, limits, host, stop).await;
                    let _ = out.send(FromScript::ScriptOutcome(run, ended));
                });
            }
            ToScript::Told(id, reply) => {
                let waiting = remote.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
                if let Some(tell) = waiting {
                    let _ = tell.send(reply);
                }
            }
            ToScript::CancelToken => stop.stop(CancelReason::Cancelled),
        }
    }
    drop((remote, out));
    let _ = writing.await;
    Ok(())
}

/// Limits of the operating system for this process, set once: address space, no files, no core dumps. The engine's own limit
/// of memory is the narrow one; this is for what goes wrong in the engine.
fn limit(limits: Limits) {
    static SET: std::sync::Once = std::sync::Once::new();
    SET.call_once(|| set_limits(limits));
}

fn set_limits(limits: Limits) {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let most = |value: u64| Rlimit { current: Some(value), maximum: Some(value) };
    // In pages, which have 4 KiB at least.
    let pages = std::fs::read_to_string("/proc/self/statm");
    let pages: u64 = pages.ok().and_then(|text| text.split(' ').next()?.parse().ok()).unwrap_or(1 << 20);
    let memory = BESIDE.saturating_add(pages << 12).saturating_add(limits.memory as u64);
    // Lowering is always allowed; what cannot be lowered was lowered before.
    let _ = setrlimit(Resource::As, most(memory));
    let _ = setrlimit(Resource::Core, most(0));
    let _ = setrlimit(Resource::Fsize, most(0));
}
