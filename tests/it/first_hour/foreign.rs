//! Files of other tools beside definitions, ignored files, and definitions that lost their head.

use serde_json::json;

use super::{TENANT, is_clean};
use crate::serve::{World, blocked, is_ready, ready, saying, serve, wait};
use crate::support::{evenkeel, folder, run, said, write};

const COMPOSE: &str = "services:\n  db:\n    image: postgres:17\n";
const KUBERNETES: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: c }\n";

/// A folder with one definition and the files that projects usually have.
fn project() -> tempfile::TempDir {
    folder(&[
        ("acme.yaml", TENANT),
        ("docker-compose.yaml", COMPOSE),
        ("k8s/config.yaml", KUBERNETES),
        ("chart/values.yaml", "replicas: 2\n"),
        ("chart/templates/a.yaml", "{{- if .Values.on }}\napiVersion: apps/v1\nkind: Deployment\n{{- end }}\n"),
        ("package.json", "{\"name\": \"x\"}"),
        ("tsconfig.json", "{ // comment\n}"),
        ("openapi.json", "{\"openapi\": \"3.1.0\", \"paths\": {}}"),
        ("ci/workflow.yml", "on: [push]\njobs: {}\n"),
        ("data.json", "[1, 2]"),
    ])
}

#[test]
fn files_of_other_tools_disturb_nothing() {
    let project = project();
    let out = project.path().join("schemas");
    assert_eq!(run(["schema".as_ref(), "--out".as_ref(), out.as_os_str()]).code, 0);
    is_clean(project.path());
    let said = run(["validate".as_ref(), project.path().as_os_str()]);
    assert_eq!(said.out, "1 definition, no findings\n");
    assert!(said.err.contains("files of other tools, without definitions: chart/templates/a.yaml, "), "{}", said.err);
    let types = run(["types".as_ref(), project.path().as_os_str()]);
    assert_eq!(types.code, 0, "{}", types.err);
}

#[test]
fn an_empty_folder_is_one_plain_sentence() {
    for files in [&[][..], &[("docker-compose.yaml", COMPOSE)]] {
        let empty = folder(files);
        let said = run(["validate".as_ref(), empty.path().as_os_str()]);
        assert_eq!(said.code, 1);
        let first = said.out.lines().next().unwrap();
        assert!(first.starts_with("error[EK0011]: `") && first.contains("holds no definitions"), "{}", said.out);
        assert!(said.out.contains("evenkeel init") && !said.out.contains("-->"), "{}", said.out);
        assert_eq!(said.out.contains("docker-compose.yaml"), !files.is_empty());
    }
    let empty = tempfile::tempdir().unwrap();
    let here = said(&evenkeel().arg("validate").current_dir(empty.path()).output().unwrap());
    assert!(here.out.starts_with("error[EK0011]: this folder holds no definitions"), "{}", here.out);
}

#[test]
fn ignored_files_are_treated_as_absent() {
    let broken = TENANT.replace("displayName", "displayNmae");
    let project = folder(&[
        ("acme.yaml", TENANT),
        ("drafts/acme.yaml", &broken),
        ("drafts/deep/b.yaml", "apiVersion: evenkeel.dev/v1alpha1\nkind: [\n"),
        ("x.tmp.yaml", &broken),
    ]);
    assert_eq!(run(["validate".as_ref(), project.path().as_os_str()]).code, 1);
    write(&project.path().join(".evenkeelignore"), "# not finished\ndrafts/\n*.tmp.yaml\n");
    is_clean(project.path());
    write(&project.path().join(".evenkeelignore"), "drafts/\n*.tmp.yaml\na[z-a].yaml\n");
    let said = run(["validate".as_ref(), project.path().as_os_str()]);
    assert_eq!(said.code, 1);
    assert!(
        said.out.contains("EK0016") && said.out.contains("line 3") && said.out.contains("a[z-a].yaml"),
        "{}",
        said.out
    );
    write(&project.path().join(".evenkeelignore"), &"x\n".repeat(1 << 16));
    assert!(run(["validate".as_ref(), project.path().as_os_str()]).out.contains("64 KiB"));
    // A file that is named is read.
    write(&project.path().join(".evenkeelignore"), "*.yaml\n");
    assert_eq!(run(["validate".as_ref(), project.path().join("acme.yaml").as_os_str()]).code, 0);
}

