//! Examples of each kind: valid documents, for schemas, `evenkeel explain` and the reference.
//!
//! All of them together are one valid set of definitions. `tests/it/reference` validates them and runs their tests.

use serde_json::Value;

use super::Kind;
use crate::text::{self, ReadLimits, Source};

/// The examples of a kind as YAML: one or more documents with comments, the most general first.
pub fn yaml(kind: Kind) -> &'static str {
    match kind {
        Kind::Connector => include_str!("examples/connector.yaml"),
        Kind::Widget => include_str!("examples/widget.yaml"),
        Kind::Trigger => include_str!("examples/trigger.yaml"),
        Kind::Workflow => include_str!("examples/workflow.yaml"),
        Kind::Environment => include_str!("examples/environment.yaml"),
        Kind::Tenant => include_str!("examples/tenant.yaml"),
        Kind::Connection => include_str!("examples/connection.yaml"),
        Kind::Entity => include_str!("examples/entity.yaml"),
        Kind::Role => include_str!("examples/role.yaml"),
        Kind::Alert => include_str!("examples/alert.yaml"),
    }
}

/// The examples of a kind as values, in the order of [`yaml`].
pub fn of_kind(kind: Kind) -> Vec<Value> {
    let source = Source::new("example.yaml", yaml(kind).to_owned());
    let (documents, _) = text::parse(&source, &ReadLimits::default());
    documents.iter().map(|document| document.root.to_json()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_examples_of_itself() {
        for kind in Kind::ALL {
            let examples = of_kind(kind);
            assert!(!examples.is_empty(), "{kind}");
            assert!(examples.iter().all(|example| example["kind"] == kind.as_str()), "{kind}: {examples:?}");
            // A syntax error would drop a document without a word.
            assert_eq!(examples.len(), yaml(kind).matches("\nkind: ").count(), "{kind}");
        }
    }
}
