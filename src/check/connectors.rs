//! Connectors: complete URLs, declared parameters, identity that callers cannot override, and usable authentication.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::Entry;
use crate::definition::Spec;
use crate::definition::action::{Action, Http, Method};
use crate::definition::auth::{AuthMethod, Grant, KeyPlace};
use crate::definition::common::Param;
use crate::definition::connector::ConnectorSpec;
use crate::definition::schema_validator::{ValueFormat, nearest, quoted_list};
use crate::template::{FieldLocation, analyse};
use crate::text::{Finding, codes, escaped};

pub(super) fn check(entry: &Entry, findings: &mut Vec<Finding>) {
    urls(entry, findings);
    let Some(Spec::Connector(spec)) = entry.spec() else { return };
    auth(entry, spec, findings);
    identity(entry, "/spec/defaults", &spec.defaults.headers, &spec.defaults.query, findings);
    for (name, action) in &spec.actions {
        let base = format!("/spec/actions/{name}");
        if let Some(request) = &action.http {
            http(entry, spec, request, &format!("{base}/http"), findings);
        }
        for (at, step) in action.steps.iter().flatten().enumerate() {
            if let Some(request) = &step.http {
                http(entry, spec, request, &format!("{base}/steps/{at}/http"), findings);
            }
        }
        grpc(entry, spec, action, &base, findings);
        pagination(entry, action, &base, findings);
        let default = spec.auth.as_ref().and_then(|auth| auth.default.as_ref());
        if let Some(default) = default.filter(|default| action.auth.len() > 1 && !action.auth.contains(*default)) {
            let message = format!("this action does not allow the connector's default method `{default}`");
            findings.push(
                Finding::new(&codes::AUTH_SETTING, entry.key_span(&format!("{base}/auth")), message)
                    .help("add it, or list one method only, which is then used"),
            );
        }
    }
    base_url(entry, spec, findings);
    health(entry, spec, findings);
}

/// Reports a probe of an action that cannot be called without input. An unknown action is reported as a reference.
fn health(entry: &Entry, spec: &ConnectorSpec, findings: &mut Vec<Finding>) {
    let Some((probe, action)) = spec.health.as_ref().and_then(|probe| Some((probe, spec.actions.get(&probe.action)?)))
    else {
        return;
    };
    let schema = action.input.as_ref().map(|schema| schema.0.value()).unwrap_or_default();
    let required = schema["required"].as_array().into_iter().flatten().filter_map(|name| name.as_str());
    let mut needed: Vec<&str> = required.filter(|name| schema["properties"][*name].get("default").is_none()).collect();
    needed.extend(action.http.iter().flat_map(|http| http.path_params.keys()).map(String::as_str));
    if let Some(first) = needed.first() {
        let message = format!("the action `{}` cannot be called without `{first}`", probe.action);
        findings.push(
            Finding::new(&codes::PROBE_INPUT, entry.value_span("/spec/health/action"), message)
                .help("probe an action that needs no input, or give the input a `default`"),
        );
    }
}

/// Checks all URLs, also in definitions whose other fields have errors.
fn urls(entry: &Entry, findings: &mut Vec<Finding>) {
    for template in
        entry.facts.templates.iter().filter(|template| ["url", "baseUrl", "absoluteUrl"].contains(&template.location))
    {
        if let Some(text) = entry.node(&template.pointer).and_then(|node| node.as_str()) {
            literal_url(entry, text, &template.pointer, findings);
        }
    }
}

fn http(entry: &Entry, spec: &ConnectorSpec, request: &Http, base: &str, findings: &mut Vec<Finding>) {
    if request.path.is_some() && spec.base_url.is_none() {
        findings.push(
            Finding::new(
                &codes::ABSOLUTE_PATH,
                entry.value_span(&format!("{base}/path")),
                "there is no `baseUrl` before this path",
            )
            .help("add `baseUrl` to the connector, or write a whole `url`"),
        );
    }
    let body = [("body", request.body.is_some()), ("form", request.form.is_some()), ("text", request.text.is_some())];
    if matches!(request.method, Method::Get | Method::Head)
        && let Some((field, _)) = body.into_iter().find(|(_, given)| *given)
    {
        let message = format!("{} requests carry no body", request.method.as_str());
        findings.push(
            Finding::new(&codes::BODY_NOT_SENT, entry.key_span(&format!("{base}/{field}")), message)
                .help("use `query`, or another method"),
        );
    }
    identity(entry, base, &request.headers, &request.query, findings);
    path_params(entry, request, base, findings);
}

