//! What `render` and `call` share: the words of the command line to a call.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::{Value, json};

use super::{output, test};
use crate::connector::{
    self, ActionOutput, Call as ConnectorCall, CallError, ErrorCode, MockUpstream, NetworkUpstream, PreparedRequest,
    ProvidedSecrets, Runtime, Upstream,
};
use crate::net;

/// The words of a call.
#[derive(Debug, Args)]
pub(super) struct Target {
    /// The action, as `connector/action`.
    action: String,
    /// A folder of definitions, or one file.
    #[arg(default_value = ".")]
    path: PathBuf,
    /// The input as JSON; `@file` reads a file, `-` stdin. `{}` where left out.
    #[arg(short, long, value_name = "JSON")]
    input: Option<String>,
    /// The input of one of the action's tests.
    #[arg(long, value_name = "NAME", conflicts_with = "input")]
    test: Option<String>,
    /// A path parameter. May be repeated.
    #[arg(short, long = "path-param", value_name = "NAME=VALUE", value_parser = pair)]
    path_params: Vec<(String, String)>,
    /// A header that the action lets callers override. May be repeated.
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = pair)]
    headers: Vec<(String, String)>,
    /// A query parameter that the action lets callers override. May be repeated.
    #[arg(long = "query", value_name = "NAME=VALUE", value_parser = pair)]
    query: Vec<(String, String)>,
    /// A variable, over the environment's. May be repeated.
    #[arg(long = "variable", value_name = "NAME=VALUE", value_parser = pair)]
    variables: Vec<(String, String)>,
    /// The tenant it is for.
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// The connection to use.
    #[arg(long, value_name = "NAME")]
    connection: Option<String>,
    /// The Environment; the first one where left out.
    #[arg(short, long, value_name = "NAME")]
    environment: Option<String>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

struct Ready {
    path: PathBuf,
    runtime: Arc<Runtime>,
    connector: String,
    action: String,
    call: ConnectorCall,
}

impl Target {
    /// The compiled definitions and the call; `None` where they have errors, which are printed.
    fn ready(self) -> anyhow::Result<Option<Ready>> {
        let Some((connector, action)) = self.action.split_once('/') else {
            bail!("`{}` is not an action; write it as connector/action", self.action);
        };
        let Some(examined) = test::load(&self.path)? else { return Ok(None) };
        let runtime = test::compiled(&examined, self.environment.as_deref())?;
        let mut call = ConnectorCall { input: json!({}), ..ConnectorCall::default() };
        if let Some(name) = &self.test {
            let (_, found) =
                connector::find(&runtime, connector, action).map_err(|error| anyhow::anyhow!(error.detail))?;
            let tests = &found.spec.tests;
            let Some(found) = tests.iter().find(|test| test.name == *name) else {
                let names: Vec<String> = tests.iter().map(|test| format!("`{}`", test.name)).collect();
                let known =
                    if names.is_empty() { "it has none".to_owned() } else { format!("there are {}", names.join(", ")) };
                bail!("the action has no test `{name}`; {known}");
            };
            call = ConnectorCall {
                hermetic: self.tenant.is_none() && self.connection.is_none(),
                ..connector::testing::call_of(found)
            };
        }
        if let Some(text) = &self.input {
            call.input = input(text)?;
        }
        call.path_params.extend(self.path_params);
        call.headers.extend(self.headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)));
        call.query.extend(self.query);
        call.variables.extend(self.variables);
        call.tenant = self.tenant.or(call.tenant);
        call.connection = self.connection;
        if call.request_id.is_empty() {
            call.request_id = "cli".into();
        }
        let (connector, action) = (connector.into(), action.into());
        Ok(Some(Ready { path: self.path, runtime: Arc::new(runtime), connector, action, call }))
    }
}

fn input(text: &str) -> anyhow::Result<Value> {
    const MOST: u64 = 8 << 20;
    let mut read = String::new();
    let text = match text.strip_prefix('@') {
        Some(path) => {
            let file = std::fs::File::open(path).with_context(|| format!("cannot read {path}"))?;
            file.take(MOST).read_to_string(&mut read).with_context(|| format!("cannot read {path}"))?;
            &read
        }
        None if text == "-" => {
            std::io::stdin().take(MOST).read_to_string(&mut read).context("cannot read stdin")?;
            &read
        }
        None => text,
    };
    if text.len() as u64 >= MOST {
        bail!("the input is larger than {} MiB", MOST >> 20);
    }
    if let Some(number) = connector::inexact_integer(text.as_bytes()) {
        bail!("the integer {number} cannot be carried exactly; write it as a string");
    }
    serde_json::from_str(text).context("the input is not JSON")
}

