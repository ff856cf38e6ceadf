//! Scripts in QuickJS, with a context per run, on a blocking thread.
//!
//! ```text
//! module ──► run all jobs ──► reply received:              settle its promise, repeat
//!                             only suspended calls left:   suspended
//!                             main promise settled:        returned or threw
//! ```
//!
//! The interrupt handler ends busy loops. Waiting has the same deadline.

mod bytecode;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::task::Poll;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rquickjs::promise::PromiseState;
use rquickjs::{Context, Ctx, Error, Exception, Function, Object, Promise, Runtime, Value as Js};
use serde_json::Value;
use tokio::runtime::Handle;

use self::bytecode::Bytecode;
use super::engine::{
    CancelToken, HostCall, HostReply, ScriptEngine, ScriptException, ScriptHost, ScriptLimits, ScriptOutcome, ScriptRun,
};
use crate::store::Micros;

/// Interval at which a waiting script checks for its cancellation.
const CANCEL_CHECK_INTERVAL: Duration = Duration::from_millis(200);

/// Maximum growth of a pooled runtime per script in bytes, such as interned names. A larger growth is a leak.
const MAX_GROWTH_BYTES: i64 = 32 << 10;

/// QuickJS in this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct QuickJs;

#[async_trait]
impl ScriptEngine for QuickJs {
    async fn run(
        &self,
        script: ScriptRun,
        limits: ScriptLimits,
        host: Arc<dyn ScriptHost>,
        cancel: CancelToken,
    ) -> ScriptOutcome {
        let handle = Handle::current();
        let run = tokio::task::spawn_blocking(move || run(&script, limits, &host, &cancel, &handle));
        run.await.unwrap_or_else(|_| {
            ScriptOutcome::Threw(ScriptException::new("INTERNAL", "the script engine panicked; please report this"))
        })
    }
}

/// Maximum number of scripts that are compiled in one context, which keeps them.
const MAX_SCRIPTS_PER_CONTEXT: usize = 64;

/// Compiles scripts without running them, as [`ScriptEngine::run`] of this engine does. Returns those that cannot be
/// compiled, by their position.
pub fn compile_errors(scripts: &[(&str, &str)]) -> Vec<(usize, ScriptException)> {
    let mut errors = Vec::new();
    for (number, chunk) in scripts.chunks(MAX_SCRIPTS_PER_CONTEXT).enumerate() {
        let limits = ScriptLimits::default();
        let created = Runtime::new().and_then(|runtime| {
            runtime.set_memory_limit(limits.memory);
            runtime.set_max_stack_size(limits.stack);
            Context::full(&runtime)
        });
        for (at, (file, code)) in chunk.iter().enumerate() {
            let error = match &created {
                Ok(context) => context.with(|ctx| match bytecode::script(&ctx, file, code) {
                    Ok(_) => None,
                    Err(Error::Exception) => Some(describe(&ctx, &ctx.catch(), file)),
                    Err(other) => Some(ScriptException::new("SCRIPT_ERROR", other.to_string())),
                }),
                Err(error) => Some(ScriptException::new("OUT_OF_MEMORY", error.to_string())),
            };
            errors.extend(error.map(|error| (number * MAX_SCRIPTS_PER_CONTEXT + at, error)));
        }
    }
    errors
}

thread_local! {
    /// A runtime that completed a script on this thread. Creating one is half of the cost of an engine.
    static POOLED: Cell<Option<PooledRuntime>> = const { Cell::new(None) };
}

/// The calls that the script made and that were not sent to the host yet.
type QueuedCalls = Rc<RefCell<Vec<(f64, String)>>>;

fn run(
    script: &ScriptRun,
    limits: ScriptLimits,
    host: &Arc<dyn ScriptHost>,
    cancel: &CancelToken,
    handle: &Handle,
) -> ScriptOutcome {
    let out_of_memory = |part: &str| {
        ScriptOutcome::Threw(ScriptException::new("OUT_OF_MEMORY", format!("cannot create the script engine: {part}")))
    };
    let Ok(prelude) = bytecode::prelude() else { return out_of_memory("prelude") };
    let Ok(pooled) = POOLED.take().map_or_else(PooledRuntime::new, Ok) else { return out_of_memory("runtime") };
    let runtime = &pooled.runtime;
    let deadline = Instant::now() + limits.time;
    runtime.set_memory_limit(limits.memory);
    runtime.set_max_stack_size(limits.stack);
    let cancelled = cancel.clone();
    runtime.set_interrupt_handler(Some(Box::new(move || Instant::now() >= deadline || cancelled.is_cancelled())));
    let Ok(context) = Context::full(runtime) else { return out_of_memory("context") };
    let ended = context.with(|ctx| {
        let ctx = ctx.clone();
        let mut session =
            ScriptSession { ctx, script, limits, host, cancel, handle, deadline, pending: 0, earliest: None, calls: 0 };
        match session.run(&prelude) {
            Ok(ended) => ended,
            Err(error) => session.outcome_of(&error, None),
        }
    });
    drop(context);
    if matches!(ended, ScriptOutcome::Returned(_)) {
        pooled.put_back();
    }
    ended
}

