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
//! | [`inquiry`] | what `evenkeel status --kube` asks |
//! | [`status`], [`writer`], [`events`] | what is said of resources, and its writing |

pub mod access;
pub mod cluster;
pub mod controller;
pub mod document;
pub mod events;
pub mod inquiry;
pub mod resources;
pub mod secrets;
pub mod source;
pub mod status;
pub mod tenancy;
pub mod writer;

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use kube::{Client, Config};
use tokio::sync::watch;

use crate::reconcile::engine;
use crate::reconcile::environments::Environments;
use cluster::Reader;
use controller::Controller;
use events::Events;
use resources::Resources;
use secrets::Secrets;
use tenancy::Tenancy;
use writer::Writer;

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
}

/// A running operator.
#[derive(Debug)]
pub struct Running {
    /// What runs.
    pub environments: Environments,
    /// What is followed, for people.
    pub what: String,
    lead: watch::Sender<bool>,
}

impl Running {
    /// Ends it in peace: another process may lead at once.
    pub async fn end(self) {
        self.lead.send_replace(false);
    }
}

/// Starts following the cluster of the pod, or of KUBECONFIG.
///
/// # Errors
/// Where it is not known how the API server is reached.
pub async fn start(mut context: engine::Context, settings: Settings) -> anyhow::Result<Running> {
    let config = Config::infer().await.context("no cluster: neither in a pod nor with a kubeconfig")?;
    let client = Client::try_from(config.clone()).context("no client for the API server")?;
    let what = match &settings.namespaces[..] {
        [] => format!("all namespaces of {}", config.cluster_url),
        some => format!("{} of {}", some.join(", "), config.cluster_url),
    };
    let (lead, leads) = watch::channel(true);
    let resources = Resources::watch(&client, &settings.namespaces);
    let secrets = Secrets::new(client.clone(), config.clone());
    let reader = Arc::new(Reader {
        resources: Arc::clone(&resources),
        secrets: Arc::clone(&secrets),
        tenancy: settings.tenancy,
        config,
    });
    context.making.cluster = Some(Arc::clone(&reader) as Arc<dyn crate::reconcile::sources::Cluster>);
    context.leads = Some(leads.clone());
    let events = Events::new(client.clone(), &context.replica);
    let metrics = context.metrics.clone();
    let environments = Environments::empty(context);
    let writer = Writer::start(client.clone(), Arc::clone(&resources), metrics, events, leads.clone());
    let shard = settings.shard;
    let controller =
        Controller { client, resources, secrets, environments: environments.clone(), writer, reader, shard, leads };
    tokio::spawn(controller.run());
    Ok(Running { environments, what, lead })
}
