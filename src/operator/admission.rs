//! Admission review: the API server asks before it accepts a resource, and gets the checks of `evenkeel validate` over the
//! resources of its namespace.
//!
//! ```text
//! AdmissionReview ──► resources of the namespace with the change applied ──► Validator ──► deny, warn or allow
//! ```
//!
//! Errors in the resource itself deny it. Errors that another resource can still fix (a reference to a definition that does
//! not exist *yet*) only warn: `kubectl`, Flux and Argo CD apply a set in any order, after a dry run of the whole set. An
//! error can be fixed elsewhere if it disappears when the resource is validated alone. Failures of the check itself never
//! deny: a webhook must not lock a cluster.

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

/// Maximum number of namespaces with a cached validator.
const MAX_VALIDATORS: usize = 64;
/// Maximum number of concurrent reviews; further ones wait.
const MAX_REVIEWS: usize = 4;
/// Timeout of a review, below the timeout of the webhook configuration.
const REVIEW_TIMEOUT: Duration = Duration::from_secs(4);
/// Longest warning, in bytes, as the Kubernetes API recommends.
const MAX_WARNING: usize = 256;
/// Maximum number of warnings in a response.
const MAX_WARNINGS: usize = 20;
/// Maximum number of errors in a denial.
const MAX_ERRORS: usize = 20;

/// Findings that an Environment or an Entity can fix although they also appear when the resource is validated alone.
const FIXABLE_ELSEWHERE: [&Code; 3] = [&codes::UNKNOWN_SECRET, &codes::UNKNOWN_VARIABLE, &codes::ENTITY_FIELD];

/// Users that delete the content of a namespace.
const CLEANERS: [&str; 3] = [
    // Clusters whose controllers have no accounts of their own.
    "system:kube-controller-manager",
    "system:serviceaccount:kube-system:namespace-controller",
    "system:serviceaccount:kube-system:generic-garbage-collector",
];

/// Describes the owner of a definition that another source than the cluster provides.
pub type OwnerLookup = Arc<dyn Fn(&Key) -> Option<String> + Send + Sync>;

/// A finding in a resource.
#[derive(Clone, Debug, PartialEq)]
pub struct ResourceFinding {
    /// The finding.
    pub finding: Finding,
    /// Location in the resource: a JSON pointer (RFC 6901).
    pub pointer: String,
}

/// Reviews changes of resources.
pub struct Admission {
    resources: Arc<Resources>,
    owner: OwnerLookup,
    /// True if missing references deny.
    strict: bool,
    validators: Mutex<BTreeMap<String, Arc<Mutex<Validator>>>>,
    permits: Arc<Semaphore>,
}

impl std::fmt::Debug for Admission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admission").field("strict", &self.strict).finish_non_exhaustive()
    }
}

impl Admission {
    /// A reviewer over the known resources of the cluster.
    pub fn new(resources: Arc<Resources>, owner: OwnerLookup, strict: bool) -> Arc<Admission> {
        let permits = Arc::new(Semaphore::new(MAX_REVIEWS));
        Arc::new(Admission { resources, owner, strict, validators: Mutex::default(), permits })
    }

