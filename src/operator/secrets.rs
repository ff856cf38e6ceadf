//! Values of Kubernetes Secrets, watched while an Environment uses them: a rotated value applies from the next call on.
//!
//! Each Secret is watched by name, as the Environment's service account if it has one, so that rights to these Secrets
//! suffice. Values exist in this cache only and are never printed.

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
use super::watch_backoff::WatchBackoff;
use crate::connector::ClusterSecrets;

/// Largest value of a key, in bytes; Kubernetes accepts 1 MiB for a whole Secret.
const MAX_BYTES: usize = 1 << 20;
/// Timeout of the first read of a Secret.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// A Secret and the account that reads it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretKey {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Service account of the namespace that reads the Secret (default: the operator's own).
    pub account: Option<String>,
}

/// State of a Secret.
#[derive(Clone, Default)]
enum SecretState {
    #[default]
    Unread,
    Missing,
    /// The reason, and the last known values.
    Unreadable(String, Option<Arc<Values>>),
    Values(Arc<Values>),
}

type Values = BTreeMap<String, Zeroizing<Vec<u8>>>;

/// The Secrets of all Environments.
pub struct Secrets {
    client: Client,
    config: Config,
    states: Mutex<HashMap<SecretKey, watch::Receiver<SecretState>>>,
    /// Environments and the Secrets that they use.
    users: Mutex<BTreeMap<String, BTreeSet<SecretKey>>>,
    tasks: Mutex<HashMap<SecretKey, JoinSet<()>>>,
    /// Notified when a value changes.
    changed: Arc<Notify>,
    changed_keys: Arc<Mutex<BTreeSet<SecretKey>>>,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secrets").field("states", &lock(&self.states).len()).finish_non_exhaustive()
    }
}

impl Secrets {
    /// An empty cache.
    pub fn new(client: Client, config: Config) -> Arc<Secrets> {
        Arc::new(Secrets {
            client,
            config,
            states: Mutex::default(),
            users: Mutex::default(),
            tasks: Mutex::default(),
            changed: Arc::default(),
            changed_keys: Arc::default(),
        })
    }

    /// Watches the Secrets of an Environment, and waits at most 5 s until all are read.
    pub async fn watch(&self, environment: &str, used: BTreeSet<SecretKey>) {
        lock(&self.users).insert(environment.to_owned(), used.clone());
        let mut waiting = Vec::new();
        for key in used {
            let state = lock(&self.states).get(&key).cloned();
            let receiver = match state {
                Some(receiver) => receiver,
                None => self.start(&key),
            };
            waiting.push(receiver);
        }
        self.stop_unused();
        let all = async {
            for mut receiver in waiting {
                let _ = receiver.wait_for(|state| !matches!(state, SecretState::Unread)).await;
            }
        };
        let _ = tokio::time::timeout(READ_TIMEOUT, all).await;
    }

    /// Stops the watches that only this Environment needs.
    pub fn unwatch(&self, environment: &str) {
        lock(&self.users).remove(environment);
        self.stop_unused();
    }

    /// Waits for changed values, and returns the Environments that use them.
    pub async fn changes(&self) -> BTreeSet<String> {
        loop {
            let notified = self.changed.notified();
            let secrets = std::mem::take(&mut *lock(&self.changed_keys));
            if !secrets.is_empty() {
                let users = lock(&self.users);
                return users
                    .iter()
                    .filter(|(_, used)| !used.is_disjoint(&secrets))
                    .map(|(user, _)| user.clone())
                    .collect();
            }
            notified.await;
        }
    }

    /// The value of a key of a Secret.
    ///
    /// # Errors
    /// Fails with the reason if the value is not available.
    pub fn value(&self, secret: &SecretKey, key: &str) -> Result<String, String> {
        let SecretKey { namespace, name, .. } = secret;
        let state = lock(&self.states).get(secret).map(|receiver| receiver.borrow().clone()).unwrap_or_default();
        let values = match state {
            SecretState::Values(values) | SecretState::Unreadable(_, Some(values)) => values,
            SecretState::Unread => return Err(format!("the Secret {namespace}/{name} is not read yet")),
            SecretState::Missing => return Err(format!("the Secret {namespace}/{name} does not exist")),
            SecretState::Unreadable(problem, None) => {
                return Err(format!("cannot read the Secret {namespace}/{name}: {problem}"));
            }
        };
        let value = values.get(key).ok_or_else(|| format!("the Secret {namespace}/{name} has no key `{key}`"))?;
        if value.len() > MAX_BYTES {
            return Err(format!("key `{key}` of the Secret {namespace}/{name} is larger than {} KiB", MAX_BYTES >> 10));
        }
        let text = std::str::from_utf8(value)
            .map_err(|_| format!("key `{key}` of the Secret {namespace}/{name} is not UTF-8"))?;
        // `kubectl create secret --from-file` keeps the final line break of a file.
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        match text {
            "" => Err(format!("key `{key}` of the Secret {namespace}/{name} is empty")),
            text => Ok(text.to_owned()),
        }
    }

