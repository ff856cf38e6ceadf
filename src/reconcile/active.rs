//! What serves, and what is wrong with what does not: replaced as a whole, never changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::validate::Validated;
use crate::catalog::Catalog;
use crate::connector::Runtime;
use crate::net;
use crate::trigger::{self, Triggers};
use crate::workflow::{self, Programs};

/// What serves now, and what the last look at the source found.
#[derive(Debug)]
pub struct Active {
    /// The generation that serves.
    pub runtime: Arc<Runtime>,
    /// The guarded client, which reaches what this generation's environment allows.
    pub client: net::Client,
    /// The last look: of this generation, or of a broken one after it.
    pub validated: Arc<Validated>,
    /// Does `examined` serve? If not, it is broken and the last good one serves.
    pub current: bool,
    /// The generation's number; 0 where generations are not counted.
    pub number: u64,
    /// The revision of each source, by its name.
    pub revisions: BTreeMap<String, String>,
    /// Workflows and triggers.
    pub work: Work,
}

/// What starts and runs in a generation.
#[derive(Clone, Debug, Default)]
pub struct Work {
    /// Workflows by name.
    pub programs: Arc<Programs>,
    /// Triggers by name.
    pub triggers: Arc<Triggers>,
}

impl Work {
    /// Compiles what a catalog declares; `read` gives files by their path from the source's root.
    ///
    /// # Errors
    /// Where something cannot be compiled, which no checked catalog gives.
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

/// The one pointer that is swapped.
#[derive(Clone, Debug)]
pub struct Pointer(Arc<ArcSwapOption<Active>>);

impl Pointer {
    /// Starts with a generation.
    pub fn new(active: Active) -> Pointer {
        Pointer(Arc::new(ArcSwapOption::from_pointee(active)))
    }

    /// Starts with nothing: calls are told to come back.
    pub fn empty() -> Pointer {
        Pointer(Arc::new(ArcSwapOption::empty()))
    }

    /// What is active: a call that holds it finishes on it, whatever becomes active meanwhile.
    /// `None` where nothing was ever active.
    pub fn load(&self) -> Option<Arc<Active>> {
        self.0.load_full()
    }

    /// Replaces what is active.
    pub fn store(&self, active: Active) {
        self.0.store(Some(Arc::new(active)));
    }
}
