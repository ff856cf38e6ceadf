//! Compiled templates.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;

use minijinja::machinery::{CodeGenerator, Instructions, ast, eval, make_string_output};
use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, Error};
use self_cell::self_cell;

use super::budget::{Budget, BudgetGuard};
use super::{Context, Limits, Problem, RenderError, check, convert, diagnose, environment, parser, rewrite};

/// A compiled template.
///
/// A template keeps its source, and its generated code only if the source is
/// long: minijinja reserves about 11 KiB for the code of even the shortest
/// template, which takes less than a microsecond to generate.  A catalog of tens
/// of thousands of templates therefore stays small.
pub struct Template {
    source: Box<str>,
    form: TemplateForm,
    code: OnceLock<Option<Box<Code>>>,
}

/// Minimum size of a source, in bytes, for which the generated code is kept.
const MIN_KEPT_SOURCE: usize = 1024;

#[derive(Clone, Copy, PartialEq, Eq)]
enum TemplateForm {
    /// Text without Jinja.
    Plain,
    /// Exactly one `{{ expression }}`.
    Expression {
        /// True for an `if` without `else`, which may print nothing.
        lenient: bool,
    },
    /// Any other template.
    Text,
    /// A URL, whose expressions are percent-encoded.
    Url,
}

self_cell! {
    struct Code {
        owner: Box<str>,
        #[covariant]
        dependent: Generated,
    }
}

/// Code of minijinja, which borrows from the source.
struct Generated<'s> {
    instructions: Instructions<'s>,
    blocks: BTreeMap<&'s str, Instructions<'s>>,
}

impl Template {
    /// Compiles a template.  Names are not checked; [`analyse`](super::analyse)
    /// does that.
    pub fn compile(source: &str) -> Result<Template, Problem> {
        let form = if parser::is_plain(source) {
            // Plain text is not parsed, so the parser's limits do not apply.
            TemplateForm::Plain
        } else {
            let template = parser::parse(source)?;
            let found = check::check(&template, None);
            if let Some(problem) = found.problems.into_iter().next() {
                return Err(problem);
            }
            match parser::single_expression(&template) {
                Some(expr) => TemplateForm::Expression { lenient: matches!(expr, ast::Expr::IfExpr(_)) },
                None => TemplateForm::Text,
            }
        };
        Ok(Template { source: source.into(), form, code: OnceLock::new() })
    }

    /// Compiles the template of a URL. The values of expressions are percent-encoded and stay within their path segment,
    /// so that no value determines the host, the path or the query. `get_variable(…)` and text encoded with `urlencode`
    /// are inserted unchanged.
    ///
    /// # Errors
    /// Those of [`Template::compile`].
    pub fn compile_url(source: &str) -> Result<Template, Problem> {
        let template = Template::compile(source)?;
        let form = if template.form == TemplateForm::Plain { TemplateForm::Plain } else { TemplateForm::Url };
        Ok(Template { form, ..template })
    }

    /// True if the template is text without Jinja.
    pub fn is_plain(&self) -> bool {
        self.form == TemplateForm::Plain
    }

    /// The source of the template.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Renders to text.
    pub fn render_text(&self, ctx: &Context, limits: &Limits) -> Result<String, RenderError> {
        self.run(ctx, limits, |budget, outcome| match outcome {
            Rendered::Text(text) => Ok(text),
            Rendered::Value(value) if value.is_undefined() && self.is_lenient() => Ok(String::new()),
            Rendered::Value(value) => {
                let text = convert::text(budget, &value)?;
                budget.charge_output(text.len())?;
                Ok(text.into_owned())
            }
        })
    }

