//! Builds a plan from two inventories.

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;

use super::breaking::ChangeClass;
use super::change::Change;
use super::model::{Action, Plan, PlanOptions, Summary, VERSION, Verb};
use super::object::{Inventory, Object};
use super::users::Callers;
use super::{breaking, change, declared_tests, file_diff, mask, order, users};
use crate::definition::{Id, Kind};
use crate::text::Digest;

/// The plan that turns `observed` into `desired`. An unchanged definition costs a comparison of pointers or digests.
pub fn plan(observed: &Inventory, desired: &Inventory, options: &PlanOptions<'_>) -> Plan {
    let (pairs, unchanged) = differing(observed, desired);
    let from = inventory_digest(observed);
    let same = pairs.iter().all(Pair::keeps_content);
    let to = if same { from } else { inventory_digest(desired) };
    let mut actions: Vec<Action> = pairs.par_iter().map(Pair::action).collect();
    let mut callers = None;
    for (pair, action) in pairs.iter().zip(&mut actions) {
        pair.name_users(action, desired, &mut callers);
    }
    let renames = renames(&pairs);
    order::dependants(&mut actions, observed, desired);
    for action in &mut actions {
        action.renamed_from = renames.get(&(Verb::Create, &action.id)).map(ToString::to_string);
        action.renamed_to = renames.get(&(Verb::Delete, &action.id)).map(ToString::to_string);
        if action.action == Verb::Delete {
            let users = std::mem::take(&mut action.because);
            (action.class, action.because) =
                breaking::removal(&action.id, action.renamed_to.as_deref(), action.dependants_total);
            action.because.extend(users);
        }
        action.reason = reason(action);
    }
    drop(renames);
    let mut actions = order::sorted(actions, observed, desired);
    file_diff::bound(actions.iter_mut().flat_map(|action| &mut action.files));
    let digest = Digest::of(&[]);
    let environment = options.environment.to_owned();
    let summary = Summary::default();
    Plan { version: VERSION, environment, from, to, actions, unchanged, summary, digest }.with_digest()
}

/// A definition that differs between the two inventories.
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
            (Some(before), Some(after)) if before.manual && !after.manual => Verb::Adopt,
            (Some(before), Some(after)) if before.digest == after.digest => Verb::Move,
            (Some(_), Some(_)) => Verb::Update,
        }
    }

    /// True if only the place or the owner changes.
    fn keeps_content(&self) -> bool {
        matches!((self.before, self.after), (Some(before), Some(after)) if before.digest == after.digest)
    }

    fn action(&self) -> Action {
        let verb = self.verb();
        let kind = self.id.kind;
        let masked = |object: Option<&Arc<Object>>| object.map(|object| mask::masked(kind, &object.document()));
        let mut changes = match verb {
            Verb::Move => Vec::new(),
            Verb::Create | Verb::Update | Verb::Delete | Verb::Adopt => {
                change::changes(masked(self.before).as_ref(), masked(self.after).as_ref())
            }
        };
        for change in &mut changes {
            mask::hide(change);
        }
        let (class, because) = match (verb, self.before, self.after) {
            _ if self.keeps_content() => (ChangeClass::None, Vec::new()),
            (Verb::Update | Verb::Adopt, Some(before), Some(after)) => {
                breaking::class(kind, &before.document(), &after.document())
            }
            _ => (ChangeClass::Compatible, Vec::new()),
        };
        let files = match verb {
            Verb::Move => Vec::new(),
            Verb::Create | Verb::Update | Verb::Delete | Verb::Adopt => {
                let [before, after] = [self.before, self.after].map(|side| side.map(|object| &object.files));
                file_diff::diffs(kind, before, after)
            }
        };
        let place = |object: &Arc<Object>| object.place.clone();
        let moved = |before: &&Arc<Object>| self.after.is_some_and(|after| !before.place.is_same_file(&after.place));
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
            files,
            dependants: Vec::new(),
            dependants_total: 0,
            renamed_from: None,
            renamed_to: None,
        }
    }
}

