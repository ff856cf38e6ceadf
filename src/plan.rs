//! The plan as a value: what must be done so that what is observed becomes what is desired.
//!
//! ```text
//! Catalog ──inventory──► Inventory (desired) ─┐
//!                                             ├─ plan ──► Plan { actions in order, class, digest } ──render──► people
//!                        Inventory (observed) ┘             │ guard ──► what may not be removed
//!                                                           │ inverse, apply
//! ```
//!
//! Everything here is pure: the same two inventories give the same plan, to the byte. A definition is compared in its
//! [canonical](canonical::document) form, so a plan shows what changes and never how it was written. A plan is complete
//! in itself: it can be saved, reviewed, and compared by its digest with what is applied later.

mod algebra;
mod breaking;
pub mod canonical;
mod change;
mod guard;
mod lines;
mod mask;
mod object;
mod order;
mod pattern;
pub mod render;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::definition::Id;
use crate::text::Digest;

pub use algebra::{Slot, Stale, apply, state};
pub use breaking::Class;
pub use change::{Change, ChangeKind};
pub use guard::{Blocked, BlockedReason, Desired, PrunePolicy, guard};
pub use lines::{DiffLine, text_diff};
pub use object::{Inventory, Object, Place, inventory, object, parse_id};

/// The version of the plan's JSON form that is written and read.
pub const VERSION: u32 = 1;

/// Dependants that an action names; the others are only counted.
pub const MOST_DEPENDANTS: usize = 100;

/// Largest saved plan that is read, in bytes.
pub const MOST_PLAN_BYTES: usize = 256 << 20;

/// What a plan is made for.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// The name of the environment.
    pub environment: &'a str,
    /// The key that secrets are fingerprinted with, so that a reviewer sees whether two are the same; without it they
    /// show as hidden.
    pub fingerprint: Option<&'a [u8; 32]>,
}

/// What must be done, in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Plan {
    /// [`VERSION`].
    pub version: u32,
    /// The environment that it is for.
    pub environment: String,
    /// Digest of all that was observed: of identities and contents, not of places and commits.
    pub from: Digest,
    /// Digest of all that is desired.
    pub to: Digest,
    /// The actions: what is needed comes before what needs it, removals last and in reverse.
    pub actions: Vec<Action>,
    /// Definitions that stay as they are.
    pub unchanged: usize,
    /// How many actions of each kind.
    pub summary: Summary,
    /// Digest of everything that matters for "reviewed is applied": environment, `from`, `to`, and each action's
    /// identity, verb and contents. Places, commits and wording do not count.
    pub digest: Digest,
}

/// How many actions of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Summary {
    pub create: usize,
    pub update: usize,
    pub delete: usize,
    #[serde(rename = "move")]
    pub moved: usize,
    pub breaking: usize,
}

/// What is done with one definition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Action {
    /// The definition, written `Kind/name`.
    #[serde(with = "object::id_text")]
    pub id: Id,
    /// What is done.
    pub action: Verb,
    /// Why, in one sentence.
    pub reason: String,
    /// Where it is declared; where it was, for a removal.
    pub place: Place,
    /// Where it was declared before, where that is another file or source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<Place>,
    /// What it means for those who use the definition.
    pub class: Class,
    /// Why it is breaking; empty otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub because: Vec<String>,
    /// Digest of the canonical document before; `null` for what was not there.
    pub before: Option<Digest>,
    /// Digest of the canonical document after; `null` for what is removed.
    pub after: Option<Digest>,
    /// What differs, in the order of the canonical document. Secrets are replaced by fingerprints.
    pub changes: Vec<Change>,
    /// What needs it, directly or through others, sorted; at most [`MOST_DEPENDANTS`].
    pub dependants: Vec<String>,
    /// How many need it.
    pub dependants_total: usize,
    /// The definition that is removed in the same plan, and has the same spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renamed_from: Option<String>,
    /// The definition that is created in the same plan, and has the same spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renamed_to: Option<String>,
}

/// What is done with a definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// It is not there yet.
    Create,
    /// It is there with another content.
    Update,
    /// It is no longer declared.
    Delete,
    /// It is declared in another file or source, with the same content.
    Move,
}

