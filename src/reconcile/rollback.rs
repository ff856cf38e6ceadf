//! Generations that somebody asks for: earlier ones, and those of other environments.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::candidate::{self, Provenance};
use super::clock::now;
use super::commands::{CommandError, of_generation, with_findings};
use super::engine::{ActivationRequest, Reconciler};
use super::reason::Reason;
use super::status::{Controls, HeldRevision, MAX_LISTED};
use crate::catalog::{EnvironmentSelection, Input, PinnedDefinition, RawDocument};
use crate::definition::{Id, Kind};
use crate::plan::BlockedReason;
use crate::store::manifest::{Item, Owner, Part};
use crate::store::{Cause, Generation};
use crate::text::Digest;

/// What is to become a generation.
pub(super) struct Composed {
    pub(super) input: Input,
    pub(super) fixed: BTreeMap<Id, Arc<Item>>,
    pub(super) assets: BTreeMap<String, Arc<[u8]>>,
    pub(super) going: ActivationRequest,
    /// A definition that it is all about.
    pub(super) wanted: Option<Id>,
}

/// How often an activation is tried again that another one got ahead of.
const TRIES: usize = 5;

impl Reconciler {
    pub(super) async fn roll_back(&mut self, to: u64, actor: &str) -> Result<Value, CommandError> {
        let generation = self.store().generation(self.key(), to).await?;
        let missing = || {
            CommandError::new(
                404,
                "NoGeneration",
                format!("there is no generation {to}; see `evenkeel history {}`", self.key()),
            )
        };
        let generation = generation.ok_or_else(missing)?;
        let before = self.active().await?;
        if before.digest == generation.digest {
            return Err(CommandError::new(409, "AlreadyActive", format!("generation {to} is what serves already")));
        }
        let held = self.hold_back(Some(before), actor).await?;
        let going = self.adopt(generation.digest, generation.revisions, Cause::Rollback, actor).await;
        self.or_as_before(going, held).await
    }

    pub(super) async fn promote(&mut self, from: &str, actor: &str) -> Result<Value, CommandError> {
        let from = &self.beside(from);
        let expected = self.given.spec.promote_from.as_deref();
        if expected.is_some_and(|expected| self.beside(expected) != *from) {
            let message = format!("`{}` is promoted from `{}` only", self.key(), expected.unwrap_or_default());
            return Err(CommandError::new(409, "WrongEnvironment", message));
        }
        let promoted = self.store().active(from).await?;
        let promoted = promoted
            .ok_or_else(|| CommandError::new(404, "NoGeneration", format!("environment `{from}` has no generation")))?;
        let before = self.store().active(self.key()).await?;
        let held = self.hold_back(before, actor).await?;
        let going = self.adopt(promoted.digest, promoted.revisions, Cause::Promotion, actor).await;
        let mut answer = self.or_as_before(going, held).await?;
        answer["warnings"] = self.written_over(from).into();
        Ok(answer)
    }

    /// What went live with a promotion although no source declares it so: it is copied as it served there, and whoever
    /// promotes should know.
    fn written_over(&self, from: &str) -> Vec<String> {
        let items = self.live.iter().flat_map(|live| live.candidate.manifest.items.values());
        let over = items.filter_map(|item| match &item.owner {
            Owner::Api { who, reason, until: Some(_), .. } => {
                let reason = reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
                Some(format!(
                    "{}: `{who}` wrote over it in `{from}`{reason}; it was promoted as it serves there, and is not what \
                     Git declares",
                    item.id
                ))
            }
            _ => None,
        });
        over.take(MAX_LISTED).collect()
    }

    /// What an environment is known by that is named beside this one: on Kubernetes, in the same namespace.
    fn beside(&self, name: &str) -> String {
        match self.given.key.split_once('.') {
            Some((namespace, _)) if !name.contains('.') => format!("{namespace}.{name}"),
            _ => name.to_owned(),
        }
    }

    async fn active(&self) -> Result<Generation, CommandError> {
        let active = self.store().active(self.key()).await?;
        active.ok_or_else(|| CommandError::new(409, "NoGeneration", "nothing was applied yet"))
    }

    /// The revision that is left is not applied again: said before it is left, or whoever leads would be faster. Gives
    /// what was said before.
    async fn hold_back(&self, before: Option<Generation>, actor: &str) -> Result<Controls, CommandError> {
        let mut revisions = before.map(|before| before.revisions).unwrap_or_default();
        // What was looked at last, and perhaps refused, is left too.
        revisions.extend(self.status.last_attempted.clone());
        let earlier = self.controls().await?;
        if !revisions.is_empty() {
            let held_back = Some(HeldRevision { revisions, by: actor.to_owned(), at: now() });
            self.put_controls(&Controls { held_back, ..earlier.clone() }).await?;
        }
        Ok(earlier)
    }

    /// The answer for a generation that went live; where it did not, what was said before is said again.
    async fn or_as_before(
        &mut self,
        going: Result<Generation, CommandError>,
        earlier: Controls,
    ) -> Result<Value, CommandError> {
        if going.is_err() {
            self.put_controls(&earlier).await?;
        }
        going.map(|generation| of_generation(&generation))
    }

