//! What the API server asks before it accepts a resource: the very checks of `validate`, over everything that is around it.
//!
//! ```text
//! AdmissionReview ──► the namespace's resources, with this one as it would be ──► Validator ──► denied, warned or allowed
//! ```
//!
//! Errors in the resource deny it. What another resource may still mend (a reference to something that is not there *yet*)
//! warns: `kubectl`, Flux and Argo CD apply a set in any order, and try the whole of it first. Another resource may mend what
//! is not found when the resource is looked at alone. Our own trouble never denies: a cluster must not be locked by whoever
//! checks it.

pub mod certificate;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kube::api::DynamicObject;
use kube::core::admission::{AdmissionRequest, AdmissionResponse, AdmissionReview, Operation};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::resources::{Key, Resource, Resources, document, lock};
use crate::catalog::{File, Input, Snapshot};
use crate::definition::{API_GROUP, Kind};
use crate::reconcile::validate::{Validated, Validator};
use crate::text::{self, Code, Finding, ReadLimits, Severity, codes};

/// Namespaces whose checks are remembered.
const MAX_REMEMBERED: usize = 64;
/// Questions at the same moment; more wait.
const AT_ONCE: usize = 4;
/// Longest time for an answer, below the webhook's own limit.
const PATIENCE: Duration = Duration::from_secs(4);
/// Longest warning, as the API asks for.
const MAX_WARNING: usize = 256;
/// Warnings in one answer.
const MAX_WARNINGS: usize = 20;
/// Findings that a refusal lists.
const MAX_LISTED: usize = 20;

/// What an Environment or an Entity may still mend, though it is found in a resource that is looked at alone.
const MENDABLE: [&Code; 3] = [&codes::UNKNOWN_SECRET, &codes::UNKNOWN_VARIABLE, &codes::ENTITY_FIELD];

/// Who deletes what a namespace holds.
const CLEANERS: [&str; 3] = [
    // Where the controllers have no accounts of their own.
    "system:kube-controller-manager",
    "system:serviceaccount:kube-system:namespace-controller",
    "system:serviceaccount:kube-system:generic-garbage-collector",
];

/// Whose a definition is, where it is not the cluster's: a sentence that says so.
pub type Owned = Arc<dyn Fn(&Key) -> Option<String> + Send + Sync>;

/// What is found in one resource.
#[derive(Clone, Debug, PartialEq)]
pub struct AdmissionReport {
    /// The finding.
    pub finding: Finding,
    /// Where in the resource (RFC 6901).
    pub pointer: String,
}

/// Answers questions.
pub struct Admission {
    resources: Arc<Resources>,
    owned: Owned,
    /// Do missing references deny, too?
    strict: bool,
    remembered: Mutex<BTreeMap<String, Arc<Mutex<Validator>>>>,
    free: Arc<Semaphore>,
}

impl std::fmt::Debug for Admission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admission").field("strict", &self.strict).finish_non_exhaustive()
    }
}

impl Admission {
    /// Over what is known of the cluster.
    pub fn new(resources: Arc<Resources>, owned: Owned, strict: bool) -> Arc<Admission> {
        let free = Arc::new(Semaphore::new(AT_ONCE));
        Arc::new(Admission { resources, owned, strict, remembered: Mutex::default(), free })
    }

