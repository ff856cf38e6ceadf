//! Workflows that are declared as steps, on the same record as code: a step that was done is not done again.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use serde_json::{Map, Value, json};

use super::engine::{CancelToken, HostCall, HostReply, Limits, ScriptException, ScriptHost, ScriptOutcome, ScriptRun};
use super::execution::ActiveExecution;
use super::program::backoff;
use crate::definition::action::OnError;
use crate::definition::workflow::{Loop, Step};
use crate::store::Micros;
use crate::template::{self, Context, Template, Tree};

/// Why steps do not go on.
enum StepInterrupt {
    /// They wait, until then at the latest.
    Suspended(Micros),
    /// One failed.
    Failed(Value),
    /// A gate is closed: the run is a success, with what it has.
    Gate(Value),
    /// The execution ended in another way.
    ScriptOutcome(Box<ScriptOutcome>),
}

/// What templates of a step see.
#[derive(Clone)]
struct Scope {
    steps: Map<String, Value>,
    item: Option<(Value, usize)>,
    /// What stands before names in the record, such as `each[3].`.
    prefix: String,
}

/// Runs the steps of an execution.
pub(super) async fn run(execution: &Arc<ActiveExecution>, limits: Limits, stop: CancelToken) -> ScriptOutcome {
    let steps = execution.program.spec.steps.clone().unwrap_or_default();
    let mut scope = Scope { steps: Map::new(), item: None, prefix: String::new() };
    let running = sequence(execution, &steps, &mut scope, limits, &stop);
    let ended = tokio::select! {
        ended = running => ended,
        () = stop.stopped() => return ScriptOutcome::Cancelled,
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
        Err(StepInterrupt::ScriptOutcome(ended)) => *ended,
    }
}

/// Steps one after the other; gives the last one's output.
fn sequence<'a>(
    execution: &'a Arc<ActiveExecution>,
    steps: &'a [Step],
    scope: &'a mut Scope,
    limits: Limits,
    stop: &'a CancelToken,
) -> BoxFuture<'a, Result<Value, StepInterrupt>> {
    Box::pin(async move {
        let mut last = Value::Null;
        for step in steps {
            if let Some(condition) = &step.condition
                && !holds(&render(execution, scope, &Value::String(condition.clone()), &step.name)?)
            {
                continue;
            }
            match patiently(execution, step, scope, limits, stop).await {
                Ok(output) => {
                    scope.steps.insert(step.name.clone(), json!({"output": output, "body": output}));
                    last = output;
                }
                Err(StepInterrupt::Failed(error)) if step.on_error == OnError::Continue => {
                    scope.steps.insert(step.name.clone(), json!({"output": null, "error": error}));
                }
                // What a gate ends with is what was made before it.
                Err(StepInterrupt::Gate(_)) if step.gate.is_some() => return Err(StepInterrupt::Gate(last)),
                Err(halt) => return Err(halt),
            }
        }
        Ok(last)
    })
}

