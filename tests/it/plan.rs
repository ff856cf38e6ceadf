//! `evenkeel plan` without a server: output forms, exit codes and saved plans.

mod revisions;

use evenkeel::plan::{ChangeClass, Plan, Verb};

use serde_json::Value;

use crate::support::{Said, copy, evenkeel, folder, golden, root, run, said, write};

const BEFORE: &str = "tests/plan/before";
const AFTER: &str = "tests/plan/after";

const TENANT: &str =
    "apiVersion: evenkeel.dev/v1alpha1\nkind: Tenant\nmetadata: { name: acme }\nspec: { displayName: Acme }\n";

/// The document that `-o json` prints.
fn document(said: &Said) -> Value {
    serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}:\n{}{}", said.out, said.err))
}

/// The plan in that document.
fn plan(said: &Said) -> Plan {
    let text = document(said)["plan"].to_string();
    Plan::from_json(&text).unwrap_or_else(|error| panic!("{error}:\n{text}{}", said.err))
}

/// Runs `evenkeel plan` in a folder, outside of any CI job.
fn plan_in(folder: &std::path::Path, args: &[&str], variables: &[(&str, &str)]) -> Said {
    let mut command = evenkeel();
    command.current_dir(folder).arg("plan").args(args).envs(variables.iter().copied());
    said(&command.output().unwrap())
}

#[test]
fn output_forms_match_the_golden_files() {
    // Outside of a repository: inside of one, paths start at its root.
    let both = copy("tests/plan");
    for (form, file) in
        [("human", "tests/plan/plan.txt"), ("json", "tests/plan/plan.json"), ("markdown", "tests/plan/plan.md")]
    {
        let said = plan_in(both.path(), &["before", "after", "-o", form], &[]);
        assert_eq!((said.code, said.err.as_str()), (0, ""));
        golden(file, &said.out);
        assert_eq!(plan_in(both.path(), &["before", "after", "-o", form], &[]).out, said.out);
    }
}

/// The golden files show every verb and every class.
#[test]
fn the_golden_plan_has_every_verb_and_class() {
    let plan = plan(&run(["plan", BEFORE, AFTER, "-o", "json"]));
    for verb in [Verb::Create, Verb::Update, Verb::Delete, Verb::Move] {
        assert!(plan.actions.iter().any(|action| action.action == verb), "{verb}");
    }
    for class in [ChangeClass::None, ChangeClass::Compatible, ChangeClass::Breaking] {
        assert!(plan.actions.iter().any(|action| action.class == class && action.action == Verb::Update), "{class}");
    }
    assert!(plan.actions.iter().any(|action| action.renamed_from.is_some()));
    assert_eq!(plan.unchanged, 2);
}

#[test]
fn exit_codes_are_detailed_on_request() {
    let code = |args: &[&str]| run(["plan", "--detailed-exitcode"].iter().chain(args)).code;
    assert_eq!(code(&[BEFORE, BEFORE]), 0);
    assert_eq!(code(&[BEFORE, AFTER]), 2);
    assert_eq!(run(["plan", BEFORE, AFTER]).code, 0);
    // 2 is reserved for changes.
    for wrong in [
        &["no/such", AFTER][..],
        &[BEFORE],
        &[],
        &["--no-such-option"],
        &["--to", "x", BEFORE],
        &["-o", "no", BEFORE, AFTER],
    ] {
        assert_eq!(code(wrong), 1, "{wrong:?}");
        assert_eq!(run(["plan"].iter().chain(wrong)).code, 2, "{wrong:?}");
    }
    assert_eq!(code(&["--help"]), 0);
    assert_eq!(run(["plan", BEFORE, BEFORE]).out, "No changes.\n");
}

