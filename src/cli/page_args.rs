//! The arguments of lists: one page at a time.

use clap::Args;
use serde_json::Value;

use super::environment_api::Query;
use super::output;

/// A page of a list.
#[derive(Clone, Debug, Args)]
pub(super) struct PageArgs {
    /// Maximum number of entries, 1 to 1000
    #[arg(long, default_value_t = 50, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1000))]
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

/// The entries of a page.
pub(super) fn items(page: &Value) -> impl Iterator<Item = &Value> {
    page["items"].as_array().into_iter().flatten()
}

/// Prints the option for the next page to stderr, if there is one.
pub(super) fn note_next(page: &Value) {
    if let Some(cursor) = page["next"].as_str() {
        output::note(&format!("there are more; `--cursor {cursor}` shows the next page"));
    }
}