/// Checks the literal part of a URL.
fn literal_url(entry: &Entry, text: &str, pointer: &str, findings: &mut Vec<Finding>) {
    let Some(literal) = literal_part(&super::braces::without_placeholders(text)) else { return };
    if let Some(bad) = literal.chars().find(|character| character.is_whitespace() || "<>\"\\^`|".contains(*character)) {
        let message = format!("a URL cannot hold {bad:?}");
        findings.push(
            Finding::new(&codes::BAD_URL, entry.value_span(pointer), message)
                .help("percent-encode it, or put the value into `query`, which is encoded when sent"),
        );
    }
    // A path may hold another URL, as in `/lookup?url=https://…`.
    if literal.starts_with(['/', '?']) {
        return;
    }
    let scheme = literal.split_once("://").map(|(scheme, _)| scheme);
    if scheme.is_some_and(|scheme| scheme != "https") && !is_loopback(text) {
        findings.push(
            Finding::new(&codes::BAD_URL, entry.value_span(pointer), "this is not an `https://` URL")
                .help("use `https://`"),
        );
    }
    let authority = literal.split_once("://").map_or("", |(_, rest)| rest);
    if authority.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@')) {
        findings.push(
            Finding::new(&codes::BAD_URL, entry.value_span(pointer), "the URL contains a user name or password")
                .help("remove it; credentials go into `auth`"),
        );
    }
}

/// A template without its expressions, statements and comments; `None` if one of them does not end.
fn literal_part(text: &str) -> Option<String> {
    let mut literal = String::new();
    let mut rest = text;
    while let Some((start, end)) = ["{{", "{%", "{#"]
        .iter()
        .zip(["}}", "%}", "#}"])
        .filter_map(|(start, end)| Some((rest.find(start)?, end)))
        .min()
    {
        literal += &rest[..start];
        let close = rest[start..].find(end)?;
        rest = &rest[start + close + 2..];
    }
    Some(literal + rest)
}

