use std::fs;
use std::time::{Duration, SystemTime};

use super::walk::stamp_of;
use super::*;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        write(folder.path(), name, text);
    }
    folder
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Sets the times of a file as if it had been written long ago.
fn settle(path: &Path) {
    let long_ago = SystemTime::now() - Duration::from_hours(1);
    fs::File::options().write(true).open(path).unwrap().set_modified(long_ago).unwrap();
}

#[test]
fn an_unchanged_folder_is_the_same_value() {
    let folder = folder(&[("a.yaml", "1"), ("b/c.json", "{}"), ("note.txt", "x")]);
    let source = Directory::new(folder.path());
    let first = source.fetch(soon()).unwrap();
    assert!(first.revision.name.starts_with("sha256:") && first.revision.commit.is_empty());
    assert!(Arc::ptr_eq(&first, &source.fetch(soon()).unwrap()));
    // Of other files only the name counts.
    write(folder.path(), "code.txt", "1");
    let named = source.fetch(soon()).unwrap();
    assert!(!Arc::ptr_eq(&first, &named) && first.revision != named.revision);
    write(folder.path(), "code.txt", "2");
    assert!(Arc::ptr_eq(&named, &source.fetch(soon()).unwrap()));
    // Of code the content counts.
    write(folder.path(), "code.ts", "1");
    let code = source.fetch(soon()).unwrap();
    write(folder.path(), "code.ts", "2");
    assert!(code.revision != source.fetch(soon()).unwrap().revision);
}

#[test]
fn one_change_keeps_the_bytes_of_the_others() {
    let folder = folder(&[("a.yaml", "1"), ("b.yaml", "1")]);
    let source = Directory::new(folder.path());
    let first = source.fetch(soon()).unwrap();
    // The same size and, on a coarse clock, the same time.
    write(folder.path(), "b.yaml", "2");
    let second = source.fetch(soon()).unwrap();
    let bytes = |fetched: &Fetched, at: usize| Arc::clone(&fetched.snapshot.files[at].bytes);
    assert!(Arc::ptr_eq(&bytes(&first, 0), &bytes(&second, 0)));
    assert_eq!((&*bytes(&first, 1), &*bytes(&second, 1)), (&b"1"[..], &b"2"[..]));
    fs::remove_file(folder.path().join("a.yaml")).unwrap();
    assert_eq!(source.fetch(soon()).unwrap().snapshot.files.len(), 1);
}

#[test]
fn equal_folders_have_equal_revisions() {
    let (one, other) = (folder(&[("a.yaml", "1")]), folder(&[("a.yaml", "1")]));
    let revision = |folder: &Path| Directory::new(folder).fetch(soon()).unwrap().revision.clone();
    assert_eq!(revision(one.path()), revision(other.path()));
}

#[cfg(unix)]
#[test]
fn detects_every_write_to_a_file_with_old_times() {
    let folder = folder(&[("a.yaml", "1")]);
    let path = folder.path().join("a.yaml");
    settle(&path);
    let before = stamp_of(&fs::symlink_metadata(&path).unwrap());
    assert_eq!(before, stamp_of(&fs::symlink_metadata(&path).unwrap()));
    // Also if the modification time is set back.
    std::thread::sleep(Duration::from_millis(20));
    fs::write(&path, "2").unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(before.written.unwrap()).unwrap();
    assert_ne!(before, stamp_of(&fs::symlink_metadata(&path).unwrap()));
}

#[test]
fn row_03_a_missing_and_an_unreadable_folder_have_different_reasons() {
    let folder = folder(&[("a.yaml", "1"), ("note.txt", "x")]);
    let reason = |path: &Path| Directory::new(path).fetch(soon()).unwrap_err().reason;
    assert_eq!(reason(&folder.path().join("gone")), FetchReason::PathNotFound);
    assert_eq!(reason(&folder.path().join("note.txt")), FetchReason::Unreadable);
    let source = Directory::new(folder.path());
    assert_eq!(source.fetch(Instant::now()).unwrap_err().reason, FetchReason::TimedOut);
    let first = source.fetch(soon()).unwrap();
    fs::rename(folder.path(), folder.path().with_extension("moved")).unwrap();
    assert_eq!(source.fetch(soon()).unwrap_err().reason, FetchReason::PathNotFound);
    fs::rename(folder.path().with_extension("moved"), folder.path()).unwrap();
    assert!(Arc::ptr_eq(&first, &source.fetch(soon()).unwrap()));
    assert!(Directory::new(folder.path().join("a.yaml")).fetch(soon()).unwrap().snapshot.alone);
}

