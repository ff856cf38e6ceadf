//! Values of Kubernetes Secrets, followed while an Environment uses them: a rotated one counts from the next call on.
//!
//! Each Secret is watched by its name, in the name of the Environment's service account where it has one: rights on these
//! Secrets are enough. Values live in this cache only, and are shown by nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Secret;
use kube::api::Api;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, Config};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use zeroize::Zeroizing;

use super::resources::lock;
use super::watch_backoff::WatchBackoff as Waits;
use crate::connector::ClusterSecrets;

/// Largest value of one key; Kubernetes takes 1 MiB for a whole Secret.
const MAX_BYTES: usize = 1 << 20;
/// Longest wait for a Secret that is new to us.
const PATIENCE: Duration = Duration::from_secs(5);

/// Which Secret, and in whose name it is read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretKey {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The service account of that namespace that reads it; the operator itself where there is none.
    pub account: Option<String>,
}

/// What is known of a Secret.
#[derive(Clone, Default)]
enum Known {
    #[default]
    Nothing,
    Missing,
    /// It cannot be read, and why; the value that was known before stays.
    Refused(String, Option<Arc<Values>>),
    Values(Arc<Values>),
}

type Values = BTreeMap<String, Zeroizing<Vec<u8>>>;

/// All Secrets that Environments use.
pub struct Secrets {
    client: Client,
    config: Config,
    known: Mutex<HashMap<SecretKey, watch::Receiver<Known>>>,
    /// Whose Secrets are whose: an Environment's key and what it uses.
    users: Mutex<BTreeMap<String, BTreeSet<SecretKey>>>,
    tasks: Mutex<HashMap<SecretKey, JoinSet<()>>>,
    /// AdmissionReport when the value of a Secret changed.
    changed: Arc<Notify>,
    news: Arc<Mutex<BTreeSet<SecretKey>>>,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secrets").field("known", &lock(&self.known).len()).finish_non_exhaustive()
    }
}

impl Secrets {
    /// None that is followed yet.
    pub fn new(client: Client, config: Config) -> Arc<Secrets> {
        Arc::new(Secrets {
            client,
            config,
            known: Mutex::default(),
            users: Mutex::default(),
            tasks: Mutex::default(),
            changed: Arc::default(),
            news: Arc::default(),
        })
    }

    /// Follows what an Environment uses, and waits a while until all of it was read once.
    pub async fn follow(&self, environment: &str, wanted: BTreeSet<SecretKey>) {
        lock(&self.users).insert(environment.to_owned(), wanted.clone());
        let mut waiting = Vec::new();
        for key in wanted {
            let known = lock(&self.known).get(&key).cloned();
            let receiver = match known {
                Some(receiver) => receiver,
                None => self.start(&key),
            };
            waiting.push(receiver);
        }
        self.forget_unused();
        let all = async {
            for mut receiver in waiting {
                let _ = receiver.wait_for(|known| !matches!(known, Known::Nothing)).await;
            }
        };
        let _ = tokio::time::timeout(PATIENCE, all).await;
    }

    /// An Environment uses none any more.
    pub fn leave(&self, environment: &str) {
        lock(&self.users).remove(environment);
        self.forget_unused();
    }

    /// Waits until values changed, and gives the Environments that use them.
    pub async fn changes(&self) -> BTreeSet<String> {
        loop {
            let notified = self.changed.notified();
            let news = std::mem::take(&mut *lock(&self.news));
            if !news.is_empty() {
                let users = lock(&self.users);
                return users
                    .iter()
                    .filter(|(_, used)| !used.is_disjoint(&news))
                    .map(|(user, _)| user.clone())
                    .collect();
            }
            notified.await;
        }
    }

    /// The value of a key of a Secret.
    ///
    /// # Errors
    /// Why it is not available, without its value.
    pub fn value(&self, secret: &SecretKey, key: &str) -> Result<String, String> {
        let SecretKey { namespace, name, .. } = secret;
        let known = lock(&self.known).get(secret).map(|receiver| receiver.borrow().clone()).unwrap_or_default();
        let values = match known {
            Known::Values(values) | Known::Refused(_, Some(values)) => values,
            Known::Nothing => return Err(format!("the Secret {namespace}/{name} was not read yet")),
            Known::Missing => return Err(format!("there is no Secret {namespace}/{name}")),
            Known::Refused(problem, None) => {
                return Err(format!("the Secret {namespace}/{name} cannot be read: {problem}"));
            }
        };
        let value = values.get(key).ok_or_else(|| format!("the Secret {namespace}/{name} has no key `{key}`"))?;
        if value.len() > MAX_BYTES {
            return Err(format!("key `{key}` of the Secret {namespace}/{name} is larger than {} KiB", MAX_BYTES >> 10));
        }
        let text = std::str::from_utf8(value)
            .map_err(|_| format!("key `{key}` of the Secret {namespace}/{name} is not UTF-8"))?;
        // `kubectl create secret --from-file` keeps the line break that editors leave.
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        match text {
            "" => Err(format!("key `{key}` of the Secret {namespace}/{name} is empty")),
            text => Ok(text.to_owned()),
        }
    }

