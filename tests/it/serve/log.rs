//! The log of `serve`: the lines that operators look for.

use serde_json::json;

use super::{World, is_ready, ready, saying};
use crate::support::Dev;

/// Lines of a log that contain a text.
fn lines<'a>(log: &'a str, text: &str) -> Vec<&'a str> {
    log.lines().filter(|line| line.contains(text)).collect()
}

/// The only line of a log that contains a text.
#[track_caller]
fn line<'a>(log: &'a str, text: &str) -> &'a str {
    let found = lines(log, text);
    assert_eq!(found.len(), 1, "`{text}` in:\n{log}");
    found[0]
}

#[track_caller]
fn assert_has(line: &str, texts: &[&str]) {
    for text in texts {
        assert!(line.contains(text), "`{text}` is missing: {line}");
    }
}

/// The values of the field `repetitions` in lines.
fn repetitions(lines: &[&str]) -> Vec<u64> {
    let value = |line: &&str| line.split("repetitions=").nth(1)?.split_whitespace().next()?.parse().ok();
    lines.iter().filter_map(value).collect()
}

fn terminate(server: &Dev) {
    let status = std::process::Command::new("kill").args(["-TERM", &server.id().to_string()]).status().unwrap();
    assert!(status.success());
}

/// A workflow that fails if its input demands it, and a webhook that starts it.
const FLOW: &str = "\
apiVersion: evenkeel.dev/v1alpha1
kind: Workflow
metadata: { name: flow }
spec:
  tier: Standard
  source:
    inline: |
      export default async (ctx) => {
        if (ctx.input.fails) throw new Error('it fails on purpose');
      }
---
apiVersion: evenkeel.dev/v1alpha1
kind: Trigger
metadata: { name: orders }
spec: { webhook: { verify: { apiKey: { secretRef: hook-key } }, routes: [{ workflow: flow }] } }
";
const SECRETS: &str = "  sync: { secrets: Warn }\n  secrets: { hook-key: { env: EVENKEEL_TEST_UNSET_KEY } }\n";

#[test]
fn the_start_secrets_without_a_value_and_the_shutdown_are_logged() {
    let mut world = World::with(&[("a.yaml", FLOW)], SECRETS, &[]);
    world.wait(is_ready, "the first commit");
    terminate(&world.server);
    let log = world.server.wait_for("shutdown ended");
    let state = format!("state={}", world.folder.path().join(".state").display());
    let version = format!("version=\"{}\"", env!("CARGO_PKG_VERSION"));
    let start = line(&log, "the server starts");
    assert_has(
        start,
        &["INFO", &version, "store=\"sqlite\"", &state, "access=", "environments=\"live\"", "address=127.0.0.1:"],
    );
    let secret = line(&log, "the secret has no value");
    let effect = "webhook `orders` refuses all calls";
    assert_has(
        secret,
        &["WARN", "environment=\"live\"", "secret=\"hook-key\"", "EVENKEEL_TEST_UNSET_KEY is not set", effect],
    );
    line(&log, "shutdown begins");
}

#[test]
fn refusals_for_lack_of_a_secret_are_warned_of_at_a_falling_rate() {
    let mut world = World::with(&[("a.yaml", FLOW)], SECRETS, &[]);
    world.wait(is_ready, "the first commit");
    for _ in 0..9 {
        assert_eq!(world.server.post("/hooks/orders", &[("x-evenkeel-key", "a")], "{}").status, 503);
    }
    let log = world.server.finish();
    let warned = lines(&log, "webhook calls are refused for lack of a secret");
    assert_eq!(repetitions(&warned), [1, 2, 4, 8], "{log}");
    assert_has(warned[0], &["WARN", "trigger=\"orders\"", "EVENKEEL_TEST_UNSET_KEY is not set"]);
    assert_eq!(lines(&log, "webhook rejected").len(), 9, "{log}");
}

#[test]
fn a_failed_execution_is_a_warning_with_its_code_reason_and_place() {
    let mut world = World::with(&[("a.yaml", FLOW)], SECRETS, &[]);
    world.wait(is_ready, "the first commit");
    world.server.post("/v1/workflows/flow/runs", &[], "{}");
    let log = world.server.wait_for("the execution completed");
    assert_has(line(&log, "the execution completed"), &["INFO", "workflow=\"flow\""]);
    world.server.post("/v1/workflows/flow/runs", &[], &json!({"fails": true}).to_string());
    let log = world.server.wait_for("the execution failed");
    let failed = line(&log, "the execution failed");
    assert_has(
        failed,
        &["WARN", "workflow=\"flow\"", "reason=\"it fails on purpose\"", "code=\"SCRIPT_ERROR\"", "place=\"a.yaml:9:"],
    );
}

#[test]
fn a_static_mistake_is_logged_at_a_falling_rate_and_its_end_too() {
    let mut world = World::start(&[("a.yaml", &saying("a", "first"))]);
    world.wait(is_ready, "the first commit");
    let broken = saying("a", "first").replace("baseUrl", "baseUlr");
    world.push(&[("a.yaml", &broken)], "a mistake");
    for _ in 0..9 {
        world.look();
    }
    let log = world.server.said();
    let refused = lines(&log, "the revision was refused");
    let counted = repetitions(&refused);
    // Passes after a failure run by themselves as well, so the number of passes is a lower bound.
    assert_eq!(counted[..4], [1, 2, 4, 8], "{log}");
    assert!(counted.iter().all(|count| count.is_power_of_two()), "{log}");
    assert_has(refused[0], &["WARN", "reason=\"InvalidDefinitions\"", "baseUlr"]);
    // A recovery ends the count.
    world.push(&[("a.yaml", &saying("a", "second"))], "corrected");
    let log = world.server.wait_for("the environment is ready again");
    assert_has(line(&log, "ready again"), &["INFO", "environment=\"live\"", "after=\"InvalidDefinitions\""]);
    world.push(&[("a.yaml", &broken)], "the mistake again");
    let log = world.server.wait_for("the revision was refused");
    assert_eq!(repetitions(&lines(&log, "the revision was refused"))[0], 1, "{log}");
}

