//! The command line: exit codes, forms of output, help.

use std::process::Stdio;

use crate::support::{evenkeel, folder, golden, run, said};

const TENANT: &str =
    "apiVersion: evenkeel.dev/v1alpha1\nkind: Tenant\nmetadata: { name: acme }\nspec: { displayName: Acme }\n";

#[test]
fn validate_exits_with_what_it_found() {
    let clean = folder(&[("a.yaml", TENANT)]);
    let said = run(["validate".as_ref(), clean.path().as_os_str()]);
    assert_eq!((said.code, said.out.as_str()), (0, "1 definition, no findings\n"));
    let broken = folder(&[("a.yaml", &TENANT.replace("Acme }", "Acme, plna: gold }"))]);
    let said = run(["validate".as_ref(), broken.path().as_os_str()]);
    assert_eq!(said.code, 1);
    assert!(said.out.contains("a.yaml:4:28") && said.out.contains("did you mean `plan`?"), "{}", said.out);
    assert_eq!(run(["validate", "no/such"]).code, 2);
    assert_eq!(run(["validate", "--no-such-option"]).code, 2);
}

#[test]
fn json_has_the_documented_form() {
    let broken = folder(&[("a.yaml", &TENANT.replace("Acme }", "Acme, plna: gold }"))]);
    let said = run(["validate".as_ref(), broken.path().as_os_str(), "-o".as_ref(), "json".as_ref()]);
    let report: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let finding = report["findings"][0].as_object().unwrap();
    let keys: Vec<&str> = finding.keys().take(7).map(String::as_str).collect();
    assert_eq!(keys, ["code", "severity", "message", "file", "line", "column", "help"]);
    assert_eq!(report["summary"], serde_json::json!({"definitions": 1, "errors": 1, "warnings": 0}));
}

#[test]
fn other_forms_are_what_their_readers_take() {
    let sarif = run(["validate", "tests/planted", "-o", "sarif"]);
    let log: serde_json::Value = serde_json::from_str(&sarif.out).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let results = log["runs"][0]["results"].as_array().unwrap();
    let rules = log["runs"][0]["tool"]["driver"]["rules"].as_array().unwrap();
    assert!(results.len() > 300 && rules.len() >= 80);
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert!(result["locations"][0]["physicalLocation"]["region"]["startLine"].as_u64().unwrap() > 0);
    }
    let junit = run(["validate", "tests/planted", "-o", "junit"]);
    assert!(junit.out.starts_with("<?xml") && junit.out.trim_end().ends_with("</testsuites>"));
    let github = run(["validate", "tests/planted", "-o", "github"]);
    assert!(
        github.out.lines().all(|line| line.starts_with("::error ") || line.starts_with("::warning ")),
        "{}",
        github.out
    );
}

#[test]
fn every_code_is_explained_and_used() {
    let source = std::process::Command::new("grep")
        .args(["-rhoE", "codes::[A-Z_]+|\"EK[0-9]{4}\"", "src"])
        .current_dir(crate::support::root())
        .output()
        .unwrap();
    let source = String::from_utf8(source.stdout).unwrap();
    let names = std::fs::read_to_string(crate::support::root().join("src/text/codes.rs")).unwrap();
    for code in evenkeel::text::codes::ALL {
        let said = run(["explain", code.id]);
        assert_eq!(said.code, 0);
        assert!(said.out.starts_with(code.id) && said.out.len() > 60, "{}", said.out);
        let line = names.lines().find(|line| line.trim().starts_with(code.id)).unwrap();
        let name = line.split_whitespace().nth(1).unwrap();
        assert!(
            // A retired code is explained as long as old reports are read.
            code.title.ends_with("(retired)")
                || source.contains(&format!("codes::{name}"))
                || source.contains(&format!("\"{}\"", code.id)),
            "nothing reports {}",
            code.id
        );
    }
    let unknown = run(["explain", "EK010"]);
    assert_eq!(unknown.code, 2);
    assert!(unknown.err.contains("Did you mean EK0"), "{}", unknown.err);
    assert!(run(["explain"]).out.lines().count() >= evenkeel::text::codes::ALL.len());
}

