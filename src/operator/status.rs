//! What is written into the `status` of resources: decided here, written elsewhere.
//!
//! ```text
//! Environment's look ──► Seen (findings, what is live) ──► Verdict ──render──► status, where it differs from what is there
//! ```
//!
//! Nothing in a status changes by itself: no ages, no numbers that grow with every look.

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

/// Findings that one status lists.
const MAX_FINDINGS: usize = 20;
/// Definitions that an inventory lists.
const MAX_INVENTORY: usize = 500;
/// Longest message, in characters.
const MAX_TEXT: usize = 1024;

/// What became of a resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The condition Ready.
    pub ready: ConditionStatus,
    /// Its reason.
    pub reason: String,
    /// Its message.
    pub message: String,
    /// Does nothing but a change of the resource, or a person, help?
    pub stalled: bool,
    /// Is something on its way?
    pub reconciling: bool,
    /// Does it speak of the resource as it is now?
    pub observed: bool,
    /// What is wrong with it.
    pub findings: Vec<Value>,
    /// What its kind says beyond that.
    pub more: Map<String, Value>,
}

/// One definition as an Environment sees it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// Findings in it, errors first.
    pub findings: Vec<Value>,
    /// Errors among them.
    pub errors: usize,
    /// Did the last look see it as it is now?
    pub looked: bool,
    /// Is it live as it is now?
    pub live: bool,
    /// Is some version of it live?
    pub serves: bool,
    /// Which version this speaks of: two of them are told apart although the same is true of both.
    pub version: Option<(Digest, i64)>,
}

/// An Environment, as far as its definitions' statuses need it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EnvironmentContext {
    /// The condition Ready: is it true, why, and the message.
    pub ready: (bool, Option<Reason>, String),
    /// Is it stalled?
    pub stalled: bool,
}

impl EnvironmentContext {
    /// Of what an Environment says of itself.
    pub fn of(status: &Status) -> EnvironmentContext {
        let ready = status.condition(ConditionKind::Ready);
        let ready =
            ready.map(|ready| (ready.status == ConditionStatus::True, Some(ready.reason), ready.message.clone()));
        let ready = ready.map(|(is, reason, message)| (is, reason, readable(&message)));
        EnvironmentContext {
            ready: ready.unwrap_or_default(),
            stalled: status.condition(ConditionKind::Stalled).is_some(),
        }
    }
}

/// Sees resources as an Environment's last look saw them.
#[derive(Debug)]
pub struct ObservedDefinition<'a> {
    view: &'a EnvironmentView,
    sources: HashMap<Key, &'a Source>,
    findings: HashMap<Key, Vec<&'a Finding>>,
}

