//! `evenkeel new`: a valid, tested definition, or a refusal that says what to do.

use std::path::Path;

use super::{TENANT, is_clean, names};
use crate::support::{Said, folder, run};

fn new(folder: &Path, args: &[&str]) -> Said {
    let args = args.iter().map(std::ffi::OsStr::new);
    run(["new".as_ref()].into_iter().chain(args).chain(["--path".as_ref(), folder.as_os_str()]))
}

#[test]
fn writes_definitions_that_pass_their_tests() {
    let project = tempfile::tempdir().unwrap();
    let path = project.path().join("definitions");
    for args in [&["connector", "orbit-crm"][..], &["workflow", "sync-contacts"], &["trigger", "every-morning"]] {
        let said = new(&path, args);
        assert_eq!(said.code, 0, "{}", said.err);
        assert!(said.err.contains("evenkeel test"), "{}", said.err);
    }
    let written = ["every-morning.trigger.yaml", "orbit-crm.connector.yaml", "sync-contacts.workflow.yaml"];
    assert_eq!(names(&path), written);
    is_clean(&path);
    let tests = run(["test".as_ref(), path.as_os_str(), "-o".as_ref(), "json".as_ref()]);
    let report: serde_json::Value = serde_json::from_str(&tests.out).unwrap();
    assert_eq!(report["summary"]["passed"], 2, "{report}");
}

#[test]
fn names_the_schema_of_the_project() {
    let project = tempfile::tempdir().unwrap();
    assert_eq!(run(["init".as_ref(), project.path().as_os_str()]).code, 0);
    let deep = project.path().join("teams/sales");
    assert_eq!(new(&deep, &["connector", "parcelo"]).code, 0);
    let text = std::fs::read_to_string(deep.join("parcelo.connector.yaml")).unwrap();
    assert!(text.starts_with("# yaml-language-server: $schema=../../.evenkeel/schemas/definition.json\n"), "{text}");
    is_clean(project.path());
}

#[test]
fn refuses_with_the_remedy() {
    let project = folder(&[("tenant.yaml", TENANT), ("a.workflow.yaml", "mine")]);
    for (args, expected) in [
        (&["connector", "createShipment"][..], "`createShipment` is not a name; write `create-shipment`"),
        (&["connector", "___"], "use 1 to 63 lower-case letters"),
        (&["workflow", "a"], "a.workflow.yaml exists already; nothing was written"),
        (&["trigger", "daily"], "create one first with `evenkeel new workflow NAME`"),
        (&["trigger", "daily", "--workflow", "b"], "create it with `evenkeel new workflow b`"),
        (&["connector", "b", "--workflow", "c"], "`--workflow` is for triggers"),
        (&["tenant", "b"], "connector, workflow, trigger"),
    ] {
        let said = new(project.path(), args);
        assert_eq!(said.code, 2, "{args:?}");
        assert!(said.err.contains(expected), "{args:?}: {}", said.err);
    }
    assert_eq!(names(project.path()), ["a.workflow.yaml", "tenant.yaml"]);
    assert_eq!(new(project.path(), &["connector", "b"]).code, 0);
    std::fs::rename(project.path().join("b.connector.yaml"), project.path().join("other.yaml")).unwrap();
    let said = new(project.path(), &["connector", "b"]);
    assert!(said.code == 2 && said.err.contains("other.yaml:"), "{}", said.err);
}
