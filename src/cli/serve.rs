//! `evenkeel serve`: environments kept at what their sources declare.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;

use super::serve_args::Serving;
use super::worker_args::Work;
use super::{dev, output};
use crate::connector::Mocking;
use crate::reconcile::active::Pointer;
use crate::reconcile::environments::Environments;
use crate::reconcile::live_environments::LiveEnvironments;
use crate::reconcile::sources::folder_of;
use crate::server::Server;

/// Keep environments at what their sources declare, and run them.
///
/// PATH holds `Environment` documents: where each one's definitions come from (Git repositories or folders), where its
/// secrets come from, and how changes are applied. One that names no source reads PATH itself.
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// A folder or file with Environment documents.
    #[arg(default_value = ".")]
    path: PathBuf,
    #[command(flatten)]
    serving: Serving,
    #[command(flatten)]
    work: Work,
}

impl Serve {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        self.serving.start_log();
        super::executor()?.block_on(self.serve())
    }

    async fn serve(self) -> anyhow::Result<ExitCode> {
        self.work.traces.endpoint()?;
        let (listener, address) = self.serving.listen.start().await?;
        let access = self.serving.access()?;
        let context = self.serving.context(folder_of(&self.path)).await?;
        let environments = Environments::start(&self.path, context)?;
        output::data(&format!("listening on http://{address}\n"));
        let names: Vec<String> = environments.all.load().keys().cloned().collect();
        output::note(&format!("follows {}: {}", output::count(names.len(), "environment"), names.join(", ")));
        let served = LiveEnvironments {
            pointer: Pointer::empty(),
            environments: Some(environments.clone()),
            mocking: Mocking::None,
        };
        let (store, replica) = (Arc::clone(&environments.context.store), environments.context.replica.clone());
        let (working, background) = self.work.start(store, served, replica, address).await?;
        let server = Server::of(environments, access, self.serving.listen.allow_host);
        let server = server.with(working);
        let served = server.serve(listener, dev::interrupted()).await;
        background.end().await;
        served.context("the server broke off")?;
        Ok(ExitCode::SUCCESS)
    }
}
