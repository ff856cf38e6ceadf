//! `evenkeel serve`: reconciles environments with their sources and serves them.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use clap::Args;

use super::output;
use super::runtime::{logged_shutdown_signal, runtime};
use super::serve_args::ServeArgs;
use super::workflow_args::WorkflowArgs;
use crate::connector::Mocking;
use crate::reconcile::active::Pointer;
use crate::reconcile::environments::Environments;
use crate::reconcile::live_environments::LiveEnvironments;
use crate::reconcile::sources::folder_of;
use crate::server::Server;

/// Serve environments and keep them in sync with their sources
#[derive(Debug, Args)]
#[command(after_help = "\
PATH contains Environment documents. Each names the sources of its definitions
(Git repositories or folders), the sources of its secrets, and how changes are
applied. An Environment without a source reads PATH itself.

Examples:
  evenkeel serve environments --tokens tokens.txt
  evenkeel serve environments --store postgres://keel@db/keel --bind 0.0.0.0")]
pub(super) struct Serve {
    /// Folder or file with Environment documents
    #[arg(default_value = ".")]
    path: PathBuf,
    #[command(flatten)]
    args: ServeArgs,
    #[command(flatten)]
    workflows: WorkflowArgs,
}

impl Serve {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        self.args.start_log();
        runtime()?.block_on(self.serve())
    }

    async fn serve(self) -> anyhow::Result<ExitCode> {
        self.workflows.traces.endpoint()?;
        self.args.check_bind()?;
        let (listener, address) = self.args.listen.bind().await?;
        let access = self.args.access()?;
        let mut context = self.args.context(folder_of(&self.path)).await?;
        context.public_url = Some(self.workflows.public_url(address));
        let environments = Environments::start(&self.path, context)?;
        output::data(&format!("listening on http://{address}\n"));
        let names: Vec<String> = environments.all.load().keys().cloned().collect();
        self.args.log_start(address, &access, &names.join(", "));
        output::note(&format!("serving {}: {}", output::count(names.len(), "environment"), names.join(", ")));
        let live = LiveEnvironments {
            pointer: Pointer::empty(),
            environments: Some(environments.clone()),
            mocking: Mocking::None,
        };
        let (store, replica) = (Arc::clone(&environments.context.store), environments.context.replica.clone());
        let (workflows, background) = self.workflows.start(store, live, replica, address).await?;
        let server = Server::with_environments(environments, access, self.args.listen.allow_host);
        let server = server.with_workflows(workflows).with_public_metrics(self.args.public_metrics);
        let served = server.serve(listener, logged_shutdown_signal()).await;
        let stopping = Instant::now();
        background.stop().await;
        served.context("the server failed")?;
        tracing::info!(ms = stopping.elapsed().as_micros() as f64 / 1000.0, "shutdown ended");
        Ok(ExitCode::SUCCESS)
    }
}
