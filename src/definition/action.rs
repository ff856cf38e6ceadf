//! What can be done with a connector: an action, its transport, its transforms and its tests.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Json;
use super::action_test::ActionTest;
use super::common::{Code, Credential, Duration, Param, Retry, SchemaValue};

/// One action: exactly one of `http`, `grpc`, `sql`, `function`, `steps`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [
    {"required": ["http"]}, {"required": ["grpc"]}, {"required": ["sql"]}, {"required": ["function"]},
    {"required": ["steps"]}
]))]
pub struct Action {
    /// Title shown to people; the action's name where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub title: Option<String>,
    /// What it does, for people and for tools that choose actions.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub description: Option<String>,
    /// The entity that it reads or writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "LocalEntity"))]
    pub entity: Option<String>,
    /// What it does with the entity; `Other` unless set.
    #[serde(default)]
    pub operation: Operation,
    /// JSON Schema of the input. Without one every input is accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<SchemaValue>,
    /// JSON Schema of the output, after the response transform. Without one every output is passed on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<SchemaValue>,
    /// An HTTP request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<Http>,
    /// A unary gRPC call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc: Option<Grpc>,
    /// A query of a database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sql: Option<Sql>,
    /// A function in JavaScript or TypeScript.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function: Option<Code>,
    /// Several calls in order; the last one's result is the action's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 50))]
    pub steps: Option<Vec<CompositeStep>>,
    /// How the answer becomes the output, on every status. The answer's body where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<Response>,
    /// How to get the next page of a `List`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pagination: Option<Pagination>,
    /// Longest wait for the whole answer; the connector's default where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-min" = "100ms", "x-evenkeel-max" = "5m"))]
    pub timeout: Option<Duration>,
    /// When to try again; the connector's default where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// The only methods of the connector's `auth` that this action may use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-evenkeel-ref" = "LocalAuthMethod"))]
    pub auth: Vec<String>,
    /// May signed-in users only call it? `false` unless set.
    #[serde(default)]
    pub requires_user: bool,
    /// Deprecated: still works, shown as such, with what to use instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<String>,
    /// Sample calls with their outcome. `evenkeel test` runs them without a network; `dev --mock` answers with them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200))]
    pub tests: Vec<ActionTest>,
}

/// What an action does with its entity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Operation {
    Create,
    Read,
    Update,
    Delete,
    List,
    #[default]
    Other,
}

/// The transport of an action, whichever is set.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "described at the fields of Action")]
pub enum Transport<'a> {
    Http(&'a Http),
    Grpc(&'a Grpc),
    Sql(&'a Sql),
    Function(&'a Code),
    Steps(&'a [CompositeStep]),
}

impl Action {
    /// The transport; `None` for an action that names none, which no checked definition does.
    pub fn transport(&self) -> Option<Transport<'_>> {
        None.or(self.http.as_ref().map(Transport::Http))
            .or(self.grpc.as_ref().map(Transport::Grpc))
            .or(self.sql.as_ref().map(Transport::Sql))
            .or(self.function.as_ref().map(Transport::Function))
            .or(self.steps.as_deref().map(Transport::Steps))
    }
}

/// An HTTP request. Its body is at most one of `body`, `form`, `text`; with none of them, nothing is sent.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["path"]}, {"required": ["url"]}], "x-evenkeel-atMostOne" = ["body", "form", "text"]))]
pub struct Http {
    /// The method; callers cannot choose another. `GET` unless set.
    #[serde(default)]
    pub method: Method,
    /// Path after the connector's `baseUrl`, starting with `/`; may hold a query.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048), regex(pattern = "^[/?]"), extend("x-evenkeel-template" = "url"))]
    pub path: Option<String>,
    /// A whole URL, instead of `path`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048), extend("x-evenkeel-template" = "absoluteUrl"))]
    pub url: Option<String>,
    /// Values of `{{ pathParams.x }}` that the caller gives, by name. They are percent-encoded and cannot leave their segment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-evenkeel-keys" = "identifier"))]
    pub path_params: BTreeMap<String, PathParam>,
    /// Query parameters, percent-encoded when sent.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-evenkeel-template" = "query"))]
    pub query: BTreeMap<String, Param>,
    /// Headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-evenkeel-keys" = "header", "x-evenkeel-template" = "header"))]
    pub headers: BTreeMap<String, Param>,
    /// A JSON body: a tree whose string leaves are templates. A leaf that is one expression keeps its type.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "body"))]
    pub body: Option<Json>,
    /// A form (`application/x-www-form-urlencoded`); values are templates. Maps and lists are written as `a[b]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "body"))]
    pub form: Option<BTreeMap<String, serde_json::Value>>,
    /// A body as text: one template. Set `Content-Type` in `headers`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "body"))]
    pub text: Option<String>,
    /// Leave members of `body` and `form` out whose template renders to null or nothing. `false` unless set.
    #[serde(default)]
    pub omit_empty: bool,
}

/// An HTTP method (RFC 9110, RFC 5789).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs, reason = "the names are the RFC's")]
pub enum Method {
    #[default]
    Get,
    Post,
    Put,
    Patch,
    Delete,
    Head,
    Options,
}

impl Method {
    /// As on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
            Method::Head => "HEAD",
            Method::Options => "OPTIONS",
        }
    }
}

/// A path parameter that the caller gives.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PathParam {
    /// A sentence about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Value where the caller gives none: a template. Without it the parameter is required.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "pathParam"))]
    pub default: Option<String>,
}

