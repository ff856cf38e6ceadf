use std::time::Duration;

use super::*;

fn shared(folder: &Path) -> Shared {
    Shared::open(folder.join("x"))
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

#[test]
fn a_folder_is_used_by_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let first = GitRepositories::open(&folder.path().join("git")).unwrap();
    assert_eq!(GitRepositories::open(&folder.path().join("git")).unwrap_err().reason, FetchReason::Unreadable);
    drop(first);
    assert!(GitRepositories::open(&folder.path().join("git")).is_ok());
    fs::write(folder.path().join("file"), "").unwrap();
    assert_eq!(GitRepositories::open(&folder.path().join("file")).unwrap_err().reason, FetchReason::Unreadable);
}

#[test]
fn removes_unused_copies() {
    let folder = tempfile::tempdir().unwrap();
    let repositories = GitRepositories::open(folder.path()).unwrap();
    let (used, unused) = (Digest::of(b"1"), Digest::of(b"2"));
    let kept = repositories.shared(used);
    kept.repository().unwrap();
    repositories.shared(unused).repository().unwrap();
    fs::write(folder.path().join("note"), "not ours").unwrap();
    repositories.forget_unused();
    let exists = |name: &str| folder.path().join(name).exists();
    assert!(exists(&used.hex()) && !exists(&unused.hex()) && exists("note") && exists("lock"));
}

#[test]
fn replaces_a_copy_and_keeps_the_previous_one() {
    let folder = tempfile::tempdir().unwrap();
    let shared = shared(folder.path());
    let (repository, first) = shared.repository().unwrap();
    let blob = repository.blob(b"content").unwrap();
    shared.renew(first, false);
    shared.renew(first, true);
    let (repository, second) = shared.repository().unwrap();
    assert_eq!(second, first + 1, "renewed twice for one reason");
    assert!(repository.find_blob(blob).is_err());
    assert!(shared.previous().unwrap().find_blob(blob).is_ok());
    shared.renew(second, false);
    shared.repository().unwrap();
    assert!(!shared.path(first).exists() && shared.path(second).exists());
    // A folder that is not a repository.
    fs::remove_file(shared.path(second + 1).join("HEAD")).unwrap();
    assert_eq!(shared.repository().unwrap().1, second + 2);
}

#[test]
fn removes_files_of_a_killed_process() {
    let folder = tempfile::tempdir().unwrap();
    let place = {
        let shared = shared(folder.path());
        let (_, number) = shared.repository().unwrap();
        fs::create_dir_all(shared.path(number + 7)).unwrap();
        shared.path(number)
    };
    fs::rename(place.with_file_name("8"), place.with_file_name("0")).unwrap();
    let left = ["HEAD.lock", "refs/heads/x.lock", "objects/pack/tmp_pack_1", "objects/pack/pack-1.pack"];
    for name in left {
        fs::write(place.join(name), "").unwrap();
    }
    let whole = ["objects/pack/pack-2.pack", "objects/pack/pack-2.idx"];
    for name in whole {
        fs::write(place.join(name), "").unwrap();
    }
    let shared = shared(folder.path());
    assert!(left.iter().all(|name| !place.join(name).exists()));
    assert!(whole.iter().all(|name| place.join(name).exists()));
    assert!(!place.with_file_name("0").exists() && shared.repository().is_ok());
}

#[test]
fn a_panic_lets_the_next_visit_start() {
    let folder = tempfile::tempdir().unwrap();
    let shared = shared(folder.path());
    let broken = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        shared.visit(&Selector::Default, soon(), |_| panic!("on purpose"))
    }));
    assert!(broken.is_err());
    assert!(shared.visit(&Selector::Default, soon(), |_| Ok(Vec::new())).is_ok());
}

#[test]
fn callers_wait_for_a_visit_that_starts_after_their_call() {
    let folder = tempfile::tempdir().unwrap();
    let shared = shared(folder.path());
    let (started, wait) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let visit = |_: &[Selector]| {
                started.wait();
                wait.wait();
                Ok(Vec::new())
            };
            shared.visit(&Selector::Default, soon(), visit).unwrap();
        });
        started.wait();
        // A caller during the visit waits for the next one until its deadline.
        let late = shared.visit(&Selector::Default, Instant::now() + Duration::from_millis(20), |_| Ok(Vec::new()));
        assert_eq!(late.unwrap_err().reason, FetchReason::TimedOut);
        wait.wait();
    });
    let wants = std::cell::RefCell::new(0);
    let visit = |selectors: &[Selector]| {
        *wants.borrow_mut() = selectors.len();
        Ok(Vec::new())
    };
    shared.visit(&Selector::Branch("x".into()), soon(), visit).unwrap();
    assert_eq!((*wants.borrow(), shared.visit_count()), (2, 2));
}
