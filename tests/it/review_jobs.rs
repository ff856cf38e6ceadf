//! The jobs that review a change: the GitHub Action, the GitLab template and the hooks of pre-commit. Their shell steps run
//! in a temporary repository, with the real binary and stand-ins for `gh` and `curl`; nothing reaches a network.

mod github;
mod gitlab;
mod hooks;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use evenkeel::text::{self, ReadLimits, SourceMap};
use serde_json::Value;

use crate::git_server::isolated;
use crate::support::{Said, copy, root, said, write};

/// A change of the definitions.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Head {
    /// A new definition.
    Good,
    /// A new definition with an unknown field.
    Broken,
    /// A changed line of code beside a workflow.
    Code,
}

/// A repository with definitions on its branch and a change in its folder, and programs for its jobs.
struct Checkout {
    folder: tempfile::TempDir,
    /// The folder of programs, and the files of the stand-ins.
    programs: tempfile::TempDir,
    base: String,
}

impl Checkout {
    /// A checkout whose jobs find the built binary on the path.
    fn with(head: Head) -> Checkout {
        let folder = tempfile::tempdir().unwrap();
        let definitions = folder.path().join("definitions");
        std::fs::rename(copy("examples/quickstart").path(), &definitions).unwrap();
        let programs = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_evenkeel"), programs.path().join("evenkeel")).unwrap();
        let mut checkout = Checkout { folder, programs, base: String::new() };
        checkout.git(&["init", "--quiet", "--initial-branch=main"]);
        checkout.git(&["add", "--all", "."]);
        checkout.git(&["commit", "--quiet", "-m", "base"]);
        checkout.base = checkout.git(&["rev-parse", "HEAD"]);
        checkout.change(head);
        checkout
    }

    /// Replaces the change.
    fn change(&self, head: Head) {
        self.git(&["checkout", "--quiet", "."]);
        self.git(&["clean", "--quiet", "--force", "-d"]);
        let file = |name: &str| self.folder.path().join("definitions").join(name);
        let tenant = "apiVersion: evenkeel.dev/v1alpha1\nkind: Tenant\nmetadata: { name: globex }\nspec: { displayName: Globex }\n";
        match head {
            Head::Good => write(&file("tenant.yaml"), tenant),
            Head::Broken => write(&file("tenant.yaml"), &tenant.replace("Globex }", "Globex, plna: gold }")),
            Head::Code => {
                let code = std::fs::read_to_string(file("welcome.ts")).unwrap();
                write(&file("welcome.ts"), &code.replace("// Stored across", "// Counted across"));
            }
        }
    }

    fn git(&self, args: &[&str]) -> String {
        let mut command = Command::new("git");
        for name in ["GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"] {
            command.env(name, "ada@git.test");
        }
        let output = isolated(&mut command).current_dir(self.folder.path()).args(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Adds a program to the path.
    fn program(&self, name: &str, script: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.programs.path().join(name);
        write(&path, script);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// A file beside the programs, such as the state of a stand-in.
    fn file(&self, name: &str) -> PathBuf {
        self.programs.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.file(name)).unwrap_or_default()
    }

    /// Runs a script with a shell and only these variables.
    fn shell(&self, shell: &[&str], script: &str, variables: &BTreeMap<String, String>) -> Said {
        let mut command = Command::new(shell[0]);
        command.args(&shell[1..]).arg("-c").arg(script).current_dir(self.folder.path()).env_clear();
        isolated(&mut command).envs(variables);
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", self.programs.path().display()));
        command.env("HOME", self.programs.path());
        said(&command.output().unwrap())
    }
}

/// The documents of a YAML file of this repository.
fn documents(path: &str) -> Vec<Value> {
    let yaml = std::fs::read_to_string(root().join(path)).unwrap();
    let (mut sources, mut findings) = (SourceMap::default(), Vec::new());
    let read = text::read(&mut sources, path, yaml.as_bytes(), &ReadLimits::default(), &mut findings);
    let errors: Vec<&str> = findings.iter().map(|finding| finding.message.as_str()).collect();
    assert!(errors.is_empty(), "{path}: {errors:?}");
    read.iter().map(|document| document.root.to_json()).filter(|value| !value.is_null()).collect()
}

/// A folder like that of a release: an archive with a program that prints its version, and the sums of its files.
fn release(folder: &Path, target: &str) {
    let version = env!("CARGO_PKG_VERSION");
    let name = format!("evenkeel-{version}-{target}");
    write(&folder.join(&name).join("evenkeel"), "#!/bin/sh\necho evenkeel of the release\n");
    let script = format!(
        "chmod 755 {name}/evenkeel && tar -czf {name}.tar.gz {name} && rm -r {name} && sha256sum {name}.tar.gz >SHA256SUMS"
    );
    let output = Command::new("sh").args(["-ec", &script]).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Checks the comment about a change.
fn check_comment(head: Head, body: &str) {
    assert!(body.starts_with("<!-- evenkeel:review:definitions: -->\n"), "{body}");
    assert!(body.trim().lines().count() > 3, "{body}");
    let shown = match head {
        Head::Good => "1 to add",
        Head::Broken => "### No plan: 1 error",
        Head::Code => "+   // Counted across executions, per tenant.",
    };
    assert!(body.contains(shown), "{body}");
    if head == Head::Broken {
        assert!(body.contains("definitions/tenant.yaml:4:30`") && body.contains("did you mean `plan`?"), "{body}");
    }
}

/// The versions that the jobs download are the one that is released with them.
#[test]
fn jobs_download_the_version_of_this_repository() {
    let version = Value::from(env!("CARGO_PKG_VERSION"));
    assert_eq!(documents("action.yml")[0]["inputs"]["version"]["default"], version);
    assert_eq!(documents("ci/gitlab.yml")[0]["spec"]["inputs"]["version"]["default"], version);
}
