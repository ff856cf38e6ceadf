//! What there is to call, and what is wrong: for the page and for tools.

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};

use super::{Mocking, Server, answer};
use crate::connector::{Action, Connector, is_example_host};
use crate::text::render::{Output, Report, render};

/// `GET /v1/connectors`
pub(super) async fn connectors(State(server): State<Server>) -> Response {
    let active = server.pointer.load();
    let runtime = &active.runtime;
    let connectors: Vec<Value> =
        runtime.connectors.values().map(|connector| of_connector(connector, server.mocking)).collect();
    answer::json(
        200,
        &json!({"generation": runtime.generation, "environment": runtime.environment, "connectors": connectors}),
    )
}

fn of_connector(connector: &Connector, mocking: Mocking) -> Value {
    // The host may be a template; what is literal of it is enough to tell an example's.
    let literal = connector.spec.base_url.as_deref().unwrap_or_default();
    let host = literal.split_once("://").map_or("", |(_, rest)| rest).split('/').next().unwrap_or_default();
    let mocked = mocking == Mocking::All || is_example_host(host);
    let actions: Vec<Value> = connector.actions.values().map(|action| of_action(connector, action, mocked)).collect();
    json!({
        "name": connector.name,
        "displayName": connector.spec.display_name,
        "description": connector.spec.description,
        "source": connector.place,
        "actions": actions,
    })
}

fn of_action(connector: &Connector, action: &Action, mocked: bool) -> Value {
    let spec = &action.spec;
    let with_entities = |schema: Option<&Value>| match schema {
        Some(Value::Object(map)) if !connector.entities.is_empty() => {
            let mut map = map.clone();
            map.insert("entities".into(), Value::Object(connector.entities.clone()));
            Value::Object(map)
        }
        Some(other) => other.clone(),
        None => Value::Null,
    };
    let path_params: Vec<Value> = spec
        .http
        .iter()
        .flat_map(|http| &http.path_params)
        .map(|(name, param)| json!({"name": name, "description": param.description, "required": param.default.is_none()}))
        .collect();
    let samples: Vec<Value> = spec
        .tests
        .iter()
        .map(|test| json!({"name": test.name, "input": test.input.clone().unwrap_or_else(|| json!({})), "pathParams": test.path_params}))
        .collect();
    json!({
        "name": action.name,
        "title": spec.title,
        "description": spec.description,
        "operation": spec.operation,
        "entity": spec.entity,
        "method": "POST",
        "transport": action.transport_name(),
        "runnable": action.is_runnable(),
        "source": action.place,
        "input": with_entities(spec.input.as_ref().map(|schema| &schema.0)),
        "output": with_entities(spec.output.as_ref().map(|schema| &schema.0)),
        "pathParams": path_params,
        "samples": samples,
        "mocked": mocked,
    })
}

/// `GET /v1/findings`
pub(super) async fn findings(State(server): State<Server>) -> Response {
    let active = server.pointer.load();
    let examined = &active.examined;
    let report = Report {
        findings: &examined.findings,
        sources: &examined.catalog.sources,
        definitions: examined.catalog.entries.len(),
    };
    // The same form as `validate -o json`, so that both are read alike.
    let mut value: Value = serde_json::from_str(&render(&report, Output::Json, false, 0)).unwrap_or_else(|_| json!({}));
    value["generation"] = json!(active.runtime.generation);
    value["current"] = json!(active.current);
    answer::json(200, &value)
}
