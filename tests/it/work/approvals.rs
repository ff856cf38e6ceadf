//! Approvals that take a role.

use serde_json::{Value, json};

use super::{DefinitionsFolder, ENVIRONMENT, eventually, workflow};
use crate::support::{Answer, Dev, request};

const OWNER: &str = "owner-token-0123456789";
const CLERK: &str = "clerk-token-0123456789";
const ADMIN: &str = "admin-token-0123456789";

fn send(server: &Dev, method: &str, path: &str, token: &str, body: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    request(&server.address, method, path, &[("authorization", &bearer), ("content-type", "application/json")], body)
}

/// Starts a workflow and waits until it waits for an approval.
fn start(server: &Dev, workflow: &str) -> String {
    let started = send(server, "POST", &format!("/v1/workflows/{workflow}/runs"), CLERK, "{}");
    let id = started.json()["execution"].as_str().unwrap().to_owned();
    eventually("the approval", 120, || {
        let run = send(server, "GET", &format!("/v1/executions/{id}"), CLERK, "").json();
        (run["status"] == "Waiting").then_some(())
    });
    id
}

fn decide(server: &Dev, id: &str, token: &str, body: &str) -> Answer {
    send(server, "POST", &format!("/v1/executions/{id}/approvals/ship"), token, body)
}

fn ended(server: &Dev, id: &str) -> Value {
    eventually("the end", 120, || {
        let run = send(server, "GET", &format!("/v1/executions/{id}"), CLERK, "").json();
        (!["Queued", "Running", "Waiting"].contains(&run["status"].as_str().unwrap())).then_some(run)
    })
}

#[test]
fn an_approval_with_roles_is_answered_by_a_token_with_one_of_them_and_audited() {
    let steps = "apiVersion: evenkeel.dev/v1alpha1
kind: Workflow
metadata: { name: by-steps }
spec:
  tier: Long
  steps: [{ name: ship, approval: { message: Ship it?, roles: [owner, shipping] } }]
---
apiVersion: evenkeel.dev/v1alpha1
kind: Role
metadata: { name: shipping }
spec: { displayName: Shipping, permissions: {} }
---
";
    let code = "export default async (ctx) => (await ctx.approval('ship', { message: 'x'.repeat(40000), roles: ['owner'] })).by";
    let strict = "export default async (ctx) => [{ role: ['owner'] }, { roles: [] }, { roles: 'owner' }, { roles: null }].map((options) => {\n  try { ctx.approval('a', options); return 'open' } catch (error) { return error.name }\n})";
    let strict = workflow("strict", "Standard", "", strict);
    let open = workflow("open", "Long", "", "export default async (ctx) => (await ctx.approval('ship')).by");
    let text = ENVIRONMENT.to_owned() + steps + &workflow("by-code", "Long", "", code) + &open + &strict;
    let folder = DefinitionsFolder::new(&[("a.yaml", &text)]);
    let tokens = folder.path("tokens");
    let lines = format!(
        "olga:{OWNER} rights=read,call,operate roles=owner\nclara:{CLERK} rights=read,call,operate roles=clerk\n\
         adam:{ADMIN} rights=read,call,operate roles=*\n"
    );
    std::fs::write(&tokens, lines).unwrap();
    let server = folder.serve(&["--tokens", tokens.to_str().unwrap()]);
    super::live(&server);
    for workflow in ["by-steps", "by-code"] {
        let id = start(&server, workflow);
        let refused = decide(&server, &id, CLERK, r#"{"approved": true}"#);
        assert_eq!((refused.status, &refused.json()["code"]), (403, &json!("FORBIDDEN")), "{}", refused.body);
        let detail = refused.json()["detail"].as_str().unwrap().to_owned();
        assert!(
            detail.contains("`clara` may not answer approval `ship`, which takes one of the roles `owner`"),
            "{detail}"
        );
        assert_eq!(decide(&server, &id, OWNER, r#"{"approved": true, "by": "someone else"}"#).status, 200);
        let run = ended(&server, &id);
        assert_eq!(run["status"], "Completed", "{run:#}");
        let step = run["steps"].as_array().unwrap().iter().find(|step| step["kind"] == "approval").unwrap();
        assert_eq!(step["output"]["by"], "olga", "{run:#}");
    }
    // A token with every role may answer, and an approval without roles takes the right to operate.
    let id = start(&server, "by-steps");
    assert_eq!(decide(&server, &id, ADMIN, r#"{"approved": false}"#).status, 200);
    assert_eq!(ended(&server, &id)["error"]["code"], "NOT_APPROVED");
    let id = start(&server, "open");
    assert_eq!(decide(&server, &id, CLERK, r#"{"approved": true}"#).status, 200);
    assert_eq!(ended(&server, &id)["output"], "clara");
    // A wrong option never opens an approval to everyone.
    let started = send(&server, "POST", "/v1/workflows/strict/runs", CLERK, "{}").json();
    assert_eq!(
        ended(&server, started["execution"].as_str().unwrap())["output"],
        serde_json::json!(vec!["TypeError"; 4])
    );
    let lines = send(&server, "GET", "/v1/environments/live/audit", ADMIN, "").json()["items"].clone();
    let mut shown: Vec<(String, String)> = lines
        .as_array()
        .unwrap()
        .iter()
        .filter(|line| line["details"]["approval"] == "ship")
        .map(|line| (line["actor"].as_str().unwrap().to_owned(), line["action"].as_str().unwrap().to_owned()))
        .collect();
    shown.reverse();
    let expected = [
        ("clara", "ApprovalDenied"),
        ("olga", "ApproveExecution"),
        ("clara", "ApprovalDenied"),
        ("olga", "ApproveExecution"),
        ("adam", "RejectExecution"),
        ("clara", "ApproveExecution"),
    ];
    assert_eq!(shown, expected.map(|(actor, action)| (actor.to_owned(), action.to_owned())), "{lines:#}");
}