impl Pair<'_> {
    /// Names the users of changed inputs and outputs. A change that breaks a user is breaking.
    fn name_users<'c>(&self, action: &mut Action, desired: &'c Inventory, callers: &mut Option<Callers<'c>>) {
        let Some(before) = self.before.filter(|_| matches!(action.action, Verb::Update | Verb::Delete)) else { return };
        if !matches!(self.id.kind, Kind::Connector | Kind::Workflow) {
            return;
        }
        let after = self.after.map(|after| after.document());
        let before = before.document();
        if !users::changes_callees(self.id, &before, after.as_ref()) {
            return;
        }
        let callers = callers.get_or_insert_with(|| Callers::of(desired));
        let users = callers.of_change(self.id, &before, after.as_ref());
        let is_breaking = action.class == ChangeClass::Breaking || !users.broken.is_empty();
        if is_breaking || action.action == Verb::Delete {
            action.class = ChangeClass::Breaking;
            let unknown = if action.because.is_empty() { Vec::new() } else { users.unknown };
            action.because.extend(breaking::bounded(users.broken.into_iter().chain(unknown).collect()));
        }
    }
}

/// The definitions that differ, and the number of those that do not.
fn differing<'a>(observed: &'a Inventory, desired: &'a Inventory) -> (Vec<Pair<'a>>, usize) {
    let mut pairs = Vec::new();
    let mut unchanged = 0;
    let (mut left, mut right) = (observed.iter().peekable(), desired.iter().peekable());
    loop {
        let order = match (left.peek(), right.peek()) {
            (None, None) => break,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some((before, _)), Some((after, _))) => before.cmp(after),
        };
        let before = if order.is_le() { left.next() } else { None };
        let after = if order.is_ge() { right.next() } else { None };
        let Some((id, _)) = before.or(after) else { break };
        let pair = Pair { id, before: before.map(|(_, object)| object), after: after.map(|(_, object)| object) };
        let same = |before: &Arc<Object>, after: &Arc<Object>| {
            Arc::ptr_eq(before, after)
                || before.digest == after.digest
                    && before.manual == after.manual
                    && before.place.is_same_file(&after.place)
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
    Digest::of_parts(
        inventory.iter().flat_map(|(id, object)| {
            [id.kind.as_str().as_bytes(), id.name.as_bytes(), object.digest.bytes().as_slice()]
        }),
    )
}

/// Removed and created definitions of the same kind and spec, each mapped to the other.
fn renames<'a>(pairs: &[Pair<'a>]) -> BTreeMap<(Verb, &'a Id), &'a Id> {
    let with = |verb: Verb| pairs.iter().filter(move |pair| pair.verb() == verb);
    let mut renames = BTreeMap::new();
    if with(Verb::Create).next().is_none() || with(Verb::Delete).next().is_none() {
        return renames;
    }
    let spec = |object: Option<&Arc<Object>>| {
        let document = object?.document();
        Some(Digest::of(document.get("spec")?.to_string().as_bytes()))
    };
    let mut removed: BTreeMap<_, Vec<&Id>> = BTreeMap::new();
    for pair in with(Verb::Delete) {
        removed.entry((pair.id.kind, spec(pair.before))).or_default().push(pair.id);
    }
    // Pairs are formed in the order of names.
    for ids in removed.values_mut() {
        ids.reverse();
    }
    for pair in with(Verb::Create) {
        let Some(old) = removed.get_mut(&(pair.id.kind, spec(pair.after))).and_then(Vec::pop) else { continue };
        renames.insert((Verb::Create, pair.id), old);
        renames.insert((Verb::Delete, old), pair.id);
    }
    renames
}

/// The reason of an action, made from the action alone, so that an inverse has its own reason.
pub(super) fn reason(action: &Action) -> String {
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
        Verb::Update => {
            let of_tests = |change: &&Change| declared_tests::is_of_tests(action.id.kind, change);
            let tests = action.changes.iter().filter(of_tests).count();
            let and_tests = if tests > 0 { ", and its tests change" } else { "" };
            match action.changes.len() - tests {
                0 => elsewhere("only its tests differ from the declaration"),
                1 => elsewhere(&format!("one field differs from the declaration{and_tests}")),
                count => elsewhere(&format!("{count} fields differ from the declaration{and_tests}")),
            }
        }
        Verb::Delete => match &action.renamed_to {
            Some(new) => format!("it is no longer declared; its spec is that of `{new}`, which is created"),
            None => "it is no longer declared".into(),
        },
        Verb::Move => elsewhere("it is declared"),
        Verb::Adopt => match action.changes.len() {
            0 => "it was made through the API, and is now declared with the same content".into(),
            1 => "it was made through the API, and is now declared; one field differs".into(),
            count => format!("it was made through the API, and is now declared; {count} fields differ"),
        },
    }
}
