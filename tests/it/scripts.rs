//! The code of workflows: mistakes have their locations, in files and within YAML; and the types for editors.

use std::path::Path;
use std::sync::Arc;

use evenkeel::catalog::Input;
use evenkeel::reconcile::validate::{self, Validated, Validator};
use evenkeel::source::directory;

use crate::support::{folder, run, write};

const CRM: &str = "apiVersion: evenkeel.dev/v1alpha1\nkind: Connector\nmetadata: { name: orbit-crm }\nspec:\n  \
    displayName: Orbit\n  baseUrl: https://crm.example.org\n  actions:\n    \
    create-contact: { http: { method: POST, path: /contacts } }\n    \
    list: { http: { method: GET, path: /contacts } }\n";

const WORKFLOW: &str =
    "apiVersion: evenkeel.dev/v1alpha1\nkind: Workflow\nmetadata: { name: welcome }\nspec:\n  tier: Instant\n";

/// The findings about code as `file:line:column code message; help`.
fn findings_of(validated: &Validated) -> Vec<String> {
    let relevant = validated.findings.iter().filter(|finding| finding.code.id != "EK0707");
    let described = relevant.map(|finding| {
        let place = finding.span().map(|span| {
            let (source, at) = (validated.catalog.sources.get(span.source), span.start);
            let position = source.position(at);
            format!("{}:{}:{}", source.path(), position.line, position.column)
        });
        let help = finding.help.clone().unwrap_or_default();
        format!("{} {} {}; {help}", place.unwrap_or_default(), finding.code.id, finding.message)
    });
    described.collect()
}

fn of_file(name: &str, code: &str) -> Vec<String> {
    let workflow = format!("{WORKFLOW}  source: {{ file: {name} }}\n");
    let files = folder(&[("crm.yaml", CRM), ("flows/welcome.yaml", &workflow), (&format!("flows/{name}"), code)]);
    findings_of(&validate::folder(files.path()).unwrap())
}

fn of_spec(spec: &str) -> Vec<String> {
    let files = folder(&[("crm.yaml", CRM), ("welcome.yaml", &format!("{WORKFLOW}{spec}"))]);
    findings_of(&validate::folder(files.path()).unwrap())
}

fn assert_findings(found: &[String], expected: &[&str]) {
    let matches =
        found.len() == expected.len() && found.iter().zip(expected).all(|(finding, start)| finding.starts_with(start));
    assert!(matches, "{found:#?}\n--- instead of ---\n{expected:#?}");
}

#[test]
fn accepts_valid_code() {
    let code = "type A = { email: string };\nimport type { B } from './b';\n\
        export default async function (ctx: any): Promise<A> {\n  const { connectors } = ctx;\n  \
        await connectors.orbitCrm.createContact({} as A);\n  await ctx.connectors['orbit-crm']['create-contact']({});\n  \
        return ctx.connectors.orbitCrm.list();\n}\n";
    assert_findings(&of_file("welcome.ts", code), &[]);
    assert_findings(&of_file("welcome.mjs", "export default (ctx) => 1"), &[]);
}

#[test]
fn mistakes_in_files_have_their_locations() {
    assert_findings(
        &of_file("w.ts", "export default async (ctx) => {\n  const = 1;\n}\n"),
        &["flows/w.ts:2:9 EK0610 "],
    );
    assert_findings(&of_file("w.ts", "enum A { B }\nexport default async (ctx) => 1\n"), &["flows/w.ts:1:1 EK0610 "]);
    assert_findings(&of_file("w.js", "const a = 1;\n"), &["flows/w.js:1:1 EK0611 "]);
    assert_findings(
        &of_file("w.ts", "const ä = 1; import x from 'lodash';\nexport default async (ctx) => x\n"),
        &["flows/w.ts:1:14 EK0612 `lodash` cannot be imported"],
    );
    let calls = "export default async ({ connectors: c }) => {\n  await c.orbitCmr.list();\n  \
        await c.orbitCrm.createContcat();\n  await c.elsewhere.list();\n};\n";
    assert_findings(
        &of_file("w.ts", calls),
        &[
            "flows/w.ts:2:11 EK0202 there is no connector `orbitCmr`; did you mean `orbitCrm`?",
            "flows/w.ts:3:20 EK0202 connector `orbit-crm` has no action `createContcat`; did you mean `createContact`?",
            "flows/w.ts:4:11 EK0202 there is no connector `elsewhere`; there are `orbitCrm`",
        ],
    );
}

#[test]
fn rejects_code_that_is_not_text() {
    let workflow = format!("{WORKFLOW}  source: {{ file: w.ts }}\n");
    let files = folder(&[("crm.yaml", CRM), ("welcome.yaml", &workflow)]);
    std::fs::write(files.path().join("w.ts"), [0xff, 0xfe, 0x00]).unwrap();
    assert_findings(&findings_of(&validate::folder(files.path()).unwrap()), &["w.ts:1:1 EK0002 "]);
}

#[test]
fn mistakes_within_definitions_have_their_locations() {
    let block = "  source:\n    inline: |\n      export default async (ctx) => {\n        await ctx.connectors.orbitCrm.lst();\n      }\n";
    assert_findings(&of_spec(block), &["welcome.yaml:9:39 EK0202 connector `orbit-crm` has no action `lst`"]);
    let quoted = "  source: { inline: \"export default async (ctx) => { const = 1 }\" }\n";
    assert_findings(&of_spec(quoted), &["welcome.yaml:6:60 EK0610 "]);
    let steps = "  steps:\n    - name: a\n      code: return ctx.connectors.orbitCrm.lst()\n    - name: b\n      loop:\n        \
        over: \"{{ input.list }}\"\n        steps: [{ name: c, code: 'return (' }]\n";
    assert_findings(
        &of_spec(steps),
        &["welcome.yaml:8:44 EK0202 connector `orbit-crm` has no action `lst`", "welcome.yaml:12:43 EK0610 "],
    );
}

