//! The pin of the template engine.
//!
//! The sandbox of templates builds on minijinja's `unstable_machinery`: it rewrites the engine's syntax tree and runs it on
//! the engine's virtual machine. A new version can change either without a compile error, so the version is pinned
//! exactly, and these tests fail when the pin moves.

use std::sync::Arc;

use evenkeel::template::{
    Context, FieldLocation, Limits, ProblemKind, RenderErrorKind, Template, TemplateHost, analyse,
};

use crate::support::root;

/// The version that was verified against the list in [`MOVED`].
const VERIFIED: &str = "3.0.5";

const MOVED: &str = "\
the pinned version of minijinja changed. The template sandbox depends on its unstable machinery, so verify before you \
update `VERIFIED` in tests/it/template_engine.rs:
  1. src/template/rewrite.rs and rewrite/expressions.rs handle every statement and expression of `machinery::ast`, \
including new fields of existing ones; every dropped construct must be rejected by src/template/check.rs;
  2. src/template/operators.rs implements the semantics of the engine's operators (compare minijinja's `value::ops`), and \
the code generator still emits a filter call for each `@…` operator and does not fold it;
  3. no new instruction, filter, test or object method allocates or loops without a charge to the budget \
(src/template/budget.rs), and fuel is still counted per instruction;
  4. src/template/parser.rs scans the tokens of the new lexer, and its nesting limits still bound the recursion of the \
parser, the code generator and the drop of the tree;
  5. errors still carry the byte ranges that src/template/diagnose.rs uses, and no message of the engine that contains a \
value reaches a `RenderError`;
  6. `cargo test --test it hostile::` and `cargo test --lib template::` pass.";

struct NoHost;

impl TemplateHost for NoHost {
    fn secret(&self, _: &str) -> Result<String, String> {
        Err("not set".to_owned())
    }

    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn now(&self) -> i64 {
        0
    }
}

fn render(source: &str) -> Result<String, RenderErrorKind> {
    let template = Template::compile(source).expect(source);
    template.render_text(&Context::new(Arc::new(NoHost)), &Limits::default()).map_err(|error| error.kind)
}

#[test]
fn the_version_of_the_template_engine_is_pinned_and_verified() {
    let read = |name: &str| std::fs::read_to_string(root().join(name)).unwrap();
    let manifest = read("Cargo.toml");
    let line = manifest.lines().find(|line| line.starts_with("minijinja = ")).expect("minijinja in Cargo.toml");
    assert!(
        line.contains(&format!("version = \"={VERIFIED}\"")),
        "Cargo.toml must pin minijinja exactly (`version = \"={VERIFIED}\"`), found: {line}\n{MOVED}"
    );
    let lock = read("Cargo.lock");
    let locked: Vec<&str> = lock
        .split("[[package]]")
        .filter(|package| package.contains("\nname = \"minijinja\"\n"))
        .filter_map(|package| package.lines().find_map(|line| line.strip_prefix("version = ")))
        .collect();
    assert_eq!(locked, [format!("\"{VERIFIED}\"")], "{MOVED}");
}

/// A cheap probe of the rewriting: each line exceeds a limit if one operation escapes the budget or is folded.
#[test]
fn every_operation_of_the_template_engine_is_charged() {
    for (source, expected) in [
        ("{{ 'x' * 100000000 }}", RenderErrorKind::WorkTooLarge),
        ("{{ [0] * 100000000 }}", RenderErrorKind::WorkTooLarge),
        (
            "{% set l = [] %}{% for i in range(100000) %}{% do l.append('x' * 10000) %}{% endfor %}",
            RenderErrorKind::WorkTooLarge,
        ),
        (
            "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
            RenderErrorKind::OutOfFuel,
        ),
        ("{% for i in range(100000) %}{{ 'x' * 1000 }}{% endfor %}", RenderErrorKind::OutputTooLarge),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", RenderErrorKind::OutOfFuel),
    ] {
        assert_eq!(render(source), Err(expected), "{source}\n{MOVED}");
    }
}

/// A cheap probe of the operators that replace those of the engine.
#[test]
fn the_operators_of_the_template_engine_keep_their_meaning() {
    for (source, expected) in [
        ("{{ 1 + 2 * 3 }}", "7"),
        ("{{ true + 1 }} {{ 7 // 2 }} {{ -7 % 3 }} {{ 2 ** 3 }}", "2 3 2 8"),
        ("{{ 'a' ~ 1 ~ none }}", "a1null"),
        ("{{ [1, 2, 3][1:] }} {{ 'abc'[::-1] }} {{ (1, 2) + (3,) }}", "[2,3] cba [1,2,3]"),
        ("{{ 2 in [1, 2] }} {{ 'b' in 'abc' }} {{ 1 < 2 and not 2 < 1 }}", "true true true"),
        ("{% set ns = namespace(n=0) %}{% for i in range(3) %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}", "3"),
        ("{% for a, b in [[1, 2]] %}{{ a }}{{ b }}{% endfor %}", "12"),
    ] {
        assert_eq!(render(source).as_deref(), Ok(expected), "{source}\n{MOVED}");
    }
}

#[test]
fn constructs_outside_of_the_dialect_stay_rejected() {
    for source in [
        "{% include 'a' %}",
        "{% import 'a' as b %}",
        "{% from 'a' import b %}",
        "{% extends 'a' %}",
        "{% block a %}{% endblock %}",
        "{% autoescape true %}{% endautoescape %}",
        "{{ range(*[1]) }}",
    ] {
        let problems = analyse(source, FieldLocation::Body, false).problems;
        let kinds: Vec<ProblemKind> = problems.iter().map(|problem| problem.kind).collect();
        assert_eq!(kinds, [ProblemKind::Forbidden], "{source}\n{MOVED}");
    }
}
