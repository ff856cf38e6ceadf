//! Faults between the process and a repository. Names with `row_NN_` refer to `docs/faults.md`.

use super::*;
use crate::git_server::Fault;

#[test]
fn row_01_a_forced_push_is_fetched_and_noted() {
    let place = Place::with(&[("a.yaml", "0")]);
    place.repository.commit(&[("a.yaml", "1")], "live");
    let git = place.source(&json!({ "branch": "main" }));
    let live = fetch(&git).unwrap();
    place.repository.write(&[("a.yaml", "2")]);
    let amended = place.repository.commit_all(&["--amend", "-m", "amended"]);
    let fetched = fetch(&git).unwrap();
    assert_eq!((&*fetched.revision.commit, text(&fetched, "a.yaml")), (&*amended, "2"));
    assert!(fetched.rewritten, "an amended commit was not noticed");
    assert_eq!(text(&live, "a.yaml"), "1", "the active revision was changed");
    // A history with a new root.
    place.repository.git(&["checkout", "--quiet", "--orphan", "other"]);
    place.repository.commit(&[("a.yaml", "3")], "root");
    place.repository.git(&["branch", "--force", "main"]);
    assert!(fetch(&git).unwrap().rewritten);
    place.repository.git(&["checkout", "--quiet", "main"]);
    place.repository.commit(&[("a.yaml", "4")], "on top");
    assert!(!fetch(&git).unwrap().rewritten);
}

#[test]
fn row_02_a_deleted_branch_and_every_status_keep_the_last_revision() {
    let place = Place::with(&[("a.yaml", TENANT)]);
    place.repository.git(&["branch", "next"]);
    let git = place.source(&json!({ "branch": "next" }));
    let first = fetch(&git).unwrap();
    place.repository.git(&["branch", "-D", "next"]);
    assert_eq!(reason(&git), FetchReason::RevisionNotFound);
    place.repository.git(&["branch", "next"]);
    for (status, expected) in [
        (404, FetchReason::RepositoryNotFound),
        (410, FetchReason::RepositoryNotFound),
        (401, FetchReason::Unauthorized),
        (403, FetchReason::Unauthorized),
        (429, FetchReason::Unreachable),
        (500, FetchReason::Unreachable),
        (503, FetchReason::Unreachable),
    ] {
        place.server.fault(Fault::Status(status));
        assert_eq!(reason(&git), expected, "{status}");
    }
    place.server.fault(Fault::None);
    assert!(Arc::ptr_eq(&first, &fetch(&git).unwrap()));
}

#[test]
fn row_02_a_redirect_to_another_host_is_refused() {
    let place = Place::with(&[("a.yaml", TENANT)]);
    let other = GitHttp::start(place.repository.root());
    place.server.fault(Fault::Redirect(format!("http://127.0.0.1:{}", other.port())));
    let git = place.source(&json!({}));
    let error = fetch(&git).unwrap_err();
    assert!(error.reason == FetchReason::Unreachable && error.message.contains("another host"), "{error}");
    assert_eq!(other.requests(), [""; 0]);
    // A redirect loop on the same host.
    place.server.fault(Fault::Redirect(String::new()));
    assert_eq!(reason(&git), FetchReason::Unreachable);
}

#[test]
fn row_02_a_server_that_does_not_answer_is_unreachable() {
    let place = Place::with(&[("a.yaml", TENANT)]);
    // A port without a listener: a port that was just free may be used by another test.
    for url in ["http://127.0.0.1:9/repo.git", "https://nowhere.invalid/repo.git"] {
        let git = source_at(&place.repositories, url, &json!({}), anonymous(), Budgets::default()).unwrap();
        assert_eq!(reason(&git), FetchReason::Unreachable, "{url}");
    }
    let wrong = place.server.url().replace("repo.git", "other.git");
    let git = source_at(&place.repositories, &wrong, &json!({}), anonymous(), Budgets::default()).unwrap();
    assert_eq!(reason(&git), FetchReason::RepositoryNotFound);
}

