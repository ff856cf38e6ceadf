//! `evenkeel secrets`: manages the keys that encrypt stored credentials.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::anyhow;
use clap::{Args, Subcommand};

use super::runtime::runtime;
use super::{master_key, output};
use crate::store::{self, Keys};

/// Create and rotate the keys that encrypt stored credentials
#[derive(Debug, Args)]
#[command(
    disable_help_subcommand = true,
    after_help = "\
Examples:
  evenkeel secrets keygen > master.key
  EVENKEEL_MASTER_KEY_FILE=master.key evenkeel secrets rotate"
)]
pub(super) struct Secrets {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print a new key
    #[command(after_help = "\
Put the line above the older keys in EVENKEEL_MASTER_KEY or its file.

Examples:
  evenkeel secrets keygen > master.key")]
    Keygen,
    Rotate(Rotate),
}

/// Encrypt all stored credentials with the newest key
#[derive(Debug, Args)]
#[command(after_help = "\
The older keys can be removed afterwards.

Examples:
  EVENKEEL_MASTER_KEY_FILE=master.key evenkeel secrets rotate --state .evenkeel")]
struct Rotate {
    /// State folder, as passed to `evenkeel serve`
    #[arg(long, default_value = ".evenkeel", value_name = "FOLDER")]
    state: PathBuf,
    /// Database, as passed to `evenkeel serve` [default: sqlite:STATE/evenkeel.db]
    #[arg(long, env = "EVENKEEL_STORE", hide_env_values = true, value_name = "URL")]
    store: Option<String>,
}

impl Secrets {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Keygen => {
                let key = Keys::generate().map_err(|error| anyhow!("{error}"))?;
                output::data(&format!("{}\n", key.trim_end()));
            }
            Command::Rotate(rotate) => {
                let default = format!("sqlite:{}", rotate.state.join("evenkeel.db").display());
                let url = rotate.store.unwrap_or(default);
                let rotated = runtime()?.block_on(async {
                    let store = store::open(&url, master_key::read()?).await.map_err(|error| anyhow!("{error}"))?;
                    store.rotate_credentials().await.map_err(|error| anyhow!("{error}"))
                })?;
                output::data(&format!(
                    "{} encrypted with the newest key\n",
                    output::count(rotated as usize, "credential")
                ));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
