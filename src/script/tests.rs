use super::*;
use crate::text::{PartialValue, RestOfMap};

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

/// The argument of the first call as text: `?` is unknown, a type is in angle brackets, and `…` stands for further fields.
fn argument(source: &str) -> String {
    let script = read_script(source).unwrap();
    let first = script.calls.first().map(|call| &call.argument);
    shown(&first.or(script.workflow_calls.first().map(|call| &call.argument)).unwrap().value)
}

fn shown(value: &PartialValue) -> String {
    match value {
        PartialValue::Unknown => "?".to_owned(),
        PartialValue::Scalar(value) => value.to_string(),
        PartialValue::Typed(types) => format!("<{}>", types.in_words()),
        PartialValue::OwnInput(path) => format!("input/{}", path.join("/")),
        PartialValue::List { items, more } => {
            let items: Vec<String> = items.iter().map(shown).chain(more.then(|| "…".to_owned())).collect();
            format!("[{}]", items.join(", "))
        }
        PartialValue::Map(map) => {
            let fields = map.fields.iter().map(|field| {
                format!("{}{}: {}", field.name, if field.optional { "?" } else { "" }, shown(&field.value))
            });
            let rest = match map.rest {
                RestOfMap::Nothing => None,
                RestOfMap::Undeclared => Some("(typed)".to_owned()),
                RestOfMap::Unknown => Some("…".to_owned()),
            };
            format!("{{{}}}", fields.chain(rest).collect::<Vec<_>>().join(", "))
        }
    }
}

#[test]
fn knows_the_argument_of_a_call_as_far_as_the_file_tells_it() {
    let body = |code: &str| format!("export default async function (ctx) {{ {code} }}");
    for (code, expected) in [
        ("ctx.connectors.a.b()", "{}"),
        ("ctx.connectors.a.b(undefined)", "{}"),
        (
            "ctx.connectors.a.b({ q: 'x', n: 1, f: 1.5, m: -2, ok: true, no: null, gone: undefined })",
            "{q: \"x\", n: 1, f: 1.5, m: -2, ok: true, no: null}",
        ),
        (
            "ctx.connectors.a.b({ 'q': `a`, t: `a${1}`, s: 'a' + x, b: !x, e: x === 1, u: x + 1 })",
            "{q: \"a\", t: <a string>, s: <a string>, b: <a boolean>, e: <a boolean>, u?: ?}",
        ),
        (
            "ctx.connectors.a.b({ list: [1, x, 'a'], more: [1, ...x], inner: { a: { b: 2 } } })",
            "{list: [1, ?, \"a\"], more: [1, …], inner: {a: {b: 2}}}",
        ),
        ("ctx.connectors.a.b({ q: 1, ...x })", "{q: ?, …}"),
        ("ctx.connectors.a.b({ ...x, q: 1 })", "{q: 1, …}"),
        ("ctx.connectors.a.b({ ...{ q: 1, r: 2 }, q: 'x' })", "{r: 2, q: \"x\"}"),
        ("ctx.connectors.a.b({ q: 1, [x]: 2 })", "{q: ?, …}"),
        ("ctx.connectors.a.b({ q: c ? 1 : 'x', r: c ? 1 : y })", "{q: <a string or an integer>, r?: ?}"),
        ("ctx.connectors.a.b(...x)", "?"),
        (
            "ctx.connectors.a.b({ email: ctx.input.contact.email, all: ctx.input })",
            "{email: input/contact/email, all: input/}",
        ),
        ("const { input } = ctx; ctx.connectors.a.b({ q: input.q })", "{q: input/q}"),
        ("const q = 'x'; ctx.connectors.a.b({ q })", "{q: \"x\"}"),
        ("let q = 'x'; ctx.connectors.a.b({ q })", "{q?: ?}"),
        ("const body = { q: 1 }; ctx.connectors.a.b(body)", "{q: 1}"),
        // Other uses may change it.
        ("const body = { q: 1 }; ctx.log.info(body); ctx.connectors.a.b(body)", "?"),
        ("const body = { q: 1 }; body.r = 2; ctx.connectors.a.b(body)", "?"),
        ("const body = { q: 1 }; change(body); ctx.connectors.a.b(body)", "?"),
        ("const list = [1]; list.push(2); ctx.connectors.a.b({ list })", "{list?: ?}"),
        ("const body = { q: 1 }; delete body.q; ctx.connectors.a.b(body)", "?"),
        ("const q = 1; { const q = 2; } ctx.connectors.a.b({ q })", "{q?: ?}"),
        ("const q: string = x; ctx.connectors.a.b({ q })", "{q: <a string>}"),
        (
            "ctx.connectors.a.b({ q: x as number, r: x!, s: 'a' as any, t: 'a' as const, l: x as string[] })",
            "{q: <a number>, r?: ?, s: \"a\", t: \"a\", l: […]}",
        ),
        ("await ctx.workflows.send({ a: 1 })", "{a: 1}"),
        ("const { workflows } = ctx; await workflows['send-it']({ a: 1 })", "{a: 1}"),
    ] {
        assert_eq!(argument(&body(code)), expected, "{code}");
    }
    let typed = "interface Contact { email: string; age?: number; kind: 'a' | 'b'; when: Date; note: string | undefined }\n\
                 type More = { c: Contact; tags: Array<string> };\n\
                 interface Wide extends Contact { x: 1 }\n\
                 type Of<T> = { t: T };\n";
    for (code, expected) in [
        (
            "function f(ctx, c: Contact) { ctx.connectors.a.b(c) }",
            "{email: <a string>, age?: <a number>, kind: <a string>, when?: ?, note?: <a string>, (typed)}",
        ),
        (
            "function f(ctx, c: More) { ctx.connectors.a.b({ tags: c.tags, email: c.c.email, age: c.c.age }) }",
            "{tags: […], email: <a string>, age?: ?}",
        ),
        ("function f(ctx, c: Wide) { ctx.connectors.a.b(c) }", "{x: 1, …}"),
        ("function f(ctx, c: Of<string>) { ctx.connectors.a.b(c) }", "?"),
        ("function f<Contact>(ctx, c: Contact) { ctx.connectors.a.b(c) }", "?"),
        ("function f(ctx, c: { a: 1; toJSON(): string }) { ctx.connectors.a.b(c) }", "?"),
        ("function f(ctx) { ctx.connectors.a.b(JSON.parse(x) as Contact['email']) }", "?"),
    ] {
        assert_eq!(argument(&format!("{typed}{code}")), expected, "{code}");
    }
}

