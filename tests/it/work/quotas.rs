//! Rate limits and quotas with the real binary, enforced for all processes of a database.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{DefinitionsFolder, application, call, ended, eventually, executions, hook, live, workflow};
use crate::serve::replicas;
use crate::support::{Answer, Dev, request};

/// An Environment with the key of webhooks, and more.
fn environment(more: &str) -> String {
    format!(
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Environment\nmetadata: {{ name: live }}\nspec:\n  interval: 5s\n  secrets: {{ \
         hook-key: {{ env: HOOK_KEY }} }}\n{more}---\n"
    )
}

fn connector(port: u16, more: &str) -> String {
    format!(
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Connector\nmetadata: {{ name: crm }}\nspec:\n  displayName: CRM\n  baseUrl: \
         http://127.0.0.1:{port}\n{more}  actions:\n    list: {{ timeout: 20s, http: {{ path: /people }} }}\n    hurry: {{ timeout: 10s, http: {{ path: /people }} }}\n---\n"
    )
}

/// An application that counts its requests.
fn counted() -> (u16, Arc<AtomicUsize>) {
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    let port = application(move |_, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        (200, "{}".to_owned())
    });
    (port, requests)
}

fn call_action(server: &Dev, action: &str, headers: &[(&str, &str)]) -> Answer {
    server.post(&format!("/v1/connectors/crm/actions/{action}"), headers, "{}")
}

fn refused(answer: &Answer, code: &str) {
    assert_eq!((answer.status, &answer.json()["code"]), (429, &json!(code)), "{}", answer.json());
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!(seconds >= 1);
    assert_eq!(answer.json()["retryAfter"], seconds);
}

#[test]
fn calls_beyond_the_rate_limit_wait() {
    let (port, requests) = counted();
    let text = environment("") + &connector(port, "  rateLimit: { requests: 3, per: 1s }\n");
    let folder = DefinitionsFolder::new(&[("a.yaml", &text)]);
    let server = folder.serve(&[]);
    live(&server);
    let started = Instant::now();
    let address = &server.address;
    let list = || request(address, "POST", "/v1/connectors/crm/actions/list", &[], "{}").status;
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(list(), 200));
        }
    });
    assert!(started.elapsed() >= Duration::from_secs(2), "{:?}", started.elapsed());
    assert_eq!(requests.load(Ordering::SeqCst), 8);
    let metrics = server.get("/metrics").body;
    assert!(metrics.contains("evenkeel_rate_limit_waits_total{environment=\"live\"}"), "{metrics}");
}

#[test]
fn a_call_that_cannot_wait_is_refused_at_once() {
    let (port, requests) = counted();
    let text = environment("") + &connector(port, "  rateLimit: { requests: 1, per: 1h }\n");
    let folder = DefinitionsFolder::new(&[("a.yaml", &text)]);
    let server = folder.serve(&[]);
    live(&server);
    assert_eq!(call_action(&server, "list", &[]).status, 200);
    refused(&call_action(&server, "hurry", &[]), "RATE_LIMITED");
    refused(&call_action(&server, "list", &[]), "RATE_LIMITED");
    assert_eq!(requests.load(Ordering::SeqCst), 1);
    let metrics = server.get("/metrics").body;
    let refusals = "evenkeel_limit_refusals_total{environment=\"live\",limit=\"rateLimit\"} 2";
    assert!(metrics.contains(refusals), "{metrics}");
}