    /// Reviews the body of a request; `None` if it is not an `AdmissionReview`.
    pub async fn review(self: Arc<Admission>, body: &[u8]) -> Option<Value> {
        let review = match serde_json::from_slice::<AdmissionReview<DynamicObject>>(body) {
            Ok(review) => review,
            Err(error) => return unreadable(body, &error),
        };
        let request: AdmissionRequest<DynamicObject> = review.try_into().ok()?;
        let response = AdmissionResponse::from(&request);
        let fallback = response.clone();
        let namespace = request.namespace.clone().unwrap_or_default();
        let reviewed = async {
            let permit = Arc::clone(&self.permits).acquire_owned().await;
            let admission = Arc::clone(&self);
            let check = move || {
                // The check holds its permit until it ends, also after the timeout.
                let _permit = permit;
                admission.review_request(&request, response)
            };
            tokio::task::spawn_blocking(check).await
        };
        let response = match tokio::time::timeout(REVIEW_TIMEOUT, reviewed).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                tracing::error!(namespace, %error, "admission review panicked");
                // The cached validator may be in an inconsistent state.
                lock(&self.validators).remove(&namespace);
                unchecked(fallback, "the check failed; findings will be in the status")
            }
            Err(_) => unchecked(fallback, "the check timed out; findings will be in the status"),
        };
        serde_json::to_value(response.into_review()).ok()
    }

    fn review_request(
        &self,
        request: &AdmissionRequest<DynamicObject>,
        response: AdmissionResponse,
    ) -> AdmissionResponse {
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
            // A change of the status, a finalizer or an annotation of another tool.
            return response;
        }
        if CLEANERS.contains(&user) {
            return response;
        }
        if let Some(owner) = (self.owner)(&key) {
            return response.deny(format!("{owner}; change it there"));
        }
        match (&request.operation, new) {
            (Operation::Delete, _) => self.review_deletion(&key, old, response),
            (Operation::Create | Operation::Update, Some(object)) => self.review_change(&key, object, response),
            _ => response,
        }
    }

    fn review_deletion(
        &self,
        key: &Key,
        old: Option<&DynamicObject>,
        response: AdmissionResponse,
    ) -> AdmissionResponse {
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
        if !self.resources.covers(&key.namespace) {
            return response;
        }
        let before = self.validate(key, Change::None);
        let after = self.validate(key, Change::Deleted);
        with_warnings(response, broken_by(&before, &after, key))
    }

    fn review_change(&self, key: &Key, object: &DynamicObject, response: AdmissionResponse) -> AdmissionResponse {
        let file = Resource::read(key.kind, object, None).file;
        let covered = self.resources.covers(&key.namespace);
        let after = if covered { self.validate(key, Change::Written(file.clone())) } else { validate_alone(&file) };
        let findings = findings_in(&after, &file);
        let has_errors = findings.iter().any(|found| found.finding.severity == Severity::Error);
        let alone = if has_errors && !self.strict { findings_in(&validate_alone(&file), &file) } else { Vec::new() };
        let (errors, mild): (Vec<&ResourceFinding>, Vec<&ResourceFinding>) =
            findings.iter().partition(|found| self.denies(found, &alone));
        if !errors.is_empty() {
            return response.deny(denial(key, &errors));
        }
        let mut warnings: Vec<String> = mild.iter().map(|found| line(found)).collect();
        // The state before matters only if another resource has an error after the change.
        if covered && elsewhere(&after, key).next().is_some() {
            let before = self.validate(key, Change::None);
            warnings.extend(broken_by(&before, &after, key));
        }
        with_warnings(response, warnings)
    }

    /// True if a finding denies the change. `alone` are the findings of the resource without its namespace.
    fn denies(&self, found: &ResourceFinding, alone: &[ResourceFinding]) -> bool {
        let ResourceFinding { finding, pointer } = found;
        let same = |other: &ResourceFinding| other.finding.code == finding.code && other.pointer == *pointer;
        let is_own = || alone.iter().any(same) && !FIXABLE_ELSEWHERE.contains(&finding.code);
        finding.severity == Severity::Error && (self.strict || is_own())
    }

    /// Validates the namespace with a change of one resource.
    fn validate(&self, key: &Key, change: Change) -> Validated {
        let snapshot = snapshot(&self.resources, key, change);
        let validator = self.validator(&key.namespace);
        let mut validator = lock(&validator);
        validator.validate(&Input { snapshot, ..Input::default() }, &[])
    }

    /// The cached validator of a namespace.
    fn validator(&self, namespace: &str) -> Arc<Mutex<Validator>> {
        let mut validators = lock(&self.validators);
        if !validators.contains_key(namespace) && validators.len() >= MAX_VALIDATORS {
            validators.pop_first();
        }
        Arc::clone(validators.entry(namespace.to_owned()).or_default())
    }
}

/// A change of one resource.
#[derive(Clone, Debug)]
pub enum Change {
    /// No change.
    None,
    /// It is created or updated.
    Written(File),
    /// It is deleted.
    Deleted,
}