#[test]
fn reads_only_regular_files_of_the_folder() {
    let folder = folder(&[("a/code.ts", "1"), ("big.bin", &"x".repeat(MAX_ASSET_BYTES + 1))]);
    #[cfg(unix)]
    std::os::unix::fs::symlink("/etc/passwd", folder.path().join("link.ts")).unwrap();
    let source = Directory::new(folder.path());
    let fetched = source.fetch(soon()).unwrap();
    assert_eq!(source.read(&fetched, "a/code.ts").unwrap(), b"1");
    let reason = |path: &str| source.read(&fetched, path).unwrap_err().reason;
    for path in ["link.ts", "../x", "/etc/passwd", "a", "", "gone", "a/../a/code.ts"] {
        assert_eq!(reason(path), FetchReason::PathNotFound, "{path}");
    }
    assert_eq!(reason("big.bin"), FetchReason::TooLarge);
    // A folder of the path that became a link, inside the folder and out of it.
    #[cfg(unix)]
    {
        let outside = tempfile::tempdir().unwrap();
        fs::rename(folder.path().join("a"), folder.path().join("b")).unwrap();
        std::os::unix::fs::symlink("b", folder.path().join("a")).unwrap();
        assert_eq!(source.read(&fetched, "a/code.ts").unwrap(), b"1");
        fs::remove_file(folder.path().join("a")).unwrap();
        fs::rename(folder.path().join("b"), outside.path().join("b")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("b"), folder.path().join("a")).unwrap();
        assert_eq!(reason("a/code.ts"), FetchReason::PathNotFound);
    }
}

#[cfg(unix)]
#[test]
fn links_inside_the_folder_are_followed_once_and_circles_end() {
    use std::os::unix::fs::symlink;
    let folder = folder(&[
        ("..2026/x.yaml", "1"),
        ("..2026/sub/y.yaml", "2"),
        ("..2026/code.ts", "3"),
        ("a.yaml", "4"),
        ("real/b.yaml", "5"),
        ("ignored/c.yaml", "6"),
        (".evenkeelignore", "ignored/\n"),
    ]);
    let link = |target: &str, name: &str| symlink(target, folder.path().join(name)).unwrap();
    link("..2026", "..data");
    link("..data/x.yaml", "x.yaml");
    link("..data/x.yaml", "x2.yaml");
    link("..data/sub", "sub");
    link("..data/sub", "sub2");
    link("..data/code.ts", "code.ts");
    link("a.yaml", "a2.yaml");
    link("real", "real2");
    link("ignored/c.yaml", "c.yaml");
    link(".", "self");
    link(".", "..2026/sub/up");
    link("../../real", "..2026/sub/real");
    link("sub", "..2026/sub/loop");
    link("one", "two");
    link("two", "one");
    link("gone", "notes.txt");
    let (snapshot, unreadable) = read(folder.path()).unwrap();
    let files: Vec<&str> = snapshot.files.iter().map(|file| &*file.path).collect();
    assert_eq!(files, ["a.yaml", "c.yaml", "real/b.yaml", "sub/y.yaml", "x.yaml"]);
    assert!(snapshot.code.contains_key("code.ts") && snapshot.names.contains("x2.yaml"));
    let refused: Vec<(&str, bool)> =
        unreadable.iter().map(|found| (&*found.path, found.finding.message.contains("leads back"))).collect();
    assert_eq!(refused, [("one", true), ("sub/loop", false), ("two", true)], "{unreadable:?}");
    // A swap of the hidden folder changes the content.
    let source = Directory::new(folder.path());
    let first = source.fetch(soon()).unwrap();
    assert!(Arc::ptr_eq(&first, &source.fetch(soon()).unwrap()));
    write(folder.path(), "..2027/x.yaml", "7");
    link("..2027", "..next");
    fs::rename(folder.path().join("..next"), folder.path().join("..data")).unwrap();
    let next = source.fetch(soon()).unwrap();
    let bytes = next.snapshot.files.iter().find(|file| &*file.path == "x.yaml").map(|file| file.bytes.to_vec());
    assert_eq!(bytes.as_deref(), Some(&b"7"[..]));
    assert_eq!(source.read(&next, "x.yaml").unwrap(), b"7");
    // Too many links are named, and the rest is not followed.
    for number in 0..=links::MAX_LINKS {
        link("..data/x.yaml", &format!("l{number}.txt"));
    }
    let (_, unreadable) = read(folder.path()).unwrap();
    assert!(unreadable.iter().any(|found| found.finding.message.contains("symbolic links")));
}
