//! The page of `dev`: its pure functions, run by Node, and the rules that keep it harmless.

use crate::support::root;

#[test]
fn its_functions_do_what_they_say() {
    let folder = tempfile::tempdir().unwrap();
    let module = folder.path().join("app.mjs");
    std::fs::copy(root().join("src/server/assets/app.js"), &module).unwrap();
    let ran = std::process::Command::new("node").arg(root().join("tests/page/unit.mjs")).arg(&module).output();
    let Ok(ran) = ran else {
        assert!(std::env::var_os("CI").is_none(), "Node is needed to test the page");
        return;
    };
    let said = crate::support::said(&ran);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.out.contains("unit ok"), "{}", said.out);
}

#[test]
fn data_never_becomes_markup() {
    let script = std::fs::read_to_string(root().join("src/server/assets/app.js")).unwrap();
    for forbidden in [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        "setAttribute(\"style\"",
    ] {
        assert!(!script.contains(forbidden), "{forbidden}");
    }
}