#[test]
fn declared_connectors_limit_the_actions() {
    let spec = |code: &str| {
        let declared = "  connectors:\n    crm: { connector: orbit-crm, actions: [list] }\n";
        of_spec(&format!("{declared}  source: {{ inline: \"export default (ctx) => {code}\" }}\n"))
    };
    assert_findings(&spec("ctx.connectors.crm.list()"), &[]);
    assert_findings(&spec("ctx.connectors.orbitCrm.createContact()"), &[]);
    assert_findings(
        &spec("ctx.connectors.crm.createContact()"),
        &["welcome.yaml:8:65 EK0613 `create-contact` is not among the actions of `orbit-crm`"],
    );
    assert_findings(
        &spec("ctx.connectors.crn.list()"),
        &["welcome.yaml:8:61 EK0202 there is no connector `crn`; did you mean `crm`?"],
    );
}

#[test]
fn a_single_file_may_call_connectors_of_other_files() {
    let workflow = format!("{WORKFLOW}  source: {{ file: w.ts }}\n");
    let code = "export default (ctx) => ctx.connectors.other.list()";
    let files = folder(&[("welcome.yaml", &workflow), ("w.ts", code)]);
    let alone = |path: &Path| findings_of(&validate::folder(&path.join("welcome.yaml")).unwrap());
    assert_findings(&alone(files.path()), &[]);
    write(&files.path().join("w.ts"), "const = 1");
    assert_findings(&alone(files.path()), &["w.ts:1:7 EK0610 "]);
}

#[test]
fn an_edit_of_code_is_validated_again() {
    let workflow = format!("{WORKFLOW}  source: {{ file: w.ts }}\n");
    let files = folder(&[("crm.yaml", CRM), ("welcome.yaml", &workflow), ("other.ts", "const = 1")]);
    let mut validator = Validator::new();
    let mut validate_with = |code: Option<&str>| {
        if let Some(code) = code {
            write(&files.path().join("w.ts"), code);
        }
        let (snapshot, unreadable) = directory::read(files.path()).unwrap();
        let input = Input { snapshot, ..Input::default() };
        let validated = validator.validate(&input, &unreadable);
        let fresh = Validator::new().validate(&input, &unreadable);
        assert_eq!(findings_of(&validated), findings_of(&fresh));
        (findings_of(&validated), validator.stats().checked.last.misses)
    };
    let good = "export default (ctx) => ctx.connectors.orbitCrm.list()";
    assert_findings(&validate_with(Some(good)).0, &[]);
    assert_eq!(validate_with(None), (Vec::new(), 0));
    let (described, checked) = validate_with(Some("export default (ctx) => ctx.connectors.orbitCrm.lst()"));
    assert_findings(&described, &["w.ts:1:49 EK0202 "]);
    assert_eq!(checked, 1, "more than the workflow was checked again");
    assert_eq!(validate_with(None), (described, 0));
    assert_eq!(validate_with(Some(good)), (Vec::new(), 1));
    // An edit of the called connector is noticed too.
    write(&files.path().join("crm.yaml"), &CRM.replace("list:", "all:"));
    assert_findings(&validate_with(None).0, &["w.ts:1:49 EK0202 "]);
}

#[test]
fn a_watched_folder_contains_its_code() {
    use evenkeel::source::Source as _;
    let files = folder(&[("crm.yaml", CRM), ("a/w.ts", "1"), ("b.txt", "x"), ("node_modules/c.js", "2")]);
    let source = directory::Directory::new(files.path());
    let fetch = || source.fetch(std::time::Instant::now() + std::time::Duration::from_mins(1)).unwrap();
    let first = fetch();
    let code: Vec<(&str, &[u8])> = first.snapshot.code.iter().map(|(path, bytes)| (&**path, &**bytes)).collect();
    assert_eq!(code, [("a/w.ts", b"1".as_slice())]);
    assert!(Arc::ptr_eq(&first, &fetch()));
    write(&files.path().join("a/w.ts"), "2");
    let second = fetch();
    assert_ne!(first.revision.name, second.revision.name);
    assert_eq!(*second.snapshot.code["a/w.ts"], *b"2");
    // A file that is too large is not treated as code.
    write(&files.path().join("a/w.ts"), &" ".repeat((256 << 10) + 1));
    assert!(fetch().snapshot.code.is_empty());
}

#[test]
fn types_are_printed_and_written() {
    let workflow = format!("{WORKFLOW}  source: {{ file: w.ts }}\n");
    let files = folder(&[("crm.yaml", CRM), ("welcome.yaml", &workflow), ("w.ts", "export default () => 1")]);
    let path = files.path().to_str().unwrap();
    let said = run(["types", path]);
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    assert!(said.out.contains("interface WelcomeCtx extends Ctx<"), "{}", said.out);
    assert!(said.out.contains("createContact(input?: unknown, options?: CallOptions): Promise<unknown>;"));
    let out = files.path().join("evenkeel.d.ts");
    assert_eq!(run(["types", path, "--out", out.to_str().unwrap()]).out, "");
    assert_eq!(std::fs::read_to_string(&out).unwrap(), said.out);
    assert_eq!(run(["types", path]).out, said.out, "the generated file changes the result");
    assert_eq!(run(["types", "/nowhere"]).code, 2);
}
