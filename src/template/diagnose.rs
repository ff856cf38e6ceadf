//! Error messages of failed renders.
//!
//! minijinja's messages may quote values and are therefore not repeated.  For an
//! undefined value, the path is determined from the source: the position of the
//! error identifies the expression, and the context shows which part of it is
//! missing.

use std::ops::Range;

use minijinja::machinery::ast::{CallArg, Expr, Stmt, UnaryOpKind};
use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind};

use super::budget::Budget;
use super::containers::Dict;
use super::location::nearest;
use super::name_path::{NamePath, name_path};
use super::parser::{self, range_of};
use super::{Context, RenderError, RenderErrorKind};

/// Maximum number of keys of a map that are considered for a suggestion.
const MAX_KEYS: usize = 200;

/// Maximum number of characters of an expression in a message.
const MAX_EXCERPT: usize = 80;

/// Converts an error of minijinja to a [`RenderError`].
pub(super) fn to_render_error(source: &str, ctx: &Context, budget: &Budget, error: &Error) -> RenderError {
    let range =
        error.range().filter(|range| source.is_char_boundary(range.start) && source.is_char_boundary(range.end));
    let mut explained = RenderError {
        kind: RenderErrorKind::Other,
        message: String::new(),
        line: error.line().unwrap_or(1),
        range,
        pointer: None,
    };
    if let Some((kind, message)) = budget.take_failure() {
        explained.kind = kind;
        explained.message = message;
        return explained;
    }
    match error.kind() {
        ErrorKind::UndefinedError => undefined(source, ctx, budget, &mut explained),
        ErrorKind::OutOfFuel => {
            explained.kind = RenderErrorKind::OutOfFuel;
            explained.message = "the template takes too many steps".to_owned();
        }
        kind => {
            explained.kind = RenderErrorKind::BadArgument;
            explained.message = message(kind, error);
            if error.detail() == Some("recursion limit exceeded") {
                explained.kind = RenderErrorKind::OutOfFuel;
                explained.message = "the template nests its calls or loops too deeply".to_owned();
            }
        }
    }
    explained
}

/// The message for an error of minijinja.
fn message(kind: ErrorKind, error: &Error) -> String {
    match kind {
        // The names in these messages come from the template.
        ErrorKind::UnknownMethod | ErrorKind::UnknownFunction => match error.detail() {
            Some(detail) => detail.to_owned(),
            None => kind.to_string(),
        },
        ErrorKind::TooManyArguments => "too many arguments are given".to_owned(),
        ErrorKind::MissingArgument => "an argument is missing".to_owned(),
        ErrorKind::CannotUnpack => "the value cannot be unpacked".to_owned(),
        _ => "the operation is not possible with these values".to_owned(),
    }
}

fn undefined(source: &str, ctx: &Context, budget: &Budget, explained: &mut RenderError) {
    explained.kind = RenderErrorKind::Undefined;
    explained.message = "an undefined value is used".to_owned();
    let Ok(template) = parser::parse(source) else {
        return;
    };
    let mut search = UndefinedSearch { source, ctx, budget, wanted: explained.range.clone(), local: None, found: None };
    search.stmt(&template);
    let Some(found) = search.found.or(search.local) else {
        return;
    };
    explained.kind = found.kind;
    explained.message = found.message;
    explained.line = 1 + source.get(..found.range.start).map_or(0, |before| before.matches('\n').count());
    explained.range = Some(found.range);
}

/// An undefined value in a template.
struct UndefinedValue {
    kind: RenderErrorKind,
    message: String,
    range: Range<usize>,
}

/// The search for the undefined value within the byte range of the error.
struct UndefinedSearch<'c> {
    source: &'c str,
    ctx: &'c Context,
    budget: &'c Budget,
    wanted: Option<Range<usize>>,
    /// A local name of the template, which may or may not be the cause.
    local: Option<UndefinedValue>,
    found: Option<UndefinedValue>,
}

