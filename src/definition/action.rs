//! Actions of a connector: transport, transformation and tests.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Json;
use super::action_test::ActionTest;
use super::common::{Code, Credential, Duration, Param, Retry, SchemaValue};

pub use super::common::Method;
pub use super::pagination::{CursorPages, LinkPages, OffsetPages, Pagination};

/// An operation of a connector. Set exactly one of `http`, `grpc`, `sql`, `function`, `steps`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [
    {"required": ["http"]}, {"required": ["grpc"]}, {"required": ["sql"]}, {"required": ["function"]},
    {"required": ["steps"]}
]))]
pub struct Action {
    /// Display title. Default: the name of the action.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub title: Option<String>,
    /// Description of the action, for people and for tools that select actions.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub description: Option<String>,
    /// Entity of the connector that the action reads or writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "LocalEntity"))]
    pub entity: Option<String>,
    /// Operation on the entity. Default: `Other`.
    #[serde(default)]
    pub operation: Operation,
    /// JSON Schema of the input. If omitted, every input is accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<SchemaValue>,
    /// JSON Schema of the output, after the response transformation. If omitted, every output is accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<SchemaValue>,
    /// HTTP request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<Http>,
    /// Unary gRPC call.
    #[schemars(extend("x-evenkeel-planned" = {"instead": "a call fails with `NOT_RUNNABLE`", "remedy": "use `http`"}))]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [{"endpoint": "https://grpc.orbit.example", "proto": "orbit.proto", "service": "orbit.v1.Contacts", "method": "Create", "metadata": {"x-team": "sales"}, "message": {"email": "{{ input.email }}"}}]))]
    pub grpc: Option<Grpc>,
    /// Database query.
    #[schemars(extend("x-evenkeel-planned" = {"instead": "a call fails with `NOT_RUNNABLE`", "remedy": "use `http`"}))]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [{"engine": "PostgreSQL", "host": "db.orbit.example", "port": 5432, "database": "crm", "username": "reader", "password": {"secretRef": "orbit-key"}, "tls": "Require", "query": "select name from contacts where id = $1", "params": ["{{ input.id }}"], "maxRows": 100}]))]
    pub sql: Option<Sql>,
    /// JavaScript or TypeScript function.
    #[schemars(extend("x-evenkeel-planned" = {"instead": "a call fails with `NOT_RUNNABLE`", "remedy": "write the code as a Workflow, or use `http`"}))]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [{"file": "sum.ts"}]))]
    pub function: Option<Code>,
    /// Calls in order. The result of the last call is the result of the action.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 50))]
    pub steps: Option<Vec<CompositeStep>>,
    /// Transformation of the response into the output, for every status. Default: the body of the response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<Response>,
    /// Retrieval of further pages, for actions with the operation `List`.
    #[schemars(extend("x-evenkeel-planned" = {"instead": "a call returns one page", "remedy": "request each page in the workflow or the caller"}))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pagination: Option<Pagination>,
    /// Maximum duration of a call, from `100ms` to `5m`, such as `30s`. Default: `defaults.timeout` of the connector.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-min" = "100ms", "x-evenkeel-max" = "5m"))]
    pub timeout: Option<Duration>,
    /// Retries after transient failures. Default: `defaults.retry` of the connector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Authentication methods of the connector that this action may use. If omitted, all methods are allowed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-evenkeel-ref" = "LocalAuthMethod"))]
    pub auth: Vec<String>,
    /// Restricts the action to signed-in users. Default: `false`.
    #[serde(default)]
    pub requires_user: bool,
    /// Deprecation notice that names the replacement, such as `use list-contacts`. The action keeps working and is
    /// displayed as deprecated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<String>,
    /// Sample calls with the expected result. `evenkeel test` runs them without network access; `evenkeel dev --mock`
    /// answers calls with them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200))]
    pub tests: Vec<ActionTest>,
}

/// The operation of an action on its entity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the names are self-explanatory")]
pub enum Operation {
    Create,
    Read,
    Update,
    Delete,
    List,
    #[default]
    Other,
}

