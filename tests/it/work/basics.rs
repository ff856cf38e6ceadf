//! Triggers and workflows without faults, and with mistakes of authors.

use serde_json::{Value, json};

use super::{
    DefinitionsFolder, ENVIRONMENT, KEY, call, ended, eventually, execution, executions, hook, live, workflow,
};
use crate::support::{evenkeel, said};

#[test]
fn a_webhook_is_answered_with_the_output_of_an_instant_workflow() {
    let greet = workflow(
        "greet",
        "Instant",
        "",
        "export default async (ctx) => ({ hello: ctx.input.name, from: ctx.headers['x-from'] })",
    );
    let later = workflow(
        "later",
        "Standard",
        "",
        "export default async (ctx) => { ctx.log.info('later', ctx.input); return 1 }",
    );
    let routes = "      - { workflow: greet, when: { kind: greet }, headers: { x-from: hook } }\n      - { workflow: later, when: { kind: \
                  later }, input: { n: '{{ body.number }}' }, whenAny: [{ number: { gt: 5 } }, { vip: true }] }\n";
    let folder = DefinitionsFolder::new(&[(
        "a.yaml",
        &(ENVIRONMENT.to_owned()
            + &greet
            + &later
            + &hook("in", "    deduplicate: \"{{ headers['x-id'] | default('') }}\"\n", routes)),
    )]);
    let server = folder.serve(&[]);
    live(&server);
    let answer = call(&server, "in", &json!({"kind": "greet", "name": "Ada"}));
    assert_eq!((answer.status, answer.json()), (200, json!({"hello": "Ada", "from": "hook"})), "{answer:?}");
    let run = execution(&server, answer.header("x-evenkeel-execution").unwrap());
    assert_eq!(
        (&run["status"], &run["triggeredBy"], &run["source"]),
        (&json!("Completed"), &json!("webhook"), &json!("in"))
    );
    // A caller waits for it.
    assert_eq!((&run["generation"], &run["priority"]), (&json!(1), &json!(1)));

    // An asynchronous execution is reported by its id, and its route renders its input.
    let answer = call(&server, "in", &json!({"kind": "later", "number": 7}));
    assert_eq!(answer.status, 202);
    let id = answer.json()["executions"][0].as_str().unwrap().to_owned();
    let run = ended(&server, &id);
    assert_eq!((&run["input"], &run["output"], &run["priority"]), (&json!({"n": 7}), &json!(1), &json!(2)));
    assert_eq!(server.get(&format!("/v1/executions/{id}/logs")).json()["items"][0]["message"], "later {\"n\":7}");
    // No alternative of `whenAny` matches.
    let answer = call(&server, "in", &json!({"kind": "later", "number": 1}));
    assert_eq!((answer.status, &answer.json()["executions"]), (202, &json!([])));
    assert_eq!(server.get("/v1/events?trigger=in").json()["items"][0]["outcome"], "Unmatched");

    // A duplicate starts nothing, and is reported as a duplicate.
    let headers = [("x-evenkeel-key", KEY), ("x-id", "one")];
    let body = json!({"kind": "greet", "name": "Bob"}).to_string();
    let first = server.post("/hooks/in", &headers, &body);
    assert_eq!(first.status, 200);
    let again = server.post("/hooks/in", &headers, &body);
    assert_eq!((again.status, &again.json()["duplicate"]), (202, &json!(true)));
    assert_eq!(executions(&server, "workflow=greet").len(), 2);

    // A call without a valid key starts nothing, and the response reveals nothing.
    for headers in [&[][..], &[("x-evenkeel-key", "wrong")]] {
        let answer = server.post("/hooks/in", headers, &body);
        assert_eq!(answer.status, 401);
        assert!(!answer.body.contains("key"), "{}", answer.body);
    }
    assert_eq!(server.post("/hooks/none", &headers, &body).status, 404);
    assert_eq!(server.get("/hooks/in").status, 405);
    let broken = server.post("/hooks/in", &[("x-evenkeel-key", KEY), ("content-type", "application/json")], "{");
    assert_eq!(broken.status, 400);
    // The record contains no credential.
    let events = server.get("/v1/events").body;
    assert!(!events.contains(KEY), "{events}");
}

