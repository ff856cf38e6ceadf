//! The output of commands that talk to a server: environments, executions, and their waits.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr;

use super::{World, cli, is_ready, saying, wait};
use crate::support::{Dev, Said, evenkeel, said};
use crate::work::{DefinitionsFolder, ENVIRONMENT, eventually, workflow};

/// Parses the one document that a command printed.
fn document(said: &Said) -> Value {
    serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {}{}", said.out, said.err))
}

fn with_columns(server: &Dev, columns: &str, args: &[&str]) -> Said {
    let mut command = evenkeel();
    command.args(args).env("EVENKEEL_SERVER", &server.address).env("COLUMNS", columns);
    said(&command.output().unwrap())
}

#[test]
fn one_of_several_environments_is_chosen_by_an_option_or_a_variable() {
    let code = "export default async () => 'hi'";
    let text = ENVIRONMENT.replace("name: live", "name: draft") + ENVIRONMENT + &workflow("say", "Instant", "", code);
    let folder = DefinitionsFolder::new(&[("a.yaml", &text)]);
    let server = folder.serve(&[]);
    wait(&server, "draft", is_ready, "draft");
    wait(&server, "live", is_ready, "live");
    for args in [
        &["executions", "list"][..],
        &["history"],
        &["diff"],
        &["rollback", "1"],
        &["suspend"],
        &["triggers"],
        &["events"],
        &["dlq", "list"],
        &["run", "say"],
        &["trace", "Workflow/say"],
        &["promote", "--from", "draft"],
    ] {
        let refused = cli(&server.address, args);
        assert_eq!(refused.code, 2, "{args:?}: {}", refused.out);
        assert!(refused.err.contains("choose one with `-e NAME`: draft, live"), "{args:?}: {}", refused.err);
    }
    let chosen = cli(&server.address, &["run", "say", "-e", "live"]);
    assert_eq!((chosen.code, chosen.out.as_str()), (0, "\"hi\"\n"), "{}", chosen.err);
    let list = cli(&server.address, &["executions", "list", "-e", "live", "-o", "json"]);
    assert_eq!(document(&list)["items"].as_array().unwrap().len(), 1);
    let mut variable = evenkeel();
    variable.args(["executions", "list", "-o", "json"]).env("EVENKEEL_SERVER", &server.address);
    let other = said(&variable.env("EVENKEEL_ENVIRONMENT", "draft").output().unwrap());
    assert_eq!(document(&other)["items"], json!([]), "the executions of the other environment");
    let unknown = cli(&server.address, &["status", "-e", "lvie"]);
    assert!(unknown.code == 2 && unknown.err.contains("lvie") && unknown.err.contains("live"), "{}", unknown.err);
    // One document each.
    let all = document(&cli(&server.address, &["status", "-o", "json"]));
    let names: Vec<&Value> = all["items"].as_array().unwrap().iter().map(|status| &status["name"]).collect();
    assert_eq!(names, ["draft", "live"]);
    assert_eq!(document(&cli(&server.address, &["status", "-e", "live", "-o", "json"]))["name"], "live");
    // Requests are shown on request.
    let verbose = cli(&server.address, &["status", "-e", "live", "-v"]);
    assert!(verbose.err.contains("/v1/environments/live: 200 in "), "{}", verbose.err);
}

#[test]
fn an_execution_shows_its_wait_and_a_wrong_name_is_refused() {
    let code = "export default async (ctx) => {\n  await ctx.step('prepare', async () => 1)\n  const yes = await \
                ctx.approval('wait-for-boss', { message: 'Ship it?', timeout: '15m' })\n  return yes.by\n}";
    let text = ENVIRONMENT.to_owned() + &workflow("ship", "Long", "", code);
    let folder = DefinitionsFolder::new(&[("a.yaml", &text)]);
    let server = folder.serve(&[]);
    wait(&server, "live", is_ready, "live");
    // `run --wait` shows the ID, the wait and the command on stderr, and later the output on stdout.
    let mut command = evenkeel();
    command.args(["run", "ship", "--wait"]).env("EVENKEEL_SERVER", &server.address);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let started = lines.next().unwrap();
    let id = started.strip_prefix("started ").unwrap_or_else(|| panic!("{started}")).to_owned();
    let wait_line = lines.next().unwrap();
    assert!(wait_line.starts_with("waits for approval `wait-for-boss` until "), "{wait_line}");
    assert_eq!(lines.next().unwrap().trim(), format!("evenkeel executions approve {id} wait-for-boss"));

    let shown = cli(&server.address, &["executions", "show", &id]).out;
    for part in
        ["  waits for   approval `wait-for-boss` until ", &format!("executions approve {id} wait-for-boss"), "prepare"]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let list = cli(&server.address, &["executions", "list"]).out;
    assert!(list.contains("Waiting for approval `wait-for-boss`"), "{list}");
    for (args, noun) in [
        (&["executions", "approve", &id, "wait-for-bos"][..], "approve"),
        (&["executions", "signal", &id, "nosuch"], "signal"),
    ] {
        let refused = cli(&server.address, args);
        assert_eq!(refused.code, 2, "{noun}: {}", refused.out);
        let wrong = args[3];
        assert!(refused.err.contains(wrong), "{}", refused.err);
        assert!(noun == "signal" || refused.err.contains(&format!("approve {id} wait-for-boss")), "{}", refused.err);
    }
    let kept = cli(&server.address, &["executions", "signal", &id, "later", "--keep"]);
    assert_eq!(kept.code, 0, "{}", kept.err);
    let approved = cli(&server.address, &["executions", "approve", &id, "wait-for-boss"]);
    assert_eq!((approved.code, approved.out), (0, format!("{id}: approved\n")), "{}", approved.err);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "\"local\"\n");
    assert!(cli(&server.address, &["executions", "show", &id]).out.contains("  took        "));
}

