//! Paths of names: expressions such as `input.customer['email']`.

use std::ops::Range;

use minijinja::machinery::ast::Expr;

use super::parser::range_of;

/// The root and the names of `root.name['name']…`, with its byte range.
pub(super) struct NamePath<'t, 's> {
    pub root: &'s str,
    pub names: Vec<&'t str>,
    pub range: Range<usize>,
}

/// Interprets an expression as a path of names.
pub(super) fn name_path<'t, 's>(expr: &'t Expr<'s>) -> Option<NamePath<'t, 's>> {
    let mut names = Vec::new();
    let end = range_of(expr.span()).end;
    let mut at = expr;
    loop {
        match at {
            Expr::Var(var) => {
                names.reverse();
                let start = range_of(var.span()).start;
                return Some(NamePath { root: var.id, names, range: start..end.max(start) });
            }
            Expr::GetAttr(attr) => {
                names.push(attr.name);
                at = &attr.expr;
            }
            Expr::GetItem(item) => match &item.subscript_expr {
                Expr::Const(key) => {
                    names.push(key.value.as_str()?);
                    at = &item.expr;
                }
                _ => return None,
            },
            _ => return None,
        }
    }
}
