//! The arguments that `evenkeel serve` and `evenkeel operator` share.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use zeroize::Zeroizing;

use super::egress::private_policy;
use super::listen_args::{self, ListenArgs};
use super::logging::{self, LogFormat};
use super::master_key;
use super::store_url::shown_store;
use crate::net;
use crate::quota::Limiter;
use crate::reconcile::context;
use crate::reconcile::notifications::{Notifier, Settings};
use crate::reconcile::sources::SourceContext;
use crate::server::access::{Access, Anonymous};
use crate::source::encrypted::Identities;
use crate::source::git::GitRepositories;
use crate::store;
use crate::telemetry::metrics::Metrics;

/// Heading of the options of the store.
const STORE: &str = "Storage options";

/// Address, storage, access and log of a server of environments.
#[derive(Clone, Debug, Args)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    pub(super) listen: ListenArgs,
    /// File with lines of `name:token rights=…` [default: loopback only]
    #[arg(long, env = "EVENKEEL_TOKENS_FILE", value_name = "FILE", help_heading = listen_args::HEADING)]
    tokens: Option<PathBuf>,
    /// Let callers without a token call actions and start workflows
    #[arg(long, help_heading = listen_args::HEADING)]
    allow_anonymous: bool,
    /// Serve /metrics without a token
    #[arg(long, help_heading = listen_args::HEADING)]
    pub(super) public_metrics: bool,
    /// Allow applications on this machine, such as http://localhost:3000
    #[arg(long, help_heading = listen_args::HEADING)]
    allow_loopback: bool,
    /// Allow repositories on disk (file://) and on loopback without TLS
    #[arg(long, help_heading = listen_args::HEADING)]
    allow_local_repositories: bool,
    /// Folder for the SQLite database and fetched repositories
    #[arg(long, default_value = ".evenkeel", value_name = "FOLDER", help_heading = STORE)]
    pub(super) state: PathBuf,
    /// Database: sqlite:PATH or postgres://… [default: sqlite:STATE/evenkeel.db]
    #[arg(long, env = "EVENKEEL_STORE", hide_env_values = true, value_name = "URL", help_heading = STORE)]
    store: Option<String>,
    /// Log format; EVENKEEL_LOG sets the filter, such as evenkeel=debug
    #[arg(long, default_value = "human", value_name = "FORMAT")]
    log: LogFormat,
}

impl ServeArgs {
    /// Starts the log.
    pub(super) fn start_log(&self) {
        logging::start(self.log, "info,sqlx=warn");
    }

    /// Reports the facts that operators need first.
    pub(super) fn log_start(&self, address: SocketAddr, access: &Access, environments: &str) {
        let store = self.store.as_deref().and_then(|url| url.split_once(':')).map_or("sqlite", |(scheme, _)| scheme);
        let access = access.describe();
        let (version, state) = (env!("CARGO_PKG_VERSION"), self.state.display());
        tracing::info!(version, %address, store, %state, access, environments, "the server starts");
    }

    /// Access by the tokens of `--tokens`, and for callers without one.
    ///
    /// # Errors
    /// Fails if the file cannot be read or has no tokens.
    pub(super) fn access(&self) -> anyhow::Result<Access> {
        let anonymous = match () {
            () if self.allow_anonymous => Anonymous::Calls,
            () if self.tokens.is_none() && self.listen.bind.is_loopback() => Anonymous::Local,
            () => Anonymous::Refused,
        };
        let lines = match &self.tokens {
            Some(path) => master_key::read_file(path)?,
            None => Zeroizing::default(),
        };
        let shown = self.tokens.as_deref().unwrap_or(Path::new("")).display();
        let access = Access::new(&lines, anonymous).map_err(|error| anyhow!("{shown}: {error}"))?;
        if self.tokens.is_some() && access.is_empty() {
            // A truncated or unmounted file must not open access to everyone.
            bail!("{shown} has no tokens; expected lines of `name:token rights=…`, or no --tokens option");
        }
        Ok(access)
    }

    /// Checks that a server which other machines reach knows its callers.
    ///
    /// # Errors
    /// Fails if the address is not loopback and neither `--tokens` nor `--allow-anonymous` is given.
    pub(super) fn check_bind(&self) -> anyhow::Result<()> {
        if self.listen.bind.is_loopback() || self.tokens.is_some() || self.allow_anonymous {
            return Ok(());
        }
        bail!(
            "cannot listen on {}: other machines could reach this server, and it knows no callers; give `--tokens FILE`, or \
             `--allow-anonymous` to let everyone call actions and start workflows",
            self.listen.bind
        );
    }

    /// The context that environments share; relative folders start at `folder`.
    ///
    /// # Errors
    /// Fails if the store, the keys or the network cannot be set up.
    pub(super) async fn context(&self, folder: PathBuf) -> anyhow::Result<context::Context> {
        let default = format!("sqlite:{}", self.state.join("evenkeel.db").display());
        let url = self.store.clone().unwrap_or(default);
        let store = store::open(&url, master_key::read()?).await.map_err(|error| {
            let shown = shown_store(&url);
            anyhow!("cannot open the store {shown}: {error}; `--store` or EVENKEEL_STORE selects another one")
        })?;
        let identities = Identities::from_environment().map_err(|error| anyhow!("{error}"))?.map(Arc::new);
        let metrics = Metrics::new();
        // The operator chooses the targets of notifications, so private networks are allowed.
        let client = net::Client::new(private_policy(self.allow_loopback)?)?;
        Ok(context::Context {
            shared: !url.starts_with("sqlite:"),
            limiter: Limiter::of_store(Arc::clone(&store), Some(metrics.clone())),
            store,
            is_leader: None,
            source_context: SourceContext {
                cluster: None,
                repositories: GitRepositories::open(&self.state.join("git")).map_err(|error| anyhow!("{error}"))?,
                tls: net::Tls::new().context("cannot set up TLS")?,
                folder,
                allow_local: self.allow_local_repositories,
            },
            identities,
            notifier: Notifier::start(client, metrics.clone(), Settings::default()),
            metrics,
            replica: format!("{}-{:08x}", std::process::id(), rand::random::<u32>()),
            public_url: None,
            allow_loopback: self.allow_loopback,
        })
    }
}
