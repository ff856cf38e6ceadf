//! Mistakes in requests to a server.

use std::path::Path;
use std::time::{Duration, Instant};

use regex::Regex;

use super::Mistakes;
use super::local::run_in;
use crate::support::{Dev, Said, copy, evenkeel, write};

const ADMIN: &str = "admin-0123456789abcdef0123";
const READER: &str = "reader-0123456789abcdef0123";

/// A workflow that waits for an approval, and one that waits for an event.
const WAITING: &str = "apiVersion: evenkeel.dev/v1alpha1
kind: Workflow
metadata: { name: refund }
spec:
  tier: Long
  source: { inline: \"export default async (ctx) => { await ctx.approval('wait-for-boss', { message: 'Refund?' }) }\" }
---
apiVersion: evenkeel.dev/v1alpha1
kind: Workflow
metadata: { name: order }
spec:
  tier: Long
  source: { inline: \"export default async (ctx) => { await ctx.waitForEvent('paid') }\" }
";

/// Starts `evenkeel serve` in a folder, without the values of secrets.
fn serve(folder: &Path, args: &[&str]) -> Dev {
    let mut command = evenkeel();
    command.current_dir(folder).arg("serve").args(args).args(["--port", "0"]);
    Dev::spawn(command.env_remove("HOOK_KEY").env_remove("ORBIT_KEY"))
}

fn environment(name: &str, more: &str) -> String {
    format!(
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Environment\nmetadata: {{ name: {name} }}\nspec:\n  interval: 1h\n{more}"
    )
}

/// Repeats a command until its output has a text.
fn until(what: &str, text: &str, run: impl Fn() -> Said) -> Said {
    let deadline = Instant::now() + Duration::from_mins(2);
    loop {
        let said = run();
        if said.out.contains(text) || said.err.contains(text) {
            return said;
        }
        assert!(Instant::now() < deadline, "timeout waiting for {what}: {}{}", said.out, said.err);
        std::thread::sleep(Duration::from_millis(100));
    }
}

pub fn make(mistakes: &mut Mistakes) {
    let work = tempfile::tempdir().unwrap();
    let folder = work.path();
    mistakes.replace(folder.to_str().unwrap(), "/work");
    let at = |server: &str, line: &str, token: Option<&str>| {
        let token = token.map(|token| ("EVENKEEL_TOKEN", token));
        let variables: Vec<(&str, &str)> = [("EVENKEEL_SERVER", server)].into_iter().chain(token).collect();
        run_in(folder, line, &variables)
    };
    unreachable(mistakes, &at);
    served(folder, mistakes, &at);
    sources(folder, mistakes, &at);
    developed(folder, mistakes, &at);
}

type At<'a> = &'a dyn Fn(&str, &str, Option<&str>) -> Said;

/// Addresses without a server.
fn unreachable(mistakes: &mut Mistakes, at: At<'_>) {
    let down = "http://127.0.0.1:1";
    mistakes.replace("127.0.0.1:1:", "127.0.0.1:PORT:");
    let said = at(down, "status", None);
    mistakes.add(
        "A server that is down",
        "evenkeel status",
        &said,
        &["http://127.0.0.1", "connection refused", "--server URL"],
    );
    let said = at("localhost:7464", "status", None);
    let command = "evenkeel status --server localhost:7464";
    mistakes.add("A server without a scheme", command, &said, &["localhost:PORT", "http://localhost:PORT"]);
}

/// A server of two environments with tokens.
fn served(folder: &Path, mistakes: &mut Mistakes, at: At<'_>) {
    std::fs::rename(copy("examples/quickstart").path(), folder.join("live")).unwrap();
    std::fs::remove_file(folder.join("live/1-environment.yaml")).unwrap();
    write(&folder.join("live/waiting.yaml"), WAITING);
    let tenant =
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Tenant\nmetadata: { name: globex }\nspec: { displayName: Globex }\n";
    write(&folder.join("spare/tenant.yaml"), tenant);
    let secrets = "  variables: { region: eu, greeting: Hello }\n  secrets: { orbit-key: { env: ORBIT_KEY }, hook-key: { env: HOOK_KEY } }\n  sync: { secrets: Warn }\n";
    let of = |path: &str, more: &str| format!("  source: {{ directory: {{ path: ../{path} }} }}\n{more}");
    write(&folder.join("environments/live.yaml"), &environment("live", &of("live", secrets)));
    write(&folder.join("environments/spare.yaml"), &environment("spare", &of("spare", "  sync: { mode: Manual }\n")));
    let tokens = format!("admin:{ADMIN} rights=read,call,operate,act-for-others\nreader:{READER} rights=read\n");
    write(&folder.join("tokens"), &tokens);
    let server = serve(folder, &["environments", "--tokens", "tokens", "--state", "state"]);
    let address = server.address.clone();
    let run = |line: &str, token| at(&address, line, token);
    until("the environment", "Ready", || run("status -e live", Some(ADMIN)));
    let mut made = |title, line: &str, token, parts: &[&'static str]| {
        let said = run(line, token);
        mistakes.add(title, &format!("evenkeel {line}"), &said, parts);
        said
    };
    made("A missing token", "status -e live", None, &["token", "EVENKEEL_TOKEN"]);
    made("A wrong token", "status -e live", Some("wrong-0123456789abcdef"), &["token", "EVENKEEL_TOKEN"]);
    made("A token without the right", "suspend -e live --reason audit", Some(READER), &["reader", "operate"]);
    made("An unknown environment", "status -e lvie", Some(ADMIN), &["lvie", "live"]);
    made("Several environments, none chosen", "run note", Some(ADMIN), &["-e", "live", "spare"]);
    made("An unknown workflow", "run refnd -e live", Some(ADMIN), &["refnd", "did you mean `refund`?"]);
    let https = address.replace("http://", "https://");
    let line = format!("status -e live --server {https}");
    made("https at a port without TLS", &line, Some(ADMIN), &["https://127.0.0.1", "http://127.0.0.1"]);

    let id = run("run refund -e live", Some(ADMIN)).out.trim().to_owned();
    let order = run("run order -e live", Some(ADMIN)).out.trim().to_owned();
    for id in [&id, &order] {
        assert_eq!(id.len(), 26, "{id}");
        until("the wait", "Waiting", || run(&format!("executions show {id} -e live"), Some(ADMIN)));
    }
    let line = format!("executions approve {id} wait-for-bos -e live");
    let said = made("A misspelt approval", &line, Some(ADMIN), &["`wait-for-bos`", "`wait-for-boss`"]);
    assert_eq!(said.code, 2);
    let line = format!("executions signal {order} payed -e live");
    let said = made("A misspelt signal", &line, Some(ADMIN), &["`payed`", "`paid`"]);
    assert_eq!(said.code, 2);
    // Executions that start within a second or so share the first characters of their identifiers.
    let mut started = vec![id, order];
    let prefix = loop {
        let shared = started.iter().find(|id| started.iter().filter(|other| other[..8] == id[..8]).count() > 1);
        if let Some(shared) = shared {
            break shared[..8].to_owned();
        }
        assert!(started.len() < 20, "{started:?}");
        started.push(run("run refund -e live", Some(ADMIN)).out.trim().to_owned());
    };
    let said = run(&format!("executions show {prefix} -e live"), Some(ADMIN));
    // The number of candidates depends on the clock.
    let ids = Regex::new("(0[0-9a-z]{25}, )*0[0-9a-z]{25}").unwrap();
    let err = ids.replace(&said.err, "ULID, ULID").replace(&format!("`{prefix}`"), "`PREFIX`");
    let several = Said { err, ..said };
    mistakes.add("An ambiguous execution", "evenkeel executions show PREFIX -e live", &several, &["PREFIX", "ULID"]);

    until("the pending plan", "Tenant/globex", || run("plan -e spare", Some(ADMIN)));
    let saved = run("plan -e spare --out spare.plan", Some(ADMIN));
    assert_eq!(saved.code, 0, "{}{}", saved.out, saved.err);
    write(&folder.join("spare/tenant.yaml"), &tenant.replace("Globex }", "Globex Ltd }"));
    run("reconcile -e spare", Some(ADMIN));
    let said = run("apply spare.plan", Some(ADMIN));
    mistakes.add("A stale plan", "evenkeel apply spare.plan", &said, &["stale", "plan"]);
}

/// Environments whose sources cannot be fetched.
fn sources(folder: &Path, mistakes: &mut Mistakes, at: At<'_>) {
    let git =
        |path: &str| format!("  source: {{ git: {{ url: \"file://{}/{path}\", branch: main }} }}\n", folder.display());
    write(&folder.join("refused/live.yaml"), &environment("live", &git("repository.git")));
    let server = serve(folder, &["refused", "--state", "state-refused"]);
    let said = until("the refusal", "file://", || at(&server.address, "status", None));
    let parts = ["file://", "--allow-local-repositories"];
    mistakes.add("A repository on disk that is not allowed", "evenkeel status", &said, &parts);
    drop(server);
    write(&folder.join("gone/live.yaml"), &environment("live", &git("gone.git")));
    let server = serve(folder, &["gone", "--state", "state-gone", "--allow-local-repositories"]);
    let said = until("the error", "gone.git", || at(&server.address, "status", None));
    mistakes.add(
        "A repository on disk that is gone",
        "evenkeel status",
        &said,
        &["there is no repository", "gone.git", "`url`"],
    );
}

/// `evenkeel dev`, which is no `evenkeel serve`, and secrets without values.
fn developed(folder: &Path, mistakes: &mut Mistakes, at: At<'_>) {
    let definitions = copy("examples/quickstart");
    mistakes.replace(definitions.path().to_str().unwrap(), "/work/defs");
    let mut command = evenkeel();
    command.current_dir(folder).arg("dev").arg(definitions.path()).args(["--port", "0"]);
    let mut dev = Dev::spawn(command.env_remove("HOOK_KEY").env_remove("ORBIT_KEY"));
    let said = at(&dev.address, "history -e draft", None);
    mistakes.add(
        "`dev` and a command of `serve`",
        "evenkeel history -e draft",
        &said,
        &["evenkeel dev", "evenkeel serve"],
    );
    let answer = dev.post("/hooks/sign-ups", &[("x-evenkeel-key", "a")], r#"{"event_type": "customer.created"}"#);
    assert_eq!(answer.status, 503, "{answer:?}");
    let err = dev.wait_for("hook-key");
    let start = Said { code: 0, out: String::new(), err };
    mistakes.add(
        "A webhook whose secret has no value",
        "evenkeel dev defs",
        &start,
        &["hook-key", "HOOK_KEY", "sign-ups"],
    );
}