#[test]
fn row_03_empty_repositories_and_moved_paths_have_different_reasons() {
    let place = Place::of(Repository::new());
    let git = place.source(&json!({}));
    let error = fetch(&git).unwrap_err();
    assert!(error.reason == FetchReason::RevisionNotFound && error.message.contains("empty"), "{error}");
    place.repository.commit(&[], "no files");
    assert_eq!(paths(&fetch(&git).unwrap()), [""; 0]);
    place.repository.commit(&[("definitions/a.yaml", TENANT)], "files");
    let inside = place.source(&json!({ "path": "definitions" }));
    assert_eq!(paths(&fetch(&inside).unwrap()), ["a.yaml"]);
    place.repository.git(&["mv", "definitions", "moved"]);
    place.repository.commit_all(&["-m", "moved"]);
    assert_eq!(reason(&inside), FetchReason::PathNotFound);
    assert_eq!(reason(&place.source(&json!({ "path": "moved/a.yaml" }))), FetchReason::PathNotFound);
}

#[test]
fn row_04_the_next_fetch_recovers_from_a_damaged_pack() {
    let place = Place::with(&[("a.yaml", &"0123456789".repeat(100)), ("b.yaml", TENANT)]);
    let git = place.source(&json!({}));
    let faults = [Fault::Truncate(0), Fault::Truncate(60), Fault::Truncate(200), Fault::Flip(20), Fault::Flip(100)];
    for fault in faults {
        place.server.fault(fault.clone());
        let reason = reason(&git);
        assert!([FetchReason::Corrupt, FetchReason::Unreachable].contains(&reason), "{fault:?}: {reason}");
    }
    place.server.fault(Fault::None);
    assert_eq!(paths(&fetch(&git).unwrap()), ["a.yaml", "b.yaml"]);
}

#[test]
fn row_04_a_damaged_copy_is_replaced() {
    let place = Place::with(&[("a.yaml", TENANT)]);
    let mut commit = 0;
    // Bits of packs and their indexes, and the states that a crash may leave.
    let mut break_and_fetch = |damage: &dyn Fn(&Path)| {
        let warm = place.source(&json!({}));
        fetch(&warm).unwrap();
        damage(place.cache.path());
        let cold = place.source(&json!({}));
        assert_eq!(paths(&fetch(&cold).unwrap()).len(), 1);
        commit += 1;
        place.repository.commit(&[("a.yaml", &commit.to_string())], "next");
        assert_eq!(text(&fetch(&warm).unwrap(), "a.yaml"), commit.to_string());
    };
    for end in [".pack", ".idx"] {
        for part in 1..5 {
            break_and_fetch(&|cache| {
                for file in files_below(cache, end) {
                    let mut bytes = std::fs::read(&file).unwrap();
                    let at = bytes.len() * part / 5;
                    bytes[at] ^= 0xFF;
                    overwrite(&file, &bytes);
                }
            });
        }
        break_and_fetch(&|cache| files_below(cache, end).iter().for_each(|file| overwrite(file, b"")));
        break_and_fetch(&|cache| files_below(cache, end).iter().for_each(|file| std::fs::remove_file(file).unwrap()));
    }
    break_and_fetch(&|cache| files_below(cache, "HEAD").iter().for_each(|file| std::fs::remove_file(file).unwrap()));
}

fn overwrite(path: &Path, bytes: &[u8]) {
    // Packs are read-only.
    std::fs::remove_file(path).unwrap();
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn row_05_a_server_that_drips_or_stalls_ends_at_the_deadline() {
    let place = Place::with(&[("a.yaml", TENANT)]);
    let git = place.source(&json!({}));
    for fault in [Fault::Drip, Fault::Stall] {
        place.server.fault(fault.clone());
        let error = git.fetch(Instant::now() + Duration::from_millis(400)).unwrap_err();
        assert_eq!(error.reason, FetchReason::TimedOut, "{fault:?}: {error}");
    }
    assert_eq!(git.fetch(Instant::now()).unwrap_err().reason, FetchReason::TimedOut);
    place.server.fault(Fault::None);
    assert_eq!(paths(&fetch(&git).unwrap()), ["a.yaml"], "the worker was lost");
}

#[test]
fn row_06_every_budget_is_enforced() {
    let files: Vec<(String, String)> =
        (0..50).map(|at| (format!("f/{at}.yaml"), format!("a: {at}\n").repeat(50))).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (&**name, &**text)).collect();
    let place = Place::with(&files);
    for at in 0..20 {
        place.repository.git(&["tag", &format!("t{at}")]);
    }
    let default = Budgets::default;
    for budgets in [
        Budgets { files: 30, ..default() },
        Budgets { definition_bytes: 5000, ..default() },
        Budgets { received_bytes: 100, ..default() },
        Budgets { objects: 10, ..default() },
        Budgets { references: 10, ..default() },
        Budgets { listing_bytes: 100, received_bytes: 0, ..default() },
    ] {
        let folder = tempfile::tempdir().unwrap();
        let repositories = GitRepositories::open(folder.path()).unwrap();
        let git = source_at(&repositories, &place.server.url(), &json!({}), anonymous(), budgets.clone()).unwrap();
        assert_eq!(reason(&git), FetchReason::TooLarge, "{budgets:?}");
    }
    assert_eq!(paths(&fetch(&place.source(&json!({}))).unwrap()).len(), 50);
}

