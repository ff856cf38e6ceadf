//! Workflows that are declared as steps. They use the same record as code, so that a completed step is not repeated.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use serde_json::{Value, json};

use super::engine::{
    CancelToken, HostCall, HostReply, ScriptException, ScriptHost, ScriptLimits, ScriptOutcome, ScriptRun,
};
use super::execution::ActiveExecution;
use super::program::backoff;
use super::step_templates::{Scope, is_true, render};
use crate::definition::action::OnError;
use crate::definition::workflow::{Loop, Step};
use crate::store::Micros;

/// The reason that steps do not continue.
enum StepInterrupt {
    /// A step waits, at most until this time.
    Suspended(Micros),
    /// A step failed.
    Failed(Value),
    /// A `gate` is closed: the execution completes with this output.
    Gate(Value),
    /// The execution ended in another way.
    Ended(Box<ScriptOutcome>),
}

/// Runs the steps of an execution.
pub(super) async fn run(execution: &Arc<ActiveExecution>, limits: ScriptLimits, cancel: CancelToken) -> ScriptOutcome {
    let steps = execution.program.spec.steps.clone().unwrap_or_default();
    let mut scope = Scope::default();
    let running = sequence(execution, &steps, &mut scope, limits, &cancel);
    let ended = tokio::select! {
        ended = running => ended,
        () = cancel.cancelled() => return ScriptOutcome::Cancelled,
        () = tokio::time::sleep(limits.time) => return ScriptOutcome::TimedOut,
    };
    match ended {
        Ok(output) | Err(StepInterrupt::Gate(output)) => ScriptOutcome::Returned(output),
        Err(StepInterrupt::Suspended(until)) => ScriptOutcome::Suspended(until),
        Err(StepInterrupt::Failed(error)) => {
            let text = |name: &str| error[name].as_str().map(str::to_owned);
            let mut thrown = ScriptException::new(
                &text("code").unwrap_or_else(|| "STEP_FAILED".to_owned()),
                text("message").unwrap_or_else(|| error.to_string()),
            );
            thrown.details = error;
            ScriptOutcome::Threw(thrown)
        }
        Err(StepInterrupt::Ended(ended)) => *ended,
    }
}

/// Runs steps in order. Returns the output of the last one.
fn sequence<'a>(
    execution: &'a Arc<ActiveExecution>,
    steps: &'a [Step],
    scope: &'a mut Scope,
    limits: ScriptLimits,
    cancel: &'a CancelToken,
) -> BoxFuture<'a, Result<Value, StepInterrupt>> {
    Box::pin(async move {
        let mut last = Value::Null;
        for step in steps {
            if let Some(condition) = &step.condition
                && !is_true(&render_step(execution, scope, &Value::String(condition.clone()), &step.name)?)
            {
                continue;
            }
            match with_retry(execution, step, scope, limits, cancel).await {
                Ok(output) => {
                    scope.steps.insert(step.name.clone(), json!({"output": output, "body": output}));
                    last = output;
                }
                Err(StepInterrupt::Failed(error)) if step.on_error == OnError::Continue => {
                    scope.steps.insert(step.name.clone(), json!({"output": null, "error": error}));
                }
                // A closed gate completes with the output of the step before it.
                Err(StepInterrupt::Gate(_)) if step.gate.is_some() => return Err(StepInterrupt::Gate(last)),
                Err(interrupt) => return Err(interrupt),
            }
        }
        Ok(last)
    })
}

/// Runs a step with its retries and its timeout.
async fn with_retry(
    execution: &Arc<ActiveExecution>,
    step: &Step,
    scope: &mut Scope,
    limits: ScriptLimits,
    cancel: &CancelToken,
) -> Result<Value, StepInterrupt> {
    let name = format!("{}{}", scope.prefix, step.name);
    // Steps that may wait for long have their own records; every other step is a durable step of this name.
    let is_work = step.action.is_some() || step.set.is_some() || step.notify.is_some() || step.code.is_some();
    let begun = match is_work && step.code.is_none() {
        true => match call_host(execution, HostCall::Begin { name: name.clone() }).await? {
            Value::Object(begun) if begun.contains_key("output") => {
                return Ok(begun.get("output").cloned().unwrap_or_default());
            }
            Value::Object(begun) if begun.contains_key("error") => {
                return Err(StepInterrupt::Failed(begun.get("error").cloned().unwrap_or_default()));
            }
            begun => Some(begun["name"].as_str().unwrap_or(&name).to_owned()),
        },
        false => None,
    };
    let attempts = step.retry.as_ref().map_or(1, |retry| i64::from(retry.max_attempts.max(1)));
    let mut attempt = 1;
    let result = loop {
        let once = perform(execution, step, scope, &name, limits, cancel);
        let result = match step.timeout.filter(|_| is_work) {
            Some(limit) => tokio::time::timeout(limit.0, once).await.unwrap_or_else(|_| {
                let message = format!("step `{}` took longer than {limit}", step.name);
                Err(StepInterrupt::Failed(json!({"code": "STEP_TIMEOUT", "message": message})))
            }),
            None => once.await,
        };
        match (result, &step.retry) {
            (Err(StepInterrupt::Failed(_)), Some(retry)) if attempt < attempts && is_work => {
                let wait: Duration = backoff(retry, attempt);
                let until = Micros::try_from(wait.as_micros()).unwrap_or(Micros::MAX);
                let clock = execution.dispatcher.clock();
                clock.sleep_until(clock.now().saturating_add(until)).await;
                attempt += 1;
            }
            (result, _) => break result,
        }
    };
    if let Some(name) = begun {
        let (output, error) = match &result {
            Ok(output) => (output.clone(), Value::Null),
            Err(StepInterrupt::Failed(error)) => (Value::Null, error.clone()),
            Err(_) => return result,
        };
        call_host(execution, HostCall::End { name, output, error }).await?;
    }
    result
}