#[test]
fn a_failed_event_becomes_a_dead_letter_that_can_be_replayed() {
    let code = "export default async (ctx) => {\n  if (await ctx.state.get('broken')) throw new Error('it is broken')\n  return 'fine'\n}";
    let set = "export default async (ctx) => { await ctx.state.set('broken', ctx.input.broken || null); return await ctx.state.get('broken') ?? null }";
    let folder = DefinitionsFolder::new(&[(
        "a.yaml",
        &(ENVIRONMENT.to_owned()
            + &workflow("flaky", "Standard", "", code)
            + &workflow("set", "Instant", "", set)
            + &hook(
                "in",
                "    deadLetters: { unmatched: Keep }\n",
                "      - { workflow: flaky, when: { go: true } }\n",
            )),
    )]);
    let server = folder.serve(&[]);
    live(&server);
    let run = |input: Value| server.post("/v1/workflows/set/runs", &[], &input.to_string());
    assert_eq!(run(json!({"broken": true})).json(), json!(true));
    let id = call(&server, "in", &json!({"go": true, "n": 1})).json()["executions"][0].as_str().unwrap().to_owned();
    let failed = ended(&server, &id);
    assert_eq!((&failed["status"], &failed["error"]["message"]), (&json!("Failed"), &json!("it is broken")));
    // The location is in the file of the definition, since the code is inline.
    let text = std::fs::read_to_string(folder.path("definitions/a.yaml")).unwrap();
    let line = text.lines().position(|line| line.contains("it is broken")).unwrap() + 1;
    assert_eq!((&failed["error"]["file"], &failed["error"]["line"]), (&json!("a.yaml"), &json!(line)), "{failed:#}");

    let letters = |status: &str| server.get(&format!("/v1/dead-letters?status={status}")).json()["items"].clone();
    let letter = &letters("Pending")[0];
    assert_eq!((&letter["reason"], &letter["execution"]), (&json!("Failed"), &json!(id)));
    let whole = server.get(&format!("/v1/dead-letters/{}", letter["id"].as_str().unwrap())).json();
    assert_eq!((&letter["payload"], &whole["payload"]["n"]), (&json!(null), &json!(1)), "lists hold no payloads");
    assert_eq!(run(json!({"broken": false})).json(), json!(null));
    let path = format!("/v1/dead-letters/{}/replay", letter["id"].as_str().unwrap());
    let replayed = server.post(&path, &[], "").json()["executions"][0].as_str().unwrap().to_owned();
    assert_eq!(ended(&server, &replayed)["output"], "fine");
    assert_eq!(server.post(&path, &[], "").status, 409, "a letter is replayed once");
    assert_eq!(letters("Replayed").as_array().unwrap().len(), 1);

    // An unmatched event is kept if that is declared, and can be replayed once a route matches.
    call(&server, "in", &json!({"go": false}));
    let unmatched = letters("Pending")[0].clone();
    assert_eq!(unmatched["reason"], "Unmatched");
    let text = text.replace("when: { go: true }", "when: { go: { exists: true } }");
    folder.write("a.yaml", &text);
    eventually("the second generation", 120, || {
        (server.get("/v1/environments/live").json()["generation"] == 2).then_some(())
    });
    let path = format!("/v1/dead-letters/{}/replay", unmatched["id"].as_str().unwrap());
    let replayed = server.post(&path, &[], "").json()["executions"][0].as_str().unwrap().to_owned();
    assert_eq!(ended(&server, &replayed)["status"], "Completed");
}

