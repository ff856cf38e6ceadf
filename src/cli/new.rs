//! `evenkeel new`: adds a small, valid and tested definition.

mod input;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use serde_json::Value;

use super::output;
use super::project::{schema_line_in, write_new};
use crate::catalog::{Catalog, File};
use crate::definition::schema_validator::{nearest, suggested_name};
use crate::definition::{Kind, Spec, is_name};
use crate::reconcile::validate;
use crate::source::directory;
use crate::text::Severity;

/// Add a small, tested definition to a folder
#[derive(Debug, Args)]
#[command(after_help = "\
Writes NAME.KIND.yaml. Nothing is replaced. A trigger starts a workflow that
exists: the first one, unless --workflow names another.

Examples:
  evenkeel new connector orbit-crm
  evenkeel new workflow sync-contacts --path definitions
  evenkeel new trigger every-morning --workflow sync-contacts")]
pub(super) struct New {
    /// Kind of definition
    #[arg(value_enum)]
    kind: DefinitionKind,
    /// Name: lower-case letters, digits and `-`
    name: String,
    /// Folder of definitions
    #[arg(long, default_value = ".", value_name = "FOLDER")]
    path: PathBuf,
    /// Workflow that a trigger starts [default: the first one]
    #[arg(long, value_name = "NAME")]
    workflow: Option<String>,
}

/// A kind that `new` can write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum DefinitionKind {
    Connector,
    Workflow,
    Trigger,
}

impl DefinitionKind {
    fn kind(self) -> Kind {
        match self {
            DefinitionKind::Connector => Kind::Connector,
            DefinitionKind::Workflow => Kind::Workflow,
            DefinitionKind::Trigger => Kind::Trigger,
        }
    }

    fn file_name(self, name: &str) -> String {
        format!("{name}.{}.yaml", self.kind().as_str().to_ascii_lowercase())
    }
}

/// The workflow that a new trigger starts.
pub(super) struct StartedWorkflow {
    name: String,
    /// An input that fits its schema.
    input: Value,
}

impl New {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        self.check_name()?;
        if self.workflow.is_some() && self.kind != DefinitionKind::Trigger {
            bail!("`--workflow` is for triggers; remove it");
        }
        std::fs::create_dir_all(&self.path).with_context(|| format!("cannot create {}", self.path.display()))?;
        let path = self.path.join(self.kind.file_name(&self.name));
        if path.symlink_metadata().is_ok() {
            bail!("{} exists already; nothing was written", path.display());
        }
        let (snapshot, unreadable) =
            directory::read(&self.path).with_context(|| format!("cannot read {}", self.path.display()))?;
        let before = validate::with(&snapshot, unreadable.clone());
        if let Some(entry) = before.catalog.find(self.kind.kind(), &self.name) {
            let place = before.catalog.sources.display_position(entry.span(entry.name_span));
            bail!("{} `{}` exists already, at {place}; nothing was written", self.kind.kind(), self.name);
        }
        let started = match self.kind {
            DefinitionKind::Trigger => Some(self.started(&before.catalog)?),
            _ => None,
        };
        let text = schema_line_in(&self.path) + &definition(self.kind, &self.name, started.as_ref());
        self.check_text(snapshot, &before, &text)?;
        write_new(&path, &text)?;
        output::note(&format!("wrote {}", path.display()));
        output::note(&format!("\nnext:\n  evenkeel test {0}\n  evenkeel dev {0}", self.path.display()));
        Ok(ExitCode::SUCCESS)
    }

    fn check_name(&self) -> anyhow::Result<()> {
        if is_name(&self.name) {
            return Ok(());
        }
        match suggested_name(&self.name) {
            Some(near) => bail!("`{}` is not a name; write `{near}`", self.name),
            None => bail!("`{}` is not a name: use 1 to 63 lower-case letters, digits and `-`", self.name),
        }
    }

    /// The workflow that the trigger starts.
    fn started(&self, catalog: &Catalog) -> anyhow::Result<StartedWorkflow> {
        let mut workflows = catalog.of_kind(Kind::Workflow).filter_map(|entry| match entry.spec() {
            Some(Spec::Workflow(spec)) => Some((entry.id.name.as_str(), spec)),
            _ => None,
        });
        let names: Vec<&str> = catalog.of_kind(Kind::Workflow).map(|entry| entry.id.name.as_str()).collect();
        let found = match &self.workflow {
            None => workflows.find(|(_, spec)| spec.active),
            Some(wanted) => workflows.find(|(name, _)| name == wanted),
        };
        let Some((name, spec)) = found else {
            match &self.workflow {
                Some(wanted) => match nearest(wanted, names.into_iter()) {
                    Some(near) => bail!("there is no workflow `{wanted}`; did you mean `{near}`?"),
                    None => bail!("there is no workflow `{wanted}`; create it with `evenkeel new workflow {wanted}`"),
                },
                None => bail!("there is no workflow to start; create one first with `evenkeel new workflow NAME`"),
            }
        };
        let input = spec.input.as_ref().map_or(Value::Null, |schema| input::sample(&schema.0.value()));
        Ok(StartedWorkflow { name: name.to_owned(), input })
    }

    /// Verifies that the definition adds no error to the folder.
    fn check_text(
        &self,
        mut snapshot: crate::catalog::Snapshot,
        before: &validate::Validated,
        text: &str,
    ) -> anyhow::Result<()> {
        let file = self.kind.file_name(&self.name);
        snapshot.files.push(File { path: file.as_str().into(), bytes: text.as_bytes().into() });
        snapshot.files.sort_by(|a, b| a.path.cmp(&b.path));
        Arc::make_mut(&mut snapshot.names).insert(file);
        let after = validate::with(&snapshot, Vec::new());
        let errors = |validated: &validate::Validated| {
            validated.findings.iter().filter(|finding| finding.severity == Severity::Error).count()
        };
        let subject = (self.kind.kind(), self.name.as_str());
        let own = after.findings.iter().filter(|finding| finding.severity == Severity::Error).find(|finding| {
            finding.subject.as_ref().is_some_and(|about| (about.kind, &*about.name) == (subject.0.as_str(), subject.1))
        });
        match own {
            Some(finding) if errors(&after) > errors(before) => {
                bail!("cannot write a valid {}: {}", self.kind.kind(), finding.message)
            }
            _ => Ok(()),
        }
    }
}

