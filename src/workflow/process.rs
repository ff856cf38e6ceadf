//! Scripts in processes of their own: a crash ends one script only, and the operating system enforces limits.
//!
//! ```text
//! server ──{"run": …}──► script worker        one line of JSON each way; one script at a time
//!        ◄─{"call": …}──
//!        ──{"reply": …}►
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
    CancelReason, CancelToken, HostCall, HostReply, ScriptEngine, ScriptException, ScriptHost, ScriptLimits,
    ScriptOutcome, ScriptRun,
};
use super::quickjs::QuickJs;

/// Number of scripts that a process runs before it is replaced.
const MAX_RUNS: u64 = 500;
/// Maximum number of idle processes.
const MAX_IDLE: usize = 16;
/// Maximum length of a line in bytes: a value may have 4 MiB, and escaping makes it at most six times as long. A broken
/// process must not exhaust the memory of this one.
const MAX_LINE_BYTES: u64 = 32 << 20;
/// Address space in bytes beyond that of the started program and the memory limit of scripts: threads, their stacks, and
/// what the allocator reserves without using it.
const EXTRA_ADDRESS_SPACE: u64 = 2 << 30;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum ToScript {
    Run(u64, Box<ScriptRun>, ScriptLimits),
    Reply(u64, HostReply),
    Cancel,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum FromScript {
    Call(u64, u64, HostCall),
    Ended(u64, ScriptOutcome),
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
    /// The received part of an incomplete line.
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
            // Without this process's environment, which may hold secrets.
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
        script: ScriptRun,
        limits: ScriptLimits,
        host: Arc<dyn ScriptHost>,
        cancel: CancelToken,
    ) -> ScriptOutcome {
        let threw = |message: String| ScriptOutcome::Threw(ScriptException::new("SCRIPT_PROCESS_ENDED", message));
        let mut process = match self.take() {
            Ok(process) => process,
            Err(error) => return threw(format!("cannot start a script worker: {error}")),
        };
        // A process that does not end its script in time is killed.
        let limit = limits.time.saturating_add(Duration::from_secs(2));
        let ended = tokio::time::timeout(limit, process.run(script, limits, host, cancel)).await;
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
                let cause =
                    status.ok().and_then(Result::ok).map_or_else(|| error.to_string(), |status| status.to_string());
                threw(format!("the script's process ended: {cause}"))
            }
            Err(_) => ScriptOutcome::TimedOut,
        }
    }
}

