//! What commands that keep environments share: where they listen, store and log, and what is allowed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;
use zeroize::Zeroizing;

use super::listen_args::Listen;
use super::output;
use crate::net;
use crate::reconcile::context;
use crate::reconcile::notifications::{Notifier, Settings};
use crate::reconcile::sources::SourceContext;
use crate::server::access::Access;
use crate::source::encrypted::Identities;
use crate::source::git::GitRepositories;
use crate::store::{self, Keys};
use crate::telemetry::metrics::Metrics;

/// Where environments are kept, and how they are asked.
#[derive(Clone, Debug, Args)]
pub(super) struct Serving {
    #[command(flatten)]
    pub(super) listen: Listen,
    /// Folder for what is kept between starts: the database, unless --store names another, and fetched repositories.
    #[arg(long, default_value = ".evenkeel", value_name = "FOLDER")]
    pub(super) state: PathBuf,
    /// Where generations are stored: `sqlite:PATH` for one process, `postgres://…` for several.
    #[arg(long, env = "EVENKEEL_STORE", hide_env_values = true, value_name = "URL")]
    store: Option<String>,
    /// Lines of `name:token` for those who may ask environments; without it, whoever is on this machine may.
    #[arg(long, env = "EVENKEEL_TOKENS_FILE", value_name = "FILE")]
    tokens: Option<PathBuf>,
    /// Allow applications on this machine, such as `http://localhost:3000`.
    #[arg(long)]
    allow_loopback: bool,
    /// Allow repositories on this machine's disk (`file://`), and without TLS from this machine (`http://127.0.0.1`).
    #[arg(long)]
    allow_local_repositories: bool,
    /// How to log: lines for people, or JSON. EVENKEEL_LOG filters, such as `info` or `evenkeel=debug`.
    #[arg(long, default_value = "human", value_name = "FORM")]
    log: Log,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Log {
    Human,
    Json,
}

impl Serving {
    /// Starts the log.
    pub(super) fn start_log(&self) {
        start_log(self.log, "info,sqlx=warn");
    }

    /// Who may ask.
    pub(super) fn access(&self) -> anyhow::Result<Access> {
        let lines = match &self.tokens {
            Some(path) => read(path)?,
            None => Zeroizing::default(),
        };
        let shown = self.tokens.as_deref().unwrap_or(Path::new("")).display();
        let access =
            Access::new(&lines, self.listen.bind.is_loopback()).map_err(|error| anyhow!("{shown}: {error}"))?;
        if self.tokens.is_some() && access.is_empty() {
            // A file that was cut or not mounted must not open everything.
            bail!("{shown} holds no tokens; write lines of `name:token`, or leave --tokens out");
        }
        Ok(access)
    }

    /// What environments share; relative folders start at `folder`.
    pub(super) async fn context(&self, folder: PathBuf) -> anyhow::Result<context::Context> {
        let default = format!("sqlite:{}", self.state.join("evenkeel.db").display());
        let url = self.store.clone().unwrap_or(default);
        let store = store::open(&url, keys()?).await.map_err(|error| anyhow!("{error}"))?;
        let identities = Identities::from_environment().map_err(|error| anyhow!("{error}"))?.map(Arc::new);
        let metrics = Metrics::new();
        // Where announcements go is the operator's word, so private networks are allowed.
        let client = net::Client::new(private_policy(self.allow_loopback)?)?;
        let fingerprint = store.fingerprint_key().await.map_err(|error| anyhow!("{error}"))?;
        Ok(context::Context {
            shared: !url.starts_with("sqlite:"),
            store,
            is_leader: None,
            source_context: SourceContext {
                cluster: None,
                repositories: GitRepositories::open(&self.state.join("git")).map_err(|error| anyhow!("{error}"))?,
                secure: Arc::new(net::Tls::new().context("TLS cannot be set up")?),
                folder,
                allow_local: self.allow_local_repositories,
            },
            identities,
            notifier: Notifier::start(client, metrics.clone(), Settings::default()),
            metrics,
            replica: format!("{}-{:08x}", std::process::id(), rand::random::<u32>()),
            allow_loopback: self.allow_loopback,
            fingerprint,
        })
    }
}

/// A policy for what an operator names: public and private networks; this machine where it is allowed.
pub(super) fn private_policy(allow_loopback: bool) -> anyhow::Result<net::Policy> {
    let mut policy = net::Policy { allow_loopback, allow_http: true, ..net::Policy::default() };
    for network in ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"] {
        policy.allowed_private.push(network.parse().with_context(|| network.to_owned())?);
    }
    Ok(policy)
}

/// The keys that encrypt stored credentials, from `EVENKEEL_MASTER_KEY` or the file that `EVENKEEL_MASTER_KEY_FILE`
/// names.
pub(super) fn keys() -> anyhow::Result<Keys> {
    match secret_text("EVENKEEL_MASTER_KEY")? {
        Some(text) => Keys::parse(&text).map_err(|error| anyhow!("EVENKEEL_MASTER_KEY: {error}")),
        None => Ok(Keys::none()),
    }
}

fn secret_text(variable: &str) -> anyhow::Result<Option<Zeroizing<String>>> {
    if let Some(text) = std::env::var(variable).ok().filter(|text| !text.is_empty()) {
        return Ok(Some(Zeroizing::new(text)));
    }
    let file = std::env::var_os(format!("{variable}_FILE")).filter(|path| !path.is_empty());
    file.map(|path| read(Path::new(&path))).transpose()
}

fn read(path: &Path) -> anyhow::Result<Zeroizing<String>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Zeroizing::new(text))
}

/// Starts a log of what `EVENKEEL_LOG` says, or of what is usual.
pub(super) fn start_log(form: Log, usual: &str) {
    let filter = EnvFilter::try_from_env("EVENKEEL_LOG").unwrap_or_else(|_| EnvFilter::new(usual));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    match form {
        Log::Human => builder.with_ansi(output::colored_stderr()).init(),
        Log::Json => builder.json().flatten_event(true).init(),
    }
}