/// The text of a new definition, without the comment for editors.
pub(super) fn definition(kind: DefinitionKind, name: &str, started: Option<&StartedWorkflow>) -> String {
    let text = match kind {
        DefinitionKind::Connector => include_str!("new/connector.yaml"),
        DefinitionKind::Workflow => include_str!("new/workflow.yaml"),
        DefinitionKind::Trigger => include_str!("new/trigger.yaml"),
    };
    let text = text.replace("TITLE", &scalar(&title(name))).replace("NAME", &scalar(name));
    let Some(started) = started else { return text };
    let payload = match &started.input {
        Value::Null => String::new(),
        // JSON is YAML.
        input => format!("    payload: {input} # the input of the workflow\n"),
    };
    text.replace("    PAYLOAD\n", &payload).replace("WORKFLOW", &scalar(&started.name))
}

/// A text as a YAML string: in quotes if it could be read as a number, a boolean or null.
fn scalar(text: &str) -> String {
    let is_word = matches!(&*text.to_ascii_lowercase(), "true" | "false" | "null");
    let is_plain = !is_word && text.starts_with(|first: char| first.is_ascii_alphabetic());
    if is_plain { text.to_owned() } else { format!("\"{text}\"") }
}

/// A title for people: `Sync contacts` for `sync-contacts`.
fn title(name: &str) -> String {
    let mut text = name.replace('-', " ");
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_definitions_without_findings() {
        let folder = tempfile::tempdir().unwrap();
        let new = |kind, name: &str, workflow: Option<&str>| {
            let path = folder.path().to_owned();
            New { kind, name: name.into(), path, workflow: workflow.map(str::to_owned) }.run()
        };
        assert!(new(DefinitionKind::Trigger, "daily", None).unwrap_err().to_string().contains("no workflow to start"));
        new(DefinitionKind::Connector, "orbit", None).unwrap();
        new(DefinitionKind::Workflow, "sync", None).unwrap();
        new(DefinitionKind::Trigger, "daily", None).unwrap();
        let wrong = new(DefinitionKind::Trigger, "nightly", Some("snc")).unwrap_err().to_string();
        assert!(wrong.contains("did you mean `sync`?"), "{wrong}");
        let validated = validate::folder(folder.path()).unwrap();
        assert_eq!(validated.findings, []);
        assert_eq!(validated.catalog.entries.len(), 3);
        for kind in [DefinitionKind::Connector, DefinitionKind::Workflow, DefinitionKind::Trigger] {
            let name = validated.catalog.of_kind(kind.kind()).next().unwrap().id.name.clone();
            let again = new(kind, &name, None).unwrap_err().to_string();
            assert!(again.contains("exists already"), "{again}");
        }
        let other = folder.path().join("orbit.connector.yaml");
        std::fs::rename(&other, folder.path().join("other.yaml")).unwrap();
        let known = new(DefinitionKind::Connector, "orbit", None).unwrap_err().to_string();
        assert!(known.contains("other.yaml:") && known.contains("nothing was written"), "{known}");
        assert!(new(DefinitionKind::Connector, "a", Some("sync")).is_err(), "a connector starts no workflow");
    }

    #[test]
    fn quotes_names_that_yaml_reads_as_other_values() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["true", "null", "1e5", "007", "off"] {
            let (kind, path) = (DefinitionKind::Connector, folder.path().to_owned());
            New { kind, name: name.into(), path, workflow: None }.run().unwrap();
        }
        let validated = validate::folder(folder.path()).unwrap();
        assert_eq!(validated.findings, []);
        assert_eq!(validated.catalog.entries.len(), 5);
    }

    #[test]
    fn suggests_a_name() {
        let folder = tempfile::tempdir().unwrap();
        let new = |name: &str| {
            let (kind, path) = (DefinitionKind::Workflow, folder.path().to_owned());
            New { kind, name: name.into(), path, workflow: None }.run().unwrap_err().to_string()
        };
        assert!(new("createShipment").contains("write `create-shipment`"));
        assert!(new("___").contains("1 to 63"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        assert_eq!(title("sync-contacts"), "Sync contacts");
    }
}