impl Verb {
    /// The word in a plan's JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Verb::Create => "create",
            Verb::Update => "update",
            Verb::Delete => "delete",
            Verb::Move => "move",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What turns `observed` into `desired`. Unchanged definitions cost a comparison of pointers or of digests.
pub fn plan(observed: &Inventory, desired: &Inventory, options: &Options<'_>) -> Plan {
    let (pairs, unchanged) = differing(observed, desired);
    let from = inventory_digest(observed);
    // What only moved has the same content.
    let same = pairs.iter().all(|pair| pair.verb() == Verb::Move);
    let to = if same { from } else { inventory_digest(desired) };
    let mut actions: Vec<Action> = pairs.par_iter().map(|pair| pair.action(options)).collect();
    let renames = renames(&pairs);
    order::dependants(&mut actions, observed, desired);
    for action in &mut actions {
        action.renamed_from = renames.get(&(Verb::Create, &action.id)).map(ToString::to_string);
        action.renamed_to = renames.get(&(Verb::Delete, &action.id)).map(ToString::to_string);
        if action.action == Verb::Delete {
            (action.class, action.because) = breaking::removal(action);
        }
        action.reason = reason(action);
    }
    drop(renames);
    let actions = order::sorted(actions, observed, desired);
    let digest = Digest::of(&[]);
    let environment = options.environment.to_owned();
    let summary = Summary::default();
    Plan { version: VERSION, environment, from, to, actions, unchanged, summary, digest }.sealed()
}

impl Plan {
    /// Is there nothing to do?
    pub fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }

    /// The plan as JSON, the form that is saved; ends with a line break.
    pub fn to_json(&self) -> String {
        render::json(self)
    }

    /// Reads a saved plan.
    ///
    /// # Errors
    /// A sentence where it is no plan, one of another version, or was changed after it was made.
    pub fn from_json(text: &str) -> Result<Plan, String> {
        if text.len() > MOST_PLAN_BYTES {
            return Err(format!("the plan is larger than {} MiB; plan fewer changes at once", MOST_PLAN_BYTES >> 20));
        }
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let plan = match serde_json::from_str::<Version>(text) {
            Ok(Version { version: VERSION }) => serde_json::from_str::<Plan>(text),
            Ok(Version { version }) => {
                return Err(format!("the plan has version {version} and this reads version {VERSION}; plan again"));
            }
            Err(error) => Err(error),
        };
        // serde's message may quote what the file holds.
        let plan = plan.map_err(|error| {
            format!("this is no plan (line {} column {}); make one with `evenkeel plan --out FILE`", error.line(), error.column())
        })?;
        let sealed = plan.clone().sealed();
        if sealed.digest != plan.digest || sealed.summary != plan.summary {
            return Err("the plan was changed after it was made; plan again".into());
        }
        Ok(plan)
    }

    /// The plan with its summary and digest made from its actions.
    fn sealed(mut self) -> Plan {
        self.summary = Summary::default();
        for action in &self.actions {
            match action.action {
                Verb::Create => self.summary.create += 1,
                Verb::Update => self.summary.update += 1,
                Verb::Delete => self.summary.delete += 1,
                Verb::Move => self.summary.moved += 1,
            }
            self.summary.breaking += usize::from(action.class == Class::Breaking);
        }
        let digest = |digest: &Option<Digest>| digest.map_or_else(String::new, |digest| digest.to_string());
        let mut parts = vec![
            "evenkeel plan".to_owned(),
            self.version.to_string(),
            self.environment.clone(),
            self.from.to_string(),
            self.to.to_string(),
        ];
        for action in &self.actions {
            parts.extend([action.id.to_string(), action.action.to_string(), digest(&action.before), digest(&action.after)]);
        }
        self.digest = Digest::of_parts(parts.iter().map(String::as_bytes));
        self
    }
}

/// A definition that differs, on at least one side.
struct Pair<'a> {
    id: &'a Id,
    before: Option<&'a Arc<Object>>,
    after: Option<&'a Arc<Object>>,
}

impl Pair<'_> {
    fn verb(&self) -> Verb {
        match (self.before, self.after) {
            (None, _) => Verb::Create,
            (Some(_), None) => Verb::Delete,
            (Some(before), Some(after)) if before.digest == after.digest => Verb::Move,
            (Some(_), Some(_)) => Verb::Update,
        }
    }

    fn action(&self, options: &Options<'_>) -> Action {
        let verb = self.verb();
        let kind = self.id.kind;
        let masked = |object: Option<&Arc<Object>>| object.map(|object| mask::masked(kind, &object.document, options));
        let changes = match verb {
            Verb::Move => Vec::new(),
            _ => {
                let (before, after) = (masked(self.before), masked(self.after));
                let mut changes = change::changes(before.as_ref(), after.as_ref());
                changes.iter_mut().for_each(|change| mask::shorten(change, options.fingerprint.is_some()));
                changes
            }
        };
        let (class, because) = match (verb, self.before, self.after) {
            (Verb::Update, Some(before), Some(after)) => breaking::class(kind, &before.document, &after.document),
            (Verb::Move, ..) => (Class::None, Vec::new()),
            _ => (Class::Compatible, Vec::new()),
        };
        let place = |object: &Arc<Object>| object.place.clone();
        let moved = |before: &&Arc<Object>| self.after.is_some_and(|after| !before.place.is_beside(&after.place));
        Action {
            id: self.id.clone(),
            action: verb,
            reason: String::new(),
            place: self.after.or(self.before).map(place).unwrap_or_default(),
            was: self.before.filter(moved).map(place),
            class,
            because,
            before: self.before.map(|object| object.digest),
            after: self.after.map(|object| object.digest),
            changes,
            dependants: Vec::new(),
            dependants_total: 0,
            renamed_from: None,
            renamed_to: None,
        }
    }
}

