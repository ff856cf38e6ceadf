//! The Kubernetes operator: Environments and definitions are custom resources, which the same reconciler applies.
//!
//! ```text
//!              ┌ resources ┐   files    ┌ reconcile::Environments ┐  results
//! API server ─►│ (watches) │───────────►│       (reconciler)      │─────────► controller ─► status_writer ─► status, events
//!              └─────┬─────┘            └─────────────────────────┘               ▲
//!                    └──────────────── changes ───────────────────────────────────┘
//! ```
//!
//! | file | content |
//! |---|---|
//! | [`resources`] | the cluster's Environments and definitions, kept up to date by watches |
//! | [`selection`], [`source`] | the resources of an Environment, as a source |
//! | [`access`] | rights of service accounts |
//! | [`secrets`] | watched values of Secrets |
//! | [`tenancy`] | permissions of namespaces |
//! | [`cluster`] | access of the reconciler to resources and Secrets |
//! | [`controller`] | the control loop; [`document`]: an Environment resource as a document |
//! | [`admission`] | review of changes before the API server accepts them, and the webhook's certificate |
//! | [`lease`] | leader election |
//! | [`list`] | list for `evenkeel status --kube` |
//! | [`status`], [`status_writer`], [`events`] | verdicts on resources, and their publication |

pub mod access;
pub mod admission;
pub mod cluster;
pub mod controller;
pub mod document;
pub mod events;
mod finalizer;
pub mod lease;
pub mod list;
mod names;
pub mod resources;
pub mod secrets;
pub mod selection;
pub mod source;
pub mod status;
pub mod status_writer;
pub mod tenancy;
mod watch_backoff;

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use kube::config::KubeconfigError;
use kube::{Client, Config};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};

use crate::definition::{Id, Kind};
use crate::reconcile::context;
use crate::reconcile::environments::Environments;
use crate::server;
use crate::store::manifest::Owner;
use admission::Admission;
use admission::certificate::CertificateManager;
use cluster::ClusterReader;
use controller::Controller;
use events::Events;
use lease::{Election, Timings};
use resources::{Key, Resources};
use secrets::Secrets;
use status_writer::StatusWriter;
use tenancy::Tenancy;

/// Settings of the operator.
#[derive(Debug)]
pub struct OperatorSettings {
    /// Namespaces to watch; empty for all.
    pub namespaces: Vec<String>,
    /// Labels of the Environments of this process; empty for all.
    pub shard: BTreeMap<String, String>,
    /// Permissions of namespaces.
    pub tenancy: Tenancy,
    /// Name of the Lease for leader election.
    pub lease: String,
    /// Namespace of the operator (default: the client's).
    pub own_namespace: Option<String>,
    /// Admission webhook; `None` for none.
    pub admission: Option<AdmissionSettings>,
}

/// Settings of the admission webhook.
#[derive(Debug)]
pub struct AdmissionSettings {
    /// Listener of the admission port.
    pub listener: TcpListener,
    /// Service in front of the port.
    pub service: String,
    /// ValidatingWebhookConfiguration of the webhook.
    pub configuration: String,
    /// Secret that stores the certificate.
    pub secret: String,
    /// True if references to missing definitions deny.
    pub strict: bool,
}

/// A running operator.
#[derive(Debug)]
pub struct RunningOperator {
    /// Running environments.
    pub environments: Environments,
    /// Watched namespaces and the cluster, for the log.
    pub description: String,
    stop: oneshot::Sender<()>,
    election: tokio::task::JoinHandle<()>,
}

impl RunningOperator {
    /// Releases the leader lease, so that another process can lead at once.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        // The election's own timeouts are short.
        let _ = self.election.await;
    }
}

/// The cluster of the pod, or of KUBECONFIG.
async fn cluster_config() -> anyhow::Result<Config> {
    Config::infer().await.map_err(|error| {
        // Each error of the chain repeats the text of the next one.
        let source = std::error::Error::source(&error);
        let cause = match source.and_then(|source| source.downcast_ref::<KubeconfigError>()) {
            Some(KubeconfigError::ReadConfig(cause, path)) => format!("cannot read {}: {cause}", path.display()),
            Some(cause) => cause.to_string(),
            None => error.to_string(),
        };
        anyhow!("cannot find a cluster: this is not a pod, and there is no kubeconfig: {cause}; set KUBECONFIG to one")
    })
}

