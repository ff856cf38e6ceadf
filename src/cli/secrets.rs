//! `evenkeel secrets`: the keys that encrypt stored credentials.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::anyhow;
use clap::{Args, Subcommand};

use super::output;
use crate::store::{self, Keys};

/// Make and rotate the keys that encrypt stored credentials.
#[derive(Debug, Args)]
pub(super) struct Secrets {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print a new key: a line for EVENKEEL_MASTER_KEY or its file, above the older ones.
    Keygen,
    /// Encrypt all stored credentials with the newest key. The older ones may be removed after that.
    Rotate(Rotate),
}

#[derive(Debug, Args)]
struct Rotate {
    /// Folder of the state, as given to `serve`.
    #[arg(long, default_value = ".evenkeel", value_name = "FOLDER")]
    state: PathBuf,
    /// Where generations are stored, as given to `serve`.
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
                let rotated = super::executor()?.block_on(async {
                    let store =
                        store::open(&url, super::serve_args::keys()?).await.map_err(|error| anyhow!("{error}"))?;
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