#[test]
#[cfg_attr(missing_postgres, ignore = "needs PostgreSQL: tests/run installs it")]
fn processes_share_the_rate_limit_and_the_quota_of_calls() {
    let database = replicas::database();
    let (port, requests) = counted();
    let text = environment("  quotas: { callsPerMinute: 12 }\n")
        + &connector(port, "  rateLimit: { requests: 4, per: 1h }\n")
        + &workflow("many", "Standard", "", "export default async (ctx) => await ctx.connectors.crm.list({})");
    let folder = DefinitionsFolder::new(&[("a.yaml", &text)]);
    let servers: Vec<Dev> = (0..2)
        .map(|number| {
            let state = folder.path(&format!("state-{number}"));
            folder.serve(&["--store", &database, "--state", state.to_str().unwrap()])
        })
        .collect();
    servers.iter().for_each(live);
    let statuses: Vec<u16> = (0..8).map(|call| call_action(&servers[call % 2], "list", &[]).status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 4, "{statuses:?}");
    assert_eq!(requests.load(Ordering::SeqCst), 4);

    // A call from code meets the same limit.
    let started = servers[0].post("/v1/workflows/many/runs", &[], "{}").json();
    let execution = ended(&servers[0], started["execution"].as_str().unwrap());
    assert_eq!(execution["error"]["code"], "RATE_LIMITED", "{execution:#}");
    assert_eq!(requests.load(Ordering::SeqCst), 4);

    // 9 calls were counted, so 3 more are allowed in this minute.
    let codes: Vec<Value> =
        (0..5).map(|call| call_action(&servers[call % 2], "list", &[]).json()["code"].clone()).collect();
    let over = codes.iter().filter(|code| **code == "CALLS_PER_MINUTE_EXCEEDED").count();
    assert_eq!(over, 2, "{codes:?}");
}

#[test]
fn each_tenant_has_its_own_quota_of_calls() {
    let (port, requests) = counted();
    let tenant = |name: &str, more: &str| {
        format!(
            "apiVersion: evenkeel.dev/v1alpha1\nkind: Tenant\nmetadata: {{ name: {name} }}\nspec: {{ displayName: A{more} }}\n---\n"
        )
    };
    let text = environment("  quotas: { callsPerMinute: 1 }\n")
        + &connector(port, "")
        + &tenant("acme", "")
        + &tenant("globex", ", quotas: { callsPerMinute: 2 }");
    let folder = DefinitionsFolder::new(&[("a.yaml", &text)]);
    let server = folder.serve(&[]);
    live(&server);
    for (tenant, allowed) in [("acme", 1), ("globex", 2)] {
        let header = [("x-evenkeel-tenant", tenant)];
        for _ in 0..allowed {
            assert_eq!(call_action(&server, "list", &header).status, 200);
        }
        refused(&call_action(&server, "list", &header), "CALLS_PER_MINUTE_EXCEEDED");
    }
    assert_eq!(call_action(&server, "list", &[]).status, 200);
    refused(&call_action(&server, "list", &[]), "CALLS_PER_MINUTE_EXCEEDED");
    assert_eq!(requests.load(Ordering::SeqCst), 4);
}

/// Waits for the next day if the current one ends soon.
fn avoid_midnight() {
    let left = 86_400 - jiff::Timestamp::now().as_second() % 86_400;
    if left < 180 {
        std::thread::sleep(Duration::from_secs(u64::try_from(left).unwrap() + 1));
    }
}

#[test]
fn executions_over_the_quota_of_a_day_are_refused_delayed_or_skipped() {
    avoid_midnight();
    let text = environment("  quotas: { executionsPerDay: 1 }\n")
        + &workflow("later", "Standard", "", "export default async (ctx) => ctx.input")
        + &workflow("now", "Instant", "", "export default async (ctx) => ctx.input")
        + &hook("later", "", "      - { workflow: later }\n")
        + &hook("now", "", "      - { workflow: now }\n");
    let folder = DefinitionsFolder::new(&[("a.yaml", &text)]);
    let server = folder.serve(&[]);
    live(&server);
    let first = server.post("/v1/workflows/later/runs", &[], "{}");
    assert_eq!(first.status, 202, "{}", first.json());
    assert_eq!(ended(&server, first.json()["execution"].as_str().unwrap())["status"], "Completed");
    refused(&server.post("/v1/workflows/later/runs", &[], "{}"), "EXECUTIONS_PER_DAY_EXCEEDED");
    refused(&call(&server, "now", &json!({"n": 1})), "EXECUTIONS_PER_DAY_EXCEEDED");

    // The sender may not send it again: it is stored, and starts on the next day.
    let stored = call(&server, "later", &json!({"n": 2}));
    assert_eq!(stored.status, 202, "{}", stored.json());
    let queued = executions(&server, "workflow=later&status=Queued");
    assert_eq!(queued.len(), 1, "{queued:?}");

    // Also after a restart.
    drop(server);
    let server = folder.serve(&[]);
    live(&server);
    refused(&server.post("/v1/workflows/later/runs", &[], "{}"), "EXECUTIONS_PER_DAY_EXCEEDED");
    let metrics = server.get("/metrics").body;
    assert!(metrics.contains("limit=\"executionsPerDay\""), "{metrics}");

    // A schedule is skipped, with the reason.
    let trigger = "apiVersion: evenkeel.dev/v1alpha1\nkind: Trigger\nmetadata: { name: tick }\nspec: { schedule: { interval: 1s, \
                   routes: [{ workflow: later }] } }\n";
    folder.write("b.yaml", trigger);
    eventually("a skipped time", 120, || {
        let triggers = server.get("/v1/triggers").json();
        let tick = triggers["items"].as_array()?.iter().find(|trigger| trigger["name"] == "tick")?.clone();
        let error = tick["counts"]["error"].as_str()?.to_owned();
        (tick["counts"]["missed"].as_i64()? > 0 && error.contains("executionsPerDay")).then_some(())
    });
    assert_eq!(executions(&server, "trigger=tick").len(), 0);
}

