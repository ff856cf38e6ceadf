//! A plan as one JSON document, which exists also if there is no plan.

use serde::Serialize;

use super::review::{Review, ReviewSide};
use crate::plan::model::Plan;
use crate::text::render::ReportedFinding;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    environment: &'a str,
    before: &'a ReviewSide,
    after: &'a ReviewSide,
    findings: &'a [ReportedFinding],
    findings_before: &'a [ReportedFinding],
    notes: &'a [String],
    error: Option<&'a str>,
    plan: Option<&'a Plan>,
}

/// The document: both sides, the findings of the desired and of the observed state, remarks, and the plan or `null`. Ends
/// with a line break.
pub fn document(plan: Option<&Plan>, review: &Review) -> String {
    let document = Document {
        environment: plan.map_or(review.environment.as_str(), |plan| plan.environment.as_str()),
        before: &review.before,
        after: &review.after,
        findings: &review.after.findings,
        findings_before: &review.before.findings,
        notes: &review.notes,
        error: review.error.as_deref(),
        plan,
    };
    // Strings, numbers and maps with string keys serialize without errors.
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
}
