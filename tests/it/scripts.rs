//! The code of workflows: mistakes are found at their places, in files and within YAML; and its types for editors.

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

/// `file:line:column code message; help` of everything about code.
fn told(examined: &Validated) -> Vec<String> {
    let about = examined.findings.iter().filter(|finding| finding.code.id != "EK0707");
    let told = about.map(|finding| {
        let place = finding.span().map(|span| {
            let (source, at) = (examined.catalog.sources.get(span.source), span.start);
            let position = source.position(at);
            format!("{}:{}:{}", source.path(), position.line, position.column)
        });
        let help = finding.help.clone().unwrap_or_default();
        format!("{} {} {}; {help}", place.unwrap_or_default(), finding.code.id, finding.message)
    });
    told.collect()
}

fn of_file(name: &str, code: &str) -> Vec<String> {
    let workflow = format!("{WORKFLOW}  source: {{ file: {name} }}\n");
    let files = folder(&[("crm.yaml", CRM), ("flows/welcome.yaml", &workflow), (&format!("flows/{name}"), code)]);
    told(&validate::folder(files.path()).unwrap())
}

fn of_spec(spec: &str) -> Vec<String> {
    let files = folder(&[("crm.yaml", CRM), ("welcome.yaml", &format!("{WORKFLOW}{spec}"))]);
    told(&validate::folder(files.path()).unwrap())
}

fn assert_told(told: &[String], expected: &[&str]) {
    let fits = told.len() == expected.len() && told.iter().zip(expected).all(|(told, start)| told.starts_with(start));
    assert!(fits, "{told:#?}\n--- instead of ---\n{expected:#?}");
}

#[test]
fn good_code_is_good() {
    let code = "type A = { email: string };\nimport type { B } from './b';\n\
        export default async function (ctx: any): Promise<A> {\n  const { connectors } = ctx;\n  \
        await connectors.orbitCrm.createContact({} as A);\n  await ctx.connectors['orbit-crm']['create-contact']({});\n  \
        return ctx.connectors.orbitCrm.list();\n}\n";
    assert_told(&of_file("welcome.ts", code), &[]);
    assert_told(&of_file("welcome.mjs", "export default (ctx) => 1"), &[]);
}

#[test]
fn mistakes_in_files_have_their_places() {
    assert_told(&of_file("w.ts", "export default async (ctx) => {\n  const = 1;\n}\n"), &["flows/w.ts:2:9 EK0610 "]);
    assert_told(&of_file("w.ts", "enum A { B }\nexport default async (ctx) => 1\n"), &["flows/w.ts:1:1 EK0610 "]);
    assert_told(&of_file("w.js", "const a = 1;\n"), &["flows/w.js:1:1 EK0611 "]);
    assert_told(
        &of_file("w.ts", "const ä = 1; import x from 'lodash';\nexport default async (ctx) => x\n"),
        &["flows/w.ts:1:14 EK0612 `lodash` cannot be imported"],
    );
    let calls = "export default async ({ connectors: c }) => {\n  await c.orbitCmr.list();\n  \
        await c.orbitCrm.createContcat();\n  await c.elsewhere.list();\n};\n";
    assert_told(
        &of_file("w.ts", calls),
        &[
            "flows/w.ts:2:11 EK0202 there is no connector `orbitCmr`; did you mean `orbitCrm`?",
            "flows/w.ts:3:20 EK0202 connector `orbit-crm` has no action `createContcat`; did you mean `createContact`?",
            "flows/w.ts:4:11 EK0202 there is no connector `elsewhere`; there are `orbitCrm`",
        ],
    );
}

#[test]
fn code_that_is_no_text_is_told() {
    let workflow = format!("{WORKFLOW}  source: {{ file: w.ts }}\n");
    let files = folder(&[("crm.yaml", CRM), ("welcome.yaml", &workflow)]);
    std::fs::write(files.path().join("w.ts"), [0xff, 0xfe, 0x00]).unwrap();
    assert_told(&told(&validate::folder(files.path()).unwrap()), &["w.ts:1:1 EK0002 "]);
}

