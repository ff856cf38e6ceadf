//! The places of definitions whose source reads a folder of a repository: they start at its root everywhere.

use serde_json::json;

use super::{cli, ready, saying, serve, served_by, wait};
use crate::git_server::{GitHttp, Repository};
use crate::support::write;

const FAILING: &str = "apiVersion: evenkeel.dev/v1alpha1\nkind: Workflow\nmetadata: { name: fails }\nspec:\n  tier: Instant\n  \
                       source: { file: fails.ts }\n";

#[test]
fn places_start_at_the_root_of_the_repository() {
    let repository = Repository::with(&[
        ("README.md", "definitions are in defs"),
        ("defs/c1.yaml", &saying("c1", "hello")),
        ("defs/flows/flow.yaml", FAILING),
        ("defs/flows/fails.ts", "export default async () => {\n  throw new Error(\"on purpose\")\n}\n"),
    ]);
    let git = GitHttp::start(repository.root());
    let folder = tempfile::tempdir().unwrap();
    let environment = format!(
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Environment\nmetadata: {{ name: live }}\nspec:\n  source: {{ git: {{ url: \
         \"{}\", branch: main, path: defs/ }} }}\n  interval: 1h\n",
        git.url()
    );
    write(&folder.path().join("live.yaml"), &environment);
    let server = serve(folder.path(), &[], |_| {});
    let status = wait(&server, "live", super::is_ready, "the first commit");
    assert_eq!(status["folder"], "defs", "{status:#}");

    // The line of the action that served, and the line of the definition.
    assert_eq!(served_by(&server, "c1").1.unwrap(), "defs/c1.yaml:8");
    let listed = server.get("/v1/connectors").json();
    let shown = (&listed["items"][0]["source"], &listed["items"][0]["actions"][0]["source"]);
    assert_eq!(shown, (&json!("defs/c1.yaml:3"), &json!("defs/c1.yaml:8")), "{listed:#}");
    let run = |args: &[&str]| cli(&server.address, args);
    assert!(run(&["trace", "Connector/c1", "-e", "live"]).out.contains("defs/c1.yaml:3\n"));
    let workflows = server.get("/v1/workflows").json();
    assert_eq!(workflows["items"][0]["source"], "defs/flows/flow.yaml:3", "{workflows:#}");
    assert_ne!(run(&["run", "fails", "-e", "live"]).code, 0);
    let executions = server.get("/v1/executions").json();
    let failed = run(&["executions", "show", executions["items"][0]["id"].as_str().unwrap(), "-e", "live"]);
    assert!(failed.out.contains("defs/flows/fails.ts:2"), "{}{}", failed.out, failed.err);

    // Plans of the server, for people and in a review.
    let diff = run(&["diff", "-e", "live", "--from", "0", "--to", "1"]);
    assert!(diff.out.contains("  defs/c1.yaml:1"), "{}{}", diff.out, diff.err);
    let work = repository.work().join("defs");
    write(&work.join("c1.yaml"), &saying("c1", "other"));
    let plan = run(&["plan", work.to_str().unwrap(), "-e", "live", "-o", "markdown"]);
    assert!(plan.out.contains("`defs/c1.yaml:1`"), "{}{}", plan.out, plan.err);

    // Findings.
    repository.commit(&[("defs/c1.yaml", &saying("c1", "x").replace("baseUrl", "baseUlr"))], "break");
    let status = super::look(&server, "live");
    assert!(ready(&status).2.contains("defs/c1.yaml:6:3"), "{status:#}");
    assert_eq!(status["findings"][0]["file"], "defs/c1.yaml", "{status:#}");
}

#[test]
fn other_line_ends_and_another_order_of_sets_make_no_generation() {
    let connector = |required: &str, line_end: &str| {
        let action =
            format!("      input: {{ type: object, required: {required}, properties: {{ a: {{}}, b: {{}} }} }}\n");
        saying("c1", "hello").replace("      http:", &format!("{action}      http:")).replace('\n', line_end)
    };
    let code = "export default async () => {\n  return 1\n}\n";
    let world = super::World::start(&[
        ("c1.yaml", &connector("[a, b]", "\n")),
        ("flow.yaml", &FAILING.replace("fails.ts", "flow.ts")),
        ("flow.ts", code),
    ]);
    let status = world.wait(super::is_ready, "the first commit");
    assert_eq!(status["generation"], 1, "{status:#}");
    let (commit, status) = world.push(
        &[
            ("c1.yaml", &connector("[b, a]", "\r\n")),
            ("flow.yaml", &FAILING.replace("fails.ts", "flow.ts").replace('\n', "\r\n")),
            ("flow.ts", &code.replace('\n', "\r\n")),
        ],
        "other line ends",
    );
    assert!(super::is_ready(&status), "{status:#}");
    assert_eq!((&status["generation"], &status["drifted"]), (&1.into(), &0.into()), "{status:#}");
    assert_eq!(status["lastApplied"]["source"], format!("main@sha1:{commit}"), "{status:#}");
}
