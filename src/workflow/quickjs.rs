//! Scripts in QuickJS, one context for each run, on a thread of its own while it runs.
//!
//! ```text
//! module ──► jobs until none is left ──► an answer arrived? settle its promise, and again
//!                                        nothing but parked questions left? suspended
//!                                        the promise of the whole is settled? returned, or threw
//! ```
//!
//! The interrupt handler ends even a busy loop; waiting has the same deadline.

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
    CancelToken, HostCall, HostReply, Limits, ScriptEngine, ScriptException, ScriptHost, ScriptOutcome, ScriptRun,
};
use crate::store::Micros;

/// How often a script that waits looks whether it was asked to end.
const LOOK: Duration = Duration::from_millis(200);

/// Bytes that a runtime may keep of a script, such as names; more than that is something that was left.
const MAX_LEFT: i64 = 32 << 10;

/// QuickJS in this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct QuickJs;

#[async_trait]
impl ScriptEngine for QuickJs {
    async fn run(
        &self,
        call: ScriptRun,
        limits: Limits,
        host: Arc<dyn ScriptHost>,
        stop: CancelToken,
    ) -> ScriptOutcome {
        let handle = Handle::current();
        let run = tokio::task::spawn_blocking(move || run(&call, limits, &host, &stop, &handle));
        run.await.unwrap_or_else(|_| {
            ScriptOutcome::Threw(ScriptException::new("INTERNAL", "the script's engine broke; please report this"))
        })
    }
}

thread_local! {
    /// A runtime that ran a script to its end on this thread: half of what an engine costs.
    static SPARE: Cell<Option<PooledRuntime>> = const { Cell::new(None) };
}

/// What the script asked for and nobody looked at yet.
type Asked = Rc<RefCell<Vec<(f64, String)>>>;

fn run(
    call: &ScriptRun,
    limits: Limits,
    host: &Arc<dyn ScriptHost>,
    stop: &CancelToken,
    handle: &Handle,
) -> ScriptOutcome {
    let internal = |what: &str| {
        ScriptOutcome::Threw(ScriptException::new("OUT_OF_MEMORY", format!("no engine can be made: {what}")))
    };
    let Ok(prelude) = bytecode::prelude() else { return internal("prelude") };
    let Ok(spare) = SPARE.take().map_or_else(PooledRuntime::new, Ok) else { return internal("runtime") };
    let runtime = &spare.runtime;
    let deadline = Instant::now() + limits.time;
    runtime.set_memory_limit(limits.memory);
    runtime.set_max_stack_size(limits.stack);
    let stopped = stop.clone();
    runtime.set_interrupt_handler(Some(Box::new(move || Instant::now() >= deadline || stopped.is_stopped())));
    let Ok(context) = Context::full(runtime) else { return internal("context") };
    let ended = context.with(|ctx| {
        let ctx = ctx.clone();
        let mut turn = Turn { ctx, call, limits, host, stop, handle, deadline, pending: 0, parked: None, made: 0 };
        match turn.run(&prelude) {
            Ok(ended) => ended,
            Err(error) => turn.ended_by(&error, None),
        }
    });
    drop(context);
    if matches!(ended, ScriptOutcome::Returned(_)) {
        spare.keep();
    }
    ended
}

/// A runtime, with the bytes that it has where no script has left anything.
struct PooledRuntime {
    runtime: Runtime,
    bytes: i64,
}

impl PooledRuntime {
    fn new() -> Result<PooledRuntime, Error> {
        let runtime = Runtime::new()?;
        // The prototype of our functions is made with the first one, and stays in its context: not in a script's.
        Context::full(&runtime)?.with(|ctx| Function::new(ctx, || ()).map(drop))?;
        runtime.run_gc();
        let bytes = runtime.memory_usage().memory_used_size;
        Ok(PooledRuntime { runtime, bytes })
    }

    /// Keeps it for the thread's next script, where nothing of the last one is left in it: no job that would run in
    /// another's turn, and no memory. Each script has a context of its own, with globals of its own.
    fn keep(self) {
        let runtime = &self.runtime;
        runtime.set_interrupt_handler(None);
        runtime.run_gc();
        // Finalizers are jobs, too.
        let is_clean = !runtime.is_job_pending() && runtime.memory_usage().memory_used_size <= self.bytes + MAX_LEFT;
        if is_clean {
            SPARE.set(Some(self));
        }
    }
}

struct Turn<'a, 'js> {
    ctx: Ctx<'js>,
    call: &'a ScriptRun,
    limits: Limits,
    host: &'a Arc<dyn ScriptHost>,
    stop: &'a CancelToken,
    handle: &'a Handle,
    deadline: Instant,
    /// Questions without an answer, the parked ones left out.
    pending: usize,
    /// The earliest time that a parked one waits for.
    parked: Option<Micros>,
    /// Questions so far.
    made: usize,
}

