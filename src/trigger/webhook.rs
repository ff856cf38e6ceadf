//! Compiled webhook triggers.

use super::route::{Route, optional_template};
use crate::definition::trigger::WebhookTrigger;
use crate::template::Template;

/// A compiled webhook.
#[derive(Debug)]
pub struct Webhook {
    /// Its definition.
    pub spec: WebhookTrigger,
    /// The routes of its events.
    pub routes: Vec<Route>,
    pub(super) deduplicate: Option<Template>,
    pub(super) order_by: Option<Template>,
}

impl Webhook {
    /// Compiles a webhook.
    ///
    /// # Errors
    /// The cause if a template cannot be compiled.
    pub fn compile(spec: &WebhookTrigger) -> Result<Webhook, String> {
        Ok(Webhook {
            routes: Route::compile_all(&spec.routes)?,
            deduplicate: optional_template(spec.deduplicate.as_ref())?,
            order_by: optional_template(spec.order_by.as_ref())?,
            spec: spec.clone(),
        })
    }
}