#[test]
fn other_objects_that_have_workflows_are_not_called() {
    let source =
        "export default async function (c) { data.workflows.map(x); input.workflows.a(); await c.workflows.real() }";
    let calls = read_script(source).unwrap().workflow_calls;
    assert_eq!(calls.iter().map(|call| call.workflow.as_str()).collect::<Vec<_>>(), ["real"]);
}

#[test]
fn knows_the_places_of_parts_of_an_argument_and_the_reads_of_the_output() {
    let source = "export default async (ctx) => {\n  const found = await ctx.connectors.crm.search({ filter: { q: 1 } });\n  \
                  const { items: all } = await ctx.workflows.list();\n  return [found.contact.id, found.items[0].name, (await ctx.connectors.crm.one()).x]\n}";
    let script = read_script(source).unwrap();
    let place = |(start, end): (usize, usize)| &source[start..end];
    let argument = &script.calls[0].argument;
    assert_eq!(place(argument.place("/filter/q")), "q: 1");
    assert_eq!(place(argument.place("/filter/q/missing")), "q: 1");
    assert_eq!(place(argument.place("")), "{ filter: { q: 1 } }");
    let reads: Vec<Vec<String>> =
        script.calls.iter().flat_map(|call| &call.reads).map(|read| read.path.clone()).collect();
    assert_eq!(reads, [vec!["contact".to_owned(), "id".into()], vec!["items".into()], vec!["x".into()]]);
    assert_eq!(script.workflow_calls[0].reads[0].path, ["items"]);
}

#[test]
fn names_that_multiply_are_evaluated_within_a_limit() {
    let mut source = "export default async function (ctx) {\n".to_owned();
    for level in 0..30 {
        source += &format!("const c{level} = {{ a: c{}, b: c{} }};\n", level + 1, level + 1);
    }
    source += "await ctx.connectors.a.b(c0) }";
    assert!(read_script(&source).is_ok());
}