    /// Renders to a value: a template that is exactly one `{{ expression }}`
    /// keeps its type, all others become strings.
    pub fn render_value(&self, ctx: &Context, limits: &Limits) -> Result<serde_json::Value, RenderError> {
        self.run(ctx, limits, |budget, outcome| match outcome {
            Rendered::Text(text) => Ok(serde_json::Value::String(text)),
            Rendered::Value(value) => {
                // The serialised size is about the size in memory.
                let json = convert::to_json(budget, &value)?;
                budget.charge_output(super::cost::charge_deep(budget, &value)?)?;
                Ok(json)
            }
        })
    }

    fn is_lenient(&self) -> bool {
        matches!(self.form, TemplateForm::Expression { lenient: true })
    }

    fn run<R>(
        &self,
        ctx: &Context,
        limits: &Limits,
        finish: impl FnOnce(&Budget, Rendered) -> Result<R, Error>,
    ) -> Result<R, RenderError> {
        let guard = BudgetGuard::install(limits, ctx.host().clone());
        let budget = guard.budget();
        let outcome = if self.is_plain() {
            budget.charge_output(self.source.len()).map(|()| Rendered::Text(self.source.to_string()))
        } else {
            self.evaluate(ctx, limits, budget)
        };
        outcome
            .and_then(|outcome| finish(budget, outcome))
            .map_err(|error| diagnose::to_render_error(&self.source, ctx, budget, &error))
    }

    fn evaluate(&self, ctx: &Context, limits: &Limits, budget: &Budget) -> Result<Rendered, Error> {
        let shared = environment::shared();
        let own;
        let env: &Environment<'_> = if shared.fuel() == Some(limits.fuel) {
            shared
        } else {
            let mut changed = shared.clone();
            // minijinja counts fuel in signed numbers.
            changed.set_fuel(Some(limits.fuel.min(i64::MAX.unsigned_abs())));
            own = changed;
            &own
        };
        let fresh;
        let code = if self.source.len() < MIN_KEPT_SOURCE {
            fresh = self.generate();
            &fresh
        } else {
            self.code.get_or_init(|| self.generate())
        };
        let Some(code) = code else {
            // Unreachable: `compile` has parsed this source.
            return Err(super::budget::fail(super::RenderErrorKind::Other, "the template cannot be compiled"));
        };
        code.with_dependent(|_, code| {
            let mut text = String::new();
            let evaluated = eval(
                env,
                &code.instructions,
                ctx.root(),
                &code.blocks,
                &mut make_string_output(&mut text),
                AutoEscape::None,
            );
            let (value, state) = evaluated?;
            // The budget still owns all containers, so dropping the state does not
            // recurse.
            drop(state);
            Ok(if let TemplateForm::Expression { .. } = self.form {
                Rendered::Value(value.unwrap_or_default())
            } else {
                // The formatter does not see literal text that is printed only
                // once.
                if text.len() > limits.output_bytes {
                    return Err(budget.fail(super::RenderErrorKind::OutputTooLarge, "the rendered text is too large"));
                }
                Rendered::Text(text)
            })
        })
    }

    fn generate(&self) -> Option<Box<Code>> {
        let owner: Box<str> = self.source.clone();
        let code = Code::try_new(owner, |source| {
            let template = parser::parse(source)?;
            let mut generator = CodeGenerator::new("template", source);
            match (self.form, parser::single_expression(&template)) {
                (TemplateForm::Expression { .. }, Some(expr)) => {
                    let expr = rewrite::expression(expr);
                    // The span of the expression is used for nodes without one.
                    generator.push_span(expr.span());
                    generator.compile_expr(&expr);
                    generator.pop_span();
                }
                (TemplateForm::Url, _) => generator.compile_stmt(&rewrite::url(&template)),
                _ => generator.compile_stmt(&rewrite::template(&template)),
            }
            let (instructions, blocks) = generator.finish();
            Ok::<_, Problem>(Generated { instructions, blocks })
        });
        code.ok().map(Box::new)
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Template")
            .field("bytes", &self.source.len())
            .field("plain", &self.is_plain())
            .finish_non_exhaustive()
    }
}

enum Rendered {
    Text(String),
    Value(Value),
}
