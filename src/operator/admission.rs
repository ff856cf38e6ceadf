//! What the API server asks before it accepts a resource: the very checks of `validate`, over everything that is around it.
//!
//! ```text
//! AdmissionReview ──► the namespace's resources, with this one as it would be ──► Examiner ──► denied, warned or allowed
//! ```
//!
//! Errors in the resource deny it. What another resource may still mend (a reference to something that is not there *yet*)
//! warns: `kubectl`, Flux and Argo CD apply a set in any order, and try the whole of it first. Our own trouble never denies:
//! a cluster must not be locked by whoever checks it.

pub mod certificate;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kube::api::DynamicObject;
use kube::core::admission::{AdmissionRequest, AdmissionResponse, AdmissionReview, Operation};
use serde_json::Value;
use tokio::sync::Semaphore;

use super::resources::{Key, Resource, Resources, document, lock};
use crate::catalog::{File, Input, Snapshot};
use crate::definition::Kind;
use crate::reconcile::examine::{Examined, Examiner};
use crate::text::{self, Code, Finding, ReadLimits, Severity, codes};

/// Namespaces whose checks are remembered.
const MOST_REMEMBERED: usize = 64;
/// Questions at the same moment; more wait.
const AT_ONCE: usize = 4;
/// Longest time for an answer, below the webhook's own limit.
const PATIENCE: Duration = Duration::from_secs(4);
/// Longest warning, as the API asks for.
const MOST_WARNING: usize = 256;
/// Warnings in one answer.
const MOST_WARNINGS: usize = 20;
/// Findings that a refusal lists.
const MOST_LISTED: usize = 20;

/// What another resource may still mend.
const MENDABLE: [&Code; 5] = [
    &codes::UNKNOWN_REFERENCE,
    &codes::UNKNOWN_SECRET,
    &codes::UNKNOWN_VARIABLE,
    &codes::ENTITY_FIELD,
    &codes::AUTH_SETTING,
];

/// Who deletes what a namespace holds.
const CLEANERS: [&str; 2] = [
    "system:serviceaccount:kube-system:namespace-controller",
    "system:serviceaccount:kube-system:generic-garbage-collector",
];

/// Whose a definition is, where it is not the cluster's: a sentence that says so.
pub type Owned = Arc<dyn Fn(&Key) -> Option<String> + Send + Sync>;

/// What is found in one resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
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
    remembered: Mutex<BTreeMap<String, Arc<Mutex<Examiner>>>>,
    free: Semaphore,
}

impl std::fmt::Debug for Admission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admission").field("strict", &self.strict).finish_non_exhaustive()
    }
}

impl Admission {
    /// Over what is known of the cluster.
    pub fn new(resources: Arc<Resources>, owned: Owned, strict: bool) -> Arc<Admission> {
        let free = Semaphore::new(AT_ONCE);
        Arc::new(Admission { resources, owned, strict, remembered: Mutex::default(), free })
    }

    /// Answers an `AdmissionReview`; `None` where it is none.
    pub async fn answer(self: Arc<Admission>, body: &[u8]) -> Option<Value> {
        let review: AdmissionReview<DynamicObject> = serde_json::from_slice(body).ok()?;
        let request: AdmissionRequest<DynamicObject> = review.try_into().ok()?;
        let response = AdmissionResponse::from(&request);
        let late = response.clone();
        let asked = async {
            let _permit = self.free.acquire().await;
            let admission = Arc::clone(&self);
            tokio::task::spawn_blocking(move || admission.review(&request, response)).await
        };
        let answer = match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                tracing::error!("a check failed unexpectedly: {error}");
                unchecked(late, "the check failed unexpectedly; its status says what is wrong with it")
            }
            Err(_) => unchecked(late, "the check took too long; its status says what is wrong with it"),
        };
        serde_json::to_value(answer.into_review()).ok()
    }

    fn review(&self, request: &AdmissionRequest<DynamicObject>, response: AdmissionResponse) -> AdmissionResponse {
        let Ok(kind) = request.kind.kind.parse::<Kind>() else { return response };
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
        let before = self.examined(key, None, true);
        let after = self.examined(key, None, false);
        warned(response, broken_by(&before, &after, key))
    }

    fn change(&self, key: &Key, object: &DynamicObject, response: AdmissionResponse) -> AdmissionResponse {
        let resource = Resource::of(key.kind, object, None);
        let after = self.examined(key, Some(resource.file.clone()), true);
        let told = told(&after, &resource.file);
        let (errors, mild): (Vec<&Told>, Vec<&Told>) = told.iter().partition(|told| self.denies(&told.finding));
        if !errors.is_empty() {
            return response.deny(refusal(key, &errors));
        }
        let mut warnings: Vec<String> = mild.iter().map(|told| line(told)).collect();
        // Only where something elsewhere is wrong it matters whether it was so before.
        if elsewhere(&after, key).next().is_some() {
            let before = self.examined(key, None, true);
            warnings.extend(broken_by(&before, &after, key));
        }
        warned(response, warnings)
    }

    fn denies(&self, finding: &Finding) -> bool {
        finding.severity == Severity::Error && (self.strict || !MENDABLE.contains(&finding.code))
    }

    /// The namespace with a resource as it would be; without it where `there` is false.
    fn examined(&self, key: &Key, changed: Option<File>, there: bool) -> Examined {
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
        examiner.examine(&Input { snapshot, ..Input::default() }, &[])
    }

    fn remembered(&self, namespace: &str) -> Arc<Mutex<Examiner>> {
        let mut remembered = lock(&self.remembered);
        if !remembered.contains_key(namespace) && remembered.len() >= MOST_REMEMBERED {
            remembered.pop_first();
        }
        Arc::clone(remembered.entry(namespace.to_owned()).or_default())
    }
}

