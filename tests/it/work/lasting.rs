//! Workflows that outlive the process that started them.

use std::time::Duration;

use serde_json::json;

use super::{DefinitionsFolder, ENVIRONMENT, ended, eventually, execution, live, wait_for_step, workflow};

/// Counts the runs of its steps in `ctx.state`, which survives restarts.
const CODE: &str = "export default async (ctx) => {
  const count = async (name) => { const n = ((await ctx.state.get(name)) ?? 0) + 1; await ctx.state.set(name, n); return n };
  const one = await ctx.step('one', () => count('one'));
  await ctx.sleep('30s');
  const two = await ctx.step('two', () => count('two'));
  const go = await ctx.waitForEvent('go');
  return { one, two, go, now: ctx.now() instanceof Date };
}";

#[test]
fn a_long_workflow_survives_restarts_and_repeats_no_completed_step() {
    let read = workflow(
        "read",
        "Instant",
        "",
        "export default async (ctx) => [await ctx.state.get('one'), await ctx.state.get('two')]",
    );
    let folder =
        DefinitionsFolder::new(&[("a.yaml", &(ENVIRONMENT.to_owned() + &workflow("long", "Long", "", CODE) + &read))]);
    let mut server = folder.serve(&[]);
    live(&server);
    let id = server.post("/v1/workflows/long/runs", &[], "{}").json()["execution"].as_str().unwrap().to_owned();
    wait_for_step(&server, &id, "sleep");
    for _ in 0..3 {
        server.kill();
        server = folder.serve(&[]);
        live(&server);
        std::thread::sleep(Duration::from_millis(400));
    }
    eventually("the second wait", 120, || {
        let run = execution(&server, &id);
        let steps = run["steps"].as_array()?;
        steps.iter().any(|step| step["name"] == "event go" && step["status"] == "Waiting").then_some(())
    });
    server.kill();
    let server = folder.serve(&[]);
    live(&server);
    assert_eq!(server.post(&format!("/v1/executions/{id}/events/go"), &[], "7").status, 200);
    let run = ended(&server, &id);
    assert_eq!(run["output"], json!({"one": 1, "two": 1, "go": 7, "now": true}), "{run:#}");
    assert_eq!(server.post("/v1/workflows/read/runs", &[], "{}").json(), json!([1, 1]), "each step ran once");
}

#[test]
fn declared_steps_survive_restarts_like_code() {
    let text = ENVIRONMENT.to_owned()
        + "apiVersion: evenkeel.dev/v1alpha1
kind: Workflow
metadata: { name: order }
spec:
  tier: Long
  steps:
    - { name: start, set: { at: '{{ now() }}', items: [1, 2, 3] } }
    - { name: pause, wait: 4s }
    - name: each
      loop:
        over: '{{ steps.start.output.items }}'
        concurrency: 2
        steps: [{ name: double, code: 'return ctx.item * 2' }]
    - name: both
      parallel:
        left: [{ name: l, set: '{{ steps.each.output | sum }}' }]
        right: [{ name: r, wait: 3s }, { name: done, set: right }]
    - name: which
      switch:
        - { when: '{{ steps.both.output.left > 100 }}', steps: [{ name: big, set: big }] }
        - { steps: [{ name: small, set: small }] }
    - { name: ask, approval: { message: 'Go on with {{ steps.which.output }}?', timeout: 1h } }
    - { name: never, if: '{{ false }}', set: no }
    - { name: end, set: { at: '{{ steps.start.output.at }}', size: '{{ steps.which.output }}', both: '{{ steps.both.output }}' } }
    - { name: gate, gate: '{{ false }}' }
    - { name: beyond, set: not reached }
---
";
    let folder = DefinitionsFolder::new(&[("a.yaml", &text)]);
    let mut server = folder.serve(&[]);
    live(&server);
    let id = server.post("/v1/workflows/order/runs", &[], "{}").json()["execution"].as_str().unwrap().to_owned();
    wait_for_step(&server, &id, "sleep");
    let at = execution(&server, &id)["steps"][0]["output"]["at"].clone();
    server.kill();
    let mut server = folder.serve(&[]);
    live(&server);
    wait_for_step(&server, &id, "approval");
    server.kill();
    let server = folder.serve(&[]);
    live(&server);
    server.post(&format!("/v1/executions/{id}/approvals/ask"), &[], r#"{"approved": true}"#);
    let run = ended(&server, &id);
    assert_eq!(run["output"], json!({"at": at, "size": "small", "both": {"left": 12, "right": "right"}}), "{run:#}");
}