    /// True once a Secret was read, or is known not to exist or not to be readable.
    fn is_read(&self, secret: &SecretKey) -> bool {
        let state = lock(&self.states).get(secret).map(|receiver| receiver.borrow().clone());
        state.is_some_and(|state| !matches!(state, SecretState::Unread))
    }

    fn start(&self, key: &SecretKey) -> watch::Receiver<SecretState> {
        let (sender, receiver) = watch::channel(SecretState::Unread);
        let api = self.api(key);
        let (changed_keys, changed, secret) = (Arc::clone(&self.changed_keys), Arc::clone(&self.changed), key.clone());
        let mut task = JoinSet::new();
        task.spawn(async move {
            let api = match api {
                Ok(api) => api,
                Err(error) => {
                    sender.send_replace(SecretState::Unreadable(error.to_string(), None));
                    return;
                }
            };
            let mut stream = std::pin::pin!(watcher::watch_object(api, &secret.name).backoff(WatchBackoff::default()));
            while let Some(event) = stream.next().await {
                let first = matches!(*sender.borrow(), SecretState::Unread);
                let next = match event {
                    Ok(Some(found)) => SecretState::Values(Arc::new(values(found))),
                    Ok(None) => SecretState::Missing,
                    Err(error) => {
                        let before = match &*sender.borrow() {
                            SecretState::Values(values) | SecretState::Unreadable(_, Some(values)) => {
                                Some(Arc::clone(values))
                            }
                            _ => None,
                        };
                        SecretState::Unreadable(describe(&error, &secret), before)
                    }
                };
                let unchanged = is_same(&sender.borrow(), &next);
                sender.send_replace(next);
                if !first && !unchanged {
                    lock(&changed_keys).insert(secret.clone());
                    changed.notify_waiters();
                }
            }
        });
        lock(&self.tasks).insert(key.clone(), task);
        lock(&self.states).insert(key.clone(), receiver.clone());
        receiver
    }

    fn api(&self, key: &SecretKey) -> kube::Result<Api<Secret>> {
        let client = match &key.account {
            None => self.client.clone(),
            Some(account) => impersonating(&self.config, &key.namespace, account)?,
        };
        Ok(Api::namespaced(client, &key.namespace))
    }

    fn stop_unused(&self) {
        let used: BTreeSet<SecretKey> = lock(&self.users).values().flatten().cloned().collect();
        lock(&self.tasks).retain(|key, _| used.contains(key));
        lock(&self.states).retain(|key, _| used.contains(key));
    }
}

/// A client that impersonates a service account.
///
/// # Errors
/// Fails if the client cannot be created.
pub(super) fn impersonating(config: &Config, namespace: &str, account: &str) -> kube::Result<Client> {
    let mut config = config.clone();
    config.auth_info.impersonate = Some(format!("system:serviceaccount:{namespace}:{account}"));
    Client::try_from(config)
}

fn values(secret: Secret) -> Values {
    let data = secret.data.unwrap_or_default().into_iter();
    data.map(|(key, value)| (key, Zeroizing::new(value.0))).collect()
}

fn is_same(first: &SecretState, second: &SecretState) -> bool {
    match (first, second) {
        (SecretState::Values(first), SecretState::Values(second)) => first == second,
        (SecretState::Missing, SecretState::Missing) => true,
        (SecretState::Unreadable(first, _), SecretState::Unreadable(second, _)) => first == second,
        _ => false,
    }
}

fn describe(error: &watcher::Error, secret: &SecretKey) -> String {
    let status = match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => Some(status),
        _ => None,
    };
    match status {
        Some(status) if status.code == 403 => {
            let reader = secret
                .account
                .as_ref()
                .map_or_else(|| "the operator".to_owned(), |account| format!("service account {account}"));
            format!("{reader} needs the verbs `list` and `watch`")
        }
        Some(status) => status.message.clone(),
        None => error.to_string(),
    }
}

/// The Secrets of an Environment: of its namespace, read by its service account.
#[derive(Debug)]
pub struct EnvironmentSecrets {
    /// The cache.
    pub secrets: Arc<Secrets>,
    /// Namespace of the Environment.
    pub namespace: String,
    /// Service account of the Environment.
    pub account: Option<String>,
}

impl EnvironmentSecrets {
    fn key(&self, name: &str) -> SecretKey {
        SecretKey { namespace: self.namespace.clone(), name: name.to_owned(), account: self.account.clone() }
    }
}

impl ClusterSecrets for EnvironmentSecrets {
    fn get(&self, name: &str, key: &str) -> Result<String, String> {
        self.secrets.value(&self.key(name), key)
    }

    fn is_read(&self, name: &str) -> bool {
        self.secrets.is_read(&self.key(name))
    }
}
