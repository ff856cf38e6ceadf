//! Rows 24 to 26 and 28 to 30: file names, and definitions that are invalid, duplicate, of a newer version or very large.

use std::sync::Arc;

use evenkeel::connector::{self, Call, ErrorCode, ProvidedSecrets, Runtime};
use evenkeel::text::{Finding, SourceMap};
use serde_json::json;

use super::{PROBE_LINES, assert_no_failures, errors, folder, places, probe, validated};

fn tenant(name: &str) -> String {
    format!("apiVersion: evenkeel.dev/v1alpha1\nkind: Tenant\nmetadata:\n  name: {name}\nspec:\n  displayName: T\n")
}

fn tenant_json(name: &str) -> String {
    json!({
        "apiVersion": "evenkeel.dev/v1alpha1", "kind": "Tenant", "metadata": {"name": name}, "spec": {"displayName": "T"},
    })
    .to_string()
}

/// All labels of a finding, such as `b.yaml:4:9 again here`.
fn labels(finding: &Finding, sources: &SourceMap) -> Vec<String> {
    finding.labels.iter().map(|label| format!("{} {}", sources.display_position(label.span), label.text)).collect()
}

/// Reads `.yaml`, `.yml` and `.json` in any letter case, also in folders. Ignores names that start with a dot,
/// `node_modules`, other extensions, and files that other tools keep next to definitions.
#[test]
fn row_24_file_names() {
    let read = ["a.yaml", "b.YAML", "c.yml", "d.YmL", "deep/er/g.yaml", "ünïcode 🎉.yaml", "READ.ME.yaml", "-.yml"];
    let read_json = ["e.json", "f.Json", "deep/F.JSON"];
    let not_read = [
        "README",
        "README.md",
        "yaml",
        "a.yaml.bak",
        "a.yaml~",
        "a.yaml.disabled",
        "b.jsonc",
        ".yaml",
        ".hidden.yaml",
        ".github/workflow.yaml",
        "deep/.git/x.yaml",
        "node_modules/m/x.yaml",
        "package.json",
        "deep/tsconfig.build.json",
    ];
    let mut files = Vec::new();
    for (at, name) in read.iter().enumerate() {
        files.push((*name, tenant(&format!("yes-{at}"))));
    }
    for (at, name) in read_json.iter().enumerate() {
        files.push((*name, tenant_json(&format!("json-{at}"))));
    }
    for (at, name) in not_read.iter().enumerate() {
        files.push((*name, tenant(&format!("no-{at}"))));
    }
    let validated = folder(&files);
    assert_eq!(errors(&validated), [""; 0]);
    let mut found: Vec<&str> = validated.catalog.entries.iter().map(|entry| entry.source.path()).collect();
    found.sort_unstable();
    let mut expected = [&read[..], &read_json[..]].concat();
    expected.sort_unstable();
    assert_eq!(found, expected);
    // A README with the extension of a definition file is read like any other, and belongs to no definition.
    let readme = ("README.yaml", "# Definitions\n\nHow they are written.\n".to_owned());
    assert_eq!(errors(&folder(&[readme.clone(), ("a.yaml", tenant("a"))])), [""; 0]);
    assert_eq!(errors(&folder(&[readme])), ["EK0011 "], "a folder without definitions");
    // The name determines the format: YAML is not JSON.
    assert_eq!(errors(&folder(&[("a.JSON", tenant("a"))])), ["EK0004 a.JSON:1:1"]);
    assert_eq!(errors(&folder(&[("a.YML", tenant_json("a"))])), [""; 0], "JSON is YAML");
}

#[cfg(unix)]
#[test]
fn row_24_links_are_not_followed() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("a.yaml"), tenant("a")).unwrap();
    symlink("/etc/passwd", at("passwd.yaml")).unwrap();
    symlink("..", at("up")).unwrap();
    symlink("self.yml", at("self.yml")).unwrap();
    symlink("a.yaml", at("notes.txt")).unwrap();
    let validated = validated(folder.path());
    assert_eq!(errors(&validated), ["EK0009 passwd.yaml:1:1", "EK0009 self.yml:1:1", "EK0009 up:1:1"]);
    assert!(!format!("{:?}", validated.findings).contains("root:"), "the target of a link is not displayed");
}