/// The help of a command and, if it has subcommands, of each of them.
fn help(path: &[&str]) -> String {
    let text = run(path.iter().copied().chain(["--help"])).out;
    let mut all = format!("$ evenkeel {} --help\n{text}\n", path.join(" ")).replace("evenkeel  ", "evenkeel ");
    // `help` is a command without options.
    for name in subcommands(&text).into_iter().filter(|name| name != "help") {
        all += &help(&[path, &[&name]].concat());
    }
    all
}

/// The names in the lists of commands: every list but the arguments and options.
fn subcommands(help: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut in_list = false;
    for line in help.lines() {
        if !line.starts_with(' ') {
            let is_top = help.contains("Usage: evenkeel [OPTIONS] <COMMAND>");
            let title = line.trim_end_matches(':');
            let is_other = matches!(title, "Options" | "Global options" | "Examples" | "Exit status");
            in_list = line.ends_with(':') && if is_top { !is_other } else { title == "Commands" };
        } else if in_list && line.starts_with("  ") && !line.starts_with("   ") {
            names.extend(line.split_whitespace().next().map(str::to_owned));
        }
    }
    names
}

#[test]
fn the_help_of_every_command_is_as_committed() {
    let text = help(&[]);
    assert!(text.matches("$ evenkeel ").count() > 40, "{text}");
    golden("tests/help.golden.txt", &text);
}

#[test]
fn colors_are_for_terminals() {
    let mut command = evenkeel();
    command.args(["validate", "tests/planted"]);
    assert!(!said(&command.output().unwrap()).out.contains('\u{1b}'));
    assert!(said(&command.env("CLICOLOR_FORCE", "1").output().unwrap()).out.contains('\u{1b}'));
    assert!(!said(&command.env("NO_COLOR", "1").output().unwrap()).out.contains('\u{1b}'));
}

#[test]
fn an_option_chooses_the_colors_of_data_help_and_errors() {
    let colored = |args: &[&str], variable: Option<(&str, &str)>| {
        let mut command = evenkeel();
        command.args(args).envs(variable);
        let said = said(&command.output().unwrap());
        (said.out + &said.err).contains('\u{1b}')
    };
    for args in [&["validate", "tests/planted"][..], &["--help"], &["validate", "--nope"], &["validate", "no/such"]] {
        assert!(!colored(args, None), "{args:?}");
        let always = [args, &["--color", "always"]].concat();
        assert!(colored(&always, Some(("NO_COLOR", "1"))), "{always:?}");
        let never = [&["--color=never"], args].concat();
        assert!(!colored(&never, Some(("CLICOLOR_FORCE", "1"))), "{never:?}");
    }
    assert_eq!(run(["version", "--color", "pink"]).code, 2);
}

#[test]
fn quiet_omits_remarks_and_keeps_errors_and_data() {
    let loud = run(["fmt", "--check", "examples/quickstart"]);
    assert!(loud.code == 0 && loud.err.contains("would change"), "{}", loud.err);
    let quiet = run(["-q", "fmt", "--check", "examples/quickstart"]);
    assert_eq!((quiet.code, quiet.err.as_str()), (0, ""));
    let broken = run(["validate", "no/such", "--quiet"]);
    assert!(broken.code == 2 && broken.err.contains("no/such"), "{}", broken.err);
    assert!(run(["validate", "tests/planted", "-q"]).out.contains("EK0101"));
    assert_eq!(run(["validate", "-q", "-v"]).code, 2, "one of them");
}

#[test]
fn help_and_version_are_commands_and_options() {
    let listed = run(["help"]);
    assert_eq!((listed.code, &listed.out), (0, &run(["--help"]).out));
    let nested = run(["help", "executions", "list"]);
    assert_eq!((nested.code, &nested.out), (0, &run(["executions", "list", "--help"]).out));
    assert_eq!(run(["help", "exections"]).code, 2);
    let version = run(["version"]);
    assert_eq!((version.code, version.out.as_str()), (0, concat!("evenkeel ", env!("CARGO_PKG_VERSION"), "\n")));
    assert_eq!(run(["--version"]).out, version.out);
    let document: serde_json::Value = serde_json::from_str(&run(["version", "-o", "json"]).out).unwrap();
    assert_eq!(
        (&document["version"], &document["apiVersion"]),
        (&env!("CARGO_PKG_VERSION").into(), &"evenkeel.dev/v1alpha1".into())
    );
}

