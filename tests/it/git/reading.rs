//! From a commit to files: odd names and entries, ignored content, the cost of a change, and local revisions.

use evenkeel::source::git::local;

use super::*;

fn codes(fetched: &Fetched) -> Vec<(&str, &str)> {
    fetched.unreadable.iter().map(|found| (&*found.path, found.finding.code.id)).collect()
}

#[test]
fn row_08_links_are_findings_without_content() {
    let place = Place::with(&[("a.yaml", TENANT), ("real/b.yaml", TENANT)]);
    let link =
        |target: &str, name: &str| std::os::unix::fs::symlink(target, place.repository.work().join(name)).unwrap();
    link("/etc/passwd", "passwd.yaml");
    link("self.yml", "self.yml");
    link("..", "up");
    link("real", "real2");
    link("a.yaml", "note.txt");
    place.repository.commit_all(&["-m", "links"]);
    let git = place.source(&json!({}));
    let fetched = fetch(&git).unwrap();
    assert_eq!(paths(&fetched), ["a.yaml", "real/b.yaml"]);
    assert_eq!(
        codes(&fetched),
        [("passwd.yaml", "EK0009"), ("self.yml", "EK0009"), ("up", "EK0009")],
        "what `real2` leads to is read at its own path"
    );
    assert!(!format!("{fetched:?}").contains("root:"));
    for path in ["passwd.yaml", "up/a.yaml", "gone", "real", "real2", "", ".", "a.yaml/b"] {
        assert_eq!(git.read(&fetched, path).unwrap_err().reason, FetchReason::PathNotFound, "{path}");
    }
    for path in ["../a.yaml", "/etc/passwd", "real/../a.yaml"] {
        assert_eq!(git.read(&fetched, path).unwrap_err().reason, FetchReason::Invalid, "{path}");
    }
    for path in ["real/b.yaml", "real2/b.yaml", "note.txt"] {
        assert_eq!(git.read(&fetched, path).unwrap(), TENANT.as_bytes(), "{path}");
    }
    assert_eq!(reason(&place.source(&json!({ "path": "real2" }))), FetchReason::PathNotFound);
}

#[test]
fn a_link_to_code_is_the_code_in_git_as_in_a_folder() {
    let place = Place::with(&[("a.yaml", TENANT), ("shared/code.ts", "export default 1;")]);
    std::os::unix::fs::symlink("shared/code.ts", place.repository.work().join("code.ts")).unwrap();
    std::os::unix::fs::symlink("a.yaml", place.repository.work().join("b.yaml")).unwrap();
    place.repository.commit_all(&["-m", "links"]);
    let git = place.source(&json!({}));
    let fetched = fetch(&git).unwrap();
    let (folder, unreadable) = evenkeel::source::directory::read(&place.repository.work()).unwrap();
    assert!(unreadable.is_empty() && fetched.unreadable.is_empty());
    assert_eq!(paths(&fetched), ["a.yaml"], "a definition is read once");
    assert_eq!(fetched.snapshot.names, folder.names);
    assert_eq!(fetched.snapshot.code, folder.code);
    assert_eq!(git.read(&fetched, "code.ts").unwrap(), b"export default 1;");
}

#[test]
fn row_09_odd_names_are_refused_or_visible() {
    let place = Place::with(&[("a.yaml", TENANT)]);
    let (blob, empty) = (place.repository.blob(TENANT), place.repository.git_with(&["mktree"], ""));
    let file = |name: &'static [u8]| ("100644", blob.clone(), name);
    let long = vec![b'l'; 5000];
    let long: &[u8] = &[&long[..], b".yaml"].concat();
    let entries = [
        ("40000", empty.clone(), &b".."[..]),
        ("40000", empty.clone(), b".git"),
        file(b".GIT"),
        file(b"A.yaml"),
        file(b"a.yaml"),
        file(b"back\\slash.yaml"),
        file("e\u{301}.yaml".as_bytes()),
        file(b"git~1.yaml"),
        file(b"new\nline.yaml"),
        file(b"not\xFFutf8.yaml"),
        file("rtl\u{202E}lmay.yaml".as_bytes()),
        file("\u{e9}.yaml".as_bytes()),
        ("100644", blob.clone(), long),
    ];
    let entries: Vec<(&str, &str, &[u8])> = entries.iter().map(|(mode, id, name)| (*mode, &**id, *name)).collect();
    place.repository.commit_tree(&entries);
    let fetched = fetch(&place.source(&json!({}))).unwrap();
    assert_eq!(paths(&fetched), ["A.yaml", "a.yaml", "e\u{301}.yaml", "git~1.yaml", "\u{e9}.yaml"]);
    let refused: Vec<String> = fetched.unreadable.iter().map(|found| found.path.chars().take(30).collect()).collect();
    assert!(fetched.unreadable.iter().all(|found| found.finding.code.id == "EK0001"));
    let expected = [
        "..",
        "back\\slash.yaml",
        "llllllllllllllllllllllllllllll",
        "new\\u{a}line.yaml",
        "not\u{FFFD}utf8.yaml",
        "rtl\\u{202e}lmay.yaml",
    ];
    assert_eq!(refused, expected);
}