impl UndefinedSearch<'_> {
    fn stmt(&mut self, stmt: &Stmt<'_>) {
        match stmt {
            Stmt::Template(stmt) => self.stmts(&stmt.children),
            Stmt::EmitExpr(stmt) => self.expr(&stmt.expr, false),
            Stmt::ForLoop(stmt) => {
                self.expr(&stmt.iter, false);
                if let Some(filter) = &stmt.filter_expr {
                    self.expr(filter, false);
                }
                self.stmts(&stmt.body);
                self.stmts(&stmt.else_body);
            }
            Stmt::IfCond(stmt) => {
                self.expr(&stmt.expr, false);
                self.stmts(&stmt.true_body);
                self.stmts(&stmt.false_body);
            }
            Stmt::WithBlock(stmt) => {
                for (_, value) in &stmt.assignments {
                    self.expr(value, false);
                }
                self.stmts(&stmt.body);
            }
            Stmt::Set(stmt) => {
                let within = self.is_wanted(&range_of(stmt.span()));
                self.expr(&stmt.expr, within);
            }
            Stmt::SetBlock(stmt) => self.stmts(&stmt.body),
            Stmt::FilterBlock(stmt) => {
                self.stmts(&stmt.body);
                self.expr(&stmt.filter, false);
            }
            Stmt::Macro(stmt) => self.stmts(&stmt.body),
            Stmt::CallBlock(stmt) => {
                self.args(&stmt.call.args, self.is_wanted(&range_of(stmt.call.span())));
                self.stmts(&stmt.macro_decl.body);
            }
            Stmt::Do(stmt) => {
                self.args(&stmt.call.args, self.is_wanted(&range_of(stmt.call.span())));
            }
            _ => {}
        }
    }

    fn stmts(&mut self, stmts: &[Stmt<'_>]) {
        for stmt in stmts {
            self.stmt(stmt);
        }
    }

    fn is_wanted(&self, range: &Range<usize>) -> bool {
        self.wanted.as_ref().is_none_or(|wanted| wanted == range)
    }

    fn expr(&mut self, expr: &Expr<'_>, within: bool) {
        if self.found.is_some() {
            return;
        }
        let within = within || self.is_wanted(&range_of(expr.span()));
        if let Some(path) = name_path(expr) {
            // The error may be at any part of the path.
            let within = within
                || self.wanted.as_ref().is_some_and(|at| path.range.start <= at.start && at.end <= path.range.end);
            if within {
                self.resolve(path);
            }
            return;
        }
        match expr {
            Expr::Var(_) | Expr::Const(_) => {}
            Expr::Slice(slice) => {
                self.expr(&slice.expr, within);
                for bound in [&slice.start, &slice.stop, &slice.step].into_iter().flatten() {
                    self.expr(bound, within);
                }
            }
            Expr::UnaryOp(op) => self.expr(&op.expr, within),
            Expr::BinOp(op) => {
                self.expr(&op.left, within);
                self.expr(&op.right, within);
            }
            Expr::Compare(compare) => {
                self.expr(&compare.expr, within);
                for op in &compare.ops {
                    self.expr(&op.expr, within);
                }
            }
            Expr::IfExpr(choice) => {
                self.expr(&choice.test_expr, within);
                self.expr(&choice.true_expr, within);
                if let Some(other) = &choice.false_expr {
                    self.expr(other, within);
                }
            }
            Expr::Filter(filter) => {
                if let Some(value) = &filter.expr {
                    // `default` handles its operand if only the last part
                    // of the path is missing.
                    let has_default = matches!(filter.name, "default" | "d");
                    match (has_default, name_path(value)) {
                        (true, Some(whole)) => {
                            if within || self.is_wanted(&range_of(value.span())) {
                                self.resolve_parent(whole);
                            }
                        }
                        (true, None) if matches!(value, Expr::Call(_)) => {}
                        _ => self.expr(value, within),
                    }
                }
                self.args(&filter.args, within);
            }
            Expr::Test(test) => {
                if !matches!(test.name, "defined" | "undefined") {
                    self.expr(&test.expr, within);
                }
                self.args(&test.args, within);
            }
            Expr::GetAttr(attr) => {
                self.expr(&attr.expr, within);
                self.missing(expr, &attr.expr, within);
            }
            Expr::GetItem(item) => {
                self.expr(&item.expr, within);
                self.expr(&item.subscript_expr, within);
                self.missing(expr, &item.expr, within);
            }
            Expr::Call(call) => {
                if let Some(name) = variable_name(expr)
                    && within
                    && self.budget.host().variable(name).is_none()
                {
                    self.found = Some(UndefinedValue {
                        kind: RenderErrorKind::Variable,
                        message: format!("the variable `{name}` is not set"),
                        range: range_of(expr.span()),
                    });
                    return;
                }
                if let Expr::GetAttr(method) = &call.expr {
                    self.expr(&method.expr, within);
                }
                self.args(&call.args, within);
            }
            Expr::List(list) => list.items.iter().for_each(|item| self.expr(item, within)),
            Expr::Tuple(tuple) => tuple.items.iter().for_each(|item| self.expr(item, within)),
            Expr::Map(map) => {
                map.keys.iter().for_each(|key| self.expr(key, within));
                map.values.iter().for_each(|value| self.expr(value, within));
            }
        }
    }

    fn args(&mut self, args: &[CallArg<'_>], within: bool) {
        for arg in args {
            match arg {
                CallArg::Pos(expr) | CallArg::Kwarg(_, expr) | CallArg::PosSplat(expr) | CallArg::KwargSplat(expr) => {
                    self.expr(expr, within);
                }
            }
        }
    }

    /// Reports a missing part of an existing value, such as an item past the end of a list.
    fn missing(&mut self, expr: &Expr<'_>, whole: &Expr<'_>, within: bool) {
        let exists = |expr| self.value(expr).map(|value| !value.is_undefined());
        if self.found.is_none() && within && exists(whole) == Some(true) && exists(expr) == Some(false) {
            // The span of a postfix expression excludes its operand.
            let range = start_of(expr)..range_of(expr.span()).end;
            let excerpt = self.source.get(range.clone()).unwrap_or_default();
            let excerpt: String = excerpt.chars().take(MAX_EXCERPT).collect();
            let message = format!("`{excerpt}` does not exist");
            self.found = Some(UndefinedValue { kind: RenderErrorKind::Undefined, message, range });
        }
    }

    /// The value that an expression reads from the context; `None` if it would have to be computed.
    fn value(&self, expr: &Expr<'_>) -> Option<Value> {
        match expr {
            Expr::Var(var) => self.ctx.get(var.id).cloned(),
            Expr::Const(constant) => Some(constant.value.clone()),
            Expr::UnaryOp(op) if matches!(op.op, UnaryOpKind::Neg) => {
                self.value(&op.expr)?.as_i64()?.checked_neg().map(Value::from)
            }
            Expr::GetAttr(attr) => self.value(&attr.expr)?.get_attr(attr.name).ok(),
            Expr::GetItem(item) => self.value(&item.expr)?.get_item(&self.value(&item.subscript_expr)?).ok(),
            _ => None,
        }
    }

    /// Resolves a path whose last name may be missing.
    fn resolve_parent(&mut self, mut path: NamePath<'_, '_>) {
        if path.names.pop().is_some() {
            self.resolve(path);
        }
    }

    /// Finds the first missing name of a path.
    fn resolve(&mut self, name_path: NamePath<'_, '_>) {
        if self.found.is_some() {
            return;
        }
        let Some(root) = self.ctx.get(name_path.root) else {
            let mut path = name_path.root.to_owned();
            for name in &name_path.names {
                path.push('.');
                path.push_str(name);
            }
            let message = format!("`{path}` does not exist");
            self.local.get_or_insert(UndefinedValue {
                kind: RenderErrorKind::Undefined,
                message,
                range: name_path.range,
            });
            return;
        };
        let mut value = root.clone();
        let mut path = name_path.root.to_owned();
        for name in name_path.names {
            let parent = value;
            value = parent.get_attr(name).unwrap_or_default();
            let exists = !value.is_undefined();
            if exists {
                path.push('.');
                path.push_str(name);
                continue;
            }
            let message = match parent.kind() {
                ValueKind::Map => match near_key(&parent, name) {
                    Some(near) => {
                        format!("`{path}.{name}` does not exist, did you mean `{path}.{near}`?")
                    }
                    None => format!("`{path}.{name}` does not exist"),
                },
                ValueKind::None => format!("`{path}.{name}` does not exist: `{path}` is null"),
                kind => format!("`{path}.{name}` does not exist: `{path}` is a {kind}"),
            };
            self.found = Some(UndefinedValue { kind: RenderErrorKind::Undefined, message, range: name_path.range });
            return;
        }
    }
}

/// Offset of the start of an expression, including its operand.
fn start_of(expr: &Expr<'_>) -> usize {
    match expr {
        Expr::GetAttr(attr) => start_of(&attr.expr),
        Expr::GetItem(item) => start_of(&item.expr),
        other => range_of(other.span()).start,
    }
}

/// The name in `get_variable('name')`.
fn variable_name<'e>(expr: &'e Expr<'_>) -> Option<&'e str> {
    let Expr::Call(call) = expr else { return None };
    match (&call.expr, call.args.as_slice()) {
        (Expr::Var(var), [CallArg::Pos(Expr::Const(name)) | CallArg::Kwarg(_, Expr::Const(name))])
            if var.id == "get_variable" =>
        {
            name.value.as_str()
        }
        _ => None,
    }
}

fn near_key(map: &Value, name: &str) -> Option<String> {
    let keys: Vec<String> = match map.downcast_object_ref::<Dict>() {
        Some(dict) => (0..MAX_KEYS)
            .map_while(|at| dict.pair(at))
            .filter_map(|(key, _)| key.as_str().map(str::to_owned))
            .filter(|key| key.len() <= 64)
            .collect(),
        None => map
            .try_iter()
            .into_iter()
            .flatten()
            .take(MAX_KEYS)
            .filter_map(|key| key.as_str().map(str::to_owned))
            .collect(),
    };
    nearest(name, keys.iter().map(String::as_str)).map(str::to_owned)
}
