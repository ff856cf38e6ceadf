//! `evenkeel render`: shows the request of an action.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use serde_json::{Value, json};

use super::action_args::{ActionArgs, print_error};
use super::output;
use crate::connector::{self, PreparedRequest};

/// Print the request that an action would send
#[derive(Debug, Args)]
#[command(after_help = "\
Uses no network. Secrets are shown by name, as `[secret NAME]`.

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
            connector::prepare(&prepared.runtime, masked, &prepared.connector, &prepared.action, &prepared.call);
        match request {
            Ok(request) => {
                if prepared.output.print_json(&request_json(&request)).is_none() {
                    output::data(&request_text(&request));
                }
                Ok(ExitCode::SUCCESS)
            }
            Err(error) => Ok(print_error(&error, &prepared.call.request_id, prepared.output)),
        }
    }
}

fn request_json(request: &PreparedRequest) -> Value {
    let headers: BTreeMap<&String, &String> = request.headers.iter().map(|(name, value)| (name, value)).collect();
    let body = match serde_json::from_slice::<Value>(&request.body) {
        Ok(value) => value,
        Err(_) if request.body.is_empty() => Value::Null,
        Err(_) => Value::String(String::from_utf8_lossy(&request.body).into_owned()),
    };
    json!({"method": request.method, "url": request.url.as_str(), "headers": headers, "body": body})
}

/// The request as it is sent, except that a JSON body is indented.
fn request_text(request: &PreparedRequest) -> String {
    let mut text = format!("{} {}\n", request.method, request.url);
    for (name, value) in &request.headers {
        text += &format!("{name}: {value}\n");
    }
    if !request.body.is_empty() {
        text += "\n";
        text += &match serde_json::from_slice::<Value>(&request.body) {
            Ok(value) => format!("{value:#}"),
            Err(_) => String::from_utf8_lossy(&request.body).into_owned(),
        };
        text += "\n";
    }
    text
}
