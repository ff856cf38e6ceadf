//! `/v1/connectors` and `/v1/findings`: the active connectors and the findings, for the page and for tools.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::{Value, json};

use super::context::{ENVIRONMENT, header_text};
use super::response::{self, respond};
use super::state::Server;
use crate::connector::{Action, Connector, Mocking, is_example_host};
use crate::definition::Json;
use crate::definition::common::SchemaValue;
use crate::definition::json_schema::entity_schemas;
use crate::text::render::{OutputFormat, Report, render};

/// `GET /v1/connectors`
pub(super) async fn connectors(State(server): State<Server>, headers: HeaderMap) -> Response {
    if server.environments.is_some()
        && let Err(error) = server.access.reader(&headers)
    {
        return respond(Err(error));
    }
    let active = match server.active(header_text(&headers, ENVIRONMENT)) {
        Ok(active) => active,
        Err(error) => return response::error(&error, &response::request_id(&headers)),
    };
    let runtime = &active.runtime;
    let connectors: Vec<Value> =
        runtime.connectors.values().map(|connector| connector_json(connector, server.mocking)).collect();
    response::json(
        200,
        &json!({"generation": runtime.generation, "environment": runtime.environment, "connectors": connectors}),
    )
}

fn connector_json(connector: &Connector, mocking: Mocking) -> Value {
    // The host may be a template; its literal part is enough to recognize the host of an example.
    let literal = connector.spec.base_url.as_deref().unwrap_or_default();
    let host = literal.split_once("://").map_or("", |(_, rest)| rest).split('/').next().unwrap_or_default();
    let mocked = mocking == Mocking::All || mocking == Mocking::Examples && is_example_host(host);
    let actions: Vec<Value> = connector.actions.values().map(|action| action_json(connector, action, mocked)).collect();
    json!({
        "name": connector.name,
        "displayName": connector.spec.display_name,
        "description": connector.spec.description,
        "source": connector.place,
        "actions": actions,
    })
}

fn action_json(connector: &Connector, action: &Action, mocked: bool) -> Value {
    let spec = &action.spec;
    let with_entities = |schema: Option<&SchemaValue>| match schema.map(|schema| schema.0.value()) {
        Some(Value::Object(mut map)) if !connector.spec.entities.is_empty() => {
            map.insert("entities".into(), Value::Object(entity_schemas(&connector.spec.entities)));
            Value::Object(map)
        }
        Some(other) => other,
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
        .map(|test| json!({"name": test.name, "input": test.input.as_ref().map_or_else(|| json!({}), Json::value), "pathParams": test.path_params}))
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
        "input": with_entities(spec.input.as_ref()),
        "output": with_entities(spec.output.as_ref()),
        "pathParams": path_params,
        "samples": samples,
        "mocked": mocked,
    })
}

/// `GET /v1/findings`
pub(super) async fn findings(State(server): State<Server>, headers: HeaderMap) -> Response {
    if server.environments.is_some()
        && let Err(error) = server.access.reader(&headers)
    {
        return respond(Err(error));
    }
    let active = match server.active(None) {
        Ok(active) => active,
        Err(error) => return response::error(&error, &response::request_id(&headers)),
    };
    let validated = &active.validated;
    let report = Report {
        findings: &validated.findings,
        sources: &validated.catalog.sources,
        definitions: validated.catalog.entries.len(),
    };
    // The same format as `validate -o json`.
    let mut value: Value =
        serde_json::from_str(&render(&report, OutputFormat::Json, false, 0)).unwrap_or_else(|_| json!({}));
    value["generation"] = json!(active.runtime.generation);
    value["current"] = json!(active.current);
    response::json(200, &value)
}
