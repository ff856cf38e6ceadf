//! `evenkeel call`: calls an action.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;

use super::action_args::{ActionArgs, print_error};
use super::output;
use super::runtime::runtime;
use crate::connector::{self, ActionOutput, MockUpstream, NetworkUpstream, ProvidedSecrets, Secrets, Upstream};
use crate::net;
use crate::quota::Limiter;

/// Call an action and print its output
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel call orbit-crm/list-contacts --tenant acme
  evenkeel call orbit-crm/create-contact --mock -i '{\"email\": \"a@b.example\"}'")]
pub(super) struct Call {
    #[command(flatten)]
    action: ActionArgs,
    /// Answer from the tests of the action instead of the application
    #[arg(long)]
    mock: bool,
    /// Allow applications on this machine, such as http://localhost:3000
    #[arg(long)]
    allow_loopback: bool,
    /// Print the duration to stderr
    #[arg(long)]
    timing: bool,
}

impl Call {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let Some(prepared) = self.action.prepare()? else { return Ok(ExitCode::FAILURE) };
        let (upstream, secrets): (Box<dyn Upstream>, Arc<dyn Secrets>) = if self.mock {
            (Box::new(MockUpstream::new(Arc::clone(&prepared.runtime))), Arc::new(connector::MaskedSecrets))
        } else {
            let policy = crate::reconcile::policy(&prepared.runtime.egress, self.allow_loopback)?;
            let client = net::Client::new(policy).context("cannot set up the HTTP client")?;
            let vault = Arc::new(crate::reconcile::vault(&prepared.path, &prepared.runtime.secrets)?);
            let secrets = ProvidedSecrets::new(prepared.runtime.secrets.clone(), vault);
            let limiter = Limiter::in_memory();
            let upstream = NetworkUpstream::new(client, limiter, &prepared.runtime.environment);
            (Box::new(upstream), Arc::new(secrets))
        };
        let outcome = runtime()?.block_on(connector::call(
            &prepared.runtime,
            &*upstream,
            secrets,
            &prepared.connector,
            &prepared.action,
            prepared.call.clone(),
        ));
        if self.timing {
            output::note(&outcome.timing.server_timing());
        }
        match outcome.result {
            Ok(ActionOutput::Json { value, .. }) => output::data(&format!("{value:#}\n")),
            Ok(ActionOutput::Raw { bytes, .. }) => output::bytes(&bytes),
            Err(error) => return Ok(print_error(&error, &prepared.call.request_id, prepared.output)),
        }
        Ok(ExitCode::SUCCESS)
    }
}
