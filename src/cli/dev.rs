//! `evenkeel dev`: definitions running on this machine, following every edit.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, bail};
use clap::Args;

use super::listen_args::Listen;
use super::output;
use super::worker_args::{Traces, Work};
use crate::connector::Mocking;
use crate::reconcile::active::Pointer;
use crate::reconcile::live_environments::LiveEnvironments;
use crate::reconcile::validate::{Validated, Validator};
use crate::reconcile::watch::{self, Event, Source};
use crate::server::Server;
use crate::server::access::Access;
use crate::store;

/// Run definitions on this machine, and follow every edit.
///
/// Everything is in one process on one port: actions over HTTP, and a page to try them. A broken edit keeps the last good
/// definitions serving and prints what is wrong. Hosts under `.example`, `.test` and `example.com` are answered from the
/// tests beside actions, so that the examples need no account.
#[derive(Debug, Args)]
pub(super) struct Dev {
    /// A folder of definitions.
    #[arg(default_value = ".")]
    path: PathBuf,
    #[command(flatten)]
    listen: Listen,
    /// Answer every call from the tests beside actions.
    #[arg(long)]
    mock: bool,
    /// Allow applications on this machine, such as `http://localhost:3000`.
    #[arg(long)]
    allow_loopback: bool,
    /// The Environment; the first one where left out.
    #[arg(short, long, value_name = "NAME")]
    environment: Option<String>,
    #[command(flatten)]
    traces: Traces,
}

impl Dev {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let source = Source {
            path: self.path.clone(),
            environment: self.environment.clone(),
            allow_loopback: self.allow_loopback,
        };
        let mut examiner = Validator::new();
        let loaded = source.load(&mut examiner);
        let (examined, active, generation) = loaded.with_context(|| format!("cannot run {}", self.path.display()))?;
        let Some(active) = active else {
            output::findings(&examined);
            bail!("nothing can be served: there is no earlier version to fall back to");
        };
        let pointer = Pointer::new(active);
        super::executor()?.block_on(self.serve(source, pointer, examiner, examined, generation))
    }

    async fn serve(
        self,
        source: Source,
        pointer: Pointer,
        examiner: Validator,
        examined: Arc<Validated>,
        generation: String,
    ) -> anyhow::Result<ExitCode> {
        if self.traces.endpoint()?.is_some() {
            // Whether they arrive is told there.
            super::serve_args::start_log(super::serve_args::Log::Human, "warn");
        }
        let (listener, address) = self.listen.start().await?;
        self.greet(&pointer, &examined, address);
        let mocking = if self.mock { Mocking::All } else { Mocking::Examples };
        let served = LiveEnvironments { pointer: pointer.clone(), environments: None, mocking };
        // What is kept is kept as long as it runs: definitions are tried here, not relied on.
        let store = store::open("sqlite::memory:", store::Keys::none()).await?;
        let (working, background) = Work::local(self.traces).start(store, served, "dev".to_owned(), address).await?;
        let server = Server::new(pointer.clone(), mocking, self.listen.allow_host);
        let access = Access::new("", self.listen.bind.is_loopback()).map_err(anyhow::Error::msg)?;
        let server = server.with(working).asked_by(access);
        let ended = Arc::new(AtomicBool::new(false));
        let follower = Arc::clone(&ended);
        let run = move || {
            watch::watch_folder(&source, &pointer, examiner, generation, |event| {
                tell(&event);
                !follower.load(Ordering::Relaxed)
            });
        };
        std::thread::Builder::new().name("follow".into()).spawn(run).context("a thread cannot be started")?;
        let served = server.serve(listener, interrupted()).await;
        ended.store(true, Ordering::Relaxed);
        background.end().await;
        served.context("the server broke off")?;
        Ok(ExitCode::SUCCESS)
    }

    fn greet(&self, pointer: &Pointer, examined: &Validated, address: SocketAddr) {
        let Some(active) = pointer.load() else { return };
        let runtime = &active.runtime;
        output::data(&format!("listening on http://{address}\n"));
        let actions: usize = runtime.connectors.values().map(|connector| connector.actions.len()).sum();
        let environment = if runtime.environment.is_empty() { "none" } else { &runtime.environment };
        output::note(&format!(
            "{}, {} with {}, environment {environment}, generation {}",
            output::count(examined.catalog.entries.len(), "definition"),
            output::count(runtime.connectors.len(), "connector"),
            output::count(actions, "action"),
            runtime.generation,
        ));
        if !examined.findings.is_empty() {
            output::findings(examined);
        }
        let sample = runtime.connectors.values().find_map(|connector| {
            let runnable = connector.actions.values().filter(|action| action.is_runnable());
            let action =
                runnable.max_by_key(|action| action.spec.tests.iter().any(|test| test.path_params.is_empty()))?;
            let test = action.spec.tests.iter().find(|test| test.path_params.is_empty());
            let input = test.and_then(|test| test.input.as_ref()).map_or_else(|| "{}".to_owned(), ToString::to_string);
            Some(format!(
                "curl http://{address}/v1/connectors/{}/actions/{} -d '{}'",
                connector.name,
                action.name,
                input.replace('\'', "'\\''")
            ))
        });
        if let Some(sample) = sample {
            output::note(&format!("try: {sample}"));
        }
        if self.mock {
            output::note("every call is answered from the tests beside actions (--mock)");
        }
        output::note("edits go live as you save them; Ctrl+C ends");
    }
}

/// Ctrl+C, or the signal that ends services.
pub(super) async fn interrupted() {
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}

fn tell(event: &Event) {
    match event {
        Event::Activated { validated: examined, generation, took } => {
            if !examined.findings.is_empty() {
                output::findings(examined);
            }
            let milliseconds = took.as_secs_f64() * 1000.0;
            output::note(&format!("live: generation {generation}, {milliseconds:.0} ms after the edit"));
        }
        Event::Refused { validated: examined } => {
            output::findings(examined);
            output::note("not live: the last good definitions keep serving");
        }
        Event::Unreadable { reason } => {
            output::note(&format!("not live: {reason}; the last good definitions keep serving"));
        }
        Event::Unwatched { reason } => {
            output::note(&format!("files cannot be watched ({reason}); looking twice a second instead"));
        }
    }
}