#[test]
fn row_25_the_same_definition_in_two_files() {
    let second = format!("# other\n{}", tenant("acme"));
    let third = format!("{}---\n{}", tenant("other"), tenant("acme"));
    let json = tenant_json("other");
    let validated = folder(&[("a.yaml", &tenant("acme")), ("b/b.yml", &second), ("c.yaml", &third), ("d.json", &json)]);
    let sources = &validated.catalog.sources;
    let column = json.find("\"other\"").unwrap() + 1;
    assert!(!validated.is_valid(), "neither goes live");
    let reported: Vec<Vec<String>> = validated
        .findings
        .iter()
        .filter(|finding| finding.code.id == "EK0201")
        .map(|finding| labels(finding, sources))
        .collect();
    let both = |again: &str, first: &str| vec![format!("{again} again here"), format!("{first} first here")];
    assert_eq!(
        reported,
        [
            both("b/b.yml:5:9", "a.yaml:4:9"),
            both("c.yaml:11:9", "a.yaml:4:9"),
            both(&format!("d.json:1:{column}"), "c.yaml:4:9"),
        ]
    );
    assert_eq!(validated.findings[0].message, "Tenant `acme` is defined twice; the other is at a.yaml:4:9");
    // Kind and name together are the identity.
    let role = tenant("acme").replace("Tenant", "Role").replace("displayName", "permissions: { tools: [Read] } #");
    assert_eq!(errors(&folder(&[("a.yaml", &tenant("acme")), ("b.yaml", &role)])), [""; 0]);
}

#[test]
fn row_26_unknown_and_misspelt_fields() {
    let base = tenant("acme");
    let cases = [
        (base.replace("displayName", "displayname"), "EK0101 a.yaml:6:3", Some("did you mean `displayName`?")),
        (base.replace("spec:", "sepc:"), "EK0101 a.yaml:5:1", Some("did you mean `spec`?")),
        (
            base.replace("metadata:\n", "metadata:\n  lables: { a: b }\n"),
            "EK0101 a.yaml:4:3",
            Some("did you mean `labels`?"),
        ),
        (format!("{base}  regoin: EU\n"), "EK0101 a.yaml:7:3", Some("did you mean `region`?")),
        (format!("{base}  zzzzzzzzzz: 1\n"), "EK0101 a.yaml:7:3", None),
        (format!("{base}  region: EUR\n"), "EK0104 a.yaml:7:11", Some("did you mean `EU`?")),
        (format!("{base}  quotas: {{ conections: 5 }}\n"), "EK0101 a.yaml:7:13", Some("did you mean `connections`?")),
        (base.replace("kind: Tenant", "kind: tenant"), "EK0109 a.yaml:2:7", Some("did you mean `Tenant`?")),
        (
            probe("read:\n  http:\n    path: /x\n    querry: { a: b }\n").replace("name: probe", "name: a"),
            "EK0101 a.yaml:12:9",
            Some("did you mean `query`?"),
        ),
    ];
    let wrong = cases.into_iter().filter_map(|(text, expected, help)| {
        let validated = folder(&[("a.yaml", &text)]);
        let code = &expected[..6];
        let found = validated.findings.iter().find(|finding| finding.code.id == code);
        let place = places(found, &validated.catalog.sources);
        let given = found.and_then(|finding| finding.help.as_deref());
        let helped = help.is_none_or(|help| given.is_some_and(|given| given.contains(help)));
        (place != [expected] || !helped || given.is_none())
            .then(|| format!("{text}\n  {:?} {given:?} instead of {expected} {help:?}", errors(&validated)))
    });
    assert_no_failures(wrong.collect());
}

#[test]
fn row_28_versions_of_the_future() {
    let now = "evenkeel.dev/v1alpha1";
    let cases = [
        ("evenkeel.dev/v1", "EK0108 b.yaml:1:13"),
        ("evenkeel.dev/v9beta7", "EK0108 b.yaml:1:13"),
        ("evenkeel.dev/v1alpha1 ", ""),
        ("evenkeel.dev/V1ALPHA1", "EK0108 b.yaml:1:13"),
        ("evenkeel.dev", "EK0108 b.yaml:1:13"),
        ("evenkel.dev/v1alpha1", "EK0108 b.yaml:1:13"),
        ("Evenkeel.dev/v1alpha1", "EK0108 b.yaml:1:13"),
        ("2", "EK0108 b.yaml:1:13"),
        // Another tool's file among definitions.
        ("kustomize.config.k8s.io/v1beta1", ""),
    ];
    let wrong = cases.into_iter().filter_map(|(version, expected)| {
        // Unknown fields of a newer version are not reported, as only that version can validate them.
        let future = format!("{}  fieldOfTheFuture: {{ a: 1 }}\n", tenant("future"));
        let future = if version.trim() == now { tenant("future") } else { future.replace(now, version) };
        let validated = folder(&[("a.yaml", &tenant("acme")), ("b.yaml", &future)]);
        let expected: Vec<&str> = Some(expected).filter(|expected| !expected.is_empty()).into_iter().collect();
        let other = validated.catalog.entries.iter().any(|entry| entry.id.name == "acme" && entry.definition.is_some());
        // A held definition prevents the activation of the whole revision, so that nothing is deleted.
        let held = validated.is_valid() == expected.is_empty();
        (errors(&validated) != expected || !other || !held)
            .then(|| format!("{version}: {:?} instead of {expected:?}, {other} {held}", errors(&validated)))
    });
    assert_no_failures(wrong.collect());
}