impl Process {
    async fn run(
        &mut self,
        script: ScriptRun,
        limits: ScriptLimits,
        host: Arc<dyn ScriptHost>,
        cancel: CancelToken,
    ) -> std::io::Result<ScriptOutcome> {
        self.runs += 1;
        // The number of the run: messages of earlier scripts are ignored.
        let number = self.runs;
        self.send(&ToScript::Run(number, Box::new(script), limits)).await?;
        let (sender, mut replies) = mpsc::unbounded_channel::<(u64, HostReply)>();
        let mut cancelling = false;
        loop {
            tokio::select! {
                line = next_line(&mut self.output, &mut self.line) => {
                    match serde_json::from_slice(&line?)? {
                        FromScript::Ended(run, ended) if run == number => return Ok(ended),
                        FromScript::Call(run, id, call) if run == number => {
                            let (mut pending, sender) = (Arc::clone(&host).call(call), sender.clone());
                            // In the order of the calls, as in the other engine.
                            match poll_fn(|context| Poll::Ready(pending.as_mut().poll(context))).await {
                                Poll::Ready(reply) => self.send(&ToScript::Reply(id, reply)).await?,
                                Poll::Pending => {
                                    tokio::spawn(async move {
                                        let reply = pending.await;
                                        let _ = sender.send((id, reply));
                                    });
                                }
                            }
                        }
                        FromScript::Ended(..) | FromScript::Call(..) => {}
                    }
                }
                Some((id, reply)) = replies.recv() => self.send(&ToScript::Reply(id, reply)).await?,
                () = cancel.cancelled(), if !cancelling => {
                    cancelling = true;
                    self.send(&ToScript::Cancel).await?;
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

/// Reads the next line. The received part is kept in `line`, so that the future may be dropped.
async fn next_line(output: &mut BufReader<ChildStdout>, line: &mut Vec<u8>) -> std::io::Result<Vec<u8>> {
    let left = MAX_LINE_BYTES.saturating_sub(line.len() as u64);
    output.take(left).read_until(b'\n', line).await?;
    match line.last() {
        Some(b'\n') => Ok(std::mem::take(line)),
        _ => Err(std::io::Error::other("the line is incomplete or too long")),
    }
}

/// The host of a script, which is the server at the other end of the pipes.
#[derive(Clone)]
struct RemoteHost {
    run: u64,
    out: mpsc::UnboundedSender<FromScript>,
    next: Arc<AtomicU64>,
    waiting: Arc<Mutex<std::collections::HashMap<u64, oneshot::Sender<HostReply>>>>,
}

impl ScriptHost for RemoteHost {
    fn call(self: Arc<Self>, call: HostCall) -> BoxFuture<'static, HostReply> {
        Box::pin(async move {
            let id = self.next.fetch_add(1, Ordering::Relaxed);
            let (sender, reply) = oneshot::channel();
            self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id, sender);
            if self.out.send(FromScript::Call(self.run, id, call)).is_err() {
                return HostReply::LeaseLost;
            }
            reply.await.unwrap_or(HostReply::LeaseLost)
        })
    }
}

/// Runs received scripts, one at a time, until the input is closed: `evenkeel script-worker`.
///
/// # Errors
/// A pipe is broken.
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
                // The server is gone.
                std::process::exit(1);
            }
        }
    });
    let mut remote = RemoteHost { run: 0, out: out.clone(), next: Arc::default(), waiting: Arc::default() };
    let mut cancel = CancelToken::default();
    while let Some(line) = input.next_line().await? {
        match serde_json::from_str(&line)? {
            ToScript::Run(run, script, limits) => {
                limit_once(limits);
                cancel = CancelToken::default();
                remote.run = run;
                let (host, out, cancel): (Arc<dyn ScriptHost>, _, _) =
                    (Arc::new(remote.clone()), out.clone(), cancel.clone());
                tokio::spawn(async move {
                    let ended = QuickJs.run(*script, limits, host, cancel).await;
                    let _ = out.send(FromScript::Ended(run, ended));
                });
            }
            ToScript::Reply(id, reply) => {
                let sender = remote.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
                if let Some(sender) = sender {
                    let _ = sender.send(reply);
                }
            }
            ToScript::Cancel => cancel.cancel(CancelReason::Cancelled),
        }
    }
    drop((remote, out));
    let _ = writing.await;
    Ok(())
}

/// Sets the operating system's limits of this process once: address space, no files, no core dumps. The engine's own
/// memory limit is lower; these limits apply if the engine fails.
fn limit_once(limits: ScriptLimits) {
    static SET: std::sync::Once = std::sync::Once::new();
    SET.call_once(|| set_limits(limits));
}

fn set_limits(limits: ScriptLimits) {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let limit = |value: u64| Rlimit { current: Some(value), maximum: Some(value) };
    // In pages of at least 4 KiB.
    let pages = std::fs::read_to_string("/proc/self/statm");
    let pages: u64 = pages.ok().and_then(|text| text.split(' ').next()?.parse().ok()).unwrap_or(1 << 20);
    let memory = EXTRA_ADDRESS_SPACE.saturating_add(pages << 12).saturating_add(limits.memory as u64);
    // Lowering is always allowed. A failure means that the limit was already lower.
    let _ = setrlimit(Resource::As, limit(memory));
    let _ = setrlimit(Resource::Core, limit(0));
    let _ = setrlimit(Resource::Fsize, limit(0));
}
