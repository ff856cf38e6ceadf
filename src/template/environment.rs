//! The shared minijinja environment of all templates.

use std::sync::LazyLock;

use minijinja::{Environment, Output, State, UndefinedBehavior, Value};

use super::budget::Budget;
use super::{convert, filters, functions, methods, predicates};

/// Maximum nesting of loops, `with` blocks and macro calls.  A macro call counts
/// four times, as it uses more of the native stack.
const RECURSION_LIMIT: usize = 120;

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut env = Environment::empty();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_recursion_limit(RECURSION_LIMIT);
    // Debug information would expose values.
    env.set_debug(false);
    env.set_fuel(Some(super::Limits::default().fuel));
    env.set_formatter(print);
    env.set_unknown_method_callback(methods::call);
    filters::add_to(&mut env);
    functions::add_to(&mut env);
    predicates::add_to(&mut env);
    env
});

/// The environment with the default fuel.
pub(super) fn shared() -> &'static Environment<'static> {
    &ENVIRONMENT
}

fn print(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), minijinja::Error> {
    let _ = state;
    let budget = Budget::current()?;
    // The only undefined value that reaches this function is that of an `if`
    // without `else`, which prints nothing; minijinja rejects all others.
    if value.is_undefined() {
        return Ok(());
    }
    if value.is_safe() {
        // Captured text, which is already charged.
        out.write_str(value.as_str().unwrap_or_default())?;
        return Ok(());
    }
    let text = convert::text(&budget, value)?;
    budget.charge_output(text.len())?;
    out.write_str(&text)?;
    Ok(())
}