/// True for `http://` URLs of the local machine, the only ones that are allowed without TLS.
fn is_loopback(url: &str) -> bool {
    ["http://localhost", "http://127.0.0.1", "http://[::1]"]
        .iter()
        .any(|start| url.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/', '?'])))
}

fn base_url(entry: &Entry, spec: &ConnectorSpec, findings: &mut Vec<Finding>) {
    if let Some(text) = &spec.base_url {
        let after = text.rsplit("}}").next().unwrap_or(text);
        if after.contains(['?', '#']) {
            findings.push(
                Finding::new(
                    &codes::BAD_URL,
                    entry.value_span("/spec/baseUrl"),
                    "paths cannot be appended after a query or fragment",
                )
                .help("put query parameters into `defaults.query`"),
            );
        }
    }
}

/// Compares the path parameters that the URL uses with those that are declared.
fn path_params(entry: &Entry, request: &Http, base: &str, findings: &mut Vec<Finding>) {
    let mut used = BTreeSet::new();
    let mut unknown = false;
    for text in [&request.url, &request.path].into_iter().flatten() {
        for read in analyse(text, FieldLocation::Url, false).reads.keys() {
            match read.strip_prefix("pathParams") {
                Some("") => unknown = true,
                Some(rest) => {
                    used.extend(rest.trim_start_matches('.').split('.').next().map(str::to_owned));
                }
                None => {}
            }
        }
    }
    let field = if request.url.is_some() { "url" } else { "path" };
    for name in used.iter().filter(|name| !request.path_params.contains_key(*name)) {
        let help = match nearest(name, request.path_params.keys().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("add `pathParams: {{ {name}: {{}} }}`"),
        };
        let message = format!("the path parameter `{name}` is not declared");
        findings.push(
            Finding::new(&codes::PATH_PARAMETER, entry.value_span(&format!("{base}/{field}")), message).help(help),
        );
    }
    // `{id}` in the URL is reported there.
    let is_misspelt = |name: &str| {
        [&request.url, &request.path].into_iter().flatten().any(|url| super::braces::has_placeholder(url, name))
    };
    let unused = request.path_params.keys().filter(|name| !unknown && !used.contains(*name) && !is_misspelt(name));
    for name in unused {
        let message = format!("the path parameter `{name}` is not used");
        findings.push(
            Finding::new(&codes::PATH_PARAMETER, entry.key_span(&format!("{base}/pathParams/{name}")), message)
                .help(format!("use it in the path as `{{{{ pathParams.{name} }}}}`, or remove it")),
        );
    }
}

/// Reports overridable parameters that hold the caller's identity or a secret.
fn identity(
    entry: &Entry,
    base: &str,
    headers: &BTreeMap<String, Param>,
    query: &BTreeMap<String, Param>,
    findings: &mut Vec<Finding>,
) {
    for (group, params) in [("headers", headers), ("query", query)] {
        let reserved = credential_names(entry, group);
        let site = if group == "headers" { FieldLocation::Header } else { FieldLocation::Query };
        for (name, param) in params.iter().filter(|(_, param)| param.overridable()) {
            let analysis = analyse(&param.value(), site, false);
            let identity = analysis.reads.keys().find(|read| {
                ["user", "tenant", "tenant_id", "connection"].contains(&read.split('.').next().unwrap_or(read))
            });
            let what = match (identity, analysis.secrets.first()) {
                (_, Some(secret)) => format!("the secret `{}`", secret.name),
                (Some(read), None) => format!("`{read}`"),
                (None, None) if reserved.iter().any(|reserved| reserved.eq_ignore_ascii_case(name)) => {
                    format!("the credential in `{name}`")
                }
                (None, None) => continue,
            };
            let pointer = format!("{base}/{group}/{}/overridable", escaped(name));
            let message = format!("a caller could replace {what}");
            findings.push(
                Finding::new(&codes::OVERRIDABLE_IDENTITY, entry.key_span(&pointer), message)
                    .help("remove `overridable`"),
            );
        }
    }
}

/// Reports inputs that paging sets and that a closed schema refuses.
fn pagination(entry: &Entry, action: &Action, base: &str, findings: &mut Vec<Finding>) {
    let Some(pages) = &action.pagination else { return };
    let counted = [("offset", &pages.offset), ("page", &pages.page)];
    let counted = counted.into_iter().filter_map(|(field, pages)| Some((field, pages.as_ref()?)));
    let mut inputs: Vec<(String, &str)> = Vec::new();
    for (field, pages) in counted {
        inputs.push((format!("{field}/input"), &pages.input));
        inputs.extend(pages.limit_input.iter().map(|input| (format!("{field}/limitInput"), input.as_str())));
    }
    inputs.extend(pages.cursor.iter().map(|cursor| ("cursor/input".to_owned(), cursor.input.as_str())));
    let Some(schema) = action.input.as_ref().map(|schema| schema.0.value()) else { return };
    let Some(properties) = schema["properties"].as_object().filter(|_| schema["additionalProperties"] == false) else {
        return;
    };
    for (field, input) in inputs.into_iter().filter(|(_, input)| !properties.contains_key(*input)) {
        let help = match nearest(input, properties.keys().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("add `{input}` to the input schema"),
        };
        let span = entry.value_span(&format!("{base}/pagination/{field}"));
        let message = format!("the input schema has no `{input}`");
        findings.push(Finding::new(&codes::UNKNOWN_REFERENCE, span, message).help(help));
    }
}

/// Names of headers or query parameters that carry credentials of this connector.
fn credential_names(entry: &Entry, group: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    if group == "headers" {
        names.extend(["Authorization", "Cookie"].map(str::to_owned));
    }
    let wanted = if group == "headers" { "Header" } else { "Query" };
    for method in entry.node("/spec/auth/methods").map_or(&[][..], crate::text::Node::entries) {
        if let Some(key) = method.value.get("apiKey")
            && key.get("in").and_then(crate::text::Node::as_str).unwrap_or("Header") == wanted
        {
            names.extend(key.get("name").and_then(|name| name.as_str()).map(str::to_owned));
        }
        let custom = method.value.pointer(&format!("/custom/{group}")).map_or(&[][..], crate::text::Node::entries);
        names.extend(custom.iter().map(|entry| entry.key.name.to_string()));
    }
    names
}

fn grpc(entry: &Entry, spec: &ConnectorSpec, action: &Action, base: &str, findings: &mut Vec<Finding>) {
    if action.grpc.as_ref().is_some_and(|grpc| grpc.endpoint.is_none()) && spec.base_url.is_none() {
        let message = "there is no `endpoint`, and the connector has no `baseUrl`";
        findings.push(
            Finding::new(&codes::ABSOLUTE_PATH, entry.key_span(&format!("{base}/grpc")), message)
                .help("add `endpoint`"),
        );
    }
    if let Some(sql) = &action.sql {
        let placeholders = placeholders(&sql.query);
        let wanted = placeholders.iter().next_back().copied().unwrap_or(0);
        if wanted != sql.params.len() || placeholders.len() != wanted {
            let message = match wanted == sql.params.len() {
                true => "placeholders are numbered from `$1` without gaps".to_owned(),
                false => format!("the query has {wanted} placeholders, and there are {} params", sql.params.len()),
            };
            findings.push(
                Finding::new(&codes::SQL_PARAMS, entry.value_span(&format!("{base}/sql/query")), message)
                    .help("give each of `$1`, `$2` … one of `params`, in order"),
            );
        }
    }
}

/// Numbers of the placeholders `$1`, `$2` … outside of quotes.
fn placeholders(query: &str) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let lines = query.lines().map(|line| line.split("--").next().unwrap_or(line));
    let query = lines.collect::<Vec<_>>().join("\n");
    // Every other part of the split is outside of quotes.
    for part in query.split('\'').step_by(2) {
        let digits =
            part.split('$').skip(1).map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
        found.extend(digits.filter_map(|digits| digits.parse::<usize>().ok()).filter(|number| *number > 0));
    }
    found
}