    /// Answers an `AdmissionReview`; `None` where it is none.
    pub async fn answer(self: Arc<Admission>, body: &[u8]) -> Option<Value> {
        let review = match serde_json::from_slice::<AdmissionReview<DynamicObject>>(body) {
            Ok(review) => review,
            Err(error) => return unreadable(body, &error),
        };
        let request: AdmissionRequest<DynamicObject> = review.try_into().ok()?;
        let response = AdmissionResponse::from(&request);
        let late = response.clone();
        let namespace = request.namespace.clone().unwrap_or_default();
        let asked = async {
            let permit = Arc::clone(&self.free).acquire_owned().await;
            let admission = Arc::clone(&self);
            let check = move || {
                // Who asked may be gone: it counts until it ends.
                let _permit = permit;
                admission.review(&request, response)
            };
            tokio::task::spawn_blocking(check).await
        };
        let answer = match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                tracing::error!("a check failed unexpectedly: {error}");
                // What it remembers is half of something.
                lock(&self.remembered).remove(&namespace);
                unchecked(late, "the check failed unexpectedly; its status says what is wrong with it")
            }
            Err(_) => unchecked(late, "the check took too long; its status says what is wrong with it"),
        };
        serde_json::to_value(answer.into_review()).ok()
    }

    fn review(&self, request: &AdmissionRequest<DynamicObject>, response: AdmissionResponse) -> AdmissionResponse {
        let kind = request.kind.kind.parse::<Kind>().ok().filter(|_| request.kind.group == API_GROUP);
        let Some(kind) = kind else { return response };
        let name = match request.name.as_str() {
            "" => request.object.as_ref().and_then(|object| object.metadata.name.clone()).unwrap_or_default(),
            name => name.to_owned(),
        };
        let key = Key { kind, namespace: request.namespace.clone().unwrap_or_default(), name };
        let user = request.user_info.username.as_deref().unwrap_or_default();
        let (old, new) = (request.old_object.as_ref(), request.object.as_ref());
        if let (Some(old), Some(new)) = (old, new)
            && (document(kind, old) == document(kind, new) || new.metadata.deletion_timestamp.is_some())
        {
            // A status, a finalizer, or what other tools note.
            return response;
        }
        if CLEANERS.contains(&user) {
            return response;
        }
        if let Some(owner) = (self.owned)(&key) {
            return response.deny(format!("{owner}; change it there"));
        }
        match (&request.operation, new) {
            (Operation::Delete, _) => self.removal(&key, old, response),
            (Operation::Create | Operation::Update, Some(object)) => self.change(&key, object, response),
            _ => response,
        }
    }

    fn removal(&self, key: &Key, old: Option<&DynamicObject>, response: AdmissionResponse) -> AdmissionResponse {
        let protected = |object: &DynamicObject| {
            object
                .metadata
                .annotations
                .iter()
                .flatten()
                .any(|(name, value)| name == "evenkeel.dev/prune" && value == "disabled")
        };
        if old.is_some_and(protected) {
            return response
                .deny(format!("{key} is annotated `evenkeel.dev/prune: disabled`; change the annotation first"));
        }
        if !self.resources.knows(&key.namespace) {
            return response;
        }
        let before = self.examined(key, None, true);
        let after = self.examined(key, None, false);
        warned(response, broken_by(&before, &after, key))
    }

    fn change(&self, key: &Key, object: &DynamicObject, response: AdmissionResponse) -> AdmissionResponse {
        let file = Resource::of(key.kind, object, None).file;
        let knows = self.resources.knows(&key.namespace);
        let after = if knows { self.examined(key, Some(file.clone()), true) } else { alone(&file) };
        let told = told(&after, &file);
        let wrong = told.iter().any(|told| told.finding.severity == Severity::Error);
        let own = if wrong && !self.strict { self::told(&alone(&file), &file) } else { Vec::new() };
        let (errors, mild): (Vec<&AdmissionReport>, Vec<&AdmissionReport>) =
            told.iter().partition(|told| self.denies(told, &own));
        if !errors.is_empty() {
            return response.deny(refusal(key, &errors));
        }
        let mut warnings: Vec<String> = mild.iter().map(|told| line(told)).collect();
        // Only where something elsewhere is wrong it matters whether it was so before.
        if knows && elsewhere(&after, key).next().is_some() {
            let before = self.examined(key, None, true);
            warnings.extend(broken_by(&before, &after, key));
        }
        warned(response, warnings)
    }

    /// `own` is what is found in the resource alone.
    fn denies(&self, told: &AdmissionReport, own: &[AdmissionReport]) -> bool {
        let AdmissionReport { finding, pointer } = told;
        let same = |one: &AdmissionReport| one.finding.code == finding.code && one.pointer == *pointer;
        let is_own = || own.iter().any(same) && !MENDABLE.contains(&finding.code);
        finding.severity == Severity::Error && (self.strict || is_own())
    }

    /// The namespace with a resource as it would be; without it where `there` is false.
    fn examined(&self, key: &Key, changed: Option<File>, there: bool) -> Validated {
        let within = |resource: &Resource| resource.key.namespace == key.namespace && !resource.deleting;
        let is_it = |resource: &Resource| resource.key == *key;
        let skips = changed.is_some() || !there;
        let kept = self.resources.all(|resource| within(resource) && !(skips && is_it(resource)));
        let mut files: Vec<File> = kept.iter().map(|resource| resource.file.clone()).collect();
        files.extend(changed);
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let names = files.iter().map(|file| file.path.to_string()).collect();
        let snapshot = Snapshot { files, names: Arc::new(names), ..Snapshot::default() };
        let examiner = self.remembered(&key.namespace);
        let mut examiner = lock(&examiner);
        examiner.validate(&Input { snapshot, ..Input::default() }, &[])
    }

    fn remembered(&self, namespace: &str) -> Arc<Mutex<Validator>> {
        let mut remembered = lock(&self.remembered);
        if !remembered.contains_key(namespace) && remembered.len() >= MAX_REMEMBERED {
            remembered.pop_first();
        }
        Arc::clone(remembered.entry(namespace.to_owned()).or_default())
    }
}

