//! Overlays, the operator's own Environment, and selectors: the resulting definitions, and the places of their errors.

use std::collections::BTreeSet;
use std::sync::Arc;

use evenkeel::catalog::{EnvironmentSelection, Input, RawDocument, Snapshot, assets};
use evenkeel::connector::Runtime;
use evenkeel::definition::{Id, Kind};
use evenkeel::reconcile::validate::{Validated, Validator};
use serde_json::{Value, json};

use crate::support::{folder, run};

const BASE: &str = "\
apiVersion: evenkeel.dev/v1alpha1
kind: Connector
metadata: { name: orbit, labels: { team: growth } }
spec:
  displayName: Orbit
  baseUrl: https://orbit.example
  defaults: { timeout: 15s, headers: { Accept: application/json, X-Stage: base } }
  actions:
    list:
      title: List
      http: { method: GET, path: /list, query: { sort: name } }
      input: { type: object, properties: { tags: { type: string, enum: [a, b] } } }
      tests: [{ name: lists, respond: { status: 200, body: [] } }]
---
apiVersion: evenkeel.dev/v1alpha1
kind: Tenant
metadata: { name: acme }
spec: { displayName: Acme }
";

const LIVE: &str = "\
apiVersion: evenkeel.dev/v1alpha1
kind: Environment
metadata: { name: live }
spec:
  overlays: [../overlays/common, ../overlays/live]
";

/// Files that make the folders exist.
const FOLDERS: [(&str, &str); 2] = [("overlays/common/README.md", ""), ("overlays/live/README.md", "")];

const DRAFT: &str = "apiVersion: evenkeel.dev/v1alpha1\nkind: Environment\nmetadata: { name: draft }\nspec: {}\n";

fn patch(spec: &str) -> String {
    format!("apiVersion: evenkeel.dev/v1alpha1\nkind: Connector\nmetadata: {{ name: orbit }}\nspec:\n{spec}")
}

/// The base and its two environments, with additional or replaced files.
fn input(more: &[(&str, &str)], environment: Option<&str>) -> Input {
    let base = [("connectors/orbit.yaml", BASE), ("env/draft.yaml", DRAFT), ("env/live.yaml", LIVE)];
    let kept = base.iter().filter(|(path, _)| !more.iter().any(|(other, _)| other == path));
    let mut files: Vec<(&str, &[u8])> =
        kept.chain(more).chain(&FOLDERS).map(|(path, text)| (*path, text.as_bytes())).collect();
    files.sort_unstable();
    let environment = environment.map(|name| EnvironmentSelection { name: name.into(), document: None });
    let mut snapshot = Snapshot::of(files);
    // Other files are only listed by name.
    snapshot.files.retain(|file| file.path.ends_with(".yaml"));
    Input { snapshot, environment, ..Input::default() }
}

fn validate(more: &[(&str, &str)], environment: Option<&str>) -> Validated {
    Validator::new().validate(&input(more, environment), &[])
}

/// `CODE path:line:column message` of each finding.
fn lines(validated: &Validated) -> Vec<String> {
    let sources = &validated.catalog.sources;
    let place = |finding: &evenkeel::text::Finding| sources.display_position(finding.span().unwrap());
    validated
        .findings
        .iter()
        .map(|finding| format!("{} {} {}", finding.code.id, place(finding), finding.message))
        .collect()
}

fn spec(validated: &Validated, environment: Option<&str>, kind: Kind, name: &str) -> Value {
    let catalog = validated.catalog_of(environment);
    catalog.find(kind, name).unwrap().document.root.to_json()["spec"].clone()
}