    /// Makes the definitions of a stored generation this environment's, with its own Environment document, its own
    /// identities, and what was made by hand here.
    async fn adopt(
        &mut self,
        digest: Digest,
        revisions: BTreeMap<String, String>,
        cause: Cause,
        actor: &str,
    ) -> Result<Generation, CommandError> {
        let (manifest, contents) = candidate::stored(self.store(), digest).await?;
        let buried = self.buried().await?;
        let going = ActivationRequest { cause, actor: actor.to_owned(), revisions };
        self.try_live(|engine| {
            let name = engine.given.name.clone();
            let mut input = candidate::input(&name, &manifest, &contents, &engine.shown_under())?;
            let by_hand = |id: &Id| {
                manifest.items.get(id).is_some_and(|item| item.is_api_owned() && item.overrides_until().is_none())
            };
            // Its own document, and not that of another environment or time.
            input.pinned.retain_mut(|piece| !by_hand(&piece.id) && engine.as_own(piece, manifest.environment.as_ref()));
            input.environment =
                Some(EnvironmentSelection { name: name.clone(), document: Some(engine.given.document.clone()) });
            let own = |id: &Id| id.kind == Kind::Environment && id.name == name;
            let live = engine.live.as_ref().map(|live| Arc::clone(&live.candidate));
            let mut fixed = BTreeMap::new();
            for (id, item) in manifest.items.iter().filter(|(id, _)| !own(id) && !by_hand(id)) {
                let known = live.as_ref().and_then(|live| live.manifest.items.get(id)).map(|known| &known.uid);
                let uid = known.or_else(|| buried.get(id)).unwrap_or(&item.uid);
                let same = *uid == item.uid;
                fixed.insert(
                    id.clone(),
                    if same { Arc::clone(item) } else { Arc::new(Item { uid: uid.clone(), ..(**item).clone() }) },
                );
            }
            let known = manifest.assets.iter();
            let mut assets: BTreeMap<String, Arc<[u8]>> =
                known.filter_map(|(path, digest)| Some((path.clone(), contents.get(digest)?.clone()))).collect();
            for item in engine.by_hand(now()).into_iter().filter(|item| item.overrides_until().is_none()) {
                // What was made by hand here is nobody else's to remove.
                input.pinned.retain(|piece| piece.id != item.id);
                input.pinned.push(engine.piece(&item)?);
                engine.with_assets(&item.id, &mut input);
                fixed.insert(item.id.clone(), item);
            }
            for (path, bytes) in live.iter().flat_map(|live| &live.assets) {
                assets.entry(path.clone()).or_insert_with(|| Arc::clone(bytes));
            }
            Ok(Composed { input, fixed, assets, going: going.clone(), wanted: None })
        })
        .await
    }

    /// Makes a piece of the Environment itself what the source says of it; `false` where it says nothing and all of it is
    /// the operator's, whose present document counts.
    pub(super) fn as_own(&self, piece: &mut PinnedDefinition, given: Option<&Part>) -> bool {
        let own = piece.id.kind == Kind::Environment && piece.id.name == self.given.name;
        let operators = |written: &RawDocument| {
            given.is_some_and(|given| given.path == written.path && given.content == Digest::of(&written.bytes))
        };
        if own {
            piece.patches.retain(|patch| !operators(patch));
        }
        !own || !operators(&piece.base)
    }

    /// Composes, examines, builds and activates; composes anew where another activation got ahead.
    pub(super) async fn try_live(
        &mut self,
        compose: impl Fn(&Reconciler) -> Result<Composed, CommandError>,
    ) -> Result<Generation, CommandError> {
        let mut last = None;
        for _ in 0..TRIES {
            self.follow().await?;
            let Composed { input, fixed, assets, going, wanted } = compose(self)?;
            let examined = Arc::new(tokio::task::block_in_place(|| self.examiner.validate(&input, &[])));
            if !examined.is_valid() {
                return Err(with_findings(&examined));
            }
            let live = self.live.as_ref().map(|live| Arc::clone(&live.candidate));
            let given = input.environment.as_ref().and_then(|chosen| chosen.document.clone());
            let named = crate::catalog::assets(&examined.catalog);
            let from = Provenance {
                fixed,
                before: live.as_ref().map(|live| &*live.manifest),
                given: given.as_ref(),
                assets: assets.into_iter().filter(|(path, _)| named.contains(path)).collect(),
                several: !self.given.spec.sources.is_empty(),
                revisions: live_revisions(self),
                ..Provenance::default()
            };
            let name = self.given.name.clone();
            let candidate = Arc::new(candidate::build(&name, &examined, from, &mut self.known)?);
            if let Some(id) = wanted.filter(|id| !candidate.manifest.items.contains_key(id)) {
                let message =
                    format!("the environment's `selector` leaves {id} out: give it the labels that it asks for");
                return Err(CommandError::new(409, "NotSelected", message));
            }
            let (plan, blocked) = self.plan(&candidate, false);
            if let Some(protected) = blocked.iter().find(|one| one.reason == BlockedReason::Protected) {
                return Err(CommandError::new(409, "Protected", protected.message.clone()));
            }
            match self.go_live(candidate, &plan, going, None).await {
                Ok(generation) => return Ok(generation),
                Err(refused) if refused.reason == Reason::Stale => last = Some(refused),
                Err(refused) => return Err(refused.into()),
            }
        }
        Err(last.map_or_else(
            || CommandError::new(409, "Stale", "the environment changes all the time"),
            CommandError::from,
        ))
    }
}

pub(super) fn live_revisions(engine: &Reconciler) -> BTreeMap<String, String> {
    engine.live.as_ref().map(|live| live.generation.revisions.clone()).unwrap_or_default()
}