impl<'js> Turn<'_, 'js> {
    fn run(&mut self, prelude: &Bytecode) -> Result<ScriptOutcome, Error> {
        let asked: Asked = Rc::default();
        let (settle, start) = self.prelude(prelude, &asked)?;
        let module = bytecode::script(&self.ctx, &self.call.file, &self.call.code)?;
        let (module, evaluated) = module.eval()?;
        let (answer, answers) = channel();
        // A module may await at its top.
        if let Some(ended) = self.turn(&evaluated, &asked, &settle, &answer, &answers)? {
            return Ok(ended);
        }
        let main: Js<'js> = module.get("default").or_else(|error| match error {
            Error::Exception => Err(error),
            _ => Ok(Js::new_undefined(self.ctx.clone())),
        })?;
        let whole: Promise<'js> = start.call((main,))?;
        if let Some(ended) = self.turn(&whole, &asked, &settle, &answer, &answers)? {
            return Ok(ended);
        }
        let text: rquickjs::String<'js> = match whole.result() {
            Some(text) => text?,
            None => {
                return Ok(ScriptOutcome::Threw(ScriptException::new(
                    "SCRIPT_ERROR",
                    "the script never ends: it awaits nothing",
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
                ScriptOutcome::Threw(ScriptException::new("SCRIPT_ERROR", format!("the output is no JSON: {error}")))
            }
        })
    }

    fn prelude(&self, code: &Bytecode, asked: &Asked) -> Result<(Function<'js>, Function<'js>), Error> {
        let ctx = &self.ctx;
        let asked = Rc::clone(asked);
        let send = Function::new(ctx.clone(), move |id: f64, text: String| asked.borrow_mut().push((id, text)))?;
        let (module, _) = bytecode::load(ctx, code)?.eval()?;
        let make: Function<'js> = module.get("default")?;
        let milliseconds = self.call.now as f64 / 1000.0;
        let seed = (self.call.seed & 0xffff_ffff) as f64;
        let made: Object<'js> = make.call((send, self.call.context.to_string(), milliseconds.floor(), seed))?;
        Ok((made.get("settle")?, made.get("start")?))
    }

    /// Runs until a promise is settled; gives how the script ended where it did not come to that.
    fn turn(
        &mut self,
        promise: &Promise<'js>,
        asked: &Asked,
        settle: &Function<'js>,
        answer: &Sender<(f64, HostReply)>,
        answers: &Receiver<(f64, HostReply)>,
    ) -> Result<Option<ScriptOutcome>, Error> {
        loop {
            while self.ctx.execute_pending_job() {
                if let Some(ended) = self.over() {
                    return Ok(Some(ended));
                }
            }
            if let Some(ended) = self.over() {
                return Ok(Some(ended));
            }
            for (id, text) in asked.take() {
                if let Some(ended) = self.ask(id, &text, answer) {
                    return Ok(Some(ended));
                }
            }
            match promise.state() {
                PromiseState::Resolved => return Ok(None),
                PromiseState::Rejected => {
                    let error = promise.result::<Js<'js>>();
                    return Ok(Some(match error {
                        Some(Err(error)) => self.ended_by(&error, None),
                        _ => ScriptOutcome::Threw(ScriptException::new("SCRIPT_ERROR", "the script failed")),
                    }));
                }
                PromiseState::Pending => {}
            }
            if self.pending == 0 {
                return Ok(Some(match self.parked {
                    Some(until) => ScriptOutcome::Suspended(until),
                    None => ScriptOutcome::Threw(ScriptException::new(
                        "SCRIPT_ERROR",
                        "the script awaits something that never comes",
                    )),
                }));
            }
            let wait = self.deadline.saturating_duration_since(Instant::now()).min(LOOK);
            match answers.recv_timeout(wait) {
                Ok((id, reply)) => {
                    if let Some(ended) = self.settle(id, reply, settle)? {
                        return Ok(Some(ended));
                    }
                    while let Ok((id, reply)) = answers.try_recv() {
                        if let Some(ended) = self.settle(id, reply, settle)? {
                            return Ok(Some(ended));
                        }
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(Some(ScriptOutcome::Gone)),
            }
        }
    }

    fn over(&self) -> Option<ScriptOutcome> {
        if self.stop.is_stopped() {
            return Some(ScriptOutcome::Cancelled);
        }
        (Instant::now() >= self.deadline).then_some(ScriptOutcome::TimedOut)
    }

    fn ask(&mut self, id: f64, text: &str, answer: &Sender<(f64, HostReply)>) -> Option<ScriptOutcome> {
        let threw = |code: &str, message: String| Some(ScriptOutcome::Threw(ScriptException::new(code, message)));
        self.made += 1;
        if self.made > self.limits.calls {
            return threw("TOO_MANY_CALLS", format!("the script asks for more than {} things", self.limits.calls));
        }
        if text.len() > self.limits.value {
            return threw("VALUE_TOO_LARGE", format!("a call has more than {} bytes as JSON", self.limits.value));
        }
        let op: HostCall = match serde_json::from_str(text) {
            Ok(op) => op,
            Err(error) => return threw("SCRIPT_ERROR", format!("a call is no JSON: {error}")),
        };
        let (host, answer) = (Arc::clone(self.host), answer.clone());
        if id == 0.0 {
            // A line of the log: nobody waits for it, and lines stay in their order.
            self.handle.block_on(host.call(op));
            return None;
        }
        self.pending += 1;
        let mut answering = host.call(op);
        // Looked up in the order that the script asked, so that a second run finds the same under the same keys; what
        // takes time goes on beside the others.
        let looked = poll_fn(|context| Poll::Ready(answering.as_mut().poll(context)));
        match self.handle.block_on(looked) {
            Poll::Ready(reply) => {
                let _ = answer.send((id, reply));
            }
            Poll::Pending => {
                self.handle.spawn(async move {
                    let reply = answering.await;
                    let _ = answer.send((id, reply));
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
            HostReply::Parked(until) => self.parked = Some(self.parked.map_or(until, |parked| parked.min(until))),
            HostReply::Gone => return Ok(Some(ScriptOutcome::Gone)),
        }
        Ok(None)
    }

    /// What an error of the engine says. An interrupt looks like any other, so the clock is asked first.
    fn ended_by(&self, error: &Error, thrown: Option<Js<'js>>) -> ScriptOutcome {
        if let Some(ended) = self.over() {
            return ended;
        }
        let thrown = match error {
            Error::Exception => thrown.unwrap_or_else(|| self.ctx.catch()),
            Error::Allocation => {
                return ScriptOutcome::Threw(ScriptException::new("OUT_OF_MEMORY", "the script uses too much memory"));
            }
            other => return ScriptOutcome::Threw(ScriptException::new("SCRIPT_ERROR", other.to_string())),
        };
        ScriptOutcome::Threw(describe(&self.ctx, &thrown, &self.call.file))
    }
}

/// What was thrown, with its place.
fn describe<'js>(ctx: &Ctx<'js>, thrown: &Js<'js>, file: &str) -> ScriptException {
    let text =
        |value: &Js<'js>| ctx.json_stringify(value.clone()).ok().flatten().and_then(|text| text.to_string().ok());
    let Some(object) = thrown.as_object() else {
        let message = match thrown.as_string().and_then(|text| text.to_string().ok()) {
            Some(text) => text,
            None if thrown.is_null() => {
                return ScriptException::new("OUT_OF_MEMORY", "the script uses too much memory");
            }
            None => text(thrown).unwrap_or_else(|| "the script threw what cannot be shown".to_owned()),
        };
        return ScriptException::new("SCRIPT_ERROR", cut(message, 4096));
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
    let (line, column) = place(&stack, file).unwrap_or_default();
    let stack: Vec<&str> = stack.lines().filter(|frame| frame.contains(file)).take(20).map(str::trim).collect();
    let details = match name.as_str() {
        "CallError" => {
            text(thrown).and_then(|text| serde_json::from_str::<Value>(&text).ok()).map_or(Value::Null, |value| value)
        }
        _ => Value::Null,
    };
    ScriptException {
        code,
        message: cut(message, 4096),
        file: if line > 0 { file.to_owned() } else { String::new() },
        line,
        column,
        stack: cut(stack.join("\n"), 4096),
        details: if details.to_string().len() > 16 << 10 { Value::Null } else { details },
    }
}

/// The first place in a file that a stack names: `at name (file:line:column)`.
fn place(stack: &str, file: &str) -> Option<(u32, u32)> {
    stack.lines().find_map(|frame| {
        let rest = frame.split_once(&format!("{file}:"))?.1;
        let mut numbers = rest.trim_end_matches(')').split(':').map(|number| number.trim().parse().ok());
        let line: u32 = numbers.next()??;
        Some((line, numbers.next().flatten().unwrap_or(1)))
    })
}

fn cut(mut text: String, most: usize) -> String {
    if text.len() > most {
        let end = (0..=most).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests;
