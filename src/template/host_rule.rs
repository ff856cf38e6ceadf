//! The rule that only the author of a definition and the variables of the
//! environment determine the host of a request.

use std::ops::Range;

use minijinja::machinery::Span;
use minijinja::machinery::ast::{CallArg, Expr, Filter, Stmt};

use super::parser::{is_text_literal, range_of};
use super::{Problem, ProblemKind};

const SCHEMES: [&str; 2] = ["https://", "http://"];

/// Checks the scheme and the authority of a URL.
pub(super) fn check(source: &str, template: &Stmt<'_>, problems: &mut Vec<Problem>) {
    let Stmt::Template(template) = template else {
        return;
    };
    let mut parts = template.children.iter();
    match parts.next() {
        None => problems.push(no_scheme(0..0)),
        Some(Stmt::EmitRaw(raw)) => {
            let scheme = SCHEMES.iter().find_map(|scheme| raw.raw.strip_prefix(scheme));
            match scheme {
                None => problems.push(no_scheme(range_of(raw.span()))),
                Some(rest) if ends_authority(rest) => {}
                Some(_) => authority(source, parts, problems),
            }
        }
        // If the whole origin comes from a variable, the path must follow.
        Some(Stmt::EmitExpr(emit)) if is_variable(&emit.expr) => match parts.next() {
            None => {}
            Some(Stmt::EmitRaw(raw)) if raw.raw.starts_with(['/', '?', '#']) => {}
            Some(other) => problems.push(not_variable(source, other)),
        },
        Some(other) => problems.push(not_variable(source, other)),
    }
}

fn authority<'t, 's: 't>(source: &str, parts: impl Iterator<Item = &'t Stmt<'s>>, problems: &mut Vec<Problem>) {
    for part in parts {
        match part {
            Stmt::EmitRaw(raw) if ends_authority(raw.raw) => return,
            Stmt::EmitRaw(_) => {}
            Stmt::EmitExpr(emit) if is_variable(&emit.expr) => {}
            other => problems.push(not_variable(source, other)),
        }
    }
}

/// True if a text ends the authority.  A backslash does as well, as in browsers
/// and in the URL parser of the client.
fn ends_authority(text: &str) -> bool {
    text.contains(['/', '?', '#', '\\'])
}

/// True for `get_variable('…')`, optionally with a literal default.
fn is_variable(expr: &Expr<'_>) -> bool {
    match expr {
        Expr::Call(call) => {
            let named = matches!(&call.expr, Expr::Var(var) if var.id == "get_variable");
            named
                && matches!(
                    call.args.as_slice(),
                    [CallArg::Pos(name) | CallArg::Kwarg("name", name)] if is_text_literal(name)
                )
        }
        Expr::Filter(filter) => is_default(filter),
        _ => false,
    }
}

fn is_default(filter: &Filter<'_>) -> bool {
    let of_variable = match &filter.expr {
        Some(Expr::Call(_)) => filter.expr.as_ref().is_some_and(is_variable),
        _ => false,
    };
    let literal = match filter.args.as_slice() {
        [CallArg::Pos(text)] => is_text_literal(text),
        [CallArg::Pos(text), CallArg::Pos(Expr::Const(_)) | CallArg::Kwarg("boolean", Expr::Const(_))] => {
            is_text_literal(text)
        }
        _ => false,
    };
    of_variable && literal && matches!(filter.name, "default" | "d")
}

fn no_scheme(range: Range<usize>) -> Problem {
    Problem::new(ProblemKind::HostNotVariable, "the URL does not start with `https://`", range)
        .with_help(Some("start with `https://host/` or with `{{ get_variable('instance_url') }}/`"))
}

fn not_variable(source: &str, part: &Stmt<'_>) -> Problem {
    let span = match part {
        Stmt::EmitExpr(stmt) => stmt.span(),
        Stmt::EmitRaw(stmt) => stmt.span(),
        Stmt::ForLoop(stmt) => stmt.span(),
        Stmt::IfCond(stmt) => stmt.span(),
        Stmt::WithBlock(stmt) => stmt.span(),
        Stmt::Set(stmt) => stmt.span(),
        Stmt::SetBlock(stmt) => stmt.span(),
        Stmt::FilterBlock(stmt) => stmt.span(),
        Stmt::Macro(stmt) => stmt.span(),
        Stmt::CallBlock(stmt) => stmt.span(),
        Stmt::Do(stmt) => stmt.span(),
        // Forbidden statements are reported elsewhere.
        _ => Span::default(),
    };
    Problem::new(
        ProblemKind::HostNotVariable,
        "only literal text and variables may decide the host",
        whole_tag(source, range_of(span)),
    )
    .with_help(Some("in the host use `{{ get_variable('name') }}`, with a literal `default` if needed"))
}

/// Extends a range to the delimiters of its tag, which minijinja's spans omit.
fn whole_tag(source: &str, range: Range<usize>) -> Range<usize> {
    let before = source.get(..range.start).unwrap_or_default();
    let opening = before.trim_end_matches(['-', '+', ' ']);
    let start = if opening.ends_with("{%") && !source[range.start..].starts_with("{{") {
        opening.len() - 2
    } else {
        range.start
    };
    let after = source.get(range.end..).unwrap_or_default();
    let closing = after.trim_start_matches(['-', '+', ' ']);
    let end = if closing.starts_with("}}") || closing.starts_with("%}") {
        source.len() - closing.len() + 2
    } else {
        range.end
    };
    start..end
}
