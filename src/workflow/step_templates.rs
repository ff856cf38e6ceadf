//! Templates of steps: their scope, their context, and their values as conditions.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::execution::ActiveExecution;
use crate::template::{Context, Limits, Template, TemplateHost, Tree};

/// The scope of the templates of a step.
#[derive(Clone, Default)]
pub(super) struct Scope {
    /// The results of earlier steps.
    pub(super) steps: Map<String, Value>,
    /// The item of the innermost loop and its index.
    pub(super) item: Option<(Value, usize)>,
    /// The prefix of names in the record, such as `each[3].`.
    pub(super) prefix: String,
}

/// Renders a template, or a tree of templates.
pub(super) fn render(execution: &ActiveExecution, scope: &Scope, tree: &Value) -> Result<Value, String> {
    let context = context(execution, scope);
    let limits = Limits::default();
    match tree {
        Value::String(source) => {
            let template = Template::compile(source).map_err(|problem| problem.message)?;
            template.render_value(&context, &limits).map_err(|error| error.to_string())
        }
        tree => {
            let tree = Tree::compile(tree).map_err(|(pointer, problem)| format!("{pointer}: {}", problem.message))?;
            tree.render(&context, &limits).map_err(|error| error.to_string())
        }
    }
}

fn context(execution: &ActiveExecution, scope: &Scope) -> Context {
    let record = &execution.record;
    let runtime = &execution.live.runtime;
    let mut variables = vec![];
    if let Some(tenant) = runtime.tenants.get(&record.tenant) {
        variables.push(Arc::new(tenant.variables.clone()));
    }
    variables.push(Arc::clone(&runtime.variables));
    let host = StepHost { variables, now: execution.dispatcher.now() / 1_000_000 };
    let mut context = Context::new(Arc::new(host));
    let script_context = execution.context();
    context.set("input", &record.input);
    context.set("headers", &record.headers);
    context.set("steps", Value::Object(scope.steps.clone()));
    let (item, index) = scope.item.clone().map_or((Value::Null, Value::Null), |(item, index)| (item, index.into()));
    context.set("item", item);
    context.set("index", index);
    context.set("user", json!({}));
    context.set("tenant", script_context["tenant"].clone());
    let tenant = if record.tenant.is_empty() { Value::Null } else { Value::String(record.tenant.clone()) };
    context.set("tenant_id", tenant);
    let request = json!({"id": record.id, "method": "", "headers": record.headers, "query_parameters": {}});
    context.set("request", request);
    context
}

struct StepHost {
    variables: Vec<Arc<BTreeMap<String, String>>>,
    now: i64,
}

impl TemplateHost for StepHost {
    fn secret(&self, name: &str) -> Result<String, String> {
        Err(format!("secret `{name}` is not available in steps; use it in the connector's action"))
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.variables.iter().find_map(|layer| layer.get(name)).cloned()
    }

    fn now(&self) -> i64 {
        self.now
    }
}

/// True if a condition's value is true: as in Jinja, and for texts in common notations.
pub(super) fn is_true(value: &Value) -> bool {
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
