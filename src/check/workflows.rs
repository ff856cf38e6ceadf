//! Workflows: timeout, tier and retry that match each other; and all retry policies.

use crate::catalog::Entry;
use crate::definition::Spec;
use crate::definition::common::{Duration, Retry};
use crate::definition::workflow::{Tier, WorkflowSpec};
use crate::text::{Finding, NodeKind, codes};

pub(super) fn check(entry: &Entry, findings: &mut Vec<Finding>) {
    match entry.spec() {
        Some(Spec::Workflow(spec)) => {
            tier(entry, spec, findings);
            waiting(entry, spec, findings);
            empty_roles(entry, findings);
            if let Some(policy) = &spec.retry {
                retry(entry, policy, "/spec/retry", findings);
            }
        }
        Some(Spec::Connector(spec)) => {
            if let Some(policy) = &spec.defaults.retry {
                retry(entry, policy, "/spec/defaults/retry", findings);
            }
            for (name, action) in &spec.actions {
                if let Some(policy) = &action.retry {
                    retry(entry, policy, &format!("/spec/actions/{name}/retry"), findings);
                }
            }
        }
        _ => {}
    }
}

/// Reports empty lists of roles: an approval without roles is open to every caller who may operate.
fn empty_roles(entry: &Entry, findings: &mut Vec<Finding>) {
    let mut nodes = vec![entry.node("/spec/steps")];
    while let Some(node) = nodes.pop() {
        let Some(node) = node else { continue };
        if let Some(roles) = node.pointer("/approval/roles")
            && matches!(&roles.kind, NodeKind::List(roles) if roles.is_empty())
        {
            let message = "an approval with an empty list of roles is open to every caller who may operate";
            let help = "name a role, or omit `roles`";
            findings.push(Finding::new(&codes::OUT_OF_RANGE, entry.span(roles.span), message).help(help));
        }
        nodes.extend(node.items().iter().map(Some));
        nodes.extend(node.entries().iter().map(|entry| Some(&entry.value)));
    }
}

fn tier(entry: &Entry, spec: &WorkflowSpec, findings: &mut Vec<Finding>) {
    let (shortest, longest) = spec.tier.range();
    if let Some(timeout) = spec.timeout {
        let span = entry.value_span("/spec/timeout");
        if timeout < shortest || timeout > longest {
            let better = [Tier::Instant, Tier::Standard, Tier::Long].into_iter().find(|tier| {
                let (shortest, longest) = tier.range();
                timeout >= shortest && timeout <= longest
            });
            let help = match better {
                Some(tier) => format!("use {shortest} to {longest}, or `tier: {tier:?}`"),
                None => format!("use {shortest} to {longest}"),
            };
            let message = format!("a timeout of {timeout} is outside the range of tier {:?}", spec.tier);
            findings.push(
                Finding::new(&codes::TIMEOUT_RANGE, span, message)
                    .also(entry.value_span("/spec/tier"), "the tier")
                    .help(help),
            );
        } else if spec.tier == Tier::Instant && timeout > Duration::seconds(60) {
            let message = "callers and proxies give up after a minute";
            findings.push(Finding::new(&codes::TIER, span, message).help("use `1m` or less, or `tier: Standard`"));
        }
    }
    if spec.tier == Tier::Instant && spec.retry.as_ref().is_some_and(|retry| retry.max_attempts > 1) {
        let waits = spec.retry.as_ref().and_then(|retry| retry.initial_interval).unwrap_or(Duration::seconds(5));
        if waits > spec.timeout.unwrap_or(Duration::seconds(60)) {
            let message = format!("a caller waits for an Instant workflow, and its first retry comes after {waits}");
            let span = entry.key_span("/spec/retry");
            findings.push(Finding::new(&codes::TIER, span, message).help("use a shorter `initialInterval`"));
        }
    }
}

/// Reports steps of Instant workflows that take longer than a caller waits.
fn waiting(entry: &Entry, spec: &WorkflowSpec, findings: &mut Vec<Finding>) {
    if spec.tier != Tier::Instant {
        return;
    }
    for (at, step) in spec.steps.iter().flatten().enumerate() {
        let field = if step.approval.is_some() {
            "approval"
        } else if step.wait.is_some_and(|wait| wait > Duration::seconds(60)) {
            "wait"
        } else {
            continue;
        };
        let message = format!("a caller waits for an Instant workflow, and step `{}` waits too", step.name);
        let span = entry.key_span(&format!("/spec/steps/{at}/{field}"));
        findings.push(Finding::new(&codes::TIER, span, message).help("use `tier: Standard` or `tier: Long`"));
    }
}

fn retry(entry: &Entry, retry: &Retry, pointer: &str, findings: &mut Vec<Finding>) {
    let first = retry.initial_interval.unwrap_or(Duration::seconds(5));
    let longest = retry.max_interval.unwrap_or(Duration::seconds(60));
    if first > longest {
        let message = format!("the first wait of {first} is longer than the longest of {longest}");
        let at = ["initialInterval", "maxInterval"].into_iter().map(|field| format!("{pointer}/{field}"));
        let at = at.into_iter().find(|pointer| entry.node(pointer).is_some()).unwrap_or_else(|| pointer.to_owned());
        findings.push(
            Finding::new(&codes::RETRY, entry.value_span(&at), message)
                .help("make `initialInterval` smaller or `maxInterval` larger"),
        );
    }
}
