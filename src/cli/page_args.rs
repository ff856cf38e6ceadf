//! The arguments of lists: one page at a time.

use clap::Args;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::environment_api::Query;
use super::{output, response_view};
use crate::api::page::{DEFAULT_LIMIT, MAX_LIMIT};

/// A page of a list.
#[derive(Clone, Debug, Args)]
pub(super) struct PageArgs {
    /// Maximum number of entries, 1 to 1000
    #[arg(long, default_value_t = DEFAULT_LIMIT, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_LIMIT)))]
    limit: u32,
    /// Page to show: `next` of the page before it
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
}

impl PageArgs {
    /// The query of the page, with more parameters.
    pub(super) fn query(&self, more: impl IntoIterator<Item = (&'static str, Option<String>)>) -> Query {
        let page = [("limit", Some(self.limit.to_string())), ("cursor", self.cursor.clone())];
        page.into_iter().chain(more).collect()
    }
}

/// Reads the entries of a page; `noun` names the list in an error.
///
/// # Errors
/// Fails if the response is not a page of such entries.
pub(super) fn items<T: DeserializeOwned>(page: &Value, noun: &str) -> anyhow::Result<Vec<T>> {
    response_view::parse(&page["items"], noun)
}

/// Prints the option for the next page to stderr, if there is one.
pub(super) fn note_next(page: &Value) {
    if let Some(cursor) = page["next"].as_str() {
        output::note(&format!("there are more; `--cursor {cursor}` shows the next page"));
    }
}
