//! Loads an input into catalogs. A file that did not change is not read again, so the cost of a call is proportional to
//! the change.

mod environment_view;
mod files;
mod pinned;
mod source_ids;
mod state;

use std::collections::HashMap;
use std::sync::Arc;

use self::state::LoadCall;
use super::definitions::Catalog;
use super::input::{Input, Snapshot};
use crate::text::{Finding, SourceMap};

pub use self::state::{CacheTally, ForeignFile, Loaded, LoadedCatalog, Loader};

/// Loads every definition of a snapshot. Pure: the same snapshot gives the same catalog and findings.
pub fn load(snapshot: &Snapshot) -> (Catalog, Vec<Finding>) {
    let input = Input { snapshot: snapshot.clone(), ..Input::default() };
    let loaded = Loader::default().load(&input);
    let catalogs = std::iter::once(&loaded.main).chain(loaded.environments.iter().map(|(_, catalog)| catalog));
    let findings = catalogs.flat_map(|loaded| loaded.findings.iter().map(|found| found.finding.clone())).collect();
    (loaded.main.catalog, findings)
}

impl Loader {
    /// Loads an input. The result depends on the input only; earlier inputs only save time.
    pub fn load(&mut self, input: &Input) -> Loaded {
        self.read = CacheTally::default();
        self.ids.begin();
        self.read_files(&input.snapshot);
        self.read_code(&input.snapshot);
        let mut before = std::mem::take(&mut self.pinned_files);
        let mut call = LoadCall {
            input,
            sources: SourceMap::default()
                .with_path_prefix(&input.snapshot.shown_under)
                .in_repository(input.snapshot.is_in_repository),
            pinned: Vec::new(),
            operator_override: None,
            composed: HashMap::new(),
            patches: HashMap::new(),
        };
        call.operator_override = self.operator_override(&mut call, &mut before);
        call.pinned = self.pinned(&mut call, &mut before);
        for file in before.into_values().flatten() {
            self.ids.release(file.id);
        }
        let files = self.files.iter().chain(self.pinned_files.values().flatten());
        let files = files.map(|file| (file.id, Arc::clone(&file.source)));
        let code = self.code.values().map(|file| (file.id, Arc::clone(&file.source)));
        call.sources.set(files.chain(code));
        let main = self.main(&mut call);
        let environments = self.environments(&mut call, &main);
        self.composed = call.composed;
        self.patches = call.patches;
        Loaded { main, environments, read: self.read, foreign: self.foreign() }
    }
}
