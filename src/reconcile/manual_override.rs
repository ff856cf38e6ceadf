//! Definitions that are written, removed and brought back by hand.

use std::sync::Arc;

use serde_json::Value;

use super::candidate::{self, Contents, TombstonePayload};
use super::clock::now;
use super::commands::{CommandError, of_generation};
use super::engine::{ActivationRequest, Reconciler};
use super::rollback::{Composed, live_revisions};
use crate::catalog::{EnvironmentSelection, Input, PinnedDefinition, RawDocument};
use crate::definition::{Id, Kind};
use crate::store::manifest::{Item, Owner, Part};
use crate::store::{Cause, Generation, Micros, StoreError};
use crate::text::{self, Digest, ReadLimits};

impl Reconciler {
    pub(super) async fn put(
        &mut self,
        id: &Id,
        written: RawDocument,
        over: Option<Micros>,
        reason: Option<String>,
        actor: &str,
    ) -> Result<Value, CommandError> {
        one_document(id, &written)?;
        let now = now();
        let generation = self
            .change(id, actor, |engine, known| {
                let owned = known.filter(|item| !item.is_api_owned() || item.overrides_until().is_some());
                let until = match (owned, over) {
                    (Some(item), None) => return Err(owned_by(item)),
                    (Some(_), Some(over)) => Some(now.saturating_add(over)),
                    (None, Some(_)) => {
                        let message =
                            format!("no source has {id}: there is nothing to write over; leave `override` out");
                        return Err(CommandError::new(400, "NothingToOverride", message));
                    }
                    (None, None) => None,
                };
                let base = Part { path: Arc::clone(&written.path), content: Digest::of(&written.bytes), index: 0 };
                let uid = known.map_or_else(
                    || candidate::new_uid(engine.key(), id, &format!("{actor} {now}")),
                    |known| known.uid.clone(),
                );
                let owner = Owner::Api { who: actor.to_owned(), at: now, reason: reason.clone(), until };
                let item =
                    Item { id: id.clone(), uid, digest: base.content, base, patches: Vec::new(), line: 1, owner };
                let piece = PinnedDefinition { id: id.clone(), base: written.clone(), patches: Vec::new() };
                Ok(Some((item, piece)))
            })
            .await?;
        Ok(of_generation(&generation))
    }

    pub(super) async fn delete(&mut self, id: &Id, actor: &str) -> Result<Value, CommandError> {
        let generation = self
            .change(id, actor, |engine, known| {
                let item = known.ok_or_else(|| CommandError::new(404, "NotFound", format!("there is no {id}")))?;
                match &item.owner {
                    Owner::Source { .. } => Err(owned_by(item)),
                    Owner::Api { until: None, .. } => Ok(None),
                    // It ends now, and the next look takes the source's definition back.
                    Owner::Api { who, at, reason, .. } => {
                        let (who, at, reason) = (who.clone(), *at, reason.clone());
                        let owner = Owner::Api { who, at, reason, until: Some(now()) };
                        Ok(Some((Item { owner, ..item.clone() }, engine.piece(item)?)))
                    }
                }
            })
            .await?;
        Ok(of_generation(&generation))
    }

    pub(super) async fn restore(&mut self, id: &Id, actor: &str) -> Result<Value, CommandError> {
        let tombstones = self.store().tombstones(self.key()).await?;
        let stone = tombstones.into_iter().find(|stone| stone.id == id.to_string());
        let gone = || CommandError::new(404, "NotFound", format!("{id} was not removed, or too long ago"));
        let grave: TombstonePayload =
            stone.and_then(|stone| serde_json::from_value(stone.item).ok()).ok_or_else(gone)?;
        let digests: Vec<Digest> = grave.contents().collect();
        let contents = self.store().objects(&digests).await?;
        let contents: Contents = digests.into_iter().zip(contents.into_iter().map(Arc::from)).collect();
        let written = |part: &Part| {
            let missing = StoreError::Corrupt { digest: part.content, problem: "missing" };
            let bytes = Arc::clone(contents.get(&part.content).ok_or(missing)?);
            Ok(RawDocument { path: Arc::clone(&part.path), bytes, index: part.index })
        };
        let piece = candidate::piece(&grave.item, &written)?;
        let named = grave.assets.iter();
        self.brought = named.filter_map(|(path, digest)| Some((path.clone(), contents.get(digest)?.clone()))).collect();
        let generation = self
            .change(id, actor, |_, known| {
                if let Some(item) = known {
                    return Err(owned_by(item));
                }
                let (who, at) = (actor.to_owned(), now());
                let owner = Owner::Api { who, at, reason: Some("restored".into()), until: None };
                Ok(Some((Item { owner, ..grave.item.clone() }, piece.clone())))
            })
            .await;
        self.brought.clear();
        Ok(of_generation(&generation?))
    }

