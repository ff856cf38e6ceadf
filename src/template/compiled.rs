//! Templates ready to be rendered.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;

use minijinja::machinery::{CodeGenerator, Instructions, ast, eval, make_string_output};
use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, Error};
use self_cell::self_cell;

use super::budget::{Budget, Guard};
use super::{Context, Limits, Problem, RenderError, check, convert, diagnose, environment, rewrite, shape};

/// A compiled template.
///
/// A template holds its source, and its code only if the source is long:
/// minijinja reserves about 11 KiB for the code of even the shortest template,
/// which takes less than a microsecond to generate.  So a catalogue of tens of
/// thousands of templates stays small.
pub struct Template {
    source: Box<str>,
    form: Form,
    code: OnceLock<Option<Box<Code>>>,
}

/// From this many bytes of source on, the generated code is kept.
const KEPT_FROM: usize = 1024;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// No Jinja at all.
    Plain,
    /// Exactly one `{{ expression }}`.
    Expression {
        /// An `if` without its `else`, which prints nothing.
        lenient: bool,
    },
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

/// minijinja's code, which borrows from the source.
struct Generated<'s> {
    instructions: Instructions<'s>,
    blocks: BTreeMap<&'s str, Instructions<'s>>,
}

impl Template {
    /// Compiles a template.  Names are not looked at: which ones there are is
    /// for [`analyse`](super::analyse) to say.
    pub fn compile(source: &str) -> Result<Template, Problem> {
        let form = if shape::is_plain(source) {
            // The parser is not asked, so its limit is not applied either: a
            // plain text costs what it weighs.
            Form::Plain
        } else {
            let template = shape::parse(source)?;
            let found = check::check(&template, None);
            if let Some(problem) = found.problems.into_iter().next() {
                return Err(problem);
            }
            match shape::single_expression(&template) {
                Some(expr) => Form::Expression { lenient: matches!(expr, ast::Expr::IfExpr(_)) },
                None => Form::Text,
            }
        };
        Ok(Template { source: source.into(), form, code: OnceLock::new() })
    }

    /// Compiles a template of a URL: what an expression prints is percent-encoded and stays within its segment of the
    /// path, so that no value decides about host, path or query. `get_variable(…)` and what was encoded with
    /// `urlencode` are taken as they are.
    ///
    /// # Errors
    /// As [`Template::compile`].
    pub fn compile_url(source: &str) -> Result<Template, Problem> {
        let template = Template::compile(source)?;
        let form = if template.form == Form::Plain { Form::Plain } else { Form::Url };
        Ok(Template { form, ..template })
    }

    /// Whether the template is text without any Jinja.
    pub fn is_plain(&self) -> bool {
        self.form == Form::Plain
    }

    /// The source the template was compiled from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Renders to text.
    pub fn render_text(&self, ctx: &Context, limits: &Limits) -> Result<String, RenderError> {
        self.run(ctx, limits, |meter, outcome| match outcome {
            Outcome::Text(text) => Ok(text),
            Outcome::Value(value) if value.is_undefined() && self.is_lenient() => Ok(String::new()),
            Outcome::Value(value) => {
                let text = convert::text(meter, &value)?;
                meter.output(text.len())?;
                Ok(text.into_owned())
            }
        })
    }

    /// Renders to a value: a template that is exactly one `{{ expression }}`
    /// keeps its type, all others become strings.
    pub fn render_value(&self, ctx: &Context, limits: &Limits) -> Result<serde_json::Value, RenderError> {
        self.run(ctx, limits, |meter, outcome| match outcome {
            Outcome::Text(text) => Ok(serde_json::Value::String(text)),
            Outcome::Value(value) => {
                // The size on the wire is about the size in memory.
                let json = convert::to_json(meter, &value)?;
                meter.output(super::cost::deep(meter, &value)?)?;
                Ok(json)
            }
        })
    }

    fn is_lenient(&self) -> bool {
        matches!(self.form, Form::Expression { lenient: true })
    }

    fn run<R>(
        &self,
        ctx: &Context,
        limits: &Limits,
        finish: impl FnOnce(&Budget, Outcome) -> Result<R, Error>,
    ) -> Result<R, RenderError> {
        let guard = Guard::install(limits, ctx.host().clone());
        let meter = guard.meter();
        let outcome = if self.is_plain() {
            meter.output(self.source.len()).map(|()| Outcome::Text(self.source.to_string()))
        } else {
            self.evaluate(ctx, limits, meter)
        };
        outcome
            .and_then(|outcome| finish(meter, outcome))
            .map_err(|error| diagnose::explain(&self.source, ctx, meter, &error))
    }

    fn evaluate(&self, ctx: &Context, limits: &Limits, meter: &Budget) -> Result<Outcome, Error> {
        let shared = environment::shared();
        let own;
        let env: &Environment<'_> = if shared.fuel() == Some(limits.fuel) {
            shared
        } else {
            let mut changed = shared.clone();
            // The engine counts in signed numbers.
            changed.set_fuel(Some(limits.fuel.min(i64::MAX.unsigned_abs())));
            own = changed;
            &own
        };
        let fresh;
        let code = if self.source.len() < KEPT_FROM {
            fresh = self.generate();
            &fresh
        } else {
            self.code.get_or_init(|| self.generate())
        };
        let Some(code) = code else {
            // `compile` has seen this source parse.
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
            // All containers are still in the meter's hands: dropping what the
            // state holds does not recurse.
            drop(state);
            Ok(if let Form::Expression { .. } = self.form {
                Outcome::Value(value.unwrap_or_default())
            } else {
                // The formatter does not see literal text that is printed
                // once only.
                if text.len() > limits.output_bytes {
                    return Err(meter.fail(super::RenderErrorKind::OutputTooLarge, "the rendered text is too large"));
                }
                Outcome::Text(text)
            })
        })
    }

    fn generate(&self) -> Option<Box<Code>> {
        let owner: Box<str> = self.source.clone();
        let code = Code::try_new(owner, |source| {
            let template = shape::parse(source)?;
            let mut generator = CodeGenerator::new("template", source);
            match (self.form, shape::single_expression(&template)) {
                (Form::Expression { .. }, Some(expr)) => {
                    let expr = rewrite::expression(expr);
                    // The span of the expression stands for what has none.
                    generator.push_span(expr.span());
                    generator.compile_expr(&expr);
                    generator.pop_span();
                }
                (Form::Url, _) => generator.compile_stmt(&rewrite::url(&template)),
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

enum Outcome {
    Text(String),
    Value(Value),
}
