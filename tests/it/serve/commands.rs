//! Commands beside a running server: plans of two revisions, keys, a requested pass.

use std::path::Path;
use std::process::Command;

use evenkeel::store::{CredentialId, Keys, SecretBytes, Store, open};
use serde_json::Value;

use super::{World, is_ready, saying};
use crate::git_server::isolated;
use crate::support::{Said, evenkeel, folder, run, said, write};

pub fn git(folder: &Path, args: &[&str]) -> String {
    let mut command = Command::new("git");
    for name in ["GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"] {
        command.env(name, "ada@git.test");
    }
    let output = isolated(&mut command).arg("-C").arg(folder).args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn two_revisions_of_a_repository_are_planned() {
    let checkout = folder(&[("definitions/a.yaml", &saying("a", "first")), ("README.md", "hello")]);
    let commit = |message: &str| {
        git(checkout.path(), &["add", "--all", "."]);
        git(checkout.path(), &["commit", "--quiet", "-m", message]);
        git(checkout.path(), &["rev-parse", "HEAD"])
    };
    git(checkout.path(), &["init", "--quiet", "--initial-branch=main"]);
    let first = commit("first");
    git(checkout.path(), &["tag", "v1"]);
    write(&checkout.path().join("definitions/a.yaml"), &saying("a", "second"));
    write(&checkout.path().join("definitions/b.yaml"), &saying("b", "new"));
    let second = commit("second");
    write(&checkout.path().join("README.md"), "hello again");
    let third = commit("only text");
    let definitions = checkout.path().join("definitions");
    let plan = |from: &str, to: &str, more: &[&str]| {
        let path = definitions.to_str().unwrap();
        run([&["plan", path, "--from", from, "--to", to, "--detailed-exitcode", "-o", "json"], more].concat())
    };
    let changed = plan(&first, &second, &[]);
    assert_eq!(changed.code, 2, "{}{}", changed.out, changed.err);
    let shown = &serde_json::from_str::<Value>(&changed.out).unwrap()["plan"];
    assert_eq!((&shown["summary"]["create"], &shown["summary"]["update"]), (&1.into(), &1.into()), "{shown:#}");
    let named = &serde_json::from_str::<Value>(&plan("v1", "HEAD^", &[]).out).unwrap()["plan"];
    assert_eq!((&named["from"], &named["to"]), (&shown["from"], &shown["to"]), "names of the same");
    assert_eq!(plan(&first, &second, &[]).out, changed.out, "to the byte");
    for (from, to) in [(&second, &third), (&first, &first)] {
        let equal = plan(from, to, &[]);
        assert_eq!(equal.code, 0, "{}{}", equal.out, equal.err);
    }
    // The folder with a change that is not committed.
    write(&definitions.join("c.yaml"), &saying("c", "uncommitted"));
    assert_eq!(plan(&second, &third, &[]).code, 0, "the folder is not looked at where two revisions are named");
    let now = run(["plan", definitions.to_str().unwrap(), "--from", "HEAD", "--detailed-exitcode"]);
    assert_eq!((now.code, now.out.contains("Connector/c")), (2, true), "{}{}", now.out, now.err);
    let missing = plan("nope", "main", &[]);
    assert_eq!(missing.code, 1, "an error is no change: {}", missing.out);
    assert!(missing.err.contains("nope"), "{}", missing.err);
}

#[test]
fn changed_code_beside_a_workflow_is_planned_offline_as_on_the_server() {
    let workflow = "apiVersion: evenkeel.dev/v1alpha1\nkind: Workflow\nmetadata: { name: sync }\nspec: { tier: Standard, \
                    source: { file: sync.ts } }\n";
    let before = [("w/sync.yaml", workflow), ("w/sync.ts", "export default 1;\n"), ("a.yaml", &saying("a", "first"))];
    let after = [before[0], ("w/sync.ts", "export default 2;\n"), before[2]];
    let world = World::start(&before);
    world.wait(is_ready, "the first commit");
    let (old, new) = (folder(&before), folder(&after));
    let path = |folder: &tempfile::TempDir| folder.path().to_str().unwrap().to_owned();
    let action = |said: &Said| {
        let document: Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{}{}", said.out, said.err));
        let plan = &document["plan"];
        let actions = plan["actions"].as_array().unwrap().clone();
        assert_eq!((actions.len(), &actions[0]["id"]), (1, &"Workflow/sync".into()), "{plan:#}");
        ["action", "class", "before", "after", "changes", "files"].map(|field| actions[0][field].clone())
    };
    let online =
        action(&world.run(&["plan", &path(&new), "--server", &world.server.address, "-e", "live", "-o", "json"]));
    assert_eq!(action(&run(["plan", &path(&old), &path(&new), "-o", "json"])), online, "two folders");
    // Two revisions, and a revision with changes that are not committed.
    let commit = |message: &str| {
        git(old.path(), &["add", "--all", "."]);
        git(old.path(), &["commit", "--quiet", "-m", message]);
    };
    let work = path(&old);
    git(old.path(), &["init", "--quiet", "--initial-branch=main"]);
    commit("first");
    write(&old.path().join("w/sync.ts"), after[1].1);
    assert_eq!(action(&run(["plan", "--from", "HEAD", &work, "-o", "json"])), online, "a revision and a folder");
    commit("code");
    assert_eq!(action(&run(["plan", "--from", "HEAD^", "--to", "HEAD", &work, "-o", "json"])), online, "two revisions");
    let nothing = run(["plan", "--from", "HEAD", &work, "--detailed-exitcode"]);
    assert_eq!(nothing.code, 0, "{}{}", nothing.out, nothing.err);
    // A folder inside the repository: files are beside where they are named.
    let inside = format!("{work}/w");
    let planned = action(&run(["plan", "--from", "HEAD^", "--to", "HEAD", &inside, "-o", "json"]));
    assert_eq!(planned[0], online[0]);
    // The generation that was planned offline is activated.
    world.push(&after, "code");
    let live = world.server.get("/v1/environments/live/definitions/Workflow/sync").json();
    assert_eq!(live["digest"], online[3], "{live:#}");
    // A file that a server refuses cannot be planned either.
    write(&new.path().join("w/sync.ts"), &"x".repeat((4 << 20) + 1));
    let large = run(["plan", &work, &path(&new)]);
    assert_eq!(large.code, 2, "{}", large.out);
    assert!(large.err.contains("w/sync.ts") && large.err.contains("4194304"), "{}", large.err);
}

fn rotate(state: &Path, keys: &str) -> Said {
    let mut command = evenkeel();
    command.args(["secrets", "rotate", "--state"]).arg(state).env("EVENKEEL_MASTER_KEY", keys);
    said(&command.output().unwrap())
}

fn keygen() -> String {
    let made = run(["secrets", "keygen"]);
    assert_eq!((made.code, made.err.as_str()), (0, ""), "{}", made.err);
    made.out.trim_end().to_owned()
}

#[test]
fn keys_are_made_and_stored_credentials_rotated() {
    let (old, new) = (keygen(), keygen());
    assert_ne!(old, new);
    for key in [&old, &new] {
        Keys::parse(key).unwrap();
        assert_eq!(key.lines().count(), 1, "one line for the file");
    }
    let state = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", state.path().join("evenkeel.db").display());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let with = |keys: &str| runtime.block_on(open(&url, Keys::parse(keys).unwrap())).unwrap();
    let ids = ["one", "two", "three"].map(|name| CredentialId {
        environment: "live".into(),
        tenant: "acme".into(),
        name: name.into(),
    });
    let value = |id: &CredentialId| format!("value of {}", id.name).into_bytes();
    let store = with(&old);
    for id in &ids {
        runtime.block_on(store.put_credential(id, &SecretBytes(value(id).into()))).unwrap();
    }
    drop(store);
    // The new one alone cannot open them, and changes nothing.
    let refused = rotate(state.path(), &new);
    assert_ne!(refused.code, 0, "{}", refused.out);
    assert!(refused.err.contains(old.split_once(':').unwrap().0), "the key that is missing: {}", refused.err);
    assert!(!refused.err.contains(new.split_once(':').unwrap().1), "{}", refused.err);
    let rotated = rotate(state.path(), &format!("{new}\n{old}\n"));
    assert_eq!(rotated.code, 0, "{}{}", rotated.out, rotated.err);
    assert_eq!(rotated.out, "3 credentials encrypted with the newest key\n");
    assert!(rotate(state.path(), &format!("{new}\n{old}\n")).out.starts_with("0 credentials"), "once is enough");
    let read = |store: &dyn Store, id: &CredentialId| runtime.block_on(store.credential(id));
    let store = with(&new);
    for id in &ids {
        assert_eq!(read(&*store, id).unwrap().unwrap().0.to_vec(), value(id));
    }
    drop(store);
    let before = with(&old);
    assert!(ids.iter().all(|id| read(&*before, id).is_err()), "the old key opens nothing any more");
    drop(before);
    let missing = rotate(state.path(), "");
    assert_ne!(missing.code, 0);
    assert!(missing.err.contains("EVENKEEL_MASTER_KEY"), "{}", missing.err);
}

#[test]
fn reconcile_waits_for_the_pass_that_it_requests() {
    let world = World::start(&[("a.yaml", &saying("a", "first"))]);
    world.wait(is_ready, "the first commit");
    let commit = world.repository.commit(&[("b.yaml", &saying("b", "new"))], "second");
    let requested = world.run(&["reconcile", "-e", "live"]);
    assert_eq!(requested.code, 0, "{}{}", requested.out, requested.err);
    assert!(requested.out.contains(&commit), "{}", requested.out);
    assert_eq!(world.connectors(), ["a", "b"], "it is live when the command ends");
    // It fails if the pass fails.
    world.repository.commit(&[("b.yaml", &saying("b", "x").replace("baseUrl", "baseUlr"))], "broken");
    let broken = world.run(&["reconcile", "-e", "live"]);
    assert_ne!(broken.code, 0, "{}{}", broken.out, broken.err);
    assert!(broken.out.contains("InvalidDefinitions") && broken.out.contains("baseUlr"), "{}", broken.out);
    let missing = world.run(&["reconcile", "-e", "nowhere"]);
    assert_eq!(missing.code, 2);
    assert!(missing.err.contains("nowhere"), "{}", missing.err);
}