#[test]
fn a_usage_error_shows_the_usage_without_options_of_the_environment() {
    let mut command = evenkeel();
    command.args(["rollback"]).env("EVENKEEL_SERVER", "http://127.0.0.1:1").env("EVENKEEL_ENVIRONMENT", "live");
    let said = said(&command.output().unwrap());
    assert_eq!(said.code, 2);
    assert!(said.err.contains("Usage: evenkeel rollback [OPTIONS] <GENERATION>"), "{}", said.err);
}

#[test]
fn each_command_of_an_environment_takes_one_option_and_one_variable_for_it() {
    // The pages of help hold every command, so a new command is found here.
    let text = help(&[]);
    let mut commands = 0;
    for page in text.split("$ evenkeel ").skip(1).filter(|page| page.contains("--server <URL>")) {
        let name = page.lines().next().unwrap();
        if name.starts_with("plan ") {
            continue;
        }
        commands += 1;
        assert!(page.contains("-e, --environment <ENVIRONMENT>"), "{name}");
        assert!(page.contains("EVENKEEL_ENVIRONMENT=]"), "{name}");
        assert!(page.contains("-o, --output <FORMAT>"), "{name}");
        let is_positional = ["  <ENVIRONMENT>", "  [ENVIRONMENT]"].iter().any(|argument| page.contains(argument));
        assert!(!is_positional, "the environment is an option: {name}");
    }
    assert!(commands >= 22, "{commands}");
    // Both spellings reach the server, which does not run here.
    for environment in ["integrations/live", "integrations.live"] {
        let unreachable = run(["status", "-e", environment, "--server", "http://127.0.0.1:1"]);
        assert_eq!(unreachable.code, 2);
        assert!(unreachable.err.contains("cannot reach http://127.0.0.1:1"), "{}", unreachable.err);
    }
    let wrong = run(["status", "-e", "a/b/c"]);
    assert!(wrong.code == 2 && wrong.err.contains("NAMESPACE/NAME"), "{}", wrong.err);
    let both = run(["status", "--watch", "-o", "json", "--server", "http://127.0.0.1:1"]);
    assert!(both.code == 2 && both.err.contains("use one of them"), "{}", both.err);
}

#[test]
fn manual_pages_are_written_for_each_command() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man1");
    let said = run(["man".as_ref(), "--out".as_ref(), pages.as_os_str()]);
    assert_eq!(said.code, 0, "{}", said.err);
    let read = |name: &str| std::fs::read_to_string(pages.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let list = read("evenkeel-executions-list.1");
    for part in
        [".TH evenkeel-executions-list 1", ".SH EXAMPLES", "evenkeel executions list \\-\\-watch", "EVENKEEL_SERVER"]
    {
        assert!(list.contains(part), "{part}: {list}");
    }
    assert!(read("evenkeel.1").contains("evenkeel\\-status(1)") && read("evenkeel-status.1").contains(".SH NOTES"));
    let number = std::fs::read_dir(&pages).unwrap().count();
    // One for each page of help: neither hidden commands nor `help`.
    assert_eq!(number, help(&[]).matches("$ evenkeel ").count());
    assert!(said.err.contains(&format!("wrote {number} pages")), "{}", said.err);
    assert!(!pages.join("evenkeel-script-worker.1").exists());
}