/// A runtime with its memory size before any script ran.
struct PooledRuntime {
    runtime: Runtime,
    bytes: i64,
}

impl PooledRuntime {
    fn new() -> Result<PooledRuntime, Error> {
        let runtime = Runtime::new()?;
        // The prototype of native functions is created with the first one and stays in that context, so it is created here
        // and not in the context of a script.
        Context::full(&runtime)?.with(|ctx| Function::new(ctx, || ()).map(drop))?;
        runtime.run_gc();
        let bytes = runtime.memory_usage().memory_used_size;
        Ok(PooledRuntime { runtime, bytes })
    }

    /// Pools the runtime for the next script of this thread, unless the last one left jobs or memory behind. Each script has
    /// its own context and globals.
    fn put_back(self) {
        let runtime = &self.runtime;
        runtime.set_interrupt_handler(None);
        runtime.run_gc();
        // Finalizers are jobs too.
        let is_clean =
            !runtime.is_job_pending() && runtime.memory_usage().memory_used_size <= self.bytes + MAX_GROWTH_BYTES;
        if is_clean {
            POOLED.set(Some(self));
        }
    }
}

/// The run of one script.
struct ScriptSession<'a, 'js> {
    ctx: Ctx<'js>,
    script: &'a ScriptRun,
    limits: ScriptLimits,
    host: &'a Arc<dyn ScriptHost>,
    cancel: &'a CancelToken,
    handle: &'a Handle,
    deadline: Instant,
    /// Number of calls without a reply, except suspended ones.
    pending: usize,
    /// The earliest time of the suspended calls.
    earliest: Option<Micros>,
    /// Number of calls so far.
    calls: usize,
}

