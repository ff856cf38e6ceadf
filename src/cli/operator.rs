//! `evenkeel operator`: runs as a Kubernetes operator.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use super::output;
use super::runtime::{logged_shutdown_signal, runtime};
use super::serve_args::ServeArgs;
use super::workflow_args::WorkflowArgs;
use crate::connector::Mocking;
use crate::definition::is_name;
use crate::operator::tenancy::Tenancy;
use crate::operator::{self, AdmissionSettings, OperatorSettings};
use crate::reconcile::active::Pointer;
use crate::reconcile::live_environments::LiveEnvironments;
use crate::server::Server;

/// Run as a Kubernetes operator
#[derive(Debug, Args)]
#[command(after_help = "\
Environments and definitions are custom resources (`evenkeel schema crds`). An
Environment takes its definitions from the resources of its namespace, or from
Git. The cluster is the pod's, or the one of KUBECONFIG.

Examples:
  evenkeel operator --store postgres://keel@db/keel --bind 0.0.0.0
  evenkeel operator --namespace integrations --admission-port 8443")]
pub(super) struct Operator {
    #[command(flatten)]
    args: ServeArgs,
    #[command(flatten)]
    workflows: WorkflowArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    admission: AdmissionArgs,
}

/// Resources to watch and the lease of the leader.
#[derive(Debug, Args)]
#[command(next_help_heading = "Kubernetes options")]
struct ClusterArgs {
    /// Namespace to watch; repeatable [default: all]
    #[arg(long, value_name = "NAMESPACE", value_parser = namespace)]
    namespace: Vec<String>,
    /// Watch only Environments with these labels, such as `shard=a,tier=gold`
    #[arg(long, value_name = "LABELS", value_parser = labels, default_value = "", hide_default_value = true)]
    shard: BTreeMap<String, String>,
    /// File with the rights of namespaces [default: each namespace reaches only itself]
    #[arg(long, env = "EVENKEEL_TENANCY_FILE", value_name = "FILE")]
    tenancy: Option<PathBuf>,
    /// Name of the Lease for leader election
    #[arg(long, value_name = "LEASE", default_value = "evenkeel")]
    lease: String,
    /// Namespace of the Lease [default: the pod's or the kubeconfig's]
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE")]
    own_namespace: Option<String>,
    /// Identity used for leader election [default: random]
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    identity: Option<String>,
}

/// The admission webhook.
#[derive(Debug, Args)]
#[command(next_help_heading = "Admission options")]
#[allow(clippy::struct_field_names, reason = "the names of the flags come from them")]
struct AdmissionArgs {
    /// Port of the admission webhook, 0 selects a free port [default: no webhook]
    #[arg(long, value_name = "PORT")]
    admission_port: Option<u16>,
    /// Service in front of the admission port
    #[arg(long, value_name = "SERVICE", default_value = "evenkeel-admission")]
    admission_service: String,
    /// ValidatingWebhookConfiguration whose CA bundle is kept up to date
    #[arg(long, value_name = "NAME", default_value = "evenkeel")]
    admission_configuration: String,
    /// Secret with the certificate; created if missing
    #[arg(long, value_name = "SECRET", default_value = "evenkeel-admission")]
    admission_secret: String,
    /// Response to a reference to a missing definition
    #[arg(long, value_name = "ACTION", default_value = "warn")]
    admission_references: MissingReferences,
}

/// Response to a reference to a missing definition, which may still be created.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum MissingReferences {
    Warn,
    Deny,
}

impl Operator {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        self.args.start_log();
        runtime()?.block_on(self.serve())
    }

    async fn serve(self) -> anyhow::Result<ExitCode> {
        let tenancy = match &self.cluster.tenancy {
            Some(path) => Tenancy::read(path)?,
            None => Tenancy::default(),
        };
        self.workflows.traces.endpoint()?;
        let (listener, address) = self.args.listen.bind().await?;
        let access = self.args.access()?;
        let mut context = self.args.context(self.args.state.clone()).await?;
        context.public_url = Some(self.workflows.public_url(address));
        if let Some(identity) = self.cluster.identity {
            context.replica = identity;
        }
        let admission = match self.admission.admission_port {
            None => None,
            Some(port) => {
                let address = std::net::SocketAddr::new(self.args.listen.bind, port);
                let listener = tokio::net::TcpListener::bind(address).await;
                let listener =
                    listener.with_context(|| format!("cannot listen on {address} for admission requests"))?;
                output::note(&format!("admission on {}", listener.local_addr()?));
                Some(AdmissionSettings {
                    listener,
                    service: self.admission.admission_service,
                    configuration: self.admission.admission_configuration,
                    secret: self.admission.admission_secret,
                    strict: self.admission.admission_references == MissingReferences::Deny,
                })
            }
        };
        let settings = OperatorSettings {
            namespaces: self.cluster.namespace,
            shard: self.cluster.shard,
            tenancy,
            lease: self.cluster.lease,
            own_namespace: self.cluster.own_namespace,
            admission,
        };
        let running = operator::start(context, settings).await.context("cannot watch the cluster")?;
        output::data(&format!("listening on http://{address}\n"));
        self.args.log_start(address, &access, &running.description);
        output::note(&format!("watching {}", running.description));
        let environments = running.environments.clone();
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
        running.stop().await;
        served.context("the server failed")?;
        tracing::info!(ms = stopping.elapsed().as_micros() as f64 / 1000.0, "shutdown ended");
        Ok(ExitCode::SUCCESS)
    }
}

fn namespace(text: &str) -> Result<String, String> {
    if is_name(text) { Ok(text.to_owned()) } else { Err("expected lower-case letters, digits and `-`".to_owned()) }
}

fn labels(text: &str) -> Result<BTreeMap<String, String>, String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let label = |part: &str| {
        let label = part.split_once('=').map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()));
        label.filter(|(key, _)| !key.is_empty()).ok_or_else(|| format!("`{part}` is not a label; expected `key=value`"))
    };
    parts.map(label).collect()
}
