//! Renders the request of a call.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use percent_encoding::utf8_percent_encode;
use serde_json::{Map, Value};
use url::Url;

use super::address::{ENCODED, append_query, is_path_value, parse};
use super::call::Call;
use super::error::{CallError, ErrorCode};
use super::expression::{failed, template, tree};
use super::prepared::{PreparedRequest, header_value};
use crate::definition::action::{Http, Method};
use crate::definition::common::{Param, Retry};
use crate::definition::connector::ConnectorSpec;
use crate::net;
use crate::template::{Context, Limits, RenderError, Template, Tree};

/// A compiled HTTP request.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    base: Option<Template>,
    path: Template,
    path_params: BTreeMap<String, Option<Template>>,
    query: Vec<CompiledParam>,
    headers: Vec<CompiledParam>,
    body: BodyTemplate,
    omit_empty: bool,
    pub(super) retry: Option<Retry>,
    limits: net::Limits,
}

#[derive(Debug)]
struct CompiledParam {
    name: String,
    value: Template,
    overridable: bool,
    omit_empty: bool,
}

impl CompiledParam {
    /// The text that is sent; empty for null.
    fn render(&self, context: &Context, limits: &Limits) -> Result<String, RenderError> {
        let text = self.value.render_text(context, limits)?;
        let null = text == "null" && self.value.render_value(context, limits).is_ok_and(|value| value.is_null());
        Ok(if null { String::new() } else { text })
    }
}

#[derive(Debug)]
enum BodyTemplate {
    None,
    Json(Tree),
    Form(Vec<(String, Tree)>),
    Text(Template),
}

impl Request {
    pub(super) fn compile(
        spec: &ConnectorSpec,
        retry: Option<&Retry>,
        http: &Http,
        timeout: Duration,
    ) -> Result<Request, String> {
        let url = |source: &str| Template::compile_url(source).map_err(|problem| problem.message);
        let base = match (&http.url, &spec.base_url) {
            (None, Some(base)) => Some(url(base)?),
            _ => None,
        };
        let path = url(http.url.as_deref().or(http.path.as_deref()).unwrap_or_default())?;
        let mut path_params = BTreeMap::new();
        for (name, param) in &http.path_params {
            path_params.insert(name.clone(), param.default.as_deref().map(template).transpose()?);
        }
        let body = match (&http.body, &http.form, &http.text) {
            (Some(body), _, _) => BodyTemplate::Json(tree(&body.value())?),
            (None, Some(form), _) => {
                let fields: Result<Vec<_>, String> =
                    form.iter().map(|(name, value)| Ok((name.clone(), tree(value)?))).collect();
                BodyTemplate::Form(fields?)
            }
            (None, None, Some(text)) => BodyTemplate::Text(template(text)?),
            (None, None, None) => BodyTemplate::None,
        };
        let mut limits = net::Limits { timeout, ..net::Limits::default() };
        if let Some(max) = spec.defaults.max_response_bytes {
            limits.max_response_bytes = usize::try_from(max).unwrap_or(usize::MAX);
        }
        if let Some(max) = spec.defaults.max_redirects {
            limits.max_redirects = max;
        }
        Ok(Request {
            method: http.method,
            base,
            path,
            path_params,
            query: params(&spec.defaults.query, &http.query, false)?,
            headers: params(&spec.defaults.headers, &http.headers, true)?,
            body,
            omit_empty: http.omit_empty,
            retry: retry.or(spec.defaults.retry.as_ref()).cloned(),
            limits,
        })
    }

    /// The path parameters: values of the caller, or their defaults.
    ///
    /// # Errors
    /// Missing parameters, otherwise invalid ones; all are named at once.
    pub(super) fn path_params(&self, call: &Call, context: &Context) -> Result<Map<String, Value>, CallError> {
        let mut values = Map::new();
        let mut missing = Vec::new();
        for (name, default) in &self.path_params {
            match (call.path_params.get(name), default) {
                (Some(value), _) => {
                    values.insert(name.clone(), Value::String(value.clone()));
                }
                (None, Some(default)) => {
                    let value = default
                        .render_text(context, &Limits::default())
                        .map_err(|error| failed("pathParams", &error))?;
                    values.insert(name.clone(), Value::String(value));
                }
                (None, None) => missing.push(name.clone()),
            }
        }
        if !missing.is_empty() {
            let detail = format!("missing path parameters: {}", missing.join(", "));
            return Err(CallError::new(ErrorCode::MissingPathParameters, detail).params(missing));
        }
        let invalid: Vec<String> = values
            .iter()
            .filter(|(_, value)| !value.as_str().is_some_and(is_path_value))
            .map(|(name, _)| name.clone())
            .chain(call.path_params.keys().filter(|name| !self.path_params.contains_key(*name)).cloned())
            .collect();
        if !invalid.is_empty() {
            let detail = format!("path parameters that cannot be part of this path: {}", invalid.join(", "));
            return Err(CallError::new(ErrorCode::InvalidPathParameters, detail).params(invalid));
        }
        Ok(values)
    }

