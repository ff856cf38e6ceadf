//! Users of changed actions and workflows: the definitions whose calls and reads a change breaks, with file and line.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::breaking;
use super::call_place::{CallKind, CallPlace};
use super::object::{Inventory, Object};
use crate::check::calls::{CalleeName, CalleeSchema, call_site, callee_of};
use crate::definition::json_schema::Misfit;
use crate::definition::schema_validator::Reference;
use crate::definition::{Id, Kind};
use crate::script::{ScriptArgument, ScriptRead, camel, read_script, read_script_body};
use crate::text::{PartialValue, escaped};

/// An action or workflow whose declaration changes.
#[derive(Debug)]
struct ChangedCallee {
    name: CalleeName,
    /// True if it is removed.
    is_gone: bool,
}

/// The effect of a change on the users of a definition.
#[derive(Debug, Default)]
pub(super) struct UsersOfChange {
    /// One sentence for each call or read that the change breaks.
    pub(super) broken: Vec<String>,
    /// One sentence for each call whose input is known only when it runs.
    pub(super) unknown: Vec<String>,
}

/// The definitions that call others, by the definitions that they may call.
#[derive(Debug, Default)]
pub(super) struct Callers<'a> {
    by_callee: BTreeMap<Id, BTreeMap<&'a Id, &'a Object>>,
    /// Definitions with code, which may call every action and workflow.
    with_code: BTreeMap<&'a Id, &'a Object>,
}

impl<'a> Callers<'a> {
    pub(super) fn of(desired: &'a Inventory) -> Callers<'a> {
        let mut callers = Callers::default();
        for (id, object) in desired {
            for call in &object.calls {
                let callee = match &call.kind {
                    CallKind::Reference { .. } => call.reference().and_then(|reference| callee_of(id, &reference)),
                    CallKind::Read(callee, _) | CallKind::SimulatedOutput(callee) | CallKind::ExpectedCall(callee) => {
                        Some((**callee).clone())
                    }
                    CallKind::Code | CallKind::CodeFile => {
                        callers.with_code.insert(id, object);
                        None
                    }
                };
                if let Some(callee) = callee {
                    callers.by_callee.entry(callee.id).or_default().insert(id, object);
                }
            }
        }
        callers
    }

    /// The users of a definition that a change concerns. A removal has no `after`.
    pub(super) fn of_change(&self, id: &Id, before: &Value, after: Option<&Value>) -> UsersOfChange {
        let mut users = UsersOfChange::default();
        let changed = changed_callees(id, before, after);
        let mut objects = self.with_code.clone();
        objects.extend(self.by_callee.get(id).into_iter().flatten());
        for object in objects.into_values() {
            for callee in &changed {
                let schemas = Schemas { name: &callee.name, before, after: after.filter(|_| !callee.is_gone) };
                User { object, schemas, users: &mut users, document: None }.calls();
            }
        }
        users
    }
}

/// True if a change concerns callers of the definition.
pub(super) fn changes_callees(id: &Id, before: &Value, after: Option<&Value>) -> bool {
    !changed_callees(id, before, after).is_empty()
}

/// The actions of a connector, or the workflow, whose input, output or existence differs.
fn changed_callees(id: &Id, before: &Value, after: Option<&Value>) -> Vec<ChangedCallee> {
    let differs = |pointer: &str, field: &str| {
        let at = format!("{pointer}/{field}");
        before.pointer(&at) != after.and_then(|after| after.pointer(&at))
    };
    let changed = |name: CalleeName| {
        let pointer = name.pointer();
        let is_gone = after.is_none_or(|after| after.pointer(&pointer).is_none());
        let is_changed = is_gone || ["input", "output"].iter().any(|field| differs(&pointer, field));
        // Entities are parts of schemas that refer to them.
        let is_changed = is_changed || id.kind == Kind::Connector && differs("/spec", "entities");
        is_changed.then_some(ChangedCallee { name, is_gone })
    };
    match id.kind {
        Kind::Workflow => changed(CalleeName { id: id.clone(), action: None }).into_iter().collect(),
        Kind::Connector => {
            let actions = before.pointer("/spec/actions").and_then(Value::as_object).into_iter().flatten();
            actions.filter_map(|(name, _)| changed(CalleeName { id: id.clone(), action: Some(name.clone()) })).collect()
        }
        _ => Vec::new(),
    }
}

/// The schemas of a callee before and after.
#[derive(Clone, Copy)]
struct Schemas<'a> {
    name: &'a CalleeName,
    before: &'a Value,
    /// `None` if the callee is removed.
    after: Option<&'a Value>,
}

