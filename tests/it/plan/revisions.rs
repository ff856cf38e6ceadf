//! `evenkeel plan --from`: the compared commits, and repositories that cannot be read.

use std::path::Path;

use crate::support::{Said, folder, run, write};

fn tenant(name: &str, plan: &str) -> String {
    format!(
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Tenant\nmetadata: {{ name: {name} }}\nspec: {{ displayName: X, plan: {plan} }}\n"
    )
}

fn try_git(folder: &Path, args: &[&str]) -> Option<String> {
    let mut command = std::process::Command::new("git");
    let identity = ["-c", "user.name=a", "-c", "user.email=a@b.example", "-c", "protocol.file.allow=always"];
    let output = command.args(identity).args(args).current_dir(folder).output().unwrap();
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn git(folder: &Path, args: &[&str]) -> String {
    try_git(folder, args).unwrap_or_else(|| panic!("git {args:?}"))
}

fn commit(folder: &Path, files: &[(&str, &str)]) -> String {
    for (path, text) in files {
        write(&folder.join(path), text);
    }
    git(folder, &["add", "."]);
    git(folder, &["commit", "--quiet", "-m", "a change"]);
    git(folder, &["rev-parse", "HEAD"])
}

/// A repository whose branch `work` is behind `main`: each has a tenant of its own beside a common one.
fn diverged() -> (tempfile::TempDir, String) {
    let folder = folder(&[]);
    let path = folder.path();
    git(path, &["init", "--quiet", "--initial-branch=main"]);
    let base = commit(path, &[("both.yaml", &tenant("both", "a"))]);
    git(path, &["branch", "work"]);
    commit(path, &[("others.yaml", &tenant("others", "a"))]);
    git(path, &["checkout", "--quiet", "work"]);
    commit(path, &[("own.yaml", &tenant("own", "a"))]);
    (folder, base)
}

fn plan(folder: &Path, args: &[&str]) -> Said {
    run([&["plan", folder.to_str().unwrap()], args].concat())
}

#[test]
fn a_branch_behind_another_is_compared_with_the_merge_base() {
    let (folder, base) = diverged();
    let note = format!("compared with the merge base of `main` and `HEAD`, {}", &base[..10]);
    for from in ["main", "main..."] {
        let said = plan(folder.path(), &["--from", from]);
        assert_eq!(said.code, 0, "{}", said.err);
        assert!(said.out.contains("1 to add") && said.out.contains("Tenant/own"), "{}", said.out);
        assert!(!said.out.contains("Tenant/others"), "the work of others is no removal: {}", said.out);
        assert!(said.err.contains(&note), "{}", said.err);
    }
    // Two revisions as well, and in a review.
    let said = plan(folder.path(), &["--from", "main", "--to", "work", "-o", "markdown"]);
    assert!(said.out.contains(&format!("merge base of `main` and `work`, {}", &base[..10])), "{}", said.out);
    assert!(said.out.contains("1 to add") && !said.out.contains("others"), "{}", said.out);
    let document: serde_json::Value =
        serde_json::from_str(&plan(folder.path(), &["--from", "main", "-o", "json"]).out).unwrap();
    assert_eq!(document["before"]["commit"], base.as_str(), "{document:#}");
    assert!(document["notes"][0].as_str().unwrap().starts_with(&note), "{document:#}");
    // An ancestor is its own merge base.
    for from in [base.as_str(), "HEAD~1"] {
        let said = plan(folder.path(), &["--from", from]);
        assert!(said.out.contains("1 to add") && !said.err.contains("merge base"), "{}{}", said.out, said.err);
    }
}

#[test]
fn two_dots_compare_with_the_revision_itself() {
    let (folder, _) = diverged();
    let main = git(folder.path(), &["rev-parse", "main"]);
    for from in ["main..", &format!("{main}..")] {
        let said = plan(folder.path(), &["--from", from]);
        assert!(said.out.contains("1 to add") && said.out.contains("1 to remove"), "{from}: {}{}", said.out, said.err);
        assert!(said.out.contains("Tenant/others") && !said.err.contains("merge base"), "{}{}", said.out, said.err);
    }
}

#[test]
fn revisions_without_a_common_ancestor_are_an_error() {
    let (folder, _) = diverged();
    git(folder.path(), &["checkout", "--quiet", "--orphan", "other"]);
    commit(folder.path(), &[("new.yaml", &tenant("new", "a"))]);
    let said = plan(folder.path(), &["--from", "main"]);
    assert!(said.code == 2 && said.err.contains("`main` and `HEAD` have no common ancestor"), "{}", said.err);
    assert!(said.err.contains("`main..`"), "{}", said.err);
    assert_eq!(plan(folder.path(), &["--from", "main.."]).code, 0);
}

#[test]
fn a_shallow_clone_without_the_merge_base_is_named() {
    let (origin, _) = diverged();
    let clones = folder(&[]);
    let url = format!("file://{}", origin.path().display());
    git(clones.path(), &["clone", "--quiet", "--depth=1", "--branch=work", "--no-single-branch", &url, "clone"]);
    let clone = clones.path().join("clone");
    let said = plan(&clone, &["--from", "origin/main"]);
    let names =
        ["this clone is shallow", "merge base of `origin/main` and `HEAD`", "git fetch --unshallow", "fetch-depth: 0"];
    for name in names {
        assert!(said.code == 2 && said.err.contains(name), "{name}: {}", said.err);
    }
    // A commit that is not in the clone.
    let said = plan(&clone, &["--from", "HEAD~1"]);
    assert!(said.code == 2 && said.err.contains("this clone is shallow"), "{}", said.err);
    assert_eq!(plan(&clone, &["--from", "origin/main.."]).code, 0);
    git(&clone, &["fetch", "--quiet", "--unshallow"]);
    let said = plan(&clone, &["--from", "origin/main"]);
    assert!(said.code == 0 && said.out.contains("1 to add"), "{}", said.err);
}

#[test]
fn repositories_of_other_formats_are_named_with_a_remedy() {
    let named = |folder: &Path, parts: &[&str]| {
        for revision in ["HEAD", "main", "main.."] {
            let said = plan(folder, &["--from", revision]);
            for part in parts {
                assert!(said.code == 2 && said.err.contains(part), "{part}: {}", said.err);
            }
        }
    };
    // A Git that cannot create the format does not matter: the mark in the settings is recognised.
    let marked = |extension: &str, value: &str| {
        let (folder, _) = diverged();
        git(folder.path(), &["config", "core.repositoryformatversion", "1"]);
        git(folder.path(), &["config", &format!("extensions.{extension}"), value]);
        folder
    };
    named(marked("refstorage", "reftable").path(), &["reftable", "git refs migrate --ref-format=files"]);
    named(marked("compatObjectFormat", "sha256").path(), &["`compatobjectformat`", "compares two folders"]);
    let sha256 = folder(&[("a.yaml", &tenant("a", "b"))]);
    git(sha256.path(), &["init", "--quiet", "--initial-branch=main", "--object-format=sha256"]);
    git(sha256.path(), &["add", "."]);
    git(sha256.path(), &["commit", "--quiet", "-m", "one"]);
    named(sha256.path(), &["SHA-256", "compares two folders"]);
    // A worktree shares the settings of its repository.
    let trees = folder(&[]);
    let tree = trees.path().join("tree");
    git(sha256.path(), &["worktree", "add", "--quiet", "--detach", tree.to_str().unwrap()]);
    named(&tree, &["SHA-256"]);
}

#[test]
fn a_partial_clone_is_named_with_a_remedy() {
    let (origin, _) = diverged();
    git(origin.path(), &["config", "uploadpack.allowFilter", "true"]);
    let clones = folder(&[]);
    let url = format!("file://{}", origin.path().display());
    git(clones.path(), &["clone", "--quiet", "--filter=blob:none", "--branch=work", &url, "clone"]);
    let clone = clones.path().join("clone");
    let named =
        |said: &Said| said.code == 2 && said.err.contains("is partial") && said.err.contains("without `--filter`");
    // The checkout has the objects of the merge base, and lacks those of the other branch.
    let said = plan(&clone, &["--from", "origin/main.."]);
    assert!(named(&said), "{}", said.err);
    git(&clone, &["checkout", "--quiet", "origin/main"]);
    git(&clone, &["checkout", "--quiet", "work"]);
    assert_eq!(plan(&clone, &["--from", "origin/main.."]).code, 0, "Git has fetched them");
    // Older versions of Git make it an extension of the format.
    git(&clone, &["config", "core.repositoryformatversion", "1"]);
    git(&clone, &["config", "extensions.partialclone", "origin"]);
    let said = plan(&clone, &["--from", "origin/main"]);
    assert!(named(&said), "{}", said.err);
}

/// A checkout with the line ends of Windows, as `core.autocrlf` makes it: `git status` shows no change.
#[test]
fn a_checkout_with_other_line_ends_changes_nothing() {
    let workflow = "apiVersion: evenkeel.dev/v1alpha1\nkind: Workflow\nmetadata: { name: greet }\nspec:\n  tier: Instant\n  \
                    description: |\n    Greets.\n\n    Twice.\n  source: { file: greet.ts }\n";
    let code = "export default async () => {\n  return `a\nb`;\n};\n";
    let inline = "apiVersion: evenkeel.dev/v1alpha1\nkind: Workflow\nmetadata: { name: inline }\nspec:\n  tier: Instant\n  \
                  source:\n    inline: |\n      export default async () => {\n        return 1;\n      };\n";
    let folder = folder(&[]);
    let path = folder.path();
    git(path, &["init", "--quiet", "--initial-branch=main"]);
    let text = tenant("a", "'two\n\n    lines'");
    commit(path, &[("greet.yaml", workflow), ("greet.ts", code), ("inline.yaml", inline), ("a.yaml", &text)]);
    git(path, &["config", "core.autocrlf", "true"]);
    for file in ["greet.yaml", "greet.ts", "inline.yaml", "a.yaml"] {
        std::fs::remove_file(path.join(file)).unwrap();
    }
    git(path, &["checkout", "--quiet", "."]);
    assert!(std::fs::read_to_string(path.join("greet.ts")).unwrap().contains("{\r\n"));
    assert_eq!(git(path, &["status", "--porcelain"]), "");
    let said = plan(path, &["--from", "HEAD", "--detailed-exitcode"]);
    assert_eq!((said.code, said.out.as_str()), (0, "No changes.\n"), "{}", said.err);
}

#[test]
fn a_submodule_is_passed_over_on_both_sides_with_a_warning() {
    let library = folder(&[]);
    git(library.path(), &["init", "--quiet", "--initial-branch=main"]);
    commit(library.path(), &[("theirs.yaml", &tenant("theirs", "a"))]);
    let folder = folder(&[]);
    let path = folder.path();
    git(path, &["init", "--quiet", "--initial-branch=main"]);
    git(path, &["submodule", "--quiet", "add", library.path().to_str().unwrap(), "vendor/lib"]);
    commit(path, &[("own.yaml", &tenant("own", "a"))]);
    assert!(path.join("vendor/lib/theirs.yaml").is_file());
    let said = plan(path, &["--from", "HEAD", "--detailed-exitcode"]);
    assert_eq!((said.code, said.out.as_str()), (0, "No changes.\n"), "{}", said.err);
    let said = run(["validate", path.to_str().unwrap()]);
    assert!(said.code == 0 && said.out.contains("EK0017") && said.out.contains("`vendor/lib`"), "{}", said.out);
    let said = run(["validate", path.join("vendor/lib").to_str().unwrap()]);
    assert!(said.code == 0 && !said.out.contains("EK0017"), "the submodule itself: {}", said.out);
    // An ignored folder needs no warning.
    write(&path.join(".evenkeelignore"), "vendor/\n");
    assert!(!run(["validate", path.to_str().unwrap()]).out.contains("EK0017"));
    // A folder that holds nothing else has no definitions.
    std::fs::remove_file(path.join(".evenkeelignore")).unwrap();
    std::fs::remove_file(path.join("own.yaml")).unwrap();
    let said = run(["validate", path.to_str().unwrap()]);
    assert!(said.code == 1 && said.out.contains("holds no definitions"), "{}", said.out);
    // Clones beside each other, in no repository, are ordinary folders.
    let clones = crate::support::folder(&[]);
    git(clones.path(), &["clone", "--quiet", library.path().to_str().unwrap(), "one"]);
    let said = run(["validate", clones.path().to_str().unwrap()]);
    assert!(said.code == 0 && said.out.contains("1 definition"), "{}", said.out);
}
