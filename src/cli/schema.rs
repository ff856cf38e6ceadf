//! `evenkeel schema`: the JSON Schemas of the language.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use super::output;
use crate::definition::shape::{listed, nearest};
use crate::definition::{Kind, schema};

/// Print the JSON Schema of a kind, or of any definition, for editors and other tools.
#[derive(Debug, Args)]
pub(super) struct SchemaCommand {
    /// A kind, such as Connector; the schema of any definition where left out.
    kind: Option<String>,
    /// Write all schemas into this folder instead.
    #[arg(long, value_name = "FOLDER", conflicts_with = "kind")]
    out: Option<PathBuf>,
}

impl SchemaCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        if let Some(folder) = self.out {
            std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
            for (name, schema) in schema::all() {
                let path = folder.join(name);
                std::fs::write(&path, text(&schema)).with_context(|| format!("cannot write {}", path.display()))?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        let schema = match self.kind {
            None => schema::of_any(),
            Some(name) => {
                if let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.as_str().eq_ignore_ascii_case(&name)) {
                    schema::of_kind(kind)
                } else {
                    let names = Kind::ALL.map(Kind::as_str);
                    match nearest(&name, names.into_iter()) {
                        Some(near) => anyhow::bail!("there is no kind {name}; did you mean {near}?"),
                        None => anyhow::bail!("there is no kind {name}; the kinds are {}", listed(&names)),
                    }
                }
            }
        };
        output::data(&text(&schema));
        Ok(ExitCode::SUCCESS)
    }
}

fn text(schema: &serde_json::Value) -> String {
    format!("{schema:#}\n")
}