/// One resource, whatever may be around it.
fn alone(file: &File) -> Validated {
    let mut snapshot = Snapshot::of([(file.path.clone(), file.bytes.clone())]);
    snapshot.alone = true;
    Validator::new().validate(&Input { snapshot, ..Input::default() }, &[])
}

/// Everything that is found in one file of what was examined, in the order of `validate`.
pub fn told(examined: &Validated, file: &File) -> Vec<AdmissionReport> {
    let source = examined.catalog.sources.iter().find(|(_, source)| source.path() == &*file.path);
    let Some((id, source)) = source else { return Vec::new() };
    let (documents, _) = text::parse(source, &ReadLimits::default());
    let mine = examined.findings.iter().filter(|finding| finding.span().is_some_and(|span| span.source == id));
    let pointer = |finding: &Finding| {
        let range = finding.span().map(|span| text::Range { start: span.start, end: span.end });
        let root = documents.first().map(|document| &document.root);
        range.zip(root).map(|(range, root)| text::pointer_at(root, range)).unwrap_or_default()
    };
    mine.map(|finding| AdmissionReport { finding: finding.clone(), pointer: pointer(finding) }).collect()
}

/// Errors in other resources.
fn elsewhere<'a>(examined: &'a Validated, key: &Key) -> impl Iterator<Item = (Key, &'a Finding)> {
    let own = key.clone();
    let errors = examined.findings.iter().filter(|finding| finding.severity == Severity::Error);
    errors.filter_map(move |finding| {
        let source = examined.catalog.sources.find(finding.span()?.source)?;
        let other = Key::of_path(source.path())?;
        (other != own).then_some((other, finding))
    })
}

/// What is wrong in other resources after a change and was not before.
fn broken_by(before: &Validated, after: &Validated, key: &Key) -> Vec<String> {
    let known: Vec<(Key, String)> =
        elsewhere(before, key).map(|(key, finding)| (key, finding.message.clone())).collect();
    let new =
        elsewhere(after, key).filter(|(key, finding)| !known.iter().any(|(k, m)| k == key && *m == finding.message));
    new.map(|(other, finding)| format!("this breaks {other}: {}: {}", finding.code.id, finding.message)).collect()
}

fn line(told: &AdmissionReport) -> String {
    let AdmissionReport { finding, pointer } = told;
    let help = finding.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
    plain(&format!("{} at {pointer}: {}{help}", finding.code.id, finding.message))
}

fn refusal(key: &Key, errors: &[&AdmissionReport]) -> String {
    let count = errors.len();
    let mut text = format!("{key} has {count} {}:", if count == 1 { "error" } else { "errors" });
    for told in errors.iter().take(MAX_LISTED) {
        text += &format!("\n  {}", line(told));
    }
    if count > MAX_LISTED {
        text += &format!("\n  and {} more", count - MAX_LISTED);
    }
    text
}

/// One line that a terminal shows as it is, whatever a resource says in it.
fn plain(text: &str) -> String {
    text.split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

fn warned(mut response: AdmissionResponse, warnings: Vec<String>) -> AdmissionResponse {
    let more = warnings.len().saturating_sub(MAX_WARNINGS);
    let short = |warning: String| match plain(&warning) {
        text if text.len() <= MAX_WARNING => text,
        text => format!("{}…", &text[..text.floor_char_boundary(MAX_WARNING - '…'.len_utf8())]),
    };
    let mut shown: Vec<String> = warnings.into_iter().take(MAX_WARNINGS).map(short).collect();
    if more > 0 {
        shown.push(format!("and {more} more"));
    }
    if !shown.is_empty() {
        response.warnings = Some(shown);
    }
    response
}

fn unchecked(response: AdmissionResponse, why: &str) -> AdmissionResponse {
    warned(response, vec![format!("evenkeel did not check this: {why}")])
}

/// Answers a question about an object that nobody can make sense of; such a one may go, and not come.
fn unreadable(body: &[u8], error: &serde_json::Error) -> Option<Value> {
    let review: Value = serde_json::from_slice(body).ok()?;
    let uid = review["request"]["uid"].as_str()?;
    let goes = review["request"]["operation"] == "DELETE";
    let why = plain(&format!("the object cannot be read: {error}; correct it"));
    let mut response = json!({"uid": uid, "allowed": goes});
    if !goes {
        response["status"] = json!({"code": 422, "reason": "Invalid", "message": why});
    }
    Some(json!({"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response}))
}