/// The transport of an action.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "documented at the fields of Action")]
pub enum Transport<'a> {
    Http(&'a Http),
    Grpc(&'a Grpc),
    Sql(&'a Sql),
    Function(&'a Code),
    Steps(&'a [CompositeStep]),
}

impl Action {
    /// The transport of the action. `None` is impossible for a validated definition.
    pub fn transport(&self) -> Option<Transport<'_>> {
        None.or(self.http.as_ref().map(Transport::Http))
            .or(self.grpc.as_ref().map(Transport::Grpc))
            .or(self.sql.as_ref().map(Transport::Sql))
            .or(self.function.as_ref().map(Transport::Function))
            .or(self.steps.as_deref().map(Transport::Steps))
    }
}

/// An HTTP request. Set either `path` or `url`, and at most one of `body`, `form`, `text`. If none of these is set, the
/// request has no body.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["path"]}, {"required": ["url"]}], "x-evenkeel-atMostOne" = ["body", "form", "text"]))]
pub struct Http {
    /// HTTP method. Callers cannot override it. Default: `GET`.
    #[serde(default)]
    pub method: Method,
    /// Path that is appended to the connector's `baseUrl`, starting with `/`. May contain a query. Example:
    /// `/contacts/{{ pathParams.id }}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048), regex(pattern = "^[/?]"), extend("x-evenkeel-template" = "url"))]
    pub path: Option<String>,
    /// Absolute URL, instead of `path`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048), extend("x-evenkeel-template" = "absoluteUrl"))]
    #[schemars(extend("examples" = ["https://files.orbit.example/{{ pathParams.id }}"]))]
    pub url: Option<String>,
    /// Path parameters by name, used as `{{ pathParams.name }}`. The caller supplies the values, which are
    /// percent-encoded and cannot leave their path segment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-evenkeel-keys" = "identifier"))]
    pub path_params: BTreeMap<String, PathParam>,
    /// Query parameters. Values are percent-encoded.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-evenkeel-template" = "query"))]
    pub query: BTreeMap<String, Param>,
    /// Headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-evenkeel-keys" = "header", "x-evenkeel-template" = "header"))]
    pub headers: BTreeMap<String, Param>,
    /// JSON body: a tree whose strings are templates. A string that is a single expression, such as
    /// `"{{ input.count }}"`, keeps the type of its value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "body"))]
    pub body: Option<Json>,
    /// Form body (`application/x-www-form-urlencoded`). Values are templates; nested maps and lists are encoded as
    /// `a[b]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "body"))]
    #[schemars(extend("examples" = [{"email": "{{ input.email }}"}]))]
    pub form: Option<BTreeMap<String, serde_json::Value>>,
    /// Text body: a template. Set `Content-Type` in `headers`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "body"))]
    #[schemars(extend("examples" = ["{{ input.note }}"]))]
    pub text: Option<String>,
    /// Omits members of `body` and `form` that render to null or to an empty string. Default: `false`.
    #[serde(default)]
    pub omit_empty: bool,
}

/// A path parameter.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PathParam {
    /// Short description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Default value: a template. If omitted, the caller must supply the parameter.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "pathParam"))]
    pub default: Option<String>,
}

/// Unary gRPC call.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Grpc {
    /// Address of the server, `https://host:port`. Default: `baseUrl` of the connector.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "absoluteUrl"))]
    pub endpoint: Option<String>,
    /// Path of the `.proto` file, relative to the definition.
    #[schemars(extend("x-evenkeel-ref" = "File"))]
    pub proto: String,
    /// Full name of the service, such as `orbit.v1.Contacts`.
    #[schemars(regex(pattern = r"^[A-Za-z_][A-Za-z0-9_.]*$"))]
    pub service: String,
    /// Name of the method, such as `Create`.
    #[schemars(regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub method: String,
    /// Metadata of the call (headers).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-evenkeel-keys" = "header", "x-evenkeel-template" = "header"))]
    pub metadata: BTreeMap<String, Param>,
    /// Message: a tree whose strings are templates. Default: the input of the action.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "body"))]
    pub message: Option<serde_json::Value>,
}

/// Database query.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sql {
    /// SQL dialect of the database.
    pub engine: SqlEngine,
    /// Host name: a template that may use variables only.
    #[schemars(extend("x-evenkeel-template" = "host"))]
    pub host: String,
    /// Port. Default: the standard port of the database.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
    /// Name of the database.
    #[schemars(extend("x-evenkeel-template" = "auth"))]
    pub database: String,
    /// User name. Default: the connection's `username`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<Credential>,
    /// Password. Default: the connection's `password`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Credential>,
    /// Use of TLS. Default: `Require`.
    #[serde(default)]
    pub tls: SqlTls,
    /// A single statement with the placeholders `$1`, `$2`, … It is not a template, so that input cannot become SQL.
    #[schemars(length(min = 1, max = 65536), extend("x-evenkeel-type" = "noTemplate"))]
    pub query: String,
    /// Values of the placeholders, in order: templates. A template that is a single expression keeps the type of its
    /// value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-evenkeel-template" = "body"))]
    pub params: Vec<serde_json::Value>,
    /// Maximum number of rows in the result. Default: `1000`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub max_rows: Option<u32>,
}