/// Starts the operator for the cluster of the pod, or of KUBECONFIG.
///
/// # Errors
/// Fails if no cluster is configured.
pub async fn start(mut context: context::Context, settings: OperatorSettings) -> anyhow::Result<RunningOperator> {
    let config = cluster_config().await?;
    let client = Client::try_from(config.clone()).context("cannot create the client of the API server")?;
    let description = match &settings.namespaces[..] {
        [] => format!("all namespaces of {}", config.cluster_url),
        namespaces => format!("{} of {}", namespaces.join(", "), config.cluster_url),
    };
    let (lead, leads) = watch::channel(false);
    let (stop, stopped) = oneshot::channel();
    let own_namespace = settings.own_namespace.unwrap_or_else(|| config.default_namespace.clone());
    let election = Election {
        namespace: own_namespace.clone(),
        name: settings.lease,
        identity: context.replica.clone(),
        timings: Timings::default(),
    };
    let election = tokio::spawn(election.run(client.clone(), lead, stopped));
    let resources = Resources::watch(&client, &settings.namespaces);
    let secrets = Secrets::new(client.clone(), config.clone());
    let reader = Arc::new(ClusterReader {
        resources: Arc::clone(&resources),
        secrets: Arc::clone(&secrets),
        tenancy: settings.tenancy,
        config,
    });
    context.source_context.cluster = Some(Arc::clone(&reader) as Arc<dyn crate::reconcile::sources::Cluster>);
    context.is_leader = Some(leads.clone());
    let events = Events::new(client.clone(), &context.replica);
    let metrics = context.metrics.clone();
    let environments = Environments::empty(context);
    let writer = StatusWriter::start(client.clone(), Arc::clone(&resources), metrics, events, leads.clone());
    if let Some(admission) = settings.admission {
        start_admission(admission, own_namespace, &client, &resources, &environments, &leads);
    }
    let shard = settings.shard;
    let controller =
        Controller { client, resources, secrets, environments: environments.clone(), writer, reader, shard, leads };
    tokio::spawn(controller.run());
    Ok(RunningOperator { environments, description, stop, election })
}

/// Starts the admission port and the management of its certificate.
fn start_admission(
    settings: AdmissionSettings,
    namespace: String,
    client: &Client,
    resources: &Arc<Resources>,
    environments: &Environments,
    leads: &watch::Receiver<bool>,
) {
    let AdmissionSettings { listener, service, configuration, secret, strict } = settings;
    let (sender, certificate) = watch::channel(None);
    let manager = CertificateManager { namespace, service, secret, configuration };
    tokio::spawn(manager.run(client.clone(), leads.clone(), sender));
    let environments = environments.clone();
    let owner = Arc::new(move |key: &Key| git_owner(&environments, key));
    let admission = Admission::new(Arc::clone(resources), owner, strict);
    let reviewer: server::admission::Reviewer = Arc::new(move |body| {
        let admission = Arc::clone(&admission);
        Box::pin(async move { admission.review(&body).await })
    });
    tokio::spawn(async move {
        if let Err(error) = server::admission::serve(listener, certificate, reviewer).await {
            tracing::error!(%error, "the admission port failed");
        }
    });
}

/// Describes the Git source of a definition in the same namespace; such a definition is read-only in the cluster.
fn git_owner(environments: &Environments, key: &Key) -> Option<String> {
    if key.kind == Kind::Environment {
        return None;
    }
    let id = Id { kind: key.kind, name: key.name.clone() };
    let all = environments.all.load();
    all.iter().find_map(|(name, handle)| {
        let (namespace, environment) = name.split_once('.')?;
        let view = handle.view.load();
        let item = view.manifest.as_ref().filter(|_| namespace == key.namespace)?.items.get(&id)?;
        match &item.owner {
            Owner::Source { revision, .. } if Key::from_path(&item.base.path).is_none() => {
                let (path, line) = (&item.base.path, item.line);
                Some(format!("{id} of Environment {environment} comes from {revision}, {path}:{line}"))
            }
            _ => None,
        }
    })
}