const READS_A_SECRET: &str = "read:\n  http:\n    path: /x\n    headers: { X-Key: \"{{ get_secret('key') }}\" }\n";

#[test]
fn row_29_a_missing_secret_concerns_its_definition_only() {
    let good = probe("read:\n  http: { path: /x }\n").replace("name: probe", "name: good");
    let environment = |secrets: &str| {
        format!(
            "apiVersion: evenkeel.dev/v1alpha1\nkind: Environment\nmetadata: {{ name: live }}\nspec:\n  secrets: {secrets}\n"
        )
    };
    let line = PROBE_LINES + 4;
    let cases = [
        ("{}", READS_A_SECRET, vec![format!("EK0203 probe.yaml:{line}:31")]),
        ("{ kye: { env: K } }", READS_A_SECRET, vec![format!("EK0203 probe.yaml:{line}:31")]),
        ("{ key: { env: K } }", READS_A_SECRET, vec![]),
        ("{ key: {} }", READS_A_SECRET, vec!["EK0802 e.yaml:5:19".to_owned()]),
        ("{ key: 5 }", READS_A_SECRET, vec!["EK0103 e.yaml:5:19".to_owned()]),
        ("{ key: { env: K, file: /k } }", READS_A_SECRET, vec!["EK0802 e.yaml:5:29".to_owned()]),
    ];
    let wrong = cases.into_iter().filter_map(|(secrets, actions, expected)| {
        let validated =
            folder(&[("e.yaml", &environment(secrets)), ("good.yaml", &good), ("probe.yaml", &probe(actions))]);
        (errors(&validated) != expected).then(|| format!("{secrets}: {:?} instead of {expected:?}", errors(&validated)))
    });
    assert_no_failures(wrong.collect());

    // A declared secret that is missing at run time does not affect other connectors.
    let sources = [
        ("{ key: { env: EVENKEEL_TEST_NOT_SET } }", "EVENKEEL_TEST_NOT_SET is not set"),
        ("{ key: { file: /nonexistent/key } }", "/nonexistent/key cannot be read"),
        ("{ key: { file: / } }", "/ cannot be read"),
        ("{ key: { vault: { path: a, key: b } } }", "not from `vault`"),
    ];
    for (secrets, reason) in sources {
        let validated =
            folder(&[("e.yaml", &environment(secrets)), ("good.yaml", &good), ("probe.yaml", &probe(READS_A_SECRET))]);
        assert_eq!(errors(&validated), [""; 0], "{secrets}");
        let runtime = Runtime::compile(&validated.catalog, None, String::new(), None).unwrap();
        let secrets = Arc::new(ProvidedSecrets::new(runtime.secrets.clone(), Arc::default()));
        let prepare = |name: &str| connector::prepare(&runtime, secrets.clone(), name, "read", &Call::default());
        assert_eq!(prepare("good").unwrap().url.as_str(), "https://api.orbit.example/v1/x");
        let error = prepare("probe").unwrap_err();
        assert_eq!(error.code, ErrorCode::Credential);
        assert!(error.detail.contains(reason), "{}", error.detail);
    }
}

#[test]
fn row_30_one_mebibyte_is_read_and_five_are_refused() {
    let large = |actions: usize| {
        let text: String = (0..actions)
            .map(|at| {
                let words = "word ".repeat(500);
                format!("a{at}:\n  description: {words}\n  http: {{ path: '/a/{at}' }}\n  tests: [{{ name: one }}]\n")
            })
            .collect();
        probe(&text)
    };
    let one = large(420);
    assert!(one.len() > 1 << 20);
    let validated = folder(&[("a.yaml", &one)]);
    assert_eq!(errors(&validated), [""; 0]);
    let runtime = Runtime::compile(&validated.catalog, None, String::new(), None).unwrap();
    assert_eq!(runtime.connectors["probe"].actions.len(), 420);

    let five = large(1).replace("word", &"word".repeat((5 << 20) / 1900));
    assert!(five.len() > 5 << 20);
    let validated = folder(&[("a.yaml", &five), ("b.yaml", &tenant("acme"))]);
    assert_eq!(errors(&validated), ["EK0003 a.yaml:1:1"]);
    assert_eq!(validated.catalog.entries.len(), 1, "the other file is read");
}