#[test]
fn mistakes_within_definitions_have_their_places() {
    let block = "  source:\n    inline: |\n      export default async (ctx) => {\n        await ctx.connectors.orbitCrm.lst();\n      }\n";
    assert_told(&of_spec(block), &["welcome.yaml:9:39 EK0202 connector `orbit-crm` has no action `lst`"]);
    let quoted = "  source: { inline: \"export default async (ctx) => { const = 1 }\" }\n";
    assert_told(&of_spec(quoted), &["welcome.yaml:6:60 EK0610 "]);
    let steps = "  steps:\n    - name: a\n      code: return ctx.connectors.orbitCrm.lst()\n    - name: b\n      loop:\n        \
        over: \"{{ input.list }}\"\n        steps: [{ name: c, code: 'return (' }]\n";
    assert_told(
        &of_spec(steps),
        &["welcome.yaml:8:44 EK0202 connector `orbit-crm` has no action `lst`", "welcome.yaml:12:43 EK0610 "],
    );
}

#[test]
fn declared_connectors_are_what_they_say() {
    let spec = |code: &str| {
        let declared = "  connectors:\n    crm: { connector: orbit-crm, actions: [list] }\n";
        of_spec(&format!("{declared}  source: {{ inline: \"export default (ctx) => {code}\" }}\n"))
    };
    assert_told(&spec("ctx.connectors.crm.list()"), &[]);
    assert_told(&spec("ctx.connectors.orbitCrm.createContact()"), &[]);
    assert_told(
        &spec("ctx.connectors.crm.createContact()"),
        &["welcome.yaml:8:65 EK0613 `create-contact` is not among the actions of `orbit-crm`"],
    );
    assert_told(
        &spec("ctx.connectors.crn.list()"),
        &["welcome.yaml:8:61 EK0202 there is no connector `crn`; did you mean `crm`?"],
    );
}

#[test]
fn one_file_alone_may_call_what_is_in_others() {
    let workflow = format!("{WORKFLOW}  source: {{ file: w.ts }}\n");
    let code = "export default (ctx) => ctx.connectors.other.list()";
    let files = folder(&[("welcome.yaml", &workflow), ("w.ts", code)]);
    let alone = |path: &Path| told(&validate::folder(&path.join("welcome.yaml")).unwrap());
    assert_told(&alone(files.path()), &[]);
    write(&files.path().join("w.ts"), "const = 1");
    assert_told(&alone(files.path()), &["w.ts:1:7 EK0610 "]);
}

#[test]
fn an_edit_of_code_is_seen() {
    let workflow = format!("{WORKFLOW}  source: {{ file: w.ts }}\n");
    let files = folder(&[("crm.yaml", CRM), ("welcome.yaml", &workflow), ("other.ts", "const = 1")]);
    let mut examiner = Validator::new();
    let mut look = |code: Option<&str>| {
        if let Some(code) = code {
            write(&files.path().join("w.ts"), code);
        }
        let (snapshot, unreadable) = directory::read(files.path()).unwrap();
        let input = Input { snapshot, ..Input::default() };
        let examined = examiner.validate(&input, &unreadable);
        let fresh = Validator::new().validate(&input, &unreadable);
        assert_eq!(told(&examined), told(&fresh));
        (told(&examined), examiner.stats().checked.last.misses)
    };
    let good = "export default (ctx) => ctx.connectors.orbitCrm.list()";
    assert_told(&look(Some(good)).0, &[]);
    assert_eq!(look(None), (Vec::new(), 0));
    let (told, checked) = look(Some("export default (ctx) => ctx.connectors.orbitCrm.lst()"));
    assert_told(&told, &["w.ts:1:49 EK0202 "]);
    assert_eq!(checked, 1, "only the workflow is checked anew");
    assert_eq!(look(None), (told, 0));
    assert_eq!(look(Some(good)), (Vec::new(), 1));
    // And so is one of what it calls.
    write(&files.path().join("crm.yaml"), &CRM.replace("list:", "all:"));
    assert_told(&look(None).0, &["w.ts:1:49 EK0202 "]);
}

#[test]
fn a_folder_that_is_followed_gives_its_code() {
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
    // What is too large is no code that runs, and is left to whoever reads it.
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
    assert_eq!(run(["types", path]).out, said.out, "the file itself changes nothing");
    assert_eq!(run(["types", "/nowhere"]).code, 2);
}
