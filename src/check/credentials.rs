//! Credentials that are written literally.

use crate::catalog::{CatalogView, Entry};
use crate::definition::Kind;
use crate::definition::schema_validator::ValueFormat;
use crate::text::{Finding, Node, NodeKind as Value, codes, is_known_credential};

/// Ends of names of fields, headers and parameters that hold credentials.
const NAMES: [&str; 12] = [
    "password",
    "passwd",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "privatekey",
    "clientsecret",
    "authorization",
    "credential",
    "signingkey",
    "xapikey",
];

/// Secret credentials of the built-in methods.
const SECRET: [&str; 7] = ["password", "token", "apiKey", "accessToken", "refreshToken", "clientSecret", "privateKey"];

/// True if a credential of a connection is secret. For the fields of a custom method their type decides.
fn is_secret(catalog: CatalogView<'_>, entry: &Entry, pointer: &str) -> bool {
    let name = pointer.rsplit('/').next().unwrap_or_default();
    if entry.id.kind != Kind::Connection || SECRET.contains(&name) {
        return true;
    }
    let connector =
        entry.node("/spec/connector").and_then(Node::as_str).and_then(|name| catalog.find(Kind::Connector, name));
    let methods = connector.and_then(|connector| connector.node("/spec/auth/methods")).map_or(&[][..], Node::entries);
    methods.iter().any(|method| {
        let field = method.value.pointer(&format!("/custom/fields/{name}/type"));
        field.and_then(Node::as_str) == Some("Password")
    })
}

pub(super) fn check(catalog: CatalogView<'_>, entry: &Entry, findings: &mut Vec<Finding>) {
    for marked in &entry.facts.formatted {
        let Some(node) = entry.node(&marked.pointer) else { continue };
        let secret_field = match marked.format {
            ValueFormat::Credential => is_secret(catalog, entry, &marked.pointer),
            // The default of a password field of a form.
            ValueFormat::NotCredential => {
                let parent = marked.pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
                entry.node(parent).and_then(|field| field.get("type")).and_then(Node::as_str) == Some("Password")
            }
            _ => false,
        };
        // A client id or user name is not secret.
        let open =
            ["clientId", "username", "user", "email", "account"].iter().any(|name| marked.pointer.ends_with(name));
        if secret_field && !open && node.as_str().is_some_and(|text| !text.is_empty() && !text.contains("{{")) {
            report(entry, node, "a credential is written as it is", findings);
        }
    }
    let mut stack = vec![(&entry.document.root, false)];
    while let Some((node, named)) = stack.pop() {
        match &node.kind {
            Value::Text(text) if is_known_credential(&text.value) => {
                report(entry, node, "this looks like a credential", findings);
            }
            Value::Text(text) if named && looks_random(&text.value) => {
                report(entry, node, "this looks like a credential", findings);
            }
            Value::List(items) => stack.extend(items.iter().map(|item| (item, named))),
            Value::Map(entries) => stack.extend(entries.iter().map(|entry| {
                let name: String = entry.key.name.to_ascii_lowercase().replace(['-', '_'], "");
                // `headers: { X-Key: { value: … } }`
                let inherits = named && &*entry.key.name == "value";
                (&entry.value, inherits || NAMES.iter().any(|known| name.ends_with(known)))
            })),
            _ => {}
        }
    }
}

fn report(entry: &Entry, node: &Node, message: &str, findings: &mut Vec<Finding>) {
    let span = entry.span(node.span);
    let known = |finding: &Finding| finding.code == &codes::LITERAL_CREDENTIAL && finding.span() == Some(span);
    if findings.iter().any(known) {
        return;
    }
    let help = match entry.id.kind {
        Kind::Environment => "name where it comes from under `secrets`, and change the credential: it has been seen",
        _ => "use `secretRef` or `get_secret('name')`, and change the credential: it has been seen",
    };
    findings.push(Finding::new(&codes::LITERAL_CREDENTIAL, span, message).help(help));
}

/// True for long texts of several kinds of characters, without spaces and templates.
fn looks_random(text: &str) -> bool {
    let kinds = [
        text.bytes().any(|byte| byte.is_ascii_lowercase()),
        text.bytes().any(|byte| byte.is_ascii_uppercase()),
        text.bytes().any(|byte| byte.is_ascii_digit()),
    ];
    text.len() >= 16
        && !text.contains("{{")
        && !text.contains(['[', ' ', '/'])
        && kinds.iter().filter(|kind| **kind).count() >= 2
        && text.bytes().any(|byte| byte.is_ascii_digit())
}