#[test]
fn patches_are_merged_in_the_order_of_folders_then_paths() {
    let more = [
        ("overlays/common/z.yaml", &*patch("  displayName: common z\n  description: common z\n")),
        (
            "overlays/live/a.yaml",
            &*patch("  displayName: live a\n  defaults: { headers: { X-Stage: live, Accept: null } }\n"),
        ),
        (
            "overlays/live/b.yaml",
            &*patch("  displayName: live b\n  actions: { list: { input: { properties: { tags: { enum: [c] } } } } }\n"),
        ),
    ];
    let chosen = validate(&more, Some("live"));
    assert_eq!(lines(&chosen), Vec::<String>::new());
    let merged = spec(&chosen, None, Kind::Connector, "orbit");
    assert_eq!(merged["displayName"], "live b");
    assert_eq!(merged["description"], "common z");
    assert_eq!(merged["defaults"], json!({"timeout": "15s", "headers": {"X-Stage": "live"}}), "null removes");
    assert_eq!(merged["actions"]["list"]["input"]["properties"]["tags"]["enum"], json!(["c"]), "lists are replaced");
    assert_eq!(merged["baseUrl"], "https://orbit.example");

    let all = validate(&more, None);
    assert_eq!(lines(&all), Vec::<String>::new());
    assert_eq!(
        spec(&all, None, Kind::Connector, "orbit")["displayName"],
        "Orbit",
        "the first environment has no overlays"
    );
    assert_eq!(spec(&all, Some("live"), Kind::Connector, "orbit"), merged);
    assert_eq!(all.catalog.entries.len(), 4, "patches are not definitions");

    let entry = chosen.catalog.find(Kind::Connector, "orbit").unwrap();
    let patches: Vec<&str> = entry.origin.patches.iter().map(|written| &*written.path).collect();
    assert_eq!(patches, ["overlays/common/z.yaml", "overlays/live/a.yaml", "overlays/live/b.yaml"]);
    assert_eq!(entry.place(), ("connectors/orbit.yaml", 3));
    assert_eq!(entry.place_of("/spec/actions/list"), ("connectors/orbit.yaml", 9));
    assert_eq!(entry.place_of("/spec/displayName"), ("overlays/live/b.yaml", 5));
}

#[test]
fn errors_are_reported_at_the_places_of_the_patches() {
    let more = [
        (
            "overlays/common/a.yaml",
            &*patch("  # a comment moves the line\n  baseUrl: \"https://{{ get_variable('nowhere') }}.example\"\n"),
        ),
        ("overlays/live/b.yaml", &*patch("  defaults: { timeout: soon }\n  actions:\n    list: { auth: [key] }\n")),
    ];
    for environment in [None, Some("live")] {
        let validated = validate(&more, environment);
        let lines: Vec<String> = lines(&validated).into_iter().filter(|line| !line.starts_with("EK0707")).collect();
        let places: Vec<&str> = lines.iter().map(|line| line.rsplitn(2, ' ').last().unwrap_or("")).collect();
        assert!(lines[0].starts_with("EK0204 overlays/common/a.yaml:6:24 nothing sets"), "{places:?}");
        assert!(lines[1].starts_with("EK0112 overlays/live/b.yaml:5:24"), "{places:?}");
        assert!(lines[2].starts_with("EK0202 overlays/live/b.yaml:7:20"), "{places:?}");
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert_eq!(validated.broken(), &BTreeSet::from([Id { kind: Kind::Connector, name: "orbit".into() }]));
        assert!(!validated.unattributed());
    }
    assert_eq!(lines(&validate(&more, Some("draft"))), Vec::<String>::new(), "the other environment is not affected");
}

#[test]
fn a_patch_needs_a_target() {
    let wrong = "apiVersion: evenkeel.dev/v1alpha1\nkind: Connector\nmetadata: { name: orbti }\nspec: {}\n";
    for environment in [None, Some("live")] {
        let validated = validate(&[("overlays/live/a.yaml", wrong)], environment);
        let lines = lines(&validated);
        assert!(
            lines.contains(
                &"EK0806 overlays/live/a.yaml:3:19 there is no Connector `orbti` for this patch to change".into()
            ),
            "{lines:?}"
        );
        let finding = validated.findings.iter().find(|finding| finding.code.id == "EK0806").unwrap();
        assert_eq!(finding.help.as_deref(), Some("did you mean `orbit`?"));
        assert!(validated.unattributed() && !validated.is_valid());
    }
    let headless = [
        ("kind: Connector\nmetadata: { name: orbit }\n", "EK0111 overlays/live/a.yaml:1:1"),
        (
            "apiVersion: evenkeel.dev/v1alpha1\nkind: Conector\nmetadata: { name: orbit }\n",
            "EK0109 overlays/live/a.yaml:2:7",
        ),
        ("apiVersion: evenkeel.dev/v1alpha1\nkind: Connector\nspec: {}\n", "EK0102 overlays/live/a.yaml:1:1"),
        ("apiVersion: evenkeel.dev/v1alpha1\nkind: [\n", "EK0004 overlays/live/a.yaml:"),
    ];
    for (text, expected) in headless {
        for environment in [None, Some("live")] {
            let lines = lines(&validate(&[("overlays/live/a.yaml", text)], environment));
            assert!(lines.iter().any(|line| line.starts_with(expected)), "{expected}: {lines:?}");
        }
        let draft = validate(&[("overlays/live/a.yaml", text)], Some("draft"));
        assert!(draft.is_valid(), "patches of another environment are ignored: {:?}", lines(&draft));
    }
}