/// The definitions that differ, and how many do not.
fn differing<'a>(observed: &'a Inventory, desired: &'a Inventory) -> (Vec<Pair<'a>>, usize) {
    let mut pairs = Vec::new();
    let mut unchanged = 0;
    let (mut left, mut right) = (observed.iter().peekable(), desired.iter().peekable());
    loop {
        let order = match (left.peek(), right.peek()) {
            (None, None) => break,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some((one, _)), Some((other, _))) => one.cmp(other),
        };
        let before = if order.is_le() { left.next() } else { None };
        let after = if order.is_ge() { right.next() } else { None };
        let Some((id, _)) = before.or(after) else { break };
        let pair = Pair { id, before: before.map(|(_, object)| object), after: after.map(|(_, object)| object) };
        let same = |before: &Arc<Object>, after: &Arc<Object>| {
            Arc::ptr_eq(before, after) || before.digest == after.digest && before.place.is_beside(&after.place)
        };
        match (pair.before, pair.after) {
            (Some(before), Some(after)) if same(before, after) => unchanged += 1,
            _ => pairs.push(pair),
        }
    }
    (pairs, unchanged)
}

/// Digest of identities and contents, in order.
fn inventory_digest(inventory: &Inventory) -> Digest {
    Digest::of_parts(inventory.iter().flat_map(|(id, object)| {
        [id.kind.as_str().as_bytes(), id.name.as_bytes(), object.digest.bytes().as_slice()]
    }))
}

/// Definitions that are removed while others of the same kind and spec are created: for each the other one.
fn renames<'a>(pairs: &[Pair<'a>]) -> BTreeMap<(Verb, &'a Id), &'a Id> {
    let of = |verb: Verb| pairs.iter().filter(move |pair| pair.verb() == verb);
    let mut renames = BTreeMap::new();
    if of(Verb::Create).next().is_none() || of(Verb::Delete).next().is_none() {
        return renames;
    }
    let spec = |object: Option<&Arc<Object>>| {
        let spec = object.and_then(|object| object.document.get("spec"))?;
        Some(Digest::of(spec.to_string().as_bytes()))
    };
    let mut gone: BTreeMap<_, Vec<&Id>> = BTreeMap::new();
    for pair in of(Verb::Delete) {
        gone.entry((pair.id.kind, spec(pair.before))).or_default().push(pair.id);
    }
    // The first by name is taken first.
    gone.values_mut().for_each(|ids| ids.reverse());
    for pair in of(Verb::Create) {
        let Some(old) = gone.get_mut(&(pair.id.kind, spec(pair.after))).and_then(Vec::pop) else { continue };
        renames.insert((Verb::Create, pair.id), old);
        renames.insert((Verb::Delete, old), pair.id);
    }
    renames
}

/// Why an action is done; made from the action alone, so that an inverse has its own.
fn reason(action: &Action) -> String {
    let elsewhere = |what: &str| match &action.was {
        Some(was) if was.source != action.place.source => format!("{what} in another source"),
        Some(_) => format!("{what} in another file"),
        None => what.to_owned(),
    };
    match action.action {
        Verb::Create => match &action.renamed_from {
            Some(old) => format!("it is declared and not there; its spec is that of `{old}`, which is removed"),
            None => "it is declared and not there".into(),
        },
        Verb::Update => match action.changes.len() {
            1 => elsewhere("one field differs from what is declared"),
            count => elsewhere(&format!("{count} fields differ from what is declared")),
        },
        Verb::Delete => match &action.renamed_to {
            Some(new) => format!("it is no longer declared; its spec is that of `{new}`, which is created"),
            None => "it is no longer declared".into(),
        },
        Verb::Move => elsewhere("it is declared"),
    }
}

/// The value of a saved document, or `null`.
fn or_null(value: Option<&Value>) -> Value {
    value.cloned().unwrap_or(Value::Null)
}

#[cfg(test)]
mod tests;
