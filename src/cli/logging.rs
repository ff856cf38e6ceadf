//! The process log.

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

use super::dev::EventLines;
use super::output;

/// Default filter of `dev`: calls, webhooks, executions, and the lines that executions write.
const DEV_FILTER: &str = "warn,evenkeel=info,evenkeel::ctx_log=debug";

/// Format of log lines.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum LogFormat {
    Human,
    Json,
}

/// Starts the log on stderr; `--quiet` and `--verbose`, or else `EVENKEEL_LOG`, override the default filter.
pub(super) fn start(format: LogFormat, default_filter: &str) {
    let filter = match output::verbosity() {
        ..=-1 => EnvFilter::new("error"),
        0 => EnvFilter::try_from_env("EVENKEEL_LOG").unwrap_or_else(|_| EnvFilter::new(default_filter)),
        1 => EnvFilter::new("info,sqlx=warn,evenkeel=debug"),
        2.. => EnvFilter::new("debug,sqlx=info,evenkeel=trace"),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    match format {
        LogFormat::Human => builder.with_ansi(output::colored_stderr()).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
}

/// Starts the lines of `dev` on stderr: one for each call, webhook, execution and line that an execution writes.
/// `EVENKEEL_LOG` overrides the filter.
pub(super) fn start_lines(lines: EventLines) {
    let filter = EnvFilter::try_from_env("EVENKEEL_LOG").unwrap_or_else(|_| EnvFilter::new(DEV_FILTER));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    builder.with_ansi(output::colored_stderr()).event_format(lines).init();
}
