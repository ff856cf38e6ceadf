//! Checks of filters and calls: existence, availability and arguments.

use minijinja::machinery::ast::{self, Expr};
use minijinja::value::ValueKind;

use super::super::location::nearest;
use super::super::name_path::name_path;
use super::super::parser::range_of;
use super::super::{ProblemKind, filters, functions};
use super::{Checker, NameUse, suggestion};

impl<'s> Checker<'s> {
    pub(super) fn filter(&mut self, filter: &ast::Spanned<ast::Filter<'s>>) {
        if let Some(expr) = &filter.expr {
            let (secrets, variables) = (self.found.secrets.len(), self.found.variables.len());
            let is_default = matches!(filter.name, "default" | "d");
            self.guarded(is_default && name_path(expr).is_some(), expr);
            let direct = matches!(expr, Expr::Call(_)) && is_default;
            if direct {
                // The call itself is recorded last, after its arguments.
                if let Some(last) = self.found.secrets.get_mut(secrets..).and_then(<[_]>::last_mut) {
                    last.has_default = true;
                }
                if let Some(last) = self.found.variables.get_mut(variables..).and_then(<[_]>::last_mut) {
                    last.has_default = true;
                }
            }
        }
        self.args(&filter.args);
        if !filters::exists(filter.name) {
            let help = suggestion(nearest(filter.name, filters::names()));
            let start = range_of(filter.span()).start;
            self.problem(
                ProblemKind::UnknownFilter,
                format!("there is no filter `{}`", filter.name),
                start..start + filter.name.len(),
                help,
            );
        }
    }

    pub(super) fn args(&mut self, args: &[ast::CallArg<'s>]) {
        for arg in args {
            match arg {
                ast::CallArg::Pos(expr) | ast::CallArg::Kwarg(_, expr) => self.expr(expr),
                ast::CallArg::PosSplat(expr) | ast::CallArg::KwargSplat(expr) => {
                    self.forbid("arguments cannot be unpacked with `*` or `**`", range_of(expr.span()));
                }
            }
        }
    }

    pub(super) fn call(&mut self, call: &ast::Spanned<ast::Call<'s>>) {
        self.args(&call.args);
        match &call.expr {
            Expr::Var(var) => self.function(var, call),
            Expr::GetAttr(attr) => match &attr.expr {
                Expr::Var(var) if var.id == "loop" => self.loop_method(attr.name, call),
                Expr::Var(var) if var.id == "self" => {
                    self.forbid("`self` cannot be used here", range_of(var.span()));
                }
                object => {
                    self.expr(object);
                    self.header_argument(attr.name, object, &call.args);
                }
            },
            other => self.expr(other),
        }
    }

    /// Checks the name in `headers.get('name')`.
    fn header_argument(&mut self, method: &str, object: &Expr<'s>, args: &[ast::CallArg<'s>]) {
        let (Some(path), Some(ast::CallArg::Pos(Expr::Const(name)))) = (name_path(object), args.first()) else {
            return;
        };
        if method == "get"
            && let Some(name) = name.value.as_str()
            && !self.is_local(path.root)
        {
            let range = path.range.clone();
            let names: Vec<&str> = path.names.iter().copied().chain([name]).collect();
            self.header_name(path.root, &names, &range);
        }
    }

    fn loop_method(&mut self, name: &str, call: &ast::Spanned<ast::Call<'s>>) {
        let range = range_of(call.span());
        if self.in_loop == 0 {
            self.forbid("`loop` can only be used in a loop", range);
        } else if !matches!(name, "cycle" | "changed") {
            let help = suggestion(nearest(name, ["cycle", "changed"]));
            self.problem(ProblemKind::UnknownFunction, format!("`loop` has no method `{name}`"), range, help);
        } else if call.args.is_empty() || call.args.iter().any(|arg| !matches!(arg, ast::CallArg::Pos(_))) {
            self.problem(ProblemKind::BadArguments, format!("`loop.{name}` takes one value or more"), range, None);
        }
    }

