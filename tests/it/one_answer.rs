//! One answer everywhere: commands on files, the server, the operator and admission make the same desired set of the same
//! sources, Environment document, overlays and selector.

mod generated;

use std::path::Path;

use serde_json::Value;

use crate::git_server::{GitHttp, Repository};
use crate::serve::{World, cli, is_ready, look, saying, serve, wait};
use crate::support::{Dev, Said, copy, evenkeel, folder, run, said, write};

const HEAD: &str = "apiVersion: evenkeel.dev/v1alpha1\n";

fn environment(name: &str, spec: &str) -> String {
    format!("{HEAD}kind: Environment\nmetadata: {{ name: {name} }}\nspec:\n{spec}")
}

fn connector(name: &str, tier: &str, path: &str) -> String {
    format!(
        "{HEAD}kind: Connector\nmetadata: {{ name: {name}, labels: {{ tier: {tier} }} }}\nspec:\n  displayName: {name}\n  baseUrl: \
         https://api.example.com\n  actions:\n    say:\n      http: {{ path: {path} }}\n"
    )
}

fn patch(name: &str, path: &str) -> String {
    format!(
        "{HEAD}kind: Connector\nmetadata: {{ name: {name} }}\nspec: {{ actions: {{ say: {{ http: {{ path: {path} }} }} }} }}\n"
    )
}

/// The plan in the document that a command printed, as text.
fn plan_of(said: &Said) -> String {
    let document: Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{}{}", said.out, said.err));
    assert!(document["plan"].is_object(), "{}{}", said.out, said.err);
    format!("{:#}", document["plan"])
}

/// Identity, verb and class of each action.
fn actions(said: &Said) -> Vec<String> {
    let document: Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{}{}", said.out, said.err));
    let actions = document["plan"]["actions"].as_array().cloned().unwrap_or_default();
    let text = |action: &Value, field: &str| action[field].as_str().unwrap_or_default().to_owned();
    let line = |action: &Value| ["id", "action", "class"].map(|field| text(action, field)).join(" ");
    actions.iter().map(line).collect()
}

const LIVE: &str = "  overlays: [overlays/live]\n  selector: { tier: live }\n";

