//! The functions templates can call.

use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Environment, Error, State};

use super::RenderErrorKind;
use super::arguments::{Args, NativeFilter};
use super::budget::{bad_argument, fail};
use super::containers::{Dict, Entries, List, check_key};
use super::convert::{pairs, to_json};
use super::cost;
use super::jwt::sign_jwt;

/// A function and its parameters.
pub(super) struct Function {
    pub name: &'static str,
    /// The names of the parameters, in order.
    pub parameters: &'static [&'static str],
    /// Number of required parameters; these come first.
    pub required: usize,
    /// True if further keyword arguments are accepted.
    pub open: bool,
    call: NativeFilter,
}

/// Maximum length of a list made by `range`.
const MAX_RANGE: i128 = 100_000;

/// All functions.
pub(super) const FUNCTIONS: &[Function] = &[
    Function { name: "get_secret", parameters: &["name"], required: 1, open: false, call: get_secret },
    Function { name: "get_variable", parameters: &["name"], required: 1, open: false, call: get_variable },
    Function {
        name: "jwt_encode",
        parameters: &["payload", "key", "algorithm", "headers"],
        required: 3,
        open: false,
        call: jwt_encode,
    },
    Function { name: "now", parameters: &["offset"], required: 0, open: false, call: now },
    Function { name: "range", parameters: &["start", "stop", "step"], required: 1, open: false, call: range },
    Function { name: "dict", parameters: &["map"], required: 0, open: true, call: dict },
    Function { name: "namespace", parameters: &["map"], required: 0, open: true, call: namespace },
];

/// Finds a function by its name.
pub(super) fn find(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| function.name == name)
}

/// Adds all functions to an environment.
pub(super) fn add_to(env: &mut Environment<'static>) {
    for &Function { name, call, .. } in FUNCTIONS {
        env.add_function(name, move |state: &mut State<'_, '_>, pos: &[Value], kw: Kwargs| {
            call(state, &Args::new(name, pos, kw)?)
        });
    }
}

fn get_secret(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    let name = args.need_text(0, "name")?;
    args.end(1)?;
    match args.budget.host().secret(&name) {
        Ok(secret) => {
            args.budget.charge_memory(secret.len())?;
            Ok(Value::from(secret))
        }
        Err(reason) => Err(fail(RenderErrorKind::Secret, format!("the secret `{name}` cannot be used: {reason}"))),
    }
}

fn get_variable(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    let name = args.need_text(0, "name")?;
    args.end(1)?;
    // A variable that is not set is undefined, so that `default` works; the
    // error for an undefined value names the variable.
    Ok(match args.budget.host().variable(&name) {
        Some(value) => {
            args.budget.charge_memory(value.len())?;
            Value::from(value)
        }
        None => Value::UNDEFINED,
    })
}

fn jwt_encode(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    let payload = args.get(0, "payload")?.ok_or_else(|| args.missing("payload"))?;
    let key = args.need_text(1, "key")?;
    let algorithm = args.need_text(2, "algorithm")?;
    let headers = args.get(3, "headers")?.filter(|value| !value.is_none());
    args.end(4)?;
    let payload = to_json(&args.budget, &payload)?;
    let headers = headers.map(|headers| to_json(&args.budget, &headers)).transpose()?;
    // An RSA signature takes about a millisecond and is charged accordingly.
    args.budget.charge_work(1 << 20)?;
    // A placeholder is not a key, so the token is a placeholder as well.
    if args.budget.host().masked() && key.starts_with('[') {
        return Ok(Value::from(format!("[jwt signed with {}]", key.trim_matches(['[', ']']))));
    }
    let token = sign_jwt(&payload, &key, &algorithm, headers.as_ref()).map_err(bad_argument)?;
    args.budget.charge_memory(token.len())?;
    Ok(Value::from(token))
}

fn now(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    let offset = args.int(0, "offset")?.unwrap_or(0);
    args.end(1)?;
    args.budget
        .host()
        .now()
        .checked_add(offset)
        .map(Value::from)
        .ok_or_else(|| bad_argument("`now`: the offset is too large"))
}

fn range(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    let first = args.int(0, "start")?.ok_or_else(|| args.missing("start"))?;
    let second = args.int(1, "stop")?;
    let step = i128::from(args.int(2, "step")?.unwrap_or(1));
    args.end(3)?;
    let (start, stop) = match second {
        Some(stop) => (i128::from(first), i128::from(stop)),
        None => (0, i128::from(first)),
    };
    if step == 0 {
        return Err(bad_argument("`range`: the step cannot be 0"));
    }
    let span = if step > 0 { stop - start } else { start - stop };
    let count = if span <= 0 { 0 } else { (span - 1) / step.abs() + 1 };
    if count > MAX_RANGE {
        return Err(fail(RenderErrorKind::WorkTooLarge, format!("`range` makes at most {MAX_RANGE} numbers")));
    }
    let count = usize::try_from(count).unwrap_or(0);
    args.budget.charge_memory(count.saturating_mul(size_of::<Value>()))?;
    let mut numbers = Vec::with_capacity(count);
    let mut number = start;
    for _ in 0..count {
        numbers.push(i64::try_from(number).map_or_else(|_| Value::from(number), Value::from));
        number += step;
    }
    List::mutable(&args.budget, numbers)
}

fn dict(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    Dict::mutable(&args.budget, entries(args)?)
}

fn namespace(_: &mut State<'_, '_>, args: &Args<'_>) -> Result<Value, Error> {
    Dict::namespace(&args.budget, entries(args)?)
}

/// The entries of `dict(map, key=value, …)`.
fn entries(args: &Args<'_>) -> Result<Entries, Error> {
    if args.pos.len() > 1 {
        args.end(1)?;
    }
    let mut entries = Entries::default();
    if let Some(base) = args.pos.first() {
        for (key, value) in entries_of(args, base)? {
            entries.insert(key, value);
        }
    }
    for (name, value) in args.keywords()? {
        cost::defined(&value)?;
        entries.insert(Value::from(name), value);
    }
    Ok(entries)
}

/// The entries of a map or of a list of pairs.
pub(super) fn entries_of(args: &Args<'_>, value: &Value) -> Result<Vec<(Value, Value)>, Error> {
    match value.kind() {
        ValueKind::Map => pairs(&args.budget, value),
        ValueKind::Seq | ValueKind::Iterable => cost::collect_items(&args.budget, value)?
            .iter()
            .map(|pair| {
                let pair = cost::collect_items(&args.budget, pair)?;
                match <[Value; 2]>::try_from(pair) {
                    Ok([key, value]) => {
                        check_key(&key)?;
                        cost::charge_shallow(&args.budget, &key)?;
                        Ok((key, value))
                    }
                    Err(_) => Err(bad_argument("a map is made of pairs")),
                }
            })
            .collect(),
        kind => Err(bad_argument(format!("a {kind} is not a map"))),
    }
}