    fn function(&mut self, var: &ast::Spanned<ast::Var<'s>>, call: &ast::Spanned<ast::Call<'s>>) {
        let (name, range) = (var.id, range_of(var.span()));
        if name == "loop" {
            if self.in_loop == 0 {
                self.forbid("`loop` can only be used in a loop", range);
            } else if !matches!(call.args.as_slice(), [ast::CallArg::Pos(_)]) {
                self.problem(ProblemKind::BadArguments, "`loop` takes one value", range, None);
            }
            return;
        }
        if matches!(name, "super" | "self") {
            return self.forbid(&format!("`{name}` cannot be used here"), range);
        }
        if self.is_local(name) {
            return;
        }
        let Some(function) = functions::find(name) else {
            let known = functions::FUNCTIONS.iter().map(|function| function.name);
            let help = if filters::exists(name) {
                Some(format!("`{name}` is a filter: write `value | {name}`"))
            } else {
                suggestion(nearest(name, known))
            };
            return self.problem(ProblemKind::UnknownFunction, format!("there is no function `{name}`"), range, help);
        };
        if let Some(location) = self.location
            && !location.may_call(name)
        {
            if name == "get_secret" {
                self.problem(
                    ProblemKind::SecretNotAllowed,
                    "a secret cannot be used here",
                    range_of(call.span()),
                    Some("secrets may be used in headers, query and auth only".to_owned()),
                );
            } else {
                let mut here: Vec<_> = location.functions().to_vec();
                here.extend(["range", "dict", "namespace"]);
                self.problem(
                    ProblemKind::NotHere,
                    format!("`{name}` cannot be called here"),
                    range.clone(),
                    Some(format!("available here: {}", here.join(", "))),
                );
            }
        }
        self.signature(function, call);
        if matches!(name, "get_secret" | "get_variable") {
            self.named(name, call);
        }
    }

    fn signature(&mut self, function: &functions::Function, call: &ast::Spanned<ast::Call<'s>>) {
        let mut given = vec![false; function.parameters.len()];
        let mut position = 0;
        let mut wrong = None;
        for arg in &call.args {
            match arg {
                ast::CallArg::Pos(_) => {
                    match given.get_mut(position) {
                        Some(slot) => *slot = true,
                        None => wrong = Some("it takes fewer arguments".to_owned()),
                    }
                    position += 1;
                }
                ast::CallArg::Kwarg(name, _) => match function.parameters.iter().position(|known| known == name) {
                    Some(at) if given.get(at) == Some(&false) => given[at] = true,
                    Some(_) if !function.open => {
                        wrong = Some(format!("the argument `{name}` is given twice"));
                    }
                    None if !function.open => {
                        wrong = Some(format!("it has no argument `{name}`"));
                    }
                    _ => {}
                },
                // Already reported.
                ast::CallArg::PosSplat(_) | ast::CallArg::KwargSplat(_) => return,
            }
        }
        if wrong.is_none()
            && let Some(at) = given.iter().take(function.required).position(|given| !given)
        {
            wrong = Some(format!("the argument `{}` is missing", function.parameters[at]));
        }
        if let Some(wrong) = wrong {
            let (required, optional) = function.parameters.split_at(function.required);
            let parameters: Vec<_> = required
                .iter()
                .map(|name| (*name).to_owned())
                .chain(optional.iter().map(|name| format!("{name}=…")))
                .collect();
            self.problem(
                ProblemKind::BadArguments,
                format!("`{}`: {wrong}", function.name),
                range_of(call.span()),
                Some(format!("{}({})", function.name, parameters.join(", "))),
            );
        }
    }

    /// Records the secret or variable of a call.  The name must be a literal, as
    /// the dependencies of a template must be known before it runs.
    fn named(&mut self, function: &str, call: &ast::Spanned<ast::Call<'s>>) {
        let Some(ast::CallArg::Pos(name) | ast::CallArg::Kwarg(_, name)) = call.args.first() else { return };
        match name {
            Expr::Const(literal) if literal.value.kind() == ValueKind::String => {
                let name_use = NameUse {
                    name: literal.value.as_str().unwrap_or_default().to_owned(),
                    range: range_of(call.span()),
                    has_default: false,
                };
                if function == "get_secret" {
                    self.found.secrets.push(name_use);
                } else {
                    self.found.variables.push(name_use);
                }
            }
            other => self.problem(
                ProblemKind::NotLiteral,
                format!("the argument of `{function}` must be a text in quotes"),
                range_of(other.span()),
                None,
            ),
        }
    }
}
