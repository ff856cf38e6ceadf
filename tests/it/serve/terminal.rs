//! Texts of callers on the terminal of an operator.

use serde_json::json;

use crate::support::evenkeel;
use crate::support::said;
use crate::work::{DefinitionsFolder, ENVIRONMENT, eventually, execution, live, workflow};

#[test]
fn a_name_or_message_of_a_caller_controls_neither_the_terminal_nor_the_shell() {
    let code =
        "export default async (ctx) => {\n  ctx.log.info(ctx.input.name)\n  await ctx.approval(ctx.input.name)\n}";
    let folder = DefinitionsFolder::new(&[("a.yaml", &(ENVIRONMENT.to_owned() + &workflow("wait", "Long", "", code)))]);
    let server = folder.serve(&[]);
    live(&server);
    let name = "ship; touch pwned\u{1b}]0;x\u{7}\u{9b}31m\u{202e}";
    let started = server.post("/v1/workflows/wait/runs", &[], &json!({"name": name}).to_string());
    let id = started.json()["execution"].as_str().unwrap().to_owned();
    eventually("the wait", 120, || (execution(&server, &id)["status"] == "Waiting").then_some(()));
    for args in [vec!["executions", "list"], vec!["executions", "show", &id], vec!["executions", "logs", &id]] {
        for format in ["human", "json"] {
            let mut command = evenkeel();
            command.args(&args).args(["-o", format]).env("EVENKEEL_SERVER", &server.address);
            let shown = said(&command.output().unwrap());
            assert_eq!(shown.code, 0, "{}", shown.err);
            let unsafe_text = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
            assert!(!shown.out.contains(unsafe_text), "{args:?}: {:?}", shown.out);
            if args[1] == "show" && format == "human" {
                assert!(shown.out.contains("'ship; touch pwned"), "the name is quoted: {}", shown.out);
            }
        }
    }
}
