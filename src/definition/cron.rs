//! Cron expressions: five fields as in crontab(5), with the extensions of croner (`L`, `W`, `#`).

use croner::parser::{CronParser, Seconds, Year};

pub use croner::Cron;

/// Parses a cron expression.
///
/// # Errors
/// The reason why the expression is invalid.
pub fn parse(text: &str) -> Result<Cron, String> {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    parser.parse(text).map_err(|error| error.to_string())
}
