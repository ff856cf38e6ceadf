//! The desired set of one environment: the definitions of its sources, with its document, overlays and selector applied.
//!
//! ```text
//! snapshot, Environment document ──Validator──► catalog (overlays merged, definitions selected), findings
//!                                                  │ candidate::build
//!                                                  ▼
//!                                              Inventory, which plans compare
//! ```
//!
//! A pure function of its input. The reconciler calls the same two steps with caches and with the definitions that its store
//! adds, so a plan that is made on a developer's machine is the plan that a server makes of the same files.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::candidate::{self, CandidateCache, Provenance};
use super::validate::{Validated, Validator};
use crate::catalog::{self, EnvironmentSelection, Input, Snapshot};
use crate::definition::Kind;
use crate::plan::Inventory;
use crate::source::UnreadableFile;

/// The definitions that an environment is to run.
#[derive(Debug)]
pub struct DesiredSet {
    /// The validated definitions.
    pub validated: Arc<Validated>,
    /// The definitions as plans compare them.
    pub inventory: Inventory,
}

/// Makes the desired set of an environment. `read` reads the files that definitions name, such as code.
///
/// # Errors
/// A file that a definition names cannot be read.
pub fn desired_set(
    validator: &mut Validator,
    snapshot: &Snapshot,
    unreadable: &[UnreadableFile],
    environment: &EnvironmentSelection,
    read: impl Fn(&str) -> anyhow::Result<Vec<u8>>,
) -> anyhow::Result<DesiredSet> {
    let input = Input { environment: Some(environment.clone()), ..Input::from(snapshot) };
    let validated = Arc::new(validator.validate(&input, unreadable));
    let mut assets: BTreeMap<String, Arc<[u8]>> = BTreeMap::new();
    for path in catalog::assets(&validated.catalog) {
        let bytes = read(&path)?;
        assets.insert(path, bytes.into());
    }
    let provenance = Provenance { document: environment.document.as_ref(), assets, ..Provenance::default() };
    let candidate = candidate::build(&environment.name, &validated, provenance, &mut CandidateCache::default())?;
    Ok(DesiredSet { validated, inventory: candidate.inventory })
}

/// Names of the Environments that a snapshot declares, in the order of their files.
pub fn declared_environments(validator: &mut Validator, snapshot: &Snapshot) -> Vec<String> {
    let catalog = validator.load(&Input::from(snapshot));
    catalog.of_kind(Kind::Environment).map(|entry| entry.id.name.clone()).filter(|name| !name.is_empty()).collect()
}
