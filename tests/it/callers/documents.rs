//! Documents of callers.

use super::HEAD;

/// A workflow with one step that calls an action or workflow.
pub(super) fn step(call: &str) -> String {
    format!(
        "{HEAD}kind: Workflow\nmetadata: {{ name: case }}\nspec:\n  tier: Standard\n  input: {{ type: object, required: [text, number], properties: {{ text: {{ type: string }}, number: {{ type: integer }}, maybe: {{ type: string }} }} }}\n  steps:\n    - name: call\n      {}\n",
        call.replace('\n', "\n      ")
    )
}

/// A workflow whose second step reads the output of the first.
pub(super) fn read(first: &str, template: &str) -> String {
    step(&format!("{first}\n")).trim_end().to_owned() + &format!("\n    - {{ name: read, set: \"{template}\" }}\n")
}

/// A workflow of TypeScript.
pub(super) fn code(body: &str) -> String {
    let head = "kind: Workflow\nmetadata: { name: case }\nspec:\n  tier: Standard\n  input: { type: object, required: [text], properties: { text: { type: string }, maybe: { type: integer } } }\n";
    format!("{HEAD}{head}  source:\n    inline: |\n      {}\n", body.replace('\n', "\n      "))
}

/// TypeScript within the exported function.
pub(super) fn script(body: &str) -> String {
    code(&format!("export default async function (ctx) {{\n  {body}\n}}"))
}

pub(super) fn trigger(spec: &str) -> String {
    format!("{HEAD}kind: Trigger\nmetadata: {{ name: case }}\nspec:\n  {}\n", spec.replace('\n', "\n  "))
}

pub(super) fn webhook(route: &str) -> String {
    trigger(&format!(
        "webhook:\n  verify: {{ none: {{}} }}\n  webhookId: 6f1c1c1e-3b1a-4d55-9a0f-1d2c3b4a5e6f\n  routes:\n    - {route}"
    ))
}

pub(super) fn widget(spec: &str) -> String {
    format!(
        "{HEAD}kind: Widget\nmetadata: {{ name: case }}\nspec:\n  displayName: Case\n  {}\n",
        spec.replace('\n', "\n  ")
    )
}

pub(super) fn form(fields: &str) -> String {
    widget(&format!(
        "actions: [{{ name: Set, form: f, type: Configuration }}]\nforms:\n  f:\n    onSave: send-mail\n    fields:\n      {}",
        fields.replace('\n', "\n      ")
    ))
}

pub(super) fn workflow_test(test: &str) -> String {
    step("action: crm/search\ninput: { term: hello }")
        + &format!(
            "  tests:\n    - name: one\n      input: {{ text: a, number: 1 }}\n      {}\n",
            test.replace('\n', "\n      ")
        )
}

fn connector(spec: &str) -> String {
    format!(
        "{HEAD}kind: Connector\nmetadata: {{ name: case }}\nspec:\n  displayName: Case\n  baseUrl: https://case.example\n  {}\n",
        spec.replace('\n', "\n  ")
    )
}

pub(super) fn composite(call: &str) -> String {
    connector(&format!(
        "actions:\n  all:\n    title: All\n    input: {{ type: object, required: [q], properties: {{ q: {{ type: string }}, n: {{ type: integer }} }} }}\n    steps:\n      - {call}"
    ))
}

pub(super) fn poll(poll: &str) -> String {
    connector(&format!(
        "actions:\n  list:\n    title: List\n    http: {{ method: GET, path: /list }}\n    input: {{ type: object, required: [size], additionalProperties: false, properties: {{ size: {{ type: integer }}, after: {{ type: string }} }} }}\n    output: {{ type: object, additionalProperties: false, properties: {{ rows: {{ type: array }} }} }}\nevents:\n  changed:\n    poll: {poll}"
    ))
}
