//! `evenkeel init`: everything that it writes works.

use std::process::{Command, Stdio};

use super::{is_clean, names};
use crate::support::{copy, evenkeel, folder, run, said};

/// The first line of each definition: the schema for editors, stored in the project.
const SCHEMA_LINE: &str = "# yaml-language-server: $schema=.evenkeel/schemas/definition.json\n";

const AROUND: [&str; 5] =
    [".evenkeel/schemas/definition.json", ".gitignore", "README.md", "evenkeel.d.ts", "tsconfig.json"];

#[test]
fn both_templates_are_clean_and_complete() {
    for (template, definitions) in [
        ("tour", &["1-environment.yaml", "2-connector.yaml", "3-workflow.yaml", "4-tenant.yaml", "welcome.ts"][..]),
        ("minimal", &["environment.yaml", "example.connector.yaml"]),
    ] {
        let project = tempfile::tempdir().unwrap();
        let path = project.path().join("definitions");
        let said = run(["init".as_ref(), path.as_os_str(), "--template".as_ref(), template.as_ref()]);
        assert_eq!(said.code, 0, "{}", said.err);
        let mut expected = [definitions, &AROUND].concat();
        expected.sort_unstable();
        assert_eq!(names(&path), expected, "{template}");
        is_clean(&path);
        let text = |name: &str| std::fs::read_to_string(path.join(name)).unwrap();
        for name in definitions.iter().filter(|name| name.ends_with(".yaml")) {
            assert!(text(name).starts_with(SCHEMA_LINE), "{name}");
        }
        assert_eq!(text(AROUND[0]), run(["schema"]).out, "the schema that editors complete from");
        assert_eq!(text("evenkeel.d.ts"), run(["types".as_ref(), path.as_os_str()]).out);
        assert!(said.err.contains("evenkeel validate") && said.err.contains("evenkeel dev"), "{}", said.err);
        assert!(!said.err.contains("kept"), "{}", said.err);
    }
}