#[test]
fn a_patch_keeps_kind_and_name_and_its_paths_are_relative_to_its_file() {
    let workflow = "apiVersion: evenkeel.dev/v1alpha1\nkind: Workflow\nmetadata: { name: sync }\nspec: { tier: Standard, source: { file: sync.ts } }\n";
    let patched = "apiVersion: evenkeel.dev/v1alpha1\nkind: Workflow\nmetadata: { name: sync, labels: { stage: live } }\nspec: { source: { file: live.ts } }\n";
    let more = [
        ("w/sync.yaml", workflow),
        ("w/sync.ts", ""),
        ("overlays/live/w.yaml", patched),
        ("overlays/live/live.ts", ""),
    ];
    let mut input = input(&more, Some("live"));
    let validated = Validator::new().validate(&input, &[]);
    assert_eq!(lines(&validated), Vec::<String>::new());
    assert_eq!(assets(&validated.catalog), BTreeSet::from(["overlays/live/live.ts".to_owned()]));
    let entry = validated.catalog.find(Kind::Workflow, "sync").unwrap();
    assert_eq!(entry.document.root.pointer("/metadata/labels/stage").and_then(|label| label.as_str()), Some("live"));
    input.environment = None;
    let base = Validator::new().validate(&input, &[]);
    assert_eq!(assets(&base.catalog), BTreeSet::from(["w/sync.ts".to_owned()]));
}

/// The live environment with an operator's document over the source's.
fn with_operator(text: &str, path: &str, live: &str, more: &[(&str, &str)]) -> Validated {
    let files: Vec<(&str, &str)> = more.iter().copied().chain([("env/live.yaml", live)]).collect();
    let mut input = input(&files, None);
    let written = RawDocument { path: path.into(), bytes: Arc::from(text.as_bytes()), index: 0 };
    input.environment = Some(EnvironmentSelection { name: "live".into(), document: Some(written) });
    Validator::new().validate(&input, &[])
}

#[test]
fn the_operators_environment_overrides_the_sources() {
    let source = "\
apiVersion: evenkeel.dev/v1alpha1
kind: Environment
metadata: { name: live, labels: { from: source } }
spec:
  interval: 5s
  suspend: true
  promoteFrom: draft
  source: { directory: { path: /etc } }
  sync: { mode: Manual }
  egress: { hosts: [orbit.example], privateNetworks: [10.0.0.0/8] }
  variables: { region: eu, size: small }
  secrets:
    stolen: { env: PATH }
    read: { file: /etc/passwd }
    locked: { age: { file: locked.age } }
    key: { age: { file: locked.age } }
";
    let operator = "\
apiVersion: evenkeel.dev/v1alpha1
kind: Environment
metadata: { name: live }
spec:
  source: { directory: { path: definitions } }
  variables: { size: large }
  secrets: { key: { env: KEY } }
  overlays: [overlays/live]
";
    let more = [("env/locked.age", ""), ("overlays/live/a.yaml", &*patch("  displayName: patched\n"))];
    let validated = with_operator(operator, "/srv/live.yaml", source, &more);
    assert!(validated.is_valid(), "{:?}", lines(&validated));
    let merged = spec(&validated, None, Kind::Environment, "live");
    let expected = json!({
        "source": {"directory": {"path": "definitions"}},
        "egress": {"hosts": ["orbit.example"]},
        "variables": {"region": "eu", "size": "large"},
        "secrets": {"locked": {"age": {"file": "locked.age"}}, "key": {"env": "KEY"}},
        "overlays": ["overlays/live"],
    });
    let sorted = |value: &Value| {
        serde_json::to_string(value).map(|text| {
            let mut letters: Vec<char> = text.chars().collect();
            letters.sort_unstable();
            letters
        })
    };
    assert_eq!(sorted(&merged).unwrap(), sorted(&expected).unwrap(), "{merged}");
    assert_eq!(merged["secrets"], expected["secrets"]);
    assert_eq!(
        spec(&validated, None, Kind::Connector, "orbit")["displayName"],
        "patched",
        "from the root of the source"
    );
    assert_eq!(assets(&validated.catalog), BTreeSet::from(["env/locked.age".to_owned()]));
    let unused: Vec<String> = lines(&validated).into_iter().filter(|line| line.contains("`key`")).collect();
    assert_eq!(unused, ["EK0209 /srv/live.yaml:7:14 nothing uses the secret `key`"]);
}

