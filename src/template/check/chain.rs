//! Expressions that are no more than a path.

use std::ops::Range;

use minijinja::machinery::ast::Expr;

use super::super::shape::range_of;

/// The root and the names of `root.name['name']…`, with the bytes it covers.
pub(in super::super) struct Chain<'t, 's> {
    pub root: &'s str,
    pub names: Vec<&'t str>,
    pub range: Range<usize>,
}

/// Reads an expression as a chain of names.
pub(in super::super) fn chain<'t, 's>(expr: &'t Expr<'s>) -> Option<Chain<'t, 's>> {
    let mut names = Vec::new();
    let end = range_of(expr.span()).end;
    let mut at = expr;
    loop {
        match at {
            Expr::Var(var) => {
                names.reverse();
                let start = range_of(var.span()).start;
                return Some(Chain { root: var.id, names, range: start..end.max(start) });
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
