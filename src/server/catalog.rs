//! Connectors and findings that are live, for the page and for tools.

use axum::extract::State;
use serde_json::Value;

use super::context::{RequestContext, Target};
use super::extract::{QueryParams, after, limit};
use super::reply::{ApiResult, Reply};
use super::state::Server;
use crate::api::connector::{Action, Connector, Image, PathParam, Sample, Texts};
use crate::api::environment::Findings;
use crate::api::{Page, query::NoQuery, query::PageQuery};
use crate::connector::{self, Mocking, is_example_host};
use crate::definition::Json;
use crate::definition::common::SchemaValue;
use crate::definition::json_schema::entity_schemas;
use crate::reconcile::validate::Validated;
use crate::text::render::{OutputFormat, Report, render};

/// `GET …/connectors`
pub(super) async fn connectors(
    State(server): State<Server>,
    context: RequestContext,
    QueryParams(query): QueryParams<PageQuery>,
) -> ApiResult<Reply<Page<Connector>>> {
    let target = context.target()?;
    let active = target.active()?;
    let (limit, after) = (limit(query.limit)?, after(query.cursor.as_deref())?);
    let all: Vec<&connector::Connector> = active.runtime.connectors.values().map(|connector| &**connector).collect();
    let page = Page::of(all, |connector| connector.name.clone(), after.as_deref(), limit);
    let page = page.map(|connector| describe(connector, &server, target));
    Ok(Reply(page.of_environment(&target.name)))
}

fn describe(connector: &connector::Connector, server: &Server, target: &Target) -> Connector {
    // The host may be a template; its literal part is enough to recognize the host of an example.
    let literal = connector.spec.base_url.as_deref().unwrap_or_default();
    let host = literal.split_once("://").map_or("", |(_, rest)| rest).split('/').next().unwrap_or_default();
    let mocked = server.mocking == Mocking::All || server.mocking == Mocking::Examples && is_example_host(host);
    let action = |action: &connector::Action| {
        let path = format!("/connectors/{}/actions/{}", connector.name, action.name);
        Action { mocked, url: server.address(&target.path(&path)), ..describe_action(connector, action) }
    };
    let spec = &connector.spec;
    let images = spec.images.iter().map(|image| Image { url: image.url.clone(), theme: word(image.theme) });
    let texts = spec.localization.iter().map(|(locale, texts)| {
        let texts = Texts {
            display_name: texts.display_name.clone(),
            description: texts.description.clone(),
            actions: texts.actions.clone(),
        };
        (locale.clone(), texts)
    });
    Connector {
        name: connector.name.clone(),
        display_name: Some(spec.display_name.clone()).filter(|name| !name.is_empty()),
        description: spec.description.clone(),
        documentation_url: spec.documentation_url.clone(),
        domain: spec.domain.clone(),
        resource_type: word(spec.resource_type),
        images: images.collect(),
        localization: texts.collect(),
        source: connector.place.clone(),
        actions: connector.actions.values().map(action).collect(),
    }
}

/// The word of an enumeration.
fn word(value: impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

fn describe_action(connector: &connector::Connector, action: &connector::Action) -> Action {
    let spec = &action.spec;
    let with_entities = |schema: Option<&SchemaValue>| {
        schema.map(|schema| match schema.0.value() {
            Value::Object(mut map) if !connector.spec.entities.is_empty() => {
                map.insert("entities".into(), Value::Object(entity_schemas(&connector.spec.entities)));
                Value::Object(map)
            }
            other => other,
        })
    };
    let path_params = spec.http.iter().flat_map(|http| &http.path_params);
    let tests = spec.tests.iter();
    Action {
        name: action.name.clone(),
        title: spec.title.clone(),
        description: spec.description.clone(),
        operation: Some(word(spec.operation)),
        entity: spec.entity.clone(),
        url: String::new(),
        transport: action.transport_name().to_owned(),
        runnable: action.is_runnable(),
        mocked: false,
        source: action.place.clone(),
        input: with_entities(spec.input.as_ref()),
        output: with_entities(spec.output.as_ref()),
        path_params: path_params
            .map(|(name, param)| PathParam {
                name: name.clone(),
                description: param.description.clone(),
                required: param.default.is_none(),
            })
            .collect(),
        samples: tests
            .map(|test| Sample {
                name: test.name.clone(),
                input: test.input.as_ref().map_or_else(|| Value::Object(serde_json::Map::new()), Json::value),
                path_params: test.path_params.clone(),
            })
            .collect(),
    }
}

/// `GET …/findings`: the findings of the revision that was read last.
pub(super) async fn findings(
    context: RequestContext,
    QueryParams(NoQuery {}): QueryParams<NoQuery>,
) -> ApiResult<Reply<Findings>> {
    let target = context.target()?;
    let active = target.pointer.load();
    let found = match &target.handle {
        Some(handle) => handle.view.load().validated.as_ref().map(|validated| list(validated)),
        None => active.as_ref().map(|active| list(&active.validated)),
    };
    let digest = active.as_ref().map(|active| active.runtime.generation.clone());
    let (findings, summary) = found.unwrap_or_default();
    let current = active.is_some_and(|active| active.current);
    Ok(Reply(Findings { environment: target.name.clone(), digest, current, findings, summary }))
}

/// The findings and their counts, in the format of `validate -o json`.
fn list(validated: &Validated) -> (Vec<Value>, Value) {
    let report = Report {
        findings: &validated.findings,
        sources: &validated.catalog.sources,
        definitions: validated.catalog.entries.len(),
    };
    let mut value: Value = serde_json::from_str(&render(&report, OutputFormat::Json, false, 0)).unwrap_or_default();
    let findings = value["findings"].take();
    (findings.as_array().cloned().unwrap_or_default(), value["summary"].take())
}