#[test]
fn the_operators_environment_may_be_the_only_one_or_the_same_document() {
    let operator = "apiVersion: evenkeel.dev/v1alpha1\nkind: Environment\nmetadata: { name: live }\nspec: { variables: { a: b }, overlays: [overlays/live] }\n";
    let more = [("overlays/live/a.yaml", &*patch("  displayName: patched\n"))];
    let mut alone = input(&more, None);
    alone.snapshot.files.retain(|file| &*file.path != "env/live.yaml");
    let written = RawDocument { path: "x/live.yaml".into(), bytes: Arc::from(operator.as_bytes()), index: 0 };
    alone.environment = Some(EnvironmentSelection { name: "live".into(), document: Some(written) });
    let alone = Validator::new().validate(&alone, &[]);
    assert_eq!(lines(&alone), Vec::<String>::new());
    assert_eq!(spec(&alone, None, Kind::Connector, "orbit")["displayName"], "patched");
    let runtime = Runtime::compile(&alone.catalog, Some("live"), String::new(), None).unwrap();
    assert_eq!(runtime.variables.get("a").map(String::as_str), Some("b"));

    // The same document is not merged over itself: its operator fields are kept.
    let live = "apiVersion: evenkeel.dev/v1alpha1\nkind: Environment\nmetadata: { name: live }\nspec: { interval: 5s, overlays: [../overlays/live] }\n";
    let same = with_operator(live, "env/live.yaml", live, &more);
    assert_eq!(lines(&same), Vec::<String>::new());
    assert_eq!(spec(&same, None, Kind::Environment, "live")["interval"], "5s");
    assert_eq!(spec(&same, None, Kind::Connector, "orbit")["displayName"], "patched");

    let broken = with_operator("kind: Environment\nmetadata: { name: live }\n", "op.yaml", live, &more);
    assert!(lines(&broken).iter().any(|line| line.starts_with("EK0111 op.yaml:1:1")), "{:?}", lines(&broken));
    let other = with_operator(operator.replace("live }", "other }").as_str(), "op.yaml", live, &more);
    assert!(!other.is_valid(), "the document has another name");
}

#[test]
fn a_source_cannot_patch_the_operators_environment() {
    let operator = "apiVersion: evenkeel.dev/v1alpha1\nkind: Environment\nmetadata: { name: live }\nspec: { overlays: [overlays/live] }\n";
    let wider = "apiVersion: evenkeel.dev/v1alpha1\nkind: Environment\nmetadata: { name: live }\nspec: { egress: { privateNetworks: [10.0.0.0/8] }, secrets: { s: { env: PATH } } }\n";
    let both = with_operator(operator, "op.yaml", LIVE, &[("overlays/live/a.yaml", wider)]);
    let merged = spec(&both, None, Kind::Environment, "live");
    assert_eq!((&merged["egress"], &merged["secrets"]), (&json!({}), &json!({})), "{merged}");

    let mut alone = input(&[("overlays/live/a.yaml", wider)], None);
    alone.snapshot.files.retain(|file| &*file.path != "env/live.yaml");
    let written = RawDocument { path: "op.yaml".into(), bytes: Arc::from(operator.as_bytes()), index: 0 };
    alone.environment = Some(EnvironmentSelection { name: "live".into(), document: Some(written) });
    let alone = Validator::new().validate(&alone, &[]);
    assert!(lines(&alone).iter().any(|line| line.starts_with("EK0806")), "{:?}", lines(&alone));
    assert_eq!(spec(&alone, None, Kind::Environment, "live")["egress"], Value::Null);
}

