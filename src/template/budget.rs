//! The budget of a render.
//!
//! Filters, operators and objects reach the budget of the render they run in
//! through a thread local: a render is synchronous and stays on its thread,
//! and objects are also reached from places where minijinja hands out no
//! state.  A guard installs the budget and puts back what was there before, so
//! that a [`Host`] may itself render something.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use minijinja::{Error, ErrorKind};

use super::containers::{Dict, List};
use super::{Host, Limits, RenderErrorKind};

/// What every charge costs at least, so that no loop over the budget is free.
pub(super) const UNIT: usize = 16;

thread_local! {
    static CURRENT: RefCell<Option<Rc<Budget>>> = const { RefCell::new(None) };
}

/// A container made by the running template.
pub(super) enum Made {
    List(Arc<List>),
    Dict(Arc<Dict>),
}

/// The remaining budget of a render and what else belongs to it.
pub(super) struct Budget {
    work: Cell<usize>,
    held: Cell<usize>,
    output: Cell<usize>,
    failure: RefCell<Option<(RenderErrorKind, String)>>,
    made: RefCell<Vec<Made>>,
    host: Arc<dyn Host>,
}

impl Budget {
    /// The meter of the render that runs on this thread.
    pub fn current() -> Result<Rc<Budget>, Error> {
        CURRENT
            .with(|current| current.borrow().clone())
            .ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "no render is running"))
    }

    /// Charges for looking at `bytes`.
    pub fn work(&self, bytes: usize) -> Result<(), Error> {
        if let Some(left) = self.work.get().checked_sub(bytes.saturating_add(UNIT)) {
            self.work.set(left);
            Ok(())
        } else {
            // What comes after a failed charge must not succeed either.
            self.work.set(0);
            Err(self.fail(RenderErrorKind::WorkTooLarge, "the template does more work than a render may do"))
        }
    }

    /// Charges for allocating `bytes`; call it before the allocation.
    pub fn hold(&self, bytes: usize) -> Result<(), Error> {
        if let Some(left) = self.held.get().checked_sub(bytes) {
            self.held.set(left);
            self.work(bytes)
        } else {
            self.held.set(0);
            Err(self.fail(RenderErrorKind::WorkTooLarge, "the template needs more memory than a render may use"))
        }
    }

    /// Charges for `bytes` of output.
    pub fn output(&self, bytes: usize) -> Result<(), Error> {
        if let Some(left) = self.output.get().checked_sub(bytes) {
            self.output.set(left);
            self.work(bytes)
        } else {
            self.output.set(0);
            Err(self.fail(RenderErrorKind::OutputTooLarge, "the rendered text is too large"))
        }
    }

    /// Makes an error of our own: it keeps its kind and message on the way out
    /// through minijinja.  The message must not hold a value.
    pub fn fail(&self, kind: RenderErrorKind, message: impl Into<String>) -> Error {
        let message = message.into();
        // The first failure is the cause, later ones are consequences.
        self.failure.borrow_mut().get_or_insert_with(|| (kind, message));
        Error::from(ErrorKind::InvalidOperation)
    }

    /// Takes what [`fail`](Self::fail) noted.
    pub fn take_failure(&self) -> Option<(RenderErrorKind, String)> {
        self.failure.borrow_mut().take()
    }

    /// The host the render may ask for secrets and variables.
    pub fn host(&self) -> &dyn Host {
        &*self.host
    }

    /// Keeps a container until the end of the render, see [`Guard`].
    pub fn keep(&self, made: Made) {
        self.made.borrow_mut().push(made);
    }
}

/// Notes a failure with the running render's meter.
pub(super) fn fail(kind: RenderErrorKind, message: impl Into<String>) -> Error {
    match Budget::current() {
        Ok(meter) => meter.fail(kind, message),
        Err(error) => error,
    }
}

/// A failure of kind [`RenderErrorKind::BadArgument`].
pub(super) fn bad(message: impl Into<String>) -> Error {
    fail(RenderErrorKind::BadArgument, message)
}

/// A meter installed for the time of a render.
pub(super) struct Guard {
    meter: Rc<Budget>,
    previous: Option<Rc<Budget>>,
}

impl Guard {
    /// Installs a new meter on this thread.
    pub fn install(limits: &Limits, host: Arc<dyn Host>) -> Guard {
        let meter = Rc::new(Budget {
            work: Cell::new(limits.work_bytes),
            held: Cell::new(limits.held_bytes),
            output: Cell::new(limits.output_bytes),
            failure: RefCell::new(None),
            made: RefCell::new(Vec::new()),
            host,
        });
        let previous = CURRENT.with(|current| current.replace(Some(Rc::clone(&meter))));
        Guard { meter, previous }
    }

    /// The installed meter.
    pub fn meter(&self) -> &Budget {
        &self.meter
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        CURRENT.with(|current| current.replace(self.previous.take()));
        // A template can build cycles (`a.append(a)`) and chains of any depth.
        // Reference counting would leak the former and drop the latter
        // recursively.  The meter holds every container, so emptying them one
        // by one frees them all, and no drop goes deeper than one container.
        let made = self.meter.made.take();
        for container in &made {
            match container {
                Made::List(list) => list.clear(),
                Made::Dict(dict) => dict.clear(),
            }
        }
    }
}