/// Performs a step once.
async fn perform(
    execution: &Arc<ActiveExecution>,
    step: &Step,
    scope: &mut Scope,
    name: &str,
    limits: ScriptLimits,
    cancel: &CancelToken,
) -> Result<Value, StepInterrupt> {
    let tree = |value: &Option<crate::definition::Json>| match value {
        Some(value) => render_step(execution, scope, &value.value(), &step.name),
        None => Ok(json!({})),
    };
    if let Some(action) = &step.action {
        let options = json!({"connection": step.connection});
        return call(execution, action, tree(&step.input)?, options).await;
    }
    if let Some(workflow) = &step.workflow {
        return call_host(execution, HostCall::Workflow { workflow: workflow.clone(), input: tree(&step.input)? })
            .await;
    }
    if let Some(set) = &step.set {
        return render_step(execution, scope, &set.value(), &step.name);
    }
    if let Some(wait) = step.wait {
        return call_host(execution, HostCall::Sleep { ms: wait.0.as_secs_f64() * 1000.0 }).await;
    }
    if let Some(approval) = &step.approval {
        let question = render_step(execution, scope, &Value::String(approval.message.clone()), &step.name)?;
        let timeout = approval.timeout.map(|timeout| timeout.0.as_secs_f64() * 1000.0);
        let (name, roles) = (name.to_owned(), approval.roles.clone());
        let answer = call_host(execution, HostCall::Wait { name, timeout, question, roles }).await?;
        return match answer.get("approved") {
            Some(Value::Bool(false)) => {
                let message = format!("`{}` was not approved", step.name);
                Err(StepInterrupt::Failed(json!({"code": "NOT_APPROVED", "message": message, "answer": answer})))
            }
            _ => Ok(answer),
        };
    }
    if let Some(notify) = &step.notify {
        return call(execution, &notify.action, tree(&notify.input)?, Value::Null).await;
    }
    if let Some(gate) = &step.gate {
        return match is_true(&render_step(execution, scope, &Value::String(gate.clone()), &step.name)?) {
            true => Ok(Value::Bool(true)),
            false => Err(StepInterrupt::Gate(Value::Null)),
        };
    }
    if let Some(each) = &step.each {
        return run_loop(execution, step, each, scope, limits, cancel).await;
    }
    if let Some(branches) = &step.parallel {
        let running = branches.iter().map(|(branch, steps)| {
            let mut scope = Scope { prefix: format!("{name}.{branch}."), ..scope.clone() };
            async move { (branch, sequence(execution, steps, &mut scope, limits, cancel).await) }
        });
        let done = join_all(running).await;
        let results = done.into_iter().map(|(branch, result)| result.map(|output| (branch.clone(), output)));
        return join_results(results).map(|pairs| Value::Object(pairs.into_iter().collect()));
    }
    if let Some(cases) = &step.switch {
        for case in cases {
            let holds = match &case.when {
                Some(when) => is_true(&render_step(execution, scope, &Value::String(when.clone()), &step.name)?),
                None => true,
            };
            if holds {
                return sequence(execution, &case.steps, scope, limits, cancel).await;
            }
        }
        return Ok(Value::Null);
    }
    match &step.code {
        Some(code) => script(execution, code, scope, limits, cancel).await,
        None => Err(StepInterrupt::Failed(
            json!({"code": "NOT_RUNNABLE", "message": format!("step `{}` declares no operation", step.name)}),
        )),
    }
}

