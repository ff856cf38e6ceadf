//! A corpus of callers, right and wrong, with every finding about them.

use std::fmt::Write as _;

use super::documents::{code, composite, form, poll, read, script, step, trigger, webhook, widget, workflow_test};
use super::{CALLEES, findings, validate};

/// The cases: a name, the codes of the findings in the order of their places, and the document of the caller.
#[allow(clippy::too_many_lines, reason = "a table")]
fn cases() -> Vec<(&'static str, &'static str, String)> {
    vec![
        (
            "step: right",
            "",
            step("action: crm/search\ninput: { term: hello, limit: 10, order: up, filter: { field: name } }"),
        ),
        (
            "step: templates of the right type",
            "",
            step("action: crm/search\ninput: { term: \"{{ input.text }}\", limit: \"{{ input.number }}\" }"),
        ),
        (
            "step: an unknown value",
            "",
            step("action: crm/search\ninput: { term: \"{{ headers.x }}\", limit: \"{{ headers.y }}\" }"),
        ),
        ("step: the whole input is one template", "", step("action: crm/search\ninput: \"{{ input }}\"")),
        (
            "step: the whole input is a map of a template",
            "",
            step("action: crm/create-contact\ninput: \"{{ {'email': input.text} }}\""),
        ),
        ("step: a default fills in a required field", "", step("action: crm/create-contact\ninput: { email: a@b.co }")),
        ("step: no schema", "", step("action: crm/ping\ninput: { a: 1 }")),
        (
            "step: an open schema takes other fields",
            "",
            step("action: crm/search\ninput: { term: hello, colour: red }"),
        ),
        ("step: no input", "EK0215", step("action: crm/search")),
        ("step: required input is missing", "EK0215", step("action: crm/search\ninput: { limit: 10 }")),
        ("step: renamed input", "EK0215 EK0215", step("action: crm/create-contact\ninput: { mail: a@b.co }")),
        (
            "step: unknown field of a closed schema",
            "EK0215",
            step("action: crm/create-contact\ninput: { email: a@b.co, colour: red }"),
        ),
        (
            "step: misspelt field of an open schema",
            "EK0216",
            step("action: crm/search\ninput: { term: hello, limits: 10 }"),
        ),
        (
            "step: wrong literal types",
            "EK0215 EK0215 EK0215",
            step("action: crm/search\ninput:\n  term: 5\n  limit: many\n  filter: [a]"),
        ),
        ("step: out of range, too short", "EK0215 EK0215", step("action: crm/search\ninput: { term: x, limit: 500 }")),
        ("step: not in the enum", "EK0215", step("action: crm/search\ninput: { term: hello, order: upp }")),
        (
            "step: a nested field is missing, another is refused",
            "EK0215 EK0215",
            step("action: crm/search\ninput: { term: hello, filter: { feild: x } }"),
        ),
        (
            "step: text around a template is a string",
            "EK0215",
            step("action: crm/search\ninput: { term: hello, limit: \"{{ input.number }} \" }"),
        ),
        (
            "step: a filter gives a string",
            "EK0215",
            step("action: crm/search\ninput: { term: hello, limit: \"{{ input.number | string }}\" }"),
        ),
        (
            "step: the type of the own input",
            "EK0215 EK0215",
            step("action: crm/search\ninput: { term: \"{{ input.number }}\", limit: \"{{ input.text }}\" }"),
        ),
        (
            "step: items of a list",
            "EK0215 EK0215",
            step("action: crm/create-contact\ninput: { email: a@b.co, tags: [a, 1, \"{{ headers.x }}\", b] }"),
        ),
        ("step: a list instead of a map", "EK0215", step("action: crm/search\ninput: [term]")),
        ("step: workflow, right", "", step("workflow: send-mail\ninput: { to: a, urgent: true }")),
        (
            "step: workflow, wrong",
            "EK0215 EK0215 EK0215",
            step("workflow: send-mail\ninput: { tto: a, urgent: \"yes\" }"),
        ),
        ("step: notify", "EK0215", step("notify: { action: crm/search, input: { limit: 1 } }")),
        (
            "step: inside loop, parallel and switch",
            "EK0215 EK0215",
            step(
                "parallel:\n  a:\n    - { name: x, loop: { over: \"{{ [1] }}\", steps: [{ name: y, action: crm/search, input: { limit: 1 } }] } }\n  b:\n    - { name: z, switch: [{ steps: [{ name: v, workflow: send-mail, input: {} }] }] }",
            ),
        ),
        ("step: an action that does not exist", "EK0202", step("action: crm/serach\ninput: { a: 1 }")),
        (
            "output: right",
            "",
            read(
                "action: crm/search\ninput: { term: hello }",
                "{{ steps.call.output['items'] }} {{ steps.call.output.next }}",
            ),
        ),
        (
            "output: unknown field of a closed schema",
            "EK0217",
            read("action: crm/search\ninput: { term: hello }", "{{ steps.call.output.nxt }}"),
        ),
        (
            "output: handled absence",
            "EK0217",
            read("action: crm/search\ninput: { term: hello }", "{{ steps.call.output.total | default(0) }}"),
        ),
        (
            "output: misspelt field of an entity",
            "EK0217",
            read("action: crm/create-contact\ninput: { email: a }", "{{ steps.call.output.emial }}"),
        ),
        (
            "output: other field of an entity",
            "",
            read("action: crm/create-contact\ninput: { email: a }", "{{ steps.call.output.created_at }}"),
        ),
        (
            "output: of a workflow",
            "EK0217",
            read("workflow: send-mail\ninput: { to: a }", "{{ steps.call.output.send }}"),
        ),
        (
            "output: its type is passed on",
            "EK0215",
            step("action: crm/search\ninput: { term: hello }").trim_end().to_owned()
                + "\n    - { name: next, action: crm/search, input: { term: \"{{ steps.call.output.count }}\", limit: \"{{ steps.call.output.count }}\" } }\n",
        ),
        ("failure handler: right", "", step("action: crm/ping\n") + "  onFailure: anything\n"),
        (
            "failure handler: its input does not fit",
            "EK0215 EK0215 EK0215 EK0215 EK0215",
            step("action: crm/ping\n") + "  onFailure: send-mail\n",
        ),
        (
            "code: right",
            "",
            script(
                "await ctx.connectors.crm.search({ term: 'hello', limit: 5 })\n  await ctx.workflows.sendMail({ to: ctx.input.text })",
            ),
        ),
        (
            "code: unknown values",
            "",
            script(
                "await ctx.connectors.crm.search(ctx.input.filter)\n  await ctx.connectors.crm.createContact({ ...ctx.input, email: f() })",
            ),
        ),
        ("code: missing and refused", "EK0215 EK0215", script("await ctx.connectors.crm.createContact({ mail: 'a' })")),
        ("code: no argument", "EK0215", script("await ctx.connectors.crm.search()")),
        (
            "code: wrong types",
            "EK0215 EK0215 EK0215",
            script("await ctx.connectors.crm.search({ term: 1, limit: `${1}`, filter: { field: true } })"),
        ),
        (
            "code: constants of the file",
            "EK0215 EK0215",
            code(
                "const limit = 'ten'\nexport default async ({ connectors }) => {\n  const filter = { field: 'a', more: 1 }\n  await connectors.crm.search({ term: 'hello', limit, filter })\n}",
            ),
        ),
        (
            "code: an object that changes is not known",
            "",
            script("const body: any = {}\n  body.term = 'hello'\n  await ctx.connectors.crm.search(body)"),
        ),
        (
            "code: an object that a function, another name or a method may change",
            "",
            script(
                "const a: any = { term: 'hello', filter: {} }\n  Object.assign(a.filter, { field: 'a' })\n  await ctx.connectors.crm.search(a)\n  const b: any = { term: 'hello', filter: {} }\n  const f = b.filter\n  f.field = 'a'\n  await ctx.connectors.crm.search(b)\n  const c: any = {}\n  ctx.input.rows.reduce((sum, row) => { sum.term = row; return sum }, c)\n  await ctx.connectors.crm.search(c)",
            ),
        ),
        (
            "code: values that JSON drops",
            "EK0216 EK0216",
            script(
                "const none = undefined\n  await ctx.connectors.crm.search({ term: 'hello', filter: { field: 'a', none, f: () => 1 } })\n  await ctx.connectors.crm.search({ toJSON: () => ({ term: 'hello' }) })",
            ),
        ),
        (
            "code: an input that the code changes",
            "",
            script("ctx.input.text = 5\n  await ctx.connectors.crm.search({ term: 'hello', limit: ctx.input.text })"),
        ),
        (
            "code: other objects have connectors too",
            "",
            script("const data = { connectors: { list: [1] } }\n  return data.connectors.list.map((item) => item)"),
        ),
        (
            "code: a declared type",
            "EK0215 EK0216",
            code(
                "interface Contact { email: number; phone?: string }\nexport default async function (ctx) {\n  const one = (await load(ctx)) as Contact\n  await ctx.connectors.crm.createContact(one)\n}\nasync function load(ctx) { return ctx.state.get('x') }",
            ),
        ),
        (
            "code: a declared type lacks a field",
            "EK0216",
            code(
                "type Query = { limit: number }\nasync function find(ctx, query: Query) { return ctx.connectors.crm.search(query) }\nexport default async (ctx) => find(ctx, { limit: 1 })",
            ),
        ),
        (
            "code: the type of the own input",
            "EK0215",
            script(
                "await ctx.connectors.crm.search({ term: 'hello', limit: ctx.input.text })\n  await ctx.connectors.crm.search({ term: ctx.input.maybe })",
            ),
        ),
        (
            "code: a workflow, wrong",
            "EK0215 EK0215 EK0215",
            script("await ctx.workflows.sendMail({ to: 1, copies: 'two' })\n  await ctx.workflows['send-mail']()"),
        ),
        ("code: a workflow that does not exist", "EK0202", script("await ctx.workflows.sendMial({ to: 'a' })")),
        (
            "code: other objects have workflows too",
            "",
            script("const list = { workflows: { send(x) { return x } } }\n  return list.workflows.send({ x: 1 })"),
        ),
        (
            "code: reads of an output",
            "EK0217",
            script(
                "const found = await ctx.connectors.crm.search({ term: 'hello' })\n  return [found.items, found.nxt, found.items.length, found.next.length]",
            ),
        ),
        (
            "code: destructured output",
            "EK0217",
            script(
                "const { items, total } = await ctx.connectors.crm.search({ term: 'hello' })\n  return [items, total]",
            ),
        ),
        (
            "code: an action under another name",
            "EK0215",
            code("export default async (ctx) => {\n  await ctx.connectors.sales.search({ limit: 1 })\n}")
                .replace("spec:\n", "spec:\n  connectors: { sales: { connector: crm } }\n"),
        ),
        (
            "code: a step of code",
            "EK0215",
            step("code: |\n  const limit = 1\n  return ctx.connectors.crm.search({ limit })"),
        ),
        ("webhook: the event is not known", "", webhook("{ workflow: send-mail }")),
        ("webhook: right", "", webhook("{ workflow: send-mail, input: { to: \"{{ body.to }}\" } }")),
        (
            "webhook: wrong",
            "EK0215 EK0215 EK0215",
            webhook(
                "{ workflow: send-mail, input: { recipient: \"{{ body.to }}\", copies: \"{{ body.n }} copies\" } }",
            ),
        ),
        (
            "webhook: events of a batch are not known",
            "",
            webhook("{ workflow: send-mail, batchWindow: 5s, input: { x: 1 } }"),
        ),
        (
            "event of an application: its common form does not fit",
            "EK0215 EK0215 EK0215 EK0215 EK0215 EK0215",
            trigger(
                "appEvent:\n  connector: crm\n  event: changed\n  routes: [{ workflow: send-mail }, { workflow: anything }]",
            ),
        ),
        (
            "schedule: right",
            "",
            trigger(
                "schedule: { interval: 1h, payload: { to: a }, routes: [{ workflow: send-mail }, { workflow: send-mail, payload: { to: b, copies: 2 } }] }",
            ),
        ),
        ("schedule: no payload", "EK0215", trigger("schedule: { interval: 1h, routes: [{ workflow: send-mail }] }")),
        (
            "schedule: the payload of the schedule and of a route",
            "EK0215 EK0215",
            trigger(
                "schedule:\n  interval: 1h\n  payload: { to: 7 }\n  routes:\n    - { workflow: send-mail }\n    - { workflow: send-mail, payload: { to: a, extra: 1 } }\n    - { workflow: anything }",
            ),
        ),
        (
            "schedule: a payload is no template",
            "EK0215",
            trigger("schedule: { interval: 1h, routes: [{ workflow: send-mail, payload: { to: a, copies: many } }] }"),
        ),
        (
            "widget: right",
            "",
            widget(
                "actions: [{ name: Send, workflow: send-mail, payload: { to: a } }, { name: Ping, action: crm/ping }]",
            ),
        ),
        (
            "widget: wrong",
            "EK0215 EK0215 EK0215 EK0215",
            widget(
                "actions:\n  - { name: Send, workflow: send-mail, payload: { too: a, urgent: 1 } }\n  - { name: Find, action: crm/search }",
            ),
        ),
        (
            "form: right",
            "",
            form(
                "- { name: to, label: To, type: Text, required: true }\n- { name: urgent, label: Urgent, type: Checkbox }",
            ),
        ),
        (
            "form: wrong",
            "EK0215 EK0215 EK0216 EK0215",
            form(
                "- { name: urgent, label: Urgent, type: Text }\n- { name: colour, label: Colour, type: Text }\n- { name: size, label: Size, type: Text, required: true }",
            ),
        ),
        (
            "form: options of an action",
            "EK0215",
            form(
                "- { name: to, label: To, type: Select, required: true, options: { action: crm/search, input: { term: \"{{ form.urgent }}\", limit: ten }, value: id, label: id } }\n- { name: urgent, label: Urgent, type: Checkbox }",
            ),
        ),
        (
            "form: a search fills in a required field",
            "",
            form(
                "- { name: to, label: To, type: Select, required: true, options: { action: crm/search, search: term, value: id, label: id } }",
            ),
        ),
        ("composite: the own input is passed on", "", composite("{ name: one, action: crm/search }")),
        ("composite: right", "", composite("{ name: one, action: crm/search, input: { term: \"{{ input.q }}\" } }")),
        (
            "composite: wrong",
            "EK0215 EK0215 EK0217",
            composite(
                "{ name: one, action: crm/search, input: { trem: \"{{ input.q }}\", limit: \"{{ input.q }}\" } }\n      - { name: two, action: crm/create-contact, input: { email: \"{{ steps.one.body.nxt }}\" } }",
            ),
        ),
        (
            "poll: right",
            "",
            poll(
                "{ action: list, interval: 5m, input: { size: 5, after: \"{{ cursor }}\" }, records: \"{{ output.rows }}\", id: \"{{ record.id }}\" }",
            ),
        ),
        (
            "poll: wrong",
            "EK0215 EK0215 EK0217",
            poll(
                "{ action: list, interval: 5m, input: { sise: 5 }, records: \"{{ output.items }}\", id: \"{{ record.id }}\", cursor: \"{{ output.next }}\" }",
            ),
        ),
        (
            "poll: no input",
            "EK0215",
            poll("{ action: list, interval: 5m, records: \"{{ output.rows }}\", id: \"{{ record.id }}\" }"),
        ),
        (
            "test: right",
            "",
            workflow_test(
                "actions: { crm/search: [{ items: [] }, { $error: { message: no } }] }\nexpectCalls: [{ action: crm/search, input: { term: hello } }]",
            ),
        ),
        (
            "test: a simulated output that is impossible",
            "EK0218 EK0218",
            workflow_test("actions:\n  crm/search:\n    - { items: none }\n    - { items: [], total: 1 }"),
        ),
        (
            "test: an expected call that would be refused",
            "EK0215",
            workflow_test("actions: { crm/search: [{}] }\nexpectCalls: [{ action: crm/search, input: { limit: 1 } }]"),
        ),
        (
            "test: actions that do not exist",
            "EK0202 EK0202",
            workflow_test("actions: { crm/find: [{}], fetch: [{}] }\nexpectCalls: [{ action: crm/found }]"),
        ),
        (
            "test: its own input",
            "EK0704",
            workflow_test("actions: { crm/search: [{}] }").replace("{ text: a, number: 1 }", "{ text: 1, number: 1 }"),
        ),
    ]
}

#[test]
fn every_caller_has_its_findings_and_no_others() {
    let mut differences = String::new();
    let (mut right, mut wrong) = (0, 0);
    for (name, expected, document) in cases() {
        // The connector has no event; the case is about the route.
        let callees = match name.starts_with("event of an application") {
            true => CALLEES.replacen(
                "  actions:\n",
                "  events: { changed: { webhook: { verify: { none: {} } } } }\n  actions:\n",
                1,
            ),
            false => CALLEES.to_owned(),
        };
        let validated = validate([("callees.yaml", callees.as_str()), ("case.yaml", document.as_str())]);
        let found = findings(&validated);
        let codes: Vec<&str> = found.iter().filter_map(|found| found.split(' ').next()).collect();
        *if expected.is_empty() { &mut right } else { &mut wrong } += 1;
        if codes.join(" ") != expected {
            let _ = writeln!(differences, "{name}: expected {expected:?}, found {found:#?}");
        }
    }
    assert!(differences.is_empty(), "{differences}");
    assert!(right >= 25 && wrong >= 45, "{right} right, {wrong} wrong");
}