impl<'js> ScriptSession<'_, 'js> {
    fn run(&mut self, prelude: &Bytecode) -> Result<ScriptOutcome, Error> {
        let queued: QueuedCalls = Rc::default();
        let (settle, start) = self.prelude(prelude, &queued)?;
        let module = bytecode::script(&self.ctx, &self.script.file, &self.script.code)?;
        let (module, evaluated) = module.eval()?;
        let (sender, replies) = channel();
        // A module may await at its top level.
        if let Some(ended) = self.run_until_settled(&evaluated, &queued, &settle, &sender, &replies)? {
            return Ok(ended);
        }
        let main: Js<'js> = module.get("default").or_else(|error| match error {
            Error::Exception => Err(error),
            _ => Ok(Js::new_undefined(self.ctx.clone())),
        })?;
        let output: Promise<'js> = start.call((main,))?;
        if let Some(ended) = self.run_until_settled(&output, &queued, &settle, &sender, &replies)? {
            return Ok(ended);
        }
        let text: rquickjs::String<'js> = match output.result() {
            Some(text) => text?,
            None => {
                return Ok(ScriptOutcome::Threw(ScriptException::new(
                    "SCRIPT_ERROR",
                    "the script never ends, and awaits nothing",
                )));
            }
        };
        let text = text.to_string()?;
        if text.len() > self.limits.value {
            let message = format!("the output is larger than {} bytes as JSON", self.limits.value);
            return Ok(ScriptOutcome::Threw(ScriptException::new("OUTPUT_TOO_LARGE", message)));
        }
        Ok(match serde_json::from_str(&text) {
            Ok(value) => ScriptOutcome::Returned(value),
            Err(error) => {
                ScriptOutcome::Threw(ScriptException::new("SCRIPT_ERROR", format!("the output is not JSON: {error}")))
            }
        })
    }

    fn prelude(&self, code: &Bytecode, queued: &QueuedCalls) -> Result<(Function<'js>, Function<'js>), Error> {
        let ctx = &self.ctx;
        let queued = Rc::clone(queued);
        let send = Function::new(ctx.clone(), move |id: f64, text: String| queued.borrow_mut().push((id, text)))?;
        let (module, _) = bytecode::load(ctx, code)?.eval()?;
        let create: Function<'js> = module.get("default")?;
        let milliseconds = self.script.now as f64 / 1000.0;
        let seed = (self.script.seed & 0xffff_ffff) as f64;
        let created: Object<'js> = create.call((send, self.script.context.to_string(), milliseconds.floor(), seed))?;
        Ok((created.get("settle")?, created.get("start")?))
    }

    /// Runs until a promise is settled. Returns the outcome if the script ended before.
    fn run_until_settled(
        &mut self,
        promise: &Promise<'js>,
        queued: &QueuedCalls,
        settle: &Function<'js>,
        sender: &Sender<(f64, HostReply)>,
        replies: &Receiver<(f64, HostReply)>,
    ) -> Result<Option<ScriptOutcome>, Error> {
        loop {
            while self.ctx.execute_pending_job() {
                if let Some(ended) = self.interrupted() {
                    return Ok(Some(ended));
                }
            }
            if let Some(ended) = self.interrupted() {
                return Ok(Some(ended));
            }
            for (id, text) in queued.take() {
                if let Some(ended) = self.send_call(id, &text, sender) {
                    return Ok(Some(ended));
                }
            }
            match promise.state() {
                PromiseState::Resolved => return Ok(None),
                PromiseState::Rejected => {
                    let error = promise.result::<Js<'js>>();
                    return Ok(Some(match error {
                        Some(Err(error)) => self.outcome_of(&error, None),
                        _ => ScriptOutcome::Threw(ScriptException::new("SCRIPT_ERROR", "the script failed")),
                    }));
                }
                PromiseState::Pending => {}
            }
            if self.pending == 0 {
                return Ok(Some(match self.earliest {
                    Some(until) => ScriptOutcome::Suspended(until),
                    None => ScriptOutcome::Threw(ScriptException::new(
                        "SCRIPT_ERROR",
                        "the script awaits a promise that is never settled",
                    )),
                }));
            }
            let wait = self.deadline.saturating_duration_since(Instant::now()).min(CANCEL_CHECK_INTERVAL);
            match replies.recv_timeout(wait) {
                Ok((id, reply)) => {
                    if let Some(ended) = self.settle(id, reply, settle)? {
                        return Ok(Some(ended));
                    }
                    while let Ok((id, reply)) = replies.try_recv() {
                        if let Some(ended) = self.settle(id, reply, settle)? {
                            return Ok(Some(ended));
                        }
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(Some(ScriptOutcome::LeaseLost)),
            }
        }
    }

    fn interrupted(&self) -> Option<ScriptOutcome> {
        if self.cancel.is_cancelled() {
            return Some(ScriptOutcome::Cancelled);
        }
        (Instant::now() >= self.deadline).then_some(ScriptOutcome::TimedOut)
    }

    /// Sends a call to the host.
    fn send_call(&mut self, id: f64, text: &str, sender: &Sender<(f64, HostReply)>) -> Option<ScriptOutcome> {
        let threw = |code: &str, message: String| Some(ScriptOutcome::Threw(ScriptException::new(code, message)));
        self.calls += 1;
        if self.calls > self.limits.calls {
            return threw("TOO_MANY_CALLS", format!("the script makes more than {} calls", self.limits.calls));
        }
        if text.len() > self.limits.value {
            return threw("VALUE_TOO_LARGE", format!("a call is larger than {} bytes as JSON", self.limits.value));
        }
        let call: HostCall = match serde_json::from_str(text) {
            Ok(call) => call,
            Err(error) => return threw("SCRIPT_ERROR", format!("a call is not JSON: {error}")),
        };
        let (host, sender) = (Arc::clone(self.host), sender.clone());
        if id == 0.0 {
            // A log line: it has no reply, and lines keep their order.
            self.handle.block_on(host.call(call));
            return None;
        }
        self.pending += 1;
        let mut pending = host.call(call);
        // Polled once in the order of the calls, so that another run finds the same calls under the same keys. Slow calls
        // continue concurrently.
        let polled = poll_fn(|context| Poll::Ready(pending.as_mut().poll(context)));
        match self.handle.block_on(polled) {
            Poll::Ready(reply) => {
                let _ = sender.send((id, reply));
            }
            Poll::Pending => {
                self.handle.spawn(async move {
                    let reply = pending.await;
                    let _ = sender.send((id, reply));
                });
            }
        }
        None
    }

    fn settle(&mut self, id: f64, reply: HostReply, settle: &Function<'js>) -> Result<Option<ScriptOutcome>, Error> {
        self.pending = self.pending.saturating_sub(1);
        let milliseconds = |at: Micros| (at as f64 / 1000.0).floor();
        match reply {
            HostReply::Value(value, at) => settle.call::<_, ()>((id, true, value.to_string(), milliseconds(at)))?,
            HostReply::Error(value, at) => settle.call::<_, ()>((id, false, value.to_string(), milliseconds(at)))?,
            HostReply::Suspended(until) => {
                self.earliest = Some(self.earliest.map_or(until, |earliest| earliest.min(until)));
            }
            HostReply::LeaseLost => return Ok(Some(ScriptOutcome::LeaseLost)),
        }
        Ok(None)
    }

    /// The outcome of an error of the engine. Interrupts look like other errors, so they are checked first.
    fn outcome_of(&self, error: &Error, thrown: Option<Js<'js>>) -> ScriptOutcome {
        if let Some(outcome) = self.interrupted() {
            return outcome;
        }
        let thrown = match error {
            Error::Exception => thrown.unwrap_or_else(|| self.ctx.catch()),
            Error::Allocation => {
                return ScriptOutcome::Threw(ScriptException::new("OUT_OF_MEMORY", "the script uses too much memory"));
            }
            other => return ScriptOutcome::Threw(ScriptException::new("SCRIPT_ERROR", other.to_string())),
        };
        ScriptOutcome::Threw(describe(&self.ctx, &thrown, &self.script.file))
    }
}

/// A thrown value as an exception, with its location.
fn describe<'js>(ctx: &Ctx<'js>, thrown: &Js<'js>, file: &str) -> ScriptException {
    let text =
        |value: &Js<'js>| ctx.json_stringify(value.clone()).ok().flatten().and_then(|text| text.to_string().ok());
    let Some(object) = thrown.as_object() else {
        let message = match thrown.as_string().and_then(|text| text.to_string().ok()) {
            Some(text) => text,
            None if thrown.is_null() => {
                return ScriptException::new("OUT_OF_MEMORY", "the script uses too much memory");
            }
            None => text(thrown).unwrap_or_else(|| "the script threw a value that cannot be shown".to_owned()),
        };
        return ScriptException::new("SCRIPT_ERROR", truncated(message, 4096));
    };
    let field = |name: &str| object.get::<_, Option<String>>(name).ok().flatten();
    let exception = Exception::from_object(object.clone());
    let name = field("name").unwrap_or_default();
    let message = exception.as_ref().and_then(Exception::message).or_else(|| field("message"));
    let message = message.or_else(|| text(thrown)).unwrap_or_default();
    let stack = exception.and_then(|exception| exception.stack()).or_else(|| field("stack")).unwrap_or_default();
    let out_of_memory = name == "InternalError" && message.contains("out of memory");
    let code = match field("code") {
        Some(code) if name == "CallError" => code,
        _ if out_of_memory => "OUT_OF_MEMORY".to_owned(),
        _ => "SCRIPT_ERROR".to_owned(),
    };
    let message = match name.as_str() {
        "" | "Error" | "CallError" => message,
        name => format!("{name}: {message}"),
    };
    let (line, column) = location(&stack, file).unwrap_or_default();
    let stack: Vec<&str> = stack.lines().filter(|frame| frame.contains(file)).take(20).map(str::trim).collect();
    let details = match name.as_str() {
        "CallError" => {
            text(thrown).and_then(|text| serde_json::from_str::<Value>(&text).ok()).map_or(Value::Null, |value| value)
        }
        _ => Value::Null,
    };
    ScriptException {
        code,
        message: truncated(message, 4096),
        file: if line > 0 { file.to_owned() } else { String::new() },
        line,
        column,
        stack: truncated(stack.join("\n"), 4096),
        details: if details.to_string().len() > 16 << 10 { Value::Null } else { details },
    }
}

/// The first location in a file within a stack: `at name (file:line:column)`.
fn location(stack: &str, file: &str) -> Option<(u32, u32)> {
    stack.lines().find_map(|frame| {
        let rest = frame.split_once(&format!("{file}:"))?.1;
        let mut numbers = rest.trim_end_matches(')').split(':').map(|number| number.trim().parse().ok());
        let line: u32 = numbers.next()??;
        Some((line, numbers.next().flatten().unwrap_or(1)))
    })
}

fn truncated(mut text: String, limit: usize) -> String {
    if text.len() > limit {
        let end = (0..=limit).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests;
