//! Finds the programs that tests need besides Cargo. A test whose program is missing is shown as ignored with a reason:
//! `#[cfg_attr(missing_postgres, ignore = "…")]`. The crate itself does not use these names.
//!
//! The search runs again if a program that was found changes or disappears, or if this file is touched: `tests/run` does
//! that after it has installed or built a part. It does not run again otherwise, so edits stay fast.

use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let kubernetes = printed("tests/envtest/build", "--folder").unwrap_or_default();
    let contract = printed("tests/contract/build", "--folder").unwrap_or_default().join("bin");
    let parts: [(&str, Option<Vec<PathBuf>>); 11] = [
        ("postgres", all([postgres()])),
        (
            "kubernetes",
            all([program("etcd"), file(kubernetes.join("kube-apiserver")), file(kubernetes.join("kubectl"))]),
        ),
        ("helm", all([printed("charts/render", "--helm")])),
        ("sshd", all([program("sshd"), program("ssh-keygen")])),
        ("gpg", all([program("gpg"), program("gpgconf"), program("ssh-keygen")])),
        ("openssl", all([program("openssl")])),
        ("jq", all([program("jq")])),
        ("node", all([program("node")])),
        ("python", all([program("python3")])),
        ("chromium", all([program("chromium")])),
        ("contract", all([file(contract.join("schemathesis")), file(contract.join("openapi-spec-validator"))])),
    ];
    for (part, found) in parts {
        println!("cargo::rustc-check-cfg=cfg(missing_{part})");
        match found {
            Some(paths) => paths.iter().for_each(|path| println!("cargo::rerun-if-changed={}", path.display())),
            None => println!("cargo::rustc-cfg=missing_{part}"),
        }
    }
    // A disk of a few mebibytes: a file system in memory, which only a privileged process may mount.
    println!("cargo::rustc-check-cfg=cfg(missing_mount)");
    let mount =
        Command::new("unshare").args(["--mount", "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", "/tmp"]).output();
    if !mount.is_ok_and(|output| output.status.success()) {
        println!("cargo::rustc-cfg=missing_mount");
    }
}

fn all<const N: usize>(paths: [Option<PathBuf>; N]) -> Option<Vec<PathBuf>> {
    paths.into_iter().collect()
}

fn file(path: PathBuf) -> Option<PathBuf> {
    path.is_file().then_some(path)
}

/// A program on the path, or where Debian keeps servers.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let servers = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(servers).find_map(|folder| file(folder.join(name)))
}

/// `initdb`, which Debian does not put on the path.
fn postgres() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    versions.map(|version| version.path().join("bin/initdb")).find(|path| path.is_file()).or_else(|| program("initdb"))
}

/// The path that a script of this repository prints.
fn printed(script: &str, argument: &str) -> Option<PathBuf> {
    let output = Command::new(Path::new(".").join(script)).arg(argument).output().ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| PathBuf::from(path.trim()))
}
