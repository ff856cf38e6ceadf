//! The environment of a command and its server: the arguments that all commands about a running server share.

use anyhow::bail;
use clap::Args;

use super::api_client::ApiClient;
use super::api_error::ApiError;
use super::environment_api::{self, EnvironmentApi};
use super::output_format::OutputFormat;
use crate::definition::is_name;

/// Variable with the environment of commands without `-e`.
pub(super) const VARIABLE: &str = "EVENKEEL_ENVIRONMENT";
/// Maximum number of environments that a message lists.
const MAX_LISTED: usize = 20;

/// Environment and server of a command.
#[derive(Clone, Debug, Args)]
pub(super) struct EnvironmentArgs {
    /// Environment, as NAME or NAMESPACE/NAME [default: the only one]
    #[arg(short, long, env = VARIABLE, value_name = "ENVIRONMENT", value_parser = environment_name)]
    pub(super) environment: Option<String>,
    #[command(flatten)]
    pub(super) client: ApiClient,
}

/// Environment, server and output format of a command.
#[derive(Clone, Debug, Args)]
pub(super) struct ApiArgs {
    /// Output format
    #[arg(short, long, default_value = "human", value_name = "FORMAT")]
    pub(super) output: OutputFormat,
    #[command(flatten)]
    pub(super) environment: EnvironmentArgs,
}

impl EnvironmentArgs {
    /// The API of the chosen environment, or of the only one.
    ///
    /// # Errors
    /// Fails if no environment is chosen and the server has none or several, or cannot be reached.
    pub(super) fn connect(&self) -> anyhow::Result<EnvironmentApi> {
        let is_chosen = self.environment.is_some();
        let environment = match &self.environment {
            Some(name) => name.clone(),
            None => only(environment_names(&self.client)?, &self.client.server)?,
        };
        Ok(EnvironmentApi { client: self.client.clone(), environment, is_chosen })
    }
}

impl ApiArgs {
    /// The API of the chosen environment, or of the only one: see [`EnvironmentArgs::connect`].
    ///
    /// # Errors
    /// As that.
    pub(super) fn connect(&self) -> anyhow::Result<EnvironmentApi> {
        self.environment.connect()
    }
}

/// Names of a server's environments.
///
/// # Errors
/// Fails if the server cannot be reached or refuses the list.
pub(super) fn environment_names(client: &ApiClient) -> anyhow::Result<Vec<String>> {
    let list = environment_api::get(client, "/v1/environments?limit=1000");
    let list = list.map_err(|error| match error.downcast_ref::<ApiError>() {
        // A token may have the right to call and not to read.
        Some(ApiError(problem)) if problem.status == 403 => {
            error.context("cannot list the environments; `-e NAME` chooses one without the list")
        }
        _ => error,
    })?;
    let names = list["items"].as_array().into_iter().flatten().filter_map(|item| item["name"].as_str());
    Ok(names.map(str::to_owned).collect())
}

/// The only one of several names.
fn only(mut names: Vec<String>, server: &str) -> anyhow::Result<String> {
    match (names.pop(), names.len()) {
        (None, _) => bail!("{server} has no environments"),
        (Some(only), 0) => Ok(only),
        (Some(last), _) => {
            names.push(last);
            let more = names.len().saturating_sub(MAX_LISTED);
            names.truncate(MAX_LISTED);
            let rest = if more == 0 { String::new() } else { format!(" and {more} more") };
            bail!("{server} has several environments; choose one with `-e NAME`: {}{rest}", names.join(", "))
        }
    }
}

/// Parses the name of an environment; `NAMESPACE/NAME` and `NAMESPACE.NAME` are one.
///
/// # Errors
/// Fails unless it is a DNS label, or two of them.
pub(super) fn environment_name(text: &str) -> Result<String, String> {
    let name = text.replacen('/', ".", 1);
    if name.split('.').count() <= 2 && name.split('.').all(is_name) {
        return Ok(name);
    }
    Err("expected lower-case letters, digits and `-`; on Kubernetes NAMESPACE/NAME".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_an_environment_are_one() {
        assert_eq!(environment_name("live").as_deref(), Ok("live"));
        assert_eq!(environment_name("integrations/live").as_deref(), Ok("integrations.live"));
        assert_eq!(environment_name("integrations.live").as_deref(), Ok("integrations.live"));
        for wrong in ["", "../x", "a/b/c", "a.b/c", "Live", "a b", "/live", "live/"] {
            assert!(environment_name(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn one_of_several_environments_has_to_be_chosen() {
        let names = |number: usize| (0..number).map(|at| format!("e{at}")).collect::<Vec<String>>();
        assert_eq!(only(names(1), "http://a").unwrap(), "e0");
        assert_eq!(only(names(0), "http://a").unwrap_err().to_string(), "http://a has no environments");
        let several = only(names(3), "http://a").unwrap_err().to_string();
        assert!(several.ends_with("choose one with `-e NAME`: e0, e1, e2"), "{several}");
        let many = only(names(30), "http://a").unwrap_err().to_string();
        assert!(many.ends_with("e19 and 10 more"), "{many}");
    }
}
