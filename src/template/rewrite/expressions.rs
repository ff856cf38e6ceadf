//! Rewriting of expressions.

use minijinja::machinery::Span;
use minijinja::machinery::ast::{self, BinOpKind, CallArg, Expr, Spanned};
use minijinja::value::Value;

use super::super::operators::names as ops;
use super::{Rewriter, call, constant, is_cheap, literal, variable};

impl Rewriter {
    pub(super) fn exprs<'s>(&mut self, exprs: &[Expr<'s>]) -> Vec<Expr<'s>> {
        exprs.iter().map(|expr| self.expr(expr)).collect()
    }

    pub(super) fn expr<'s>(&mut self, expr: &Expr<'s>) -> Expr<'s> {
        let span = expr.span();
        match expr {
            Expr::Var(var) => variable(var.id, span),
            Expr::Const(literal) => constant(literal.value.clone(), span),
            Expr::Slice(slice) => {
                let bounds = [&slice.start, &slice.stop, &slice.step]
                    .map(|bound| match bound {
                        Some(bound) => self.expr(bound),
                        None => constant(Value::from(()), span),
                    })
                    .into();
                call(ops::SLICE, self.expr(&slice.expr), bounds, span)
            }
            Expr::UnaryOp(op) => Expr::UnaryOp(Spanned::new(
                ast::UnaryOp {
                    op: match op.op {
                        ast::UnaryOpKind::Not => ast::UnaryOpKind::Not,
                        ast::UnaryOpKind::Neg => ast::UnaryOpKind::Neg,
                    },
                    expr: self.expr(&op.expr),
                },
                span,
            )),
            Expr::BinOp(op) => self.bin_op(op, span),
            Expr::Compare(compare) => Expr::Compare(Spanned::new(
                ast::Compare {
                    expr: self.charged(&compare.expr),
                    ops: compare
                        .ops
                        .iter()
                        .map(|op| ast::CompareOp { op: op.op, expr: self.charged(&op.expr) })
                        .collect(),
                },
                span,
            )),
            Expr::IfExpr(choice) => Expr::IfExpr(Spanned::new(
                ast::IfExpr {
                    test_expr: self.expr(&choice.test_expr),
                    true_expr: self.expr(&choice.true_expr),
                    false_expr: choice.false_expr.as_ref().map(|other| self.expr(other)),
                },
                span,
            )),
            Expr::Filter(filter) => Expr::Filter(Spanned::new(
                ast::Filter {
                    name: filter.name,
                    expr: filter.expr.as_ref().map(|expr| self.expr(expr)),
                    args: self.args(&filter.args),
                },
                span,
            )),
            Expr::Test(test) => Expr::Test(Spanned::new(
                ast::Test { name: test.name, expr: self.expr(&test.expr), args: self.args(&test.args) },
                span,
            )),
            Expr::GetAttr(attr) => {
                Expr::GetAttr(Spanned::new(ast::GetAttr { expr: self.expr(&attr.expr), name: attr.name }, span))
            }
            Expr::GetItem(item) => {
                let key = self.expr(&item.subscript_expr);
                call(ops::ITEM, self.expr(&item.expr), vec![key], span)
            }
            Expr::Call(inner) => Expr::Call(self.call(inner)),
            Expr::List(list) => literal(ops::LIST, self.exprs(&list.items), span),
            Expr::Tuple(tuple) => literal(ops::TUPLE, self.exprs(&tuple.items), span),
            Expr::Map(map) => {
                let pairs = map
                    .keys
                    .iter()
                    .zip(&map.values)
                    .flat_map(|(key, value)| [key, value])
                    .map(|expr| self.expr(expr))
                    .collect();
                literal(ops::MAP, pairs, span)
            }
        }
    }

    fn bin_op<'s>(&mut self, op: &ast::BinOp<'s>, span: Span) -> Expr<'s> {
        let operation = match op.op {
            BinOpKind::Concat => {
                let mut parts = Vec::new();
                self.concatenated(op, &mut parts);
                let first = parts.remove(0);
                return call(ops::CONCAT, first, parts, span);
            }
            BinOpKind::Add => ops::ADD,
            BinOpKind::Mul => ops::MUL,
            BinOpKind::In => ops::IN,
            other => {
                let compares = matches!(
                    other,
                    BinOpKind::Eq | BinOpKind::Ne | BinOpKind::Lt | BinOpKind::Lte | BinOpKind::Gt | BinOpKind::Gte
                );
                // A comparison with a literal reads one level only.
                let (left, right) = if compares && !is_cheap(&op.left) && !is_cheap(&op.right) {
                    (self.charged(&op.left), self.charged(&op.right))
                } else {
                    (self.expr(&op.left), self.expr(&op.right))
                };
                return Expr::BinOp(Spanned::new(ast::BinOp { op: other, left, right }, span));
            }
        };
        let left = self.expr(&op.left);
        let right = self.expr(&op.right);
        call(operation, left, vec![right], span)
    }

    /// Collects the parts of `a ~ b ~ c`, as joining them in one step is linear.
    fn concatenated<'s>(&mut self, op: &ast::BinOp<'s>, parts: &mut Vec<Expr<'s>>) {
        match &op.left {
            Expr::BinOp(left) if matches!(left.op, BinOpKind::Concat) => {
                self.concatenated(left, parts);
            }
            left => parts.push(self.expr(left)),
        }
        parts.push(self.expr(&op.right));
    }

    fn charged<'s>(&mut self, expr: &Expr<'s>) -> Expr<'s> {
        if is_cheap(expr) {
            return self.expr(expr);
        }
        call(ops::CHARGED, self.expr(expr), Vec::new(), expr.span())
    }

    fn args<'s>(&mut self, args: &[CallArg<'s>]) -> Vec<CallArg<'s>> {
        args.iter()
            .filter_map(|arg| match arg {
                CallArg::Pos(expr) => Some(CallArg::Pos(self.expr(expr))),
                CallArg::Kwarg(name, expr) => Some(CallArg::Kwarg(name, self.expr(expr))),
                CallArg::PosSplat(_) | CallArg::KwargSplat(_) => None,
            })
            .collect()
    }

    pub(super) fn call<'s>(&mut self, inner: &Spanned<ast::Call<'s>>) -> Spanned<ast::Call<'s>> {
        let on_loop = |expr: &Expr<'_>| matches!(expr, Expr::Var(var) if var.id == "loop");
        let args = match (&inner.expr, inner.args.as_slice()) {
            // A recursive loop iterates over the argument next.
            (callee, [CallArg::Pos(arg)]) if on_loop(callee) => {
                let names = self.arities.last().copied().unwrap_or(0);
                vec![CallArg::Pos(self.iterated(arg, names))]
            }
            // `loop.changed(…)` compares.
            (Expr::GetAttr(attr), args) if on_loop(&attr.expr) => args
                .iter()
                .filter_map(|arg| match arg {
                    CallArg::Pos(expr) => Some(CallArg::Pos(self.charged(expr))),
                    _ => None,
                })
                .collect(),
            (_, args) => self.args(args),
        };
        let expr = match &inner.expr {
            Expr::Var(var) => variable(var.id, var.span()),
            other => self.expr(other),
        };
        Spanned::new(ast::Call { expr, args }, inner.span())
    }
}
