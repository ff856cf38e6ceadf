//! Secrets and variables: what environments, tenants and connections provide, against what is used.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{Catalog, Entry};
use crate::definition::Kind;
use crate::definition::shape::{RefKind, nearest};
use crate::template::{Site, analyse};
use crate::text::{Finding, Node, Span, codes};

/// What is provided, and where.
pub(super) struct Settings {
    environments: Vec<String>,
    /// By name: the environments that provide it.
    secrets: BTreeMap<String, BTreeSet<String>>,
    variables: BTreeMap<String, BTreeSet<String>>,
    /// Is one file of several looked at, which says nothing about what others provide?
    alone: bool,
    /// Variables that a tenant or connection sets: there at least for some calls.
    others: BTreeSet<String>,
}

impl Settings {
    pub(super) fn of(catalog: &Catalog) -> Settings {
        let mut settings = Settings {
            environments: catalog.of_kind(Kind::Environment).map(|entry| entry.id.name.clone()).collect(),
            secrets: BTreeMap::new(),
            variables: BTreeMap::new(),
            alone: catalog.alone && catalog.of_kind(Kind::Environment).next().is_none(),
            others: BTreeSet::new(),
        };
        for entry in catalog.of_kind(Kind::Environment) {
            for name in names(entry, "/spec/secrets") {
                settings.secrets.entry(name).or_default().insert(entry.id.name.clone());
            }
            for name in names(entry, "/spec/variables") {
                settings.variables.entry(name).or_default().insert(entry.id.name.clone());
            }
        }
        for entry in catalog.of_kind(Kind::Tenant).chain(catalog.of_kind(Kind::Connection)) {
            settings.others.extend(names(entry, "/spec/variables"));
        }
        settings
    }

    /// Reports a secret that is used and not provided everywhere.
    pub(super) fn secret(&self, name: &str, span: Span, findings: &mut Vec<Finding>) {
        if self.alone {
            return;
        }
        let help = |near: Option<&str>| match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("add `{name}` to `secrets` of an Environment, with where it comes from"),
        };
        if let Some(environments) = self.secrets.get(name) {
            self.everywhere("secret", name, environments, span, findings);
        } else {
            let near = nearest(name, self.secrets.keys().map(String::as_str));
            let message = match self.environments.is_empty() {
                true => format!("no environment provides the secret `{name}`: there is no Environment"),
                false => format!("no environment provides the secret `{name}`"),
            };
            findings.push(Finding::new(&codes::UNKNOWN_SECRET, span, message).help(help(near)));
        }
    }

    /// Reports a variable that is used without a default and not set everywhere.
    pub(super) fn variable(&self, name: &str, span: Span, findings: &mut Vec<Finding>) {
        match self.variables.get(name) {
            _ if self.alone || self.others.contains(name) => {}
            Some(environments) => self.everywhere("variable", name, environments, span, findings),
            None => {
                let help = match nearest(name, self.variables.keys().chain(&self.others).map(String::as_str)) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("set `{name}` in `variables` of an Environment, or add `| default('…', true)`"),
                };
                let message = format!("nothing sets the variable `{name}`");
                findings.push(Finding::new(&codes::UNKNOWN_VARIABLE, span, message).help(help));
            }
        }
    }

    fn everywhere(&self, what: &str, name: &str, has: &BTreeSet<String>, span: Span, findings: &mut Vec<Finding>) {
        let lacking: Vec<&String> =
            self.environments.iter().filter(|environment| !has.contains(*environment)).collect();
        if !lacking.is_empty() {
            let lacking = crate::definition::shape::listed(&lacking);
            findings.push(
                Finding::new(&codes::PARTLY_PROVIDED, span, format!("the {what} `{name}` is missing in {lacking}"))
                    .help("provide it in every environment"),
            );
        }
    }
}

