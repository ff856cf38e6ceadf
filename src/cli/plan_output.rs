//! Plans on stdout.

use clap::ValueEnum;

use super::output;
use crate::plan::Plan;
use crate::plan::render::{self, Review, Revisions};

/// Output format of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum PlanFormat {
    Human,
    Json,
    Markdown,
}

/// Prints a plan to stdout.
pub(super) fn print(plan: &Plan, format: PlanFormat, revisions: &Revisions<'_>) {
    match format {
        PlanFormat::Json => output::data(&plan.to_json()),
        PlanFormat::Human | PlanFormat::Markdown => print_review(Some(plan), format, &Review::from(revisions)),
    }
}

/// Prints the document of a review to stdout: the plan, or the reason for its absence. People find the reason on stderr.
pub(super) fn print_review(plan: Option<&Plan>, format: PlanFormat, review: &Review) {
    match (format, plan) {
        (PlanFormat::Human, Some(plan)) => output::data(&render::human(plan, review, output::colored())),
        (PlanFormat::Human, None) => {}
        (PlanFormat::Json, plan) => output::data(&render::document(plan, review)),
        (PlanFormat::Markdown, Some(plan)) => output::data(&render::markdown(plan, review)),
        (PlanFormat::Markdown, None) => output::data(&render::markdown_without_plan(review)),
    }
}
