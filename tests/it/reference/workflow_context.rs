//! The page about `ctx`, from the declarations that `evenkeel types` prints.

use evenkeel::catalog::Catalog;
use evenkeel::workflow::declarations;

use super::markdown::{anchor, block, code, head, id, table};

/// An interface or type of the declarations.
#[derive(Debug, Default)]
struct Interface {
    name: String,
    about: String,
    members: Vec<Member>,
}

/// A member of an interface.
#[derive(Debug)]
struct Member {
    signature: String,
    about: String,
}

impl Member {
    fn name(&self) -> &str {
        let plain = self.signature.strip_prefix("readonly ").unwrap_or(&self.signature);
        plain.split(['?', ':', '(', '<', '[']).next().unwrap_or_default()
    }
}

/// The interfaces of a declaration file. Each member ends with `;` outside of braces, and follows its comment.
fn interfaces(text: &str) -> Vec<Interface> {
    let mut found: Vec<Interface> = Vec::new();
    let (mut comment, mut member) = (String::new(), String::new());
    let mut is_inside = false;
    for line in text.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("/**") {
            let about = rest.trim_end_matches("*/").trim().to_owned();
            // A comment within a member belongs to the member.
            if member.is_empty() {
                comment = about;
            }
            continue;
        }
        let declared = line.strip_prefix("interface ");
        if let Some(name) = declared.filter(|_| !is_inside) {
            let name = name.split([' ', '<', '{']).next().unwrap_or_default();
            found.push(Interface { name: name.to_owned(), about: std::mem::take(&mut comment), members: Vec::new() });
            // Parameters of a type may follow on lines of their own.
            is_inside = line.ends_with('{');
            continue;
        }
        if !is_inside {
            is_inside = line == "> {" && found.last().is_some_and(|interface| interface.members.is_empty());
            // Other declarations, such as types, have comments of their own.
            if !line.is_empty() {
                comment.clear();
            }
            continue;
        }
        if line.starts_with('}') && member.is_empty() {
            is_inside = false;
            continue;
        }
        member += if member.is_empty() { "" } else { " " };
        member += line;
        let open = |c: char| member.matches(c).count();
        if line.ends_with(';') && open('{') == open('}') {
            if let Some(interface) = found.last_mut() {
                let signature = std::mem::take(&mut member).trim_end_matches(';').to_owned();
                interface.members.push(Member { signature, about: std::mem::take(&mut comment) });
            }
            comment.clear();
        }
    }
    found
}

/// The page.
pub fn page() -> String {
    let text = declarations(&Catalog::default());
    let interfaces = interfaces(&text);
    let mut page = head(
        "`ctx` in the code of workflows",
        "The code of a workflow exports a function that gets a context: `export default async function (ctx) { … }`. Its result is \
         the output of the execution.",
    );
    page += "`evenkeel types --out evenkeel.d.ts` writes these types together with those of your connectors, actions and \
             workflows, so that an editor completes and checks the code. Names with `-` are written in camel case: \
             `ctx.connectors.orbitCrm.createContact(…)`.\n\n";
    for interface in &interfaces {
        if interface.members.is_empty() {
            continue;
        }
        let title = if interface.name == "Ctx" { "ctx".to_owned() } else { interface.name.clone() };
        page += &anchor(&id(&format!("type-{}", interface.name)));
        page += &format!("## {}\n\n", code(&title));
        if !interface.about.is_empty() {
            page += &format!("{}\n\n", interface.about);
        }
        let row = |member: &Member| [code(member.name()), code(&member.signature), member.about.clone()];
        page += &table(["member", "declaration", "meaning"], &interface.members.iter().map(row).collect::<Vec<_>>());
    }
    page += "## The declarations\n\nWithout definitions, `evenkeel types` prints:\n\n";
    page += &block("ts", &text);
    page.trim_end().to_owned() + "\n"
}

#[test]
fn every_member_of_the_context_is_on_the_page_with_its_meaning() {
    let text = declarations(&Catalog::default());
    let interfaces = interfaces(&text);
    let context = interfaces.iter().find(|interface| interface.name == "Ctx").unwrap();
    let names: Vec<&str> = context.members.iter().map(Member::name).collect();
    for name in [
        "input",
        "headers",
        "tenant",
        "connectors",
        "workflows",
        "state",
        "secrets",
        "log",
        "sleep",
        "approval",
        "fetch",
        "now",
    ] {
        assert!(names.contains(&name), "{names:?}");
    }
    for member in &context.members {
        assert!(!member.about.is_empty(), "{member:?}");
    }
    for name in ["Tenant", "Execution", "CallOptions", "CallError", "State", "Log", "FetchAnswer"] {
        let interface = interfaces.iter().find(|interface| interface.name == name);
        assert!(interface.is_some_and(|interface| !interface.members.is_empty()), "{name} has no members");
    }
    let state = context.members.iter().find(|member| member.name() == "state").unwrap();
    assert!(state.signature.contains("invocation"), "{state:?}");
}
