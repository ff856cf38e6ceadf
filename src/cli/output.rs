//! Printing: data goes to stdout, everything else to stderr; colors only on terminals.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::atomic::{AtomicI8, Ordering};

use super::terminal_text::neutral;
use crate::reconcile::validate::Validated;
use crate::text::render::{OutputFormat, Report, render};

/// Prints data to stdout. Control characters, which could come from anywhere, are escaped; see [`neutral`]. A closed pipe (`| head`) is not an error.
pub(super) fn data(text: &str) {
    let text = neutral(text, colored());
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

/// Prints a remark for people to stderr; `--quiet` omits it.
pub(super) fn note(text: &str) {
    if verbosity() >= 0 {
        stderr(text);
    }
}

/// Prints a detail to stderr with `--verbose`.
pub(super) fn detail(text: &str) {
    if verbosity() > 0 {
        stderr(text);
    }
}

/// Prints the error that ended a command to stderr.
pub(super) fn error(error: &anyhow::Error) {
    failure(&format!("{error:#}"));
}

/// Prints a failure to stderr.
pub(super) fn failure(text: &str) {
    let red = anstyle::AnsiColor::Red.on_default().bold();
    stderr(&format!("{red}error{red:#}: {text}"));
}

/// Prints a warning to stderr.
pub(super) fn warning(text: &str) {
    let yellow = anstyle::AnsiColor::Yellow.on_default().bold();
    stderr(&format!("{yellow}warning{yellow:#}: {text}"));
}

fn stderr(text: &str) {
    let _ = writeln!(anstream::stderr(), "{}", neutral(text, true));
}

/// Number of `--verbose`, or -1 with `--quiet`.
static VERBOSITY: AtomicI8 = AtomicI8::new(0);

/// Sets the verbosity of this process.
pub(super) fn set_verbosity(verbosity: i8) {
    VERBOSITY.store(verbosity, Ordering::Relaxed);
}

/// Number of `--verbose`; -1 with `--quiet`.
pub(super) fn verbosity() -> i8 {
    VERBOSITY.load(Ordering::Relaxed)
}

/// True if stdout shows colors: a terminal, `CLICOLOR_FORCE` or `--color always`; never with `NO_COLOR`.
pub(super) fn colored() -> bool {
    anstream::AutoStream::choice(&std::io::stdout()) != anstream::ColorChoice::Never
}

/// True if stderr shows colors: as [`colored`].
pub(super) fn colored_stderr() -> bool {
    anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never
}

/// Width of reports in columns: that of the terminal (default: 120).
pub(super) fn width() -> usize {
    columns().unwrap_or(120)
}

/// Columns that stdout shows: `COLUMNS`, or the width of the terminal; `None` if neither is known, as in a pipe.
pub(super) fn columns() -> Option<usize> {
    let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let columns = columns.or_else(|| Some(terminal_size()?.0));
    columns.filter(|columns| (40..=500).contains(columns))
}

/// Columns and rows of the terminal; `None` if stdout is not a terminal.
pub(super) fn terminal_size() -> Option<(usize, usize)> {
    let stdout = std::io::stdout();
    let size = rustix::termios::tcgetwinsize(&stdout).ok().filter(|_| stdout.is_terminal())?;
    Some((size.ws_col.into(), size.ws_row.into()))
}

/// Prints a report to stdout and returns the exit code: 0 without errors, 1 with errors.
pub(super) fn report(validated: &Validated, output: OutputFormat) -> ExitCode {
    let report = report_of(validated);
    data(&render(&report, output, colored() && output == OutputFormat::Human, width()));
    if report.errors() > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Prints findings to stderr: those that prevent a command.
pub(super) fn findings(validated: &Validated) {
    stderr(render(&report_of(validated), OutputFormat::Human, colored_stderr(), width()).trim_end());
}

/// Adds colors if the output shows them.
pub(super) struct Paint(bool);

impl Paint {
    /// Colors for stdout.
    pub(super) fn new() -> Paint {
        Paint(colored())
    }

    /// Colors.
    pub(super) fn colored() -> Paint {
        Paint(true)
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
