//! The arguments of commands that run workflows, and the tasks that run them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::egress::private_policy;
use crate::net;
use crate::reconcile::live_environments::LiveEnvironments;
use crate::server::WorkflowService;
use crate::store::Store;
use crate::telemetry::{self, TraceExport};
use crate::trigger::service::{TriggerProvider, TriggerService};
use crate::workflow::{
    Clock, Dispatcher, EnvironmentProvider, ProcessEngine, QuickJs, ScriptEngine, Worker, WorkerSettings,
};

/// Execution of workflows.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Workflow options")]
pub(super) struct WorkflowArgs {
    /// Public address of this server for webhooks [default: http://ADDRESS:PORT]
    #[arg(long, env = "EVENKEEL_PUBLIC_URL", value_name = "URL")]
    public_url: Option<String>,
    /// Maximum number of concurrent executions; 0 disables execution in this process
    #[arg(long, default_value_t = 64, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(0..=10_000))]
    executions: u32,
    /// Isolation of scripts: threads, or processes with limits of the operating system
    #[arg(long, default_value = "thread", value_name = "ISOLATION")]
    scripts: ScriptIsolation,
    /// Days to keep finished executions, events and logs
    #[arg(long, default_value_t = 30, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=3650))]
    keep: u32,
    #[command(flatten)]
    pub(super) traces: TraceArgs,
}

/// Export of traces.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Telemetry options")]
pub(super) struct TraceArgs {
    /// OTLP/HTTP endpoint for traces [env: OTEL_EXPORTER_OTLP_ENDPOINT] [default: no traces]
    #[arg(long, value_name = "URL")]
    otlp_endpoint: Option<String>,
}

impl TraceArgs {
    /// The configured OTLP endpoint, if any.
    ///
    /// # Errors
    /// Fails if the URL is invalid, so that a server does not start with it.
    pub(super) fn endpoint(&self) -> anyhow::Result<Option<String>> {
        let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.trim().is_empty());
        let is_off = variable("OTEL_SDK_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true"))
            || variable("OTEL_TRACES_EXPORTER").is_some_and(|text| text == "none");
        let named = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
        let endpoint = self.otlp_endpoint.clone().or_else(|| named.into_iter().find_map(variable));
        let endpoint = endpoint.filter(|_| !is_off);
        endpoint.as_deref().map_or(Ok(()), telemetry::validate_endpoint)?;
        Ok(endpoint)
    }

    /// Starts the export of traces.
    fn start(&self, instance: &str) -> anyhow::Result<Option<TraceExport>> {
        let Some(endpoint) = self.endpoint()? else { return Ok(None) };
        // The operator chooses the endpoint; collectors often run on the same machine.
        let client = net::Client::new(private_policy(true)?)?;
        Ok(Some(telemetry::start_export(&endpoint, instance, client)?))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ScriptIsolation {
    Thread,
    Process,
}

/// Background tasks of a server.
pub(super) struct Background {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    traces: Option<TraceExport>,
}

impl Background {
    /// Stops the tasks and waits at most 15 s for each.
    pub(super) async fn stop(self) {
        let _ = self.stop.send(true);
        for task in self.tasks {
            let _ = tokio::time::timeout(Duration::from_secs(15), task).await;
        }
        if let Some(traces) = self.traces {
            traces.shutdown().await;
        }
    }
}

impl WorkflowArgs {
    /// The settings of `evenkeel dev`.
    pub(super) fn local(traces: TraceArgs, public_url: Option<String>) -> WorkflowArgs {
        WorkflowArgs { public_url, executions: 64, scripts: ScriptIsolation::Thread, keep: 30, traces }
    }

    /// The address at which applications call a server that listens on `address`.
    pub(super) fn public_url(&self, address: SocketAddr) -> String {
        self.public_url.clone().unwrap_or_else(|| format!("http://{address}"))
    }

    /// Starts the dispatcher, the triggers and the worker.
    ///
    /// # Errors
    /// Fails if the OTLP endpoint is invalid or the store does not respond.
    pub(super) async fn start(
        &self,
        store: Arc<dyn Store>,
        live: LiveEnvironments,
        worker: String,
        address: SocketAddr,
    ) -> anyhow::Result<(WorkflowService, Background)> {
        let traces = self.traces.start(&worker)?;
        let engine: Arc<dyn ScriptEngine> = match self.scripts {
            ScriptIsolation::Thread => Arc::new(QuickJs),
            ScriptIsolation::Process => Arc::new(ProcessEngine::new(std::env::current_exe()?)),
        };
        let settings = WorkerSettings {
            worker,
            concurrency: self.executions as usize,
            retention: Duration::from_hours(24 * u64::from(self.keep)),
            ..WorkerSettings::default()
        };
        let clock = Clock::default();
        clock.synchronize(store.time().await?);
        let environments: Arc<dyn EnvironmentProvider> = Arc::new(live.clone());
        let dispatcher = Dispatcher::open(store, environments, engine, clock, settings);
        let public_url = self.public_url(address);
        let (stop, stopped) = watch::channel(false);
        let triggers: Arc<dyn TriggerProvider> = Arc::new(live.clone());
        let service = TriggerService::new(Arc::clone(&dispatcher), triggers, public_url.clone());
        let mut tasks = vec![tokio::spawn(service.run(stopped.clone()))];
        if self.executions > 0 {
            tasks.push(tokio::spawn(Worker::new(Arc::clone(&dispatcher)).run(stopped)));
        }
        Ok((WorkflowService { dispatcher, live, public_url }, Background { stop, tasks, traces }))
    }
}
