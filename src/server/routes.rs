//! The table of all endpoints: what the server offers, and the permission that each needs.

use axum::handler::Handler;
use serde_json::Value;

use super::access::Right::{self, Call, Operate, Read};
use super::endpoint::{Endpoint, Permission, Scope};
use super::state::Server;
use super::{
    catalog, dead_letters, environment_commands as commands, environments, execution_commands, execution_start,
    executions, gateway, git_webhook, hooks, page, probes, render, workflows,
};
use crate::api::Page;
use crate::api::command::{Apply, NoArguments, Preview, Promote, Restore, Rollback, Suspend};
use crate::api::connector::Connector;
use crate::api::definition::Definition;
use crate::api::environment::{AuditLine, CommandResult, Environment, Findings, Generation, PushNotification};
use crate::api::event::{Accepted, DeadLetter, DeadLetterSummary, Event, EventSummary, Replayed};
use crate::api::execution::{Cancelled, Decision, Delivered, Execution, ExecutionSummary, LogLine, Started};
use crate::api::openapi::{Header, Operation};
use crate::api::query::{DeadLetterQuery, DiffQuery, EventQuery, ExecutionQuery, PageQuery, PutQuery, SignalQuery};
use crate::api::trigger::Trigger;
use crate::api::workflow::Workflow;

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
const LOCATION: &[Header] = &[("location", "Address of the execution")];
const ETAG: &[Header] = &[("etag", "Digest of the definition, for `If-Match`")];
const TENANT: &str = "Name of the tenant; needs the right `act-for-others`, or a token of the tenant";
const USER: &str = "The user as a JSON object; needs the right `act-for-others`";
const IF_MATCH: &str = "`ETag` of the definition that is replaced, or `*` for any";
const IF_NONE_MATCH: &str = "`*`: only if the definition does not exist";

/// All endpoints of a server; `is_dev` for one of a folder.
pub(super) fn endpoints(is_dev: bool, public_metrics: bool) -> Vec<Endpoint> {
    let mut all = action_endpoints();
    all.extend(workflow_endpoints());
    all.extend(execution_endpoints());
    all.extend(event_endpoints());
    all.extend(environment_endpoints());
    all.extend(definition_endpoints());
    all.extend(command_endpoints());
    all.extend(server_endpoints(public_metrics));
    match is_dev {
        true => all.extend(page_endpoints()),
        false => all.push(root_endpoint()),
    }
    all
}

/// An endpoint of an environment, with a short address.
fn short<H, T>(right: Right, operation: Operation, handler: H) -> Endpoint
where
    H: Handler<T, Server>,
    T: 'static,
{
    Endpoint::new(Scope::EnvironmentOrShort, Permission::Right(right), operation, handler)
}

/// An endpoint of an environment, with its long address only.
fn long<H, T>(right: Right, operation: Operation, handler: H) -> Endpoint
where
    H: Handler<T, Server>,
    T: 'static,
{
    Endpoint::new(Scope::Environment, Permission::Right(right), operation, handler)
}

fn action_endpoints() -> Vec<Endpoint> {
    let tag = "Actions";
    let get = |path, id, summary| Operation::new("GET", path, tag, id, summary);
    let path = "/connectors/{connector}/actions/{action}";
    vec![
        short(
            Read,
            get("/connectors", "listConnectors", "List connectors with their actions")
                .query::<PageQuery>()
                .returns::<Page<Connector>>("200", "Connectors by name"),
            catalog::connectors,
        ),
        short(
            Call,
            Operation::new("POST", path, tag, "callAction", "Call an action with its input as the body")
                .header("x-evenkeel-tenant", TENANT)
                .header("x-evenkeel-user", USER)
                .header("x-evenkeel-connection", "Name of the connection to use")
                .header("x-path-params", "Path parameters of the action, as a form")
                .body::<Value>(false)
                .returns_as::<Value>("2XX", "The output of the action", "*/*", &[])
                .returns_as::<Value>("3XX", "The output of the action", "*/*", &[]),
            gateway::call,
        )
        .for_tenants()
        .traced(),
        short(
            Read,
            get("/findings", "listFindings", "List the findings of the revision that was read last")
                .returns::<Findings>("200", "Findings, as `validate -o json` writes them"),
            catalog::findings,
        ),
    ]
}

