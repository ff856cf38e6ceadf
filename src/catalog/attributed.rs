//! Findings with the definitions that they belong to.

use super::definitions::Catalog;
use crate::definition::{Id, Kind};
use crate::text::Finding;

/// A finding and the definitions that it belongs to.
#[derive(Clone, Debug)]
pub struct AttributedFinding {
    /// The finding; its subject is the definition that it is about, if known.
    pub finding: Finding,
    /// The definitions that it belongs to.
    pub definitions: Vec<Id>,
    /// True if it may also belong to definitions that are not known, such as those of a file that cannot be parsed.
    pub unattributed: bool,
}

impl AttributedFinding {
    /// A finding about one definition, which becomes its subject.
    pub fn about(finding: Finding, id: &Id) -> AttributedFinding {
        // A definition without a name is indistinguishable from others without one.
        if id.name.is_empty() {
            return AttributedFinding { finding, definitions: Vec::new(), unattributed: true };
        }
        let finding = finding.subject(id.into());
        AttributedFinding { finding, definitions: vec![id.clone()], unattributed: false }
    }

    /// A finding that belongs to no known definition.
    pub fn unattributed(finding: Finding) -> AttributedFinding {
        AttributedFinding { finding, definitions: Vec::new(), unattributed: true }
    }

    /// True if it belongs only to environments other than the one that the catalog is for. They do not run there, and
    /// are validated by themselves.
    pub fn is_elsewhere(&self, catalog: &Catalog) -> bool {
        let other = |id: &Id| {
            id.kind == Kind::Environment && catalog.environment.as_ref().is_some_and(|chosen| *chosen != id.name)
        };
        !self.unattributed && !self.definitions.is_empty() && self.definitions.iter().all(other)
    }
}
