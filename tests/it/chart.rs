//! Tests of the chart: its values, its manifests, and the metrics that it names. The tests of the operator apply the
//! manifests to a real API server.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use evenkeel::definition::Kind;
use evenkeel::telemetry::metrics::Metrics;
use evenkeel::text::{self, ReadLimits, Severity, SourceMap};
use serde_json::{Value, json};

use crate::support::{copy, root, said};

/// The documents of a YAML text.
fn documents(name: &str, yaml: &str) -> Vec<Value> {
    let (mut sources, mut findings) = (SourceMap::default(), Vec::new());
    let read = text::read(&mut sources, name, yaml.as_bytes(), &ReadLimits::default(), &mut findings);
    let errors: Vec<&str> = findings.iter().map(|finding| finding.message.as_str()).collect();
    assert!(errors.is_empty(), "{name}: {errors:?}\n{yaml}");
    read.iter().map(|document| document.root.to_json()).filter(|value| !value.is_null()).collect()
}

fn file(path: &str) -> String {
    std::fs::read_to_string(root().join("charts").join(path)).unwrap()
}

/// The path of Helm; `None` if it is missing, which is a failure if `CI` is set.
pub fn helm() -> PathBuf {
    let found = said(&Command::new(root().join("charts/render")).arg("--helm").output().unwrap());
    assert_eq!(found.code, 0, "{}", found.err);
    found.out.trim().into()
}

/// Renders a chart for a current cluster: the manifests, or the error.
pub fn render(helm: &Path, chart: &Path, args: &[&str]) -> Result<Vec<Value>, String> {
    let mut command = Command::new(helm);
    command.args(["template", "evenkeel", "--namespace", "evenkeel", "--kube-version", "1.36.0"]).arg(chart).args(args);
    let said = said(&command.output().unwrap());
    if said.code == 0 { Ok(documents("rendered.yaml", &said.out)) } else { Err(said.err) }
}

fn of<'a>(manifests: &'a [Value], kind: &str) -> Vec<&'a Value> {
    manifests.iter().filter(|manifest| manifest["kind"] == kind).collect()
}

/// The sets of values that the chart is checked with.
pub fn sets() -> Vec<PathBuf> {
    let folder = std::fs::read_dir(root().join("charts/evenkeel/ci")).unwrap();
    let mut sets: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
    sets.sort();
    assert!(sets.len() >= 5, "{sets:?}");
    sets
}