#[test]
fn blocked_removals_are_logged_when_they_begin_and_end() {
    let files: Vec<(String, String)> =
        (0..10).map(|number| (format!("{number}.yaml"), saying(&format!("c{number}"), "first"))).collect();
    let named: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let mut world = World::start(&named);
    world.wait(is_ready, "the first commit");
    for (path, _) in &files[1..] {
        std::fs::remove_file(world.repository.work().join(path)).unwrap();
    }
    world.repository.commit_all(&["-m", "most are gone"]);
    for _ in 0..3 {
        assert_eq!(ready(&world.look()).1, "PruneBlocked");
    }
    let log = world.server.wait_for("removals are blocked");
    let blocked = line(&log, "removals are blocked");
    assert_has(blocked, &["WARN", "reason=\"PruneBlocked\"", "guard=\"Budget\"", "Connector/c1", "remedy="]);
    // A process that starts reports the conditions that hold.
    world.restart(&[]);
    world.server.wait_for("removals are blocked");
    world.push(&named, "they are back");
    let log = world.server.wait_for("removals are no longer blocked");
    assert_eq!(lines(&log, "removals are blocked").len(), 0, "{log}");
}

#[test]
fn plans_that_await_approval_and_commands_of_operators_are_logged() {
    let mut world = World::with(&[("a.yaml", &saying("a", "first"))], "  sync: { mode: Manual }\n", &[]);
    world.look();
    let log = world.server.wait_for("a plan awaits approval");
    assert_has(line(&log, "a plan awaits approval"), &["WARN", "reason=\"AwaitingApproval\"", "plan=", "create"]);
    let path = "/v1/environments/live";
    let plan = world.server.get(&format!("{path}/plan")).json()["digest"].clone();
    let applied = world.server.post(&format!("{path}/apply"), &[], &json!({ "plan": plan }).to_string());
    assert_eq!(applied.status, 200, "{applied:?}");
    let log = world.server.wait_for("a generation is live");
    assert_has(line(&log, "action=\"Approve\""), &["INFO", "the command was carried out", "actor=\"local\""]);
    assert_eq!(world.server.post(&format!("{path}/suspend"), &[], r#"{"reason":"audit until Friday"}"#).status, 200);
    let log = world.server.wait_for("the environment is suspended");
    assert_has(line(&log, "is suspended"), &["INFO", "actor=\"local\"", "reason=\"audit until Friday\""]);
    assert_eq!(world.server.post(&format!("{path}/resume"), &[], "{}").status, 200);
    let log = world.server.wait_for("the environment is resumed");
    assert_has(line(&log, "is resumed"), &["INFO", "actor=\"local\""]);
}

#[test]
fn the_root_names_the_server_and_its_addresses() {
    let world = World::start(&[("a.yaml", &saying("a", "first"))]);
    let version = env!("CARGO_PKG_VERSION");
    let text = world.server.get("/");
    assert_eq!(text.status, 200, "{text:?}");
    assert!(text.header("content-type").is_some_and(|kind| kind.starts_with("text/plain")), "{text:?}");
    assert!(
        text.body.starts_with(&format!("Evenkeel {version}\n")) && text.body.contains("/openapi.json"),
        "{}",
        text.body
    );
    let address = &world.server.address;
    let answer = crate::support::request(address, "GET", "/", &[("accept", "application/json")], "");
    let about = answer.json();
    assert_eq!((&about["name"], &about["version"]), (&json!("evenkeel"), &json!(version)), "{about}");
    // The addresses that it names exist.
    for name in ["api", "health", "readiness", "environments", "metrics"] {
        let path = about[name].as_str().unwrap_or_else(|| panic!("{name}: {about}"));
        assert_ne!(world.server.get(path).status, 404, "{path}");
    }
}

#[test]
fn a_trigger_that_cannot_work_is_logged_once() {
    let trigger = "---\napiVersion: evenkeel.dev/v1alpha1\nkind: Trigger\nmetadata: { name: over }\nspec: { schedule: { cron: \"0 3 * * *\", \
                   endsAt: \"2001-01-01T00:00:00Z\", routes: [{ workflow: flow }] } }\n";
    let mut world = World::with(&[("a.yaml", &(FLOW.to_owned() + trigger))], SECRETS, &[]);
    world.wait(is_ready, "the first commit");
    world.push(&[("b.yaml", &saying("b", "new"))], "another definition");
    let log = world.server.finish();
    let found = line(&log, "the trigger cannot work");
    assert_has(found, &["WARN", "trigger=\"over\"", "the schedule has no further time"]);
    assert_eq!(lines(&log, "the secret has no value").len(), 1, "{log}");
}

#[test]
fn a_damaged_document_of_a_running_environment_is_logged_and_so_is_its_repair() {
    let mut world = World::start(&[("a.yaml", &saying("a", "first"))]);
    world.wait(is_ready, "the first commit");
    let path = world.folder.path().join("live.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{text}broken\n")).unwrap();
    let log = world.server.wait_for("reading the Environment documents failed");
    assert!(log.contains("WARN"), "{log}");
    assert_eq!(world.connectors(), ["a"], "it keeps running");
    std::fs::write(&path, &text).unwrap();
    world.server.wait_for("can be read again");
}
