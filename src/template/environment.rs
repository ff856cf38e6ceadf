//! The one environment all templates run in.

use std::sync::LazyLock;

use minijinja::{Environment, Output, State, UndefinedBehavior, Value};

use super::budget::Budget;
use super::{convert, filters, functions, methods, predicates};

/// How deeply loops, `with` blocks and (at four times the price) macro calls
/// may be nested; each macro call takes a good piece of the native stack.
const RECURSION_LIMIT: usize = 120;

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut env = Environment::empty();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_recursion_limit(RECURSION_LIMIT);
    // Debug information would carry values out of the render.
    env.set_debug(false);
    env.set_fuel(Some(super::Limits::default().fuel));
    env.set_formatter(print);
    env.set_unknown_method_callback(methods::call);
    filters::add_to(&mut env);
    functions::add_to(&mut env);
    predicates::add_to(&mut env);
    env
});

/// The environment, with the default fuel.
pub(super) fn shared() -> &'static Environment<'static> {
    &ENVIRONMENT
}

fn print(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), minijinja::Error> {
    let _ = state;
    let meter = Budget::current()?;
    // What is undefined and still gets here is an `if` without its `else`,
    // which prints nothing; minijinja refuses everything else.
    if value.is_undefined() {
        return Ok(());
    }
    if value.is_safe() {
        // The mark of text in a capture, which has been charged for.
        out.write_str(value.as_str().unwrap_or_default())?;
        return Ok(());
    }
    let text = convert::text(&meter, value)?;
    meter.output(text.len())?;
    out.write_str(&text)?;
    Ok(())
}