#[test]
fn a_selector_excludes_definitions() {
    let live = "apiVersion: evenkeel.dev/v1alpha1\nkind: Environment\nmetadata: { name: live }\nspec: { selector: { team: growth } }\n";
    let connection = "apiVersion: evenkeel.dev/v1alpha1\nkind: Connection\nmetadata: { name: k, labels: { team: growth } }\nspec: { connector: orbit, scope: Tenant, tenant: acme }\n";
    let more = [("env/live.yaml", live), ("k.yaml", connection)];
    let chosen = validate(&more, Some("live"));
    let names: Vec<String> = chosen.catalog.entries.iter().map(|entry| entry.id.to_string()).collect();
    assert_eq!(names, ["Connector/orbit", "Environment/draft", "Environment/live", "Connection/k"]);
    assert!(
        lines(&chosen).contains(&"EK0202 k.yaml:4:50 there is no Tenant `acme`".to_owned()),
        "{:?}",
        lines(&chosen)
    );
    assert!(validate(&more, Some("draft")).is_valid(), "no selector");
    assert_eq!(validate(&more, None).catalog.entries.len(), 5);
}

#[test]
fn settings_are_those_of_the_chosen_environment() {
    let environment = |name: &str, settings: &str| {
        format!(
            "apiVersion: evenkeel.dev/v1alpha1\nkind: Environment\nmetadata: {{ name: {name} }}\nspec: {{ {settings} }}\n"
        )
    };
    let connector = BASE.replace("https://orbit.example", "\"https://{{ get_variable('region') }}.example\"");
    let (draft, live) =
        (environment("draft", ""), environment("live", "variables: { region: eu }, promoteFrom: draft"));
    let more = [("connectors/orbit.yaml", &*connector), ("env/draft.yaml", &*draft), ("env/live.yaml", &*live)];
    assert_eq!(lines(&validate(&more, Some("live"))), Vec::<String>::new());
    assert!(lines(&validate(&more, Some("draft")))[0].starts_with("EK0204"), "draft does not set it");
    assert!(lines(&validate(&more, None))[0].starts_with("EK0205"), "one of two environments lacks it");
}

#[test]
fn excluded_definitions_are_ignored_and_pinned_ones_are_unchanged() {
    let good = Validator::new().validate(&input(&[], Some("live")), &[]);
    let kept = good.catalog.find(Kind::Connector, "orbit").unwrap();
    let id = kept.id.clone();
    let broken = BASE.replace("displayName: Orbit", "displayNme: Orbit");
    let mut input = input(
        &[("connectors/orbit.yaml", &*broken), ("overlays/live/a.yaml", &*patch("  description: new\n"))],
        Some("live"),
    );
    let mut validator = Validator::new();
    let validated = validator.validate(&input, &[]);
    assert_eq!(validated.broken(), &BTreeSet::from([id.clone()]));
    input.excluded.insert(id.clone());
    let origin = kept.origin.clone();
    input.pinned.push(evenkeel::catalog::PinnedDefinition {
        id: id.clone(),
        base: origin.base,
        patches: origin.patches,
    });
    let validated = validator.validate(&input, &[]);
    assert!(validated.is_valid() && validated.broken().is_empty(), "{:?}", lines(&validated));
    assert_eq!(spec(&validated, None, Kind::Connector, "orbit")["displayName"], "Orbit");
    assert_eq!(
        spec(&validated, None, Kind::Connector, "orbit")["description"],
        Value::Null,
        "overlays do not change it"
    );
    input.pinned[0].base.index = 7;
    let lost = validator.validate(&input, &[]);
    assert_eq!(lost.broken(), &BTreeSet::from([id]), "{:?}", lines(&lost));
}