#[test]
fn the_server_survives_every_script() {
    let bad = [
        ("loops", "for (;;) {}", "TimedOut", "TIMEOUT"),
        ("hogs", "const all = []; for (;;) all.push('x'.repeat(4e6) + all.length)", "Failed", "OUT_OF_MEMORY"),
        ("regex", "return /^(a+)+$/.test('a'.repeat(50) + '!')", "TimedOut", "TIMEOUT"),
        ("text", "return 'x'.repeat(10e9)", "Failed", "SCRIPT_ERROR"),
        ("deep", "const f = (n) => f(n + 1) + 1; return f(0)", "Failed", "SCRIPT_ERROR"),
    ];
    let mut text = ENVIRONMENT.to_owned() + &workflow("good", "Instant", "", "export default () => 'fine'");
    for (name, body, status, _) in bad {
        // Scripts that end by themselves have enough time on a busy machine.
        let timeout = if status == "TimedOut" { "  timeout: 2s\n" } else { "  timeout: 30s\n" };
        text += &workflow(name, "Instant", timeout, &format!("export default async () => {{ {body} }}"));
    }
    for scripts in ["thread", "process"] {
        let folder = DefinitionsFolder::new(&[("a.yaml", &text)]);
        let server = folder.serve(&["--scripts", scripts]);
        live(&server);
        let waiting: Vec<_> = bad
            .iter()
            .map(|(name, ..)| {
                let (address, path) = (server.address.clone(), format!("/v1/workflows/{name}/runs"));
                std::thread::spawn(move || crate::support::request(&address, "POST", &path, &[], "{}"))
            })
            .collect();
        // Other executions continue in the meantime.
        for _ in 0..20 {
            let answer = server.post("/v1/workflows/good/runs", &[], "{}");
            assert_eq!((answer.status, answer.json()), (200, json!("fine")), "{scripts}");
        }
        for ((name, _, status, code), waiting) in bad.iter().zip(waiting) {
            let answer = waiting.join().unwrap();
            let run = execution(&server, answer.header("x-evenkeel-execution").unwrap());
            assert_eq!(
                (&run["status"], &run["error"]["code"]),
                (&json!(status), &json!(code)),
                "{scripts} {name}: {run:#}"
            );
        }
        assert_eq!(server.post("/v1/workflows/good/runs", &[], "{}").json(), json!("fine"));
        assert_eq!(server.get("/healthz").status, 200);
    }
}