#[test]
fn row_06_deep_folders_and_large_files_are_findings() {
    let deep = format!("{}/a.yaml", vec!["d"; 70].join("/"));
    let place =
        Place::with(&[(&deep, TENANT), ("big.yaml", &"a".repeat((4 << 20) + 1)), ("big.bin", &"a".repeat(5 << 20))]);
    let git = place.source(&json!({}));
    let fetched = fetch(&git).unwrap();
    assert_eq!(paths(&fetched), [""; 0]);
    let found: Vec<_> = fetched.unreadable.iter().map(|found| (found.finding.code.id, found.path.len())).collect();
    assert_eq!(found, [("EK0003", 8), ("EK0003", 64 * 2 + 1)]);
    assert!(fetched.snapshot.names.contains("big.yaml") && fetched.snapshot.names.contains("big.bin"));
    assert_eq!(git.read(&fetched, "big.bin").unwrap_err().reason, FetchReason::TooLarge);
}

#[test]
fn row_07_a_bomb_is_not_inflated() {
    // 200 definitions with the same 4 MB of blanks: a small pack.
    let bomb = " ".repeat(4_000_000);
    let files: Vec<String> = (0..200).map(|at| format!("{at}.yaml")).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|name| (&**name, &*bomb)).collect();
    let place = Place::with(&files);
    let budgets = Budgets { definition_bytes: 50 << 20, ..Budgets::default() };
    let git = place.source_with(&json!({}), anonymous(), budgets).unwrap();
    assert_eq!(reason(&git), FetchReason::TooLarge);
    let received: u64 =
        files_below(place.cache.path(), ".pack").iter().map(|pack| pack.metadata().unwrap().len()).sum();
    assert!(received < 1 << 20, "{received}");
}

#[test]
fn row_18_versions_and_moved_tags_are_followed() {
    let place = Place::with(&[("a.yaml", "0")]);
    place.repository.git(&["tag", "v1.0.0"]);
    place.repository.commit(&[("a.yaml", "1")], "next");
    place.repository.git(&["tag", "-a", "-m", "note", "v1.10.0"]);
    place.repository.commit(&[("a.yaml", "2")], "next");
    place.repository.git(&["tag", "v2.0.0-rc.1"]);
    let git = place.source(&json!({ "semver": ">=1.0.0" }));
    let first = fetch(&git).unwrap();
    assert_eq!(text(&first, "a.yaml"), "1");
    assert!(first.revision.name.starts_with("v1.10.0@sha1:"), "{}", first.revision.name);
    assert_eq!(first.revision.commit, place.repository.git(&["rev-parse", "v1.10.0^{commit}"]));
    let tag = place.source(&json!({ "tag": "v1.10.0" }));
    assert_eq!(text(&fetch(&tag).unwrap(), "a.yaml"), "1");
    place.repository.git(&["tag", "--force", "-a", "-m", "moved", "v1.10.0", "HEAD"]);
    assert_eq!(text(&fetch(&tag).unwrap(), "a.yaml"), "2");
    assert_eq!(text(&fetch(&git).unwrap(), "a.yaml"), "2");
    assert_eq!(reason(&place.source(&json!({ "semver": "^3" }))), FetchReason::RevisionNotFound);
    assert_eq!(reason(&place.source(&json!({ "tag": "v9" }))), FetchReason::RevisionNotFound);
    place.repository.git(&["tag", "tree", "HEAD^{tree}"]);
    assert_eq!(reason(&place.source(&json!({ "tag": "tree" }))), FetchReason::RevisionNotFound);
}

