//! Printing: data goes to stdout, everything else to stderr; colors only on terminals.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use crate::reconcile::validate::Validated;
use crate::text::render::{OutputFormat, Report, render};

/// Prints data to stdout, unchanged. A closed pipe (`| head`) is not an error.
pub(super) fn data(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout
        .write_all(text.as_bytes())
        .and_then(|()| if text.ends_with('\n') || text.is_empty() { Ok(()) } else { stdout.write_all(b"\n") });
    let _ = stdout.flush();
}

/// Prints bytes to stdout, unchanged.
pub(super) fn bytes(bytes: &[u8]) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(bytes).and_then(|()| stdout.flush());
}

/// Prints a remark for people to stderr.
pub(super) fn note(text: &str) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// Prints a warning for people to stderr.
pub(super) fn warning(text: &str) {
    let yellow = anstyle::AnsiColor::Yellow.on_default().bold();
    note(&format!("{yellow}warning{yellow:#}: {text}"));
}

/// Prints the error that ended a command to stderr.
pub(super) fn error(error: &anyhow::Error) {
    let red = anstyle::AnsiColor::Red.on_default().bold();
    note(&format!("{red}error{red:#}: {error:#}"));
}

/// Prints help or a usage error, and returns the exit code.
///
/// With `--detailed-exitcode`, 2 means "changes", so a usage error exits with 1.
pub(super) fn usage(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    let detailed = std::env::args_os().any(|argument| argument == "--detailed-exitcode");
    match error.use_stderr() {
        false => ExitCode::SUCCESS,
        true if detailed => ExitCode::FAILURE,
        true => ExitCode::from(2),
    }
}

/// True if stdout shows colors: a terminal, or `CLICOLOR_FORCE`; never with `NO_COLOR`.
pub(super) fn colored() -> bool {
    let wanted = anstream::AutoStream::choice(&std::io::stdout());
    !matches!(wanted, anstream::ColorChoice::Never) && std::io::stdout().is_terminal()
        || std::env::var_os("CLICOLOR_FORCE").is_some_and(|value| value != "0")
            && std::env::var_os("NO_COLOR").is_none()
}

/// True if stderr shows colors: a terminal without `NO_COLOR`.
pub(super) fn colored_stderr() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Width of reports in columns: `COLUMNS` if it is sensible (default: 120).
pub(super) fn width() -> usize {
    let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    columns.filter(|columns| (40..=500).contains(columns)).unwrap_or(120)
}

/// Prints a report to stdout and returns the exit code: 0 without errors, 1 with errors.
pub(super) fn report(validated: &Validated, output: OutputFormat) -> ExitCode {
    let report = report_of(validated);
    data(&render(&report, output, colored() && output == OutputFormat::Human, width()));
    if report.errors() > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Prints findings to stderr: those that prevent a command.
pub(super) fn findings(validated: &Validated) {
    note(render(&report_of(validated), OutputFormat::Human, colored_stderr(), width()).trim_end());
}

/// Adds colors if the output shows them.
pub(super) struct Paint(bool);

impl Paint {
    /// Colors for stdout.
    pub(super) fn new() -> Paint {
        Paint(colored())
    }

    /// No colors.
    pub(super) fn plain() -> Paint {
        Paint(false)
    }

    fn with(&self, style: anstyle::Style, text: &str) -> String {
        if self.0 { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    pub(super) fn red(&self, text: &str) -> String {
        self.with(anstyle::AnsiColor::Red.on_default(), text)
    }

    pub(super) fn green(&self, text: &str) -> String {
        self.with(anstyle::AnsiColor::Green.on_default(), text)
    }

    pub(super) fn bold(&self, text: &str) -> String {
        self.with(anstyle::Style::new().bold(), text)
    }
}

/// The report of validated definitions.
pub(super) fn report_of(validated: &Validated) -> Report<'_> {
    Report {
        findings: &validated.findings,
        sources: &validated.catalog.sources,
        definitions: validated.catalog.entries.len(),
    }
}

/// `1 action`, `2 actions`.
pub(super) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}
