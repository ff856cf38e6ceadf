//! The journal of an execution: its recorded steps, so that another run of its code does not repeat them.
//!
//! Each run of the code starts at the beginning. Every call is looked up by a key: a durable step by its name, any other
//! call by its content. Calls inside a durable step have no key: the result of the step replaces them.

use std::collections::HashMap;

use serde_json::Value;

use crate::store::Micros;
use crate::store::queue::{Step, StepStatus};
use crate::text::Digest;

/// Maximum length of the name of a step in bytes.
const MAX_NAME_BYTES: usize = 200;

/// The recorded steps of an execution, and the keys of the current run.
#[derive(Debug, Default)]
pub struct Journal {
    known: HashMap<String, Step>,
    counts: HashMap<String, u32>,
    /// Open durable steps by key, the innermost last.
    open: Vec<String>,
    attempt: i64,
    order: i64,
    /// True while every call was answered from the record.
    replays: bool,
}

/// The entry of a call.
#[derive(Clone, Debug, PartialEq)]
pub enum JournalEntry {
    /// The call completed with this output at this time.
    Completed(Value, Micros),
    /// The call failed with this error.
    Failed(Value),
    /// The call waits.
    Waiting(Box<Step>),
    /// The call is new.
    New {
        /// The name of its step in the record.
        name: String,
        /// The position of its step.
        order: i64,
        /// The durable step that contains it. A contained call is not looked up in another run.
        within: Option<String>,
    },
}

impl Journal {
    /// The journal of the recorded steps for an attempt.
    pub fn new(steps: Vec<Step>, attempt: i64) -> Journal {
        let order = steps.iter().map(|step| step.order + 1).max().unwrap_or(0);
        let replays = !steps.is_empty();
        let known = steps.into_iter().map(|step| (step.name.clone(), step)).collect();
        Journal { known, counts: HashMap::new(), open: Vec::new(), attempt, order, replays }
    }

    /// True while the code repeats recorded calls. Its log lines were stored before.
    pub fn replays(&self) -> bool {
        self.replays
    }

    /// Begins a durable step.
    pub fn begin(&mut self, name: &str) -> JournalEntry {
        let key = self.numbered(truncated(name));
        let entry = self.look_up(key);
        if let JournalEntry::New { name, .. } = &entry {
            self.open.push(name.clone());
        }
        entry
    }

    /// Ends a durable step. Returns its position, or `None` if no step of that name is open.
    pub fn end(&mut self, name: &str) -> Option<i64> {
        let at = self.open.iter().rposition(|open| open == name)?;
        self.open.remove(at);
        self.order += 1;
        Some(self.order - 1)
    }

    /// Looks up a call. `label` is its name for people, and `question` its content.
    pub fn ask(&mut self, label: &str, question: &Value) -> JournalEntry {
        if let Some(step) = self.open.last().cloned() {
            // A step that runs again overwrites the calls that its earlier run recorded.
            let name = format!("{step}/{label}");
            let name = self.numbered(truncated(&name));
            self.order += 1;
            return JournalEntry::New { name, order: self.order - 1, within: Some(step) };
        }
        self.ask_outside(label, question)
    }

    /// Looks up a call that may wait for long. It is never contained in an open step.
    pub fn ask_outside(&mut self, label: &str, question: &Value) -> JournalEntry {
        let digest = Digest::of(question.to_string().as_bytes()).hex();
        let key = self.numbered(&format!("{} {}", truncated(label), digest.get(..8).unwrap_or_default()));
        self.look_up(key)
    }

    /// Looks up a wait, whose key is its name alone.
    pub fn wait(&mut self, name: &str) -> JournalEntry {
        let key = self.numbered(truncated(name));
        self.look_up(key)
    }

    /// The key of the next call of a name: repeated calls are numbered.
    fn numbered(&mut self, name: &str) -> String {
        let count = self.counts.entry(name.to_owned()).or_insert(0);
        *count += 1;
        match *count {
            1 => name.to_owned(),
            count => format!("{name} #{count}"),
        }
    }

