//! The budget of a render.
//!
//! Filters, operators and objects reach the budget of the current render
//! through a thread local: a render is synchronous and stays on its thread, and
//! minijinja calls objects also where it passes no state.  A guard installs the
//! budget and restores the previous one, so that a [`TemplateHost`] may itself
//! render a template.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use minijinja::{Error, ErrorKind};

use super::host::TemplateHost;
use super::{Limits, RenderErrorKind};

/// Minimum cost of a charge, in bytes, so that no loop is free.
pub(super) const UNIT: usize = 16;

thread_local! {
    static CURRENT: RefCell<Option<Rc<Budget>>> = const { RefCell::new(None) };
}

/// A container created by the running template, which the budget owns until the
/// end of the render.
pub(super) trait RenderOwned: Send + Sync {
    /// Drops the content, so that cycles of containers are freed.
    fn clear(&self);
}

/// The remaining budget of a render, with its host and its containers.
pub(super) struct Budget {
    work: Cell<usize>,
    memory: Cell<usize>,
    output: Cell<usize>,
    failure: RefCell<Option<(RenderErrorKind, String)>>,
    containers: RefCell<Vec<Arc<dyn RenderOwned>>>,
    host: Arc<dyn TemplateHost>,
}

impl Budget {
    /// The budget of the render that runs on this thread.
    pub fn current() -> Result<Rc<Budget>, Error> {
        CURRENT
            .with(|current| current.borrow().clone())
            .ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "no render is running"))
    }

    /// Charges for reading `bytes`.
    pub fn charge_work(&self, bytes: usize) -> Result<(), Error> {
        if let Some(left) = self.work.get().checked_sub(bytes.saturating_add(UNIT)) {
            self.work.set(left);
            Ok(())
        } else {
            // No later charge may succeed after a failed one.
            self.work.set(0);
            Err(self.fail(RenderErrorKind::WorkTooLarge, "the template exceeds the work limit of a render"))
        }
    }

    /// Charges for allocating `bytes`.  Must be called before the allocation.
    pub fn charge_memory(&self, bytes: usize) -> Result<(), Error> {
        if let Some(left) = self.memory.get().checked_sub(bytes) {
            self.memory.set(left);
            self.charge_work(bytes)
        } else {
            self.memory.set(0);
            Err(self.fail(RenderErrorKind::WorkTooLarge, "the template exceeds the memory limit of a render"))
        }
    }

    /// Charges for `bytes` of output.
    pub fn charge_output(&self, bytes: usize) -> Result<(), Error> {
        if let Some(left) = self.output.get().checked_sub(bytes) {
            self.output.set(left);
            self.charge_work(bytes)
        } else {
            self.output.set(0);
            Err(self.fail(RenderErrorKind::OutputTooLarge, "the rendered text is too large"))
        }
    }

    /// Records a failure and returns the error to propagate through minijinja,
    /// which would lose the kind and the message.  The message must not contain
    /// a value.
    pub fn fail(&self, kind: RenderErrorKind, message: impl Into<String>) -> Error {
        let message = message.into();
        // The first failure is the cause; later ones are consequences.
        self.failure.borrow_mut().get_or_insert_with(|| (kind, message));
        Error::from(ErrorKind::InvalidOperation)
    }

    /// Takes the failure that [`fail`](Self::fail) recorded.
    pub fn take_failure(&self) -> Option<(RenderErrorKind, String)> {
        self.failure.borrow_mut().take()
    }

    /// The host of the render, for secrets and variables.
    pub fn host(&self) -> &dyn TemplateHost {
        &*self.host
    }

    /// Owns a container until the end of the render, see [`BudgetGuard`].
    pub fn own(&self, container: Arc<dyn RenderOwned>) {
        self.containers.borrow_mut().push(container);
    }
}

/// Records a failure in the budget of the current render.
pub(super) fn fail(kind: RenderErrorKind, message: impl Into<String>) -> Error {
    match Budget::current() {
        Ok(budget) => budget.fail(kind, message),
        Err(error) => error,
    }
}

/// Records a failure of kind [`RenderErrorKind::BadArgument`].
pub(super) fn bad_argument(message: impl Into<String>) -> Error {
    fail(RenderErrorKind::BadArgument, message)
}

/// A budget that is installed for the duration of a render.
pub(super) struct BudgetGuard {
    budget: Rc<Budget>,
    previous: Option<Rc<Budget>>,
}

impl BudgetGuard {
    /// Installs a new budget on this thread.
    pub fn install(limits: &Limits, host: Arc<dyn TemplateHost>) -> BudgetGuard {
        let budget = Rc::new(Budget {
            work: Cell::new(limits.work_bytes),
            memory: Cell::new(limits.memory_bytes),
            output: Cell::new(limits.output_bytes),
            failure: RefCell::new(None),
            containers: RefCell::new(Vec::new()),
            host,
        });
        let previous = CURRENT.with(|current| current.replace(Some(Rc::clone(&budget))));
        BudgetGuard { budget, previous }
    }

    /// The installed budget.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }
}

impl Drop for BudgetGuard {
    fn drop(&mut self) {
        CURRENT.with(|current| current.replace(self.previous.take()));
        // A template can build cycles (`a.append(a)`) and chains of any depth.
        // Reference counting would leak cycles and drop chains recursively.  The
        // budget owns every container, so clearing them one by one frees them
        // all, and no drop recurses deeper than one container.
        let containers = self.budget.containers.take();
        for container in &containers {
            container.clear();
        }
    }
}
