//! The leadership of an environment: a lease that is renewed while its holder lives.

use std::sync::Arc;

use super::lease_renewal::{LEASE_SECONDS, LeaseRenewal};
use super::scope::Scope;
use crate::store::{Lease, StoreError};

/// Role of this process in a pass.
#[derive(Debug)]
pub(super) enum Role {
    /// It reads the sources and activates generations, with its lease if the store is shared.
    Leader(Option<Lease>),
    /// It serves the generations that another process activates.
    Follower,
}

/// Leadership over passes.
#[derive(Debug, Default)]
pub(super) struct Leadership {
    renewal: Option<LeaseRenewal>,
    follows: bool,
}

impl Leadership {
    /// True if another process leads.
    pub(super) fn follows(&self) -> bool {
        self.follows
    }

    /// Takes or renews the lease, unless leadership is decided elsewhere or the store is not shared.
    ///
    /// # Errors
    /// The store cannot be reached.
    pub(super) async fn acquire(&mut self, scope: &Scope) -> Result<Role, StoreError> {
        self.follows = false;
        let context = &scope.context;
        if context.is_leader.as_ref().is_some_and(|is_leader| !*is_leader.borrow()) {
            (self.renewal, self.follows) = (None, true);
            return Ok(Role::Follower);
        }
        if !context.shared {
            return Ok(Role::Leader(None));
        }
        let name = format!("environment/{}", scope.key());
        let Some(lease) = scope.store().acquire_lease(&name, &context.replica, LEASE_SECONDS).await? else {
            (self.renewal, self.follows) = (None, true);
            return Ok(Role::Follower);
        };
        if self.renewal.as_ref().is_none_or(|renewal| !renewal.holds(&lease)) {
            self.renewal = Some(LeaseRenewal::start(Arc::clone(&context.store), &lease));
        }
        Ok(Role::Leader(Some(lease)))
    }

    /// Gives leadership up after another process was faster.
    pub(super) fn lose(&mut self, scope: &Scope) {
        (self.renewal, self.follows) = (None, scope.context.shared);
    }
}
