//! Compiled workflows, as a version stores them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::catalog::{Catalog, Entry, references};
use crate::definition::json_schema::JsonSchema;
use crate::definition::workflow::{Tier, WorkflowSpec};
use crate::definition::{Kind, Spec};
pub use crate::script::camel;
use crate::script::read_script;
use crate::text::Digest;

/// A compiled workflow. It is immutable: a change creates another program with the next version.
#[derive(Debug)]
pub struct Program {
    /// Its name.
    pub name: String,
    /// Its definition.
    pub spec: WorkflowSpec,
    /// Its code without types; `None` if it has steps.
    pub code: Option<Arc<str>>,
    /// The file name in messages.
    pub file: String,
    /// The number of lines before the code in that file.
    pub line: u32,
    /// `file:line` of its definition.
    pub source_location: String,
    /// The digest of its content.
    pub digest: Digest,
    /// The stamp of its catalog entry and the digest of its code file. An unchanged program is not compiled again.
    stamp: (u64, Option<Digest>),
    input: Option<JsonSchema>,
    output: Option<JsonSchema>,
}

/// The stored form of a version.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    name: String,
    spec: Value,
    code: Option<String>,
    file: String,
    line: u32,
    #[serde(rename = "place")]
    source_location: String,
}

/// Workflows by name.
pub type Programs = BTreeMap<String, Arc<Program>>;

/// Compiles the workflows of a catalog. `read` returns the content of a file by its path from the root of the source.
/// Unchanged workflows are taken from `before`.
///
/// # Errors
/// The id of the workflow that cannot be compiled, and the cause. Checked catalogs have none.
pub fn compile(
    catalog: &Catalog,
    read: &dyn Fn(&str) -> Option<Vec<u8>>,
    before: Option<&Programs>,
) -> Result<Programs, String> {
    let mut programs = Programs::new();
    for entry in catalog.of_kind(Kind::Workflow) {
        let Some(Spec::Workflow(spec)) = entry.spec() else { continue };
        let source_location = catalog.shown_place(entry.place());
        let is_same =
            |known: &&Arc<Program>| known.stamp.0 == entry.stamp() && known.source_location == source_location;
        let known = before.and_then(|before| before.get(&entry.id.name)).filter(is_same);
        let program =
            Program::compile(catalog, entry, spec, read, known).map_err(|error| format!("{}: {error}", entry.id))?;
        programs.insert(entry.id.name.clone(), program);
    }
    Ok(programs)
}

impl Program {
    fn compile(
        catalog: &Catalog,
        entry: &Entry,
        spec: &WorkflowSpec,
        read: &dyn Fn(&str) -> Option<Vec<u8>>,
        known: Option<&Arc<Program>>,
    ) -> Result<Arc<Program>, String> {
        let path = entry.place().0;
        let source_location = catalog.shown_place(entry.place());
        let mut stamp = (entry.stamp(), None);
        let (code, file, line) = match &spec.source {
            None => (None, path.to_owned(), 0),
            Some(source) => {
                let (text, file, line) = match (&source.file, &source.inline) {
                    (Some(file), _) => {
                        let found = references::resolve_path(path, file)
                            .ok_or_else(|| format!("{file} is outside of the source"))?;
                        let bytes = read(&found).ok_or_else(|| format!("cannot read {found}"))?;
                        stamp.1 = Some(Digest::of(&bytes));
                        if let Some(known) = known.filter(|known| known.stamp == stamp) {
                            return Ok(Arc::clone(known));
                        }
                        let text = String::from_utf8(bytes).map_err(|_| format!("{found} is not UTF-8"))?;
                        // Line ends have no meaning in code; those of a checkout would make it another version.
                        (text.replace("\r\n", "\n"), found, 0)
                    }
                    (None, Some(inline)) => {
                        let at = entry.source.line_of(inline_start(entry)).1;
                        // The text of a block scalar begins on the line after its `|`.
                        let start = entry.text().get(inline_start(entry) as usize..).unwrap_or_default();
                        let before = u32::from(!start.starts_with(['|', '>']));
                        (inline.clone(), path.to_owned(), at.saturating_sub(before))
                    }
                    (None, None) => return Err("`source` has neither `file` nor `inline`".to_owned()),
                };
                let script = read_script(&text)
                    .map_err(|errors| errors.first().map_or_else(String::new, |error| format!("{file}: {error}")))?;
                (Some(script.javascript), file, line)
            }
        };
        if let Some(known) = known.filter(|known| known.stamp == stamp) {
            return Ok(Arc::clone(known));
        }
        let spec = serde_json::to_value(spec).map_err(|error| error.to_string())?;
        let file = catalog.repository_path(&file);
        let program =
            Program::from_stored(Stored { name: entry.id.name.clone(), spec, code, file, line, source_location })?;
        Ok(Arc::new(Program { stamp, ..program }))
    }

