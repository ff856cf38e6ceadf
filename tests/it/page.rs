//! Tests of the page of `evenkeel dev`: its pure functions, run by Node, and the rendering of hostile data.

use crate::support::root;

#[test]
#[cfg_attr(missing_node, ignore = "needs Node: tests/run installs it")]
fn its_functions_do_what_they_say() {
    let folder = tempfile::tempdir().unwrap();
    let module = folder.path().join("app.mjs");
    std::fs::copy(root().join("src/server/assets/app.js"), &module).unwrap();
    let ran = std::process::Command::new("node").arg(root().join("tests/page/unit.mjs")).arg(&module).output();
    let said = crate::support::said(&ran.expect("Node runs"));
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.out.contains("unit ok"), "{}", said.out);
}

/// Markup that would change the title if the page interpreted it.
const HOSTILE: &str = "<img src=x onerror=\"document.title='injected'\"><script>document.title='injected'</script>";

/// The DOM of a page after its scripts ran.
fn rendered(url: &str) -> String {
    let profile = tempfile::tempdir().unwrap();
    let output = std::process::Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--virtual-time-budget=20000"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(["--dump-dom", url])
        .output();
    let output = crate::support::said(&output.unwrap());
    assert_eq!(output.code, 0, "{}", output.err);
    output.out
}

#[test]
#[cfg_attr(missing_chromium, ignore = "needs Chromium: tests/run installs it")]
fn data_never_becomes_markup() {
    let text = serde_json::json!(HOSTILE);
    let definitions = format!(
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Connector\nmetadata: {{ name: hostile }}\nspec:\n  displayName: {text}\n  \
         description: {text}\n  baseUrl: https://hostile.example\n  actions:\n    act:\n      title: {text}\n      description: \
         {text}\n      input: {{ type: object, properties: {{ field: {{ type: string, title: {text}, description: {text}, default: \
         {text} }} }} }}\n      output: {{ type: object, description: {text} }}\n      http: {{ path: /act }}\n      tests: [{{ \
         name: {text}, respond: {{ status: 200, body: {{}} }} }}]\n"
    );
    let folder = crate::support::folder(&[("hostile.yaml", &definitions)]);
    let server = crate::support::Dev::start(folder.path(), &[]);
    let policy = server.get("/").header("content-security-policy").unwrap_or_default().to_owned();
    for directive in ["default-src 'self'", "require-trusted-types-for 'script'", "trusted-types 'none'"] {
        assert!(policy.split("; ").any(|part| part == directive), "{directive}: {policy}");
    }
    let dom = rendered(&format!("{}/#hostile/act", server.address));
    assert!(dom.matches("&lt;img src=x onerror=").count() > 5, "the page does not show the texts: {dom}");
    // The page itself sets the title to the text of the action.
    assert!(dom.contains("<title>&lt;img") && !dom.contains("<title>injected"), "{dom}");
    assert!(!dom.contains("<img") && dom.matches("<script").count() == 1, "{dom}");
}