    /// Renders the request. It depends on the context and the caller's overrides only.
    pub(super) fn render(&self, call: &Call, context: &Context) -> Result<PreparedRequest, CallError> {
        let limits = Limits::default();
        let mut url = self.url(context, &limits)?;
        let mut query = Vec::new();
        for param in &self.query {
            let value = match call.query.get(&param.name).filter(|_| param.overridable) {
                Some(given) => given.clone(),
                None => param
                    .render(context, &limits)
                    .map_err(|error| failed(&format!("query `{}`", param.name), &error))?,
            };
            if !(value.is_empty() && param.omit_empty) {
                query.push((param.name.as_str(), value));
            }
        }
        append_query(&mut url, query.iter().map(|(name, value)| (*name, value.as_str())));
        let mut headers = Vec::new();
        for param in &self.headers {
            let overridden = call.headers.get(&param.name.to_ascii_lowercase()).filter(|_| param.overridable);
            let value = match overridden {
                Some(given) => given.clone(),
                None => param
                    .render(context, &limits)
                    .map_err(|error| failed(&format!("header `{}`", param.name), &error))?,
            };
            if !(value.is_empty() && param.omit_empty) {
                headers.push((param.name.clone(), header_value(&param.name, value)?));
            }
        }
        let (body, content_type) = self.body(context, &limits)?;
        let has = |headers: &[(String, String)], name: &str| {
            headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
        };
        if let Some(content_type) = content_type
            && !has(&headers, "content-type")
        {
            headers.push(("Content-Type".into(), content_type.into()));
        }
        if !has(&headers, "accept") {
            headers.push(("Accept".into(), "application/json, */*;q=0.5".into()));
        }
        if !has(&headers, "user-agent") {
            headers.push(("User-Agent".into(), concat!("evenkeel/", env!("CARGO_PKG_VERSION")).into()));
        }
        Ok(PreparedRequest {
            method: self.method.as_str(),
            url,
            headers,
            body,
            sensitive: Vec::new(),
            limits: self.limits.clone(),
        })
    }

    fn url(&self, context: &Context, limits: &Limits) -> Result<Url, CallError> {
        let path = self.path.render_text(context, limits).map_err(|error| failed("url", &error))?;
        let text = match &self.base {
            Some(base) => {
                let base = base.render_text(context, limits).map_err(|error| failed("baseUrl", &error))?;
                // The base URL is parsed by itself, so that no part of the path can change the host.
                parse(&base)?;
                format!("{}{path}", base.strip_suffix('/').unwrap_or(&base))
            }
            None => path,
        };
        parse(&text)
    }

    fn body(&self, context: &Context, limits: &Limits) -> Result<(Bytes, Option<&'static str>), CallError> {
        match &self.body {
            BodyTemplate::None => Ok((Bytes::new(), None)),
            BodyTemplate::Json(tree) => {
                let mut value = tree.render(context, limits).map_err(|error| failed("body", &error))?;
                if self.omit_empty {
                    drop_empty(&mut value);
                }
                Ok((value.to_string().into(), Some("application/json")))
            }
            BodyTemplate::Form(fields) => {
                let mut pairs = Vec::new();
                for (name, tree) in fields {
                    let mut value =
                        tree.render(context, limits).map_err(|error| failed(&format!("form `{name}`"), &error))?;
                    if self.omit_empty {
                        drop_empty(&mut value);
                        if is_empty(&value) {
                            continue;
                        }
                    }
                    form_pairs(name, &value, &mut pairs);
                }
                let encode = |text: &str| utf8_percent_encode(text, ENCODED).to_string();
                let body: Vec<String> =
                    pairs.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
                Ok((body.join("&").into(), Some("application/x-www-form-urlencoded")))
            }
            BodyTemplate::Text(text) => {
                let text = text.render_text(context, limits).map_err(|error| failed("text", &error))?;
                Ok((text.into(), Some("text/plain; charset=utf-8")))
            }
        }
    }
}

/// The parameters of the connector, overridden by those of the action.
fn params(
    defaults: &BTreeMap<String, Param>,
    own: &BTreeMap<String, Param>,
    ignore_case: bool,
) -> Result<Vec<CompiledParam>, String> {
    let same = |a: &str, b: &str| if ignore_case { a.eq_ignore_ascii_case(b) } else { a == b };
    let kept = defaults.iter().filter(|(name, _)| !own.keys().any(|own| same(own, name)));
    kept.chain(own)
        .map(|(name, param)| {
            Ok(CompiledParam {
                name: name.clone(),
                value: template(&param.value())?,
                overridable: param.overridable(),
                omit_empty: param.omit_empty(),
            })
        })
        .collect()
}

/// Removes members that are null or an empty string, at any depth. Items of lists are kept.
fn drop_empty(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| {
                drop_empty(value);
                !is_empty(value)
            });
        }
        Value::Array(items) => items.iter_mut().for_each(drop_empty),
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    matches!(value, Value::Null) || value.as_str() == Some("")
}

/// Flattens a value into form fields: `a[b]=1`, `list[0]=x`.
fn form_pairs(name: &str, value: &Value, pairs: &mut Vec<(String, String)>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| form_pairs(&format!("{name}[{key}]"), value, pairs)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, value)| form_pairs(&format!("{name}[{at}]"), value, pairs));
        }
        Value::Null => pairs.push((name.to_owned(), String::new())),
        Value::String(text) => pairs.push((name.to_owned(), text.clone())),
        other => pairs.push((name.to_owned(), other.to_string())),
    }
}
