//! The status of an environment, for people.

use serde_json::Value;

use super::api_client::one_line;
use super::output;
use super::response_view;
use super::style::Style;
use crate::api::environment::{Blocked, Condition, Drift, Environment, HeldBack, Suspension, Tombstone};

/// Maximum number of findings, removals or definitions of a kind in a status for people.
const MAX_LISTED: usize = 5;

/// Reads the status of a response.
///
/// # Errors
/// Fails if it is not a status.
pub(super) fn parse(value: &Value) -> anyhow::Result<Environment> {
    response_view::parse(value, "the status of an environment")
}

/// Formats the status: first the generation that serves, then the reason why not everything declared is live.
pub(super) fn human(environment: &Environment, style: Style) -> String {
    StatusText { environment, style }.format()
}

/// The text of a status.
struct StatusText<'a> {
    environment: &'a Environment,
    style: Style,
}

impl StatusText<'_> {
    fn ready(&self) -> Option<&Condition> {
        self.environment.conditions.iter().find(|condition| condition.kind == "Ready")
    }

    fn format(&self) -> String {
        let StatusText { environment, style } = *self;
        let paint = style.paint();
        let reason = self.ready().map_or("Unknown", |ready| ready.reason.as_str());
        let word = if environment.ready { paint.green("Ready") } else { paint.red("not ready") };
        let mut text = format!("{}: {word} ({reason})\n", paint.bold(&environment.name));
        text += &self.serving();
        text += &self.reasons();
        text += &self.condition("SecretsResolved", "secrets");
        text += &self.condition("ConnectorsHealthy", "health");
        text += &self.definitions();
        text
    }

    fn serving(&self) -> String {
        let StatusText { environment, style } = *self;
        let Some(digest) = environment.digest else { return style.field("serves", "nothing yet") };
        let definitions = output::count(environment.definitions, "definition");
        // `evenkeel dev` does not count generations.
        let number = environment.generation.map_or_else(String::new, |number| format!("{number} "));
        let since = environment.active_since.map(|since| format!(", since {}", style.with_age(Some(since))));
        let since = since.unwrap_or_default();
        let mut text = style.field("serves", &format!("generation {number}{}, {definitions}{since}", digest.short()));
        for (source, revision) in &environment.last_applied {
            text += &style.field("revision", &format!("{}{revision}", source_prefix(source)));
        }
        let replicas = &environment.replicas;
        if replicas.len() > 1 {
            let current = replicas.iter().filter(|replica| Some(replica.generation) == environment.generation).count();
            text += &style.field("replicas", &format!("{current} of {} serve this generation", replicas.len()));
        }
        text
    }

    /// The reasons why not everything that is declared is live, with the command that helps.
    fn reasons(&self) -> String {
        let StatusText { environment, style } = *self;
        let name = &environment.name;
        let mut text = String::new();
        if let Some(ready) = self.ready().filter(|_| !environment.ready) {
            let since = ready.last_transition_time.map(|since| format!(", since {}", style.with_age(Some(since))));
            text += &style.field("reason", &format!("{}{}", ready.message, since.unwrap_or_default()));
        }
        if let Some(Suspension { by, at, reason }) = &environment.suspended {
            let reason = reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
            text += &style.field("suspended", &format!("by {by}, {}{reason}", style.with_age(*at)));
        }
        for (source, revision) in &environment.last_attempted {
            if environment.last_applied.get(source) != Some(revision) {
                let label = self.label(source, revision);
                text += &style.field(label, &format!("{}{revision}", source_prefix(source)));
            }
        }
        if let Some(HeldBack { by, at, .. }) = &environment.held_back {
            let resume = format!("`evenkeel resume -e {name}` applies it again");
            text += &style.field("held back", &format!("at the request of {by}, {}; {resume}", style.with_age(*at)));
        }
        if let Some(pending) = &environment.pending {
            let help = format!("`evenkeel apply -e {name}` shows it, with `--digest {}` it is approved", pending.plan);
            text += &style.field("waits", &format!("plan {} for approval; {help}", pending.plan.short()));
        }
        for (source, revision) in &environment.history_rewritten {
            let source = source_prefix(source);
            let rewritten = format!("{source}rewritten: {revision} does not descend from the previous revision");
            text += &style.field("history", &rewritten);
        }
        if environment.errors > 0 {
            text += &style.field("findings", &output::count(environment.errors, "error"));
            let errors = environment.findings.iter().filter(|finding| finding["severity"] == "error");
            text += &errors.take(MAX_LISTED).map(|finding| style.field("", &one_line(finding))).collect::<String>();
            text += &more(environment.errors, style);
        }
        text
    }

    /// The message of a condition that is not true, unless it is the reason why the environment is not ready.
    fn condition(&self, kind: &str, label: &str) -> String {
        let StatusText { environment, style } = *self;
        let found = environment.conditions.iter().find(|condition| condition.kind == kind);
        let is_reason = |condition: &&Condition| self.ready().is_some_and(|ready| ready.message == condition.message);
        match found.filter(|condition| condition.status != "True").filter(|condition| !is_reason(condition)) {
            Some(condition) => style.field(label, &condition.message),
            None => String::new(),
        }
    }

    /// Definitions with a state of their own.
    fn definitions(&self) -> String {
        let StatusText { environment, style } = *self;
        let mut text = String::new();
        for held in environment.held.iter().take(MAX_LISTED) {
            let remark = "cannot go live; its last good version serves if there is one";
            text += &style.field("isolated", &format!("{held} {remark}"));
        }
        text += &more(environment.held.len(), style);
        for Blocked { message, ids, .. } in &environment.blocked {
            text += &style.field("blocked", message);
            text += &ids.iter().take(MAX_LISTED).map(|id| style.field("", id)).collect::<String>();
            text += &more(ids.len(), style);
        }
        for Drift { id, how, who, at, until } in environment.drift.iter().take(MAX_LISTED) {
            let who = who.as_ref().map_or_else(String::new, |who| format!(" by {who}"));
            let until = until.map(|until| format!(", allowed until {}", style.with_rest(Some(until))));
            let until = until.unwrap_or_default();
            text += &style.field("drift", &format!("{id} {how}{who}, {}{until}", style.with_age(*at)));
        }
        text += &more(environment.drifted, style);
        for Tombstone { id, until, .. } in environment.tombstones.iter().take(MAX_LISTED) {
            let command = format!("evenkeel restore {id} -e {}", environment.name);
            let until = style.with_rest(*until);
            text += &style.field("removed", &format!("{id}; `{command}` restores it until {until}"));
        }
        text += &more(environment.tombstones.len(), style);
        text
    }

    /// Label of a revision that is not live.
    fn label(&self, source: &str, revision: &str) -> &'static str {
        let held = self.environment.held_back.as_ref().and_then(|held| held.revisions.get(source));
        if held.is_some_and(|held| held == revision) {
            return "held back";
        }
        match self.ready().map_or("", |ready| ready.reason.as_str()) {
            "InvalidDefinitions" | "CompileFailed" | "Isolated" | "SecretsUnresolved" | "PublicUrlUnknown" => "refused",
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
            "name": "live", "ready": false, "errors": 0, "warnings": 0, "findings": [], "drifted": 0, "generation": 3, "definitions": 12,
            "digest": format!("sha256:2e1d{}", "0".repeat(60)), "activeSince": "2026-11-29T11:55:00.5Z",
            "lastApplied": {"source": "main@sha1:aaa"}, "lastAttempted": {"source": "main@sha1:bbb"},
            "conditions": [{"type": "Ready", "status": "False", "reason": "FetchFailed",
                "message": "the host does not respond", "lastTransitionTime": "2026-11-29T11:58:00Z"}],
            "suspended": null, "pending": null, "heldBack": null, "drift": [], "blocked": [], "held": [],
            "replicas": [], "tombstones": [],
        });
        for (name, member) in more.as_object().unwrap() {
            value[name] = member.clone();
        }
        human(&parse(&value).unwrap(), Style::with(None, "2026-11-29T12:00:00Z"))
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
             2026-11-29T11:55:00Z (5 min ago)\n  revision    main@sha1:aaa\n  reason      the host does not respond, \
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
        let pending =
            json!({"plan": format!("sha256:9ab3{}", "0".repeat(60)), "reason": "AwaitingApproval", "summary": {}});
        let text = shown(&json!({"conditions": because("AwaitingApproval"), "pending": pending}));
        assert!(
            text.contains("  waits       plan sha256:9ab3000000000000 for approval; `evenkeel apply -e live` shows it"),
            "{text}"
        );
    }

    #[test]
    fn the_status_shows_suspensions_blocked_removals_and_tombstones() {
        let replica = |generation: u64| json!({"name": "a", "generation": generation, "digest": format!("sha256:{}", "0".repeat(64)), "at": null});
        let ids: Vec<String> = (0..7).map(|at| format!("Connector/c{at}")).collect();
        let text = shown(&json!({
            "suspended": {"by": "ada", "at": "2026-11-29T11:00:00Z", "reason": "audit until Friday"},
            "blocked": [{"reason": "Budget", "ids": ids, "message": "7 removals need approval"}],
            "tombstones": [{"id": "Connector/b", "generation": 2, "at": null, "until": "2026-11-29T13:00:00Z"}],
            "replicas": [replica(3), replica(2)],
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
        for value in [json!({}), json!({"name": 7}), json!([]), json!(null)] {
            assert!(parse(&value).is_err(), "{value}");
        }
    }
}
