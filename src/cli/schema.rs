//! `evenkeel schema`: prints JSON Schemas and CustomResourceDefinitions.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use clap::Args;

use super::output;
use crate::definition::schema_validator::{nearest, quoted_list};
use crate::definition::{Kind, crd, schema};
use crate::text::to_yaml;

/// Print the JSON Schema of a kind
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel schema connector
  evenkeel schema --out schemas             # one file per kind
  evenkeel schema crds | kubectl apply -f - # CustomResourceDefinitions")]
pub(super) struct SchemaCommand {
    /// Kind, such as Connector, or `crds` [default: the schema of any definition]
    kind: Option<String>,
    /// Write one file per kind to a folder
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

impl SchemaCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let is_crds = self.kind.as_deref() == Some("crds");
        if let Some(folder) = self.out {
            let files = match (&self.kind, is_crds) {
                (_, true) => crds()?,
                (None, _) => schema::all().into_iter().map(|(name, schema)| (name, text(&schema))).collect(),
                (Some(kind), _) => {
                    anyhow::bail!("`--out` writes all schemas or all `crds`; remove {kind}")
                }
            };
            std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
            for (name, text) in files {
                let path = folder.join(name);
                std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        if is_crds {
            let files: Vec<String> = crds()?.into_iter().map(|(_, text)| text).collect();
            output::data(&files.join("---\n"));
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
                        Some(near) => anyhow::bail!("unknown kind {name}; did you mean {near}?"),
                        None => anyhow::bail!("unknown kind {name}; expected one of {}", quoted_list(&names)),
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

fn crds() -> anyhow::Result<Vec<(String, String)>> {
    let all = crd::all().into_iter();
    all.map(|(name, crd)| Ok((name, to_yaml(&crd).map_err(|error| anyhow!("{error}"))?))).collect()
}