#[test]
fn a_long_workflow_receives_events_and_approvals_and_is_cancelled() {
    let code = "export default async (ctx) => {\n  const order = await ctx.waitForEvent('paid', { timeout: '1h' })\n  \
                const yes = await ctx.approval('ship', { message: 'Ship it?' })\n  return { order, by: yes.by }\n}";
    let sleeps = workflow("sleeps", "Long", "", "export default async (ctx) => { await ctx.sleep('1h') }");
    let quick =
        workflow("quick", "Instant", "", "export default async (ctx) => ctx.workflows.child({ n: ctx.input.n })");
    let child = workflow("child", "Standard", "", "export default async (ctx) => ctx.input.n * 2");
    let text = ENVIRONMENT.to_owned() + &workflow("order", "Long", "", code) + &sleeps + &quick + &child;
    let folder = DefinitionsFolder::new(&[("a.yaml", &text)]);
    let server = folder.serve(&[]);
    live(&server);
    let start = |name: &str| {
        let answer = server.post(&format!("/v1/workflows/{name}/runs"), &[], "{}");
        answer.json()["execution"].as_str().unwrap().to_owned()
    };
    let waits = |id: &str, step: &str| {
        eventually(step, 120, || {
            let run = execution(&server, id);
            let found = run["steps"]
                .as_array()
                .unwrap()
                .iter()
                .any(|found| found["name"] == step && found["status"] == "Waiting");
            (found && run["status"] == "Waiting").then_some(())
        });
    };
    let id = start("order");
    waits(&id, "event paid");
    assert_eq!(server.post(&format!("/v1/executions/{id}/events/paid"), &[], r#"{"total": 5}"#).status, 200);
    waits(&id, "approval ship");
    assert_eq!(server.post(&format!("/v1/executions/{id}/approvals/ship"), &[], "{}").status, 400);
    assert_eq!(server.post(&format!("/v1/executions/{id}/approvals/ship"), &[], r#"{"approved": true}"#).status, 200);
    let run = ended(&server, &id);
    assert_eq!(run["output"], json!({"order": {"total": 5}, "by": "local"}), "{run:#}");

    let id = start("sleeps");
    eventually("the sleep", 120, || (execution(&server, &id)["status"] == "Waiting").then_some(()));
    assert_eq!(server.post(&format!("/v1/executions/{id}/cancel"), &[], "").status, 200);
    assert_eq!(ended(&server, &id)["status"], "Cancelled");
    assert_eq!(server.post(&format!("/v1/executions/{id}/cancel"), &[], "").status, 409);

    let answer = server.post("/v1/workflows/quick/runs", &[], r#"{"n": 21}"#);
    assert_eq!((answer.status, answer.json()), (200, json!(42)), "{answer:?}");
}

#[test]
fn each_change_of_a_workflow_is_a_version_and_executions_keep_theirs() {
    let text = |word: &str| {
        let code =
            format!("export default async (ctx) => {{ const go = await ctx.waitForEvent('go'); return '{word}' }}");
        ENVIRONMENT.to_owned() + &workflow("slow", "Long", "", &code)
    };
    let folder = DefinitionsFolder::new(&[("a.yaml", &text("one"))]);
    let server = folder.serve(&[]);
    live(&server);
    let start = || server.post("/v1/workflows/slow/runs", &[], "{}").json()["execution"].as_str().unwrap().to_owned();
    let first = start();
    eventually("the wait", 120, || (execution(&server, &first)["status"] == "Waiting").then_some(()));
    folder.write("a.yaml", &text("two"));
    let version = |wanted: u64| {
        eventually("the version", 120, || {
            let workflows = server.get("/v1/workflows").json();
            (workflows["items"][0]["version"] == wanted).then_some(())
        });
    };
    version(2);
    let second = start();
    for id in [&first, &second] {
        server.post(&format!("/v1/executions/{id}/events/go?keep=true"), &[], "{}");
    }
    let (first, second) = (ended(&server, &first), ended(&server, &second));
    assert_eq!((&first["version"], &first["output"]), (&json!(1), &json!("one")));
    assert_eq!((&second["version"], &second["output"]), (&json!(2), &json!("two")));
    // A rollback restores the version instead of creating a copy.
    server.post("/v1/environments/live/rollback", &[], r#"{"to": 1}"#);
    version(1);
}

#[test]
fn secrets_are_readable_in_code_and_masked_everywhere_else() {
    let code = "export default async (ctx) => {\n  const key = await ctx.secrets.get('hook-key')\n  ctx.log.info('the key is', key)\n  \
                await ctx.step('s', async () => ({ key }))\n  if (ctx.input.fail) throw new Error('no ' + key)\n  return { length: key.length, key }\n}";
    let other = "export default async (ctx) => ctx.secrets.get('other-key')";
    let text = ENVIRONMENT.to_owned()
        + &workflow("reads", "Instant", "  secrets: [hook-key]\n", code)
        + &workflow("steals", "Instant", "", other);
    let folder = DefinitionsFolder::new(&[("a.yaml", &text)]);
    let mut server = folder.serve(&[]);
    live(&server);
    let good = server.post("/v1/workflows/reads/runs", &[], "{}");
    assert_eq!(good.json(), json!({"length": KEY.len(), "key": "[secret hook-key]"}));
    let bad = server.post("/v1/workflows/reads/runs", &[], r#"{"fail": true}"#);
    assert_eq!(bad.status, 500);
    let refused = server.post("/v1/workflows/steals/runs", &[], "{}");
    assert_eq!(refused.json()["code"], "SECRET_NOT_DECLARED");
    let mut shown = bad.body + &server.get("/v1/executions").body + &server.said();
    for answer in [&good, &refused] {
        let id = answer.header("x-evenkeel-execution").unwrap();
        shown += &server.get(&format!("/v1/executions/{id}")).body;
        shown += &server.get(&format!("/v1/executions/{id}/logs")).body;
    }
    assert!(shown.contains("the key is [secret hook-key]"));
    assert!(!shown.contains(KEY));
    // The database does not contain it either.
    drop(server);
    for entry in std::fs::read_dir(folder.path("state")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            assert!(!bytes.windows(KEY.len()).any(|window| window == KEY.as_bytes()), "{}", path.display());
        }
    }
}

#[test]
fn the_command_line_shows_executions_events_and_dead_letters() {
    let code = "export default async (ctx) => { if (ctx.input.bad) throw new Error('bad input'); return { said: ctx.input.word } }";
    let text = ENVIRONMENT.to_owned()
        + &workflow("say", "Instant", "", code)
        + &workflow("slow", "Standard", "", "export default async (ctx) => { ctx.log.warn('slow'); return 1 }")
        + &hook("in", "", "      - { workflow: slow }\n");
    let folder = DefinitionsFolder::new(&[("a.yaml", &text)]);
    let server = folder.serve(&[]);
    live(&server);
    let cli = |args: &[&str]| said(&evenkeel().args(args).env("EVENKEEL_SERVER", &server.address).output().unwrap());
    let done = cli(&["run", "say", "--input", r#"{"word": "hi"}"#]);
    assert_eq!((done.code, done.out.as_str()), (0, "{\n  \"said\": \"hi\"\n}\n"), "{}", done.err);
    let failed = cli(&["run", "say", "--input", r#"{"bad": true}"#]);
    assert!(failed.code == 1 && failed.err.contains("bad input"), "{}", failed.err);
    let waited = cli(&["run", "slow", "--wait"]);
    assert_eq!((waited.code, waited.out.as_str()), (0, "1\n"), "{}", waited.err);
    let unknown = cli(&["run", "sya"]);
    assert!(unknown.code == 2 && unknown.err.contains("did you mean `say`?"), "{}", unknown.err);
    call(&server, "in", &json!({"a": 1}));
    let list = eventually("the list", 120, || {
        let list = cli(&["executions", "list"]);
        (list.out.matches("Completed").count() == 3).then_some(list.out)
    });
    assert!(list.starts_with("EXECUTION") && list.contains("webhook in") && list.contains("Failed"), "{list}");
    let failed = cli(&["executions", "list", "--status", "Failed"]).out;
    let id = failed.lines().nth(1).unwrap().split(' ').next().unwrap();
    let shown = cli(&["executions", "show", id.get(..20).unwrap()]).out;
    assert!(shown.contains("bad input") && shown.contains("at          a.yaml:"), "{shown}");
    let retried = cli(&["executions", "retry", id]);
    assert_eq!(retried.code, 0, "{}", retried.err);
    let slow = cli(&["executions", "list", "--workflow", "slow", "--search", "webhook-none"]).out;
    assert_eq!(slow.lines().count(), 1, "{slow}");
    assert!(cli(&["events"]).out.contains("Started"));
    assert!(cli(&["triggers"]).out.contains("/hooks/in"));
    assert!(cli(&["workflows"]).out.contains("v1"));
    assert_eq!(cli(&["dlq", "list"]).out.lines().count(), 1);
    let logs = cli(&["executions", "list", "--workflow", "slow"]).out;
    let id = logs.lines().nth(1).unwrap().split(' ').next().unwrap().to_owned();
    assert!(cli(&["executions", "logs", &id]).out.contains("warn  slow"));
}