#[test]
fn a_tenant_runs_no_more_executions_at_a_time_than_its_quota() {
    let code = "export default async (ctx) => { await ctx.connectors.crm.list({}); }";
    let running = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
    let seen = Arc::clone(&running);
    let port = application(move |_, _| {
        let now = seen.0.fetch_add(1, Ordering::SeqCst) + 1;
        seen.1.fetch_max(now, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(200));
        seen.0.fetch_sub(1, Ordering::SeqCst);
        (200, "{}".to_owned())
    });
    let text = environment("  quotas: { concurrentExecutions: 2 }\n")
        + &connector(port, "")
        + &workflow("slow", "Standard", "", code);
    let folder = DefinitionsFolder::new(&[("a.yaml", &text)]);
    let server = folder.serve(&[]);
    live(&server);
    let ids: Vec<String> = (0..6)
        .map(|_| {
            let started = server.post("/v1/workflows/slow/runs", &[], "{}").json();
            started["execution"].as_str().unwrap().to_owned()
        })
        .collect();
    for id in ids {
        assert_eq!(ended(&server, &id)["status"], "Completed");
    }
    assert!(running.1.load(Ordering::SeqCst) <= 2, "{} at the same time", running.1.load(Ordering::SeqCst));
}

#[test]
fn state_beyond_the_quota_is_refused() {
    let code = "export default async (ctx) => {\n  await ctx.state.set('a', 'x'.repeat(60));\n  try { await ctx.state.set('b', \
                'x'.repeat(60)); } catch (error) { return error.code; }\n  return 'stored';\n}";
    let text = environment("  quotas: { stateBytes: 100 }\n") + &workflow("keep", "Standard", "", code);
    let folder = DefinitionsFolder::new(&[("a.yaml", &text)]);
    let server = folder.serve(&[]);
    live(&server);
    let started = server.post("/v1/workflows/keep/runs", &[], "{}").json();
    let execution = ended(&server, started["execution"].as_str().unwrap());
    assert_eq!(execution["output"], "STATE_BYTES_EXCEEDED", "{execution:#}");
}

#[test]
fn a_poll_over_quota_is_skipped_with_the_reason() {
    let (port, requests) = counted();
    let event = "  events:\n    person-changed: { changes: [Created], poll: { action: list, interval: 10s, records: \
                 '{{ output.items }}', id: '{{ record.id }}' } }\n";
    let text = environment("  quotas: { executionsPerDay: 0 }\n")
        + &connector(port, event)
        + &workflow("take", "Standard", "", "export default async (ctx) => ctx.input")
        + "apiVersion: evenkeel.dev/v1alpha1\nkind: Trigger\nmetadata: { name: people }\nspec: { appEvent: { connector: crm, event: \
           person-changed, routes: [{ workflow: take }] } }\n";
    let folder = DefinitionsFolder::new(&[("a.yaml", &text)]);
    let server = folder.serve(&[]);
    live(&server);
    eventually("the reason", 120, || {
        let triggers = server.get("/v1/triggers").json();
        let error = triggers["items"][0]["polls"][0]["error"].as_str()?.to_owned();
        error.contains("executionsPerDay").then_some(())
    });
    assert_eq!(requests.load(Ordering::SeqCst), 0);
}
