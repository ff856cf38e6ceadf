//! The page about metrics, from the text that the registry encodes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use evenkeel::definition::Kind;
use evenkeel::store::queue::QueueDepth;
use evenkeel::telemetry::metrics::Metrics;
use evenkeel::text::Severity;
use regex::Regex;

use super::markdown::{code, head, table};
use crate::support::root;

/// A metric with one series of each family.
fn encoded() -> String {
    let metrics = Metrics::new();
    let environment = "live";
    metrics.reconciled(environment, "applied", Duration::from_millis(20));
    metrics.went_live(environment, Duration::from_secs(3));
    metrics.applied(environment, "main", "main@sha1:aa");
    metrics.generation(environment, 7);
    metrics.replica_generation(environment, 7);
    metrics.definitions(environment, Kind::Connector, 3);
    metrics.findings(environment, Severity::Error, 2);
    metrics.drift_detected(environment);
    metrics.drift_objects(environment, 4);
    metrics.secrets_unresolved(environment, 1);
    metrics.connectors_unhealthy(environment, 1);
    metrics.prune_blocked(environment, "budget");
    metrics.conflict_loop(environment);
    metrics.history_rewritten(environment);
    metrics.cache("parse", 1, 1);
    metrics.queue_oldest(Duration::ZERO);
    metrics.queue_depth(environment, &QueueDepth::default());
    metrics.execution(environment, "Succeeded");
    metrics.fetched(environment, "changed", Duration::from_millis(300));
    metrics.notified("delivered");
    metrics.webhook(environment, "accepted");
    metrics.denied("FORBIDDEN");
    metrics.cluster_written("ok");
    metrics.store_writes(5);
    metrics.refused_by_limit(environment, "rateLimit");
    let _waiting = metrics.waiting_for_limit(environment);
    metrics.encode()
}

/// A metric family of the encoded text.
#[derive(Debug, Default)]
struct MetricFamily {
    help: String,
    metric_type: String,
    labels: BTreeSet<String>,
}

fn families(text: &str) -> BTreeMap<String, MetricFamily> {
    let mut families: BTreeMap<String, MetricFamily> = BTreeMap::new();
    let label = Regex::new(r#"([a-z_]+)=""#).unwrap();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# ") {
            let mut words = rest.splitn(3, ' ');
            let (word, name, value) =
                (words.next(), words.next().unwrap_or_default(), words.next().unwrap_or_default());
            match word {
                Some("HELP") => families.entry(name.to_owned()).or_default().help = value.to_owned(),
                Some("TYPE") => families.entry(name.to_owned()).or_default().metric_type = value.to_owned(),
                _ => {}
            }
            continue;
        }
        let name = line.split(['{', ' ']).next().unwrap_or_default();
        // A series has the name of its family, with a suffix such as `_total` or `_bucket`.
        let family = families
            .iter_mut()
            .filter(|(family, _)| name.starts_with(family.as_str()))
            .max_by_key(|(family, _)| family.len());
        let labels = label.captures_iter(line).map(|found| found[1].to_owned()).filter(|label| label != "le");
        if let Some((_, family)) = family {
            family.labels.extend(labels);
        }
    }
    families
}

/// The page.
pub fn page() -> String {
    let mut text = head(
        "Metrics",
        "`GET /metrics` of `evenkeel serve` and `evenkeel operator` returns these metrics in the text format of OpenMetrics, which \
         Prometheus reads. The chart ships a ServiceMonitor, alerts and a dashboard.",
    );
    text += "At most 100 environments have series of their own; all others are counted with the label `environment=\"other\"`. \
             A histogram has the series `…_bucket`, `…_sum` and `…_count`, with buckets from 5 ms to one hour.\n\n";
    let rows: Vec<[String; 4]> = families(&encoded())
        .into_iter()
        .map(|(name, family)| {
            let name = if family.metric_type == "counter" { format!("{name}_total") } else { name };
            let labels = family.labels.iter().map(|label| code(label)).collect::<Vec<_>>().join(", ");
            [code(&name), family.metric_type, labels, format!("{}.", family.help.trim_end_matches('.'))]
        })
        .collect();
    text += &table(["metric", "type", "labels", "meaning"], &rows);
    text.trim_end().to_owned() + "\n"
}

/// A family without series is not encoded, so a new metric that this test does not record would be missing.
#[test]
fn the_page_has_every_registered_metric() {
    let source = std::fs::read_to_string(root().join("src/telemetry/metrics.rs")).unwrap();
    let registered = Regex::new(r#"(?:&mut registry,|registry\.register(?:_with_unit)?\()\s*"([a-z_]+)""#).unwrap();
    let names: Vec<String> = registered.captures_iter(&source).map(|found| format!("evenkeel_{}", &found[1])).collect();
    assert!(names.len() > 25, "{names:?}");
    let families = families(&encoded());
    for name in &names {
        assert!(
            families.keys().any(|family| family == name || *family == format!("{name}_seconds")),
            "{name} is missing"
        );
    }
    assert_eq!(families.len(), names.len(), "{families:#?}");
    for (name, family) in &families {
        assert!(!family.help.is_empty() && !family.metric_type.is_empty(), "{name}: {family:?}");
    }
    let reconcile = &families["evenkeel_reconcile_duration_seconds"];
    assert_eq!(reconcile.labels.iter().map(String::as_str).collect::<Vec<_>>(), ["environment", "result"]);
    assert_eq!(reconcile.metric_type, "histogram");
}
