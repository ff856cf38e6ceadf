//! Calls that a document declares: each reference to an action or a workflow, with the input that is passed there.

use std::collections::BTreeMap;

use serde_json::Value;

use super::callee::CalleeName;
use crate::definition::schema_validator::{Reference, ReferenceKind};
use crate::definition::{Id, Kind};
use crate::template::{PathValue, static_value};
use crate::text::{PartialField, PartialMap, PartialValue, RestOfMap, ValueTypes};

/// A value of a document by JSON pointer.
pub(crate) type DocumentValue<'a> = dyn Fn(&str) -> Option<Value> + 'a;

/// A call that a document declares.
#[derive(Clone, Debug)]
pub(crate) struct CallSite {
    /// The callee as written; it need not exist.
    pub(crate) callee: CalleeName,
    /// JSON pointer of the reference.
    pub(crate) reference: String,
    /// JSON pointer of the passed value; `None` if the caller writes none.
    pub(crate) passed_at: Option<String>,
    /// The passed value.
    pub(crate) input: PartialValue,
}

/// The call that a reference is a part of. `None` for a reference that calls nothing, or with an input that is not known at
/// all.
pub(crate) fn call_site(
    own: &Id,
    reference: &Reference,
    get: &DocumentValue<'_>,
    known: &PathValue<'_>,
) -> Option<CallSite> {
    let callee = callee_of(own, reference)?;
    let pointer = reference.pointer.as_str();
    let parts: Vec<&str> = pointer.split('/').skip(1).collect();
    let (parent, _) = pointer.rsplit_once('/')?;
    let templated = |at: String| {
        let value = get(&at)?;
        let input = PartialValue::of_tree(&value, &|text| static_value(text, known));
        Some((Some(at), input))
    };
    let literal = |at: String| get(&at).map(|value| (Some(at), PartialValue::of(&value)));
    let nothing = || Some((None, PartialValue::empty_map()));
    let (passed_at, input) = match (own.kind, parts.as_slice()) {
        (Kind::Workflow, ["spec", "steps", .., "action" | "workflow"]) => {
            templated(format!("{parent}/input")).or_else(nothing)?
        }
        (Kind::Workflow, ["spec", "onFailure"]) => (None, of_failure()),
        (Kind::Connector, ["spec", "actions", _, "steps", _, "action"]) => {
            templated(format!("{parent}/input")).or_else(|| Some((None, PartialValue::OwnInput(Vec::new()))))?
        }
        (Kind::Connector, ["spec", "events", _, "poll", "action"]) => {
            templated(format!("{parent}/input")).or_else(nothing)?
        }
        // An execution of a batch gets several events.
        (Kind::Trigger, ["spec", "webhook" | "appEvent", "routes", _, "workflow"])
            if get(&format!("{parent}/batchWindow")).is_some() =>
        {
            return None;
        }
        (Kind::Trigger, ["spec", "webhook", "routes", _, "workflow"]) => templated(format!("{parent}/input"))?,
        (Kind::Trigger, ["spec", "appEvent", "routes", _, "workflow"]) => {
            templated(format!("{parent}/input")).or_else(|| Some((None, of_event())))?
        }
        (Kind::Trigger, ["spec", "schedule", "routes", _, "workflow"]) => literal(format!("{parent}/payload"))
            .or_else(|| literal("/spec/schedule/payload".to_owned()))
            .or_else(nothing)?,
        // A form gives its values.
        (Kind::Widget, ["spec", "actions", _, "workflow" | "action"]) if get(&format!("{parent}/form")).is_none() => {
            literal(format!("{parent}/payload")).or_else(nothing)?
        }
        (Kind::Widget, ["spec", "forms", _, "onSave"]) => {
            let fields = format!("{parent}/fields");
            let input = of_form(&get(&fields)?);
            (Some(fields), input)
        }
        (Kind::Widget, ["spec", "forms", .., "options" | "source" | "target", "action"]) => {
            let (at, mut input) = templated(format!("{parent}/input")).or_else(nothing)?;
            if let (PartialValue::Map(map), Some(Value::String(search))) =
                (&mut input, get(&format!("{parent}/search")))
                && map.get(&search).is_none()
            {
                map.fields.push(optional(search, PartialValue::Typed(ValueTypes::STRING)));
            }
            (at, input)
        }
        _ => return None,
    };
    Some(CallSite { callee, reference: pointer.to_owned(), passed_at, input })
}

/// The action or workflow that a reference names.
pub(crate) fn callee_of(own: &Id, reference: &Reference) -> Option<CalleeName> {
    match reference.to {
        ReferenceKind::Action | ReferenceKind::LocalAction => CalleeName::action(&reference.name, own),
        ReferenceKind::Definition(Kind::Workflow) => Some(CalleeName::workflow(&reference.name)),
        _ => None,
    }
}

