//! Evenkeel on Kubernetes: Environments and definitions as custom resources, reconciled by the same engine as everywhere.
//!
//! ```text
//!                ┌─ resources ─┐ files         ┌ reconcile::Environments ┐ looks
//! API server ───►│  (watches)  │──────────────►│  the same engine        │──────► controller ──► writer ──► status, events
//!                └─────────────┘               └─────────────────────────┘            ▲
//!                        └──────────── changes ───────────────────────────────────────┘
//! ```
//!
//! | file | is |
//! |---|---|
//! | [`resources`] | the cluster's definitions, kept by watches |
//! | [`source`] | resources as a source of an environment, with [`access`]: whose rights count |
//! | [`secrets`] | values of Secrets, followed |
//! | [`tenancy`] | what namespaces may do |
//! | [`controller`] | the loop; [`document`]: an Environment resource as the document that runs |
//! | [`admission`] | what the API server asks before it accepts a resource, and the certificate for it |
//! | [`lease`] | which of several processes leads |
//! | [`inquiry`] | what `evenkeel status --kube` asks |
//! | [`status`], [`writer`], [`events`] | what is said of resources, and its writing |

pub mod access;
pub mod admission;
pub mod cluster;
pub mod controller;
pub mod document;
pub mod events;
pub mod lease;
pub mod list;
pub mod resources;
pub mod secrets;
pub mod source;
pub mod status;
pub mod status_writer;
pub mod tenancy;
mod watch_backoff;

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use kube::{Client, Config};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};

use crate::definition::{Id, Kind};
use crate::reconcile::context;
use crate::reconcile::environments::Environments;
use crate::server;
use crate::store::manifest::Owner;
use admission::Admission;
use admission::certificate::Certificate;
use cluster::Reader;
use controller::Controller;
use events::Events;
use lease::{Election, Timings};
use resources::{Key, Resources};
use secrets::Secrets;
use status_writer::Writer;
use tenancy::Tenancy;

/// How the operator runs.
#[derive(Debug)]
pub struct Settings {
    /// Namespaces that are followed; all where empty.
    pub namespaces: Vec<String>,
    /// Labels of the Environments that this process takes; all where empty.
    pub shard: BTreeMap<String, String>,
    /// What namespaces may do.
    pub tenancy: Tenancy,
    /// The name of the Lease by which one process leads.
    pub lease: String,
    /// The operator's own namespace; the client's where left out.
    pub own_namespace: Option<String>,
    /// How the API server asks before it accepts a resource; not at all where left out.
    pub admission: Option<AdmissionSettings>,
}

/// How the API server asks before it accepts a resource.
#[derive(Debug)]
pub struct AdmissionSettings {
    /// Where it asks.
    pub listener: TcpListener,
    /// The Service that leads there.
    pub service: String,
    /// The ValidatingWebhookConfiguration that says so.
    pub configuration: String,
    /// The Secret that holds the certificate.
    pub secret: String,
    /// Do references to what is not there deny, too?
    pub strict: bool,
}

/// A running operator.
#[derive(Debug)]
pub struct Running {
    /// What runs.
    pub environments: Environments,
    /// What is followed, for people.
    pub what: String,
    end: oneshot::Sender<()>,
    election: tokio::task::JoinHandle<()>,
}

impl Running {
    /// Ends it in peace: another process may lead at once.
    pub async fn end(self) {
        let _ = self.end.send(());
        // Its own waits are short.
        let _ = self.election.await;
    }
}

/// Starts following the cluster of the pod, or of KUBECONFIG.
///
/// # Errors
/// Where it is not known how the API server is reached.
pub async fn start(mut context: context::Context, settings: Settings) -> anyhow::Result<Running> {
    let config = Config::infer().await.context("no cluster: neither in a pod nor with a kubeconfig")?;
    let client = Client::try_from(config.clone()).context("no client for the API server")?;
    let what = match &settings.namespaces[..] {
        [] => format!("all namespaces of {}", config.cluster_url),
        some => format!("{} of {}", some.join(", "), config.cluster_url),
    };
    let (lead, leads) = watch::channel(false);
    let (end, ended) = oneshot::channel();
    let own_namespace = settings.own_namespace.unwrap_or_else(|| config.default_namespace.clone());
    let election = Election {
        namespace: own_namespace.clone(),
        name: settings.lease,
        identity: context.replica.clone(),
        timings: Timings::default(),
    };
    let election = tokio::spawn(election.run(client.clone(), lead, ended));
    let resources = Resources::watch(&client, &settings.namespaces);
    let secrets = Secrets::new(client.clone(), config.clone());
    let reader = Arc::new(Reader {
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
    let writer = Writer::start(client.clone(), Arc::clone(&resources), metrics, events, leads.clone());
    if let Some(admission) = settings.admission {
        admit(admission, own_namespace, &client, &resources, &environments, &leads);
    }
    let shard = settings.shard;
    let controller =
        Controller { client, resources, secrets, environments: environments.clone(), writer, reader, shard, leads };
    tokio::spawn(controller.run());
    Ok(Running { environments, what, end, election })
}

/// Serves the admission port, with its certificate.
fn admit(
    settings: AdmissionSettings,
    namespace: String,
    client: &Client,
    resources: &Arc<Resources>,
    environments: &Environments,
    leads: &watch::Receiver<bool>,
) {
    let AdmissionSettings { listener, service, configuration, secret, strict } = settings;
    let (told, pem) = watch::channel(None);
    tokio::spawn(Certificate { namespace, service, secret, configuration }.keep(client.clone(), leads.clone(), told));
    let environments = environments.clone();
    let owned = Arc::new(move |key: &Key| owned_by_git(&environments, key));
    let admission = Admission::new(Arc::clone(resources), owned, strict);
    let answer: server::admission::Answer = Arc::new(move |body| {
        let admission = Arc::clone(&admission);
        Box::pin(async move { admission.answer(&body).await })
    });
    tokio::spawn(async move {
        if let Err(error) = server::admission::serve(listener, pem, answer).await {
            tracing::error!("the admission port broke off: {error}");
        }
    });
}

/// Whose a definition is that an Environment of the same namespace takes from Git: read-only in the cluster.
fn owned_by_git(environments: &Environments, key: &Key) -> Option<String> {
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
            Owner::Source { revision, .. } if Key::of_path(&item.base.path).is_none() => {
                let (path, line) = (&item.base.path, item.line);
                Some(format!("{id} of Environment {environment} comes from {revision}, {path}:{line}"))
            }
            _ => None,
        }
    })
}
