use super::*;
use crate::catalog::{Snapshot, load};
use crate::script::check_declarations;

const CRM: &str = r#"
apiVersion: evenkeel.dev/v1alpha1
kind: Connector
metadata: { name: orbit-crm }
spec:
  displayName: Orbit CRM
  description: Contacts */ and deals.
  baseUrl: https://crm.example.org
  entities:
    contact:
      title: A contact
      fields:
        id: { type: string, required: true }
        first name: { type: string, nullable: true }
        kind: { type: string, enum: [person, company] }
  actions:
    create-contact:
      title: Creates a contact
      description: |
        Sends a request.
        And waits.
      deprecated: use upsert
      input: { type: object, required: [email], properties: { email: { type: string, description: Where to write }, tags: { type: array, items: { type: [string, "null"] } } } }
      output: { $ref: '#/entities/contact' }
      http: { method: POST, path: /contacts }
    list:
      http: { method: GET, path: /contacts }
    3d-print:
      input: { type: object, properties: { a: true } }
      http: { method: GET, path: /print }
"#;

const FLOWS: &str = r#"
apiVersion: evenkeel.dev/v1alpha1
kind: Workflow
metadata: { name: welcome }
spec:
  tier: Instant
  description: Greets
  input: { type: object, required: [email], properties: { email: { type: string } } }
  output: { type: string }
  secrets: [token, api-key]
  config: { greeting: hello, limits: [1, 2], nested: { a-b: null } }
  connectors:
    crm: { connector: orbit-crm, actions: [create-contact] }
    all: { connector: orbit-crm }
  source: { inline: "export default async (ctx) => 1" }
---
apiVersion: evenkeel.dev/v1alpha1
kind: Workflow
metadata: { name: 3-nightly }
spec: { tier: Long, steps: [{ name: a, set: 1 }] }
---
apiVersion: evenkeel.dev/v1alpha1
kind: Workflow
metadata: { name: a-1b }
spec: { tier: Long, steps: [{ name: a, set: 1 }] }
---
apiVersion: evenkeel.dev/v1alpha1
kind: Workflow
metadata: { name: a1b }
spec: { tier: Long, steps: [{ name: a, set: 1 }] }
"#;

fn generate(files: &[(&str, &str)]) -> String {
    let (catalog, findings) = load(&Snapshot::of(files.iter().map(|(path, text)| (*path, text.as_bytes()))));
    assert!(findings.is_empty(), "{findings:?}");
    let text = declarations(&catalog);
    if let Err(errors) = check_declarations(&text) {
        let line = text[..errors[0].at.0.min(text.len())].lines().count();
        panic!("line {line}: {errors:?}\n{text}");
    }
    text
}

#[test]
fn generates_the_declarations_of_a_catalog() {
    let text = generate(&[("crm.yaml", CRM), ("flows.yaml", FLOWS)]);
    let expected = [
        "    readonly orbitCrm: OrbitCrmConnector;\n",
        "  /**\n   * Orbit CRM\n   *\n   * Contacts *\\/ and deals.\n   */\n  interface OrbitCrmConnector {\n",
        "     * Sends a request.\n     * And waits.\n     * @deprecated use upsert\n",
        "    createContact(input: OrbitCrm.CreateContactInput, options?: CallOptions): Promise<OrbitCrm.CreateContactOutput>;\n",
        "    list(input?: unknown, options?: CallOptions): Promise<unknown>;\n",
        "    \"3dPrint\"(input?: OrbitCrm._3dPrintInput, options?: CallOptions): Promise<unknown>;\n",
        "    /** A contact */\n    type ContactEntity = {\n      \"first name\"?: string | null;\n      id: string;\n      kind?: \"person\" | \"company\";\n    };\n",
        "      /** Where to write */\n      email: string;\n      tags?: (string | null)[];\n",
        "    type CreateContactOutput = OrbitCrm.ContactEntity;\n",
        "    welcome(input: WelcomeWorkflowInput): Promise<WelcomeWorkflowOutput>;\n",
        "    \"3Nightly\"(input?: unknown): Promise<unknown>;\n",
        "    \"a-1b\"(input?: unknown): Promise<unknown>;\n    a1b(input?: unknown): Promise<unknown>;\n",
        "  type SecretName = \"api-key\" | \"token\";\n",
        "interface WelcomeCtx extends Ctx<\n  Evenkeel.WelcomeWorkflowInput,\n  Omit<Evenkeel.Connectors, \"all\" | \"crm\"> & {\n    readonly all: Evenkeel.OrbitCrmConnector;\n    readonly crm: Pick<Evenkeel.OrbitCrmConnector, \"createContact\">;\n  },\n",
        "    readonly greeting: string;\n    readonly limits: readonly number[];\n",
        "      readonly \"a-b\": null;\n",
        "interface _3NightlyCtx extends Ctx<\n  unknown,\n  Evenkeel.Connectors,\n  {},\n  never\n> {}\n",
        "interface A1b_2Ctx ",
    ];
    for part in expected {
        assert!(text.contains(part), "{part}\n--- is missing in ---\n{text}");
    }
}

#[test]
fn the_declarations_do_not_depend_on_the_order_of_files() {
    assert_eq!(generate(&[("a.yaml", CRM), ("b.yaml", FLOWS)]), generate(&[("a.yaml", FLOWS), ("b.yaml", CRM)]));
}

#[test]
fn the_declarations_of_an_empty_catalog_are_valid() {
    let text = generate(&[]);
    assert!(text.contains("type SecretName = never;"), "{text}");
}

/// The prelude and the declarations agree.
#[test]
fn declares_every_member_of_the_context() {
    let prelude = include_str!("../prelude.js");
    let start = prelude.find("const ctx = Object.freeze({").unwrap();
    let context = &prelude[start..start + prelude[start..].find("\n  });").unwrap()];
    let names = context.lines().filter_map(|line| {
        let line = line.strip_prefix("    ").filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()))?;
        Some(line.split([':', ',']).next().unwrap_or(line))
    });
    let names: Vec<&str> = names.chain(["input", "headers", "tenant", "config", "execution"]).collect();
    assert!(names.len() >= 16, "{names:?}");
    for name in names {
        let declared = [format!("\n  readonly {name}:"), format!("\n  {name}("), format!("\n  {name}<")];
        assert!(declared.iter().any(|text| COMMON.contains(text)), "`{name}` is not declared");
    }
}