#[test]
fn a_saved_plan_equals_the_printed_one() {
    let folder = folder(&[]);
    let file = folder.path().join("plan.json");
    let said = run(["plan", BEFORE, AFTER, "-o", "json", "--out", &file.to_string_lossy()]);
    let saved = std::fs::read_to_string(&file).unwrap();
    let saved = Plan::from_json(&saved).unwrap();
    assert_eq!(saved, plan(&said));
    let back = plan(&run(["plan", AFTER, BEFORE, "-o", "json"]));
    assert_eq!((saved.from, saved.to), (back.to, back.from));
    let contents = |plan: &Plan| {
        let mut all: Vec<_> = plan.actions.iter().map(|a| (a.id.clone(), a.action, a.before, a.after)).collect();
        all.sort();
        all
    };
    assert_eq!(contents(&saved.inverse()), contents(&back));
    let said = run(["plan", BEFORE, AFTER, "--out", "no/such/folder/plan.json"]);
    assert!(said.code == 2 && said.err.contains("cannot write"), "{}", said.err);
}

/// A comment that is made of the output is never empty.
#[test]
fn a_document_is_printed_in_every_case() {
    let broken = TENANT.replace("Acme }", "Acme, plna: gold }");
    let (good, bad, empty) = (folder(&[("a.yaml", TENANT)]), folder(&[("a.yaml", &broken)]), folder(&[]));
    let path = |folder: &tempfile::TempDir| folder.path().to_str().unwrap().to_owned();
    let (good, bad, empty) = (path(&good), path(&bad), path(&empty));
    for (before, after, code, heading, findings) in [
        (&good, &bad, 1, "### No plan: 1 error\n", 1),
        (&bad, &bad, 1, "### No plan: 1 error\n", 1),
        (&good, &empty, 1, "### No plan: 1 error\n", 1),
        (&bad, &good, 0, "### Plan for `local`: 1 to add\n", 0),
        (&empty, &good, 0, "### Plan for `local`: 1 to add\n", 0),
        (&good, &good, 0, "No changes.\n", 0),
        (&"no/such".to_owned(), &good, 2, "### No plan: 1 error\n", 0),
    ] {
        let text = run(["plan", before, after, "-o", "markdown"]);
        assert_eq!(text.code, code, "{}{}", text.out, text.err);
        assert!(text.out.starts_with(&format!("<!-- evenkeel:plan:local -->\n{heading}")), "{}", text.out);
        let json = run(["plan", before, after, "-o", "json"]);
        assert_eq!(json.code, code);
        let document = document(&json);
        assert_eq!(document["plan"].is_null(), code != 0, "{document:#}");
        assert_eq!(document["findings"].as_array().unwrap().len(), findings, "{document:#}");
        assert_eq!(document["error"].is_string(), code == 2, "{document:#}");
    }
    let text = run(["plan", &good, &bad, "-o", "markdown"]).out;
    assert!(text.contains("- **error** `EK") && text.contains("a.yaml:4:28`: "), "{text}");
    assert!(text.contains("help: did you mean `plan`?"), "{text}");
    // Errors of the earlier side are shown beside the plan.
    let said = run(["plan", &bad, &good, "-o", "markdown"]);
    assert!(said.out.contains("has errors; definitions with errors are treated as absent"), "{}", said.out);
    assert!(said.out.contains("<summary>Findings before: 1 error</summary>"), "{}", said.out);
    let document = document(&run(["plan", &bad, &good, "-o", "json"]));
    assert_eq!(document["findingsBefore"][0]["severity"], "error", "{document:#}");
    // The error of a missing revision and of an unreachable server.
    let said = run(["plan", "--from", "no-such", "-o", "markdown"]);
    assert_eq!(said.code, 2);
    assert!(said.out.contains("- **error**: ") && said.out.contains("`no-such`"), "{}", said.out);
    let said = run(["plan", "-e", "live", "--server", "http://127.0.0.1:1", "-o", "markdown"]);
    assert_eq!(said.code, 2);
    assert!(said.out.starts_with("<!-- evenkeel:plan:live -->\n### No plan: 1 error\n"), "{}", said.out);
    assert!(said.out.contains("cannot reach"), "{}", said.out);
}

