//! The live environments of this process, as workflows and triggers see them.

use std::sync::Arc;
use std::time::Duration;

use super::active::{Active, Pointer};
use super::environments::Environments;
use crate::connector::{Caller, Mocking};
use crate::trigger::Triggers;
use crate::trigger::service::TriggerProvider;
use crate::workflow::{EnvironmentProvider, LiveEnvironment};

/// The environments of this process, or the one folder that `dev` watches.
#[derive(Clone, Debug)]
pub struct LiveEnvironments {
    /// The generation of the folder that `dev` watches.
    pub pointer: Pointer,
    /// The environments of `serve` and the operator.
    pub environments: Option<Environments>,
    /// Destination of calls: the real systems or mocks.
    pub mocking: Mocking,
}

impl LiveEnvironments {
    /// The generation that serves an environment.
    pub fn active(&self, environment: &str) -> Option<Arc<Active>> {
        match &self.environments {
            Some(environments) => environments.find(Some(environment))?.pointer.load(),
            None => self.pointer.load().filter(|active| active.runtime.environment == environment),
        }
    }

    /// A generation as executions see it.
    pub fn live_of(&self, active: &Active) -> LiveEnvironment {
        let caller = Caller {
            runtime: Arc::clone(&active.runtime),
            client: active.client.clone(),
            mocking: self.mocking,
            limiter: Arc::clone(&active.limiter),
        };
        LiveEnvironment {
            runtime: Arc::clone(&active.runtime),
            generation: active.number,
            programs: Arc::clone(&active.work.programs),
            actions: Arc::new(caller),
        }
    }
}

impl EnvironmentProvider for LiveEnvironments {
    fn live(&self, environment: &str) -> Option<LiveEnvironment> {
        self.active(environment).map(|active| self.live_of(&active))
    }

    fn names(&self) -> Vec<String> {
        match &self.environments {
            Some(environments) => {
                let all = environments.all.load();
                all.values()
                    .filter(|handle| handle.pointer.load().is_some())
                    .map(|handle| handle.name.clone())
                    .collect()
            }
            None => self.pointer.load().map(|active| active.runtime.environment.clone()).into_iter().collect(),
        }
    }

    fn execution_ended(&self, environment: &str, status: &'static str) {
        if let Some(environments) = &self.environments {
            environments.context.metrics.execution(environment, status);
        }
    }

    fn refused_by_quota(&self, environment: &str, quota: &'static str) {
        if let Some(environments) = &self.environments {
            environments.context.metrics.refused_by_limit(environment, quota);
        }
    }

    fn dead_letter_retention(&self, environment: &str, trigger: &str) -> Option<Duration> {
        let active = self.active(environment)?;
        match active.work.triggers.get(trigger) {
            Some(trigger) => trigger.dead_letter_retention(),
            // One that is gone by now still started it.
            None => Some(Duration::from_hours(30 * 24)),
        }
    }
}

impl TriggerProvider for LiveEnvironments {
    fn triggers(&self, environment: &str) -> Option<Arc<Triggers>> {
        self.active(environment).map(|active| Arc::clone(&active.work.triggers))
    }
}
