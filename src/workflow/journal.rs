//! What an execution did already, so that a second run of its code does not do it again.
//!
//! Code is run from its beginning each time; whatever it asks for is looked up under a key: a durable step under its name,
//! everything else under what is asked. Questions inside a durable step have no key: the step's result stands for them.

use std::collections::HashMap;

use serde_json::Value;

use crate::store::Micros;
use crate::store::queue::{Step, StepStatus};
use crate::text::Digest;

/// Longest name of a step, in bytes.
const MAX_NAME: usize = 200;

/// What an execution did already.
#[derive(Debug, Default)]
pub struct Journal {
    known: HashMap<String, Step>,
    counts: HashMap<String, u32>,
    /// Durable steps that are open, by key.
    open: Vec<String>,
    attempt: i64,
    order: i64,
    /// Was everything so far answered from the record?
    replays: bool,
}

/// What the journal says of a question.
#[derive(Clone, Debug, PartialEq)]
pub enum JournalEntry {
    /// It was answered, then.
    Answered(Value, Micros),
    /// It failed.
    Failed(Value),
    /// It waits, until then.
    Suspend(Box<Step>),
    /// It is new: under this name, in this order.
    New {
        /// The step's name in the record.
        name: String,
        /// Its place in the order of steps.
        order: i64,
        /// The durable step that it is part of; only what is part of none is looked up when the code is run again.
        within: Option<String>,
    },
}

impl Journal {
    /// A journal of what is stored, for an attempt.
    pub fn new(steps: Vec<Step>, attempt: i64) -> Journal {
        let order = steps.iter().map(|step| step.order + 1).max().unwrap_or(0);
        let replays = !steps.is_empty();
        let known = steps.into_iter().map(|step| (step.name.clone(), step)).collect();
        Journal { known, counts: HashMap::new(), open: Vec::new(), attempt, order, replays }
    }

    /// Does the code only repeat what it did before? Then what it logs was logged.
    pub fn replays(&self) -> bool {
        self.replays
    }

    /// A durable step begins.
    pub fn begin(&mut self, name: &str) -> JournalEntry {
        let key = self.counted(cut(name));
        let seen = self.look(key);
        if let JournalEntry::New { name, .. } = &seen {
            self.open.push(name.clone());
        }
        seen
    }

    /// A durable step ended; gives its place in the order, `None` where none of that name is open.
    pub fn end(&mut self, name: &str) -> Option<i64> {
        let at = self.open.iter().rposition(|open| open == name)?;
        self.open.remove(at);
        self.order += 1;
        Some(self.order - 1)
    }

    /// Something else is asked for: `label` is for people, `question` tells it apart from others.
    pub fn ask(&mut self, label: &str, question: &Value) -> JournalEntry {
        if let Some(step) = self.open.last().cloned() {
            // A step that is run again overwrites what its earlier run recorded.
            let name = format!("{step}/{label}");
            let name = self.counted(cut(&name));
            self.order += 1;
            return JournalEntry::New { name, order: self.order - 1, within: Some(step) };
        }
        self.ask_outside(label, question)
    }

    /// The same for what may take long: it is never part of a step that happens to be open.
    pub fn ask_outside(&mut self, label: &str, question: &Value) -> JournalEntry {
        let digest = Digest::of(question.to_string().as_bytes()).hex();
        let key = self.counted(&format!("{} {}", cut(label), digest.get(..8).unwrap_or_default()));
        self.look(key)
    }

    /// Something is waited for that is known by its name alone.
    pub fn wait(&mut self, name: &str) -> JournalEntry {
        let key = self.counted(cut(name));
        self.look(key)
    }

    /// The same question twice is two questions.
    fn counted(&mut self, name: &str) -> String {
        let count = self.counts.entry(name.to_owned()).or_insert(0);
        *count += 1;
        match *count {
            1 => name.to_owned(),
            count => format!("{name} #{count}"),
        }
    }

