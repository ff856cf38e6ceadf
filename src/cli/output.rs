//! Printing: data to stdout, everything else to stderr, colours only where a person looks.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use crate::reconcile::validate::Validated;
use crate::text::render::{OutputFormat, Report, render};

/// Data, as it is. A reader that goes away (`| head`) is no error.
pub(super) fn data(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout
        .write_all(text.as_bytes())
        .and_then(|()| if text.ends_with('\n') || text.is_empty() { Ok(()) } else { stdout.write_all(b"\n") });
    let _ = stdout.flush();
}

/// Bytes, as they are.
pub(super) fn bytes(bytes: &[u8]) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(bytes).and_then(|()| stdout.flush());
}

/// A remark for people.
pub(super) fn note(text: &str) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// Why the command could not be done.
pub(super) fn error(error: &anyhow::Error) {
    let red = anstyle::AnsiColor::Red.on_default().bold();
    note(&format!("{red}error{red:#}: {error:#}"));
}

/// Why the command line is not understood, or the help that it asks for. 2 means "changes" where the exit code is to be
/// detailed, so a mistake is 1 there.
pub(super) fn usage(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    let detailed = std::env::args_os().any(|argument| argument == "--detailed-exitcode");
    match error.use_stderr() {
        false => ExitCode::SUCCESS,
        true if detailed => ExitCode::FAILURE,
        true => ExitCode::from(2),
    }
}

/// May colours be written to stdout?
pub(super) fn colored() -> bool {
    let wanted = anstream::AutoStream::choice(&std::io::stdout());
    !matches!(wanted, anstream::ColorChoice::Never) && std::io::stdout().is_terminal()
        || std::env::var_os("CLICOLOR_FORCE").is_some_and(|value| value != "0")
            && std::env::var_os("NO_COLOR").is_none()
}

/// May colours be written to stderr?
pub(super) fn colored_stderr() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Columns to write in.
pub(super) fn width() -> usize {
    let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    columns.filter(|columns| (40..=500).contains(columns)).unwrap_or(120)
}

/// Prints a report and tells the exit code: 0 clean, 1 with errors.
pub(super) fn report(examined: &Validated, output: OutputFormat) -> ExitCode {
    let report = report_of(examined);
    data(&render(&report, output, colored() && output == OutputFormat::Human, width()));
    if report.errors() > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Prints findings to stderr: those that keep a command from its work.
pub(super) fn findings(examined: &Validated) {
    note(render(&report_of(examined), OutputFormat::Human, colored_stderr(), width()).trim_end());
}

/// Colours where they are wanted.
pub(super) struct Paint(bool);

impl Paint {
    /// For stdout.
    pub(super) fn new() -> Paint {
        Paint(colored())
    }

    /// Without colours.
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

/// The report of what was examined.
pub(super) fn report_of(examined: &Validated) -> Report<'_> {
    Report {
        findings: &examined.findings,
        sources: &examined.catalog.sources,
        definitions: examined.catalog.entries.len(),
    }
}

/// `1 action`, `2 actions`.
pub(super) fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
