//! Compiled routes: the conditions, and the templates of the input of the execution that a route starts.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::filter;
use crate::definition::trigger;
use crate::store::Micros;
use crate::template::{self, Context, Template, Tree};
use crate::workflow::LiveEnvironment;

/// A compiled route.
#[derive(Debug)]
pub struct Route {
    /// Its definition.
    pub spec: trigger::Route,
    pub(super) headers: Vec<(String, Template)>,
    pub(super) input: Option<Tree>,
    pub(super) tenant: Option<Template>,
}

impl Route {
    /// Compiles the routes of a trigger.
    ///
    /// # Errors
    /// The cause if a template cannot be compiled.
    pub fn compile_all(routes: &[trigger::Route]) -> Result<Vec<Route>, String> {
        routes.iter().map(Route::compile).collect()
    }

    fn compile(spec: &trigger::Route) -> Result<Route, String> {
        let mut headers = Vec::new();
        for (name, source) in &spec.headers {
            headers.push((name.to_lowercase(), required_template(source)?));
        }
        let input = spec.input.as_ref().map(tree).transpose()?;
        Ok(Route { headers, input, tenant: optional_template(spec.tenant.as_ref())?, spec: spec.clone() })
    }

    /// True if an event takes this route.
    pub fn matches(&self, body: &Value, headers: &BTreeMap<String, String>) -> bool {
        filter::matches(&self.spec.when, body, headers)
            && (self.spec.when_any.is_empty()
                || self.spec.when_any.iter().any(|filter| filter::matches(filter, body, headers)))
    }
}

pub(super) fn required_template(source: &str) -> Result<Template, String> {
    Template::compile(source).map_err(|problem| problem.message)
}

pub(super) fn optional_template(source: Option<&String>) -> Result<Option<Template>, String> {
    source.map(|source| required_template(source)).transpose()
}

pub(super) fn tree(value: &crate::definition::Json) -> Result<Tree, String> {
    Tree::compile(&value.value()).map_err(|(pointer, problem)| format!("{pointer}: {}", problem.message))
}

/// The context of templates that read an event: variables and the time, but no secrets.
pub(super) fn template_context(live: &LiveEnvironment, now: Micros, roots: &[(&'static str, &Value)]) -> Context {
    let host = EventHost { variables: Arc::clone(&live.runtime.variables), now: now / 1_000_000 };
    let mut context = Context::new(Arc::new(host));
    for (name, value) in roots {
        context.set(name, *value);
    }
    context
}

struct EventHost {
    variables: Arc<BTreeMap<String, String>>,
    now: i64,
}

impl template::TemplateHost for EventHost {
    fn secret(&self, name: &str) -> Result<String, String> {
        Err(format!("secret `{name}` is not available in templates of triggers"))
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    fn now(&self) -> i64 {
        self.now
    }
}
