//! Signatures of commits and tags, made by the real `ssh-keygen` and `gpg`.

use std::process::{Command, Stdio};

use super::*;
use crate::git_server::keygen;

/// A folder with SSH keys, and a repository that signs with one of them.
struct Signer {
    folder: tempfile::TempDir,
}

impl Signer {
    fn new(keys: &[(&str, &str, &str)]) -> Signer {
        let signer = Signer { folder: tempfile::tempdir().unwrap() };
        for (name, kind, bits) in keys {
            keygen(&signer.path(name), kind, bits);
        }
        signer
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn public(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap()
    }

    /// Makes the repository sign with this key.
    fn sign(&self, repository: &Repository, name: &str) {
        repository.git(&["config", "gpg.format", "ssh"]);
        repository.git(&["config", "user.signingKey", &self.path(&format!("{name}.pub")).display().to_string()]);
    }
}

fn trusting(keys: &[String]) -> Value {
    json!({ "trustedKeys": keys })
}

#[test]
fn row_19_ssh_signatures_each_with_its_reason() {
    let keys = [("ed", "ed25519", ""), ("ec", "ecdsa", "384"), ("rsa", "rsa", "2048"), ("other", "ed25519", "")];
    let signer = Signer::new(&keys);
    let place = Place::with(&[("a.yaml", TENANT)]);
    let trusted: Vec<String> = ["ed", "ec", "rsa"].map(|name| signer.public(name)).into();
    let git = place.source(&trusting(&trusted));
    assert_eq!(reason(&git), FetchReason::Unsigned);
    for (name, ..) in &keys[..3] {
        signer.sign(&place.repository, name);
        let signed = place.repository.commit_all(&["-S", "-m", name]);
        assert_eq!(fetch(&git).unwrap().revision.commit, signed, "{name}");
    }
    signer.sign(&place.repository, "other");
    let untrusted = place.repository.commit_all(&["-S", "-m", "other"]);
    assert_eq!(reason(&git), FetchReason::UntrustedKey);
    assert_eq!(fetch(&place.source(&trusting(&[signer.public("other")]))).unwrap().revision.commit, untrusted);

    // Other content under a good signature.
    let raw = place.repository.git(&["cat-file", "commit", "HEAD"]);
    let forged = raw.replace("\nother", "\nforged") + "\n";
    let forged = place.repository.git_with(&["hash-object", "-t", "commit", "-w", "--stdin"], &forged);
    place.repository.git(&["update-ref", "HEAD", &forged]);
    assert_eq!(reason(&place.source(&trusting(&[signer.public("other")]))), FetchReason::BadSignature);
}

#[test]
fn row_20_a_signature_is_verified_without_the_parent() {
    let signer = Signer::new(&[("ed", "ed25519", "")]);
    let place = Place::with(&[("a.yaml", TENANT)]);
    signer.sign(&place.repository, "ed");
    for message in ["one", "two", "three"] {
        place.repository.commit_all(&["-S", "-m", message]);
    }
    let git = place.source(&trusting(&[signer.public("ed")]));
    assert_eq!(fetch(&git).unwrap().revision.commit, place.repository.head());
    // Only the last of the four commits came.
    let mut shallow = Vec::new();
    let mut folders = vec![place.cache.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else if entry.file_name() == "shallow" {
                shallow.push(std::fs::read_to_string(entry.path()).unwrap().trim().to_owned());
            }
        }
    }
    assert_eq!(shallow, [place.repository.head()]);
}

/// Replaces the current commit by one with a signature that `make` creates over the signed content.
fn with_signature(repository: &Repository, make: impl Fn(&str) -> String) {
    let tree = repository.git(&["rev-parse", "HEAD^{tree}"]);
    let plain = format!(
        "tree {tree}\nauthor Ada <a@b> 1700000000 +0000\ncommitter Ada <a@b> 1700000000 +0000\n\nsigned by a test\n"
    );
    let signature = make(&plain).trim_end().replace('\n', "\n ");
    let (head, message) = plain.split_once("\n\n").unwrap();
    let raw = format!("{head}\ngpgsig {signature}\n\n{message}");
    let commit = repository.git_with(&["hash-object", "-t", "commit", "-w", "--stdin"], &raw);
    repository.git(&["update-ref", "HEAD", &commit]);
}

