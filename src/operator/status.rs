//! The `status` of resources: decided here, written by `status_writer`.
//!
//! ```text
//! EnvironmentView ──► ObservedDefinition (findings, live) ──► Verdict ──render──► status, if it differs from the current one
//! ```
//!
//! Nothing in a status changes by itself: it has no ages and no counters of reconciliations.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::resources::{Key, Resource};
use crate::definition::{Id, Kind};
use crate::reconcile::reason::Reason;
use crate::reconcile::status::{ConditionKind, ConditionStatus, Status};
use crate::reconcile::validate::Validated;
use crate::reconcile::view::EnvironmentView;
use crate::store::Micros;
use crate::store::manifest::Owner;
use crate::text::{self, Digest, Finding, ReadLimits, Severity, Source};

/// Maximum number of findings in a status.
const MAX_FINDINGS: usize = 20;
/// Maximum number of definitions in an inventory.
const MAX_INVENTORY: usize = 500;
/// Longest message, in characters.
const MAX_TEXT: usize = 1024;

/// The state of a resource, from which its status is rendered.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Status of the condition Ready.
    pub ready: ConditionStatus,
    /// Reason of the condition.
    pub reason: String,
    /// Message of the condition.
    pub message: String,
    /// True if only a change of the resource, or an operator, can help.
    pub stalled: bool,
    /// True if a reconciliation is pending.
    pub reconciling: bool,
    /// True if the verdict is of the current generation.
    pub observed: bool,
    /// Further conditions of an Environment: the type, the status, the reason and the message.
    pub conditions: Vec<(&'static str, ConditionStatus, String, String)>,
    /// Findings.
    pub findings: Vec<Value>,
    /// Further fields of the kind.
    pub extra: Map<String, Value>,
}

/// A definition as of the latest reconciliation of an Environment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObservedDefinition {
    /// Findings, errors first.
    pub findings: Vec<Value>,
    /// Number of errors.
    pub errors: usize,
    /// True if the reconciliation saw the current content.
    pub current: bool,
    /// True if the current content is live.
    pub live: bool,
    /// True if any version is live.
    pub serves: bool,
    /// Digest and generation of the observed version, so that two versions in the same state differ.
    pub version: Option<(Digest, i64)>,
}

/// The state of an Environment that the statuses of its definitions depend on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EnvironmentContext {
    /// The condition Ready: whether it is true, its reason and its message.
    pub ready: (bool, Option<Reason>, String),
    /// True if the Environment is stalled.
    pub stalled: bool,
}

impl EnvironmentContext {
    /// The context of an Environment's status.
    pub fn new(status: &Status) -> EnvironmentContext {
        let ready = status.condition(ConditionKind::Ready);
        let ready =
            ready.map(|ready| (ready.status == ConditionStatus::True, Some(ready.reason), ready.message.clone()));
        let ready = ready.map(|(is_true, reason, message)| (is_true, reason, readable(&message)));
        EnvironmentContext {
            ready: ready.unwrap_or_default(),
            stalled: status.condition(ConditionKind::Stalled).is_some(),
        }
    }
}

/// Observes definitions as of the latest reconciliation of an Environment.
#[derive(Debug)]
pub struct DefinitionObserver<'a> {
    view: &'a EnvironmentView,
    sources: HashMap<Key, &'a Source>,
    findings: HashMap<Key, Vec<&'a Finding>>,
}