impl<'a> ObservedDefinition<'a> {
    /// Of what an Environment shows.
    pub fn of(view: &'a EnvironmentView) -> ObservedDefinition<'a> {
        let mut sources = HashMap::new();
        let mut findings: HashMap<Key, Vec<&Finding>> = HashMap::new();
        if let Some(looked) = view.validated.as_deref() {
            let of_resource = |(_, source): (_, &'a Arc<Source>)| Some((Key::of_path(source.path())?, &**source));
            sources = looked.catalog.sources.iter().filter_map(of_resource).collect();
            for finding in &looked.findings {
                if let Some(key) = key_of(looked, finding) {
                    findings.entry(key).or_default().push(finding);
                }
            }
        }
        ObservedDefinition { view, sources, findings }
    }

    /// One resource.
    pub fn see(&self, resource: &Resource) -> Seen {
        let key = &resource.key;
        let bytes = &resource.file.bytes[..];
        let source = self.sources.get(key);
        let looked = source.is_some_and(|source| source.text().as_bytes() == bytes);
        let id = Id { kind: resource.key.kind, name: resource.key.name.clone() };
        let item = self.view.manifest.as_ref().and_then(|manifest| manifest.items.get(&id));
        let item = item.filter(|item| Key::of_path(&item.base.path).as_ref() == Some(key));
        let found = if looked { self.findings.get(key).map(Vec::as_slice).unwrap_or_default() } else { &[] };
        let errors = found.iter().filter(|finding| finding.severity == Severity::Error).count();
        let findings = source.map(|source| rendered(found, source)).unwrap_or_default();
        let live = item.is_some_and(|item| item.base.content == resource.digest);
        let version = Some((resource.digest, resource.generation));
        Seen { findings, errors, looked, live, serves: item.is_some(), version }
    }
}

fn key_of(looked: &Validated, finding: &Finding) -> Option<Key> {
    let span = finding.span()?;
    looked.catalog.sources.find(span.source).and_then(|source| Key::of_path(source.path()))
}

/// Findings of one resource, errors first, with their places as JSON pointers.
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
    let one = |finding: &&Finding| {
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
    found.iter().take(MAX_FINDINGS).map(one).collect()
}

/// What became of a definition, from every Environment that has it.
pub fn of_definition(resource: &Resource, seen: &BTreeMap<String, (Seen, EnvironmentContext)>) -> Verdict {
    let more = |revision: String, environments: Vec<&str>| {
        Map::from_iter([
            ("revision".to_owned(), json!(revision)),
            ("environments".to_owned(), json!(environments.join(", "))),
        ])
    };
    let live: Vec<&str> = seen.iter().filter(|(_, (seen, _))| seen.live).map(|(name, _)| name.as_str()).collect();
    let revision = if live.is_empty() { "-".to_owned() } else { resource.digest.short() };
    let mut verdict = Verdict {
        ready: ConditionStatus::False,
        reason: "NoEnvironment".into(),
        message: format!(
            "no Environment takes this: create one in namespace {}, or give this the labels that one selects",
            resource.key.namespace
        ),
        stalled: false,
        reconciling: false,
        observed: true,
        findings: Vec::new(),
        more: more(revision, live.clone()),
    };
    if seen.is_empty() {
        return verdict;
    }
    // Errors first, then what waits: one that is not well says more than all that are.
    if let Some((name, (broken, _))) = seen.iter().find(|(_, (seen, _))| seen.errors > 0) {
        let first = &broken.findings[0];
        let text = |key: &str| first[key].as_str().unwrap_or_default();
        let rest = if broken.errors > 1 { format!(" (and {} more)", broken.errors - 1) } else { String::new() };
        let stays =
            if broken.serves { format!("; in {name} the last good version keeps serving") } else { String::new() };
        verdict.reason = "InvalidDefinition".into();
        verdict.message = format!("{}: {} at {}{rest}{stays}", text("code"), text("message"), text("pointer"));
        verdict.stalled = true;
        verdict.findings.clone_from(&broken.findings);
        return verdict;
    }
    let findings = seen.values().find(|(seen, _)| !seen.findings.is_empty());
    verdict.findings = findings.map(|(seen, _)| seen.findings.clone()).unwrap_or_default();
    let Some((name, (waiting, around))) = seen.iter().find(|(_, (seen, _))| !seen.live) else {
        verdict.ready = ConditionStatus::True;
        verdict.reason = "Applied".into();
        verdict.message = format!("live in {}", live.join(", "));
        return verdict;
    };
    let (ready, reason, message) = &around.ready;
    if *ready && !matches!(reason, Some(Reason::Suspended | Reason::HeldBack)) {
        verdict.observed = waiting.looked;
        verdict.reason = "Progressing".into();
        verdict.message = format!("Environment {name} takes it up");
        verdict.reconciling = true;
    } else {
        verdict.reason = "HeldBack".into();
        let reason = reason.map_or("", Reason::as_str);
        verdict.message = format!("Environment {name} waits ({reason}): {message}");
        verdict.reconciling = !around.stalled && !ready;
        verdict.stalled = around.stalled;
    }
    verdict
}

/// What became of an Environment. `observed`: was its document, as the resource has it now, taken up and looked at?
pub fn of_environment(
    status: &Status,
    view: &EnvironmentView,
    observed: bool,
    problems: &[Value],
    handled: Option<&str>,
) -> Verdict {
    let condition = |kind| status.condition(kind);
    let ready = condition(ConditionKind::Ready);
    let mut more = Map::new();
    let revisions = |revisions: &BTreeMap<String, String>| match revisions.len() {
        1 => revisions.values().next().cloned().unwrap_or_default(),
        _ => revisions.iter().map(|(name, revision)| format!("{name}: {revision}")).collect::<Vec<_>>().join(", "),
    };
    let mut put = |key: &str, value: Value| {
        if value != "" && value != Value::Null {
            more.insert(key.to_owned(), value);
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
    findings.extend(status.findings.iter().map(placed));
    findings.truncate(MAX_FINDINGS);
    Verdict {
        ready: ready.map_or(ConditionStatus::Unknown, |ready| ready.status),
        reason: ready.map_or_else(|| "Progressing".to_owned(), |ready| ready.reason.to_string()),
        message: ready.map_or_else(|| "not looked at yet".to_owned(), |ready| readable(&ready.message)),
        stalled: condition(ConditionKind::Stalled).is_some(),
        reconciling: condition(ConditionKind::Reconciling).is_some() || !observed,
        observed,
        findings,
        more,
    }
}

/// What an Environment that may not run says.
pub fn refused(reason: &str, message: String) -> Verdict {
    Verdict {
        ready: ConditionStatus::False,
        reason: reason.to_owned(),
        message,
        stalled: true,
        reconciling: false,
        observed: true,
        findings: Vec::new(),
        more: Map::new(),
    }
}

/// A finding of `validate -o json` with its place in one field.
fn placed(finding: &Value) -> Value {
    let mut value = json!({
        "code": finding["code"], "severity": finding["severity"],
        "message": shortened(finding["message"].as_str().unwrap_or_default()),
    });
    let file = finding["file"].as_str().unwrap_or_default();
    let place = match (Key::of_path(file), finding["line"].as_u64(), finding["column"].as_u64()) {
        (Some(key), ..) => key.to_string(),
        (None, Some(line), Some(column)) => format!("{file}:{line}:{column}"),
        _ => file.to_owned(),
    };
    if !place.is_empty() {
        value["file"] = json!(place);
    }
    if let Some(help) = finding["help"].as_str() {
        value["help"] = json!(shortened(help));
    }
    value
}

/// Names resources where a message names their files.
fn readable(message: &str) -> String {
    let word = |word: &str| {
        let (path, _) = word.split_once(".json:")?;
        Key::of_path(&format!("{path}.json")).map(|key| format!("{key}:"))
    };
    let words = message.split(' ').map(|one| word(one).unwrap_or_else(|| one.to_owned()));
    words.collect::<Vec<_>>().join(" ")
}

fn inventory(view: &EnvironmentView) -> Value {
    let Some(manifest) = &view.manifest else { return Value::Null };
    let items = manifest.items.values().filter(|item| item.id.kind != Kind::Environment);
    let list = items.take(MAX_INVENTORY).map(|item| {
        let source = match &item.owner {
            // The revision of a cluster's content changes with every resource: it is not this definition's.
            Owner::Source { revision, .. } if Key::of_path(&item.base.path).is_some() => {
                revision.split('@').next().unwrap_or_default().to_owned()
            }
            Owner::Source { revision, .. } => revision.clone(),
            Owner::Api { who, .. } => format!("by hand: {who}"),
        };
        let place = match Key::of_path(&item.base.path) {
            Some(key) => key.to_string(),
            None => format!("{}:{}", item.base.path, item.line),
        };
        json!({"id": item.id.to_string(), "source": source, "place": place})
    });
    Value::Array(list.collect())
}

/// The `status` to write, `None` where it is there already.
pub fn render(resource: &Resource, verdict: &Verdict, now: Micros) -> Option<Value> {
    let before = &resource.status;
    let generation = match verdict.observed {
        true => json!(resource.generation),
        false => before["observedGeneration"].clone(),
    };
    let condition = |kind: &str, status: ConditionStatus, reason: &str, message: &str| {
        let known = before["conditions"].as_array().into_iter().flatten().find(|known| known["type"] == kind);
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
    let mut status = verdict.more.clone();
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

/// Seconds, as Kubernetes writes times.
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
