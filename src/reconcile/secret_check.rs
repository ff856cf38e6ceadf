//! Looks secrets up without using them, within bounds of time and concurrency.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::connector::{Runtime, SecretState, Vault, secret_state};
use crate::definition::environment::SecretSource;
use crate::text::Digest;

/// Duration of a check. Secrets that were not looked up by then are unknown.
const MAX_CHECK: Duration = Duration::from_secs(10);
/// Maximum number of concurrent look-ups of files, on threads of their own: a file may never answer.
const MAX_CONCURRENT: usize = 4;
/// Maximum number of look-ups that do not return; no file is looked up while there are as many.
const MAX_STUCK: usize = 16;

/// Checks the secrets of one environment.
#[derive(Debug, Default)]
pub(super) struct SecretChecker {
    /// Secrets whose look-up has not returned yet.
    running: Arc<Mutex<BTreeSet<String>>>,
    decrypted: Option<Decrypted>,
}

/// Outcomes for encrypted files: they stay the same for the same files and keys.
#[derive(Debug)]
struct Decrypted {
    vault: Arc<Vault>,
    keys: Option<Digest>,
    states: BTreeMap<String, SecretState>,
}

/// Secrets that wait for a thread.
type Queue = Arc<Mutex<VecDeque<(String, SecretSource)>>>;

impl SecretChecker {
    /// Looks up secrets of a runtime, and returns those without a value.
    pub(super) async fn check(&mut self, runtime: &Runtime, names: &[&str]) -> BTreeMap<String, SecretState> {
        let vault = &runtime.vault;
        self.reload_keys(vault).await;
        let mut states = BTreeMap::new();
        let mut queue = VecDeque::new();
        for name in names {
            let Some(source) = runtime.secrets.get(*name) else {
                let missing = SecretState::Missing("the environment does not provide it".to_owned());
                states.insert((*name).to_owned(), missing);
                continue;
            };
            let known = self.decrypted.as_ref().and_then(|decrypted| decrypted.states.get(*name));
            let is_slow = source.file.is_some() || source.age.is_some() || source.sops.is_some();
            match known {
                Some(known) => drop(states.insert((*name).to_owned(), known.clone())),
                None if is_slow => queue.push_back(((*name).to_owned(), source.clone())),
                None => drop(states.insert((*name).to_owned(), secret_state(name, source, vault))),
            }
        }
        for (name, state) in self.look_up(queue, vault).await {
            let source = runtime.secrets.get(&name);
            let is_encrypted = source.is_some_and(|source| source.age.is_some() || source.sops.is_some());
            if let Some(decrypted) = self.decrypted.as_mut().filter(|_| is_encrypted)
                && !matches!(state, SecretState::Unknown(_))
            {
                decrypted.states.insert(name.clone(), state.clone());
            }
            states.insert(name, state);
        }
        states.retain(|_, state| *state != SecretState::Resolved);
        states
    }

    /// Reads the keys of encrypted files again. Outcomes of before hold for the same files and keys only.
    async fn reload_keys(&mut self, vault: &Arc<Vault>) {
        let identities = vault.identities.clone().filter(|_| !vault.files.is_empty());
        if let Some(identities) = identities.clone() {
            let reloaded = tokio::task::spawn_blocking(move || identities.reload());
            let error = match tokio::time::timeout(MAX_CHECK, reloaded).await {
                Ok(Ok(result)) => result.err(),
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some(format!("no answer within {} s", MAX_CHECK.as_secs())),
            };
            if let Some(error) = error {
                tracing::warn!(error, "reading the age keys again failed; the keys of before are used");
            }
        }
        let keys = identities.map(|identities| identities.version());
        let is_same = |known: &Decrypted| Arc::ptr_eq(&known.vault, vault) && known.keys == keys;
        if !self.decrypted.as_ref().is_some_and(is_same) {
            self.decrypted = Some(Decrypted { vault: Arc::clone(vault), keys, states: BTreeMap::new() });
        }
    }

    async fn look_up(
        &self,
        queue: VecDeque<(String, SecretSource)>,
        vault: &Arc<Vault>,
    ) -> BTreeMap<String, SecretState> {
        let unanswered = || SecretState::Unknown(format!("it was not read within {} s", MAX_CHECK.as_secs()));
        let mut states: BTreeMap<String, SecretState> =
            queue.iter().map(|(name, _)| (name.clone(), unanswered())).collect();
        let stuck = lock(&self.running).clone();
        if stuck.len() >= MAX_STUCK {
            return states;
        }
        let queue: VecDeque<_> = queue.into_iter().filter(|(name, _)| !stuck.contains(name)).collect();
        let (count, mut left) = (queue.len().min(MAX_CONCURRENT), queue.len());
        let (sender, mut receiver) = mpsc::channel(left.max(1));
        let queue: Queue = Arc::new(Mutex::new(queue));
        for _ in 0..count {
            let worker = Worker {
                queue: Arc::clone(&queue),
                running: Arc::clone(&self.running),
                vault: Arc::clone(vault),
                sender: sender.clone(),
            };
            // Not a blocking task of the runtime, whose shutdown would wait for it.
            if let Err(error) = std::thread::Builder::new().name("secret-check".into()).spawn(move || worker.run()) {
                tracing::warn!(%error, "starting a thread that looks secrets up failed");
            }
        }
        drop(sender);
        let deadline = Instant::now() + MAX_CHECK;
        while left > 0
            && let Ok(Some((name, state))) = timeout_at(deadline, receiver.recv()).await
        {
            states.insert(name, state);
            left -= 1;
        }
        lock(&queue).clear();
        states
    }
}

/// A thread that looks secrets up until none waits.
struct Worker {
    queue: Queue,
    running: Arc<Mutex<BTreeSet<String>>>,
    vault: Arc<Vault>,
    sender: mpsc::Sender<(String, SecretState)>,
}

impl Worker {
    fn run(self) {
        loop {
            let Some((name, source)) = lock(&self.queue).pop_front() else { return };
            lock(&self.running).insert(name.clone());
            let state = secret_state(&name, &source, &self.vault);
            lock(&self.running).remove(&name);
            if self.sender.blocking_send((name, state)).is_err() {
                return;
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