fn auth(entry: &Entry, spec: &ConnectorSpec, findings: &mut Vec<Finding>) {
    let Some(auth) = &spec.auth else { return };
    if auth.default.is_none() && auth.methods.len() > 1 {
        let names: Vec<&String> = auth.methods.keys().collect();
        findings.push(
            Finding::new(&codes::AUTH_DEFAULT, entry.key_span("/spec/auth"), "none of several methods is the default")
                .help(format!("add `default` with one of {}", quoted_list(&names))),
        );
    }
    if auth.allow_switching && auth.methods.len() < 2 {
        findings.push(
            Finding::new(
                &codes::AUTH_SETTING,
                entry.key_span("/spec/auth/allowSwitching"),
                "there is only one method to choose from",
            )
            .help("add another method, or remove `allowSwitching`"),
        );
    }
    for (name, method) in &auth.methods {
        auth_method(entry, method, &format!("/spec/auth/methods/{name}"), findings);
    }
}

fn auth_method(entry: &Entry, method: &AuthMethod, base: &str, findings: &mut Vec<Finding>) {
    let mut report = |pointer: &str, message: &str, help: &str| {
        findings.push(Finding::new(&codes::AUTH_SETTING, entry.key_span(pointer), message).help(help));
    };
    if let Some(oauth2) = &method.oauth2 {
        let base = format!("{base}/oauth2");
        match oauth2.grant {
            Grant::AuthorizationCode if oauth2.authorization_url.is_none() => {
                report(&base, "the grant AuthorizationCode needs `authorizationUrl`", "add `authorizationUrl`");
            }
            Grant::ClientCredentials | Grant::JwtBearer if oauth2.authorization_url.is_some() => {
                let message = format!("the grant {:?} has no authorization request", oauth2.grant);
                report(
                    &format!("{base}/authorizationUrl"),
                    &message,
                    "remove `authorizationUrl`, or use AuthorizationCode",
                );
            }
            Grant::JwtBearer if oauth2.assertion.is_none() => {
                report(&base, "the grant JwtBearer needs `assertion`", "add `assertion` with the claims to sign");
            }
            _ => {}
        }
        if oauth2.assertion.is_some() && oauth2.grant != Grant::JwtBearer {
            report(
                &format!("{base}/assertion"),
                "only the grant JwtBearer takes an assertion",
                "use `grant: JwtBearer`",
            );
        }
    }
    if let Some(key) = &method.api_key
        && key.place == KeyPlace::Header
    {
        let problem = ValueFormat::Header.problem(&key.name);
        let span = entry.value_span(&format!("{base}/apiKey/name"));
        findings.extend(problem.map(|(code, message, help)| Finding::new(code, span, message).help(help)));
    }
    if let Some(custom) = &method.custom {
        credentials(entry, custom, base, findings);
    }
}

/// Reports fields of custom credentials that are used and not declared.
fn credentials(entry: &Entry, custom: &crate::definition::auth::CustomAuth, base: &str, findings: &mut Vec<Finding>) {
    for (group, params) in [("headers", &custom.headers), ("query", &custom.query)] {
        for (name, template) in params {
            for read in analyse(template, FieldLocation::Auth, false).reads.keys() {
                let Some(field) = read.strip_prefix("credentials.").and_then(|rest| rest.split('.').next()) else {
                    continue;
                };
                if !custom.fields.contains_key(field) {
                    let help = match nearest(field, custom.fields.keys().map(String::as_str)) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => format!("add `{field}` to `fields`"),
                    };
                    let span = entry.value_span(&format!("{base}/custom/{group}/{name}"));
                    let message = format!("there is no credential `{field}`");
                    findings.push(Finding::new(&codes::UNKNOWN_REFERENCE, span, message).help(help));
                }
            }
        }
    }
}
