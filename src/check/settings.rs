//! Secrets and variables: those that are used must be provided by environments, tenants or connections.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::catalog::dependencies::{DependencyKey, Tracker};
use crate::catalog::{self, AttributedFinding, Catalog, CatalogView, Entry, OVERLAYS};
use crate::definition::egress::Policy;
use crate::definition::schema_validator::{ReferenceKind, nearest, quoted_list};
use crate::definition::{Kind, Spec};
use crate::template::{FieldLocation, analyse};
use crate::text::{Finding, Node, Span, codes};

/// The secrets and variables that are provided.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Settings {
    environments: Vec<String>,
    /// The environments that provide a secret, by its name.
    secrets: BTreeMap<String, BTreeSet<String>>,
    /// The environments that set a variable, by its name.
    variables: BTreeMap<String, BTreeSet<String>>,
    /// True for one file of a larger source, whose other files may provide more.
    alone: bool,
    /// Variables that a tenant or connection sets, and that are set for some calls at least.
    others: BTreeSet<String>,
    /// The network destinations of each environment.
    egress: Vec<(String, Policy)>,
}

/// [`Settings`] for the check of one definition. Each use is recorded as a dependency.
#[derive(Clone, Copy, Debug)]
pub(super) struct TrackedSettings<'a> {
    settings: &'a Settings,
    tracker: &'a Tracker,
}

/// The environments that the catalog is for.
pub(super) fn environments(catalog: &Catalog) -> impl Iterator<Item = &Entry> {
    let counts = |entry: &&Entry| catalog.environment.as_ref().is_none_or(|chosen| *chosen == entry.id.name);
    catalog.of_kind(Kind::Environment).filter(counts)
}

impl Settings {
    fn of(catalog: &Catalog) -> Settings {
        let mut settings = Settings {
            environments: environments(catalog).map(|entry| entry.id.name.clone()).collect(),
            secrets: BTreeMap::new(),
            variables: BTreeMap::new(),
            alone: catalog.alone && catalog.of_kind(Kind::Environment).next().is_none(),
            others: BTreeSet::new(),
            egress: Vec::new(),
        };
        for entry in environments(catalog) {
            for name in names(entry, "/spec/secrets") {
                settings.secrets.entry(name).or_default().insert(entry.id.name.clone());
            }
            for name in names(entry, "/spec/variables") {
                settings.variables.entry(name).or_default().insert(entry.id.name.clone());
            }
            if let Some(Spec::Environment(spec)) = entry.spec() {
                // A host or network that cannot be read has a finding of its own, and opens nothing.
                let policy = Policy::of_environment(&spec.egress, false).unwrap_or_default();
                settings.egress.push((entry.id.name.clone(), policy));
            }
        }
        for entry in catalog.of_kind(Kind::Tenant).chain(catalog.of_kind(Kind::Connection)) {
            settings.others.extend(names(entry, "/spec/variables"));
        }
        settings
    }

    /// The settings of a catalog. Returns `before` itself if they are equal. `changed` are the kinds of the definitions
    /// that differ from those of `before`.
    pub(super) fn update(
        catalog: &Catalog,
        before: Option<&Arc<Settings>>,
        changed: Option<BTreeSet<Kind>>,
    ) -> Arc<Settings> {
        let environments = environments(catalog).map(|entry| &entry.id.name);
        let before = before.filter(|before| before.environments.iter().eq(environments));
        let provides = |kind: &Kind| matches!(kind, Kind::Environment | Kind::Tenant | Kind::Connection);
        match (before, changed) {
            (Some(before), Some(changed)) if !changed.iter().any(provides) => Arc::clone(before),
            (before, _) => {
                let now = Settings::of(catalog);
                before.filter(|before| ***before == now).map_or_else(|| Arc::new(now), Arc::clone)
            }
        }
    }

    /// Reports the dependencies whose value differs in later settings.
    pub(super) fn changed(&self, later: &Settings, mut changed: impl FnMut(DependencyKey<'_>)) {
        if self.environments != later.environments || self.alone != later.alone || self.egress != later.egress {
            changed(DependencyKey::Environments);
        }
        let differing = |a: &BTreeMap<String, BTreeSet<String>>, b: &BTreeMap<String, BTreeSet<String>>| {
            let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            names.into_iter().filter(|name| a.get(*name) != b.get(*name)).cloned().collect::<Vec<String>>()
        };
        for name in differing(&self.secrets, &later.secrets) {
            changed(DependencyKey::Secret(&name));
            changed(DependencyKey::Secrets);
        }
        let others = self.others.symmetric_difference(&later.others).cloned();
        for name in differing(&self.variables, &later.variables).into_iter().chain(others) {
            changed(DependencyKey::Variable(&name));
            changed(DependencyKey::Variables);
        }
    }

    /// The settings for a check whose dependencies are recorded.
    pub(super) fn tracked<'a>(&'a self, tracker: &'a Tracker) -> TrackedSettings<'a> {
        TrackedSettings { settings: self, tracker }
    }
}

impl<'a> TrackedSettings<'a> {
    /// The network destinations of each environment, by its name.
    pub(super) fn egress(self) -> &'a [(String, Policy)] {
        self.tracker.record(DependencyKey::Environments);
        &self.settings.egress
    }