/// Everything that is found in one file of what was examined, in the order of `validate`.
pub fn told(examined: &Examined, file: &File) -> Vec<Told> {
    let source = examined.catalog.sources.iter().find(|(_, source)| source.path() == &*file.path);
    let Some((id, source)) = source else { return Vec::new() };
    let (documents, _) = text::parse(source, &ReadLimits::default());
    let mine = examined.findings.iter().filter(|finding| finding.span().is_some_and(|span| span.source == id));
    let pointer = |finding: &Finding| {
        let range = finding.span().map(|span| text::Range { start: span.start, end: span.end });
        let root = documents.first().map(|document| &document.root);
        range.zip(root).map(|(range, root)| text::pointer_at(root, range)).unwrap_or_default()
    };
    mine.map(|finding| Told { finding: finding.clone(), pointer: pointer(finding) }).collect()
}

/// Errors in other resources.
fn elsewhere<'a>(examined: &'a Examined, key: &Key) -> impl Iterator<Item = (Key, &'a Finding)> {
    let own = key.clone();
    let errors = examined.findings.iter().filter(|finding| finding.severity == Severity::Error);
    errors.filter_map(move |finding| {
        let source = examined.catalog.sources.find(finding.span()?.source)?;
        let other = Key::of_path(source.path())?;
        (other != own).then_some((other, finding))
    })
}

/// What is wrong in other resources after a change and was not before.
fn broken_by(before: &Examined, after: &Examined, key: &Key) -> Vec<String> {
    let known: Vec<(Key, String)> =
        elsewhere(before, key).map(|(key, finding)| (key, finding.message.clone())).collect();
    let new =
        elsewhere(after, key).filter(|(key, finding)| !known.iter().any(|(k, m)| k == key && *m == finding.message));
    new.map(|(other, finding)| format!("this breaks {other}: {}: {}", finding.code.id, finding.message)).collect()
}

fn line(told: &Told) -> String {
    let Told { finding, pointer } = told;
    let help = finding.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
    format!("{} at {pointer}: {}{help}", finding.code.id, finding.message)
}

fn refusal(key: &Key, errors: &[&Told]) -> String {
    let count = errors.len();
    let mut text = format!("{key} has {count} {}:", if count == 1 { "error" } else { "errors" });
    for told in errors.iter().take(MOST_LISTED) {
        text += &format!("\n  {}", line(told));
    }
    if count > MOST_LISTED {
        text += &format!("\n  and {} more", count - MOST_LISTED);
    }
    text
}

fn warned(mut response: AdmissionResponse, warnings: Vec<String>) -> AdmissionResponse {
    if !warnings.is_empty() {
        let short = |warning: String| match warning.char_indices().nth(MOST_WARNING - 1) {
            None => warning,
            Some((end, _)) => format!("{}…", &warning[..warning.floor_char_boundary(end.min(MOST_WARNING - 3))]),
        };
        response.warnings = Some(warnings.into_iter().take(MOST_WARNINGS).map(short).collect());
    }
    response
}

fn unchecked(response: AdmissionResponse, why: &str) -> AdmissionResponse {
    warned(response, vec![format!("evenkeel did not check this: {why}")])
}