fn workflow_endpoints() -> Vec<Endpoint> {
    let tag = "Workflows";
    let path = "/workflows/{workflow}/runs";
    vec![
        short(
            Read,
            Operation::new("GET", "/workflows", tag, "listWorkflows", "List workflows with their versions")
                .query::<PageQuery>()
                .returns::<Page<Workflow>>("200", "Workflows by name"),
            workflows::workflows,
        ),
        short(
            Call,
            Operation::new("POST", path, tag, "startWorkflow", "Start a workflow with its input as the body")
                .header("x-evenkeel-tenant", TENANT)
                .body::<Value>(false)
                .returns::<Value>("200", "The output of an Instant workflow")
                .returns_as::<Started>("202", "The execution was accepted", JSON, LOCATION),
            execution_start::start,
        )
        .for_tenants()
        .traced(),
        short(
            Read,
            Operation::new("GET", "/triggers", tag, "listTriggers", "List triggers with their addresses and states")
                .query::<PageQuery>()
                .returns::<Page<Trigger>>("200", "Triggers by name"),
            workflows::triggers,
        ),
    ]
}

fn execution_endpoints() -> Vec<Endpoint> {
    let get = |path, id, summary| Operation::new("GET", path, "Executions", id, summary);
    let post = |path, id, summary| Operation::new("POST", path, "Executions", id, summary);
    let all = vec![
        short(
            Read,
            get("/executions", "listExecutions", "List executions from the newest, without payloads")
                .query::<ExecutionQuery>()
                .returns::<Page<ExecutionSummary>>("200", "Executions"),
            executions::list,
        ),
        short(
            Read,
            get("/executions/{id}", "getExecution", "Show an execution with its payloads and steps")
                .returns::<Execution>("200", "The execution"),
            executions::show,
        ),
        short(
            Read,
            get("/executions/{id}/logs", "listExecutionLogs", "List the log lines of an execution")
                .query::<PageQuery>()
                .returns::<Page<LogLine>>("200", "Log lines from the oldest"),
            executions::logs,
        ),
        short(
            Operate,
            post("/executions/{id}/cancel", "cancelExecution", "Request the cancellation of an execution")
                .returns::<Cancelled>("200", "The cancellation was requested"),
            execution_commands::cancel,
        )
        .traced(),
        short(
            Operate,
            post(
                "/executions/{id}/retry",
                "retryExecution",
                "Start the workflow of an execution again, with its input",
            )
            .returns_as::<Started>("202", "The execution was accepted", JSON, LOCATION),
            execution_commands::retry,
        )
        .traced(),
        short(
            Operate,
            post(
                "/executions/{id}/events/{name}",
                "signalExecution",
                "Send an event to an execution that waits for it",
            )
            .query::<SignalQuery>()
            .body::<Value>(false)
            .returns::<Delivered>("200", "The event was stored"),
            execution_commands::signal,
        ),
        short(
            Operate,
            post(
                "/executions/{id}/approvals/{name}",
                "decideApproval",
                "Approve or reject what an execution waits for",
            )
            .body::<Decision>(true)
            .returns::<Delivered>("200", "The decision was stored"),
            execution_commands::approve,
        ),
    ];
    // Their handlers show and change executions of the caller's tenants only.
    all.into_iter().map(Endpoint::for_tenants).collect()
}