#[test]
fn reports_duplicate_names() {
    let place = Place::with(&[("a.yaml", TENANT)]);
    let (one, other) = (place.repository.blob("1"), place.repository.blob("2"));
    place.repository.commit_tree(&[("100644", &one, b"a.yaml"), ("100644", &other, b"a.yaml")]);
    let fetched = fetch(&place.source(&json!({}))).unwrap();
    assert_eq!(codes(&fetched), [("a.yaml", "EK0001")]);
}

#[test]
fn row_10_submodules_are_passed_over_with_a_warning() {
    let place = Place::with(&[("a.yaml", TENANT)]);
    let modules = "[submodule \"m\"]\n\tpath = m\n\turl = --upload-pack=touch /tmp/x\n[submodule \"n.yaml\"]\n\tpath = n.yaml\n\turl = ext::sh -c x\n";
    let (modules, file) = (place.repository.blob(modules), place.repository.blob(TENANT));
    let commit = place.repository.head();
    place.repository.commit_tree(&[
        ("100644", &modules, b".gitmodules"),
        ("100644", &file, b"a.yaml"),
        ("160000", &commit, b"m"),
        ("160000", &"1".repeat(40), b"n.yaml"),
    ]);
    let fetched = fetch(&place.source(&json!({}))).unwrap();
    assert_eq!((paths(&fetched), codes(&fetched)), (vec!["a.yaml"], vec![("m", "EK0017"), ("n.yaml", "EK0017")]));
    assert_eq!(reason(&place.source(&json!({ "path": "m" }))), FetchReason::PathNotFound);
}

#[test]
fn row_11_an_lfs_pointer_is_reported() {
    let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 12345\n", "a".repeat(64));
    let place = Place::with(&[("a.yaml", &pointer)]);
    let fetched = fetch(&place.source(&json!({}))).unwrap();
    let (_, findings) = evenkeel::catalog::load(&fetched.snapshot);
    let codes: Vec<_> = findings.iter().map(|finding| finding.code.id).collect();
    assert_eq!(codes, ["EK0010"]);
}

#[test]
fn row_12_attributes_change_nothing() {
    let text = "a: $Id$\r\nb: 1\r\n";
    let place = Place::with(&[("a.yaml", text)]);
    assert_eq!(place.repository.git(&["cat-file", "-s", "HEAD:a.yaml"]), text.len().to_string());
    let before = fetch(&place.source(&json!({}))).unwrap();
    let attributes = place.repository.blob("*.yaml ident text eol=lf filter=evil export-ignore\n");
    let file = place.repository.git(&["rev-parse", "HEAD:a.yaml"]);
    place.repository.commit_tree(&[("100644", &attributes, b".gitattributes"), ("100644", &file, b"a.yaml")]);
    let after = fetch(&place.source(&json!({}))).unwrap();
    assert_eq!((text, text), (super::text(&before, "a.yaml"), super::text(&after, "a.yaml")));
}