/// A dialect of SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the names are self-explanatory")]
pub enum SqlEngine {
    PostgreSQL,
    Redshift,
    MySQL,
}

/// The use of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SqlTls {
    /// TLS with a verified certificate.
    #[default]
    Require,
    /// No TLS; for private networks only.
    Disable,
}

/// A call within an action. Set exactly one of `http`, `action`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["http"]}, {"required": ["action"]}]))]
pub struct CompositeStep {
    /// Name of the step. Later steps read its result as `steps.NAME.body`, `steps.NAME.status_code` and
    /// `steps.NAME.headers`.
    #[schemars(length(min = 1, max = 63), extend("x-evenkeel-type" = "stepName"))]
    pub name: String,
    /// Condition: a template. The step runs only if it renders to a truthy value.
    #[serde(rename = "if", skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "condition"))]
    pub condition: Option<String>,
    /// HTTP request of this step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<Http>,
    /// Action to call: `ACTION` of this connector, or `CONNECTOR/ACTION`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "Action"))]
    pub action: Option<String>,
    /// Input of `action`: a tree whose strings are templates.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "step"))]
    pub input: Option<serde_json::Value>,
    /// Transformation of the response into `steps.NAME.body`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<Response>,
    /// Authentication method of this step. Default: the method of the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "LocalAuthMethod"))]
    pub auth: Option<String>,
    /// Reaction to a failure of the step. Default: `Halt`.
    #[serde(default)]
    pub on_error: OnError,
}

/// The reaction to a failing step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnError {
    /// The whole action or workflow fails.
    #[default]
    Halt,
    /// Execution continues with the next step.
    Continue,
}

/// The transformation of a response into the output. Set at most one of `body`, `text`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-evenkeel-atMostOne" = ["body", "text"]))]
pub struct Response {
    /// Output: a tree whose strings are templates. A string that is a single expression keeps the type of its value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "response"))]
    pub body: Option<Json>,
    /// Output as text: a template. The text is parsed as JSON if `contentType` is a JSON media type, or if `contentType` is
    /// omitted and `output` describes a JSON value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "response"))]
    pub text: Option<String>,
    /// `Content-Type` of the output. Default: `application/json` for `body` and for `text` that is parsed as JSON,
    /// `text/plain; charset=utf-8` for other `text`, otherwise that of the response.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255), extend("x-evenkeel-type" = "noTemplate"))]
    pub content_type: Option<String>,
    /// HTTP statuses that count as success. Default: 200 to 299.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(range(min = 100, max = 599)))]
    pub success: Vec<u16>,
    /// Additional condition of success: a template that renders to `true`. For applications that report errors with
    /// status 200. Example: `{{ response.json.ok }}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "response"))]
    pub success_when: Option<String>,
}