    /// Reports a secret that is used and not provided by every environment.
    pub(super) fn secret(self, name: &str, span: Span, findings: &mut Vec<Finding>) {
        let TrackedSettings { settings, tracker } = self;
        tracker.record(DependencyKey::Environments);
        tracker.record(DependencyKey::Secret(name));
        if settings.alone {
            return;
        }
        if let Some(environments) = settings.secrets.get(name) {
            return self.everywhere("secret", name, environments, span, findings);
        }
        tracker.record(DependencyKey::Secrets);
        let help = match nearest(name, settings.secrets.keys().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("add `{name}` to `secrets` of an Environment, with where it comes from"),
        };
        let message = match settings.environments.is_empty() {
            true => format!("no environment provides the secret `{name}`: there is no Environment"),
            false => format!("no environment provides the secret `{name}`"),
        };
        findings.push(Finding::new(&codes::UNKNOWN_SECRET, span, message).help(help));
    }

    /// Reports a variable that is used without a default and not set by every environment.
    pub(super) fn variable(self, name: &str, span: Span, findings: &mut Vec<Finding>) {
        let TrackedSettings { settings, tracker } = self;
        tracker.record(DependencyKey::Environments);
        tracker.record(DependencyKey::Variable(name));
        match settings.variables.get(name) {
            _ if settings.alone || settings.others.contains(name) => {}
            Some(environments) => self.everywhere("variable", name, environments, span, findings),
            None => {
                tracker.record(DependencyKey::Variables);
                let help = match nearest(name, settings.variables.keys().chain(&settings.others).map(String::as_str)) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("set `{name}` in `variables` of an Environment, or add `| default('…', true)`"),
                };
                let message = format!("nothing sets the variable `{name}`");
                findings.push(Finding::new(&codes::UNKNOWN_VARIABLE, span, message).help(help));
            }
        }
    }

    fn everywhere(self, what: &str, name: &str, has: &BTreeSet<String>, span: Span, findings: &mut Vec<Finding>) {
        let environments = self.settings.environments.iter();
        let lacking: Vec<&String> = environments.filter(|environment| !has.contains(*environment)).collect();
        if !lacking.is_empty() {
            let lacking = quoted_list(&lacking);
            findings.push(
                Finding::new(&codes::PARTLY_PROVIDED, span, format!("the {what} `{name}` is missing in {lacking}"))
                    .help("provide it in every environment"),
            );
        }
    }
}