    fn look(&mut self, name: String) -> JournalEntry {
        match self.known.get(&name) {
            Some(step) if step.status == StepStatus::Completed => {
                JournalEntry::Answered(step.output.clone(), step.finished_at)
            }
            // Within an attempt code may have caught the error and gone on; the next attempt tries again.
            Some(step) if step.status == StepStatus::Failed && step.attempt == self.attempt => {
                JournalEntry::Failed(step.error.clone())
            }
            Some(step) if step.status == StepStatus::Waiting => {
                self.replays = false;
                JournalEntry::Suspend(Box::new(step.clone()))
            }
            _ => {
                self.replays = false;
                self.order += 1;
                JournalEntry::New { name, order: self.order - 1, within: None }
            }
        }
    }
}

fn cut(name: &str) -> &str {
    let end = (0..=MAX_NAME.min(name.len())).rev().find(|at| name.is_char_boundary(*at)).unwrap_or(0);
    name.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn step(name: &str, status: StepStatus, output: Value) -> Step {
        Step { name: name.to_owned(), status, output, attempt: 1, ..Step::default() }
    }

    fn named(seen: &JournalEntry) -> &str {
        match seen {
            JournalEntry::New { name, .. } => name,
            other => panic!("not new: {other:?}"),
        }
    }

    #[test]
    fn what_was_done_is_answered_from_the_record_in_any_order() {
        let mut first = Journal::new(Vec::new(), 1);
        let keys: Vec<String> = [json!({"id": 1}), json!({"id": 2}), json!({"id": 1})]
            .iter()
            .map(|input| named(&first.ask("crm/get", input)).to_owned())
            .collect();
        assert_eq!(keys[2], format!("{} #2", keys[0]));
        let steps = keys.iter().enumerate().map(|(at, key)| step(key, StepStatus::Completed, json!(at))).collect();
        let mut again = Journal::new(steps, 1);
        assert_eq!(again.ask("crm/get", &json!({"id": 2})), JournalEntry::Answered(json!(1), 0));
        assert_eq!(again.ask("crm/get", &json!({"id": 1})), JournalEntry::Answered(json!(0), 0));
        assert_eq!(again.ask("crm/get", &json!({"id": 1})), JournalEntry::Answered(json!(2), 0));
        assert!(matches!(again.ask("crm/get", &json!({"id": 1})), JournalEntry::New { within: None, .. }));
    }

    #[test]
    fn questions_of_a_step_that_is_done_shift_nothing() {
        let mut first = Journal::new(Vec::new(), 1);
        let name = named(&first.begin("charge")).to_owned();
        let inner = first.ask("pay/charge", &json!({}));
        assert!(
            matches!(&inner, JournalEntry::New { name, within: Some(step), .. } if name == "charge/pay/charge" && step == "charge")
        );
        assert!(first.end(&name).is_some());
        let outer = named(&first.ask("pay/charge", &json!({}))).to_owned();
        // The second time the step's function is not called at all.
        let done =
            vec![step(&name, StepStatus::Completed, json!("ok")), step(&outer, StepStatus::Completed, json!("later"))];
        let mut again = Journal::new(done, 1);
        assert_eq!(again.begin("charge"), JournalEntry::Answered(json!("ok"), 0));
        assert_eq!(again.ask("pay/charge", &json!({})), JournalEntry::Answered(json!("later"), 0));
    }

    #[test]
    fn a_failure_counts_for_its_attempt_only() {
        let failed = Step { error: json!({"message": "no"}), ..step("charge", StepStatus::Failed, Value::Null) };
        assert!(matches!(Journal::new(vec![failed.clone()], 1).begin("charge"), JournalEntry::Failed(_)));
        assert!(matches!(Journal::new(vec![failed], 2).begin("charge"), JournalEntry::New { .. }));
    }

    #[test]
    fn long_names_are_cut_between_letters() {
        let name = "ä".repeat(300);
        assert_eq!(named(&Journal::new(Vec::new(), 1).begin(&name)).len(), 200);
    }
}
