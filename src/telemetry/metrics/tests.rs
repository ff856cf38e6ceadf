//! The encoded text and its bounds.

use super::*;

fn has(text: &str, line: &str) {
    assert!(text.lines().any(|known| known == line), "`{line}` is not in\n{text}");
}

fn record_all(metrics: &Metrics, environment: &str) {
    metrics.reconciled(environment, "applied", Duration::from_millis(20));
    metrics.went_live(environment, Duration::from_secs(3));
    metrics.applied(environment, "main", "main@sha1:aa");
    metrics.generation(environment, 7);
    metrics.replica_generation(environment, 6);
    metrics.definitions(environment, Kind::Connector, 3);
    metrics.findings(environment, Severity::Error, 2);
    metrics.drift_detected(environment);
    metrics.drift_objects(environment, 4);
    metrics.secrets_unresolved(environment, 2);
    metrics.connectors_unhealthy(environment, 1);
    metrics.prune_blocked(environment, "budget");
    metrics.conflict_loop(environment);
    metrics.fetched(environment, "changed", Duration::from_millis(300));
    metrics.webhook(environment, "accepted");
    metrics.refused_by_limit(environment, "rateLimit");
    drop(metrics.waiting_for_limit(environment));
}

#[test]
fn encodes_openmetrics_text() {
    let metrics = Metrics::new();
    record_all(&metrics, "live");
    metrics.cache("parse", 9999, 1);
    metrics.queue_oldest(Duration::from_millis(1500));
    metrics.notified("delivered");
    metrics.store_writes(5);
    let text = metrics.clone().encode();
    for line in [
        "# TYPE evenkeel_reconcile_duration_seconds histogram",
        "# UNIT evenkeel_reconcile_duration_seconds seconds",
        r#"evenkeel_reconcile_duration_seconds_bucket{le="0.025",environment="live",result="applied"} 1"#,
        r#"evenkeel_reconcile_duration_seconds_bucket{le="0.01",environment="live",result="applied"} 0"#,
        r#"evenkeel_reconcile_duration_seconds_count{environment="live",result="applied"} 1"#,
        "# TYPE evenkeel_reconcile counter",
        r#"evenkeel_reconcile_total{environment="live",result="applied"} 1"#,
        r#"evenkeel_commit_to_live_seconds_sum{environment="live"} 3.0"#,
        "# TYPE evenkeel_last_applied_commit_info gauge",
        r#"evenkeel_last_applied_commit_info{environment="live",source="main",revision="main@sha1:aa"} 1"#,
        r#"evenkeel_generation{environment="live"} 7"#,
        r#"evenkeel_replica_generation{environment="live"} 6"#,
        r#"evenkeel_definitions{environment="live",kind="Connector"} 3"#,
        r#"evenkeel_findings{environment="live",severity="error"} 2"#,
        r#"evenkeel_drift_detected_total{environment="live"} 1"#,
        r#"evenkeel_drift_objects{environment="live"} 4"#,
        r#"evenkeel_secrets_unresolved{environment="live"} 2"#,
        r#"evenkeel_connectors_unhealthy{environment="live"} 1"#,
        r#"evenkeel_prune_blocked_total{environment="live",reason="budget"} 1"#,
        r#"evenkeel_conflict_loops_total{environment="live"} 1"#,
        r#"evenkeel_cache_hits_total{stage="parse"} 9999"#,
        r#"evenkeel_cache_misses_total{stage="parse"} 1"#,
        "evenkeel_queue_oldest_seconds 1.5",
        r#"evenkeel_fetch_total{environment="live",result="changed"} 1"#,
        r#"evenkeel_fetch_duration_seconds_count{environment="live"} 1"#,
        r#"evenkeel_notifications_total{result="delivered"} 1"#,
        r#"evenkeel_webhooks_total{environment="live",result="accepted"} 1"#,
        r#"evenkeel_limit_refusals_total{environment="live",limit="rateLimit"} 1"#,
        r#"evenkeel_rate_limit_waits_total{environment="live"} 1"#,
        r#"evenkeel_rate_limit_waiting{environment="live"} 0"#,
        "evenkeel_store_writes_total 5",
    ] {
        has(&text, line);
    }
    has(&text, &format!(r#"evenkeel_build_info{{version="{}"}} 1"#, env!("CARGO_PKG_VERSION")));
    assert!(text.ends_with("# EOF\n"));
    let ours = |line: &&str| !line.starts_with('#') && !line.starts_with("evenkeel_");
    assert_eq!(text.lines().find(ours), None);
}

#[test]
fn a_new_revision_replaces_the_old_one() {
    let metrics = Metrics::new();
    for revision in ["one", "two", "two", "thr\"ee\n"] {
        metrics.applied("live", "main", revision);
    }
    metrics.applied("live", "shared", "one");
    let text = metrics.encode();
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("evenkeel_last_applied_commit_info{")).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    has(&text, r#"evenkeel_last_applied_commit_info{environment="live",source="main",revision="thr\"ee\n"} 1"#);
}

#[test]
fn a_removed_environment_leaves_no_series() {
    let metrics = Metrics::new();
    record_all(&metrics, "live");
    record_all(&metrics, "draft");
    metrics.forget("draft");
    let text = metrics.encode();
    assert!(!text.contains("draft"), "{text}");
    let live_series = text.matches(r#"environment="live""#).count();
    let alone = Metrics::new();
    record_all(&alone, "live");
    assert_eq!(live_series, alone.encode().matches(r#"environment="live""#).count());
    metrics.forget("never-there");
    metrics.applied("draft", "main", "again");
    has(
        &metrics.encode(),
        r#"evenkeel_last_applied_commit_info{environment="draft",source="main",revision="again"} 1"#,
    );
}

#[test]
fn environments_beyond_the_limit_are_counted_as_other() {
    let metrics = Metrics::new();
    for number in 0..MAX_ENVIRONMENTS + 50 {
        record_all(&metrics, &format!("e{number}"));
        metrics.webhook(&format!("guessed-{number}"), "unknown");
    }
    let text = metrics.encode();
    has(&text, r#"evenkeel_generation{environment="e99"} 7"#);
    has(&text, r#"evenkeel_conflict_loops_total{environment="other"} 50"#);
    assert!(!text.contains("e100\"") && !text.contains("guessed"), "{text}");
    has(&text, r#"evenkeel_webhooks_total{environment="other",result="unknown"} 150"#);
    metrics.forget("e0");
    metrics.generation("e149", 1);
    has(&metrics.encode(), r#"evenkeel_generation{environment="e149"} 1"#);
    let long = Metrics::new();
    long.generation(&"x".repeat(MAX_LABEL + 1), 1);
    has(&long.encode(), r#"evenkeel_generation{environment="other"} 1"#);
}

#[test]
fn sources_and_their_revisions_are_bounded() {
    let metrics = Metrics::new();
    for number in 0..MAX_SOURCES + 10 {
        metrics.applied("live", &format!("s{number}"), &"r".repeat(10_000));
    }
    let text = metrics.encode();
    assert_eq!(text.matches("evenkeel_last_applied_commit_info{").count(), MAX_SOURCES);
    assert!(text.lines().all(|line| line.len() < 500));
}
