//! `evenkeel operator`: environments and definitions as custom resources of a Kubernetes cluster.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use super::serve_args::Serving;
use super::worker_args::Work;
use super::{dev, output};
use crate::connector::Mocking;
use crate::definition::is_name;
use crate::operator::tenancy::Tenancy;
use crate::operator::{self, AdmissionSettings, Settings};
use crate::reconcile::active::Pointer;
use crate::reconcile::live_environments::LiveEnvironments;
use crate::server::Server;

/// Keep environments at what a Kubernetes cluster declares, and run them.
///
/// Environments and definitions are custom resources (`evenkeel schema crds`). An Environment takes its definitions from the
/// resources of its namespace, or from Git. The cluster is the one of the pod, or of KUBECONFIG.
#[derive(Debug, Args)]
pub(super) struct Operator {
    #[command(flatten)]
    serving: Serving,
    #[command(flatten)]
    work: Work,
    /// Follow only this namespace; all where left out. May be repeated.
    #[arg(long, value_name = "NAME", value_parser = namespace)]
    namespace: Vec<String>,
    /// Take only Environments with these labels: `key=value`, several with commas between them.
    #[arg(long, value_name = "LABELS", value_parser = labels, default_value = "", hide_default_value = true)]
    shard: BTreeMap<String, String>,
    /// A file that says what namespaces may do; without it, each reaches itself only.
    #[arg(long, env = "EVENKEEL_TENANCY_FILE", value_name = "FILE")]
    tenancy: Option<PathBuf>,
    /// The Lease by which one of several processes leads.
    #[arg(long, value_name = "NAME", default_value = "evenkeel")]
    lease: String,
    /// The operator's own namespace, where the Lease is; the kubeconfig's, or the pod's, where left out.
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAME")]
    own_namespace: Option<String>,
    /// The name of this process among all; one by chance where left out.
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    identity: Option<String>,
    /// The port on which the API server asks before it accepts a resource; 0 takes a free one; none where left out.
    #[arg(long, value_name = "PORT")]
    admission_port: Option<u16>,
    /// The Service that leads to this port.
    #[arg(long, value_name = "NAME", default_value = "evenkeel-admission")]
    admission_service: String,
    /// The ValidatingWebhookConfiguration whose certificate authority is kept.
    #[arg(long, value_name = "NAME", default_value = "evenkeel")]
    admission_configuration: String,
    /// The Secret that holds the certificate; it is made where it is missing.
    #[arg(long, value_name = "NAME", default_value = "evenkeel-admission")]
    admission_secret: String,
    /// What a reference to something that is not there does: it may still come, so it warns.
    #[arg(long, value_name = "WORD", default_value = "warn")]
    admission_references: References,
}

/// What a reference to something that is not there does.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum References {
    Warn,
    Deny,
}

impl Operator {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        self.serving.start_log();
        super::executor()?.block_on(self.serve())
    }

    async fn serve(self) -> anyhow::Result<ExitCode> {
        let tenancy = match &self.tenancy {
            Some(path) => Tenancy::read(path)?,
            None => Tenancy::default(),
        };
        self.work.traces.endpoint()?;
        let (listener, address) = self.serving.listen.start().await?;
        let access = self.serving.access()?;
        let mut context = self.serving.context(self.serving.state.clone()).await?;
        if let Some(identity) = self.identity {
            context.replica = identity;
        }
        let admission = match self.admission_port {
            None => None,
            Some(port) => {
                let address = std::net::SocketAddr::new(self.serving.listen.bind, port);
                let listener = tokio::net::TcpListener::bind(address).await;
                let listener = listener.with_context(|| format!("cannot listen on {address} for admission"))?;
                output::note(&format!("admission on {}", listener.local_addr()?));
                Some(AdmissionSettings {
                    listener,
                    service: self.admission_service,
                    configuration: self.admission_configuration,
                    secret: self.admission_secret,
                    strict: self.admission_references == References::Deny,
                })
            }
        };
        let settings = Settings {
            namespaces: self.namespace,
            shard: self.shard,
            tenancy,
            lease: self.lease,
            own_namespace: self.own_namespace,
            admission,
        };
        let running = operator::start(context, settings).await.context("the cluster cannot be followed")?;
        output::data(&format!("listening on http://{address}\n"));
        output::note(&format!("follows {}", running.what));
        let environments = running.environments.clone();
        let served = LiveEnvironments {
            pointer: Pointer::empty(),
            environments: Some(environments.clone()),
            mocking: Mocking::None,
        };
        let (store, replica) = (Arc::clone(&environments.context.store), environments.context.replica.clone());
        let (working, background) = self.work.start(store, served, replica, address).await?;
        let server = Server::of(environments, access, self.serving.listen.allow_host).with(working);
        let served = server.serve(listener, dev::interrupted()).await;
        background.end().await;
        running.end().await;
        served.context("the server broke off")?;
        Ok(ExitCode::SUCCESS)
    }
}

fn namespace(text: &str) -> Result<String, String> {
    if is_name(text) { Ok(text.to_owned()) } else { Err("a namespace has small letters, digits and `-`".to_owned()) }
}

fn labels(text: &str) -> Result<BTreeMap<String, String>, String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let label = |part: &str| {
        let label = part.split_once('=').map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()));
        label.filter(|(key, _)| !key.is_empty()).ok_or_else(|| format!("`{part}` is no label; write `key=value`"))
    };
    parts.map(label).collect()
}