/// Prints an error as callers over HTTP get it, and how the command line gives what was missing.
fn failed(error: &CallError, request_id: &str) -> ExitCode {
    output::data(&format!("{:#}\n", error.envelope(request_id)));
    match error.code {
        ErrorCode::InvalidInput => output::note("the input is given by --input JSON, or by --test NAME"),
        ErrorCode::MissingPathParameters | ErrorCode::InvalidPathParameters => {
            output::note("path parameters are given by --path-param NAME=VALUE");
        }
        ErrorCode::ConnectionRequired | ErrorCode::UnknownTenant => {
            output::note("a tenant is named by --tenant NAME, a connection by --connection NAME");
        }
        _ => {}
    }
    ExitCode::FAILURE
}

/// Show the request that an action would send: no network, secrets masked by where they come from.
#[derive(Debug, Args)]
pub(super) struct Render {
    #[command(flatten)]
    target: Target,
    /// As JSON, for tools.
    #[arg(long)]
    json: bool,
}

impl Render {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let Some(ready) = self.target.ready()? else { return Ok(ExitCode::FAILURE) };
        let masked = Arc::new(connector::MaskedSecrets);
        match connector::prepare(&ready.runtime, masked, &ready.connector, &ready.action, &ready.call) {
            Ok(request) if self.json => output::data(&format!("{:#}\n", as_json(&request))),
            Ok(request) => output::data(&as_text(&request)),
            Err(error) => {
                return Ok(failed(&error, &ready.call.request_id));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn as_json(request: &PreparedRequest) -> Value {
    let headers: BTreeMap<&String, &String> = request.headers.iter().map(|(name, value)| (name, value)).collect();
    let body = match serde_json::from_slice::<Value>(&request.body) {
        Ok(value) => value,
        Err(_) if request.body.is_empty() => Value::Null,
        Err(_) => Value::String(String::from_utf8_lossy(&request.body).into_owned()),
    };
    json!({"method": request.method, "url": request.url.as_str(), "headers": headers, "body": body})
}

/// As it goes over the wire, with a JSON body indented.
fn as_text(request: &PreparedRequest) -> String {
    let mut text = format!("{} {}\n", request.method, request.url);
    for (name, value) in &request.headers {
        text += &format!("{name}: {value}\n");
    }
    if !request.body.is_empty() {
        text += "\n";
        text += &match serde_json::from_slice::<Value>(&request.body) {
            Ok(value) => format!("{value:#}"),
            Err(_) => String::from_utf8_lossy(&request.body).into_owned(),
        };
        text += "\n";
    }
    text
}

/// Call an action for real, and print its output.
#[derive(Debug, Args)]
pub(super) struct Call {
    #[command(flatten)]
    target: Target,
    /// Answer from the definitions' own tests instead of calling the application.
    #[arg(long)]
    mock: bool,
    /// Allow servers on this machine.
    #[arg(long)]
    allow_loopback: bool,
    /// Print how long it took, to stderr.
    #[arg(long)]
    timing: bool,
}

impl Call {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let Some(ready) = self.target.ready()? else { return Ok(ExitCode::FAILURE) };
        let (upstream, secrets): (Box<dyn Upstream>, Arc<dyn connector::Secrets>) = if self.mock {
            (Box::new(MockUpstream::new(Arc::clone(&ready.runtime))), Arc::new(connector::MaskedSecrets))
        } else {
            let policy = crate::reconcile::policy(&ready.runtime.egress, self.allow_loopback)?;
            let client = net::Client::new(policy).context("the network cannot be used")?;
            let vault = Arc::new(crate::reconcile::vault(&ready.path, &ready.runtime.secrets)?);
            let secrets = ProvidedSecrets::new(ready.runtime.secrets.clone(), vault);
            (Box::new(NetworkUpstream::new(client)), Arc::new(secrets))
        };
        let executor = super::executor()?;
        let call =
            connector::call(&ready.runtime, &*upstream, secrets, &ready.connector, &ready.action, ready.call.clone());
        let outcome = executor.block_on(call);
        if self.timing {
            output::note(&outcome.timing.server_timing());
        }
        match outcome.result {
            Ok(ActionOutput::Json { value, .. }) => output::data(&format!("{value:#}\n")),
            Ok(ActionOutput::Raw { bytes, .. }) => output::bytes(&bytes),
            Err(error) => {
                return Ok(failed(&error, &ready.call.request_id));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
