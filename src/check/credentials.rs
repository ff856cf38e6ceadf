//! Credentials that are written literally.

use crate::catalog::{CatalogView, Entry};
use crate::definition::Kind;
use crate::definition::schema_validator::ValueFormat;
use crate::text::{
    Finding, Node, NodeKind as Value, codes, holds_parameters, is_generated_key, is_key_parameter, is_known_credential,
    looks_random, url_holds_key,
};

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

/// Fields that hold a URL or the path of one.
const URLS: [&str; 3] = ["baseUrl", "url", "path"];

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

/// Properties of a value that follow from the names around it.
#[derive(Clone, Copy, Default)]
struct Names<'a> {
    /// The nearest name is that of a credential.
    named: bool,
    /// The members are headers or parameters of requests.
    parameters: bool,
    /// The name of the header or parameter whose value it is.
    parameter: Option<&'a str>,
    /// It is a URL or the path of one.
    url: bool,
}

impl<'a> Names<'a> {
    fn below(self, name: &'a str) -> Names<'a> {
        // `headers: { X-Key: { value: … } }`
        if name == "value" && (self.named || self.parameter.is_some()) {
            return self;
        }
        let plain: String = name.to_ascii_lowercase().replace(['-', '_'], "");
        Names {
            named: NAMES.iter().any(|known| plain.ends_with(known)) || self.parameters && is_key_parameter(name),
            parameters: holds_parameters(name),
            parameter: self.parameters.then_some(name),
            url: URLS.contains(&name),
        }
    }
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
    let mut stack = vec![(&entry.document.root, Names::default())];
    while let Some((node, names)) = stack.pop() {
        match &node.kind {
            Value::Text(text) if is_known_credential(&text.value) => {
                report(entry, node, "this looks like a credential", findings);
            }
            Value::Text(text) if names.named && looks_random(&text.value) => {
                report(entry, node, "this looks like a credential", findings);
            }
            Value::Text(text) if names.parameter.is_some_and(|name| is_generated_key(name, &text.value)) => {
                report(entry, node, "this looks like a credential", findings);
            }
            Value::Text(text) if names.url && url_holds_key(&text.value) => {
                report(entry, node, "the query of this URL holds what looks like a credential", findings);
            }
            Value::List(items) => stack.extend(items.iter().map(|item| (item, names))),
            Value::Map(entries) => {
                stack.extend(entries.iter().map(|entry| (&entry.value, names.below(&entry.key.name))));
            }
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