fn event_endpoints() -> Vec<Endpoint> {
    let get = |path, id, summary| Operation::new("GET", path, "Events", id, summary);
    let hook = |path, id| {
        let operation = Operation::new("POST", path, "Events", id, "Receive an event, verified as its trigger says")
            .body_as::<Value>("*/*", false)
            .returns_as::<Value>("200", "The output of an Instant workflow", JSON, &[])
            .returns_as::<Accepted>("202", "The event was stored", JSON, LOCATION);
        Endpoint::new(Scope::EnvironmentOrShort, Permission::Signature, operation, hooks::hook).traced()
    };
    vec![
        hook("/hooks/{trigger}", "receiveWebhook"),
        hook("/hooks/{trigger}/{address}", "receiveWebhookAtAddress"),
        short(
            Read,
            get("/events", "listEvents", "List events from the newest, without headers and payloads")
                .query::<EventQuery>()
                .returns::<Page<EventSummary>>("200", "Events"),
            executions::events,
        ),
        short(
            Read,
            get("/events/{id}", "getEvent", "Show an event with its headers and payload")
                .returns::<Event>("200", "The event"),
            executions::event,
        ),
        short(
            Read,
            get("/dead-letters", "listDeadLetters", "List dead letters from the newest, without headers and payloads")
                .query::<DeadLetterQuery>()
                .returns::<Page<DeadLetterSummary>>("200", "Dead letters"),
            dead_letters::list,
        ),
        short(
            Read,
            get("/dead-letters/{id}", "getDeadLetter", "Show a dead letter with its headers and payload")
                .returns::<DeadLetter>("200", "The dead letter"),
            dead_letters::show,
        ),
        short(
            Operate,
            Operation::new(
                "POST",
                "/dead-letters/{id}/replay",
                "Events",
                "replayDeadLetter",
                "Start the execution of a dead letter again",
            )
            .returns::<Replayed>("200", "The executions were accepted"),
            dead_letters::replay,
        )
        .traced(),
    ]
}

fn environment_endpoints() -> Vec<Endpoint> {
    let get = |path, id, summary| Operation::new("GET", path, "Environments", id, summary);
    let webhook = Operation::new(
        "POST",
        "/webhook",
        "Environments",
        "receivePushNotification",
        "Receive a push notification of a Git host, which triggers a fetch",
    );
    vec![
        Endpoint::new(
            Scope::Server,
            Permission::Right(Read),
            get("/v1/environments", "listEnvironments", "List environments with their status")
                .query::<PageQuery>()
                .returns::<Page<Environment>>("200", "Environments by name"),
            environments::list,
        ),
        long(
            Read,
            get("", "getEnvironment", "Show the status of an environment").returns::<Environment>("200", "The status"),
            environments::status,
        ),
        long(
            Read,
            get("/history", "listGenerations", "List generations from the newest")
                .query::<PageQuery>()
                .returns::<Page<Generation>>("200", "Generations"),
            environments::history,
        ),
        long(
            Read,
            get("/audit", "listAuditLog", "List what operators did, from the newest")
                .query::<PageQuery>()
                .returns::<Page<AuditLine>>("200", "Lines of the audit log"),
            environments::audit,
        ),
        long(
            Read,
            get("/diff", "diffGenerations", "Show the plan from one generation to another")
                .query::<DiffQuery>()
                .returns::<Value>("200", "The plan, as `plan -o json` writes it"),
            environments::diff,
        ),
        Endpoint::new(
            Scope::Environment,
            Permission::Signature,
            webhook.body_as::<Value>("*/*", false).returns::<PushNotification>("202", "The notification was verified"),
            git_webhook::webhook,
        ),
    ]
}

fn definition_endpoints() -> Vec<Endpoint> {
    let one = "/definitions/{kind}/{name}";
    let operation = |method, path, id, summary| Operation::new(method, path, "Definitions", id, summary);
    vec![
        long(
            Read,
            operation("GET", "/definitions", "listDefinitions", "List live definitions with their origins")
                .query::<PageQuery>()
                .returns::<Page<Definition>>("200", "Definitions by kind and name"),
            environments::definitions,
        ),
        long(
            Read,
            operation("GET", one, "getDefinition", "Show a live definition with its document")
                .returns_as::<Definition>("200", "The definition", JSON, ETAG),
            environments::definition,
        ),
        long(
            Operate,
            operation("PUT", one, "putDefinition", "Write a definition, or an override of a source's definition")
                .query::<PutQuery>()
                .header("if-match", IF_MATCH)
                .header("if-none-match", IF_NONE_MATCH)
                .body_as::<String>("application/yaml", true)
                .returns_as::<CommandResult>("200", "The definition was replaced", JSON, ETAG)
                .returns_as::<CommandResult>("201", "The definition was created", JSON, ETAG),
            commands::put_definition,
        ),
        long(
            Operate,
            operation("DELETE", one, "deleteDefinition", "Remove a definition that the API wrote, or end an override")
                .header("if-match", IF_MATCH)
                .returns::<CommandResult>("200", "The definition was removed"),
            commands::delete_definition,
        ),
        long(
            Read,
            operation("GET", "/plan", "getPlan", "Show the plan that waits for approval")
                .returns::<Value>("200", "The plan, as `plan -o json` writes it"),
            commands::pending_plan,
        ),
        long(
            Read,
            operation("POST", "/plan", "previewPlan", "Show the plan that files would cause")
                .body::<Preview>(true)
                .returns::<Value>("200", "The plan, and the removals that guards stop"),
            commands::preview,
        ),
    ]
}