#[test]
fn the_server_of_the_variable_is_used_for_an_environment_only() {
    let both = copy("tests/plan");
    let server = [("EVENKEEL_SERVER", "http://127.0.0.1:1")];
    // Nothing listens on port 1: only the plan of a server fails.
    let said = plan_in(both.path(), &["-e", "live"], &server);
    assert!(said.code == 2 && said.err.contains("cannot reach http://127.0.0.1:1"), "{}", said.err);
    let said = plan_in(both.path(), &["after"], &[server[0], ("EVENKEEL_ENVIRONMENT", "live")]);
    assert!(said.code == 2 && said.err.contains("cannot reach http://127.0.0.1:1"), "{}", said.err);
    let said = plan_in(both.path(), &["before", "after", "-e", "live"], &server);
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    let said = plan_in(both.path(), &["before", "after", "--server", "http://127.0.0.1:1"], &[]);
    assert!(said.code == 2 && said.err.contains("`--server` plans for one environment"), "{}", said.err);
    let said = plan_in(both.path(), &[], &server);
    assert!(said.code == 2 && said.err.contains("evenkeel plan -e live"), "{}", said.err);
}

#[test]
fn a_source_with_errors_gives_no_plan() {
    let before = folder(&[("a.yaml", TENANT)]);
    let after = folder(&[("a.yaml", &TENANT.replace("Acme }", "Acme, plna: gold }"))]);
    let said = run(["plan".as_ref(), before.path().as_os_str(), after.path().as_os_str()]);
    assert_eq!((said.code, said.out.as_str()), (1, ""));
    assert!(said.err.contains("did you mean `plan`?") && said.err.contains("no plan"), "{}", said.err);
    // Errors in the previous state only exclude the definitions that have them.
    let said = run(["plan".as_ref(), after.path().as_os_str(), before.path().as_os_str()]);
    assert_eq!(said.code, 0);
    assert!(said.out.contains("1 to add") && said.err.contains("has errors"), "{}{}", said.out, said.err);
    // An empty folder does not remove everything.
    let empty = folder(&[]);
    let said = run(["plan".as_ref(), before.path().as_os_str(), empty.path().as_os_str()]);
    assert_eq!((said.code, said.out.as_str()), (1, ""));
    let said = run(["plan".as_ref(), empty.path().as_os_str(), before.path().as_os_str()]);
    assert!(said.code == 0 && said.out.contains("1 to add"), "{}{}", said.out, said.err);
    assert!(said.err.contains("everything is new"), "{}", said.err);
}

#[test]
fn formatting_is_not_a_change() {
    let before = folder(&[("a.yaml", TENANT)]);
    let json = r#"{"kind":"Tenant","spec":{"status":"Active","displayName":"Acme"},"metadata":{"name":"acme"},"apiVersion":"evenkeel.dev/v1alpha1"}"#;
    let after = folder(&[("a.yaml", &format!("# A comment.\n\n{json}"))]);
    let said = run(["plan".as_ref(), before.path().as_os_str(), after.path().as_os_str()]);
    assert_eq!(said.out, "No changes.\n");
    write(&after.path().join("b.json"), json);
    std::fs::remove_file(after.path().join("a.yaml")).unwrap();
    let said = run(["plan".as_ref(), before.path().as_os_str(), after.path().as_os_str()]);
    assert!(said.out.contains("1 to move") && said.out.contains("b.json:1 (was a.yaml:1)"), "{}", said.out);
}

