//! `evenkeel render`: shows the request of an action.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;

use super::action_args::{ActionArgs, print_error};
use super::output;
use crate::connector;

/// Print the request that an action would send
#[derive(Debug, Args)]
#[command(after_help = "\
Uses no network. Shows the bytes that a call would send over HTTP/1.1, with the
headers that the client adds. Secrets are shown by name, as `[secret NAME]`.
With -o json, a body of JSON is a value if its digits are those that are sent,
and any other body is text.

Examples:
  evenkeel render orbit-crm/get-contact --path-param id=7 -o json
  evenkeel render orbit-crm/create-contact --test 'creates a contact with tags'")]
pub(super) struct Render {
    #[command(flatten)]
    action: ActionArgs,
}

impl Render {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let Some(prepared) = self.action.prepare()? else { return Ok(ExitCode::FAILURE) };
        let masked = Arc::new(connector::MaskedSecrets);
        let request =
            connector::prepare(&prepared.runtime, masked, &prepared.connector, &prepared.action, &prepared.call)
                .and_then(|request| request.rendered());
        match request {
            Ok(request) => {
                if prepared.output.print_json(&request.to_json()).is_none() {
                    output::bytes(&request.to_bytes());
                }
                Ok(ExitCode::SUCCESS)
            }
            Err(error) => Ok(print_error(&error, &prepared.call.request_id, prepared.output)),
        }
    }
}