impl<'a> DefinitionObserver<'a> {
    /// The observer of an Environment's view.
    pub fn new(view: &'a EnvironmentView) -> DefinitionObserver<'a> {
        let mut sources = HashMap::new();
        let mut findings: HashMap<Key, Vec<&Finding>> = HashMap::new();
        if let Some(validated) = view.validated.as_deref() {
            let entry = |(_, source): (_, &'a Arc<Source>)| Some((Key::from_path(source.path())?, &**source));
            sources = validated.catalog.sources.iter().filter_map(entry).collect();
            for finding in &validated.findings {
                if let Some(key) = key_of(validated, finding) {
                    findings.entry(key).or_default().push(finding);
                }
            }
        }
        DefinitionObserver { view, sources, findings }
    }

    /// Observes one resource.
    pub fn observe(&self, resource: &Resource) -> ObservedDefinition {
        let key = &resource.key;
        let bytes = &resource.file.bytes[..];
        let source = self.sources.get(key);
        let current = source.is_some_and(|source| source.text().as_bytes() == bytes);
        let id = Id { kind: resource.key.kind, name: resource.key.name.clone() };
        let item = self.view.manifest.as_ref().and_then(|manifest| manifest.items.get(&id));
        let item = item.filter(|item| Key::from_path(&item.base.path).as_ref() == Some(key));
        let found = if current { self.findings.get(key).map(Vec::as_slice).unwrap_or_default() } else { &[] };
        let errors = found.iter().filter(|finding| finding.severity == Severity::Error).count();
        let findings = source.map(|source| rendered(found, source)).unwrap_or_default();
        let live = item.is_some_and(|item| item.base.content == resource.digest);
        let version = Some((resource.digest, resource.generation));
        ObservedDefinition { findings, errors, current, live, serves: item.is_some(), version }
    }
}

fn key_of(validated: &Validated, finding: &Finding) -> Option<Key> {
    let span = finding.span()?;
    validated.catalog.sources.find(span.source).and_then(|source| Key::from_path(source.path()))
}

/// Findings of a resource as JSON, errors first, with JSON pointers (RFC 6901).
fn rendered(found: &[&Finding], source: &Source) -> Vec<Value> {
    if found.is_empty() {
        return Vec::new();
    }
    let (documents, _) = text::parse(source, &ReadLimits::default());
    let mut found = found.to_vec();
    found.sort_by_key(|finding| finding.severity);
    let pointer = |finding: &Finding| {
        let span = finding.span()?;
        let range = text::Range { start: span.start, end: span.end };
        documents.first().map(|document| text::pointer_at(&document.root, range))
    };
    let to_json = |finding: &&Finding| {
        let mut value = json!({
            "code": finding.code.id,
            "severity": finding.severity,
            "message": shortened(&finding.message),
            "pointer": pointer(finding).unwrap_or_default()
        });
        if let Some(help) = &finding.help {
            value["help"] = json!(shortened(help));
        }
        value
    };
    found.iter().take(MAX_FINDINGS).map(to_json).collect()
}

/// The verdict of a definition, from every Environment that selects it.
pub fn of_definition(
    resource: &Resource,
    observed: &BTreeMap<String, (ObservedDefinition, EnvironmentContext)>,
) -> Verdict {
    let extra = |revision: String, environments: Vec<&str>| {
        Map::from_iter([
            ("revision".to_owned(), json!(revision)),
            ("environments".to_owned(), json!(environments.join(", "))),
        ])
    };
    let live: Vec<&str> =
        observed.iter().filter(|(_, (definition, _))| definition.live).map(|(name, _)| name.as_str()).collect();
    let revision = if live.is_empty() { "-".to_owned() } else { resource.digest.short() };
    let mut verdict = Verdict {
        ready: ConditionStatus::False,
        reason: "NoEnvironment".into(),
        message: format!(
            "no Environment selects this definition; create one in namespace {}, or add the labels that one selects",
            resource.key.namespace
        ),
        stalled: false,
        reconciling: false,
        observed: true,
        conditions: Vec::new(),
        findings: Vec::new(),
        extra: extra(revision, live.clone()),
    };
    if observed.is_empty() {
        return verdict;
    }
    // Errors first, then holds: one Environment with a problem outweighs all without.
    if let Some((name, (broken, _))) = observed.iter().find(|(_, (definition, _))| definition.errors > 0) {
        let first = &broken.findings[0];
        let text = |key: &str| first[key].as_str().unwrap_or_default();
        let others = if broken.errors > 1 { format!(" (and {} more)", broken.errors - 1) } else { String::new() };
        let serving =
            if broken.serves { format!("; {name} keeps serving the last good version") } else { String::new() };
        verdict.reason = "InvalidDefinition".into();
        verdict.message = format!("{}: {} at {}{others}{serving}", text("code"), text("message"), text("pointer"));
        verdict.stalled = true;
        verdict.findings.clone_from(&broken.findings);
        return verdict;
    }
    let findings = observed.values().find(|(definition, _)| !definition.findings.is_empty());
    verdict.findings = findings.map(|(definition, _)| definition.findings.clone()).unwrap_or_default();
    let Some((name, (waiting, context))) = observed.iter().find(|(_, (definition, _))| !definition.live) else {
        verdict.ready = ConditionStatus::True;
        verdict.reason = "Applied".into();
        verdict.message = format!("live in {}", live.join(", "));
        return verdict;
    };
    let (ready, reason, message) = &context.ready;
    if *ready && !matches!(reason, Some(Reason::Suspended | Reason::HeldBack)) {
        verdict.observed = waiting.current;
        verdict.reason = "Progressing".into();
        verdict.message = format!("Environment {name} is applying it");
        verdict.reconciling = true;
    } else {
        verdict.reason = "HeldBack".into();
        let reason = reason.map_or("", Reason::as_str);
        verdict.message = format!("Environment {name} is not ready ({reason}): {message}");
        verdict.reconciling = !context.stalled && !ready;
        verdict.stalled = context.stalled;
    }
    verdict
}

/// The verdict of an Environment. `observed` is true if the current document was reconciled.
pub fn of_environment(
    status: &Status,
    view: &EnvironmentView,
    observed: bool,
    problems: &[Value],
    handled: Option<&str>,
) -> Verdict {
    let condition = |kind| status.condition(kind);
    let ready = condition(ConditionKind::Ready);
    let mut extra = Map::new();
    let revisions = |revisions: &BTreeMap<String, String>| match revisions.len() {
        1 => revisions.values().next().cloned().unwrap_or_default(),
        _ => revisions.iter().map(|(name, revision)| format!("{name}: {revision}")).collect::<Vec<_>>().join(", "),
    };
    let mut put = |key: &str, value: Value| {
        if value != "" && value != Value::Null {
            extra.insert(key.to_owned(), value);
        }
    };
    put("lastAppliedRevision", json!(revisions(&status.last_applied)));
    put("lastAttemptedRevision", json!(revisions(&status.last_attempted)));
    put("lastHandledReconcileAt", json!(handled));
    if status.generation > 0 {
        put("generation", json!(status.generation));
        put("digest", status.digest.map(|digest| json!(digest)).unwrap_or_default());
    }
    put("definitions", json!(status.definitions));
    put("errors", json!(status.errors));
    put("warnings", json!(status.warnings));
    put("drifted", json!(status.drifted));
    put("inventory", inventory(view));
    let mut findings = problems.to_vec();
    findings.extend(status.findings.iter().map(with_location));
    findings.truncate(MAX_FINDINGS);
    Verdict {
        ready: ready.map_or(ConditionStatus::Unknown, |ready| ready.status),
        reason: ready.map_or_else(|| "Progressing".to_owned(), |ready| ready.reason.to_string()),
        message: ready.map_or_else(|| "not reconciled yet".to_owned(), |ready| readable(&ready.message)),
        stalled: condition(ConditionKind::Stalled).is_some(),
        reconciling: condition(ConditionKind::Reconciling).is_some() || !observed,
        observed,
        conditions: further_conditions(status),
        findings,
        extra,
    }
}

fn further_conditions(status: &Status) -> Vec<(&'static str, ConditionStatus, String, String)> {
    let kinds =
        [(ConditionKind::SecretsResolved, "SecretsResolved"), (ConditionKind::ConnectorsHealthy, "ConnectorsHealthy")];
    let found = kinds.into_iter().filter_map(|(kind, name)| Some((name, status.condition(kind)?)));
    found.map(|(name, known)| (name, known.status, known.reason.to_string(), readable(&known.message))).collect()
}

/// The verdict of an Environment that cannot run.
pub fn refused(reason: &str, message: String) -> Verdict {
    Verdict {
        ready: ConditionStatus::False,
        reason: reason.to_owned(),
        message,
        stalled: true,
        reconciling: false,
        observed: true,
        conditions: Vec::new(),
        findings: Vec::new(),
        extra: Map::new(),
    }
}

/// A finding of `validate -o json` with its location in one field.
fn with_location(finding: &Value) -> Value {
    let mut value = json!({
        "code": finding["code"], "severity": finding["severity"],
        "message": shortened(finding["message"].as_str().unwrap_or_default()),
    });
    let file = finding["file"].as_str().unwrap_or_default();
    let location = match (Key::from_path(file), finding["line"].as_u64(), finding["column"].as_u64()) {
        (Some(key), ..) => key.to_string(),
        (None, Some(line), Some(column)) => format!("{file}:{line}:{column}"),
        _ => file.to_owned(),
    };
    if !location.is_empty() {
        value["file"] = json!(location);
    }
    if let Some(help) = finding["help"].as_str() {
        value["help"] = json!(shortened(help));
    }
    value
}

/// Replaces file names of resources in a message by resource names.
fn readable(message: &str) -> String {
    let word = |word: &str| {
        let (path, _) = word.split_once(".json:")?;
        Key::from_path(&format!("{path}.json")).map(|key| format!("{key}:"))
    };
    let words = message.split(' ').map(|text| word(text).unwrap_or_else(|| text.to_owned()));
    words.collect::<Vec<_>>().join(" ")
}

fn inventory(view: &EnvironmentView) -> Value {
    let Some(manifest) = &view.manifest else { return Value::Null };
    let items = manifest.items.values().filter(|item| item.id.kind != Kind::Environment);
    let list = items.take(MAX_INVENTORY).map(|item| {
        let source = match &item.owner {
            // The digest of a cluster revision changes with every resource, so it does not identify this definition.
            Owner::Source { revision, .. } if Key::from_path(&item.base.path).is_some() => {
                revision.split('@').next().unwrap_or_default().to_owned()
            }
            Owner::Source { revision, .. } => revision.clone(),
            Owner::Api { who, .. } => format!("API: {who}"),
        };
        let place = match Key::from_path(&item.base.path) {
            Some(key) => key.to_string(),
            None => format!("{}:{}", item.base.path, item.line),
        };
        json!({"id": item.id.to_string(), "source": source, "place": place})
    });
    Value::Array(list.collect())
}

/// The `status` to write; `None` if it is the current one.
pub fn render(resource: &Resource, verdict: &Verdict, now: Micros) -> Option<Value> {
    let before = &resource.status;
    let generation = match verdict.observed {
        true => json!(resource.generation),
        false => before["observedGeneration"].clone(),
    };
    let condition = |kind: &str, status: ConditionStatus, reason: &str, message: &str| {
        let known = before["conditions"].as_array().into_iter().flatten().find(|condition| condition["type"] == kind);
        let word = json!(status);
        let since = known.filter(|known| known["status"] == word).map(|known| known["lastTransitionTime"].clone());
        let mut condition = json!({
            "type": kind, "status": word, "reason": reason, "message": shortened(message),
            "lastTransitionTime": since.unwrap_or_else(|| json!(timestamp(now)))
        });
        if !generation.is_null() {
            condition["observedGeneration"] = generation.clone();
        }
        condition
    };
    let (reason, message) = (verdict.reason.as_str(), verdict.message.as_str());
    let mut conditions = vec![condition("Ready", verdict.ready, reason, message)];
    if verdict.reconciling {
        conditions.push(condition("Reconciling", ConditionStatus::True, reason, message));
    }
    if verdict.stalled {
        conditions.push(condition("Stalled", ConditionStatus::True, reason, message));
    }
    for (kind, word, reason, message) in &verdict.conditions {
        conditions.push(condition(kind, *word, reason, message));
    }
    let mut status = verdict.extra.clone();
    if !generation.is_null() {
        status.insert("observedGeneration".into(), generation.clone());
    }
    status.insert("conditions".into(), Value::Array(conditions));
    if !verdict.findings.is_empty() {
        status.insert("findings".into(), Value::Array(verdict.findings.clone()));
    }
    let status = Value::Object(status);
    (status != *before).then_some(status)
}

/// RFC 3339 with seconds, as in Kubernetes.
fn timestamp(at: Micros) -> String {
    let time = jiff::Timestamp::from_second(at / 1_000_000).unwrap_or_default();
    time.to_string()
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
