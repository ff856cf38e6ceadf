use super::*;

#[test]
fn blanks_types_and_keeps_positions() {
    let source = "type A = { x: number };\nexport default async function (ctx: any): Promise<A> {\n  const x: number = 1;\n  return { x };\n}\n";
    let script = read_script(source).unwrap();
    assert_eq!(script.javascript.len(), source.len());
    assert_eq!(script.javascript.lines().nth(2).unwrap().trim_end(), "  const x         = 1;");
    assert!(script.exports_default);
    assert!(!script.javascript.contains("number"));
}

#[test]
fn finds_action_calls_with_their_positions() {
    let source = "export default async ({ connectors: apps, input }) => {\n  await apps.orbitCrm.createContact({});\n}\n\
                  export async function more(ctx) { const c = ctx.connectors; await c.slack['post-message']();\n\
                  return ctx.connectors.a.b(ctx.connectors.x.y()) }";
    let script = read_script(source).unwrap();
    let names: Vec<(&str, &str)> =
        script.calls.iter().map(|call| (call.connector.as_str(), call.action.as_str())).collect();
    assert_eq!(names, [("orbitCrm", "createContact"), ("slack", "post-message"), ("a", "b"), ("x", "y")]);
    let first = &script.calls[0];
    assert_eq!(&source[first.action_at.0..first.action_at.1], "createContact");
}

#[test]
fn converts_names_and_recognises_script_files() {
    for (name, code) in [("orbit-crm", "orbitCrm"), ("create-contact", "createContact"), ("s3", "s3"), ("a-1b", "a1b")]
    {
        assert_eq!(camel(name), code);
    }
    assert!(
        is_script("a/b.ts") && is_script("b.MJS") && !is_script("a.json") && !is_script("ts") && !is_script("a.d.ts")
    );
}

#[test]
fn reports_positions_relative_to_the_body() {
    let body = "const x: number = 1;\nreturn ctx.connectors.crm.list(x)";
    let script = read_script_body(body).unwrap();
    let at = script.calls[0].action_at;
    assert_eq!(&body[at.0..at.1], "list");
    assert_eq!(read_script_body("const = 1").unwrap_err()[0].at.0, 6);
    assert_eq!(read_script_body("return (").unwrap_err()[0].at.0, 8);
}

#[test]
fn reports_syntax_errors_with_positions() {
    let errors = read_script("export default function () {\n  const = 1;\n}").unwrap_err();
    assert_eq!(errors[0].at.0, 37, "{errors:?}");
    let errors = read_script("enum A { B }\nexport default 1").unwrap_err();
    assert!(errors[0].message.contains("enum"), "{errors:?}");
}

#[test]
fn rejects_excessive_nesting_without_a_crash() {
    for source in
        ["(".repeat(100_000), "!".repeat(200_000), "a=>".repeat(80_000), "[".repeat(499), "a?.".repeat(80_000)]
    {
        assert!(read_script(&source).is_err(), "{}", &source[..8]);
    }
    for unit in ["typeof\n", "!\n", "a=>\n", "a\n?.", "if(a){}else ", "1+", "a:", "await ", "-", "`${"] {
        assert!(read_script(&unit.repeat(20_000)).is_err(), "{unit}");
    }
    let long: String = (0..5_000).map(|at| format!("const a{at} = [1, 2, {at}]\n// it's\n")).collect();
    assert!(read_script(&long).is_ok());
    assert!(read_script(&"x".repeat(MAX_SCRIPT_BYTES + 1)).is_err());
    let binary = format!("export default {}1", "1+".repeat(2_000));
    assert!(read_script(&binary).is_ok());
}