impl Schemas<'_> {
    fn before(&self, field: &str) -> Option<CalleeSchema> {
        CalleeSchema::of_document(self.before, self.name, field)
    }

    fn after(&self, field: &str) -> Option<CalleeSchema> {
        CalleeSchema::of_document(self.after?, self.name, field)
    }

    /// The misfits that the change brings.
    fn new_misfits(&self, field: &str, value: &PartialValue) -> Vec<Misfit> {
        let misfits = |schema: Option<CalleeSchema>| schema.map_or(Vec::new(), |schema| schema.scope().misfits(value));
        let known = misfits(self.before(field));
        let is_new = |misfit: &Misfit| {
            misfit.kind.is_certain()
                && !known.iter().any(|known| known.pointer == misfit.pointer && known.kind == misfit.kind)
        };
        misfits(self.after(field)).into_iter().filter(is_new).collect()
    }

    /// True if the input refuses values that it accepted.
    fn narrows_input(&self) -> bool {
        let at = format!("{}/input", self.name.pointer());
        let after = self.after.and_then(|after| after.pointer(&at));
        breaking::narrows_input(self.before.pointer(&at), after)
    }

    /// True if the change removes a declared path.
    fn is_removed(&self, field: &str, path: &[String]) -> bool {
        let declares = |schema: Option<CalleeSchema>| schema.is_some_and(|schema| schema.scope().declares(path));
        declares(self.before(field)) && self.after(field).is_some_and(|after| !after.scope().declares(path))
    }
}

/// A definition that may use a callee.
struct User<'a> {
    object: &'a Object,
    schemas: Schemas<'a>,
    users: &'a mut UsersOfChange,
    document: Option<Value>,
}