#[test]
fn row_13_times_of_commits_are_only_shown() {
    let place = Place::with(&[("a.yaml", "0")]);
    let git = place.source(&json!({}));
    for (at, date) in ["@4092599349 +0000", "@0 +0000", "@1 -1200"].into_iter().enumerate() {
        place.repository.write(&[("a.yaml", &format!("t{at}"))]);
        let tree = {
            place.repository.git(&["add", "--all"]);
            place.repository.git(&["write-tree"])
        };
        let seconds = date[1..].split(' ').next().unwrap();
        let raw = format!(
            "tree {tree}\nauthor A\u{7}\u{202E}da <a@b> {}\ncommitter Ada <a@b> {}\n\nsub\u{1b}[31mject {}\n",
            &date[1..],
            &date[1..],
            "x".repeat(500)
        );
        let commit = place.repository.git_with(&["hash-object", "-t", "commit", "-w", "--stdin"], &raw);
        place.repository.git(&["update-ref", "HEAD", &commit]);
        let revision = fetch(&git).unwrap().revision.clone();
        assert_eq!(revision.committed.to_string(), seconds);
        assert_eq!((&*revision.author, revision.subject.len()), ("Ada", 200));
        assert!(revision.subject.starts_with("sub[31mject"));
    }
}

#[test]
fn reads_only_the_folder_of_the_path() {
    let place = Place::with(&[
        ("a.yaml", "no"),
        ("x/y/b.yaml", "yes"),
        ("x/y/z/c.json", "{}"),
        ("x/node_modules/n.yaml", "no"),
    ]);
    for path in ["x/y", "x/y/", "./x/y", "x//y"] {
        let git = place.source(&json!({ "path": path }));
        let fetched = fetch(&git).unwrap();
        assert_eq!(paths(&fetched), ["b.yaml", "z/c.json"], "{path}");
        assert_eq!(git.read(&fetched, "b.yaml").unwrap(), b"yes");
    }
    assert_eq!(paths(&fetch(&place.source(&json!({ "path": "x" }))).unwrap()), ["y/b.yaml", "y/z/c.json"]);
    assert_eq!(reason(&place.source(&json!({ "path": "x/../x" }))), FetchReason::Invalid);
}

#[test]
fn one_change_in_many_files_reads_one_file() {
    let files: Vec<(String, String)> =
        (0..2000).map(|at| (format!("d{:02}/{at}.yaml", at % 40), format!("a: {at}\n"))).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (&**name, &**text)).collect();
    let place = Place::with(&files);
    let git = place.source(&json!({}));
    let first = fetch(&git).unwrap();
    place.repository.commit(&[("d07/7.yaml", "changed")], "one");
    let second = fetch(&git).unwrap();
    let pairs = first.snapshot.files.iter().zip(&second.snapshot.files);
    let changed: Vec<&str> = pairs.filter(|(a, b)| !Arc::ptr_eq(&a.bytes, &b.bytes)).map(|(a, _)| &*a.path).collect();
    assert_eq!((second.snapshot.files.len(), changed), (2000, vec!["d07/7.yaml"]));
    // Files are removed and added.
    place.repository.git(&["rm", "--quiet", "-r", "d01"]);
    place.repository.commit(&[("new.yaml", TENANT)], "other");
    let third = fetch(&git).unwrap();
    assert_eq!(third.snapshot.files.len(), 2000 - 50 + 1);
    assert!(third.snapshot.files.is_sorted_by(|a, b| a.path < b.path) && third.snapshot.names.contains("new.yaml"));
    assert!(!third.snapshot.names.contains("d01/1.yaml"));
}

#[test]
fn reads_local_revisions() {
    let repository = Repository::with(&[("a.yaml", "0"), ("d/b.yaml", "0")]);
    let first = repository.head();
    repository.git(&["tag", "v1"]);
    repository.commit(&[("a.yaml", "1")], "second");
    let at = |revision: &str| local(&repository.git_dir(), revision, None);
    for revision in ["HEAD~1", "main~1", "v1", &first, &first[..10]] {
        let fetched = at(revision).unwrap();
        assert_eq!((&*fetched.revision.commit, text(&fetched, "a.yaml")), (&*first, "0"), "{revision}");
    }
    assert_eq!(text(&at("HEAD").unwrap(), "a.yaml"), "1");
    assert_eq!(paths(&local(&repository.git_dir(), "HEAD", Some("d")).unwrap()), ["b.yaml"]);
    let reason = |result: Result<Fetched, FetchError>| result.unwrap_err().reason;
    assert_eq!(reason(at("gone")), FetchReason::RevisionNotFound);
    assert_eq!(reason(at("HEAD:a.yaml")), FetchReason::RevisionNotFound);
    assert_eq!(reason(local(&repository.git_dir(), "HEAD", Some("gone"))), FetchReason::PathNotFound);
    assert_eq!(reason(local(Path::new("/nowhere/at/all"), "HEAD", None)), FetchReason::RepositoryNotFound);
}