    /// The active generation with one definition written, or removed, as it is decided for what is there.
    async fn change(
        &mut self,
        id: &Id,
        actor: &str,
        decide: impl Fn(&Reconciler, Option<&Item>) -> Result<Option<(Item, PinnedDefinition)>, CommandError>,
    ) -> Result<Generation, CommandError> {
        self.try_live(|engine| {
            let nothing = || CommandError::new(409, "NoGeneration", "nothing was applied yet");
            let live = engine.live.as_ref().ok_or_else(nothing)?;
            let manifest = &live.candidate.manifest;
            let to = decide(engine, manifest.items.get(id).map(|item| &**item))?;
            let mut fixed = manifest.items.clone();
            fixed.remove(id);
            let mut input = Input {
                environment: Some(EnvironmentSelection {
                    name: engine.given.name.clone(),
                    document: Some(engine.given.document.clone()),
                }),
                ..Input::default()
            };
            for item in fixed.values() {
                let mut piece = engine.piece(item)?;
                if engine.as_own(&mut piece, manifest.environment.as_ref()) {
                    input.pinned.push(piece);
                }
            }
            fixed.retain(|id, _| id.kind != Kind::Environment || id.name != engine.given.name);
            let mut assets = live.candidate.assets.clone();
            assets.extend(engine.brought.iter().map(|(path, bytes)| (path.clone(), Arc::clone(bytes))));
            input.snapshot.names = Arc::new(assets.keys().cloned().collect());
            input.snapshot.with_code(assets.iter().map(|(path, bytes)| (path.as_str(), bytes)));
            input.snapshot.shown_under = engine.shown_under();
            if let Some((item, piece)) = to {
                input.pinned.push(piece);
                fixed.insert(id.clone(), Arc::new(item));
            }
            let revisions = live_revisions(engine);
            Ok(Composed {
                wanted: fixed.contains_key(id).then(|| id.clone()),
                input,
                fixed,
                assets,
                going: ActivationRequest { cause: Cause::Override, actor: actor.to_owned(), revisions },
            })
        })
        .await
    }
}

/// What is written by hand is one definition, the one that it is called.
fn one_document(id: &Id, written: &RawDocument) -> Result<(), CommandError> {
    let limits = ReadLimits::default();
    let (source, _) = text::decode(&written.path, &written.bytes, &limits);
    let (documents, _) = text::parse(&source, &limits);
    let text = |document: &text::Document, pointer| {
        document.root.pointer(pointer).and_then(text::Node::as_str).map(str::to_owned)
    };
    let wrong = |message: String| Err(CommandError::new(400, "BadRequest", message));
    match &documents[..] {
        [] => wrong(format!(
            "the body holds no document; write {id} as YAML, or as JSON with `content-type: application/json`"
        )),
        [one] => {
            let kind = text(one, "/kind").unwrap_or_default();
            let name = text(one, "/metadata/name").unwrap_or_default();
            if kind == id.kind.as_str() && name == id.name {
                return Ok(());
            }
            wrong(format!("the body is `{kind}/{name}`, and the address says {id}"))
        }
        many => wrong(format!("the body holds {} documents; write one definition at a time", many.len())),
    }
}

fn owned_by(item: &Item) -> CommandError {
    let message = match &item.owner {
        Owner::Source { source, revision } => format!(
            "{} belongs to {source} ({revision}, {}:{}): change it there, or write over it for a while with \
             `?override=2h&reason=…`",
            item.id, item.base.path, item.line
        ),
        Owner::Api { who, .. } => format!("{} is written over by {who}: end that first, or say for how long", item.id),
    };
    CommandError::new(409, "OwnedBySource", message)
}
