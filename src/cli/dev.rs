//! `evenkeel dev`: serves a folder of definitions and reloads it on every edit.

mod lines;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, bail};
use clap::Args;

pub(super) use self::lines::EventLines;
use super::environment_args::VARIABLE;
use super::listen_args::{self, ListenArgs};
use super::logging;
use super::output;
use super::runtime::{runtime, shutdown_signal};
use super::workflow_args::{TraceArgs, WorkflowArgs};
use crate::connector::{Mocking, Runtime};
use crate::reconcile::active::Pointer;
use crate::reconcile::clock::now;
use crate::reconcile::live_environments::LiveEnvironments;
use crate::reconcile::readiness::{Problem, problems};
use crate::reconcile::validate::{Validated, Validator};
use crate::reconcile::watch::{self, Event, Source};
use crate::server::Server;
use crate::store;
use crate::text::Digest;
use crate::trigger::readiness::Surroundings;

/// Run definitions locally and reload them on every edit
#[derive(Debug, Args)]
#[command(after_help = "\
Serves actions, workflows and a page to try them, in one process on one port.
Prints a line for each call, webhook, execution and line that code logs.
After an edit with errors, the last good generation keeps serving. Calls to
hosts under `.example`, `.test` and `example.com` are answered from the tests
of actions, so that the examples need no account.

Examples:
  evenkeel dev definitions
  evenkeel dev --port 0 --mock")]
pub(super) struct Dev {
    /// Folder of definitions
    #[arg(default_value = ".")]
    path: PathBuf,
    /// Environment to run [default: the first one found]
    #[arg(short, long, env = VARIABLE, value_name = "ENVIRONMENT")]
    environment: Option<String>,
    /// Answer every call from the tests of actions
    #[arg(long)]
    mock: bool,
    #[command(flatten)]
    listen: ListenArgs,
    /// Allow applications on this machine, such as http://localhost:3000
    #[arg(long, help_heading = listen_args::HEADING)]
    allow_loopback: bool,
    /// Address at which applications reach this server [default: http://ADDRESS:PORT]
    #[arg(long, env = "EVENKEEL_PUBLIC_URL", value_name = "URL", help_heading = listen_args::HEADING)]
    public_url: Option<String>,
    #[command(flatten)]
    traces: TraceArgs,
}

impl Dev {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let source = Source {
            path: self.path.clone(),
            environment: self.environment.clone(),
            allow_loopback: self.allow_loopback,
        };
        let mut validator = Validator::new();
        let loaded = source.load(&mut validator);
        let (validated, active, generation) = loaded.with_context(|| format!("cannot run {}", self.path.display()))?;
        let Some(active) = active else {
            output::findings(&validated);
            bail!("nothing to serve: the definitions have errors, and there is no earlier generation");
        };
        let pointer = Pointer::new(active);
        runtime()?.block_on(self.serve(source, pointer, validator, validated, generation))
    }

    async fn serve(
        self,
        source: Source,
        pointer: Pointer,
        validator: Validator,
        validated: Arc<Validated>,
        generation: String,
    ) -> anyhow::Result<ExitCode> {
        self.traces.endpoint()?;
        logging::start_lines(EventLines { path_prefix: validated.catalog.sources.path_prefix().to_owned() });
        let (listener, address) = self.listen.bind().await?;
        let public_url = self.public_url.clone().unwrap_or_else(|| format!("http://{address}"));
        let mocking = if self.mock { Mocking::All } else { Mocking::Examples };
        let mut warnings = Warnings { public_url, mocking, known: BTreeSet::new() };
        self.print_summary(&pointer, &validated, address, &mut warnings);
        let live = LiveEnvironments { pointer: pointer.clone(), environments: None, mocking };
        // The store lives as long as the process: `dev` is for trying definitions.
        let store = store::open("sqlite::memory:", store::Keys::none()).await?;
        let (workflows, background) =
            WorkflowArgs::local(self.traces, self.public_url).start(store, live, "dev".to_owned(), address).await?;
        let server = Server::new(pointer.clone(), mocking, self.listen.allow_host);
        // `dev` trusts its callers: it serves examples and drafts, on this machine unless `--bind` says otherwise.
        let server = server.with_workflows(workflows);
        let stopped = Arc::new(AtomicBool::new(false));
        let watcher_stopped = Arc::clone(&stopped);
        let watch = move || {
            watch::watch_folder(&source, &pointer, validator, generation, |event| {
                print_event(&event);
                warnings.print(&pointer);
                !watcher_stopped.load(Ordering::Relaxed)
            });
        };
        std::thread::Builder::new().name("watch".into()).spawn(watch).context("cannot start the watch thread")?;
        let served = server.serve(listener, shutdown_signal()).await;
        stopped.store(true, Ordering::Relaxed);
        background.stop().await;
        served.context("the server failed")?;
        Ok(ExitCode::SUCCESS)
    }

    fn print_summary(&self, pointer: &Pointer, validated: &Validated, address: SocketAddr, warnings: &mut Warnings) {
        let Some(active) = pointer.load() else { return };
        let runtime = &active.runtime;
        output::data(&format!("listening on http://{address}\n"));
        let actions: usize = runtime.connectors.values().map(|connector| connector.actions.len()).sum();
        let environment = if runtime.environment.is_empty() { "none" } else { &runtime.environment };
        output::note(&format!(
            "{}, {} with {}, environment {environment}, generation {}",
            output::count(validated.catalog.entries.len(), "definition"),
            output::count(runtime.connectors.len(), "connector"),
            output::count(actions, "action"),
            short(&runtime.generation),
        ));
        if !validated.findings.is_empty() {
            output::findings(validated);
        }
        warnings.print(pointer);
        if let Some(command) = sample_call(runtime, address) {
            output::note(&format!("try: {command}"));
        }
        if self.mock {
            output::note("every call is answered from the tests of actions (--mock)");
        }
        output::note("edits go live when saved; Ctrl+C stops");
    }
}

