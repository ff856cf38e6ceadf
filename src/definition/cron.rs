//! Cron expressions: five fields, as in crontab(5), with what croner takes beside them (`L`, `W`, `#`).

use croner::parser::{CronParser, Seconds, Year};

pub use croner::Cron;

/// Reads an expression.
///
/// # Errors
/// What is wrong with it.
pub fn parse(text: &str) -> Result<Cron, String> {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    parser.parse(text).map_err(|error| error.to_string())
}
