//! What commands share that run workflows.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::serve_args::private_policy;
use crate::net;
use crate::reconcile::live_environments::LiveEnvironments;
use crate::server::Working;
use crate::store::Store;
use crate::telemetry::{self, TraceExport};
use crate::trigger::service::{TriggerProvider, TriggerService};
use crate::workflow::{
    Clock, Dispatcher, EnvironmentProvider, ProcessEngine, QuickJs, ScriptEngine, Worker, WorkerSettings,
};

/// How workflows are run.
#[derive(Clone, Debug, Args)]
pub(super) struct Work {
    /// Where applications reach this server, for webhooks that they are asked to call: `https://hooks.example.com`.
    #[arg(long, env = "EVENKEEL_PUBLIC_URL", value_name = "URL")]
    public_url: Option<String>,
    /// Executions at the same time in this process; 0 for none: others work.
    #[arg(long, default_value_t = 64, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(0..=10_000))]
    executions: u32,
    /// Where scripts run: in this process, or in processes of their own with limits of the operating system.
    #[arg(long, default_value = "thread", value_name = "WHERE")]
    scripts: Scripts,
    /// How long executions, events and logs are kept after they ended, in days.
    #[arg(long, default_value_t = 30, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=3650))]
    keep: u32,
    #[command(flatten)]
    pub(super) traces: Traces,
}

/// Where traces go.
#[derive(Clone, Debug, Args)]
pub(super) struct Traces {
    /// Send OpenTelemetry traces to a collector, by OTLP over HTTP: `http://localhost:4318`. Without it
    /// OTEL_EXPORTER_OTLP_ENDPOINT says where, and without both none are sent.
    #[arg(long, value_name = "URL")]
    otlp_endpoint: Option<String>,
}

impl Traces {
    /// Where they are sent, where somebody said so; refused before anything is served where that is nowhere.
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

    /// Begins to send them.
    fn start(&self, instance: &str) -> anyhow::Result<Option<TraceExport>> {
        let Some(endpoint) = self.endpoint()? else { return Ok(None) };
        // The operator's word, like where announcements go; collectors often run beside what they collect from.
        let client = net::Client::new(private_policy(true)?)?;
        Ok(Some(telemetry::start_export(&endpoint, instance, client)?))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Scripts {
    Thread,
    Process,
}

/// What runs in the background until it is told to end.
pub(super) struct Background {
    end: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    traces: Option<TraceExport>,
}

impl Background {
    /// Ends it, and waits for that.
    pub(super) async fn end(self) {
        let _ = self.end.send(true);
        for task in self.tasks {
            let _ = tokio::time::timeout(Duration::from_secs(15), task).await;
        }
        if let Some(traces) = self.traces {
            traces.shutdown().await;
        }
    }
}

impl Work {
    /// How `dev` does it.
    pub(super) fn local(traces: Traces) -> Work {
        Work { public_url: None, executions: 64, scripts: Scripts::Thread, keep: 30, traces }
    }

    /// Starts everything that runs workflows.
    pub(super) async fn start(
        &self,
        store: Arc<dyn Store>,
        served: LiveEnvironments,
        worker: String,
        address: SocketAddr,
    ) -> anyhow::Result<(Working, Background)> {
        let traces = self.traces.start(&worker)?;
        let engine: Arc<dyn ScriptEngine> = match self.scripts {
            Scripts::Thread => Arc::new(QuickJs),
            Scripts::Process => Arc::new(ProcessEngine::new(std::env::current_exe()?)),
        };
        let settings = WorkerSettings {
            worker,
            concurrency: self.executions as usize,
            retention: Duration::from_hours(24 * u64::from(self.keep)),
            ..WorkerSettings::default()
        };
        let clock = Clock::default();
        clock.synchronize(store.time().await?);
        let environments: Arc<dyn EnvironmentProvider> = Arc::new(served.clone());
        let dispatcher = Dispatcher::open(store, environments, engine, clock, settings);
        let public_url = self.public_url.clone().unwrap_or_else(|| format!("http://{address}"));
        let (end, until) = watch::channel(false);
        let triggers: Arc<dyn TriggerProvider> = Arc::new(served.clone());
        let service = TriggerService::new(Arc::clone(&dispatcher), triggers, public_url.clone());
        let mut tasks = vec![tokio::spawn(service.run(until.clone()))];
        if self.executions > 0 {
            tasks.push(tokio::spawn(Worker::new(Arc::clone(&dispatcher)).run(until)));
        }
        Ok((Working { dispatcher, served, public_url }, Background { end, tasks, traces }))
    }
}