/// A unary gRPC call.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Grpc {
    /// `https://host:port`; the connector's `baseUrl` where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "absoluteUrl"))]
    pub endpoint: Option<String>,
    /// The `.proto` file, beside the definition.
    #[schemars(extend("x-evenkeel-ref" = "File"))]
    pub proto: String,
    /// Full name of the service, such as `orbit.v1.Contacts`.
    #[schemars(regex(pattern = r"^[A-Za-z_][A-Za-z0-9_.]*$"))]
    pub service: String,
    /// Name of the method, such as `Create`.
    #[schemars(regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub method: String,
    /// Metadata (headers).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-evenkeel-keys" = "header", "x-evenkeel-template" = "header"))]
    pub metadata: BTreeMap<String, Param>,
    /// The message: a tree whose string leaves are templates; the input where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "body"))]
    pub message: Option<serde_json::Value>,
}

/// A query of a database.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sql {
    /// The database's dialect.
    pub engine: SqlEngine,
    /// Host; a template of variables.
    #[schemars(extend("x-evenkeel-template" = "host"))]
    pub host: String,
    /// Port; the engine's own where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
    /// Name of the database.
    #[schemars(extend("x-evenkeel-template" = "auth"))]
    pub database: String,
    /// User name; the connection's `username` where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<Credential>,
    /// Password; the connection's `password` where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Credential>,
    /// Is TLS used? `Require` unless set.
    #[serde(default)]
    pub tls: SqlTls,
    /// One statement with placeholders `$1`, `$2` …; never a template, so that no input becomes SQL.
    #[schemars(length(min = 1, max = 65536), extend("x-evenkeel-type" = "noTemplate"))]
    pub query: String,
    /// Values of the placeholders, in order: templates that keep their type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-evenkeel-template" = "body"))]
    pub params: Vec<serde_json::Value>,
    /// Most rows of a result, 1000 unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub max_rows: Option<u32>,
}

/// A dialect of SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the names say it")]
pub enum SqlEngine {
    PostgreSQL,
    Redshift,
    MySQL,
}

/// Whether TLS is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SqlTls {
    /// With a verified certificate.
    #[default]
    Require,
    /// Without; for private networks.
    Disable,
}

/// One call of several: exactly one of `http`, `action`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["http"]}, {"required": ["action"]}]))]
pub struct CompositeStep {
    /// Name of the step; later ones read its result as `steps.name.body`, `.status_code` and `.headers`.
    #[schemars(length(min = 1, max = 63), extend("x-evenkeel-type" = "stepName"))]
    pub name: String,
    /// Run it only where this renders to something true.
    #[serde(rename = "if", skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "condition"))]
    pub condition: Option<String>,
    /// A request of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<Http>,
    /// Another action: `name` of this connector, or `connector/name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "Action"))]
    pub action: Option<String>,
    /// Input of `action`: a tree of templates.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "step"))]
    pub input: Option<serde_json::Value>,
    /// How the answer becomes `steps.name.body`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<Response>,
    /// Authentication of this step, where not the connector's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "LocalAuthMethod"))]
    pub auth: Option<String>,
    /// What a failure does; `Halt` unless set.
    #[serde(default)]
    pub on_error: OnError,
}

/// What a failing step does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnError {
    /// The whole fails.
    #[default]
    Halt,
    /// The next step runs.
    Continue,
}

/// How an answer becomes the output: at most one of `body`, `text`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-evenkeel-atMostOne" = ["body", "text"]))]
pub struct Response {
    /// A tree whose string leaves are templates; a single template that is one expression keeps its type.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "response"))]
    pub body: Option<Json>,
    /// Text: one template. Where its output is to be JSON it is parsed as such.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "response"))]
    pub text: Option<String>,
    /// `Content-Type` of the output; `application/json` for `body`, the answer's own otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255), extend("x-evenkeel-type" = "noTemplate"))]
    pub content_type: Option<String>,
    /// Statuses that are success; 200 to 299 unless set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(range(min = 100, max = 599)))]
    pub success: Vec<u16>,
    /// What else a success needs, for applications that answer 200 to everything: a template that renders to true.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "response"))]
    pub success_when: Option<String>,
}

/// How to get the next page: exactly one of `cursor`, `offset`, `page`, `link`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [
    {"required": ["cursor"]}, {"required": ["offset"]}, {"required": ["page"]}, {"required": ["link"]}
]))]
pub struct Pagination {
    /// Where the records are in the output.
    #[schemars(extend("x-evenkeel-template" = "pollOutput"))]
    pub records: String,
    /// The answer names the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<CursorPages>,
    /// Pages are counted in records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<OffsetPages>,
    /// Pages are counted in pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<OffsetPages>,
    /// The `Link` header names the next page (RFC 8288).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<LinkPages>,
    /// Most pages of one call, 100 unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub max_pages: Option<u32>,
}

/// The answer names the next page.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CursorPages {
    /// The input that takes the cursor.
    pub input: String,
    /// Where the next cursor is in the output; nothing there means that this was the last page.
    #[schemars(extend("x-evenkeel-template" = "pollOutput"))]
    pub next: String,
}

/// Pages are counted.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OffsetPages {
    /// The input that takes the count.
    pub input: String,
    /// The input that takes the page's size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_input: Option<String>,
    /// Records of a page.
    #[schemars(range(min = 1, max = 10_000))]
    pub limit: u32,
    /// The first page's count; 0 unless set.
    #[serde(default)]
    pub start: u32,
}

/// The `Link` header names the next page.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LinkPages {
    /// The relation; `next` unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rel: Option<String>,
}