#[test]
fn a_closed_pipe_is_not_an_error() {
    let mut child =
        evenkeel().args(["validate", "tests/planted"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn schema_prints_one_kind_or_any() {
    let one: serde_json::Value = serde_json::from_str(&run(["schema", "tenant"]).out).unwrap();
    assert_eq!(one["title"], "Tenant");
    let any: serde_json::Value = serde_json::from_str(&run(["schema"]).out).unwrap();
    assert_eq!(any["allOf"].as_array().unwrap().len(), 10);
    let wrong = run(["schema", "Tenent"]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.err.contains("did you mean Tenant?"), "{}", wrong.err);
}

#[test]
fn completions_are_scripts() {
    for (shell, word) in [("bash", "complete"), ("zsh", "#compdef"), ("fish", "complete -c evenkeel")] {
        let said = run(["completions", shell]);
        assert_eq!(said.code, 0);
        assert!(said.out.contains(word), "{shell}");
    }
}

#[test]
fn fmt_changes_the_form_and_never_the_meaning() {
    let untidy = "# about acme\r\nkind: Tenant   \r\n# the version\r\napiVersion: evenkeel.dev/v1alpha1\r\n\r\n\r\n\r\nspec:\r\n  displayName: Acme\r\n  plan: |\r\n    two  \r\n\r\n\r\n    lines\r\nmetadata: { name: acme }\r\n\r\n\r\n";
    let folder = folder(&[
        ("a.yaml", untidy),
        (
            "b.json",
            "{\"apiVersion\":\"evenkeel.dev/v1alpha1\",\"kind\":\"Tenant\",\"metadata\":{\"name\":\"b\"},\"spec\":{\"displayName\":\"\\u0042\"}}",
        ),
        ("c.yaml", "apiVersion: evenkeel.dev/v1alpha1\nspec: [\n"),
    ]);
    let check = run(["fmt".as_ref(), "--check".as_ref(), folder.path().as_os_str()]);
    let shown = |name: &str| format!("{}\n", folder.path().join(name).display());
    assert_eq!((check.code, check.out), (1, shown("a.yaml") + &shown("b.json")), "{}", check.err);
    assert_eq!(std::fs::read_to_string(folder.path().join("a.yaml")).unwrap(), untidy);
    let said = run(["fmt".as_ref(), folder.path().as_os_str()]);
    assert!(said.err.contains("c.yaml: not formatted"), "{}", said.err);
    let tidy = std::fs::read_to_string(folder.path().join("a.yaml")).unwrap();
    assert_eq!(
        tidy,
        "# about acme\n# the version\napiVersion: evenkeel.dev/v1alpha1\nkind: Tenant\nmetadata: { name: acme }\n\nspec:\n  displayName: Acme\n  plan: |\n    two  \n\n\n    lines\n",
        "{tidy}"
    );
    assert!(std::fs::read_to_string(folder.path().join("b.json")).unwrap().contains("\n    \"displayName\": \"B\"\n"));
    std::fs::remove_file(folder.path().join("c.yaml")).unwrap();
    assert_eq!(run(["fmt".as_ref(), "--check".as_ref(), folder.path().as_os_str()]).code, 0);
}

#[test]
fn fmt_ignores_files_of_other_tools() {
    let foreign = [
        ("package.json", "{\"a\":1}"),
        ("chart.yaml", "apiVersion: v1\nkind:   ConfigMap\n\n\n\n"),
        ("data.json", "[1,2]"),
        ("tsconfig.json", "{ // a comment\n}"),
    ];
    let folder = folder(&foreign);
    let said = run(["fmt".as_ref(), folder.path().as_os_str()]);
    assert_eq!((said.code, said.out.as_str()), (0, ""), "{}", said.err);
    for (name, text) in foreign {
        assert_eq!(std::fs::read_to_string(folder.path().join(name)).unwrap(), text);
    }
}

#[test]
fn fmt_keeps_the_order_of_documents_with_aliases_and_comments() {
    let cases = [
        // An alias cannot come before its anchor, so nothing is reordered.
        "kind: Tenant\nspec: &spec { displayName: &name A }\napiVersion: evenkeel.dev/v1alpha1\nmetadata: { name: a, labels: { x: *name } }\n",
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Tenant\nmetadata: { name: a }\nspec:\n  displayName: |+\n    A\n\n\n",
        "# about the file\n\n# about the version\napiVersion: evenkeel.dev/v1alpha1\nkind: Tenant\nmetadata: { name: a }\nspec: { displayName: A }\n--- # second\napiVersion: evenkeel.dev/v1alpha1\nkind: Tenant\nmetadata: { name: b }\nspec: { displayName: B }\n",
    ];
    for text in cases {
        let folder = folder(&[("a.yaml", text)]);
        let said = run(["fmt".as_ref(), folder.path().as_os_str()]);
        assert_eq!(said.code, 0, "{}", said.err);
        assert_eq!(std::fs::read_to_string(folder.path().join("a.yaml")).unwrap(), text);
    }
    let moved = folder(&[(
        "a.yaml",
        "# about the file\n\n# about the spec\nspec: { displayName: A }\napiVersion: evenkeel.dev/v1alpha1\nkind: Tenant\nmetadata: { name: a }\n",
    )]);
    assert_eq!(run(["fmt".as_ref(), moved.path().as_os_str()]).code, 0);
    assert_eq!(
        std::fs::read_to_string(moved.path().join("a.yaml")).unwrap(),
        "# about the file\n\napiVersion: evenkeel.dev/v1alpha1\nkind: Tenant\nmetadata: { name: a }\n# about the spec\nspec: { displayName: A }\n"
    );
}

#[test]
fn rejects_symbolic_links_out_of_the_folder_and_keeps_them() {
    let unformatted = format!("{TENANT}\n\n\n");
    let outside = folder(&[("real.yaml", TENANT)]);
    let folder = folder(&[(".hidden/real.yaml", &unformatted)]);
    let (link, out) = (folder.path().join("link.yaml"), folder.path().join("out.yaml"));
    std::os::unix::fs::symlink(".hidden/real.yaml", &link).unwrap();
    assert_eq!(run(["validate".as_ref(), link.as_os_str()]).code, 0);
    assert_eq!(run(["validate".as_ref(), folder.path().as_os_str()]).code, 0);
    assert_eq!(run(["fmt".as_ref(), folder.path().as_os_str()]).code, 0);
    assert_eq!(std::fs::read_to_string(&link).unwrap(), unformatted, "a link is not replaced by a file");
    std::os::unix::fs::symlink(outside.path().join("real.yaml"), &out).unwrap();
    for (command, path) in [("fmt", &link), ("fmt", &out), ("validate", &out)] {
        let said = run([command.as_ref(), path.as_os_str()]);
        assert_eq!(said.code, 2);
        assert!(said.err.contains("symbolic link"), "{}", said.err);
    }
    assert!(link.symlink_metadata().unwrap().is_symlink());
    let said = run(["validate".as_ref(), folder.path().as_os_str()]);
    assert_eq!(said.code, 1);
    assert!(said.out.contains("EK0009"), "{}", said.out);
}

#[test]
fn a_credential_is_not_printed_again() {
    let key = ["sk", "live", "abcdefghijklmnop12345678"].join("_");
    let text = format!(
        "{TENANT}---\napiVersion: evenkeel.dev/v1alpha1\nkind: Connection\nmetadata: {{ name: a }}\nspec: {{ connector: none, credentials: {{ token: \"{key}\" }} }}\n"
    );
    // Also in fields that other findings quote.
    let text = format!(
        "{text}---\napiVersion: evenkeel.dev/v1alpha1\nkind: Environment\nmetadata: {{ name: e }}\nspec: {{ secrets: {{ k: {{ env: {key}-x }} }} }}\n---\napiVersion: evenkeel.dev/v1alpha1\nkind: Tenent # {key}\n---\na: {key}: b: [\n"
    );
    let folder = folder(&[("a.yaml", &text)]);
    for form in ["human", "json", "sarif", "junit", "github"] {
        let said = run(["validate".as_ref(), folder.path().as_os_str(), "-o".as_ref(), form.as_ref()]);
        assert!(said.out.contains("EK0801") && said.out.contains("EK0112"), "{form}: {}", said.out);
        assert!(!said.out.contains("abcdefghijklmnop"), "{form}: {}", said.out);
    }
}

#[test]
fn a_schema_error_does_not_hide_other_errors() {
    let text = "apiVersion: evenkeel.dev/v1alpha1\nkind: Connector\nmetadata: { name: c }\nspec:\n  displayName: C\n  visibilty: Public\n  baseUrl: https://c.example\n  actions:\n    one:\n      operation: Foo\n      http: { path: /one }\n      tests: [{ name: t }]\n    two:\n      http: { path: /two, body: { a: 1 } }\n      tests: [{ name: t }]\n";
    let folder = folder(&[("a.yaml", text)]);
    let said = run(["validate".as_ref(), folder.path().as_os_str(), "-o".as_ref(), "json".as_ref()]);
    let report: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let codes: Vec<&str> =
        report["findings"].as_array().unwrap().iter().filter_map(|finding| finding["code"].as_str()).collect();
    assert_eq!(codes, ["EK0101", "EK0104", "EK0405"], "{}", said.out);
}

#[test]
fn validates_one_file_of_several_alone() {
    let widget = "apiVersion: evenkeel.dev/v1alpha1\nkind: Widget\nmetadata: { name: w }\nspec:\n  displayName: W\n  actions: [{ name: Go, workflow: elsewhere }]\n";
    let folder = folder(&[("w.yaml", widget), ("notes.txt", "")]);
    assert_eq!(run(["validate".as_ref(), folder.path().join("w.yaml").as_os_str()]).code, 0);
    assert_eq!(run(["validate".as_ref(), folder.path().as_os_str()]).code, 1);
    assert_eq!(run(["validate".as_ref(), folder.path().join("notes.txt").as_os_str()]).code, 2);
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(run(["validate".as_ref(), empty.path().as_os_str()]).code, 1);
    assert_eq!(run(["test", "examples/quickstart", "-f", "no such test"]).code, 2);
}

#[test]
fn an_invalid_input_schema_does_not_hide_errors_of_other_actions() {
    let action = |name: &str, schema: &str, input: &str| {
        format!("    {name}: {{ input: {schema}, http: {{ path: /x }}, tests: [{{ name: t, input: {input} }}] }}\n")
    };
    let text = format!(
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Connector\nmetadata: {{ name: c }}\nspec:\n  displayName: C\n  baseUrl: https://c.example\n  actions:\n{}{}",
        action("wrong", "{ type: strng }", "{ a: 1 }"),
        action("right", "{ type: object, properties: { a: { type: string } } }", "{ a: 1 }"),
    );
    let folder = folder(&[("a.yaml", &text)]);
    let said = run(["validate".as_ref(), folder.path().as_os_str(), "-o".as_ref(), "json".as_ref()]);
    let report: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let found = report["findings"].as_array().unwrap().iter();
    let found: Vec<_> =
        found.map(|finding| (finding["code"].as_str().unwrap(), finding["line"].as_u64().unwrap())).collect();
    assert_eq!(found, [("EK0701", 8), ("EK0704", 9)], "{}", said.out);
}

#[test]
fn errors_name_the_option_that_supplies_a_missing_value() {
    let cases = [
        (vec!["render", "orbit-crm/create-contct", "--test", "x"], 2, "did you mean `create-contact`?"),
        (vec!["render", "orbit-crm/create-contact", "--test", "x"], 2, "expected one of `creates a contact with tags`"),
        (vec!["render", "orbit-crm/nope"], 2, "actions: create-contact"),
        (vec!["call", "orbit/create-contact", "--mock"], 2, "connectors: orbit-crm"),
        (vec!["render", "orbit-crm/get-contact"], 1, "--path-param NAME=VALUE"),
        (vec!["render", "orbit-crm/create-contact"], 1, "--input JSON"),
        (vec!["call", "orbit-crm/list-contacts"], 1, "--tenant TENANT"),
        (vec!["render", "orbit-crm/create-contact", "--input", "{a}"], 2, "the input is not JSON"),
    ];
    for (mut args, code, expected) in cases {
        args.insert(2, "examples/quickstart");
        let said = run(&args);
        assert_eq!(said.code, code, "{args:?}: {}{}", said.out, said.err);
        assert!(said.err.contains(expected) && said.out.is_empty(), "{args:?}: {}", said.err);
    }
}

#[test]
fn a_request_and_a_failed_call_have_a_json_form() {
    let render = ["render", "orbit-crm/create-contact", "examples/quickstart", "--tenant", "acme", "-o", "json"];
    let test = ["--test", "creates a contact with tags"];
    let rendered = run(render.iter().chain(&test));
    let request: serde_json::Value = serde_json::from_str(&rendered.out).unwrap_or_else(|_| panic!("{}", rendered.err));
    assert_eq!((rendered.code, &request["method"]), (0, &"POST".into()), "{request:#}");
    let failed = run(render);
    let document: serde_json::Value = serde_json::from_str(&failed.out).unwrap_or_else(|_| panic!("{}", failed.err));
    assert!(failed.code == 1 && document.to_string().contains("INVALID_INPUT"), "{document:#}");
    assert_eq!(failed.err, "", "a program reads one document");
}