#[test]
fn row_19_a_signature_for_another_purpose_is_refused() {
    let signer = Signer::new(&[("key", "ed25519", "")]);
    let place = Place::with(&[("a.yaml", TENANT)]);
    let git = place.source(&trusting(&[signer.public("key")]));
    for (namespace, expected) in [("file", Some(FetchReason::WrongNamespace)), ("git", None)] {
        with_signature(&place.repository, |plain| {
            let content = signer.path("content");
            std::fs::write(&content, plain).unwrap();
            let _ = std::fs::remove_file(signer.path("content.sig"));
            let mut command = Command::new("ssh-keygen");
            command.args(["-q", "-Y", "sign", "-n", namespace, "-f"]).arg(signer.path("key")).arg(&content);
            assert!(command.stderr(Stdio::null()).status().unwrap().success());
            std::fs::read_to_string(signer.path("content.sig")).unwrap()
        });
        assert_eq!(fetch(&git).err().map(|error| error.reason), expected, "{namespace}");
    }
    for nonsense in [
        "nonsense",
        "-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----",
        "-----BEGIN PGP SIGNATURE-----\n\nAAAA\n-----END PGP SIGNATURE-----",
    ] {
        with_signature(&place.repository, |_| nonsense.to_owned());
        assert_eq!(reason(&git), FetchReason::BadSignature, "{nonsense}");
    }
}

#[test]
fn row_19_tags_are_verified_if_required() {
    let signer = Signer::new(&[("key", "ed25519", ""), ("other", "ed25519", "")]);
    let place = Place::with(&[("a.yaml", TENANT)]);
    signer.sign(&place.repository, "key");
    let source = |tag: &str, verify: &str| {
        let keys = [signer.public("key")];
        place.source(&json!({ "tag": tag, "verify": verify, "trustedKeys": keys }))
    };
    place.repository.git(&["tag", "light"]);
    place.repository.git(&["tag", "-a", "-m", "note", "noted"]);
    place.repository.git(&["tag", "-s", "-m", "note", "v1.0.0"]);
    assert_eq!(reason(&source("light", "Tag")), FetchReason::Unsigned);
    assert_eq!(reason(&source("noted", "Tag")), FetchReason::Unsigned);
    assert!(fetch(&source("v1.0.0", "Tag")).is_ok());
    assert_eq!(reason(&source("v1.0.0", "TagAndHead")), FetchReason::Unsigned);
    assert_eq!(reason(&source("v1.0.0", "Head")), FetchReason::Unsigned);
    place.repository.commit_all(&["-S", "-m", "signed"]);
    place.repository.git(&["tag", "-s", "-m", "note", "v1.1.0"]);
    assert!(fetch(&source("v1.1.0", "TagAndHead")).is_ok());
    // A signed tag under another name would present an old version as a new one.
    place.repository.git(&["update-ref", "refs/tags/v2.0.0", "refs/tags/v1.0.0"]);
    assert_eq!(reason(&source("v2.0.0", "Tag")), FetchReason::BadSignature);
    signer.sign(&place.repository, "other");
    place.repository.git(&["tag", "-s", "-m", "note", "v3.0.0"]);
    assert_eq!(reason(&source("v3.0.0", "Tag")), FetchReason::UntrustedKey);
}

/// A home folder of `gpg`. Dropping it stops the agent.
struct Gpg {
    home: tempfile::TempDir,
}

impl Gpg {
    fn new() -> Gpg {
        // A short path, because the names of sockets are short.
        let gpg = Gpg { home: tempfile::Builder::new().prefix("gpg").tempdir().unwrap() };
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(gpg.home.path(), mode).unwrap();
        gpg
    }

