//! The status of an environment, for people.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::Value;

use super::api_client::one_line;
use super::output;
use super::response_view;
use super::style::Style;
use crate::reconcile::status::{ConditionKind, ConditionStatus};

/// Maximum number of findings, removals or definitions of a kind in a status for people.
const MAX_LISTED: usize = 5;

/// The status of an environment.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct EnvironmentStatus {
    #[serde(alias = "environment")]
    name: String,
    conditions: Vec<Condition>,
    generation: Option<u64>,
    digest: String,
    active_since: Value,
    definitions: usize,
    last_applied: BTreeMap<String, String>,
    last_attempted: BTreeMap<String, String>,
    history_rewritten: BTreeMap<String, String>,
    errors: usize,
    findings: Vec<Value>,
    drift: Vec<Drift>,
    held: Vec<String>,
    blocked: Vec<Blocked>,
    pending: Option<Pending>,
    suspended: Option<Request>,
    held_back: Option<HeldBack>,
    replicas: Vec<Replica>,
    tombstones: Vec<Tombstone>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Condition {
    #[serde(rename = "type")]
    kind: ConditionKind,
    status: ConditionStatus,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    last_transition_time: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Drift {
    id: String,
    how: String,
    who: String,
    at: Value,
    until: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Blocked {
    message: String,
    ids: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Pending {
    plan: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Request {
    by: String,
    at: Value,
    reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct HeldBack {
    revisions: BTreeMap<String, String>,
    by: String,
    at: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Replica {
    #[serde(alias = "number")]
    generation: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Tombstone {
    id: String,
    until: Value,
}

impl EnvironmentStatus {
    /// Reads the status of a response.
    ///
    /// # Errors
    /// Fails if it is not a status.
    pub(super) fn parse(value: &Value) -> anyhow::Result<EnvironmentStatus> {
        let status: EnvironmentStatus =
            response_view::parse(&one_name(value)).context("the response is not the status of an environment")?;
        anyhow::ensure!(!status.name.is_empty(), "the response is not the status of an environment");
        Ok(status)
    }

    /// True if everything that is declared is live.
    pub(super) fn is_ready(&self) -> bool {
        self.ready().is_some_and(|ready| ready.status == ConditionStatus::True)
    }

    /// Number of the active generation.
    pub(super) fn generation(&self) -> Option<u64> {
        self.generation
    }

    fn ready(&self) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.kind == ConditionKind::Ready)
    }

    /// Formats the status: first the generation that serves, then the reason why not everything declared is live.
    pub(super) fn human(&self, style: Style) -> String {
        let paint = style.paint();
        let reason = self.ready().map_or("Unknown", |ready| ready.reason.as_str());
        let word = if self.is_ready() { paint.green("Ready") } else { paint.red("not ready") };
        let mut text = format!("{}: {word} ({reason})\n", paint.bold(&self.name));
        text += &self.serving(style);
        text += &self.reasons(style);
        for drift in &self.drift {
            let until = drift.until.as_ref().map(|until| format!(", allowed until {}", style.with_rest(until)));
            let until = until.unwrap_or_default();
            let Drift { id, how, who, at, .. } = drift;
            text += &style.field("drift", &format!("{id} {how} by {who}, {}{until}", style.with_age(at)));
        }
        for tombstone in self.tombstones.iter().take(MAX_LISTED) {
            let (id, name, until) = (&tombstone.id, &self.name, style.with_rest(&tombstone.until));
            text +=
                &style.field("removed", &format!("{id}; `evenkeel restore {id} -e {name}` restores it until {until}"));
        }
        text += &more(self.tombstones.len(), style);
        text
    }

    fn serving(&self, style: Style) -> String {
        let Some(generation) = self.generation.filter(|generation| *generation > 0) else {
            return style.field("serves", "nothing yet");
        };
        let (digest, definitions) = (short_digest(&self.digest), output::count(self.definitions, "definition"));
        let since = style.with_age(&self.active_since);
        let mut text =
            style.field("serves", &format!("generation {generation} {digest}, {definitions}, since {since}"));
        for (source, revision) in &self.last_applied {
            text += &style.field("revision", &format!("{}{revision}", source_prefix(source)));
        }
        if self.replicas.len() > 1 {
            let current = self.replicas.iter().filter(|replica| replica.generation == self.generation).count();
            text += &style.field("replicas", &format!("{current} of {} serve this generation", self.replicas.len()));
        }
        text
    }

    /// The reasons why not everything that is declared is live, with the command that helps.
    fn reasons(&self, style: Style) -> String {
        let name = &self.name;
        let mut text = String::new();
        if let Some(ready) = self.ready().filter(|_| !self.is_ready()) {
            let since = style.with_age(&ready.last_transition_time);
            text += &style.field("reason", &format!("{}, since {since}", ready.message));
        }
        if let Some(Request { by, at, reason }) = &self.suspended {
            let reason = reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
            text += &style.field("suspended", &format!("by {by}, {}{reason}", style.with_age(at)));
        }
        for (source, revision) in &self.last_attempted {
            if self.last_applied.get(source) != Some(revision) {
                text += &style.field(self.label(source, revision), &format!("{}{revision}", source_prefix(source)));
            }
        }
        if let Some(HeldBack { by, at, .. }) = &self.held_back {
            let resume = format!("`evenkeel resume -e {name}` applies it again");
            text += &style.field("held back", &format!("at the request of {by}, {}; {resume}", style.with_age(at)));
        }
        if let Some(Pending { plan }) = &self.pending {
            let plan = short_digest(plan);
            let help = format!("`evenkeel apply -e {name}` shows it, with `--yes` it is approved");
            text += &style.field("waits", &format!("plan {plan} for approval; {help}"));
        }
        for (source, revision) in &self.history_rewritten {
            let source = source_prefix(source);
            let rewritten = format!("{source}rewritten: {revision} does not descend from the previous revision");
            text += &style.field("history", &rewritten);
        }
        if self.errors > 0 {
            text += &style.field("findings", &output::count(self.errors, "error"));
            let errors = self.findings.iter().filter(|finding| finding["severity"] == "error");
            text += &errors.take(MAX_LISTED).map(|finding| style.field("", &one_line(finding))).collect::<String>();
            text += &more(self.errors, style);
        }
        for held in self.held.iter().take(MAX_LISTED) {
            text +=
                &style.field("isolated", &format!("{held} has errors; its last good version serves if there is one"));
        }
        text += &more(self.held.len(), style);
        for Blocked { message, ids } in &self.blocked {
            text += &style.field("blocked", message);
            text += &ids.iter().take(MAX_LISTED).map(|id| style.field("", id)).collect::<String>();
            text += &more(ids.len(), style);
        }
        text
    }

    /// Label of a revision that is not live.
    fn label(&self, source: &str, revision: &str) -> &'static str {
        if self.held_back.as_ref().is_some_and(|held| held.revisions.get(source).is_some_and(|held| held == revision)) {
            return "held back";
        }
        match self.ready().map_or("", |ready| ready.reason.as_str()) {
            "InvalidDefinitions" | "CompileFailed" | "Isolated" => "refused",
            "AwaitingApproval" | "PruneBlocked" | "Suspended" | "HeldBack" | "Drifted" | "ConflictLoop" => "waits",
            _ => "fetched",
        }
    }
}

/// A line for the entries that are not listed.
fn more(number: usize, style: Style) -> String {
    match number.saturating_sub(MAX_LISTED) {
        0 => String::new(),
        rest => style.field("", &format!("and {rest} more; `-o json` lists them")),
    }
}

/// The value without the second of its two names.
fn one_name(value: &Value) -> Value {
    let mut value = value.clone();
    if let Some(members) = value.as_object_mut()
        && members.contains_key("name")
    {
        members.remove("environment");
    }
    value
}

/// The first characters of a digest, as people compare them.
pub(super) fn short_digest(digest: &str) -> &str {
    digest.get(..23).unwrap_or(digest)
}

/// Prefix of a revision; empty for the only source.
fn source_prefix(name: &str) -> String {
    if name == crate::reconcile::sources::ONLY { String::new() } else { format!("{name} ") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(more: &Value) -> String {
        let mut value = json!({
            "name": "live", "environment": "live", "ready": false, "generation": 3, "definitions": 12,
            "digest": "sha256:2e1d00000000000012345678", "activeSince": "2026-11-29T11:55:00.5Z",
            "lastApplied": {"source": "main@sha1:aaa"}, "lastAttempted": {"source": "main@sha1:bbb"},
            "conditions": [{"type": "Ready", "status": "False", "reason": "FetchFailed",
                "message": "the host does not respond", "lastTransitionTime": "2026-11-29T11:58:00Z"}],
            "suspended": null, "pending": null, "heldBack": null, "drift": [], "blocked": [], "held": [],
            "replicas": [], "tombstones": [],
        });
        for (name, member) in more.as_object().unwrap() {
            value[name] = member.clone();
        }
        EnvironmentStatus::parse(&value).unwrap().human(Style::with(None, "2026-11-29T12:00:00Z"))
    }

    fn because(reason: &str) -> Value {
        json!([{"type": "Ready", "status": "False", "reason": reason, "message": "m", "lastTransitionTime": null}])
    }

    #[test]
    fn the_generation_that_serves_comes_before_the_reason() {
        let text = shown(&json!({}));
        assert_eq!(
            text,
            "live: not ready (FetchFailed)\n  serves      generation 3 sha256:2e1d000000000000, 12 definitions, since \
             2026-11-29T11:55:00Z (4 min 59 s ago)\n  revision    main@sha1:aaa\n  reason      the host does not respond, \
             since 2026-11-29T11:58:00Z (2 min ago)\n  fetched     main@sha1:bbb\n"
        );
        let none = shown(&json!({"generation": null, "digest": null, "activeSince": null, "lastApplied": {}}));
        assert!(none.contains("\n  serves      nothing yet\n"), "{none}");
    }

    #[test]
    fn a_revision_that_waits_is_not_called_refused() {
        for (reason, label) in [
            ("AwaitingApproval", "waits"),
            ("Suspended", "waits"),
            ("PruneBlocked", "waits"),
            ("InvalidDefinitions", "refused"),
            ("FetchFailed", "fetched"),
        ] {
            let text = shown(&json!({"conditions": because(reason)}));
            assert!(text.contains(&format!("\n  {label:<12}main@sha1:bbb\n")), "{reason}: {text}");
        }
        let held = json!({"revisions": {"source": "main@sha1:bbb"}, "by": "ada", "at": "2026-11-29T11:00:00Z"});
        let text = shown(&json!({"conditions": because("HeldBack"), "heldBack": held}));
        assert!(text.contains("\n  held back   main@sha1:bbb\n") && text.contains("evenkeel resume -e live"), "{text}");
        let pending = json!({"plan": "sha256:9ab3", "reason": "AwaitingApproval", "summary": {}});
        let text = shown(&json!({"conditions": because("AwaitingApproval"), "pending": pending}));
        assert!(
            text.contains("  waits       plan sha256:9ab3 for approval; `evenkeel apply -e live` shows it"),
            "{text}"
        );
    }

    #[test]
    fn the_status_shows_suspensions_blocked_removals_and_tombstones() {
        let ids: Vec<String> = (0..7).map(|at| format!("Connector/c{at}")).collect();
        let text = shown(&json!({
            "suspended": {"by": "ada", "at": "2026-11-29T11:00:00Z", "reason": "audit until Friday"},
            "blocked": [{"reason": "Budget", "ids": ids, "message": "7 removals need approval"}],
            "tombstones": [{"id": "Connector/b", "until": "2026-11-29T13:00:00Z"}],
            "replicas": [{"number": 3}, {"number": 2}],
            "drift": [{"id": "Connector/a", "how": "changed", "who": "bob", "at": "2026-11-29T11:59:00Z",
                "until": "2026-11-29T12:30:00Z"}],
        }));
        for expected in [
            "  suspended   by ada, 2026-11-29T11:00:00Z (1 h ago): audit until Friday\n",
            "  blocked     7 removals need approval\n              Connector/c0\n",
            "              and 2 more; `-o json` lists them\n",
            "  removed     Connector/b; `evenkeel restore Connector/b -e live` restores it until 2026-11-29T13:00:00Z (1 h left)\n",
            "  replicas    1 of 2 serve this generation\n",
            "  drift       Connector/a changed by bob, 2026-11-29T11:59:00Z (1 min ago), allowed until 2026-11-29T12:30:00Z (30 min left)\n",
        ] {
            assert!(text.contains(expected), "{expected}{text}");
        }
        assert!(!text.contains("c5"), "{text}");
    }

    #[test]
    fn another_document_is_refused() {
        for value in [json!({}), json!({"name": 7}), json!([]), json!({"name": "live", "generation": "one"})] {
            assert!(EnvironmentStatus::parse(&value).is_err(), "{value}");
        }
    }
}