/// Literal credentials are errors, so only the previous state can hold them.
#[test]
fn a_removed_secret_is_not_shown() {
    let connection = |credentials: &str| {
        let head = "apiVersion: evenkeel.dev/v1alpha1\nkind: ";
        format!(
            "{head}Environment\nmetadata: {{ name: live }}\nspec: {{ secrets: {{ key: {{ env: KEY }} }} }}\n---\n\
             {head}Connector\nmetadata: {{ name: c }}\nspec: {{ displayName: C, baseUrl: https://c.example, auth: {{ methods: {{ k: {{ apiKey: {{ name: X }} }} }} }} }}\n---\n\
             {head}Connection\nmetadata: {{ name: c }}\nspec: {{ connector: c, credentials: {{ apiKey: {credentials} }} }}\n"
        )
    };
    let before = folder(&[("a.yaml", &connection("planted-hunter2-0a1b2c3d"))]);
    let after = folder(&[("a.yaml", &connection("{ secretRef: key }"))]);
    for form in ["human", "json", "markdown"] {
        let args = ["plan".as_ref(), before.path().as_os_str(), after.path().as_os_str(), "-o".as_ref(), form.as_ref()];
        let said = run(args);
        assert_eq!(said.code, 0, "{}", said.err);
        assert!(!said.out.contains("planted") && !said.err.contains("planted"), "{}{}", said.out, said.err);
        assert!(said.out.contains("secretRef") && said.out.contains("hidden"), "{}", said.out);
    }
}

#[test]
fn the_environment_must_be_declared() {
    let environment = |args: &[&str]| run(["plan", BEFORE, AFTER, "-o", "json"].iter().chain(args));
    assert_eq!(plan(&environment(&[])).environment, "live");
    assert_eq!(plan(&environment(&["-e", "live"])).environment, "live");
    let said = environment(&["-e", "prod"]);
    assert!(said.code == 2 && said.err.contains("expected one of live"), "{}", said.err);
    let without = folder(&[("a.yaml", TENANT)]);
    let path = without.path().to_string_lossy();
    assert_eq!(plan(&run(["plan", &path, &path, "-e", "prod", "-o", "json"])).environment, "prod");
    assert_eq!(run(["plan", &path, &path, "-e", "no name"]).code, 2);
    assert!(root().join(BEFORE).is_dir());
}

#[test]
fn a_changed_code_file_changes_its_definition() {
    let workflow = "apiVersion: evenkeel.dev/v1alpha1\nkind: Workflow\nmetadata: { name: greet }\nspec: { tier: Instant, source: { file: \
                    greet.ts } }\n";
    let with = |code: &str| folder(&[("a.yaml", workflow), ("greet.ts", code)]);
    let (before, after) = (with("export default async () => 1\n"), with("export default async () => 2\n"));
    let said =
        run(["plan".as_ref(), before.path().as_os_str(), after.path().as_os_str(), "-o".as_ref(), "json".as_ref()]);
    let changes = plan(&said);
    assert_eq!(changes.actions.len(), 1, "{}{}", said.out, said.err);
    assert_eq!((changes.actions[0].action, changes.actions[0].id.to_string()), (Verb::Update, "Workflow/greet".into()));
    let diff = ["@@ -1 +1 @@", "-export default async () => 1", "+export default async () => 2"];
    assert_eq!(
        (changes.actions[0].files[0].path.as_str(), &changes.actions[0].files[0].lines[..]),
        ("greet.ts", &diff.map(str::to_owned)[..])
    );
    for form in ["human", "markdown"] {
        let args = ["plan".as_ref(), before.path().as_os_str(), after.path().as_os_str(), "-o".as_ref(), form.as_ref()];
        let text = run(args).out;
        assert!(
            text.contains("- export default async () => 1\n") && text.contains("+ export default async () => 2\n"),
            "{text}"
        );
        // The digest of the plan, and none of a file.
        assert_eq!(text.matches("sha256:").count(), 1, "{text}");
    }
    // Equal between two revisions.
    let git = |args: &[&str]| {
        let mut command = std::process::Command::new("git");
        command.args(["-c", "user.name=a", "-c", "user.email=a@b.example"]).args(args).current_dir(before.path());
        assert!(command.output().unwrap().status.success(), "git {args:?}");
    };
    git(&["init", "--quiet"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "-m", "one"]);
    write(&before.path().join("greet.ts"), "export default async () => 2\n");
    git(&["commit", "--quiet", "-am", "two"]);
    let path = before.path().to_str().unwrap();
    let said = run(["plan", "--from", "HEAD~1", "--to", "HEAD", path, "-o", "json"]);
    assert_eq!(plan(&said).actions[0].after, changes.actions[0].after, "{}{}", said.out, said.err);
    assert!(
        run(["plan", "--from", "HEAD", path]).out.starts_with("No changes"),
        "{}",
        run(["plan", "--from", "HEAD", path]).out
    );
}