fn command_endpoints() -> Vec<Endpoint> {
    let post = |path, id, summary| {
        let operation = Operation::new("POST", path, "Environments", id, summary);
        operation.returns::<CommandResult>("200", "The command was carried out")
    };
    vec![
        long(
            Operate,
            post("/reconcile", "reconcile", "Fetch the sources and apply them now").body::<NoArguments>(false),
            commands::reconcile,
        ),
        long(
            Operate,
            post("/suspend", "suspend", "Apply nothing until resumed").body::<Suspend>(false),
            commands::suspend,
        ),
        long(
            Operate,
            post("/resume", "resume", "Continue after a suspension or rollback").body::<NoArguments>(false),
            commands::resume,
        ),
        long(
            Operate,
            post("/rollback", "rollback", "Activate an earlier generation again").body::<Rollback>(true),
            commands::rollback,
        ),
        long(
            Operate,
            post("/promote", "promote", "Activate the generation of another environment").body::<Promote>(true),
            commands::promote,
        ),
        long(Operate, post("/apply", "apply", "Approve the plan that waits").body::<Apply>(true), commands::apply),
        long(
            Operate,
            post("/restore", "restore", "Restore a removed definition").body::<Restore>(true),
            commands::restore,
        ),
    ]
}

fn server_endpoints(public_metrics: bool) -> Vec<Endpoint> {
    let get = |path, id, summary| Operation::new("GET", path, "Server", id, summary);
    let metrics = if public_metrics { Permission::Public } else { Permission::Right(Read) };
    let openmetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    vec![
        Endpoint::new(
            Scope::Server,
            metrics,
            get("/metrics", "getMetrics", "Show metrics in the OpenMetrics format").returns_as::<String>(
                "200",
                "Metrics",
                openmetrics,
                &[],
            ),
            probes::metrics,
        )
        .for_all_environments(),
        Endpoint::new(
            Scope::Server,
            Permission::Public,
            get("/healthz", "getHealth", "Tell whether the process works").returns_as::<String>(
                "200",
                "It works",
                TEXT,
                &[],
            ),
            probes::health,
        ),
        Endpoint::new(
            Scope::Server,
            Permission::Public,
            get("/readyz", "getReadiness", "Tell whether every environment serves a generation").returns_as::<String>(
                "200",
                "It is ready",
                TEXT,
                &[],
            ),
            probes::ready,
        ),
        Endpoint::new(
            Scope::Server,
            Permission::Public,
            get("/openapi.json", "getOpenApi", "Show this document").returns::<Value>("200", "The OpenAPI document"),
            page::openapi,
        ),
    ]
}

fn root_endpoint() -> Endpoint {
    let operation =
        Operation::new("GET", "/", "Server", "getRoot", "Show the version and the addresses of this server");
    let operation = operation.returns_as::<String>("200", "Text, or JSON if the caller accepts it", "*/*", &[]);
    Endpoint::new(Scope::Server, Permission::Public, operation, page::service)
}

fn page_endpoints() -> Vec<Endpoint> {
    let get = |path, id, summary| Operation::new("GET", path, "Page", id, summary);
    let path = "/connectors/{connector}/actions/{action}/render";
    vec![
        short(
            Call,
            Operation::new(
                "POST",
                path,
                "Page",
                "renderAction",
                "Show the request that a call would send, without sending it",
            )
            .body::<Value>(false)
            .returns::<Value>("200", "The request, with secrets by their names"),
            render::render,
        ),
        Endpoint::new(
            Scope::Server,
            Permission::Public,
            get("/", "getPage", "Show the page of `evenkeel dev`").returns_as::<String>(
                "200",
                "The page",
                "text/html",
                &[],
            ),
            page::index,
        ),
        Endpoint::new(
            Scope::Server,
            Permission::Public,
            get("/assets/{name}", "getAsset", "Show a file of the page").returns_as::<String>(
                "200",
                "The file",
                "*/*",
                &[],
            ),
            page::asset,
        ),
    ]
}
