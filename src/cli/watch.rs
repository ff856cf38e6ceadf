//! `--watch`: repeats an output until Ctrl+C.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use clap::Args;

use super::output;
use super::output_format::OutputFormat;
use super::style::Style;

/// Interval between two polls.
const INTERVAL: Duration = Duration::from_secs(2);
/// Maximum number of polls in a row that may fail, so that a restart of the server does not end the command.
const MAX_FAILURES: u32 = 30;
/// Moves the cursor to the top left and clears the terminal.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";

/// Repetition of an output.
#[derive(Clone, Debug, Args)]
pub(super) struct WatchArgs {
    /// Repeat every 2 s until Ctrl+C; a terminal is redrawn, elsewhere changes are appended
    #[arg(short, long)]
    watch: bool,
}

/// One output for people, and the exit code of the command.
pub(super) struct Poll {
    pub(super) text: String,
    pub(super) code: ExitCode,
}

impl WatchArgs {
    /// True with `--watch`.
    pub(super) fn is_on(&self) -> bool {
        self.watch
    }

    /// Prints the output for people: once, or again and again with `--watch`.
    ///
    /// # Errors
    /// Fails if the first poll fails, or too many in a row do.
    pub(super) fn print(
        &self,
        format: OutputFormat,
        mut poll: impl FnMut(Style) -> anyhow::Result<Poll>,
    ) -> anyhow::Result<ExitCode> {
        if !self.watch {
            let Poll { text, code } = poll(Style::of_stdout())?;
            output::data(&text);
            return Ok(code);
        }
        if format == OutputFormat::Json {
            bail!("`--watch` repeats text, and `-o json` is one document; use one of them");
        }
        let mut previous = BTreeSet::new();
        let mut failures = 0;
        let mut is_first = true;
        loop {
            let terminal = output::terminal_size();
            let style = Style::of_stdout();
            let style = if terminal.is_some() { style } else { style.without_ages() };
            match (poll(style), terminal) {
                (Ok(Poll { text, .. }), Some((_, rows))) => {
                    output::bytes(CLEAR.as_bytes());
                    output::data(&first_lines(&text, rows.saturating_sub(1)));
                    failures = 0;
                }
                (Ok(Poll { text, .. }), None) => {
                    output::data(&new_blocks(&mut previous, &text));
                    failures = 0;
                }
                (Err(error), _) if is_first || failures >= MAX_FAILURES => return Err(error),
                (Err(error), _) => {
                    if failures == 0 {
                        output::failure(&format!("{error:#}; trying again"));
                    }
                    failures += 1;
                }
            }
            is_first = false;
            std::thread::sleep(INTERVAL);
        }
    }
}

/// The first lines of a text: those that a terminal shows.
fn first_lines(text: &str, number: usize) -> String {
    text.lines().take(number.max(1)).map(|line| format!("{line}\n")).collect()
}

/// The blocks of a text that the previous one did not have. A block is a line with the indented lines below it.
fn new_blocks(previous: &mut BTreeSet<String>, text: &str) -> String {
    let mut blocks: Vec<String> = Vec::new();
    for line in text.lines() {
        match blocks.last_mut() {
            Some(block) if line.starts_with(' ') => *block += &format!("{line}\n"),
            _ => blocks.push(format!("{line}\n")),
        }
    }
    let new: String = blocks.iter().filter(|block| !previous.contains(*block)).map(String::as_str).collect();
    *previous = blocks.into_iter().collect();
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changed_blocks_are_appended() {
        let mut previous = BTreeSet::new();
        let first = "draft: Ready\n  serves  1\nlive: Ready\n  serves  1\n";
        assert_eq!(new_blocks(&mut previous, first), first);
        assert_eq!(new_blocks(&mut previous, first), "");
        let second = first.replacen("serves  1", "serves  2", 1);
        assert_eq!(new_blocks(&mut previous, &second), "draft: Ready\n  serves  2\n");
        assert_eq!(new_blocks(&mut previous, first), "draft: Ready\n  serves  1\n", "a state that returns is news");
    }

    #[test]
    fn a_terminal_shows_as_many_lines_as_it_has() {
        assert_eq!(first_lines("a\nb\nc\n", 2), "a\nb\n");
        assert_eq!(first_lines("a\n", 0), "a\n");
    }

    #[test]
    fn a_document_is_not_repeated_and_a_first_failure_ends_the_command() {
        let watch = WatchArgs { watch: true };
        let refused = watch.print(OutputFormat::Json, |_| unreachable!("nothing is polled"));
        assert!(refused.unwrap_err().to_string().contains("-o json"));
        let once = WatchArgs { watch: false }.print(OutputFormat::Human, |_| bail!("no server"));
        assert_eq!(once.unwrap_err().to_string(), "no server");
    }
}