/// Warnings about definitions that are valid and cannot work, such as a webhook whose secret has no value.
struct Warnings {
    public_url: String,
    mocking: Mocking,
    /// Problems of the last generation.
    known: BTreeSet<Problem>,
}

impl Warnings {
    /// Prints the problems of the generation that serves, except for those of the generation before it.
    fn print(&mut self, pointer: &Pointer) {
        let Some(active) = pointer.load() else { return };
        let surroundings = Surroundings { public_url: Some(&self.public_url), mocking: self.mocking, now: now() };
        let found: BTreeSet<Problem> = problems(&active, surroundings).into_iter().collect();
        for problem in found.difference(&self.known) {
            output::warning(&problem.to_string());
        }
        self.known = found;
    }
}

/// A curl command for an action, with the input of a test if it has one without path parameters.
fn sample_call(runtime: &Runtime, address: SocketAddr) -> Option<String> {
    runtime.connectors.values().find_map(|connector| {
        let runnable = connector.actions.values().filter(|action| action.is_runnable());
        let action = runnable.max_by_key(|action| action.spec.tests.iter().any(|test| test.path_params.is_empty()))?;
        let test = action.spec.tests.iter().find(|test| test.path_params.is_empty());
        let input = test.and_then(|test| test.input.as_ref()).map_or_else(|| "{}".to_owned(), ToString::to_string);
        Some(format!(
            "curl http://{address}/v1/connectors/{}/actions/{} -d '{}'",
            connector.name,
            action.name,
            input.replace('\'', "'\\''")
        ))
    })
}

fn print_event(event: &Event) {
    match event {
        Event::Activated { validated, generation, took } => {
            if !validated.findings.is_empty() {
                output::findings(validated);
            }
            let milliseconds = took.as_secs_f64() * 1000.0;
            output::note(&format!("live: generation {}, {milliseconds:.0} ms after the edit", short(generation)));
        }
        Event::Refused { validated } => {
            output::findings(validated);
            output::note("not live: the last good definitions keep serving");
        }
        Event::Unreadable { reason } => {
            output::note(&format!("not live: {reason}; the last good definitions keep serving"));
        }
        Event::Unwatched { reason } => {
            output::note(&format!("cannot watch files: {reason}; checking for changes twice per second instead"));
        }
    }
}

/// The first digits of a digest, for people.
fn short(digest: &str) -> String {
    digest.parse::<Digest>().map_or_else(|_| digest.to_owned(), |digest| digest.short())
}