#[test]
fn tables_fit_the_terminal_and_an_ambiguous_id_lists_candidates() {
    let text = ENVIRONMENT.to_owned()
        + &workflow("a-workflow-with-a-long-name", "Instant", "", "export default async () => 1");
    let folder = DefinitionsFolder::new(&[("a.yaml", &text)]);
    let server = folder.serve(&[]);
    wait(&server, "live", is_ready, "live");
    for _ in 0..3 {
        assert_eq!(cli(&server.address, &["run", "a-workflow-with-a-long-name"]).code, 0);
    }
    let page = document(&cli(&server.address, &["executions", "list", "-o", "json"]));
    let ids: Vec<&str> = page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 3, "{page:#}");
    for columns in ["80", "100"] {
        for args in
            [&["executions", "list"][..], &["history"], &["workflows"], &["status"], &["executions", "show", ids[0]]]
        {
            let table = with_columns(&server, columns, args).out;
            let width = table.lines().map(UnicodeWidthStr::width).max().unwrap();
            assert!(width <= columns.parse().unwrap() && table.len() > 40, "{columns} {args:?}: {table}");
        }
    }
    let narrow = with_columns(&server, "80", &["executions", "list"]).out;
    assert!(narrow.contains("AGE") && ids.iter().all(|id| narrow.contains(id)), "{narrow}");
    // One page at a time.
    let first = cli(&server.address, &["executions", "list", "--limit", "2"]);
    assert!(first.out.lines().count() == 3 && first.err.contains("--cursor "), "{}{}", first.out, first.err);
    let cursor = first.err.split("--cursor ").nth(1).unwrap().split('`').next().unwrap();
    let second = document(&cli(&server.address, &["executions", "list", "--cursor", cursor, "-o", "json"]));
    assert_eq!((second["items"][0]["id"].as_str(), &second["next"]), (Some(ids[2]), &Value::Null), "{second:#}");
    // Executions of the same second have common first characters.
    let start = || {
        let answer = server.post("/v1/environments/live/workflows/a-workflow-with-a-long-name/runs", &[], "{}");
        assert_eq!(answer.status, 200, "{answer:?}");
        let page = document(&cli(&server.address, &["executions", "list", "--limit", "1", "-o", "json"]));
        page["items"][0]["id"].as_str().unwrap().to_owned()
    };
    let (one, other) = eventually("two executions of one second", 60, || {
        let pair = (start(), start());
        (pair.0[..8] == pair.1[..8]).then_some(pair)
    });
    let ambiguous = cli(&server.address, &["executions", "show", &one[..8]]);
    assert_eq!(ambiguous.code, 2, "{}", ambiguous.out);
    assert!(ambiguous.err.contains(&one) && ambiguous.err.contains(&other), "{}", ambiguous.err);
    assert_eq!(cli(&server.address, &["executions", "show", &ids[0][..25]]).code, 0);
    let missing = cli(&server.address, &["executions", "show", "01zzzzzzzz"]);
    assert!(missing.code == 2 && missing.err.contains("01zzzzzzzz"), "{}", missing.err);
    assert_eq!(cli(&server.address, &["executions", "list", "--limit", "0"]).code, 2);
}

#[test]
fn a_status_is_watched_until_an_interrupt() {
    let world = World::start(&[("a.yaml", &saying("a", "first"))]);
    world.wait(is_ready, "the first commit");
    let mut command = evenkeel();
    command.args(["status", "--watch"]).env("EVENKEEL_SERVER", &world.server.address);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert_eq!(lines.next().unwrap(), "live: Ready (Applied)");
    let first = lines.next().unwrap();
    assert!(first.starts_with("  serves      generation 1 "), "{first}");
    let reason = "audit until Friday";
    let suspended = world.run(&["suspend", "--reason", reason]);
    assert_eq!(suspended.out, "live: suspended; `evenkeel resume -e live` ends the suspension\n", "{}", suspended.err);
    let changed = lines.find(|line| line.contains(reason)).expect("the change is appended");
    assert!(changed.starts_with("  suspended   by local, "), "{changed}");
    let sent = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let ended = eventually("the end of the command", 30, || child.try_wait().unwrap());
    assert!(!ended.success(), "an interrupt ends it: {ended}");
}

#[test]
fn the_status_shows_which_generation_serves_before_the_reason() {
    let world = World::with(&[("a.yaml", &saying("a", "first"))], "  sync: { mode: Manual }\n", &[]);
    let first = world.run(&["status"]);
    assert_eq!(first.code, 1);
    assert!(first.out.starts_with("live: not ready (AwaitingApproval)\n  serves      nothing yet\n"), "{}", first.out);
    assert!(first.out.contains("\n  waits       main@sha1:") && !first.out.contains("refused"), "{}", first.out);
    assert!(first.out.contains("`evenkeel apply -e live` shows it"), "{}", first.out);
    assert_eq!(world.run(&["apply", "--yes"]).code, 0);
    world.push(&[("a.yaml", &saying("a", "x").replace("baseUrl", "baseUlr"))], "broken");
    let broken = world.run(&["status"]);
    let lines: Vec<&str> = broken.out.lines().collect();
    assert_eq!(lines[0], "live: not ready (InvalidDefinitions)", "{}", broken.out);
    assert!(lines[1].starts_with("  serves      generation 1 sha256:"), "{}", broken.out);
    assert!(lines.iter().any(|line| line.starts_with("  refused     main@sha1:")), "{}", broken.out);
}