#[test]
fn row_18_ten_thousand_tags_cost_one_listing() {
    let place = Place::with(&[("a.yaml", TENANT)]);
    let head = place.repository.head();
    let refs: String = (0..10_000)
        .map(|at| format!("create refs/tags/v{}.{}.{} {head}\n", at / 1000, at / 10 % 100, at % 10))
        .collect();
    place.repository.git_with(&["update-ref", "--stdin"], &refs);
    let git = place.source(&json!({ "semver": "0.0.0 || ~9.98" }));
    assert!(fetch(&git).unwrap().revision.name.starts_with("v9.98.9@"));
    let requests = place.server.requests();
    assert_eq!(requests.iter().filter(|request| request.starts_with("GET")).count(), 1, "{requests:?}");
    fetch(&git).unwrap();
    assert_eq!(place.server.requests(), ["GET /repo.git/info/refs"]);
}

#[test]
fn finds_a_commit_by_its_id() {
    let place = Place::with(&[("a.yaml", "0")]);
    let old = place.repository.head();
    for at in 1..4 {
        place.repository.commit(&[("a.yaml", &at.to_string())], "next");
    }
    let git = place.source(&json!({ "commit": old }));
    assert_eq!(text(&fetch(&git).unwrap(), "a.yaml"), "0");
    place.server.requests();
    assert_eq!(text(&fetch(&git).unwrap(), "a.yaml"), "0");
    assert_eq!(place.server.requests(), [""; 0], "a commit never changes");
    // A server that does not send commits by their id, after a shallow fetch of the branch.
    place.repository.git(&["config", "uploadpack.allowReachableSHA1InWant", "false"]);
    let folder = tempfile::tempdir().unwrap();
    let repositories = GitRepositories::open(folder.path()).unwrap();
    let at =
        |more: Value| source_at(&repositories, &place.server.url(), &more, anonymous(), Budgets::default()).unwrap();
    fetch(&at(json!({}))).unwrap();
    assert_eq!(text(&fetch(&at(json!({ "commit": old }))).unwrap(), "a.yaml"), "0");
    assert_eq!(reason(&at(json!({ "commit": "1".repeat(40) }))), FetchReason::RevisionNotFound);
}

#[test]
fn row_21_hundreds_of_fetches_do_not_leak() {
    // In a separate process, so that other tests do not affect the measurement.
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    let output = command.args(["--ignored", "--exact", "git::faults::worker_21"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
#[ignore = "row_21 runs it in a separate process"]
fn worker_21() {
    let place = Place::with(&[("a.yaml", "0"), ("b.yaml", TENANT)]);
    let budgets = Budgets { packs: 10, ..Budgets::default() };
    let git = place.source_with(&json!({}), anonymous(), budgets).unwrap();
    let mut first = None;
    for at in 0..150 {
        place.repository.commit(&[("a.yaml", &at.to_string())], "next");
        let fetched = fetch(&git).unwrap();
        assert_eq!(git.read(&fetched, "a.yaml").unwrap(), at.to_string().as_bytes());
        if at == 50 {
            first = Some(usage());
        }
        let packs = files_below(place.cache.path(), ".pack").len();
        assert!(packs <= 2 * 12, "{packs} packs after {at} fetches");
    }
    let (memory, files, threads) = usage();
    let (memory_before, files_before, threads_before) = first.unwrap();
    assert!(memory < memory_before + (32 << 20), "{memory_before} to {memory} bytes");
    assert!(files < files_before + 20 && threads < threads_before + 20, "{files} files, {threads} threads");
}

/// Resident memory in bytes, open files and threads of this process; zeros if the system does not report them.
fn usage() -> (usize, usize, usize) {
    let count = |folder: &str| std::fs::read_dir(folder).map_or(0, Iterator::count);
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: usize = pages.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    (pages * 4096, count("/proc/self/fd"), count("/proc/self/task"))
}
