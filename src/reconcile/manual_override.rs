//! Definitions that are written, removed and restored through the API.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::active_generation::ActivationRequest;
use super::candidate::{self, Contents, TombstonePayload};
use super::clock::now;
use super::commands::{CommandError, Precondition};
use super::composition::{Composition, without_own_document};
use super::live_generation::LiveGeneration;
use super::reconciler::Reconciler;
use crate::catalog::{API_FOLDER, Input, Overlaid, PinnedDefinition, RawDocument};
use crate::definition::Id;
use crate::store::manifest::{Item, Owner, Part};
use crate::store::{Cause, Generation, Micros, StoreError};
use crate::text::{self, Digest, ReadLimits};

/// A definition to write, as an item and its document; `None` to remove it.
pub(super) type Change = Option<(Item, PinnedDefinition)>;
/// Contents of files by path.
pub(super) type Assets = BTreeMap<String, Arc<[u8]>>;

/// Options of writing a definition.
#[derive(Clone, Debug)]
pub(super) struct ManualWrite {
    /// Duration of an override of a source's definition.
    pub(super) over: Option<Micros>,
    /// Reason in the operator's words.
    pub(super) reason: Option<String>,
    /// Condition on the definition that is live.
    pub(super) precondition: Precondition,
}

impl Reconciler {
    /// Writes a definition.
    pub(super) async fn put(
        &mut self,
        id: &Id,
        document: RawDocument,
        write: ManualWrite,
        actor: &str,
    ) -> Result<Value, CommandError> {
        let ManualWrite { over, reason, precondition } = write;
        expect_one_document(id, &document)?;
        let now = now();
        let environment = self.scope.key().to_owned();
        self.change(id, actor, Cause::Override, &Assets::new(), |_, known| {
            precondition.check(id, known.map(|known| known.digest))?;
            let until = expiry(id, known, over, now)?;
            let base = Part { path: Arc::clone(&document.path), content: Digest::of(&document.bytes), index: 0 };
            let uid = known.map_or_else(
                || candidate::new_uid(&environment, id, &format!("{actor} {now}")),
                |known| known.uid.clone(),
            );
            let owner = Owner::Api { who: actor.to_owned(), at: now, reason: reason.clone(), until };
            let item = Item { id: id.clone(), uid, digest: base.content, base, patches: Vec::new(), line: 1, owner };
            let pinned = PinnedDefinition { id: id.clone(), base: document.clone(), patches: Vec::new() };
            Ok(Some((item, pinned)))
        })
        .await
        .map(|generation| response(&generation))
    }

    /// Removes a definition that was written through the API. An override expires now, and the next pass restores the
    /// source's definition.
    pub(super) async fn delete(
        &mut self,
        id: &Id,
        precondition: Precondition,
        actor: &str,
    ) -> Result<Value, CommandError> {
        self.check_end(id).await?;
        self.change(id, actor, Cause::Override, &Assets::new(), |live, known| {
            precondition.check(id, known.map(|known| known.digest))?;
            let item = known.ok_or_else(|| CommandError::new(404, "NOT_FOUND", format!("there is no {id}")))?;
            match &item.owner {
                Owner::Source { .. } => Err(owned_by(item)),
                Owner::Api { until: None, .. } => Ok(None),
                Owner::Api { who, at, reason, .. } => {
                    let (who, at, reason) = (who.clone(), *at, reason.clone());
                    let owner = Owner::Api { who, at, reason, until: Some(now()) };
                    Ok(Some((Item { owner, ..item.clone() }, live.pinned(item)?)))
                }
            }
        })
        .await
        .map(|generation| response(&generation))
    }

    /// Checks that the environment stays valid if an override ends: its source may not declare the definition any more,
    /// while others need it.
    async fn check_end(&mut self, id: &Id) -> Result<(), CommandError> {
        self.load_active().await?;
        let item = self.active.live().and_then(|live| live.item(id));
        if item.is_none_or(|item| item.overrides_until().is_none()) {
            return Ok(());
        }
        // Without its sources, the environment keeps the override until they can be read.
        let Ok(merged) = self.sources.fetch(&self.scope).await else { return Ok(()) };
        let without = self.propose_without(&merged, None, Some(id), &BTreeSet::new()).await.validated;
        let Some(without) = without.filter(|validated| !validated.is_valid()) else { return Ok(()) };
        let with = self.propose(&merged, None).await.validated;
        if with.is_none_or(|validated| !validated.is_valid()) {
            return Ok(());
        }
        let error = CommandError::invalid(&without);
        let message = format!(
            "the override of {id} cannot end, as {}; declare {id} again, or change what needs it first",
            error.message
        );
        Err(CommandError { message, ..error })
    }

    /// Restores a removed definition with the files that it named.
    pub(super) async fn restore(&mut self, id: &Id, actor: &str) -> Result<Value, CommandError> {
        let tombstones = self.scope.store().tombstones(self.scope.key()).await?;
        let tombstone = tombstones.into_iter().find(|tombstone| tombstone.id == id.to_string());
        let missing = || CommandError::new(404, "NOT_FOUND", format!("{id} was not removed, or too long ago"));
        let payload = tombstone.and_then(|tombstone| serde_json::from_value::<TombstonePayload>(tombstone.item).ok());
        let payload = payload.ok_or_else(missing)?;
        let digests: Vec<Digest> = payload.contents().collect();
        let contents = self.scope.store().objects(&digests).await?;
        let contents: Contents = digests.into_iter().zip(contents.into_iter().map(Arc::from)).collect();
        let document = |part: &Part| {
            let missing = StoreError::Corrupt { digest: part.content, problem: "missing" };
            let bytes = Arc::clone(contents.get(&part.content).ok_or(missing)?);
            Ok(RawDocument { path: Arc::clone(&part.path), bytes, index: part.index })
        };
        let pinned = candidate::pinned(&payload.item, &document)?;
        let named = payload.assets.iter();
        let assets = named.filter_map(|(path, digest)| Some((path.clone(), contents.get(digest)?.clone()))).collect();
        self.change(id, actor, Cause::Override, &assets, |_, known| {
            if let Some(item) = known {
                return Err(owned_by(item));
            }
            let (who, at) = (actor.to_owned(), now());
            let owner = Owner::Api { who, at, reason: Some("restored".into()), until: None };
            Ok(Some((Item { owner, ..payload.item.clone() }, pinned.clone())))
        })
        .await
        .map(|generation| response(&generation))
    }

