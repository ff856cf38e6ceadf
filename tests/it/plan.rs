//! `evenkeel plan` without a server: output forms, exit codes and saved plans.

use evenkeel::plan::{ChangeClass, Plan, Verb};

use crate::support::{folder, golden, root, run, write};

const BEFORE: &str = "tests/plan/before";
const AFTER: &str = "tests/plan/after";

const TENANT: &str =
    "apiVersion: evenkeel.dev/v1alpha1\nkind: Tenant\nmetadata: { name: acme }\nspec: { displayName: Acme }\n";

fn plan(text: &str) -> Plan {
    Plan::from_json(text).unwrap_or_else(|error| panic!("{error}:\n{text}"))
}

#[test]
fn output_forms_match_the_golden_files() {
    for (form, file) in
        [("human", "tests/plan/plan.txt"), ("json", "tests/plan/plan.json"), ("markdown", "tests/plan/plan.md")]
    {
        let said = run(["plan", BEFORE, AFTER, "-o", form]);
        assert_eq!((said.code, said.err.as_str()), (0, ""));
        golden(file, &said.out);
        assert_eq!(run(["plan", BEFORE, AFTER, "-o", form]).out, said.out);
    }
}

/// The golden files show every verb and every class.
#[test]
fn the_golden_plan_has_every_verb_and_class() {
    let plan = plan(&run(["plan", BEFORE, AFTER, "-o", "json"]).out);
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
    assert_eq!(saved, said.out);
    let saved = plan(&saved);
    let back = plan(&run(["plan", AFTER, BEFORE, "-o", "json"]).out);
    assert_eq!((saved.from, saved.to), (back.to, back.from));
    let contents = |plan: &Plan| {
        let mut all: Vec<_> = plan.actions.iter().map(|a| (a.id.clone(), a.action, a.before, a.after)).collect();
        all.sort();
        all
    };
    assert_eq!(contents(&saved.inverse()), contents(&back));
    let said = run(["plan", BEFORE, AFTER, "--out", "no/such/folder/plan.json"]);
    assert!(said.code == 1 && said.err.contains("cannot write"), "{}", said.err);
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
    assert_eq!(plan(&environment(&[]).out).environment, "live");
    assert_eq!(plan(&environment(&["-e", "live"]).out).environment, "live");
    let said = environment(&["-e", "prod"]);
    assert!(said.code == 1 && said.err.contains("expected one of live"), "{}", said.err);
    let without = folder(&[("a.yaml", TENANT)]);
    let path = without.path().to_string_lossy();
    assert_eq!(plan(&run(["plan", &path, &path, "-e", "prod", "-o", "json"]).out).environment, "prod");
    assert_eq!(run(["plan", &path, &path, "-e", "no name"]).code, 1);
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
    let changes = plan(&said.out);
    assert_eq!(changes.actions.len(), 1, "{}{}", said.out, said.err);
    assert_eq!((changes.actions[0].action, changes.actions[0].id.to_string()), (Verb::Update, "Workflow/greet".into()));
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
    assert_eq!(plan(&said.out).actions[0].after, changes.actions[0].after, "{}{}", said.out, said.err);
    assert!(
        run(["plan", "--from", "HEAD", path]).out.starts_with("No changes"),
        "{}",
        run(["plan", "--from", "HEAD", path]).out
    );
}