pub(super) fn check(entry: &Entry, settings: &Settings, findings: &mut Vec<Finding>) {
    // An environment's own secrets, such as a token for its repository, must come from itself.
    for reference in entry.facts.references.iter().filter(|reference| reference.to == RefKind::Secret) {
        let own =
            entry.id.kind == Kind::Environment && names(entry, "/spec/secrets").any(|name| name == reference.name);
        if !own {
            settings.secret(&reference.name, entry.span(reference.span), findings);
        }
    }
    if entry.id.kind == Kind::Environment
        && entry.node("/spec/overlays").is_some_and(|overlays| !overlays.items().is_empty())
    {
        let message = "this version does not apply overlays: their patches are neither checked nor run";
        let span = entry.key_span("/spec/overlays");
        findings.push(Finding::new(&codes::OVERLAYS, span, message).help("write what differs into `variables`"));
    }
    if let (Kind::Environment, Some(secrets), Some(variables)) =
        (entry.id.kind, entry.node("/spec/secrets"), entry.node("/spec/variables"))
    {
        for secret in secrets.entries() {
            if let Some(variable) = variables.entry(&secret.key.name) {
                findings.push(
                    Finding::new(
                        &codes::NAME_CLASH,
                        entry.span(secret.key.span),
                        format!("`{}` is both a secret and a variable", secret.key.name),
                    )
                    .also(entry.span(variable.key.span), "the variable")
                    .help("rename one of them"),
                );
            }
        }
    }
}

/// A name that is a secret in one environment and a variable in another.
pub(super) fn check_catalog(catalog: &Catalog, findings: &mut Vec<Finding>) {
    let mut secrets: BTreeMap<String, &Entry> = BTreeMap::new();
    for entry in catalog.of_kind(Kind::Environment) {
        for name in names(entry, "/spec/secrets") {
            secrets.entry(name).or_insert(entry);
        }
    }
    for entry in &catalog.entries {
        for variable in entry.node("/spec/variables").map_or(&[][..], Node::entries) {
            let Some(other) = secrets.get(&*variable.key.name) else { continue };
            let reported = std::ptr::eq(*other, entry);
            let holds = matches!(entry.id.kind, Kind::Environment | Kind::Tenant | Kind::Connection);
            if !reported && holds {
                findings.push(
                    Finding::new(
                        &codes::NAME_CLASH,
                        entry.span(variable.key.span),
                        format!("`{}` is a variable here and a secret elsewhere", variable.key.name),
                    )
                    .also(other.key_span(&format!("/spec/secrets/{}", variable.key.name)), "the secret")
                    .help("rename one of them"),
                );
            }
        }
    }
}

/// Secrets that nothing reads: most often a name that was changed in one place only.
pub(super) fn unused(catalog: &Catalog, findings: &mut Vec<Finding>) {
    if catalog.alone {
        return;
    }
    let mut used: BTreeSet<String> = BTreeSet::new();
    for entry in &catalog.entries {
        let references = entry.facts.references.iter().filter(|reference| reference.to == RefKind::Secret);
        used.extend(references.map(|reference| reference.name.clone()));
        for template in &entry.facts.templates {
            let text = entry.node(&template.pointer).and_then(Node::as_str).unwrap_or_default();
            if text.contains("get_secret") {
                used.extend(analyse(text, Site::Auth, false).secrets.into_iter().map(|secret| secret.name));
            }
        }
    }
    for entry in catalog.of_kind(Kind::Environment) {
        for secret in entry.node("/spec/secrets").map_or(&[][..], Node::entries) {
            let name = &*secret.key.name;
            let may_be_used = used.contains(name) || catalog.incomplete && is_mentioned(catalog, name);
            if !may_be_used {
                let message = format!("nothing uses the secret `{}`", secret.key.name);
                findings.push(
                    Finding::new(&codes::UNUSED, entry.span(secret.key.span), message)
                        .help("remove it, or name it in a Workflow's `secrets` where code reads it"),
                );
            }
        }
    }
}

/// Is a name anywhere in the source but where environments provide it? A part that cannot be read may use it.
fn is_mentioned(catalog: &Catalog, name: &str) -> bool {
    let all: usize = catalog.sources.iter().map(|(_, source)| source.text().matches(name).count()).sum();
    let provided = catalog.of_kind(Kind::Environment).flat_map(|entry| names(entry, "/spec/secrets"));
    all > provided.filter(|provided| provided == name).count()
}

fn names<'a>(entry: &'a Entry, pointer: &str) -> impl Iterator<Item = String> + use<'a> {
    entry.node(pointer).map_or(&[][..], Node::entries).iter().map(|entry| entry.key.name.to_string())
}