    /// Activates the live generation with one definition written or removed. `decide` gets the present item of the
    /// definition; `restored` holds files besides those of the live generation.
    pub(super) async fn change(
        &mut self,
        id: &Id,
        actor: &str,
        cause: Cause,
        restored: &Assets,
        decide: impl Fn(&LiveGeneration, Option<&Item>) -> Result<Change, CommandError>,
    ) -> Result<Generation, CommandError> {
        self.activate_composition(|reconciler| {
            let scope = &reconciler.scope;
            let live = reconciler.active.live();
            let live = live.ok_or_else(|| CommandError::new(409, "NO_GENERATION", "nothing was applied yet"))?;
            let change = decide(live, live.item(id).map(|item| &**item))?;
            let manifest = &live.candidate.manifest;
            let mut pinned = manifest.items.clone();
            pinned.remove(id);
            let mut input =
                Input { environment: Some(scope.selection()), overlaid: Overlaid::Merged, ..Input::default() };
            for item in pinned.values() {
                let mut definition = live.pinned(item)?;
                if without_own_document(scope, &mut definition, manifest.environment.as_ref()) {
                    input.pinned.push(definition);
                }
            }
            pinned.remove(&scope.own_id());
            let mut assets = live.candidate.assets.clone();
            assets.extend(restored.iter().map(|(path, bytes)| (path.clone(), Arc::clone(bytes))));
            input.snapshot.names = Arc::new(assets.keys().cloned().collect());
            input.snapshot.with_code(assets.iter().map(|(path, bytes)| (path.as_str(), bytes)));
            input.snapshot.set_repository_folder(&reconciler.sources.shown_under());
            if let Some((item, definition)) = change {
                input.pinned.push(definition);
                pinned.insert(id.clone(), Arc::new(item));
            }
            let revisions = reconciler.active.revisions();
            Ok(Composition {
                required: pinned.contains_key(id).then(|| id.clone()),
                input,
                pinned,
                assets,
                request: ActivationRequest { cause, actor: actor.to_owned(), revisions },
                sources: None,
            })
        })
        .await
    }
}

/// A document that was sent to the API, under a path of its own.
pub(super) fn manual_document(id: &Id, text: &str, json: bool) -> RawDocument {
    let extension = if json { "json" } else { "yaml" };
    let path = format!("{API_FOLDER}{}-{}.{extension}", id.kind.as_str().to_ascii_lowercase(), id.name);
    RawDocument { path: path.into(), bytes: text.as_bytes().into(), index: 0 }
}

/// The expiry of a definition that is written: `None` for one that no source declares.
fn expiry(id: &Id, known: Option<&Item>, over: Option<Micros>, now: Micros) -> Result<Option<Micros>, CommandError> {
    let owned = known.filter(|item| !item.is_api_owned() || item.overrides_until().is_some());
    match (owned, over) {
        (Some(item), None) => Err(owned_by(item)),
        (Some(_), Some(over)) => Ok(Some(now.saturating_add(over))),
        (None, Some(_)) => {
            let message = format!("no source has {id}: there is nothing to override; omit `override`");
            Err(CommandError::new(400, "NOTHING_TO_OVERRIDE", message))
        }
        (None, None) => Ok(None),
    }
}

/// Checks that a document holds one definition and that it is `id`.
fn expect_one_document(id: &Id, document: &RawDocument) -> Result<(), CommandError> {
    let limits = ReadLimits::default();
    let (source, _) = text::decode(&document.path, &document.bytes, &limits);
    let (documents, _) = text::parse(&source, &limits);
    let text = |document: &text::Document, pointer| {
        document.root.pointer(pointer).and_then(text::Node::as_str).map(str::to_owned)
    };
    let wrong = |message: String| Err(CommandError::new(400, "BAD_REQUEST", message));
    match &documents[..] {
        [] => wrong(format!(
            "the body holds no document; write {id} as YAML, or as JSON with `content-type: application/json`"
        )),
        [only] => {
            let kind = text(only, "/kind").unwrap_or_default();
            let name = text(only, "/metadata/name").unwrap_or_default();
            if kind == id.kind.as_str() && name == id.name {
                return Ok(());
            }
            wrong(format!("the body is `{kind}/{name}`, but the URL names {id}"))
        }
        several => wrong(format!("the body holds {} documents; write one definition at a time", several.len())),
    }
}

fn owned_by(item: &Item) -> CommandError {
    let message = match &item.owner {
        Owner::Source { source, revision } => format!(
            "{} belongs to {source} ({revision}, {}:{}): change it there, or override it for a while with \
             `?override=2h&reason=…`",
            item.id, item.base.path, item.line
        ),
        Owner::Api { who, .. } => {
            format!("{} is overridden by {who}: end that override first, or give a duration", item.id)
        }
    };
    CommandError::new(409, "OWNED_BY_SOURCE", message)
}

fn response(generation: &Generation) -> Value {
    serde_json::to_value(generation).unwrap_or_default()
}
