//! Tests of the page of `evenkeel dev`: its pure functions, run by Node; the rendering of hostile data; and scenarios in a
//! headless Chromium, which leave their screenshots in `target/screenshots`.

use std::path::Path;
use std::process::Command;

use crate::support::{Dev, copy, folder, root, said};

#[test]
#[cfg_attr(missing_node, ignore = "needs Node: tests/run installs it")]
fn its_functions_do_what_they_say() {
    let modules = copy("src/server/assets");
    crate::support::write(&modules.path().join("package.json"), "{\"type\":\"module\"}");
    let ran = Command::new("node").arg(root().join("tests/page/unit.mjs")).arg(modules.path()).output();
    let said = said(&ran.expect("Node runs"));
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.out.contains("unit ok"), "{}", said.out);
}

/// Markup that would change the title if the page interpreted it.
const HOSTILE: &str = "<img src=x onerror=\"document.title='injected'\"><script>document.title='injected'</script>";

/// The DOM of a page after its scripts ran.
fn rendered(url: &str) -> String {
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--virtual-time-budget=20000"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(["--dump-dom", url])
        .output();
    let output = said(&output.unwrap());
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
    let definitions_folder = folder(&[("hostile.yaml", &definitions)]);
    let server = Dev::start(definitions_folder.path(), &[]);
    let policy = server.get("/").header("content-security-policy").unwrap_or_default().to_owned();
    for directive in ["default-src 'self'", "require-trusted-types-for 'script'", "trusted-types 'none'"] {
        assert!(policy.split("; ").any(|part| part == directive), "{directive}: {policy}");
    }
    let dom = rendered(&format!("{}/#/actions/hostile/act", server.address));
    assert!(dom.matches("&lt;img src=x onerror=").count() > 5, "the page does not show the texts: {dom}");
    // The page itself sets the title to the text of the action.
    assert!(dom.contains("<title>&lt;img") && !dom.contains("<title>injected"), "{dom}");
    assert!(!dom.contains("<img") && dom.matches("<script").count() == 1, "{dom}");
}

/// Runs a scenario of tests/page/scenarios.mjs on a server.
fn play(server: &Dev, scenario: &str) {
    let pictures = root().join("target/screenshots");
    let mut command = Command::new("node");
    command.arg(root().join("tests/page/browser.mjs")).arg(&server.address).arg(pictures).arg(scenario);
    let said = said(&command.output().unwrap());
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.out.contains(&format!("{scenario} ok")), "{}", said.out);
}

/// `evenkeel dev` with the definitions of the scenarios, in a folder whose name is part of the paths that it shows.
fn project() -> (tempfile::TempDir, Dev) {
    let parent = tempfile::tempdir().unwrap();
    std::fs::rename(copy("tests/page/project").keep(), parent.path().join("parcels")).unwrap();
    let server = Dev::start_in(parent.path(), "parcels", &[]);
    (parent, server)
}

macro_rules! scenarios {
    ($($test:ident $scenario:literal)*) => {
        $(
            #[test]
            #[cfg_attr(any(missing_node, missing_chromium), ignore = "needs Node and Chromium: tests/run installs them")]
            fn $test() {
                let (_folder, server) = project();
                play(&server, $scenario);
            }
        )*
    };
}

scenarios! {
    a_failed_execution_shows_its_steps_error_and_logs "failedExecution"
    an_approval_is_answered_on_the_page "approval"
    a_refused_field_shows_its_reason_and_a_request_is_previewed "actions"
    triggers_events_and_dead_letters_are_listed "lists"
    the_keyboard_reaches_everything "keyboard"
}

#[test]
#[cfg_attr(any(missing_node, missing_chromium), ignore = "needs Node and Chromium: tests/run installs them")]
fn findings_of_an_edit_with_errors_are_shown() {
    let (parent, mut server) = project();
    let path = parent.path().join("parcels/parcelo.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    crate::support::write(&path, &text.replacen("baseUrl:", "baseUlr:", 1));
    server.wait_for("the last good definitions keep serving");
    play(&server, "broken");
}

/// Each module is a file of the page, and none is longer than a reader follows.
#[test]
fn every_module_is_served_and_preloaded() {
    let server = Dev::start(Path::new("examples/quickstart"), &[]);
    let index = server.get("/").body;
    for entry in std::fs::read_dir(root().join("src/server/assets")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(entry.path()).unwrap();
        assert!(text.lines().count() <= 400, "{name}");
        for word in ["innerHTML", "outerHTML =", "document.write", "eval(", "insertAdjacentHTML"] {
            assert!(!text.contains(word), "{name} uses {word}");
        }
        if name == "index.html" {
            continue;
        }
        let answer = server.get(&format!("/assets/{name}"));
        assert_eq!((answer.status, answer.body.trim_end()), (200, text.trim_end()), "{name}");
        assert!(index.contains(&format!("/assets/{name}\"")), "{name} is not loaded by index.html");
    }
    let context = server.get("/assets/context.json").json();
    assert_eq!(context["folder"], "examples/quickstart/", "{context}");
    assert_eq!(
        (&context["environment"], &context["tenants"][0]["name"]),
        (&"draft".into(), &"acme".into()),
        "{context}"
    );
}