#[test]
fn unchanged_connectors_are_reused() {
    let mut validator = Validator::new();
    let compile = |validated: &Validated, before: Option<&Runtime>| {
        Runtime::compile(&validated.catalog, Some("live"), String::new(), before).unwrap()
    };
    let first = compile(&validator.validate(&input(&[], Some("live")), &[]), None);
    assert_eq!((first.compiled.hits, first.compiled.misses), (0, 1));
    let same = compile(&validator.validate(&input(&[], Some("live")), &[]), Some(&first));
    assert!(Arc::ptr_eq(&first.connectors["orbit"], &same.connectors["orbit"]));
    let fresh = compile(&validate(&[], Some("live")), Some(&first));
    assert!(Arc::ptr_eq(&first.connectors["orbit"], &fresh.connectors["orbit"]), "equal content at the same place");
    let moved = BASE.replacen("apiVersion", "# one line down\napiVersion", 1);
    let moved = compile(&validate(&[("connectors/orbit.yaml", &*moved)], Some("live")), Some(&first));
    assert_eq!(moved.compiled.misses, 1);
    assert_eq!(moved.connectors["orbit"].place, "connectors/orbit.yaml:4");
    let patched = [("overlays/live/a.yaml", &*patch("  displayName: patched\n"))];
    let patched = compile(&validator.validate(&input(&patched, Some("live")), &[]), Some(&first));
    assert_eq!(patched.compiled.misses, 1);
    assert_eq!(patched.connectors["orbit"].spec.display_name, "patched");
}

#[test]
fn source_and_sources_exclude_each_other_and_names_are_unique() {
    let environment = |spec: &str| {
        format!(
            "apiVersion: evenkeel.dev/v1alpha1\nkind: Environment\nmetadata: {{ name: live }}\nspec: {{ {spec} }}\n"
        )
    };
    let both = environment("source: { directory: { path: a } }, sources: [{ name: a, directory: { path: a } }]");
    let both = lines(&validate(&[("env/live.yaml", &both)], None));
    assert!(both.iter().any(|line| line.starts_with("EK0107 env/live.yaml:4:")), "{both:?}");
    let twice = environment("sources: [{ name: a, directory: { path: a } }, { name: a, directory: { path: b } }]");
    let twice = lines(&validate(&[("env/live.yaml", &twice)], None));
    assert!(twice.contains(&"EK0201 env/live.yaml:4:64 there are two sources named `a`".to_owned()), "{twice:?}");
}

#[test]
fn commands_apply_the_overlays_of_an_environment() {
    let folder = folder(&[
        ("orbit.yaml", BASE),
        ("env/draft.yaml", DRAFT),
        ("env/live.yaml", &LIVE.replace("../overlays/common, ", "")),
        ("overlays/live/a.yaml", &patch("  baseUrl: https://live.example\n")),
    ]);
    let path = folder.path().to_string_lossy();
    let url = |more: &[&str]| {
        let said = run([&["render", "orbit/list", &path, "--test", "lists", "-o", "json"], more].concat());
        assert_eq!(said.code, 0, "{}{}", said.out, said.err);
        serde_json::from_str::<Value>(&said.out).unwrap()["url"].as_str().unwrap().to_owned()
    };
    assert!(url(&[]).starts_with("https://orbit.example/list"));
    assert!(url(&["-e", "live"]).starts_with("https://live.example/list"));
    let said = run(["validate", &path]);
    assert_eq!(said.code, 0, "{}", said.out);
}

#[test]
fn errors_of_another_environment_are_ignored() {
    let live = LIVE.replace("../overlays/live", "../overlays/nowhere").replace("spec:", "spec:\n  variabels: {}");
    let more = [("env/live.yaml", &*live)];
    let codes = |environment| -> Vec<&'static str> {
        validate(&more, environment).findings.iter().map(|finding| finding.code.id).collect()
    };
    assert_eq!(codes(Some("draft")), Vec::<&str>::new());
    assert_eq!(codes(Some("live")), ["EK0101", "EK0207"]);
    assert_eq!(codes(None), ["EK0101", "EK0207"]);
}