    fn start(&self, key: &SecretKey) -> watch::Receiver<Known> {
        let (tell, receiver) = watch::channel(Known::Nothing);
        let api = self.api(key);
        let (news, changed, secret) = (Arc::clone(&self.news), Arc::clone(&self.changed), key.clone());
        let mut task = JoinSet::new();
        task.spawn(async move {
            let api = match api {
                Ok(api) => api,
                Err(error) => {
                    tell.send_replace(Known::Refused(error.to_string(), None));
                    return;
                }
            };
            let mut stream = std::pin::pin!(watcher::watch_object(api, &secret.name).backoff(Waits::default()));
            while let Some(event) = stream.next().await {
                let first = matches!(*tell.borrow(), Known::Nothing);
                let next = match event {
                    Ok(Some(found)) => Known::Values(Arc::new(values(found))),
                    Ok(None) => Known::Missing,
                    Err(error) => {
                        let before = match &*tell.borrow() {
                            Known::Values(values) | Known::Refused(_, Some(values)) => Some(Arc::clone(values)),
                            _ => None,
                        };
                        Known::Refused(why(&error, &secret), before)
                    }
                };
                let same = same(&tell.borrow(), &next);
                tell.send_replace(next);
                if !first && !same {
                    lock(&news).insert(secret.clone());
                    changed.notify_waiters();
                }
            }
        });
        lock(&self.tasks).insert(key.clone(), task);
        lock(&self.known).insert(key.clone(), receiver.clone());
        receiver
    }

    fn api(&self, key: &SecretKey) -> kube::Result<Api<Secret>> {
        let client = match &key.account {
            None => self.client.clone(),
            Some(account) => impersonating(&self.config, &key.namespace, account)?,
        };
        Ok(Api::namespaced(client, &key.namespace))
    }

    fn forget_unused(&self) {
        let used: BTreeSet<SecretKey> = lock(&self.users).values().flatten().cloned().collect();
        lock(&self.tasks).retain(|key, _| used.contains(key));
        lock(&self.known).retain(|key, _| used.contains(key));
    }
}

/// A client that acts in the name of a service account.
///
/// # Errors
/// Where the client cannot be made.
pub(super) fn impersonating(config: &Config, namespace: &str, account: &str) -> kube::Result<Client> {
    let mut config = config.clone();
    config.auth_info.impersonate = Some(format!("system:serviceaccount:{namespace}:{account}"));
    Client::try_from(config)
}

fn values(secret: Secret) -> Values {
    let data = secret.data.unwrap_or_default().into_iter();
    data.map(|(key, value)| (key, Zeroizing::new(value.0))).collect()
}

fn same(one: &Known, other: &Known) -> bool {
    match (one, other) {
        (Known::Values(one), Known::Values(other)) => one == other,
        (Known::Missing, Known::Missing) => true,
        (Known::Refused(one, _), Known::Refused(other, _)) => one == other,
        _ => false,
    }
}

fn why(error: &watcher::Error, secret: &SecretKey) -> String {
    let status = match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => Some(status),
        _ => None,
    };
    match status {
        Some(status) if status.code == 403 => {
            let whom = secret
                .account
                .as_ref()
                .map_or_else(|| "the operator".to_owned(), |account| format!("the service account {account}"));
            format!("{whom} needs the verbs `list` and `watch` for it")
        }
        Some(status) => status.message.clone(),
        None => error.to_string(),
    }
}

/// The Secrets of one Environment: of its namespace, in the name of its service account.
#[derive(Debug)]
pub struct EnvironmentSecrets {
    /// All of them.
    pub secrets: Arc<Secrets>,
    /// The Environment's namespace.
    pub namespace: String,
    /// Its service account.
    pub account: Option<String>,
}

impl ClusterSecrets for EnvironmentSecrets {
    fn get(&self, name: &str, key: &str) -> Result<String, String> {
        let secret =
            SecretKey { namespace: self.namespace.clone(), name: name.to_owned(), account: self.account.clone() };
        self.secrets.value(&secret, key)
    }
}