    fn from_stored(stored: Stored) -> Result<Program, String> {
        // Without its location: a moved workflow keeps its version.
        let content = serde_json::json!([stored.name, without_tests(&stored.spec), stored.code]);
        let digest = Digest::of(content.to_string().as_bytes());
        let spec: WorkflowSpec = serde_json::from_value(stored.spec).map_err(|error| error.to_string())?;
        let schema = |schema: &Option<crate::definition::common::SchemaValue>| match schema {
            Some(schema) => JsonSchema::compile(&schema.0.value(), &serde_json::Map::new()).map(Some),
            None => Ok(None),
        };
        Ok(Program {
            input: schema(&spec.input)?,
            output: schema(&spec.output)?,
            name: stored.name,
            code: stored.code.map(Arc::from),
            file: stored.file,
            line: stored.line,
            source_location: stored.source_location,
            digest,
            stamp: (0, None),
            spec,
        })
    }

    /// The program of a stored version.
    ///
    /// # Errors
    /// The cause if this release of Evenkeel cannot read it.
    pub fn from_content(content: &str) -> Result<Program, String> {
        Program::from_stored(serde_json::from_str(content).map_err(|error| error.to_string())?)
    }

    /// Its stored form.
    pub fn content(&self) -> String {
        let stored = Stored {
            name: self.name.clone(),
            spec: serde_json::to_value(&self.spec).unwrap_or_default(),
            code: self.code.as_deref().map(str::to_owned),
            file: self.file.clone(),
            line: self.line,
            source_location: self.source_location.clone(),
        };
        serde_json::to_string(&stored).unwrap_or_default()
    }

    /// The timeout of an attempt. Defaults by tier: 1 minute, 15 minutes, 6 hours.
    pub fn timeout(&self) -> Duration {
        let default = match self.spec.tier {
            Tier::Instant => Duration::from_mins(1),
            Tier::Standard => Duration::from_mins(15),
            Tier::Long => Duration::from_hours(6),
        };
        self.spec.timeout.map_or(default, |timeout| timeout.0)
    }

    /// JSON pointers to at most 20 invalid values of an input, with their violations.
    pub fn input_errors(&self, input: &Value) -> Vec<(String, String)> {
        let violations = self.input.iter().flat_map(|schema| schema.violations(input, 20));
        violations.map(|violation| (violation.pointer, violation.message)).collect()
    }

    /// An input with the defaults of its schema.
    ///
    /// # Errors
    /// The defaults cannot be used.
    pub fn with_defaults(&self, input: Value) -> Result<Value, String> {
        let filled = self.input.as_ref().map(|schema| schema.with_defaults(&input)).transpose()?;
        Ok(filled.flatten().unwrap_or(input))
    }

    /// The violations of the input schema; `None` if the input is valid.
    pub fn input_violations(&self, input: &Value) -> Option<String> {
        self.input.as_ref().and_then(|schema| violations(schema, input))
    }

    /// The violations of the output schema; `None` if the output is valid.
    pub fn output_violations(&self, output: &Value) -> Option<String> {
        self.output.as_ref().and_then(|schema| violations(schema, output))
    }

    /// The delay after a failed attempt; `None` if there is no further attempt.
    pub fn retry_delay(&self, attempt: i64) -> Option<Duration> {
        let retry = self.spec.retry.as_ref()?;
        (attempt < i64::from(retry.max_attempts)).then(|| backoff(retry, attempt))
    }
}

/// The delay after an attempt, counted from 1.
pub fn backoff(retry: &crate::definition::common::Retry, attempt: i64) -> Duration {
    let initial = retry.initial_interval.map_or(Duration::from_secs(5), |wait| wait.0);
    let max = retry.max_interval.map_or(Duration::from_mins(1), |wait| wait.0);
    let factor = retry.backoff_coefficient.unwrap_or(2.0).clamp(1.0, 10.0);
    let exponent = i32::try_from(attempt.saturating_sub(1).clamp(0, 64)).unwrap_or(64);
    Duration::try_from_secs_f64(initial.as_secs_f64() * factor.powi(exponent)).unwrap_or(max).min(max)
}

fn violations(schema: &JsonSchema, value: &Value) -> Option<String> {
    let violations = schema.violations(value, 5);
    let shown: Vec<String> = violations
        .into_iter()
        .map(|violation| match violation.pointer.as_str() {
            "" => violation.message,
            pointer => format!("{pointer}: {}", violation.message),
        })
        .collect();
    (!shown.is_empty()).then(|| shown.join("; "))
}

fn without_tests(spec: &Value) -> Value {
    let mut spec = spec.clone();
    if let Some(fields) = spec.as_object_mut() {
        fields.shift_remove("tests");
        fields.shift_remove("description");
        fields.shift_remove("displayName");
    }
    spec
}

/// The offset of the text of an inline source.
fn inline_start(entry: &Entry) -> u32 {
    entry.node("/spec/source/inline").map_or(entry.name_span.start, |node| node.span.start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_between_attempts_grow_to_the_maximum() {
        let retry: crate::definition::common::Retry = serde_json::from_str(
            r#"{"maxAttempts": 9, "initialInterval": "5s", "backoffCoefficient": 2, "maxInterval": "60s"}"#,
        )
        .unwrap();
        let waits: Vec<u64> = (1..=6).map(|attempt| backoff(&retry, attempt).as_secs()).collect();
        assert_eq!(waits, [5, 10, 20, 40, 60, 60]);
        assert_eq!(backoff(&retry, i64::MAX).as_secs(), 60);
    }
}