#[test]
fn the_code_of_the_tour_is_typed() {
    let project = tempfile::tempdir().unwrap();
    assert_eq!(run(["init".as_ref(), project.path().as_os_str()]).code, 0);
    let text = |name: &str| std::fs::read_to_string(project.path().join(name)).unwrap();
    assert!(text("welcome.ts").contains("(ctx: WelcomeCtx)"), "{}", text("welcome.ts"));
    assert!(
        text("evenkeel.d.ts").contains("interface WelcomeCtx") || text("evenkeel.d.ts").contains("type WelcomeCtx")
    );
    let settings: serde_json::Value = serde_json::from_str(&text("tsconfig.json")).unwrap();
    assert_eq!(settings["compilerOptions"]["strict"], true);
    // The compiler of TypeScript is not part of Evenkeel; where it is installed, it agrees.
    let compiled = Command::new("tsc").arg("--project").arg(project.path()).stdin(Stdio::null()).output();
    if let Ok(output) = compiled {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn nothing_is_replaced() {
    let project = folder(&[("2-connector.yaml", "mine"), ("README.md", "mine"), (".gitignore", "mine")]);
    let refused = run(["init".as_ref(), project.path().as_os_str()]);
    assert_eq!(refused.code, 2);
    assert!(refused.err.contains("2-connector.yaml; nothing was written"), "{}", refused.err);
    assert_eq!(names(project.path()).len(), 3);
    std::fs::remove_file(project.path().join("2-connector.yaml")).unwrap();
    let written = run(["init".as_ref(), project.path().as_os_str()]);
    assert_eq!(written.code, 0, "{}", written.err);
    for name in ["README.md", ".gitignore"] {
        assert_eq!(std::fs::read_to_string(project.path().join(name)).unwrap(), "mine", "{name}");
        assert!(written.err.contains(&format!("{name}, which exists")), "{}", written.err);
    }
    is_clean(project.path());
}

#[test]
fn the_definitions_of_the_tour_are_the_quickstart() {
    let (project, quickstart) = (tempfile::tempdir().unwrap(), copy("examples/quickstart"));
    assert_eq!(run(["init".as_ref(), project.path().as_os_str()]).code, 0);
    for name in names(quickstart.path()) {
        let read = |folder: &tempfile::TempDir| std::fs::read_to_string(folder.path().join(&name)).unwrap();
        let written = read(&project);
        assert_eq!(written.strip_prefix(SCHEMA_LINE).unwrap_or(&written), read(&quickstart), "{name}");
    }
}

/// The commands of a job: its lines that run `evenkeel`.
fn commands(job: &str) -> Vec<String> {
    let lines = job.lines().map(|line| line.trim().trim_start_matches("- ").trim_start_matches("run: "));
    lines.filter(|line| line.starts_with("evenkeel ")).map(str::to_owned).collect()
}

#[test]
fn the_ci_jobs_validate_test_and_plan() {
    for (host, file) in [("github", ".github/workflows/evenkeel.yaml"), ("gitlab", ".gitlab/evenkeel.yml")] {
        let repository = tempfile::tempdir().unwrap();
        let git = |args: &[&str]| {
            let mut git = Command::new("git");
            let done = crate::git_server::isolated(git.args(args)).current_dir(repository.path()).output().unwrap();
            assert!(done.status.success(), "{args:?}: {done:?}");
            String::from_utf8(done.stdout).unwrap().trim().to_owned()
        };
        git(&["init", "--quiet", "--initial-branch=main"]);
        let path = repository.path().join("our definitions");
        let init = ["init".as_ref(), path.as_os_str(), "--template".as_ref(), "minimal".as_ref()];
        let written = run(init.into_iter().chain(["--ci".as_ref(), host.as_ref()]));
        assert_eq!(written.code, 0, "{}", written.err);
        assert!(written.err.contains("EVENKEEL_ARCHIVE"), "{}", written.err);
        git(&["add", "."]);
        git(&["-c", "user.name=Ada", "-c", "user.email=ada@git.test", "commit", "--quiet", "-m", "definitions"]);
        git(&["update-ref", "refs/remotes/origin/main", "HEAD"]);
        let base = git(&["rev-parse", "HEAD"]);
        let connector = path.join("example.connector.yaml");
        let text = std::fs::read_to_string(&connector).unwrap().replace("title: Get item", "title: Get one item");
        std::fs::write(&connector, text).unwrap();

        let job = std::fs::read_to_string(repository.path().join(file)).unwrap();
        let commands = commands(&job);
        assert_eq!(commands.len(), 3, "{job}");
        let folder_of_binary = std::path::Path::new(env!("CARGO_BIN_EXE_evenkeel")).parent().unwrap();
        let search = std::env::join_paths(
            [folder_of_binary.to_owned()].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
        );
        let search = search.unwrap();
        for command in &commands {
            let mut shell = Command::new("sh");
            let ran = crate::git_server::isolated(shell.args(["-c", command]))
                .current_dir(repository.path())
                .env("PATH", &search)
                .env("GITHUB_BASE_REF", "main")
                .env("GITHUB_STEP_SUMMARY", repository.path().join("summary.md"))
                .env("CI_MERGE_REQUEST_DIFF_BASE_SHA", &base)
                .output()
                .unwrap();
            assert!(ran.status.success(), "{command}: {ran:?}");
        }
        let plan = match host {
            "github" => repository.path().join("summary.md"),
            _ => repository.path().join("plan.md"),
        };
        let plan = std::fs::read_to_string(plan).unwrap();
        assert!(plan.contains("Get one item"), "{plan}");
        // The job of a mistake fails.
        std::fs::write(&connector, "apiVersion: evenkeel.dev/v1alpha1\nkind: Connector\n").unwrap();
        let mut shell = Command::new("sh");
        let ran = shell.args(["-c", &commands[0]]).current_dir(repository.path()).env("PATH", &search).output();
        assert!(!ran.unwrap().status.success());
        if host == "gitlab" {
            assert!(std::fs::read_to_string(repository.path().join(".gitlab-ci.yml")).unwrap().contains(file));
        }
    }
}

#[test]
fn an_unknown_template_names_the_known_ones() {
    let refused = said(&evenkeel().args(["init", "--template", "full"]).output().unwrap());
    assert_eq!(refused.code, 2);
    assert!(refused.err.contains("minimal") && refused.err.contains("tour"), "{}", refused.err);
}