/// A repository whose Environment `live` has an overlay and a selector.
fn files() -> [(&'static str, String); 5] {
    [
        ("c.yaml", connector("c", "live", "/base")),
        ("d.yaml", connector("d", "live", "/base")),
        ("live.yaml", environment("live", LIVE)),
        ("overlays/live/c.yaml", patch("c", "/first")),
        (
            "w.yaml",
            format!(
                "{HEAD}kind: Workflow\nmetadata: {{ name: w, labels: {{ tier: live }} }}\nspec: {{ tier: Standard, source: {{ file: w.ts }} }}\n"
            ),
        ),
    ]
}

fn borrowed<'a>(files: &'a [(&'a str, String)]) -> Vec<(&'a str, &'a str)> {
    files.iter().map(|(path, text)| (*path, text.as_str())).collect()
}

fn repository() -> Repository {
    let files = files();
    let mut files = borrowed(&files);
    files.push(("w.ts", "export default async () => 1\n"));
    let repository = Repository::with(&files);
    // The repository is bare, with its working folder beside it.
    write(&repository.work().join(".git"), &format!("gitdir: {}\n", repository.git_dir().display()));
    repository
}

#[test]
fn a_changed_overlay_is_a_change_of_its_environment() {
    let repository = repository();
    let work = repository.work();
    let work = work.to_str().unwrap();
    let plan = |more: &[&str]| run([&["plan", "--from", "HEAD", "-e", "live", work, "-o", "json"], more].concat());
    assert_eq!(plan(&["--detailed-exitcode"]).code, 0);
    repository.write(&[("overlays/live/c.yaml", &patch("c", "/second"))]);
    let changed = plan(&["--detailed-exitcode"]);
    assert_eq!(changed.code, 2, "{}{}", changed.out, changed.err);
    assert_eq!(actions(&changed), ["Connector/c update compatible"]);
    assert!(changed.out.contains("/second"), "{}", changed.out);
}

#[test]
fn a_definition_that_leaves_the_selector_is_removed() {
    let repository = repository();
    repository.write(&[("d.yaml", &connector("d", "dev", "/base"))]);
    let work = repository.work();
    let said = run(["plan", "--from", "HEAD", "-e", "live", work.to_str().unwrap(), "-o", "json"]);
    assert_eq!(actions(&said), ["Connector/d delete breaking"], "{}", said.err);
}

/// A server with the operator's own document of `live`, which waits for approvals.
struct Manual {
    repository: Repository,
    _git: GitHttp,
    folder: tempfile::TempDir,
    server: Dev,
}

impl Manual {
    fn start(repository: Repository, more: &str) -> Manual {
        let git = GitHttp::start(repository.root());
        let folder = tempfile::tempdir().unwrap();
        let document = crate::serve::following(&git.url(), &format!("  sync: {{ mode: Manual }}\n{more}"));
        write(&folder.path().join("live.yaml"), &document);
        let server = serve(folder.path(), &[], |_| {});
        let manual = Manual { repository, _git: git, folder, server };
        wait(&manual.server, "live", |status| status["pending"].is_object(), "the first plan");
        manual
    }

    /// The arguments of a plan on this machine, with the operator's document.
    fn offline(&self, args: &[&str]) -> Said {
        let (work, file) = (self.repository.work(), self.folder.path().join("live.yaml"));
        let mut command = evenkeel();
        command.arg("plan").args(args).arg("--environment-file").arg(file).arg(work).args(["-o", "json"]);
        said(&command.output().unwrap())
    }

    fn pending(&self) -> Said {
        look(&self.server, "live");
        cli(&self.server.address, &["plan", "-e", "live", "--server", &self.server.address, "-o", "json"])
    }

    fn apply(&self, plan: &Path) -> Said {
        cli(&self.server.address, &["apply", plan.to_str().unwrap()])
    }

    /// Applies what waits.
    fn settle(&self) {
        look(&self.server, "live");
        let applied = cli(&self.server.address, &["apply", "-e", "live", "--yes"]);
        assert_eq!(applied.code, 0, "{}{}", applied.out, applied.err);
    }
}

#[test]
fn a_plan_of_two_commits_is_that_of_the_server_to_the_byte_and_applies_there() {
    let manual = Manual::start(repository(), LIVE);
    manual.settle();
    let edits: [&[(&str, String)]; 4] = [
        &[("overlays/live/c.yaml", patch("c", "/second"))],
        &[("d.yaml", connector("d", "dev", "/base")), ("w.ts", "export default async () => 2\n".into())],
        // Only lines move, and then what moved is removed.
        &[
            ("c.yaml", format!("# a comment\n{}", connector("c", "live", "/base"))),
            (
                "t.yaml",
                format!(
                    "{HEAD}kind: Tenant\nmetadata: {{ name: t, labels: {{ tier: live }} }}\nspec: {{ displayName: T }}\n"
                ),
            ),
        ],
        &[("c.yaml", connector("c", "dev", "/base")), ("live.yaml", environment("live", "  variables: { a: b }\n"))],
    ];
    for (number, edit) in edits.iter().enumerate() {
        let before = manual.repository.head();
        let after = manual.repository.commit(&borrowed(edit), "edit");
        let saved = manual.folder.path().join(format!(".{number}.plan"));
        let offline = manual.offline(&["--from", &before, "--to", &after, "--out", saved.to_str().unwrap()]);
        let server = manual.pending();
        assert_eq!(plan_of(&offline), plan_of(&server), "edit {number}");
        assert!(!actions(&offline).is_empty(), "edit {number}: {}", offline.out);
        let applied = manual.apply(&saved);
        assert_eq!(applied.code, 0, "edit {number}: {}{}", applied.out, applied.err);
    }
}

#[test]
fn a_plan_of_a_pull_request_applies_after_the_merge() {
    let manual = Manual::start(repository(), LIVE);
    manual.settle();
    let base = manual.repository.head();
    manual.repository.git(&["checkout", "--quiet", "-b", "change"]);
    let edit = [("overlays/live/c.yaml", patch("c", "/second")), ("d.yaml", connector("d", "live", "/other"))];
    let head = manual.repository.commit(&borrowed(&edit), "change");
    let saved = manual.folder.path().join(".saved.plan");
    let offline = manual.offline(&["--from", &base, "--to", &head, "--out", saved.to_str().unwrap()]);
    assert_eq!(offline.code, 0, "{}{}", offline.out, offline.err);
    // The merge is another commit, at another place, beside another edit that changes nothing.
    manual.repository.git(&["checkout", "--quiet", "main"]);
    let moved = format!("# moved by a line\n{}", connector("d", "live", "/other"));
    let merge = [edit[0].clone(), ("d.yaml", moved), ("README.md", "hello".into())];
    manual.repository.commit(&borrowed(&merge), "merged");
    look(&manual.server, "live");
    let applied = manual.apply(&saved);
    assert_eq!(applied.code, 0, "{}{}", applied.out, applied.err);
    // Other content is another plan.
    manual.repository.commit(&[("d.yaml", &connector("d", "live", "/third"))], "more");
    look(&manual.server, "live");
    let stale = manual.apply(&saved);
    assert!(stale.code == 2 && stale.err.contains("stale"), "{}{}", stale.out, stale.err);
}

#[test]
fn a_saved_plan_that_was_changed_is_refused() {
    let repository = repository();
    repository.write(&[("overlays/live/c.yaml", &patch("c", "/second"))]);
    let work = repository.work();
    let saved = work.with_extension("plan");
    let planned = run([
        "plan".as_ref(),
        "--from".as_ref(),
        "HEAD".as_ref(),
        "-e".as_ref(),
        "live".as_ref(),
        "--out".as_ref(),
        saved.as_os_str(),
        work.as_os_str(),
    ]);
    assert_eq!(planned.code, 0, "{}", planned.err);
    let plan: Value = serde_json::from_str(&std::fs::read_to_string(&saved).unwrap()).unwrap();
    let edits: [fn(&mut Value); 4] = [
        |plan| plan["actions"][0]["changes"] = Value::Array(Vec::new()),
        |plan| plan["actions"][0]["reason"] = "nothing to see".into(),
        |plan| plan["actions"][0]["class"] = "breaking".into(),
        |plan| plan["unchanged"] = 99.into(),
    ];
    for edit in edits {
        let mut changed = plan.clone();
        edit(&mut changed);
        assert_ne!(changed, plan);
        write(&saved, &changed.to_string());
        let applied = run(["apply".as_ref(), saved.as_os_str(), "--server".as_ref(), "http://127.0.0.1:1".as_ref()]);
        assert!(applied.code == 2 && applied.err.contains("was changed after it was made"), "{}", applied.err);
    }
}

#[test]
fn two_operators_share_a_repository_with_their_own_overlays() {
    let files = [
        ("c.yaml", connector("c", "live", "/base")),
        ("overlays/eu/c.yaml", patch("c", "/eu")),
        ("overlays/us/c.yaml", patch("c", "/us")),
    ];
    let repository = Repository::with(&borrowed(&files));
    let git = GitHttp::start(repository.root());
    let folder = tempfile::tempdir().unwrap();
    let server_of = |name: &str| {
        let own = folder.path().join(name);
        let document = crate::serve::following(&git.url(), &format!("  overlays: [overlays/{name}]\n"));
        write(&own.join("live.yaml"), &document);
        let server = serve(&own, &[], |_| {});
        wait(&server, "live", is_ready, name);
        let live = server.get("/v1/environments/live/definitions/Connector/c").json();
        assert_eq!(live["document"]["spec"]["actions"]["say"]["http"]["path"], format!("/{name}"), "{live:#}");
        let (work, file) = (repository.work(), own.join("live.yaml"));
        for command in ["validate", "test"] {
            let said = run([command.as_ref(), work.as_os_str(), "--environment-file".as_ref(), file.as_os_str()]);
            assert_eq!(said.code, 0, "{}{}", said.out, said.err);
        }
        let rendered = run([
            "render".as_ref(),
            "c/say".as_ref(),
            work.as_os_str(),
            "--environment-file".as_ref(),
            file.as_os_str(),
        ]);
        assert!(rendered.out.starts_with(&format!("GET https://api.example.com/{name}\n")), "{}", rendered.out);
    };
    server_of("eu");
    server_of("us");
    let all = run(["validate".as_ref(), repository.work().as_os_str()]);
    assert_eq!(all.code, 0, "{}{}", all.out, all.err);
}

#[test]
fn a_command_checks_the_environment_that_it_is_given() {
    let work = folder(&[
        ("c.yaml", &connector("c", "live", "/base").replace("/base", "\"/{{ get_variable('stage') }}\"")),
        ("live.yaml", &environment("live", "  variables: { stage: own }\n")),
        ("draft.yaml", &environment("draft", "  variables: { other: x }\n")),
    ]);
    let outside = folder(&[("eu.yaml", &environment("eu", "  variables: { stage: eu }\n"))]);
    let (path, eu) = (work.path().to_str().unwrap(), outside.path().join("eu.yaml"));
    let eu = eu.to_str().unwrap();
    let render = |args: &[&str]| run([&["render", "c/say", path], args].concat());
    assert!(render(&["-e", "live"]).out.starts_with("GET https://api.example.com/own\n"));
    assert!(render(&["--environment-file", eu]).out.starts_with("GET https://api.example.com/eu\n"));
    assert_eq!(run(["validate", path, "-e", "live", "--strict"]).code, 1, "an action has no test");
    let lacking = run(["validate", path, "-e", "draft"]);
    assert!(lacking.code == 1 && lacking.out.contains("EK0204"), "{}", lacking.out);
    assert_eq!(run(["validate", path, "--environment-file", eu]).code, 0);
    let unknown = run(["validate", path, "-e", "staging"]);
    assert!(unknown.code == 2 && unknown.err.contains("there are: draft, live"), "{}", unknown.err);
    let planned = run(["plan", path, path, "--environment-file", eu, "-o", "json"]);
    assert_eq!(serde_json::from_str::<Value>(&planned.out).unwrap()["plan"]["environment"], "eu", "{}", planned.err);
    let several = folder(&[
        ("c.yaml", &connector("c", "live", "/base")),
        ("draft.yaml", &environment("draft", "  variables: {}\n")),
        ("live.yaml", &environment("live", "  variables: {}\n")),
    ]);
    let first = run(["plan".as_ref(), several.path().as_os_str(), several.path().as_os_str()]);
    assert!(
        first.err.contains("the plan is for `draft`; `-e NAME` plans for another environment: live"),
        "{}{}",
        first.out,
        first.err
    );
    // An environment that the earlier side does not declare runs nothing there.
    let before = folder(&[
        ("c.yaml", &connector("c", "live", "/base")),
        ("draft.yaml", &environment("draft", "  variables: {}\n")),
    ]);
    let new =
        run(["plan".as_ref(), before.path().as_os_str(), several.path().as_os_str(), "-e".as_ref(), "live".as_ref()]);
    assert!(new.err.contains("does not declare the environment `live`; everything is new in it"), "{}", new.err);
    assert!(new.out.contains("+ Connector/c") && !new.err.contains("has errors"), "{}{}", new.out, new.err);
}

#[test]
fn every_example_is_planned_alike_on_files_and_on_a_server() {
    for example in ["examples/quickstart", "examples/connectors", "examples/environments", "examples/workflows"] {
        let work = copy(example);
        let (mut variables, mut names) = (Vec::new(), Vec::new());
        for file in std::fs::read_dir(work.path()).unwrap().flatten().filter(|file| file.path().is_file()) {
            let text = std::fs::read_to_string(file.path()).unwrap();
            variables.extend(text.split("env: ").skip(1).filter_map(|rest| {
                Some(rest.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').next()?.to_owned())
            }));
            // Each Environment waits for an approval, so that its first plan can be read.
            let manual: Vec<String> = text
                .split("---\n")
                .map(|document| match document.split_once("kind: Environment") {
                    Some((_, rest)) => {
                        let name = rest.split_once("name: ").unwrap().1;
                        names.push(name.split(|letter: char| !letter.is_alphanumeric()).next().unwrap().to_owned());
                        match document.contains("\n  sync: {") {
                            true => document.replacen("\n  sync: {", "\n  sync: { mode: Manual,", 1),
                            false => document.replacen("\nspec:\n", "\nspec:\n  sync: { mode: Manual }\n", 1),
                        }
                    }
                    None => document.to_owned(),
                })
                .collect();
            write(&file.path(), &manual.join("---\n"));
        }
        let server = serve(work.path(), &[], |command| {
            command.envs(variables.iter().map(|variable| (variable, "a value of some length")));
        });
        let empty = folder(&[]);
        assert!(!names.is_empty(), "{example}");
        for name in names {
            wait(&server, &name, |status| status["pending"].is_object(), &name);
            let waiting = cli(&server.address, &["plan", "-e", &name, "--server", &server.address, "-o", "json"]);
            let (before, after) = (empty.path().to_str().unwrap(), work.path().to_str().unwrap());
            let offline = run(["plan", before, after, "-e", &name, "-o", "json"]);
            assert_eq!(plan_of(&offline), plan_of(&waiting), "{example}, {name}");
        }
    }
}

#[test]
fn a_promotion_through_the_server_applies_overlays() {
    let work = copy("examples/environments");
    let server = serve(work.path(), &[], |_| {});
    wait(&server, "draft", is_ready, "draft");
    wait(&server, "live", is_ready, "live");
    let promoted = cli(&server.address, &["promote", "--from", "draft", "-e", "live"]);
    assert_eq!(promoted.code, 0, "{}{}", promoted.out, promoted.err);
    let live = server.get("/v1/environments/live/definitions/Connector/orbit-crm").json();
    assert_eq!(live["document"]["spec"]["actions"]["list-contacts"]["http"]["query"]["limit"], "200", "{live:#}");
}

#[test]
fn a_patch_that_no_environment_uses_is_checked() {
    let with = |text: &str| {
        let work = folder(&[("c.yaml", &connector("c", "live", "/base")), ("overlays/elsewhere/c.yaml", text)]);
        run(["validate".as_ref(), work.path().as_os_str()])
    };
    assert_eq!(with(&patch("c", "/other")).code, 0);
    for (text, code) in [
        (&*format!("{HEAD}kind: [\n"), "EK0004"),
        (&*patch("missing", "/x"), "EK0806"),
        (&*patch("c", "/x").replace("Connector", "Conector"), "EK0109"),
    ] {
        let said = with(text);
        assert!(said.code == 1 && said.out.contains(code), "{code}: {}", said.out);
    }
}

#[test]
fn a_folder_of_definitions_is_no_overlay() {
    let work = folder(&[
        ("c.yaml", &connector("c", "live", "/base")),
        ("live/c.yaml", &patch("d", "/live")),
        ("live.yaml", &environment("live", "  overlays: [live]\n")),
    ]);
    let said = run(["validate".as_ref(), work.path().as_os_str()]);
    assert!(said.code == 1 && said.out.contains("EK0210"), "{}", said.out);
    assert!(said.out.contains("such as `overlays/live`"), "{}", said.out);
}

#[test]
fn a_preview_of_a_folder_by_the_server_is_the_plan_of_the_files() {
    let world = World::start(&[("a.yaml", &saying("a", "first"))]);
    world.wait(is_ready, "the first commit");
    let (old, new) = (folder(&[("a.yaml", &saying("a", "first"))]), folder(&[("a.yaml", &saying("a", "second"))]));
    let path = |folder: &tempfile::TempDir| folder.path().to_str().unwrap().to_owned();
    let file = world.folder.path().join("live.yaml");
    let online = world.run(&["plan", &path(&new), "--server", &world.server.address, "-e", "live", "-o", "json"]);
    let offline = run(["plan", &path(&old), &path(&new), "--environment-file", file.to_str().unwrap(), "-o", "json"]);
    assert_eq!(plan_of(&offline), plan_of(&online));
}