/// The input of a workflow that handles failures.
fn of_failure() -> PartialValue {
    let fields = [
        ("execution", PartialValue::Typed(ValueTypes::STRING)),
        ("workflow", PartialValue::Typed(ValueTypes::STRING)),
        ("error", PartialValue::Unknown),
        ("input", PartialValue::Unknown),
    ];
    of_fields(fields)
}

/// An event of an application in its common form.
fn of_event() -> PartialValue {
    let fields = [
        ("connector", PartialValue::Typed(ValueTypes::STRING)),
        ("event", PartialValue::Typed(ValueTypes::STRING)),
        ("entity", PartialValue::Typed(ValueTypes::STRING | ValueTypes::NULL)),
        ("change", PartialValue::Typed(ValueTypes::STRING)),
        ("data", PartialValue::Unknown),
    ];
    of_fields(fields)
}

fn of_fields<const N: usize>(fields: [(&str, PartialValue); N]) -> PartialValue {
    let fields = fields.map(|(name, value)| PartialField { name: name.to_owned(), value, optional: false });
    PartialValue::Map(PartialMap { fields: fields.into(), rest: RestOfMap::Nothing })
}

fn optional(name: String, value: PartialValue) -> PartialField {
    PartialField { name, value, optional: true }
}

/// The values of a form, by its fields. A field without a value, or that is not displayed, is absent.
fn of_form(fields: &Value) -> PartialValue {
    let mut map = PartialMap::default();
    for field in fields.as_array().into_iter().flatten() {
        let Some(name) = field.get("name").and_then(Value::as_str) else { continue };
        let value = match field.get("type").and_then(Value::as_str) {
            Some("Number") => PartialValue::Typed(ValueTypes::NUMBER),
            Some("Checkbox") => PartialValue::Typed(ValueTypes::BOOL),
            Some("MultiSelect" | "Files") => PartialValue::Typed(ValueTypes::LIST),
            Some("Mapping") => PartialValue::Typed(ValueTypes::MAP),
            Some("Text" | "TextArea" | "Password" | "Date" | "DateTime" | "Time" | "Email" | "Url") => {
                PartialValue::Typed(ValueTypes::STRING)
            }
            _ => PartialValue::Unknown,
        };
        let is_required = field.get("required") == Some(&Value::Bool(true)) && field.get("visibleWhen").is_none();
        map.fields.push(PartialField { name: name.to_owned(), value, optional: !is_required });
    }
    PartialValue::Map(map)
}

/// The callees of the steps of a definition, by the list of steps and the name of the step.
#[derive(Debug, Default)]
pub(crate) struct StepCallees {
    by_step: BTreeMap<(String, String), Option<StepCallee>>,
}

/// The callee of a step.
#[derive(Clone, Debug)]
pub(crate) struct StepCallee {
    pub(crate) callee: CalleeName,
    /// True if later steps run although the step failed. Its output is null then.
    pub(crate) may_fail: bool,
}

impl StepCallees {
    /// The callee of a step whose result a template at a pointer reads.
    pub(crate) fn callee(&self, pointer: &str, name: &str) -> Option<&StepCallee> {
        self.by_step.get(&(owner(pointer)?.to_owned(), name.to_owned()))?.as_ref()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_step.is_empty()
    }
}

/// The pointer of the workflow or action that holds steps.
fn owner(pointer: &str) -> Option<&str> {
    let Some(rest) = pointer.strip_prefix("/spec/actions/") else {
        return pointer.starts_with("/spec/").then_some("/spec");
    };
    let action = rest.split('/').next()?;
    pointer.get(.."/spec/actions/".len() + action.len())
}

/// The callees of the steps of a definition. A name that two steps have is not known.
pub(crate) fn step_callees(own: &Id, references: &[Reference], get: &DocumentValue<'_>) -> StepCallees {
    let mut steps = StepCallees::default();
    if !matches!(own.kind, Kind::Connector | Kind::Workflow) {
        return steps;
    }
    for reference in references {
        let Some(callee) = callee_of(own, reference) else { continue };
        let Some((parent, _)) = reference.pointer.rsplit_once('/') else { continue };
        let step = parent.strip_suffix("/notify").unwrap_or(parent);
        if !step.contains("/steps/") {
            continue;
        }
        let (Some(owner), Some(Value::String(name))) = (owner(step), get(&format!("{step}/name"))) else { continue };
        let may_fail = get(&format!("{step}/onError")).as_ref().and_then(Value::as_str) == Some("Continue");
        let known = steps.by_step.entry((owner.to_owned(), name));
        known.and_modify(|known| *known = None).or_insert(Some(StepCallee { callee, may_fail }));
    }
    steps
}
