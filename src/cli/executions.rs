//! `evenkeel run`, `executions`, `events`, `dlq`, `triggers`, `workflows`: work, asked of a running server.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::environment_commands::Form;
use super::output::{self, Paint};
use super::remote::{Remote, name};

/// Start a workflow and show what comes of it.
///
/// Instant workflows are waited for, and their output is printed; of others, the execution's id. With --wait, others are
/// waited for too. Exits with 1 where the execution failed.
#[derive(Debug, Args)]
pub(super) struct Run {
    /// The workflow.
    #[arg(value_parser = name)]
    workflow: String,
    /// Its input as JSON, `@FILE` for a file, or `-` for stdin.
    #[arg(short, long, default_value = "{}", value_name = "JSON")]
    input: String,
    /// The tenant that it runs for.
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// Wait for the end, whatever the tier.
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    place: Place,
}

/// Look at executions, end them, or start them again.
#[derive(Debug, Args)]
pub(super) struct Executions {
    #[command(subcommand)]
    command: ExecutionCommand,
}

#[derive(Debug, Subcommand)]
enum ExecutionCommand {
    List(List),
    Show(One),
    Logs(One),
    Cancel(One),
    Retry(One),
    Signal(Signal),
    Approve(Approve),
}

/// List executions, the newest first.
#[derive(Debug, Args)]
struct List {
    /// Of this workflow.
    #[arg(long, value_name = "NAME")]
    workflow: Option<String>,
    /// Queued, Running, Waiting, Completed, Failed, Cancelled or TimedOut.
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,
    /// For this tenant.
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// Started by this trigger.
    #[arg(long, value_name = "NAME")]
    trigger: Option<String>,
    /// Not older than this, such as `2h`.
    #[arg(long, value_name = "DURATION")]
    since: Option<String>,
    /// With this text in id, input, output or error.
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Before this execution: the next page.
    #[arg(long, value_name = "ID")]
    before: Option<String>,
    /// At most so many.
    #[arg(short = 'n', long, default_value_t = 50, value_name = "NUMBER")]
    limit: u32,
    #[command(flatten)]
    place: Place,
}

/// One execution.
#[derive(Debug, Args)]
struct One {
    /// Its id, or a unique beginning of it.
    id: String,
    #[command(flatten)]
    place: Place,
}

/// Tell an execution what it waits for with `ctx.waitForEvent(NAME)`.
#[derive(Debug, Args)]
struct Signal {
    /// The execution.
    id: String,
    /// The event's name.
    event: String,
    /// What it says, as JSON.
    #[arg(short, long, default_value = "{}", value_name = "JSON")]
    data: String,
    #[command(flatten)]
    place: Place,
}

/// Answer an execution that waits for an approval.
#[derive(Debug, Args)]
struct Approve {
    /// The execution.
    id: String,
    /// The approval's name: the step, or the name in code.
    approval: String,
    /// Say no.
    #[arg(long)]
    reject: bool,
    /// Why, for the record.
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    #[command(flatten)]
    place: Place,
}

/// List events that came in, the newest first.
#[derive(Debug, Args)]
pub(super) struct Events {
    /// Of this trigger.
    #[arg(long, value_name = "NAME")]
    trigger: Option<String>,
    /// At most so many.
    #[arg(short = 'n', long, default_value_t = 50, value_name = "NUMBER")]
    limit: u32,
    #[command(flatten)]
    place: Place,
}

/// Look at what could not be worked on, and try it again.
#[derive(Debug, Args)]
pub(super) struct Dlq {
    #[command(subcommand)]
    command: DlqCommand,
}

#[derive(Debug, Subcommand)]
enum DlqCommand {
    /// List dead letters, the newest first.
    List(DlqList),
    /// Show one, with its payload.
    Show(One),
    /// Start it again, with what is live now; `all` for every pending one.
    Replay(One),
}

#[derive(Debug, Args)]
struct DlqList {
    /// Pending, Replayed or Expired.
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,
    /// At most so many.
    #[arg(short = 'n', long, default_value_t = 50, value_name = "NUMBER")]
    limit: u32,
    #[command(flatten)]
    place: Place,
}