#[test]
fn exclude_of_an_environment_is_validated() {
    let environment = "apiVersion: evenkeel.dev/v1alpha1\nkind: Environment\nmetadata: { name: live }\nspec:\n  source:\n    \
                       directory: { path: definitions, exclude: [\"charts/\", \"a[z-a]\"] }\n";
    let project = folder(&[("live.yaml", environment)]);
    let said = run(["validate".as_ref(), project.path().as_os_str()]);
    assert!(said.code == 1 && said.out.contains("EK0016") && said.out.contains("live.yaml:6:58"), "{}", said.out);
}

#[test]
fn git_and_folders_ignore_the_same() {
    let broken = saying("broken", "x").replace("baseUrl", "baseUlr");
    let files = [("a.yaml", saying("a", "one")), ("drafts/b.yaml", broken.clone()), ("old/c.yaml", broken)];
    let mut files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    files.extend([("docker-compose.yaml", COMPOSE), (".evenkeelignore", "drafts/\n")]);

    let world = World::start(&files);
    let status = world.wait(|status| !ready(status).1.is_empty(), "the first pass");
    assert_eq!(ready(&status).1, "InvalidDefinitions", "only `drafts` is ignored: {status:#}");
    let excluding = std::fs::read_to_string(world.folder.path().join("live.yaml")).unwrap();
    let excluding = excluding.replace("branch: main", "branch: main, exclude: [old/]");
    write(&world.folder.path().join("live.yaml"), &excluding);
    world.wait(is_ready, "the exclusion of `old`");
    assert_eq!(world.connectors(), ["a"]);
    // Patterns that change take effect at the next commit, also for folders that did not change.
    let (_, status) = world.push(&[(".evenkeelignore", "nothing\n")], "ignore nothing");
    assert!(ready(&status).2.contains("drafts/b.yaml"), "{status:#}");
    let (_, status) = world.push(&[(".evenkeelignore", "a[z-a]\ndrafts/\n")], "a broken pattern");
    assert!(ready(&status).2.contains("EK0016"), "{status:#}");
    assert_eq!(world.connectors(), ["a"]);

    let source = folder(&files);
    let home = tempfile::tempdir().unwrap();
    let document = format!(
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Environment\nmetadata: {{ name: live }}\nspec:\n  interval: 1h\n  source: {{ \
         directory: {{ path: \"{}\", exclude: [old/] }} }}\n",
        source.path().display()
    );
    write(&home.path().join("live.yaml"), &document);
    let server = serve(home.path(), &[], |_| {});
    wait(&server, "live", is_ready, "the folder without its ignored files");
    assert_eq!(crate::serve::connectors(&server), ["a"]);
}

/// Contents that a definition may be replaced with by accident.
fn damaged(text: &str) -> Vec<(&'static str, String)> {
    vec![
        ("another tool's document", COMPOSE.to_owned()),
        ("another group", text.replace("evenkeel.dev/v1alpha1", "example.com/v1")),
        ("no head", text.lines().skip(3).collect::<Vec<_>>().join("\n").replace("spec:", "settings:")),
        ("an unreadable text", "{{ a template }}\n  - [".to_owned()),
        (
            "encrypted",
            "apiVersion: ENC[AES256_GCM,data:b3Ix/w==,iv:x,tag:y,type:str]\nkind: ENC[AES256_GCM,data:a,type:str]\nsops: { \
             mac: \"ENC[AES256_GCM,data:m,type:str]\", version: 3.9.0 }\n"
                .to_owned(),
        ),
        ("wrapped", format!("apiVersion: v1\nkind: List\nitems:\n  - {}", text.replace('\n', "\n    "))),
        ("blank", "\n".to_owned()),
        ("empty", String::new()),
    ]
}

#[test]
fn row_79_a_damaged_definition_is_never_taken_for_removed() {
    for apply in ["Atomic", "Isolate"] {
        let two = format!("{}---\n{}", saying("b", "one"), saying("c", "one"));
        let mixed = format!("{}---\n{KUBERNETES}", saying("d", "one"));
        let (a, e) = (saying("a", "one"), saying("e", "one"));
        let files = [("a.yaml", &*a), ("two.yaml", &*two), ("mixed.yaml", &*mixed), ("e.yaml", &*e)];
        let environment = format!("  sync: {{ apply: {apply}, prune: {{ budget: 100% }} }}\n");
        let world = World::with(&files, &environment, &[]);
        world.wait(is_ready, "the first commit");
        let all = ["a", "b", "c", "d", "e"];
        assert_eq!(world.connectors(), all);
        for (number, (what, text)) in damaged(&a).into_iter().enumerate() {
            let (commit, status) =
                world.push(&[("a.yaml", &text), ("e.yaml", &saying("e", &format!("e{number}")))], what);
            assert_eq!(ready(&status).0, "False", "{apply}: {what}: {status:#}");
            assert_eq!(world.connectors(), all, "{apply}: {what}");
            let e = world.server.get("/v1/environments/live/definitions/Connector/e").body;
            assert_eq!(e.contains(&commit), apply == "Isolate", "{apply}: the other change of the commit: {what}: {e}");
            let finding = status["findings"][0].to_string();
            assert!(finding.contains("Connector/a") && finding.contains("remove the file"), "{what}: {finding}");
            let held = match what {
                "encrypted" => "now holds an encrypted document",
                "wrapped" => "now holds a list that wraps other documents",
                "another group" => "now holds a document of `example.com/v1`",
                _ => "now holds",
            };
            assert!(finding.contains(held), "{what}: {finding}");
            if apply == "Atomic" {
                let (_, reason, message) = ready(&status);
                assert_eq!(reason, "InvalidDefinitions", "{what}: {status:#}");
                assert!(message.contains("a.yaml:1:1: EK0111") && message.contains("Connector/a"), "{what}: {message}");
            }
        }
        // The markers of a merge conflict.
        let conflict = format!("<<<<<<< ours\n{a}=======\n{a}>>>>>>> theirs\n");
        let (_, status) = world.push(&[("a.yaml", &conflict)], "conflict");
        assert_eq!((ready(&status).0.as_str(), world.connectors()), ("False", all.map(str::to_owned).to_vec()));
        let findings = status["findings"].to_string();
        assert!(
            findings.contains("a.yaml") && findings.contains("this file held Connector/a, which is live"),
            "{findings}"
        );
        // One document of several loses its head.
        let half = two.replacen("evenkeel.dev/v1alpha1", "example.com/v1", 1);
        let (_, status) = world.push(&[("a.yaml", &a), ("two.yaml", &half)], "half");
        assert_eq!(
            (ready(&status).0.as_str(), world.connectors()),
            ("False", all.map(str::to_owned).to_vec()),
            "{apply}"
        );
        world.push(&[("two.yaml", &two), ("e.yaml", &e)], "restored");
        assert!(is_ready(&world.look()), "{apply}: {:#}", world.status());
        // Deliberate removals are applied: a document beside one of another tool, a file, an ignored file.
        let (_, status) = world.push(&[("mixed.yaml", KUBERNETES), ("two.yaml", &saying("c", "one"))], "documents");
        assert!(is_ready(&status), "{apply}: {status:#}");
        assert_eq!(world.connectors(), ["a", "c", "e"], "{apply}");
        std::fs::remove_file(world.repository.work().join("two.yaml")).unwrap();
        let (_, status) =
            world.push(&[(".evenkeelignore", "a.yaml\n"), ("x.yaml", COMPOSE)], "a file and an ignored file");
        assert!(is_ready(&status), "{apply}: {status:#}");
        assert_eq!(world.connectors(), ["e"], "{apply}");
        assert_eq!(blocked(&status), json!([]));
    }
}

#[test]
fn a_damaged_patch_is_never_taken_for_removed() {
    let patch =
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Connector\nmetadata: { name: a }\nspec: { displayName: Patched }\n";
    let world = World::with(
        &[("a.yaml", &saying("a", "one")), ("overlays/live/a.yaml", patch), ("overlays/live/values.yaml", COMPOSE)],
        "  overlays: [overlays/live]\n",
        &[],
    );
    world.wait(is_ready, "the first commit");
    let damaged = patch.replace("evenkeel.dev/v1alpha1", "example.com/v1");
    let (_, status) = world.push(&[("overlays/live/a.yaml", &damaged)], "damaged");
    let (_, reason, message) = ready(&status);
    assert_eq!(reason, "InvalidDefinitions", "{status:#}");
    assert!(message.contains("a patch of Connector/a"), "{message}");
    std::fs::remove_file(world.repository.work().join("overlays/live/a.yaml")).unwrap();
    let (_, status) = world.push(&[("b.yaml", &saying("b", "one"))], "removed");
    assert!(is_ready(&status), "{status:#}");
}