pub(super) fn check(
    catalog: CatalogView<'_>,
    entry: &Entry,
    settings: TrackedSettings<'_>,
    findings: &mut Vec<Finding>,
) {
    let is_environment = entry.id.kind == Kind::Environment;
    // An environment that the catalog is not for is a possible target of references, and is validated by itself.
    let counts = !is_environment || catalog.environment().is_none_or(|chosen| chosen == entry.id.name);
    // The secrets of an environment itself, such as a token for its repository, must come from that environment.
    for reference in entry.facts.references.iter().filter(|reference| counts && reference.to == ReferenceKind::Secret) {
        let own = is_environment && names(entry, "/spec/secrets").any(|name| name == reference.name);
        if !own {
            settings.secret(&reference.name, entry.span(reference.span), findings);
        }
    }
    // The path of a file alone starts at its folder, which may be in an overlay folder itself.
    for overlay in catalog::misplaced(entry).filter(|_| is_environment && counts && !catalog.is_alone()) {
        let message =
            format!("the documents of `{}` are definitions and no patches", overlay.as_str().unwrap_or_default());
        findings.push(
            Finding::new(&codes::OVERLAY_FOLDER, entry.span(overlay.span), message)
                .help(format!("move the folder into one named `{OVERLAYS}`, such as `{OVERLAYS}/{}`", entry.id.name)),
        );
    }
    let mut seen = BTreeSet::new();
    for source in entry.node("/spec/sources").filter(|_| is_environment).map_or(&[][..], Node::items) {
        let Some(name) = source.get("name") else { continue };
        if name.as_str().is_some_and(|name| !seen.insert(name)) {
            let message = format!("there are two sources named `{}`", name.as_str().unwrap_or_default());
            findings.push(
                Finding::new(&codes::DUPLICATE_DEFINITION, entry.span(name.span), message)
                    .help("give one of them another name: it is the folder that its files are shown in"),
            );
        }
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

/// Reports names that are a secret in one environment and a variable in another.
pub(super) fn check_catalog(catalog: &Catalog, found: &mut Vec<AttributedFinding>) {
    let mut secrets: BTreeMap<&str, &Entry> = BTreeMap::new();
    for entry in environments(catalog) {
        for secret in entry.node("/spec/secrets").map_or(&[][..], Node::entries) {
            secrets.entry(&secret.key.name).or_insert(entry);
        }
    }
    if secrets.is_empty() {
        return;
    }
    let others = catalog.of_kind(Kind::Tenant).chain(catalog.of_kind(Kind::Connection));
    for entry in environments(catalog).chain(others) {
        for variable in entry.node("/spec/variables").map_or(&[][..], Node::entries) {
            let Some(other) = secrets.get(&*variable.key.name) else { continue };
            if !std::ptr::eq(*other, entry) {
                let finding = Finding::new(
                    &codes::NAME_CLASH,
                    entry.span(variable.key.span),
                    format!("`{}` is a variable here and a secret elsewhere", variable.key.name),
                );
                let place = other.key_span(&format!("/spec/secrets/{}", variable.key.name));
                let finding = finding.also(place, "the secret").help("rename one of them");
                found.push(AttributedFinding::about(finding, &entry.id));
            }
        }
    }
}

/// Names of the secrets that a definition uses.
pub(super) fn secrets(entry: &Entry) -> Box<[Box<str>]> {
    let references = entry.facts.references.iter().filter(|reference| reference.to == ReferenceKind::Secret);
    let mut used: BTreeSet<Box<str>> = references.map(|reference| reference.name.as_str().into()).collect();
    for template in &entry.facts.templates {
        let text = entry.node(&template.pointer).and_then(Node::as_str).unwrap_or_default();
        if text.contains("get_secret") {
            used.extend(analyse(text, FieldLocation::Auth, false).secrets.into_iter().map(|secret| secret.name.into()));
        }
    }
    used.into_iter().collect()
}

/// Reports secrets that no definition uses: usually their name was changed in one place only.
pub(super) fn unused<'a>(catalog: &Catalog, uses: impl Iterator<Item = &'a str>, found: &mut Vec<AttributedFinding>) {
    if catalog.alone {
        return;
    }
    let mut used: BTreeMap<&str, bool> = BTreeMap::new();
    for entry in environments(catalog) {
        let secrets = entry.node("/spec/secrets").map_or(&[][..], Node::entries);
        used.extend(secrets.iter().map(|secret| (&*secret.key.name, false)));
    }
    for name in uses {
        if let Some(used) = used.get_mut(name) {
            *used = true;
        }
    }
    for entry in environments(catalog) {
        for secret in entry.node("/spec/secrets").map_or(&[][..], Node::entries) {
            let name = &*secret.key.name;
            let is_used = used.get(name).copied().unwrap_or(false);
            let may_be_used = is_used || catalog.incomplete && is_mentioned(catalog, name);
            if !may_be_used {
                let message = format!("nothing uses the secret `{name}`");
                let finding = Finding::new(&codes::UNUSED, entry.span(secret.key.span), message)
                    .help("remove it, or name it in a Workflow's `secrets` where code reads it");
                found.push(AttributedFinding::about(finding, &entry.id));
            }
        }
    }
}

/// True if the source mentions a name anywhere besides the environments that provide it. A part that cannot be read may
/// use it.
fn is_mentioned(catalog: &Catalog, name: &str) -> bool {
    let provided = catalog.of_kind(Kind::Environment).flat_map(|entry| names(entry, "/spec/secrets"));
    let provided = provided.filter(|provided| provided == name).count();
    catalog.sources.iter().flat_map(|(_, source)| source.text().matches(name)).nth(provided).is_some()
}

fn names<'a>(entry: &'a Entry, pointer: &str) -> impl Iterator<Item = String> + use<'a> {
    entry.node(pointer).map_or(&[][..], Node::entries).iter().map(|entry| entry.key.name.to_string())
}
