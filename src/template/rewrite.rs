//! Rewrites a template's tree so that every operation that allocates calls one of
//! the [`operators`](super::operators).
//!
//! The tree must have passed [`check`](super::check).  Constructs that the check
//! rejects (other statements, unpacked arguments, nested targets) are dropped.

mod expressions;

use minijinja::machinery::ast::{CallArg, Expr, Spanned, Stmt};
use minijinja::machinery::{Span, ast};
use minijinja::value::{Value, ValueKind};

use super::operators::names as ops;

/// The variable for discarded values, with a name that no template can write.
const DISCARDED: &str = "@discarded";

/// Rewrites a whole template.
pub(super) fn template<'s>(template: &Stmt<'s>) -> Stmt<'s> {
    let mut rewriter = Rewriter::default();
    rewrite_root(&mut rewriter, template)
}

/// Rewrites the template of a URL: the values of expressions are percent-encoded, except for variables of the
/// environment and values that are already encoded.
pub(super) fn url<'s>(template: &Stmt<'s>) -> Stmt<'s> {
    let mut rewriter = Rewriter { url: Some(UrlPart::Start), ..Rewriter::default() };
    rewrite_root(&mut rewriter, template)
}

fn rewrite_root<'s>(rewriter: &mut Rewriter, template: &Stmt<'s>) -> Stmt<'s> {
    match template {
        Stmt::Template(inner) => {
            Stmt::Template(Spanned::new(ast::Template { children: rewriter.stmts(&inner.children) }, inner.span()))
        }
        _ => nothing(Span::default()),
    }
}

/// Rewrites a single expression.
pub(super) fn expression<'s>(expr: &Expr<'s>) -> Expr<'s> {
    Rewriter::default().expr(expr)
}

/// A part of a URL.
#[derive(Clone, Copy, PartialEq, Eq)]
enum UrlPart {
    Start,
    Authority,
    Path,
    Query,
}

impl UrlPart {
    /// The part after literal text.
    fn after(self, raw: &str) -> UrlPart {
        match self {
            UrlPart::Start if raw.is_empty() => UrlPart::Start,
            // A path may contain another URL, which is not analysed.
            UrlPart::Start if raw.starts_with(['/', '?']) => UrlPart::Path.after(raw),
            UrlPart::Start => match raw.split_once("://") {
                Some((_, rest)) => UrlPart::Authority.after(rest),
                None => UrlPart::Path.after(raw),
            },
            UrlPart::Authority if !raw.contains(['/', '?', '#']) => UrlPart::Authority,
            UrlPart::Authority | UrlPart::Path if raw.contains('?') => UrlPart::Query,
            UrlPart::Authority | UrlPart::Path => UrlPart::Path,
            UrlPart::Query => UrlPart::Query,
        }
    }
}

/// True for text of the definition itself and for variables of the environment (`get_variable`).
fn is_trusted_text(expr: &Expr<'_>) -> bool {
    let literal = |arg: &CallArg<'_>| matches!(arg, CallArg::Pos(Expr::Const(_)) | CallArg::Kwarg(_, Expr::Const(_)));
    match expr {
        Expr::Const(_) => true,
        Expr::IfExpr(choice) => {
            is_trusted_text(&choice.true_expr) && choice.false_expr.as_ref().is_none_or(is_trusted_text)
        }
        Expr::Filter(filter) if filter.name == "default" || filter.name == "d" => {
            filter.expr.as_ref().is_some_and(is_trusted_text) && filter.args.iter().all(literal)
        }
        Expr::Call(call) => matches!(&call.expr, Expr::Var(var) if var.id == "get_variable"),
        _ => false,
    }
}

#[derive(Default)]
struct Rewriter {
    /// True if captured text is printed by a filter block.
    in_filter: bool,
    /// The current part of a URL; `None` for other templates.
    url: Option<UrlPart>,
    /// True if text goes to a variable, a filter or the value of a macro instead
    /// of the output.
    captured: bool,
    /// True if statements may run more than once.
    repeated: bool,
    /// For each open loop, the number of names that an item is unpacked into.
    arities: Vec<usize>,
}

fn nothing<'s>(span: Span) -> Stmt<'s> {
    Stmt::EmitRaw(Spanned::new(ast::EmitRaw { raw: "" }, span))
}

fn constant<'s>(value: Value, span: Span) -> Expr<'s> {
    Expr::Const(Spanned::new(ast::Const { value }, span))
}

/// A call of an operator.
fn call<'s>(name: &'static str, first: Expr<'s>, more: Vec<Expr<'s>>, span: Span) -> Expr<'s> {
    Expr::Filter(Spanned::new(
        ast::Filter { name, expr: Some(first), args: more.into_iter().map(CallArg::Pos).collect() },
        span,
    ))
}

/// A call of an operator that creates a container from a list of values.
fn literal<'s>(name: &'static str, items: Vec<Expr<'s>>, span: Span) -> Expr<'s> {
    call(name, constant(Value::from(()), span), items, span)
}

/// The number of names that a target unpacks into; 0 for a single name.
fn arity(target: &Expr<'_>) -> usize {
    match target {
        Expr::List(list) => list.items.len(),
        _ => 0,
    }
}

