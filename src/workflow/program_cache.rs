//! Versions of workflows: their numbers, and the compiled programs of versions that are not live any more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::program::{Program, Programs};
use super::runtime_context::LiveEnvironment;
use crate::store::queue::Execution;
use crate::store::{Store, StoreError};
use crate::text::Digest;

/// Maximum number of compiled versions beside the live ones.
const MAX_PROGRAMS: usize = 256;
/// Number of versions that are published per request to the store.
const PUBLISH_BATCH: usize = 200;

/// Version numbers by environment, workflow and content.
type Versions = HashMap<(String, String, Digest), i64>;
/// Programs by environment, workflow and version.
type CompiledVersions = HashMap<(String, String, i64), Arc<Program>>;

/// The cache of versions and programs.
pub(super) struct ProgramCache {
    store: Arc<dyn Store>,
    versions: Mutex<Versions>,
    programs: Mutex<CompiledVersions>,
}

impl ProgramCache {
    pub(super) fn new(store: Arc<dyn Store>) -> ProgramCache {
        ProgramCache { store, versions: Mutex::default(), programs: Mutex::default() }
    }

    /// The version number of a program. A new program gets the next number.
    pub(super) async fn version(
        &self,
        environment: &str,
        generation: u64,
        program: &Program,
    ) -> Result<i64, StoreError> {
        let key = (environment.to_owned(), program.name.clone(), program.digest);
        if let Some(known) = self.versions().get(&key) {
            return Ok(*known);
        }
        let content = [(program.name.clone(), program.digest, program.content())];
        let published = self.store.publish(environment, generation, &content).await?;
        let version = published.first().map_or(0, |published| published.version);
        self.versions().insert(key, version);
        Ok(version)
    }

    /// Publishes the versions of all new programs of a generation. Returns their number.
    pub(super) async fn publish(
        &self,
        environment: &str,
        generation: u64,
        programs: &Programs,
    ) -> Result<usize, StoreError> {
        let new: Vec<&Arc<Program>> = {
            let known = self.versions();
            let key = |program: &Program| (environment.to_owned(), program.name.clone(), program.digest);
            programs.values().filter(|program| !known.contains_key(&key(program))).collect()
        };
        for batch in new.chunks(PUBLISH_BATCH) {
            let contents: Vec<_> =
                batch.iter().map(|program| (program.name.clone(), program.digest, program.content())).collect();
            let published = self.store.publish(environment, generation, &contents).await?;
            let key = |workflow, digest| (environment.to_owned(), workflow, digest);
            self.versions().extend(
                published.into_iter().map(|published| (key(published.workflow, published.digest), published.version)),
            );
        }
        Ok(new.len())
    }

    /// The program of an execution: the live one if it has the execution's version, else the stored version.
    ///
    /// # Errors
    /// The cause if the version is not available.
    pub(super) async fn program(&self, live: &LiveEnvironment, execution: &Execution) -> Result<Arc<Program>, String> {
        if let Some(program) = live.programs.get(&execution.workflow) {
            let version = self.version(&execution.environment, live.generation, program).await;
            if version.map_err(|error| error.to_string())? == execution.version {
                return Ok(Arc::clone(program));
            }
        }
        let key = (execution.environment.clone(), execution.workflow.clone(), execution.version);
        if let Some(known) = self.programs().get(&key) {
            return Ok(Arc::clone(known));
        }
        let content = self.store.version(&execution.environment, &execution.workflow, execution.version).await;
        let content = content.map_err(|error| error.to_string())?.ok_or_else(|| {
            format!("version {} of workflow `{}` does not exist", execution.version, execution.workflow)
        })?;
        let program = Arc::new(Program::from_content(&content)?);
        let mut programs = self.programs();
        if programs.len() >= MAX_PROGRAMS {
            programs.clear();
        }
        programs.insert(key, Arc::clone(&program));
        Ok(program)
    }

    fn versions(&self) -> MutexGuard<'_, Versions> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn programs(&self) -> MutexGuard<'_, CompiledVersions> {
        self.programs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