/// Runs steps for each item of a list.
async fn run_loop(
    execution: &Arc<ActiveExecution>,
    step: &Step,
    each: &Loop,
    scope: &Scope,
    limits: ScriptLimits,
    cancel: &CancelToken,
) -> Result<Value, StepInterrupt> {
    let Value::Array(items) = render_step(execution, scope, &Value::String(each.over.clone()), &step.name)? else {
        let message = format!("`over` of step `{}` is not a list", step.name);
        return Err(StepInterrupt::Failed(json!({"code": "NO_LIST", "message": message})));
    };
    let limit = each.max_items.unwrap_or(1000) as usize;
    if items.len() > limit {
        let message = format!("step `{}` has {} items; the maximum is {limit} (`maxItems`)", step.name, items.len());
        return Err(StepInterrupt::Failed(json!({"code": "TOO_MANY_ITEMS", "message": message})));
    }
    let concurrency = each.concurrency.unwrap_or(1).max(1) as usize;
    let mut outputs = Vec::with_capacity(items.len());
    for (chunk, chunk_items) in items.chunks(concurrency).enumerate() {
        let running = chunk_items.iter().enumerate().map(|(at, item)| {
            let index = chunk * concurrency + at;
            let mut scope = Scope {
                steps: scope.steps.clone(),
                item: Some((item.clone(), index)),
                prefix: format!("{}{}[{index}].", scope.prefix, step.name),
            };
            async move { sequence(execution, &each.steps, &mut scope, limits, cancel).await }
        });
        outputs.extend(join_results(join_all(running).await.into_iter())?);
    }
    Ok(Value::Array(outputs))
}

/// Combines the results of concurrent steps: a failure precedes a wait, and the earliest wait precedes later ones.
fn join_results<T>(results: impl Iterator<Item = Result<T, StepInterrupt>>) -> Result<Vec<T>, StepInterrupt> {
    let mut outputs = Vec::new();
    let mut earliest: Option<Micros> = None;
    let mut interrupted = None;
    for result in results {
        match result {
            Ok(output) => outputs.push(output),
            Err(StepInterrupt::Suspended(until)) => {
                earliest = Some(earliest.map_or(until, |known| known.min(until)));
            }
            Err(interrupt) => interrupted = interrupted.or(Some(interrupt)),
        }
    }
    match (interrupted, earliest) {
        (Some(interrupt), _) => Err(interrupt),
        (None, Some(until)) => Err(StepInterrupt::Suspended(until)),
        (None, None) => Ok(outputs),
    }
}

/// Runs a step of code: the body of a function of `ctx`, extended by `steps`.
async fn script(
    execution: &Arc<ActiveExecution>,
    code: &str,
    scope: &Scope,
    limits: ScriptLimits,
    cancel: &CancelToken,
) -> Result<Value, StepInterrupt> {
    let script = crate::script::read_script_body(code).map_err(|errors| {
        let message = errors.first().map_or_else(String::new, ToString::to_string);
        StepInterrupt::Failed(json!({"code": "SCRIPT_ERROR", "message": message}))
    })?;
    let mut context = execution.context();
    context["steps"] = Value::Object(scope.steps.clone());
    if let Some((item, index)) = &scope.item {
        (context["item"], context["index"]) = (item.clone(), (*index).into());
    }
    let script = ScriptRun {
        file: execution.program.file.clone(),
        code: script.javascript.into(),
        context,
        now: execution.dispatcher.now(),
        seed: 1,
    };
    let host: Arc<dyn ScriptHost> = Arc::clone(execution) as Arc<dyn ScriptHost>;
    match execution.dispatcher.engine().run(script, limits, host, cancel.clone()).await {
        ScriptOutcome::Returned(output) => Ok(output),
        ScriptOutcome::Suspended(until) => Err(StepInterrupt::Suspended(until)),
        // Without the line, which counts from the start of the step, not of the file.
        ScriptOutcome::Threw(thrown) => {
            Err(StepInterrupt::Failed(json!({"code": thrown.code, "message": thrown.message})))
        }
        other => Err(StepInterrupt::Ended(Box::new(other))),
    }
}

async fn call(
    execution: &Arc<ActiveExecution>,
    action: &str,
    input: Value,
    options: Value,
) -> Result<Value, StepInterrupt> {
    let (connector, action) = action.split_once('/').unwrap_or((action, ""));
    let call = HostCall::Action { connector: connector.to_owned(), action: action.to_owned(), input, options };
    call_host(execution, call).await
}

async fn call_host(execution: &Arc<ActiveExecution>, call: HostCall) -> Result<Value, StepInterrupt> {
    match Arc::clone(execution).call(call).await {
        HostReply::Value(value, _) => Ok(value),
        HostReply::Error(error, _) => Err(StepInterrupt::Failed(error)),
        HostReply::Suspended(until) => Err(StepInterrupt::Suspended(until)),
        HostReply::LeaseLost => Err(StepInterrupt::Ended(Box::new(ScriptOutcome::LeaseLost))),
    }
}

fn render_step(execution: &ActiveExecution, scope: &Scope, tree: &Value, step: &str) -> Result<Value, StepInterrupt> {
    render(execution, scope, tree).map_err(|message| {
        StepInterrupt::Failed(json!({"code": "TEMPLATE_ERROR", "message": format!("step `{step}`: {message}")}))
    })
}
