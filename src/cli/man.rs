//! `evenkeel man`: writes manual pages.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use clap_mangen::Man;

use super::output;

/// Write manual pages, one for each command
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel man --out ~/.local/share/man/man1
  man evenkeel-executions-list")]
pub(super) struct ManCommand {
    /// Folder to write to; created if it does not exist
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
}

impl ManCommand {
    /// Writes a page for each visible command of `cli`.
    pub(super) fn run(self, cli: clap::Command) -> anyhow::Result<ExitCode> {
        std::fs::create_dir_all(&self.out).with_context(|| format!("cannot create {}", self.out.display()))?;
        let mut cli = cli.disable_help_subcommand(true);
        cli.build();
        let written = write_pages(&cli, &self.out)?;
        output::note(&format!("wrote {} to {}", output::count(written, "page"), self.out.display()));
        Ok(ExitCode::SUCCESS)
    }
}

/// Writes the pages of a command and its subcommands; returns their number.
fn write_pages(command: &clap::Command, folder: &Path) -> anyhow::Result<usize> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let path = folder.join(format!("{name}.1"));
    std::fs::write(&path, page(command, &name)?).with_context(|| format!("cannot write {}", path.display()))?;
    let mut written = 1;
    for child in command.get_subcommands().filter(|child| !child.is_hide_set()) {
        written += write_pages(child, folder)?;
    }
    Ok(written)
}

/// The page of a command, in roff.
fn page(command: &clap::Command, name: &str) -> std::io::Result<Vec<u8>> {
    let man = Man::new(command.clone()).title(name).section("1").manual("Evenkeel");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    if command.get_arguments().any(|argument| !argument.is_hide_set()) {
        man.render_options_section(&mut text)?;
    }
    if command.get_subcommands().any(|child| !child.is_hide_set()) {
        man.render_subcommands_section(&mut text)?;
    }
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let (notes, examples) = help.split_once("Examples:\n").unwrap_or((&help, ""));
    for (title, lines) in [("NOTES", notes.trim_end()), ("EXAMPLES", examples)] {
        if !lines.is_empty() {
            writeln!(text, ".SH {title}\n.nf\n{}.fi", roff_lines(lines))?;
        }
    }
    Ok(text)
}

/// Text whose lines are kept as they are. A line may not begin with a request, and `-` is no hyphen.
fn roff_lines(text: &str) -> String {
    text.lines()
        .map(|line| {
            let line = line.replace('\\', "\\\\").replace('-', "\\-");
            let guard = if line.starts_with(['.', '\'']) { "\\&" } else { "" };
            format!("{guard}{line}\n")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_page_are_no_requests() {
        assert_eq!(roff_lines(".SH x\n'a\nb --out \\n"), "\\&.SH x\n\\&'a\nb \\-\\-out \\\\n\n");
    }
}