#[test]
fn every_value_has_a_default_a_description_and_a_strict_schema() {
    fn walk(at: &str, value: &Value, schema: &Value) {
        let Some(properties) = schema["properties"].as_object() else { return };
        assert_eq!(schema["additionalProperties"], json!(false), "{at}");
        for (name, schema) in properties {
            let at = format!("{at}.{name}");
            assert!(schema["description"].as_str().is_some_and(|text| text.ends_with('.')), "{at} has no description");
            let default = &value[name.as_str()];
            // `global` belongs to parent charts; parts of Kubernetes' own types have no defaults.
            let has_default = at != ".global" && !at.starts_with(".resources.") && !at.starts_with(".probes.");
            assert!(!has_default || !default.is_null(), "{at} is not in values.yaml");
            walk(&at, default, schema);
        }
    }
    let schema: Value = serde_json::from_str(&file("evenkeel/values.schema.json")).unwrap();
    let values = documents("values.yaml", &file("evenkeel/values.yaml")).remove(0);
    walk("", &values, &schema);
    let errors: Vec<String> =
        jsonschema::validator_for(&schema).unwrap().iter_errors(&values).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

#[test]
fn alerts_and_dashboard_use_existing_metrics() {
    let metrics = Metrics::new();
    let moment = Duration::from_secs(1);
    metrics.reconciled("live", "applied", moment);
    metrics.went_live("live", moment);
    metrics.applied("live", "main", "main@sha1:aa");
    metrics.generation("live", 1);
    metrics.replica_generation("live", 1);
    metrics.definitions("live", Kind::Connector, 1);
    metrics.findings("live", Severity::Error, 1);
    metrics.drift_detected("live");
    metrics.drift_objects("live", 1);
    metrics.secrets_unresolved("live", 1);
    metrics.prune_blocked("live", "budget");
    metrics.conflict_loop("live");
    metrics.cache("parse", 1, 1);
    metrics.fetched("live", "ok", moment);
    metrics.webhook("live", "accepted");
    metrics.notified("delivered");
    let encoded = metrics.encode();
    let existing: BTreeSet<&str> = encoded
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    let pattern = regex::Regex::new("evenkeel_[a-z_]+").unwrap();
    for path in ["evenkeel/files/alerts.yaml", "evenkeel/files/dashboard.json"] {
        let text = file(path);
        let names: BTreeSet<&str> = pattern.find_iter(&text).map(|found| found.as_str()).collect();
        assert!(names.len() > 5, "{path}");
        let missing: Vec<&&str> = names.iter().filter(|name| !existing.contains(**name)).collect();
        assert!(missing.is_empty(), "{path} uses {missing:?}; existing metrics: {existing:#?}");
    }
}

#[test]
#[cfg_attr(missing_helm, ignore = "needs Helm: tests/run builds it")]
fn the_plain_manifests_equal_those_of_the_chart() {
    let said = said(&Command::new(root().join("charts/render")).arg("--check").output().unwrap());
    assert_eq!(said.code, 0, "{}", said.err);
}

#[test]
#[cfg_attr(missing_helm, ignore = "needs Helm: tests/run builds it")]
fn every_set_of_values_renders_restricted_pods_and_minimal_rights() {
    let helm = helm();
    let chart = root().join("charts/evenkeel");
    for set in sets() {
        let name = set.file_name().unwrap().to_string_lossy();
        let set = set.to_str().unwrap();
        let mut lint = Command::new(&helm);
        lint.args(["lint", "--strict", "--kube-version", "1.36.0", "-f", set]).arg(&chart);
        let linted = said(&lint.output().unwrap());
        assert_eq!(linted.code, 0, "{name}: {}{}", linted.out, linted.err);

        let manifests = render(&helm, &chart, &["-f", set]).unwrap();
        let deployment = of(&manifests, "Deployment").remove(0);
        let pods = of(&manifests, "Pod").into_iter().map(|pod| &pod["spec"]);
        for pod in pods.chain([&deployment["spec"]["template"]["spec"]]) {
            assert_eq!(pod["securityContext"]["runAsNonRoot"], json!(true), "{name}");
            assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{name}");
            for container in pod["containers"].as_array().unwrap() {
                let security = &container["securityContext"];
                assert_eq!(security["readOnlyRootFilesystem"], json!(true), "{name}");
                assert_eq!(security["allowPrivilegeEscalation"], json!(false), "{name}");
                assert_eq!(security["capabilities"]["drop"], json!(["ALL"]), "{name}");
            }
        }
        let several = deployment["spec"]["replicas"].as_u64().unwrap() > 1;
        assert_eq!(of(&manifests, "PodDisruptionBudget").len(), usize::from(several), "{name}");
        let strategy = if several { "RollingUpdate" } else { "Recreate" };
        assert_eq!(deployment["spec"]["strategy"]["type"], strategy, "{name}");
        for role in of(&manifests, "ClusterRole").into_iter().chain(of(&manifests, "Role")) {
            assert!(!role["rules"].to_string().contains("\"*\""), "{name}: {role}");
        }
        for webhooks in of(&manifests, "ValidatingWebhookConfiguration") {
            let webhook = &webhooks["webhooks"][0];
            let exclusion = &webhook["namespaceSelector"]["matchExpressions"][0];
            assert_eq!(exclusion["operator"], "NotIn", "{name}");
            assert!(exclusion["values"].as_array().unwrap().contains(&json!("kube-system")), "{name}");
            let checked = webhook["rules"][0]["resources"].as_array().unwrap();
            for kind in Kind::ALL {
                let kind = kind.as_str().to_lowercase();
                let plural = kind.strip_suffix('y').map_or_else(|| format!("{kind}s"), |stem| format!("{stem}ies"));
                assert!(checked.contains(&json!(plural)), "{name}: {plural} is not checked");
            }
            // If the chart set the field, every upgrade would clear it.
            assert!(webhook["clientConfig"]["caBundle"].is_null(), "{name}");
        }
    }
}

#[test]
#[cfg_attr(missing_helm, ignore = "needs Helm: tests/run builds it")]
fn listed_namespaces_limit_all_rights() {
    let helm = helm();
    let set = root().join("charts/evenkeel/ci/namespaced-values.yaml");
    let manifests = render(&helm, &root().join("charts/evenkeel"), &["-f", set.to_str().unwrap()]).unwrap();
    let cluster: Vec<&Value> = of(&manifests, "ClusterRole");
    assert_eq!(cluster.len(), 1, "{cluster:#?}");
    let rules = &cluster[0]["rules"];
    assert_eq!(rules[0]["resources"], json!(["validatingwebhookconfigurations"]));
    assert_eq!(rules[0]["resourceNames"], json!(["evenkeel"]));
    assert_eq!(rules.as_array().unwrap().len(), 1);
    let roles = of(&manifests, "Role");
    let mut names: Vec<(&str, &str)> = Vec::new();
    for role in &roles {
        names.push((role["metadata"]["name"].as_str().unwrap(), role["metadata"]["namespace"].as_str().unwrap()));
    }
    names.sort_unstable();
    let expected =
        [("evenkeel", "team-a"), ("evenkeel", "team-b"), ("evenkeel-own", "evenkeel"), ("evenkeel-secrets", "team-a")];
    assert_eq!(names, expected);
}

#[test]
#[cfg_attr(missing_helm, ignore = "needs Helm: tests/run builds it")]
fn rejects_invalid_values_with_a_remedy() {
    let helm = helm();
    let chart = root().join("charts/evenkeel");
    for (values, reason) in [
        ("replicas=3", "set store.postgres.existingSecret to a Secret with the URL"),
        ("nope=1", "additional properties 'nope' not allowed"),
        ("store.postgres.secret=x", "additional properties 'secret' not allowed"),
        ("ingress.enabled=true", "name the hosts in ingress.hosts"),
        ("httpRoute.enabled=true", "name the Gateways in httpRoute.parentRefs"),
        ("namespaces={a},secrets.namespaces={b}", "secrets.namespaces names b, which is not among namespaces"),
        ("admission.failurePolicy=fail", "value must be one of 'Ignore', 'Fail'"),
        ("server.port=9443", "server.port and admission.port are both 9443"),
        ("serviceAccount.create=false", "name one that exists in serviceAccount.name"),
        ("preStopSleepSeconds=60", "preStopSleepSeconds is not shorter than terminationGracePeriodSeconds"),
    ] {
        let error = render(&helm, &chart, &["--set", values]).expect_err(values);
        assert!(error.contains(reason), "{values}: {error}");
    }
}

#[test]
#[cfg_attr(missing_helm, ignore = "needs Helm: tests/run builds it")]
fn custom_resource_definitions_are_included_unchanged_and_kept() {
    let helm = helm();
    let chart = copy("charts/evenkeel");
    let folder = chart.path().join("files/crds");
    let _ = std::fs::remove_dir_all(&folder);
    let none = render(&helm, chart.path(), &[]).unwrap();
    assert!(of(&none, "CustomResourceDefinition").is_empty());
    for (name, annotations) in [("widgets", ""), ("triggers", "  annotations:\n    example.com/x: y\n")] {
        let text = format!(
            "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n{annotations}  name: \
             {name}.evenkeel.dev\nspec:\n  schema:\n    metadata:\n      annotations:\n      maximum: 9007199254740993\n"
        );
        crate::support::write(&folder.join(format!("{name}.yaml")), &text);
    }
    let manifests = render(&helm, chart.path(), &[]).unwrap();
    let definitions = of(&manifests, "CustomResourceDefinition");
    assert_eq!(definitions.len(), 2);
    for definition in definitions {
        let metadata = &definition["metadata"];
        assert_eq!(metadata["annotations"]["helm.sh/resource-policy"], "keep", "{definition}");
        let others = usize::from(metadata["name"] == "triggers.evenkeel.dev");
        assert_eq!(metadata["annotations"].as_object().unwrap().len(), 1 + others, "{definition}");
        let expected = json!({"metadata": {"annotations": null, "maximum": 9_007_199_254_740_993_u64}});
        assert_eq!(definition["spec"]["schema"], expected);
    }
    let without_annotation = render(&helm, chart.path(), &["--set", "crds.keep=false"]).unwrap();
    assert!(
        !without_annotation.iter().any(|manifest| manifest["kind"] == "CustomResourceDefinition"
            && manifest.to_string().contains("resource-policy"))
    );
    let off = render(&helm, chart.path(), &["--set", "crds.install=false"]).unwrap();
    assert!(of(&off, "CustomResourceDefinition").is_empty());
}
