//! Plans on stdout.

use clap::ValueEnum;

use super::output;
use crate::plan::Plan;
use crate::plan::render::{self, Revisions};

/// Output format of a plan.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum PlanFormat {
    Human,
    Json,
    Markdown,
}

/// Prints a plan to stdout.
pub(super) fn print(plan: &Plan, format: PlanFormat, revisions: &Revisions<'_>) {
    output::data(&match format {
        PlanFormat::Human => render::human(plan, output::colored()),
        PlanFormat::Json => plan.to_json(),
        PlanFormat::Markdown => render::markdown(plan, revisions),
    });
}