/// The resources of a namespace with a change of one of them, as a source: what a review validates.
pub fn snapshot(resources: &Resources, key: &Key, change: Change) -> Snapshot {
    let in_namespace = |resource: &Resource| resource.key.namespace == key.namespace && !resource.deleting;
    let is_changed = |resource: &Resource| resource.key == *key && !matches!(change, Change::None);
    let unchanged = resources.all(|resource| in_namespace(resource) && !is_changed(resource));
    let mut files: Vec<File> = unchanged.iter().map(|resource| resource.file.clone()).collect();
    if let Change::Written(file) = change {
        files.push(file);
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let names = files.iter().map(|file| file.path.to_string()).collect();
    Snapshot { files, names: Arc::new(names), ..Snapshot::default() }
}

/// Validates one resource without its namespace.
fn validate_alone(file: &File) -> Validated {
    let mut snapshot = Snapshot::of([(file.path.clone(), file.bytes.clone())]);
    snapshot.alone = true;
    Validator::new().validate(&Input { snapshot, ..Input::default() }, &[])
}

/// The findings in one file, in the order of `validate`.
pub fn findings_in(validated: &Validated, file: &File) -> Vec<ResourceFinding> {
    let source = validated.catalog.sources.iter().find(|(_, source)| source.path() == &*file.path);
    let Some((id, source)) = source else { return Vec::new() };
    let (documents, _) = text::parse(source, &ReadLimits::default());
    let own = validated.findings.iter().filter(|finding| finding.span().is_some_and(|span| span.source == id));
    let pointer = |finding: &Finding| {
        let range = finding.span().map(|span| text::Range { start: span.start, end: span.end });
        let root = documents.first().map(|document| &document.root);
        range.zip(root).map(|(range, root)| text::pointer_at(root, range)).unwrap_or_default()
    };
    own.map(|finding| ResourceFinding { finding: finding.clone(), pointer: pointer(finding) }).collect()
}

/// Errors in other resources.
fn elsewhere<'a>(validated: &'a Validated, key: &Key) -> impl Iterator<Item = (Key, &'a Finding)> {
    let own = key.clone();
    let errors = validated.findings.iter().filter(|finding| finding.severity == Severity::Error);
    errors.filter_map(move |finding| {
        let source = validated.catalog.sources.find(finding.span()?.source)?;
        let other = Key::from_path(source.path())?;
        (other != own).then_some((other, finding))
    })
}

/// Warnings for errors in other resources that a change causes.
fn broken_by(before: &Validated, after: &Validated, key: &Key) -> Vec<String> {
    let known: Vec<(Key, String)> =
        elsewhere(before, key).map(|(key, finding)| (key, finding.message.clone())).collect();
    let new = elsewhere(after, key).filter(|(key, finding)| !known.contains(&(key.clone(), finding.message.clone())));
    new.map(|(other, finding)| format!("this breaks {other}: {}: {}", finding.code.id, finding.message)).collect()
}

fn line(found: &ResourceFinding) -> String {
    let ResourceFinding { finding, pointer } = found;
    let help = finding.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
    single_line(&format!("{} at {pointer}: {}{help}", finding.code.id, finding.message))
}

fn denial(key: &Key, errors: &[&ResourceFinding]) -> String {
    let count = errors.len();
    let mut text = format!("{key} has {count} {}:", if count == 1 { "error" } else { "errors" });
    for found in errors.iter().take(MAX_ERRORS) {
        text += &format!("\n  {}", line(found));
    }
    if count > MAX_ERRORS {
        text += &format!("\n  and {} more", count - MAX_ERRORS);
    }
    text
}

/// Text as one line without control characters, which a resource could use to control a terminal.
fn single_line(text: &str) -> String {
    text.split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

fn with_warnings(mut response: AdmissionResponse, warnings: Vec<String>) -> AdmissionResponse {
    let more = warnings.len().saturating_sub(MAX_WARNINGS);
    let short = |warning: String| match single_line(&warning) {
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

fn unchecked(response: AdmissionResponse, reason: &str) -> AdmissionResponse {
    with_warnings(response, vec![format!("evenkeel did not check this resource: {reason}")])
}

/// Reviews an object that cannot be read: allows its deletion and denies everything else.
fn unreadable(body: &[u8], error: &serde_json::Error) -> Option<Value> {
    let review: Value = serde_json::from_slice(body).ok()?;
    let uid = review["request"]["uid"].as_str()?;
    let is_deletion = review["request"]["operation"] == "DELETE";
    let message = single_line(&format!("cannot read the object: {error}"));
    let mut response = json!({"uid": uid, "allowed": is_deletion});
    if !is_deletion {
        response["status"] = json!({"code": 422, "reason": "Invalid", "message": message});
    }
    Some(json!({"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response}))
}