/// List triggers with what they listen to, and what became of it.
#[derive(Debug, Args)]
pub(super) struct Triggers {
    #[command(flatten)]
    place: Place,
}

/// List workflows with their versions.
#[derive(Debug, Args)]
pub(super) struct Workflows {
    #[command(flatten)]
    place: Place,
}

/// Where it is asked, and how it is shown.
#[derive(Clone, Debug, Args)]
struct Place {
    /// The environment; the only one where left out.
    #[arg(short, long, value_name = "NAME", value_parser = name)]
    environment: Option<String>,
    /// How to show it: human, json.
    #[arg(short, long, default_value = "human", value_name = "FORM")]
    output: Form,
    #[command(flatten)]
    remote: Remote,
}

impl Place {
    /// A path with a query of what is set.
    fn path(&self, path: &str, query: &[(&str, Option<&str>)]) -> String {
        let mut pairs = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in query.iter().chain(&[("environment", self.environment.as_deref())]) {
            if let Some(value) = value {
                pairs.append_pair(name, value);
            }
        }
        let pairs = pairs.finish();
        if pairs.is_empty() { path.to_owned() } else { format!("{path}?{pairs}") }
    }

    fn get(&self, path: &str, query: &[(&str, Option<&str>)]) -> anyhow::Result<Value> {
        self.remote.get(&self.path(path, query))
    }

    fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.remote.post(&self.path(path, &[]), body)
    }

    /// JSON as it came, where that was asked for.
    fn as_json(&self, value: &Value) -> Option<ExitCode> {
        (self.output == Form::Json).then(|| {
            output::data(&format!("{value:#}\n"));
            ExitCode::SUCCESS
        })
    }
}

impl Run {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let input: Value = json_argument(&self.input)?;
        let remote = &self.place.remote;
        let mut headers = Vec::new();
        if let Some(environment) = &self.place.environment {
            headers.push(("x-evenkeel-environment", environment.as_str()));
        }
        if let Some(tenant) = &self.tenant {
            headers.push(("x-evenkeel-tenant", tenant.as_str()));
        }
        let path = format!("/v1/workflows/{}/runs", self.workflow);
        let answer = remote.send_with(Method::POST, &path, Some(&input), &headers)?;
        let execution = answer.value["execution"].as_str().map(str::to_owned);
        if let (202, Some(id)) = (answer.status, &execution) {
            if !self.wait {
                output::note(&format!("started; `evenkeel executions show {id}` tells what became of it"));
                output::data(&format!("{id}\n"));
                return Ok(ExitCode::SUCCESS);
            }
            return self.await_end(id);
        }
        if answer.status < 300 {
            output::data(&format!("{:#}\n", answer.value));
            return Ok(ExitCode::SUCCESS);
        }
        let errors = &answer.value["errors"];
        let detail = errors["detail"].as_str().or(errors["message"].as_str()).unwrap_or("the server cannot do it");
        let Some(id) = errors["execution"].as_str() else { bail!("{detail}") };
        output::note(&format!("failed: {detail}; `evenkeel executions show {id}` tells more"));
        Ok(ExitCode::FAILURE)
    }

    fn await_end(&self, id: &str) -> anyhow::Result<ExitCode> {
        loop {
            let run = self.place.get(&format!("/v1/executions/{id}"), &[])?;
            match run["status"].as_str().unwrap_or_default() {
                "Completed" => {
                    output::data(&format!("{:#}\n", run["output"]));
                    return Ok(ExitCode::SUCCESS);
                }
                "Queued" | "Running" | "Waiting" => std::thread::sleep(std::time::Duration::from_millis(200)),
                status => {
                    let message = run["error"]["message"].as_str().unwrap_or_default();
                    output::note(&format!("{status}: {message}; `evenkeel executions show {id}` tells more"));
                    return Ok(ExitCode::FAILURE);
                }
            }
        }
    }
}

