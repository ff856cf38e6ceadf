//! The generation that serves calls in one environment: replaced as a whole, never modified.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::validate::Validated;
use crate::catalog::Catalog;
use crate::connector::Runtime;
use crate::net;
use crate::quota::Limiter;
use crate::trigger::{self, Triggers};
use crate::workflow::{self, Programs};

/// The generation that serves, with the validation of the last revision.
#[derive(Debug)]
pub struct Active {
    /// The generation that serves.
    pub runtime: Arc<Runtime>,
    /// The guarded client, which reaches what the egress policy of the environment allows.
    pub client: net::Client,
    /// Rate limits and quotas.
    pub limiter: Arc<Limiter>,
    /// The validation of this generation, or of a later revision with errors.
    pub validated: Arc<Validated>,
    /// True if `validated` serves; false if it has errors and the last good generation serves.
    pub current: bool,
    /// Number of the generation; 0 if generations are not counted.
    pub number: u64,
    /// Revision of each source, by its name.
    pub revisions: BTreeMap<String, String>,
    /// Workflows and triggers.
    pub work: Work,
}

/// Compiled workflows and triggers of a generation.
#[derive(Clone, Debug, Default)]
pub struct Work {
    /// Workflows by name.
    pub programs: Arc<Programs>,
    /// Triggers by name.
    pub triggers: Arc<Triggers>,
}

impl Work {
    /// Compiles the workflows and triggers of a catalog; `read` returns files by their path from the root of the source.
    ///
    /// # Errors
    /// One of them cannot be compiled, which does not happen to a valid catalog.
    pub fn compile(
        catalog: &Catalog,
        read: &dyn Fn(&str) -> Option<Vec<u8>>,
        before: Option<&Work>,
    ) -> Result<Work, String> {
        let programs = workflow::compile(catalog, read, before.map(|before| &*before.programs))?;
        let triggers = trigger::compile(catalog, before.map(|before| &*before.triggers))?;
        Ok(Work { programs: Arc::new(programs), triggers: Arc::new(triggers) })
    }
}

/// The pointer to the generation that serves; an activation swaps it.
#[derive(Clone, Debug)]
pub struct Pointer(Arc<ArcSwapOption<Active>>);

impl Pointer {
    /// Starts with a generation.
    pub fn new(active: Active) -> Pointer {
        Pointer(Arc::new(ArcSwapOption::from_pointee(active)))
    }

    /// Starts without a generation: calls are refused and may be repeated later.
    pub fn empty() -> Pointer {
        Pointer(Arc::new(ArcSwapOption::empty()))
    }

    /// The generation that serves: a call that holds it finishes on it, even if another one is activated meanwhile.
    /// `None` before the first activation.
    pub fn load(&self) -> Option<Arc<Active>> {
        self.0.load_full()
    }

    /// Replaces the generation that serves.
    pub fn store(&self, active: Active) {
        self.0.store(Some(Arc::new(active)));
    }
}