/// True if a comparison with this value takes constant time.
fn is_cheap(expr: &Expr<'_>) -> bool {
    matches!(expr, Expr::Const(constant) if constant.value.kind() != ValueKind::Invalid)
}

impl Rewriter {
    fn stmts<'s>(&mut self, stmts: &[Stmt<'s>]) -> Vec<Stmt<'s>> {
        let mut out = Vec::with_capacity(stmts.len());
        for stmt in stmts {
            self.stmt(stmt, &mut out);
        }
        out
    }

    /// Rewrites statements that may run repeatedly.
    fn body<'s>(&mut self, stmts: &[Stmt<'s>]) -> Vec<Stmt<'s>> {
        let outer = std::mem::replace(&mut self.repeated, true);
        let body = self.stmts(stmts);
        self.repeated = outer;
        body
    }

    fn capture<'s>(&mut self, stmts: &[Stmt<'s>]) -> Vec<Stmt<'s>> {
        let outer = std::mem::replace(&mut self.captured, true);
        let body = self.body(stmts);
        self.captured = outer;
        body
    }

    fn stmt<'s>(&mut self, stmt: &Stmt<'s>, out: &mut Vec<Stmt<'s>>) {
        match stmt {
            Stmt::EmitRaw(raw) => out.push(self.raw(raw.raw, raw.span())),
            Stmt::EmitExpr(emit) => out.push(self.emit(&emit.expr, emit.span())),
            Stmt::ForLoop(stmt) => {
                let names = arity(&stmt.target);
                let iter = self.iterated(&stmt.iter, names);
                self.arities.push(names);
                let rebuilt = ast::ForLoop {
                    target: Self::target(&stmt.target),
                    iter,
                    filter_expr: stmt.filter_expr.as_ref().map(|filter| self.expr(filter)),
                    recursive: stmt.recursive,
                    body: self.body(&stmt.body),
                    else_body: self.stmts(&stmt.else_body),
                };
                self.arities.pop();
                out.push(Stmt::ForLoop(Spanned::new(rebuilt, stmt.span())));
            }
            Stmt::IfCond(stmt) => {
                let rebuilt = ast::IfCond {
                    expr: self.expr(&stmt.expr),
                    true_body: self.stmts(&stmt.true_body),
                    false_body: self.stmts(&stmt.false_body),
                };
                out.push(Stmt::IfCond(Spanned::new(rebuilt, stmt.span())));
            }
            Stmt::WithBlock(stmt) => {
                let rebuilt = ast::WithBlock {
                    assignments: stmt
                        .assignments
                        .iter()
                        .map(|(target, value)| (Self::target(target), self.unpacked(value, arity(target))))
                        .collect(),
                    body: self.stmts(&stmt.body),
                };
                out.push(Stmt::WithBlock(Spanned::new(rebuilt, stmt.span())));
            }
            Stmt::Set(stmt) => {
                let value = self.unpacked(&stmt.expr, arity(&stmt.target));
                out.push(self.set(&stmt.target, value, stmt.span()));
            }
            Stmt::SetBlock(stmt) => {
                let span = stmt.span();
                let body = self.capture(&stmt.body);
                let filter = stmt.filter.as_ref().map(|filter| self.expr(filter));
                let direct = matches!(stmt.target, Expr::Var(_));
                let target = if direct { Self::target(&stmt.target) } else { variable(DISCARDED, span) };
                out.push(Stmt::SetBlock(Spanned::new(ast::SetBlock { target, filter, body }, span)));
                if !direct {
                    out.push(self.set(&stmt.target, variable(DISCARDED, span), span));
                }
            }
            Stmt::FilterBlock(stmt) => {
                // The output of a filter block is printed unchanged, so in a URL it is encoded within the block.
                let outer = std::mem::replace(&mut self.in_filter, true);
                let body = self.capture(&stmt.body);
                self.in_filter = outer;
                let rebuilt = ast::FilterBlock { body, filter: self.expr(&stmt.filter) };
                out.push(Stmt::FilterBlock(Spanned::new(rebuilt, stmt.span())));
            }
            Stmt::Macro(stmt) => {
                let rebuilt = self.declared(stmt);
                out.push(Stmt::Macro(Spanned::new(rebuilt, stmt.span())));
            }
            // The text of its macro could not be distinguished from literal text; `analyse` reports it.
            Stmt::CallBlock(_) if self.url.is_some() => {}
            Stmt::CallBlock(stmt) => {
                let declared = self.declared(&stmt.macro_decl);
                let rebuilt = ast::CallBlock {
                    call: self.call(&stmt.call),
                    macro_decl: Spanned::new(declared, stmt.macro_decl.span()),
                };
                out.push(Stmt::CallBlock(Spanned::new(rebuilt, stmt.span())));
            }
            Stmt::Do(stmt) => {
                // minijinja leaves the result of a `do` on its stack.
                let value = Expr::Call(self.call(&stmt.call));
                out.push(store(value, stmt.span()));
            }
            Stmt::Template(_)
            | Stmt::AutoEscape(_)
            | Stmt::Block(_)
            | Stmt::Import(_)
            | Stmt::FromImport(_)
            | Stmt::Extends(_)
            | Stmt::Include(_) => {}
        }
    }

    /// Rewrites literal text.  Text that is printed only once cannot exceed the
    /// source; any other text must be charged by the formatter.
    fn raw<'s>(&mut self, raw: &'s str, span: Span) -> Stmt<'s> {
        self.url = self.url.map(|part| part.after(raw));
        if self.repeated {
            let text = constant(Value::from(raw), span);
            self.printed(text, span)
        } else {
            Stmt::EmitRaw(Spanned::new(ast::EmitRaw { raw }, span))
        }
    }

    fn emit<'s>(&mut self, expr: &Expr<'s>, span: Span) -> Stmt<'s> {
        // `loop(…)` prints its own output.
        let recursion = matches!(expr, Expr::Call(call)
            if matches!(&call.expr, Expr::Var(var) if var.id == "loop"));
        let rebuilt = self.expr(expr);
        if recursion {
            return Stmt::EmitExpr(Spanned::new(ast::EmitExpr { expr: rebuilt }, span));
        }
        // Printed, an `if` without `else` is empty text.
        let rebuilt = match rebuilt {
            Expr::IfExpr(choice) if choice.false_expr.is_none() && (self.captured || self.url.is_some()) => {
                call("default", Expr::IfExpr(choice), Vec::new(), expr.span())
            }
            other => other,
        };
        let encoded = matches!(expr, Expr::Filter(filter) if filter.name == "urlencode");
        let operation = match self.url.filter(|_| !self.captured || self.in_filter) {
            // A variable may be the whole origin or a part of the host, which it must not end.
            Some(UrlPart::Authority) => Some(ops::HOST),
            Some(_) if is_trusted_text(expr) => None,
            Some(UrlPart::Query) if encoded => None,
            Some(UrlPart::Query) => Some(ops::QUERY),
            Some(UrlPart::Start | UrlPart::Path) if encoded => Some(ops::ENCODED),
            Some(UrlPart::Start | UrlPart::Path) => Some(ops::SEGMENT),
            None => None,
        };
        if self.url == Some(UrlPart::Start) {
            self.url = Some(UrlPart::Path);
        }
        let rebuilt = match operation {
            Some(operation) => call(operation, rebuilt, Vec::new(), expr.span()),
            None => rebuilt,
        };
        self.printed(rebuilt, span)
    }

    fn printed<'s>(&mut self, expr: Expr<'s>, span: Span) -> Stmt<'s> {
        let expr = if self.captured {
            let inner = expr.span();
            call(ops::CAPTURED, expr, Vec::new(), inner)
        } else {
            expr
        };
        Stmt::EmitExpr(Spanned::new(ast::EmitExpr { expr }, span))
    }

    fn declared<'s>(&mut self, declared: &ast::Macro<'s>) -> ast::Macro<'s> {
        // The body may be called from any loop.
        let arities = std::mem::take(&mut self.arities);
        let rebuilt = ast::Macro {
            name: declared.name,
            args: declared.args.iter().map(|arg| Self::target(arg)).collect(),
            defaults: declared.defaults.iter().map(|default| self.expr(default)).collect(),
            body: self.capture(&declared.body),
        };
        self.arities = arities;
        rebuilt
    }

    fn set<'s>(&mut self, target: &Expr<'s>, value: Expr<'s>, span: Span) -> Stmt<'s> {
        match target {
            Expr::GetAttr(attr) => {
                let namespace = self.expr(&attr.expr);
                let name = constant(Value::from(attr.name), span);
                let value = call(ops::SET_ATTR, namespace, vec![name, value], span);
                store(value, span)
            }
            other => Stmt::Set(Spanned::new(ast::Set { target: Self::target(other), expr: value }, span)),
        }
    }

    fn target<'s>(target: &Expr<'s>) -> Expr<'s> {
        match target {
            Expr::Var(var) => variable(var.id, var.span()),
            Expr::List(list) => Expr::List(Spanned::new(
                ast::List { items: list.items.iter().map(|item| Self::target(item)).collect() },
                list.span(),
            )),
            other => variable(DISCARDED, other.span()),
        }
    }

    fn iterated<'s>(&mut self, expr: &Expr<'s>, names: usize) -> Expr<'s> {
        let names = constant(Value::from(names), expr.span());
        call(ops::ITER, self.expr(expr), vec![names], expr.span())
    }

    fn unpacked<'s>(&mut self, expr: &Expr<'s>, names: usize) -> Expr<'s> {
        let value = self.expr(expr);
        if names == 0 {
            return value;
        }
        let names = constant(Value::from(names), expr.span());
        call(ops::UNPACK, value, vec![names], expr.span())
    }
}

fn variable(id: &str, span: Span) -> Expr<'_> {
    Expr::Var(Spanned::new(ast::Var { id }, span))
}

fn store(value: Expr<'_>, span: Span) -> Stmt<'_> {
    Stmt::Set(Spanned::new(ast::Set { target: variable(DISCARDED, span), expr: value }, span))
}
