//! The runbooks: one for each alert of the chart, and each alert names its own.

use std::collections::BTreeSet;

use regex::Regex;

use crate::support::root;

const PAGE: &str = "docs/operations/runbooks.md";

#[test]
fn every_alert_names_its_runbook() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap();
    let (alerts, page) = (read("charts/evenkeel/files/alerts.yaml"), read(PAGE));
    let name = Regex::new(r"^(\w+)\n").unwrap();
    let mut named = BTreeSet::new();
    for alert in alerts.split("- alert: ").skip(1) {
        let name = name.captures(alert).unwrap()[1].to_owned();
        let annotation = format!("          runbook: {PAGE}#{}\n", name.to_lowercase());
        assert!(alert.contains(&annotation), "{name} has no annotation `{}`", annotation.trim());
        named.insert(name);
    }
    let headings: BTreeSet<String> =
        page.lines().filter_map(|line| line.strip_prefix("## ")).map(str::to_owned).collect();
    assert_eq!(named, headings, "{PAGE} has other sections than the chart has alerts");
    for section in page.split("\n## ").skip(1) {
        let name = section.lines().next().unwrap();
        for part in ["**Meaning.**", "**Check.**", "**Remedy.**"] {
            assert!(section.contains(part), "the runbook of {name} has no part {part}");
        }
    }
}