    fn run(&self, args: &[&str], input: &str) -> String {
        use std::io::Write as _;
        let mut child = Command::new("gpg")
            .args(["--batch", "--quiet", "--yes", "--pinentry-mode", "loopback", "--passphrase", "", "--homedir"])
            .arg(self.home.path())
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "gpg {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Creates a key; returns its fingerprint.
    fn key(&self, name: &str, more: &[&str]) -> String {
        self.run(&[more, &["--quick-generate-key", name]].concat(), "");
        let listed = self.run(&["--with-colons", "--list-keys", name], "");
        let line = listed.lines().find(|line| line.starts_with("fpr:")).unwrap();
        line.split(':').nth(9).unwrap().to_owned()
    }

    fn public(&self, key: &str) -> String {
        self.run(&["--armor", "--export", key], "")
    }

    fn signature(&self, key: &str, text: &str, more: &[&str]) -> String {
        self.run(&[more, &["--armor", "--detach-sign", "--local-user", key]].concat(), text)
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        let kill = Command::new("gpgconf").arg("--homedir").arg(self.home.path()).args(["--kill", "all"]).status();
        let _ = kill;
    }
}

#[test]
#[cfg_attr(missing_gpg, ignore = "needs GnuPG: tests/run installs it")]
fn row_19_openpgp_signatures_each_with_its_reason() {
    let gpg = Gpg::new();
    let place = Place::with(&[("a.yaml", TENANT)]);
    let refusal = |keys: &[String]| fetch(&place.source(&trusting(keys))).err().map(|error| error.reason);
    let ed = gpg.key("ed <ed@git.test>", &[]);
    let other = gpg.key("other <other@git.test>", &[]);
    with_signature(&place.repository, |plain| gpg.signature(&ed, plain, &[]));
    assert_eq!(refusal(&[gpg.public(&other), gpg.public(&ed)]), None);
    assert_eq!(refusal(&[gpg.public(&other)]), Some(FetchReason::UntrustedKey));
    with_signature(&place.repository, |plain| gpg.signature(&ed, &format!("{plain} "), &[]));
    assert_eq!(refusal(&[gpg.public(&ed)]), Some(FetchReason::BadSignature));
    with_signature(&place.repository, |plain| {
        gpg.signature(&ed, plain, &["--digest-algo", "SHA1", "--weak-digest", "MD5"])
    });
    assert_eq!(refusal(&[gpg.public(&ed)]), Some(FetchReason::BadSignature));

    // A signing subkey.
    gpg.run(&["--quick-add-key", &ed, "rsa2048", "sign"], "");
    let listed = gpg.run(&["--with-colons", "--list-keys", &ed], "");
    let subkey = listed.lines().rfind(|line| line.starts_with("fpr:")).unwrap();
    let subkey = subkey.split(':').nth(9).unwrap().to_owned();
    with_signature(&place.repository, |plain| gpg.signature(&format!("{subkey}!"), plain, &[]));
    assert_eq!(refusal(&[gpg.public(&ed)]), None);
    // The same subkey, revoked.
    let revoked = "key 2\nrevkey\ny\n0\n\ny\nsave\n";
    gpg.run(&["--command-fd", "0", "--expert", "--edit-key", &ed], revoked);
    assert_eq!(refusal(&[gpg.public(&ed)]), Some(FetchReason::RevokedKey));
}

#[test]
#[cfg_attr(missing_gpg, ignore = "needs GnuPG: tests/run installs it")]
fn row_19_expired_and_revoked_openpgp_keys() {
    let gpg = Gpg::new();
    let place = Place::with(&[("a.yaml", TENANT)]);
    let refusal = |keys: &[String]| fetch(&place.source(&trusting(keys))).err().map(|error| error.reason);
    // Created and used in 2020, valid for one day.
    let then = ["--faked-system-time", "20200101T000000!"];
    gpg.run(&[&then[..], &["--quick-generate-key", "old <old@git.test>", "default", "default", "1d"]].concat(), "");
    with_signature(&place.repository, |plain| gpg.signature("old@git.test", plain, &then));
    assert_eq!(refusal(&[gpg.public("old@git.test")]), Some(FetchReason::ExpiredKey));
    let key = gpg.key("bad <bad@git.test>", &[]);
    with_signature(&place.repository, |plain| gpg.signature(&key, plain, &[]));
    assert_eq!(refusal(&[gpg.public(&key)]), None);
    let revocation = gpg.home.path().join("openpgp-revocs.d").join(format!("{key}.rev"));
    let revocation = std::fs::read_to_string(revocation).unwrap().replace(":-----BEGIN", "-----BEGIN");
    gpg.run(&["--import"], &revocation);
    assert_eq!(refusal(&[gpg.public(&key)]), Some(FetchReason::RevokedKey));
}