impl Executions {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            ExecutionCommand::List(list) => list.run(),
            ExecutionCommand::Show(one) => {
                let run = one.place.get(&format!("/v1/executions/{}", one.id), &[])?;
                if let Some(code) = one.place.as_json(&run) {
                    return Ok(code);
                }
                output::data(&shown(&run));
                Ok(ExitCode::SUCCESS)
            }
            ExecutionCommand::Logs(one) => {
                let answer = one.place.get(&format!("/v1/executions/{}/logs", one.id), &[])?;
                if let Some(code) = one.place.as_json(&answer) {
                    return Ok(code);
                }
                for line in answer["lines"].as_array().into_iter().flatten() {
                    let (level, message) = (text(&line["level"]), text(&line["message"]));
                    output::data(&format!("{} {level:<5} {message}\n", time(&line["at"])));
                }
                Ok(ExitCode::SUCCESS)
            }
            ExecutionCommand::Cancel(one) => {
                let answer = one.place.post(&format!("/v1/executions/{}/cancel", one.id), &json!({}))?;
                output::data(&format!("{}: asked to end\n", text(&answer["execution"])));
                Ok(ExitCode::SUCCESS)
            }
            ExecutionCommand::Retry(one) => {
                let answer = one.place.post(&format!("/v1/executions/{}/retry", one.id), &json!({}))?;
                output::data(&format!("{}\n", text(&answer["execution"])));
                Ok(ExitCode::SUCCESS)
            }
            ExecutionCommand::Signal(signal) => {
                let path = format!("/v1/executions/{}/events/{}", signal.id, signal.event);
                let answer = signal.place.post(&path, &json_argument(&signal.data)?)?;
                output::data(&format!("{}: told\n", text(&answer["execution"])));
                Ok(ExitCode::SUCCESS)
            }
            ExecutionCommand::Approve(approve) => {
                let path = format!("/v1/executions/{}/approvals/{}", approve.id, approve.approval);
                let body = json!({"approved": !approve.reject, "comment": approve.comment});
                let answer = approve.place.post(&path, &body)?;
                output::data(&format!("{}: answered\n", text(&answer["execution"])));
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

impl List {
    fn run(self) -> anyhow::Result<ExitCode> {
        let limit = self.limit.to_string();
        let query = [
            ("workflow", self.workflow.as_deref()),
            ("status", self.status.as_deref()),
            ("tenant", self.tenant.as_deref()),
            ("trigger", self.trigger.as_deref()),
            ("since", self.since.as_deref()),
            ("text", self.search.as_deref()),
            ("before", self.before.as_deref()),
            ("limit", Some(limit.as_str())),
        ];
        let answer = self.place.get("/v1/executions", &query)?;
        if let Some(code) = self.place.as_json(&answer) {
            return Ok(code);
        }
        let rows = answer["executions"].as_array().into_iter().flatten().map(|run| {
            [
                text(&run["id"]),
                time(&run["createdAt"]),
                format!("{} v{}", text(&run["workflow"]), run["version"]),
                text(&run["tier"]),
                text(&run["status"]),
                run["durationMs"].as_f64().map_or_else(|| "-".to_owned(), |ms| format!("{ms:.0} ms")),
                match text(&run["source"]).as_str() {
                    "" => text(&run["triggeredBy"]),
                    source => format!("{} {source}", text(&run["triggeredBy"])),
                },
                text(&run["tenant"]),
            ]
        });
        let head = ["EXECUTION", "TIME", "WORKFLOW", "TIER", "STATUS", "DURATION", "TRIGGERED BY", "TENANT"];
        output::data(&table(head, rows.collect()));
        Ok(ExitCode::SUCCESS)
    }
}

impl Events {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let limit = self.limit.to_string();
        let query = [("trigger", self.trigger.as_deref()), ("limit", Some(limit.as_str()))];
        let answer = self.place.get("/v1/events", &query)?;
        if let Some(code) = self.place.as_json(&answer) {
            return Ok(code);
        }
        let rows = answer["events"].as_array().into_iter().flatten().map(|event| {
            [
                text(&event["id"]),
                time(&event["at"]),
                text(&event["trigger"]),
                text(&event["kind"]),
                text(&event["outcome"]),
            ]
        });
        output::data(&table(["EVENT", "TIME", "TRIGGER", "KIND", "OUTCOME"], rows.collect()));
        Ok(ExitCode::SUCCESS)
    }
}

impl Dlq {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            DlqCommand::List(list) => {
                let limit = list.limit.to_string();
                let query = [("status", list.status.as_deref()), ("limit", Some(limit.as_str()))];
                let answer = list.place.get("/v1/dead-letters", &query)?;
                if let Some(code) = list.place.as_json(&answer) {
                    return Ok(code);
                }
                let rows = answer["deadLetters"].as_array().into_iter().flatten().map(|letter| {
                    [
                        text(&letter["id"]),
                        time(&letter["at"]),
                        text(&letter["trigger"]),
                        text(&letter["workflow"]),
                        text(&letter["status"]),
                        format!("{}: {}", text(&letter["reason"]), beginning(&text(&letter["message"]))),
                    ]
                });
                let head = ["DEAD LETTER", "TIME", "TRIGGER", "WORKFLOW", "STATUS", "REASON"];
                output::data(&table(head, rows.collect()));
            }
            DlqCommand::Show(one) => {
                let letter = one.place.get(&format!("/v1/dead-letters/{}", one.id), &[])?;
                output::data(&format!("{letter:#}\n"));
            }
            DlqCommand::Replay(one) if one.id == "all" => {
                let answer =
                    one.place.get("/v1/dead-letters", &[("status", Some("Pending")), ("limit", Some("1000"))])?;
                let mut replayed = 0;
                for letter in answer["deadLetters"].as_array().into_iter().flatten() {
                    let id = text(&letter["id"]);
                    match one.place.post(&format!("/v1/dead-letters/{id}/replay"), &json!({})) {
                        Ok(_) => replayed += 1,
                        Err(error) => output::note(&format!("{id}: {error:#}")),
                    }
                }
                output::data(&format!("{} replayed\n", output::count(replayed, "dead letter")));
            }
            DlqCommand::Replay(one) => {
                let answer = one.place.post(&format!("/v1/dead-letters/{}/replay", one.id), &json!({}))?;
                for id in answer["executions"].as_array().into_iter().flatten() {
                    output::data(&format!("{}\n", text(id)));
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Triggers {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let answer = self.place.get("/v1/triggers", &[])?;
        if let Some(code) = self.place.as_json(&answer) {
            return Ok(code);
        }
        let rows = answer["triggers"].as_array().into_iter().flatten().map(|trigger| {
            let what = match text(&trigger["kind"]).as_str() {
                "webhook" => text(&trigger["url"]),
                "schedule" => {
                    let counts = &trigger["counts"];
                    let (fired, missed, late) = (&counts["fired"], &counts["missed"], &counts["late"]);
                    let next = trigger["next"].as_str().unwrap_or("never");
                    format!(
                        "{}; next {next}; {fired} fired, {missed} missed, {late} late",
                        text(&trigger["description"])
                    )
                }
                _ => {
                    let rows = trigger["subscriptions"].as_array().into_iter().flatten();
                    let states = rows.map(|row| format!("{} {}", text(&row["connection"]), text(&row["status"])));
                    let polls = trigger["polls"].as_array().into_iter().flatten();
                    let polls = polls.map(|row| format!("{} polled", text(&row["connection"])));
                    let states: Vec<String> = states.chain(polls).map(|state| state.trim().to_owned()).collect();
                    format!("{}: {}", text(&trigger["event"]), states.join(", "))
                }
            };
            let active = if trigger["active"] == true { "yes" } else { "no" };
            [text(&trigger["name"]), text(&trigger["kind"]), active.to_owned(), what]
        });
        output::data(&table(["TRIGGER", "KIND", "ACTIVE", "WHAT"], rows.collect()));
        Ok(ExitCode::SUCCESS)
    }
}

impl Workflows {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let answer = self.place.get("/v1/workflows", &[])?;
        if let Some(code) = self.place.as_json(&answer) {
            return Ok(code);
        }
        let rows = answer["workflows"].as_array().into_iter().flatten().map(|workflow| {
            let active = if workflow["active"] == true { "yes" } else { "no" };
            [
                text(&workflow["name"]),
                text(&workflow["tier"]),
                active.to_owned(),
                workflow["version"].as_i64().map_or_else(|| "-".to_owned(), |version| format!("v{version}")),
                text(&workflow["place"]),
            ]
        });
        output::data(&table(["WORKFLOW", "TIER", "ACTIVE", "VERSION", "PLACE"], rows.collect()));
        Ok(ExitCode::SUCCESS)
    }
}

/// One execution, for people.
fn shown(run: &Value) -> String {
    let paint = Paint::new();
    let status = text(&run["status"]);
    let colored = match status.as_str() {
        "Completed" => paint.green(&status),
        "Failed" | "TimedOut" | "Cancelled" => paint.red(&status),
        _ => paint.bold(&status),
    };
    let mut lines = format!("{}  {colored}\n", paint.bold(&text(&run["id"])));
    let source = text(&run["source"]);
    lines += &format!(
        "  workflow    {} v{} ({}), generation {}\n  started by  {}{}\n",
        text(&run["workflow"]),
        run["version"],
        text(&run["tier"]),
        run["generation"],
        text(&run["triggeredBy"]),
        if source.is_empty() { String::new() } else { format!(" {source}") },
    );
    lines += &format!("  accepted    {}\n", time(&run["createdAt"]));
    if let Some(ms) = run["durationMs"].as_f64() {
        lines += &format!("  took        {ms:.0} ms, attempt {}\n", run["attempt"]);
    }
    for (label, field) in [("tenant", "tenant"), ("event", "event"), ("parent", "parent"), ("trace", "trace")] {
        if let Some(value) = run[field].as_str().filter(|value| !value.is_empty()) {
            lines += &format!("  {label:<12}{value}\n");
        }
    }
    lines += &format!("  input       {}\n", beginning(&run["input"].to_string()));
    match run["error"].is_object() {
        true => {
            let error = &run["error"];
            lines += &format!("  error       {}: {}\n", text(&error["code"]), text(&error["message"]));
            if let Some(file) = error["file"].as_str() {
                lines += &format!("  at          {file}:{}:{}\n", error["line"], error["column"]);
            }
        }
        false => lines += &format!("  output      {}\n", beginning(&run["output"].to_string())),
    }
    for step in run["steps"].as_array().into_iter().flatten() {
        let took = step["finishedAt"].as_i64().unwrap_or(0) - step["startedAt"].as_i64().unwrap_or(0);
        let result = if step["error"].is_null() { &step["output"] } else { &step["error"]["message"] };
        lines += &format!(
            "  {:<9} {:<9} {:>7.1} ms  {}  {}\n",
            text(&step["kind"]),
            text(&step["status"]),
            took as f64 / 1000.0,
            text(&step["name"]),
            beginning(&result.to_string()),
        );
    }
    lines
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Microseconds since 1970 as UTC, to the second.
fn time(value: &Value) -> String {
    let at = value.as_i64().and_then(|micros| jiff::Timestamp::from_second(micros.div_euclid(1_000_000)).ok());
    at.map_or_else(|| "-".to_owned(), |at| at.to_string())
}

fn beginning(text: &str) -> String {
    let short: String = text.chars().take(100).collect();
    if short.len() < text.len() { format!("{short}…") } else { short }
}

/// JSON from an argument: itself, a file, or stdin.
fn json_argument(text: &str) -> anyhow::Result<Value> {
    let text = match text.strip_prefix('@') {
        Some(path) => std::fs::read_to_string(PathBuf::from(path)).with_context(|| format!("cannot read {path}"))?,
        None if text == "-" => std::io::read_to_string(std::io::stdin()).context("cannot read stdin")?,
        None => text.to_owned(),
    };
    serde_json::from_str(&text).context("this is no JSON; write it like '{\"name\": \"Ada\"}'")
}

fn table<const N: usize>(head: [&str; N], rows: Vec<[String; N]>) -> String {
    let mut widths = head.map(str::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: Vec<&str>| {
        let padded: Vec<String> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        format!("{}\n", padded.join("  ").trim_end())
    };
    let body = rows.iter().map(|row| line(row.iter().map(String::as_str).collect()));
    std::iter::once(line(head.to_vec())).chain(body).collect()
}
