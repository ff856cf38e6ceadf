//! What serves, and what is wrong with what does not: replaced as a whole, never changed.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::examine::Examined;
use crate::connector::Runtime;
use crate::net;

/// What serves now, and what the last look at the source found.
#[derive(Debug)]
pub struct Active {
    /// The generation that serves.
    pub runtime: Arc<Runtime>,
    /// The guarded client, which reaches what this generation's environment allows.
    pub client: net::Client,
    /// The last look: of this generation, or of a broken one after it.
    pub examined: Arc<Examined>,
    /// Does `examined` serve? If not, it is broken and the last good one serves.
    pub current: bool,
}

/// The one pointer that is swapped.
#[derive(Clone, Debug)]
pub struct Pointer(Arc<ArcSwap<Active>>);

impl Pointer {
    /// Starts with a generation.
    pub fn new(active: Active) -> Pointer {
        Pointer(Arc::new(ArcSwap::from_pointee(active)))
    }

    /// What is active: a call that holds it finishes on it, whatever becomes active meanwhile.
    pub fn load(&self) -> Arc<Active> {
        self.0.load_full()
    }

    /// Replaces what is active.
    pub fn store(&self, active: Active) {
        self.0.store(Arc::new(active));
    }
}
