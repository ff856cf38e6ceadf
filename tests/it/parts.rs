//! The programs that tests need. `build.rs` finds them; a test whose program is missing is ignored with a reason.

/// The parts that `build.rs` did not find.
fn missing() -> Vec<&'static str> {
    let parts = [
        (cfg!(missing_postgres), "PostgreSQL"),
        (cfg!(missing_kubernetes), "kube-apiserver, kubectl and etcd"),
        (cfg!(missing_helm), "Helm"),
        (cfg!(missing_sshd), "sshd"),
        (cfg!(missing_gpg), "GnuPG"),
        (cfg!(missing_openssl), "openssl"),
        (cfg!(missing_node), "Node"),
        (cfg!(missing_python), "Python"),
        (cfg!(missing_mount), "the right to mount a file system"),
    ];
    parts.into_iter().filter_map(|(is_missing, name)| is_missing.then_some(name)).collect()
}

#[test]
fn no_part_is_missing_in_ci() {
    let missing = missing();
    assert!(
        missing.is_empty() || std::env::var_os("CI").is_none(),
        "tests that need {missing:?} are ignored, and `CI` is set: `tests/run` installs and builds every part"
    );
}