#[test]
fn places_are_paths_of_the_repository_with_addresses_in_a_job() {
    let work = folder(&[("defs/in/a.yaml", TENANT), ("defs/gone.yaml", &TENANT.replace("acme", "gone"))]);
    let git = |args: &[&str]| {
        let mut command = std::process::Command::new("git");
        command.args(["-c", "user.name=a", "-c", "user.email=a@b.example"]).args(args).current_dir(work.path());
        let output = command.output().unwrap();
        assert!(output.status.success(), "git {args:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    git(&["init", "--quiet", "--initial-branch=main"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "-m", "one"]);
    let base = git(&["rev-parse", "HEAD"]);
    write(&work.path().join("defs/in/a.yaml"), &TENANT.replace("Acme", "Acme Ltd"));
    std::fs::remove_file(work.path().join("defs/gone.yaml")).unwrap();
    let head = "4f0c2d1a3b5e6f70819243546576879809a0b1c2";
    let github =
        [("GITHUB_SERVER_URL", "https://git.example"), ("GITHUB_REPOSITORY", "acme/definitions"), ("GITHUB_SHA", head)];
    let text = plan_in(work.path(), &["--from", "main", "defs", "-o", "markdown"], &github).out;
    let files = "https://git.example/acme/definitions/blob";
    assert!(text.contains(&format!("[`defs/in/a.yaml:1`]({files}/{head}/defs/in/a.yaml#L1)")), "{text}");
    assert!(text.contains(&format!("[`defs/gone.yaml:1`]({files}/{base}/defs/gone.yaml#L1)")), "{text}");
    assert!(
        text.contains(&format!("`main@{}` → `defs`", &base[..10])) && !text.contains(&format!("`main@{base}")),
        "{text}"
    );
    let gitlab = [("CI_PROJECT_URL", "https://gitlab.example/acme/definitions"), ("CI_COMMIT_SHA", head)];
    let text = plan_in(&work.path().join("defs"), &["--from", &base, "-o", "markdown"], &gitlab).out;
    assert!(
        text.contains(&format!("(https://gitlab.example/acme/definitions/-/blob/{head}/defs/in/a.yaml#L1)")),
        "{text}"
    );
    let document = document(&plan_in(work.path(), &["--from", "main", "defs", "-o", "json"], &github));
    assert_eq!(
        (&document["before"]["commit"], &document["after"]["folder"]),
        (&base.into(), &"defs".into()),
        "{document:#}"
    );
    // Findings too.
    write(&work.path().join("defs/in/a.yaml"), &TENANT.replace("Acme }", "Acme, plna: gold }"));
    let text = plan_in(work.path(), &["--from", "main", "defs", "-o", "markdown"], &github).out;
    assert!(text.contains(&format!("[`defs/in/a.yaml:4:28`]({files}/{head}/defs/in/a.yaml#L4)")), "{text}");
    // Outside of a job there are no addresses.
    let text = plan_in(work.path(), &["--from", "main", "defs", "-o", "markdown"], &[]).out;
    assert!(text.contains("`defs/in/a.yaml:4:28`") && !text.contains("]("), "{text}");
}