impl User<'_> {
    fn calls(&mut self) {
        let object = self.object;
        for call in &object.calls {
            match &call.kind {
                CallKind::Reference { .. } => {
                    if let Some(reference) = call.reference() {
                        self.reference(&reference, call);
                    }
                }
                CallKind::Code => {
                    let pointer = call.pointer.clone();
                    let text = match self.mentions(object.text()) {
                        true => self.value(&pointer).and_then(|value| value.as_str().map(str::to_owned)),
                        false => None,
                    };
                    self.code(text.as_deref(), call, !pointer.ends_with("/code"));
                }
                CallKind::CodeFile => {
                    let bytes = object.files.get(&*call.path);
                    let text =
                        bytes.and_then(|bytes| std::str::from_utf8(bytes).ok()).filter(|text| self.mentions(text));
                    self.code(text, call, true);
                }
                CallKind::Read(name, path) if **name == *self.schemas.name => self.read(path, call, call.line),
                CallKind::SimulatedOutput(name) if **name == *self.schemas.name => self.simulated(call),
                CallKind::ExpectedCall(name) if **name == *self.schemas.name => {
                    if let Some(input) = self.value(&call.pointer) {
                        self.input(&PartialValue::of(&input), call, call.line, "a test of ");
                    }
                }
                CallKind::Read(..) | CallKind::SimulatedOutput(_) | CallKind::ExpectedCall(_) => {}
            }
        }
    }

    /// A value of the user's document, which is read once.
    fn value(&mut self, pointer: &str) -> Option<Value> {
        let object = self.object;
        self.document.get_or_insert_with(|| object.document()).pointer(pointer).cloned()
    }

    /// True if code may name the callee.
    fn mentions(&self, text: &str) -> bool {
        let name = self.schemas.name.action.as_ref().unwrap_or(&self.schemas.name.id.name);
        text.contains(name.as_str()) || text.contains(&camel(name))
    }

    fn say(&mut self, sentence: String) {
        if !self.users.broken.contains(&sentence) {
            self.users.broken.push(sentence);
        }
    }

    fn reference(&mut self, reference: &Reference, call: &CallPlace) {
        if callee_of(&self.object.id, reference).is_none_or(|name| name != *self.schemas.name) {
            return;
        }
        let object = self.object;
        let document = self.document.get_or_insert_with(|| object.document());
        let get = |pointer: &str| document.pointer(pointer).cloned();
        let site = call_site(&object.id, reference, &get, &|_, _| PartialValue::Unknown);
        let input = site.map_or(PartialValue::Unknown, |site| site.input);
        self.input(&input, call, call.line, "");
    }

    /// Notes what the change breaks for an input that is passed.
    fn input(&mut self, input: &PartialValue, call: &CallPlace, line: u32, who: &str) {
        let (user, callee) = (format!("{who}{}", self.object.id), self.schemas.name.to_string());
        let place = format!("{}:{line}", call.path);
        if self.schemas.after.is_none() {
            return self.say(format!("{user} calls {callee} ({place})"));
        }
        let mut at = BTreeSet::new();
        for misfit in self.schemas.new_misfits("input", input) {
            self.say(format!("{user} calls {callee}, and {} ({place})", misfit.message));
            at.insert(misfit.pointer);
        }
        for path in known_paths(input) {
            let pointer: String = path.iter().map(|name| format!("/{}", escaped(name))).collect();
            if !at.contains(&pointer) && self.schemas.is_removed("input", &path) {
                let field = path.join(".");
                self.say(format!("{user} passes `{field}` to {callee}, which no longer declares it ({place})"));
                at.insert(pointer);
            }
        }
        if at.is_empty() && input.known().is_none() && self.schemas.narrows_input() {
            let sentence = format!("{user} calls {callee} with values that are known only when it runs ({place})");
            if !self.users.unknown.contains(&sentence) {
                self.users.unknown.push(sentence);
            }
        }
    }

    fn read(&mut self, path: &[String], call: &CallPlace, line: u32) {
        if self.schemas.is_removed("output", path) {
            let (user, callee) = (&self.object.id, self.schemas.name);
            let (field, place) = (path.join("."), format!("{}:{line}", call.path));
            self.say(format!("{user} reads `{field}` of {callee}, whose output no longer declares it ({place})"));
        }
    }

    fn simulated(&mut self, call: &CallPlace) {
        let Some(Value::Array(outputs)) = self.value(&call.pointer) else { return };
        let (user, callee) = (self.object.id.to_string(), self.schemas.name.to_string());
        let place = format!("{}:{}", call.path, call.line);
        if self.schemas.after.is_none() {
            return self.say(format!("a test of {user} answers {callee} ({place})"));
        }
        for output in outputs.iter().filter(|output| output.get("$error").is_none()) {
            for misfit in self.schemas.new_misfits("output", &PartialValue::of(output)) {
                self.say(format!("a test of {user} simulates an output of {callee}, and {} ({place})", misfit.message));
            }
        }
    }

    /// Notes the calls in code. `is_module` is false for the body of a function.
    fn code(&mut self, text: Option<&str>, call: &CallPlace, is_module: bool) {
        let Some(text) = text else { return };
        let script = if is_module { read_script(text) } else { read_script_body(text) };
        let Ok(script) = script else { return };
        let line = |at: usize| {
            let lines = text.get(..at.min(text.len())).map_or(0, |before| before.matches('\n').count());
            call.line.saturating_add(u32::try_from(lines).unwrap_or(u32::MAX))
        };
        let name = self.schemas.name.clone();
        let calls: Vec<(usize, ScriptArgument, Vec<ScriptRead>)> = if let Some(action) = &name.action {
            let aliases = self.aliases();
            let is_callee = |connector: &str, called: &str| {
                let named = aliases.get(connector).map_or_else(|| connector.to_owned(), Clone::clone);
                (named == name.id.name || camel(&name.id.name) == named)
                    && (called == action || camel(action) == called)
            };
            let calls = script.calls.into_iter().filter(|call| is_callee(&call.connector, &call.action));
            calls.map(|call| (call.action_at.0, call.argument, call.reads)).collect()
        } else {
            let is_callee = |called: &str| called == name.id.name || camel(&name.id.name) == called;
            let calls = script.workflow_calls.into_iter().filter(|call| is_callee(&call.workflow));
            calls.map(|call| (call.workflow_at.0, call.argument, call.reads)).collect()
        };
        for (at, argument, reads) in calls {
            self.input(&argument.value, call, line(at), "");
            for read in reads {
                self.read(&read.path, call, line(read.at.0));
            }
        }
    }

    /// Connectors by the names that code gives them.
    fn aliases(&mut self) -> BTreeMap<String, String> {
        let Some(Value::Object(used)) = self.value("/spec/connectors") else { return BTreeMap::new() };
        let name = |used: &Value| used.get("connector").and_then(Value::as_str).map(str::to_owned);
        used.iter().filter_map(|(alias, used)| Some((alias.clone(), name(used)?))).collect()
    }
}

/// The paths of the fields of a value, through maps.
fn known_paths(value: &PartialValue) -> Vec<Vec<String>> {
    let PartialValue::Map(map) = value else { return Vec::new() };
    let mut paths = Vec::new();
    for field in &map.fields {
        let name = field.name.clone();
        let inner = known_paths(&field.value);
        paths.push(vec![name.clone()]);
        paths.extend(inner.into_iter().map(|path| std::iter::once(name.clone()).chain(path).collect()));
    }
    paths
}