/// A step, tried again as it says, within its own time.
async fn patiently(
    execution: &Arc<ActiveExecution>,
    step: &Step,
    scope: &mut Scope,
    limits: Limits,
    stop: &CancelToken,
) -> Result<Value, StepInterrupt> {
    let name = format!("{}{}", scope.prefix, step.name);
    // What may wait for long is kept by itself; everything else is one durable step of this name.
    let is_work = step.action.is_some() || step.set.is_some() || step.notify.is_some() || step.code.is_some();
    let begun = match is_work && step.code.is_none() {
        true => match ask(execution, HostCall::Begin { name: name.clone() }).await? {
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
        let once = one(execution, step, scope, &name, limits, stop);
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
                let clock = execution.desk.clock();
                clock.until(clock.now().saturating_add(until)).await;
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
        ask(execution, HostCall::End { name, output, error }).await?;
    }
    result
}

async fn one(
    execution: &Arc<ActiveExecution>,
    step: &Step,
    scope: &mut Scope,
    name: &str,
    limits: Limits,
    stop: &CancelToken,
) -> Result<Value, StepInterrupt> {
    let tree = |value: &Option<crate::definition::Json>| match value {
        Some(value) => render(execution, scope, &value.value(), &step.name),
        None => Ok(json!({})),
    };
    if let Some(action) = &step.action {
        let options = json!({"connection": step.connection});
        return call(execution, action, tree(&step.input)?, options).await;
    }
    if let Some(workflow) = &step.workflow {
        return ask(execution, HostCall::Workflow { workflow: workflow.clone(), input: tree(&step.input)? }).await;
    }
    if let Some(set) = &step.set {
        return render(execution, scope, &set.value(), &step.name);
    }
    if let Some(wait) = step.wait {
        return ask(execution, HostCall::Sleep { ms: wait.0.as_secs_f64() * 1000.0 }).await;
    }
    if let Some(approval) = &step.approval {
        let question = render(execution, scope, &Value::String(approval.message.clone()), &step.name)?;
        let timeout = approval.timeout.map(|timeout| timeout.0.as_secs_f64() * 1000.0);
        let answer = ask(execution, HostCall::Wait { name: name.to_owned(), timeout, question }).await?;
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
        return match holds(&render(execution, scope, &Value::String(gate.clone()), &step.name)?) {
            true => Ok(Value::Bool(true)),
            false => Err(StepInterrupt::Gate(Value::Null)),
        };
    }
    if let Some(each) = &step.each {
        return all(execution, step, each, scope, limits, stop).await;
    }
    if let Some(branches) = &step.parallel {
        let running = branches.iter().map(|(branch, steps)| {
            let mut scope = Scope { prefix: format!("{name}.{branch}."), ..scope.clone() };
            async move { (branch, sequence(execution, steps, &mut scope, limits, stop).await) }
        });
        let done = join_all(running).await;
        let results = done.into_iter().map(|(branch, result)| result.map(|output| (branch.clone(), output)));
        return together(results).map(|pairs| Value::Object(pairs.into_iter().collect()));
    }
    if let Some(cases) = &step.switch {
        for case in cases {
            let holds = match &case.when {
                Some(when) => holds(&render(execution, scope, &Value::String(when.clone()), &step.name)?),
                None => true,
            };
            if holds {
                return sequence(execution, &case.steps, scope, limits, stop).await;
            }
        }
        return Ok(Value::Null);
    }
    match &step.code {
        Some(code) => script(execution, code, scope, limits, stop).await,
        None => Err(StepInterrupt::Failed(
            json!({"code": "NOT_RUNNABLE", "message": format!("step `{}` does nothing", step.name)}),
        )),
    }
}

/// Steps for each item of a list.
async fn all(
    execution: &Arc<ActiveExecution>,
    step: &Step,
    each: &Loop,
    scope: &Scope,
    limits: Limits,
    stop: &CancelToken,
) -> Result<Value, StepInterrupt> {
    let Value::Array(items) = render(execution, scope, &Value::String(each.over.clone()), &step.name)? else {
        let message = format!("`over` of step `{}` is no list", step.name);
        return Err(StepInterrupt::Failed(json!({"code": "NO_LIST", "message": message})));
    };
    let most = each.max_items.unwrap_or(1000) as usize;
    if items.len() > most {
        let message = format!("step `{}` has {} items, and {most} is the most (`maxItems`)", step.name, items.len());
        return Err(StepInterrupt::Failed(json!({"code": "TOO_MANY_ITEMS", "message": message})));
    }
    let together_at_once = each.concurrency.unwrap_or(1).max(1) as usize;
    let mut outputs = Vec::with_capacity(items.len());
    for (chunk, some) in items.chunks(together_at_once).enumerate() {
        let running = some.iter().enumerate().map(|(at, item)| {
            let index = chunk * together_at_once + at;
            let mut scope = Scope {
                steps: scope.steps.clone(),
                item: Some((item.clone(), index)),
                prefix: format!("{}{}[{index}].", scope.prefix, step.name),
            };
            async move { sequence(execution, &each.steps, &mut scope, limits, stop).await }
        });
        outputs.extend(together(join_all(running).await.into_iter())?);
    }
    Ok(Value::Array(outputs))
}

/// Results of what ran side by side: a failure before a wait, and the earliest of all waits.
fn together<T>(results: impl Iterator<Item = Result<T, StepInterrupt>>) -> Result<Vec<T>, StepInterrupt> {
    let mut outputs = Vec::new();
    let mut waits: Option<Micros> = None;
    let mut halted = None;
    for result in results {
        match result {
            Ok(output) => outputs.push(output),
            Err(StepInterrupt::Suspended(until)) => waits = Some(waits.map_or(until, |known| known.min(until))),
            Err(halt) => halted = halted.or(Some(halt)),
        }
    }
    match (halted, waits) {
        (Some(halt), _) => Err(halt),
        (None, Some(until)) => Err(StepInterrupt::Suspended(until)),
        (None, None) => Ok(outputs),
    }
}

/// A step of code: the body of a function of `ctx`, which has `steps` beside everything else.
async fn script(
    execution: &Arc<ActiveExecution>,
    code: &str,
    scope: &Scope,
    limits: Limits,
    stop: &CancelToken,
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
    let call = ScriptRun {
        file: execution.program.file.clone(),
        code: script.javascript.into(),
        context,
        now: execution.desk.now(),
        seed: 1,
    };
    let host: Arc<dyn ScriptHost> = Arc::clone(execution) as Arc<dyn ScriptHost>;
    match execution.desk.engine().run(call, limits, host, stop.clone()).await {
        ScriptOutcome::Returned(output) => Ok(output),
        ScriptOutcome::Suspended(until) => Err(StepInterrupt::Suspended(until)),
        // Its lines are those of the step's text, not of the file.
        ScriptOutcome::Threw(thrown) => {
            Err(StepInterrupt::Failed(json!({"code": thrown.code, "message": thrown.message})))
        }
        other => Err(StepInterrupt::ScriptOutcome(Box::new(other))),
    }
}

async fn call(
    execution: &Arc<ActiveExecution>,
    action: &str,
    input: Value,
    options: Value,
) -> Result<Value, StepInterrupt> {
    let (connector, action) = action.split_once('/').unwrap_or((action, ""));
    let op = HostCall::Action { connector: connector.to_owned(), action: action.to_owned(), input, options };
    ask(execution, op).await
}

async fn ask(execution: &Arc<ActiveExecution>, op: HostCall) -> Result<Value, StepInterrupt> {
    match Arc::clone(execution).call(op).await {
        HostReply::Value(value, _) => Ok(value),
        HostReply::Error(error, _) => Err(StepInterrupt::Failed(error)),
        HostReply::Parked(until) => Err(StepInterrupt::Suspended(until)),
        HostReply::Gone => Err(StepInterrupt::ScriptOutcome(Box::new(ScriptOutcome::Gone))),
    }
}

/// A tree of templates, rendered.
fn render(execution: &Arc<ActiveExecution>, scope: &Scope, tree: &Value, step: &str) -> Result<Value, StepInterrupt> {
    let failed = |message: String| {
        StepInterrupt::Failed(json!({"code": "TEMPLATE_ERROR", "message": format!("step `{step}`: {message}")}))
    };
    let context = templates(execution, scope);
    let limits = template::Limits::default();
    match tree {
        Value::String(source) => {
            let template = Template::compile(source).map_err(|problem| failed(problem.message))?;
            template.render_value(&context, &limits).map_err(|error| failed(error.to_string()))
        }
        tree => {
            let tree =
                Tree::compile(tree).map_err(|(pointer, problem)| failed(format!("{pointer}: {}", problem.message)))?;
            tree.render(&context, &limits).map_err(|error| failed(error.to_string()))
        }
    }
}

fn templates(execution: &Arc<ActiveExecution>, scope: &Scope) -> Context {
    let run = &execution.run;
    let runtime = &execution.live.runtime;
    let mut variables = vec![];
    if let Some(tenant) = runtime.tenants.get(&run.tenant) {
        variables.push(Arc::new(tenant.variables.clone()));
    }
    variables.push(Arc::clone(&runtime.variables));
    let host = StepHost { variables, now: execution.desk.now() / 1_000_000 };
    let mut context = Context::new(Arc::new(host));
    let full = execution.context();
    context.set("input", &run.input);
    context.set("headers", &run.headers);
    context.set("steps", Value::Object(scope.steps.clone()));
    let (item, index) = scope.item.clone().map_or((Value::Null, Value::Null), |(item, index)| (item, index.into()));
    context.set("item", item);
    context.set("index", index);
    context.set("user", json!({}));
    context.set("tenant", full["tenant"].clone());
    let tenant = if run.tenant.is_empty() { Value::Null } else { Value::String(run.tenant.clone()) };
    context.set("tenant_id", tenant);
    context.set("request", json!({"id": run.id, "method": "", "headers": run.headers, "query_parameters": {}}));
    context
}

struct StepHost {
    variables: Vec<Arc<std::collections::BTreeMap<String, String>>>,
    now: i64,
}

impl template::Host for StepHost {
    fn secret(&self, name: &str) -> Result<String, String> {
        Err(format!("secret `{name}` cannot be used in steps; use it in the connector's action"))
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.variables.iter().find_map(|layer| layer.get(name)).cloned()
    }

    fn now(&self) -> i64 {
        self.now
    }
}

/// What conditions take for true: as Jinja does, and text as people write it.
fn holds(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => {
            !matches!(text.trim().to_ascii_lowercase().as_str(), "" | "false" | "no" | "0" | "none" | "null")
        }
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}
