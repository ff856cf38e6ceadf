//! JSON given as an argument, in a file or on stdin.

use std::io::Read as _;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::connector;

/// Largest input of an action.
const MAX_BYTES: u64 = 8 << 20;

const NOT_JSON: &str = "the input is not JSON; expected for example '{\"name\": \"Ada\"}', `@FILE` or `-` for stdin";

/// Reads JSON from the argument itself, from a file (`@FILE`) or from stdin (`-`).
///
/// # Errors
/// Fails if the source cannot be read or is not JSON.
pub(super) fn read(argument: &str) -> anyhow::Result<Value> {
    let text = match argument.strip_prefix('@') {
        Some(path) => std::fs::read_to_string(path).with_context(|| unreadable(path))?,
        None if argument == "-" => std::io::read_to_string(std::io::stdin()).context("cannot read stdin")?,
        None => argument.to_owned(),
    };
    serde_json::from_str(&text).context(NOT_JSON)
}

/// Reads the input of an action; refuses integers that would lose digits.
///
/// # Errors
/// Fails if the source cannot be read, has more than 8 MiB, or is not JSON.
pub(super) fn read_exact(argument: &str) -> anyhow::Result<Value> {
    let mut content = String::new();
    let text = match argument.strip_prefix('@') {
        Some(path) => {
            let file = std::fs::File::open(path).with_context(|| unreadable(path))?;
            file.take(MAX_BYTES).read_to_string(&mut content).with_context(|| unreadable(path))?;
            &content
        }
        None if argument == "-" => {
            std::io::stdin().take(MAX_BYTES).read_to_string(&mut content).context("cannot read stdin")?;
            &content
        }
        None => argument,
    };
    if text.len() as u64 >= MAX_BYTES {
        bail!("the input is larger than {} MiB", MAX_BYTES >> 20);
    }
    if let Some(number) = connector::inexact_integer(text.as_bytes()) {
        bail!("the integer {number} would lose digits; write it as a string");
    }
    serde_json::from_str(text).context(NOT_JSON)
}

fn unreadable(path: &str) -> String {
    format!("cannot read the input file {path}, a path from the current folder")
}