    fn look_up(&mut self, name: String) -> JournalEntry {
        match self.known.get(&name) {
            Some(step) if step.status == StepStatus::Completed => {
                JournalEntry::Completed(step.output.clone(), step.finished_at)
            }
            // The code may have caught the error in the same attempt; the next attempt repeats the call.
            Some(step) if step.status == StepStatus::Failed && step.attempt == self.attempt => {
                JournalEntry::Failed(step.error.clone())
            }
            Some(step) if step.status == StepStatus::Waiting => {
                self.replays = false;
                JournalEntry::Waiting(Box::new(step.clone()))
            }
            _ => {
                self.replays = false;
                self.order += 1;
                JournalEntry::New { name, order: self.order - 1, within: None }
            }
        }
    }
}

fn truncated(name: &str) -> &str {
    let end = (0..=MAX_NAME_BYTES.min(name.len())).rev().find(|at| name.is_char_boundary(*at)).unwrap_or(0);
    name.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn step(name: &str, status: StepStatus, output: Value) -> Step {
        Step { name: name.to_owned(), status, output, attempt: 1, ..Step::default() }
    }

    fn new_name(entry: &JournalEntry) -> &str {
        match entry {
            JournalEntry::New { name, .. } => name,
            other => panic!("not new: {other:?}"),
        }
    }

    #[test]
    fn answers_recorded_calls_in_any_order() {
        let mut first = Journal::new(Vec::new(), 1);
        let keys: Vec<String> = [json!({"id": 1}), json!({"id": 2}), json!({"id": 1})]
            .iter()
            .map(|input| new_name(&first.ask("crm/get", input)).to_owned())
            .collect();
        assert_eq!(keys[2], format!("{} #2", keys[0]));
        let steps = keys.iter().enumerate().map(|(at, key)| step(key, StepStatus::Completed, json!(at))).collect();
        let mut again = Journal::new(steps, 1);
        assert_eq!(again.ask("crm/get", &json!({"id": 2})), JournalEntry::Completed(json!(1), 0));
        assert_eq!(again.ask("crm/get", &json!({"id": 1})), JournalEntry::Completed(json!(0), 0));
        assert_eq!(again.ask("crm/get", &json!({"id": 1})), JournalEntry::Completed(json!(2), 0));
        assert!(matches!(again.ask("crm/get", &json!({"id": 1})), JournalEntry::New { within: None, .. }));
    }

    #[test]
    fn calls_of_a_completed_step_do_not_shift_later_keys() {
        let mut first = Journal::new(Vec::new(), 1);
        let name = new_name(&first.begin("charge")).to_owned();
        let inner = first.ask("pay/charge", &json!({}));
        assert!(
            matches!(&inner, JournalEntry::New { name, within: Some(step), .. } if name == "charge/pay/charge" && step == "charge")
        );
        assert!(first.end(&name).is_some());
        let outer = new_name(&first.ask("pay/charge", &json!({}))).to_owned();
        // In the second run the step's function is not called.
        let done =
            vec![step(&name, StepStatus::Completed, json!("ok")), step(&outer, StepStatus::Completed, json!("later"))];
        let mut again = Journal::new(done, 1);
        assert_eq!(again.begin("charge"), JournalEntry::Completed(json!("ok"), 0));
        assert_eq!(again.ask("pay/charge", &json!({})), JournalEntry::Completed(json!("later"), 0));
    }

    #[test]
    fn a_failure_applies_to_its_attempt_only() {
        let failed = Step { error: json!({"message": "no"}), ..step("charge", StepStatus::Failed, Value::Null) };
        assert!(matches!(Journal::new(vec![failed.clone()], 1).begin("charge"), JournalEntry::Failed(_)));
        assert!(matches!(Journal::new(vec![failed], 2).begin("charge"), JournalEntry::New { .. }));
    }

    #[test]
    fn truncates_long_names_between_characters() {
        let name = "ä".repeat(300);
        assert_eq!(new_name(&Journal::new(Vec::new(), 1).begin(&name)).len(), 200);
    }
}
