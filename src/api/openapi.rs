//! The OpenAPI 3.1 document, generated from the operations of the server and the types of this module.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::problem::CONTENT_TYPE;
use super::{Problem, codes};

/// The schema of a type, which is registered among the components of the document.
pub type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// An operation: a method on a path.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Unique name of the operation in camelCase.
    pub id: String,
    /// HTTP method in upper case.
    pub method: &'static str,
    /// Path with parameters in braces.
    pub path: String,
    /// Group of the operation.
    pub tag: &'static str,
    /// One phrase: imperative verb first.
    pub summary: &'static str,
    /// The right that it requires; `None` if it requires no token.
    pub right: Option<&'static str>,
    query: Option<SchemaOf>,
    headers: Vec<Parameter>,
    body: Option<Body>,
    responses: Vec<Response>,
}

#[derive(Clone, Copy, Debug)]
struct Parameter {
    name: &'static str,
    description: &'static str,
}

#[derive(Clone, Copy, Debug)]
struct Body {
    media_type: &'static str,
    schema: SchemaOf,
    required: bool,
}

#[derive(Clone, Copy, Debug)]
struct Response {
    status: &'static str,
    description: &'static str,
    media_type: &'static str,
    schema: Option<SchemaOf>,
    headers: &'static [Header],
}

/// Name and meaning of a response header.
pub type Header = (&'static str, &'static str);

fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

impl Operation {
    /// An operation without parameters and responses.
    pub fn new(method: &'static str, path: &str, tag: &'static str, id: &str, summary: &'static str) -> Operation {
        Operation {
            id: id.to_owned(),
            method,
            path: path.to_owned(),
            tag,
            summary,
            right: None,
            query: None,
            headers: Vec::new(),
            body: None,
            responses: Vec::new(),
        }
    }

    /// The operation at an address: below a prefix, with a suffix of its name, requiring a right.
    #[must_use]
    pub fn at(mut self, prefix: &str, suffix: &str, right: Option<&'static str>) -> Operation {
        self.path = format!("{prefix}{}", self.path);
        self.id = format!("{}{suffix}", self.id);
        self.right = right;
        self
    }

    /// Adds the query parameters: the fields of a type.
    #[must_use]
    pub fn query<T: JsonSchema>(mut self) -> Operation {
        self.query = Some(schema_of::<T>);
        self
    }

    /// Adds an optional request header.
    #[must_use]
    pub fn header(mut self, name: &'static str, description: &'static str) -> Operation {
        self.headers.push(Parameter { name, description });
        self
    }

    /// Adds a JSON body.
    #[must_use]
    pub fn body<T: JsonSchema>(self, required: bool) -> Operation {
        self.body_as::<T>("application/json", required)
    }

    /// Adds a body of a media type.
    #[must_use]
    pub fn body_as<T: JsonSchema>(mut self, media_type: &'static str, required: bool) -> Operation {
        self.body = Some(Body { media_type, schema: schema_of::<T>, required });
        self
    }

    /// Adds a response with JSON.
    #[must_use]
    pub fn returns<T: JsonSchema>(self, status: &'static str, description: &'static str) -> Operation {
        self.returns_as::<T>(status, description, "application/json", &[])
    }

    /// Adds a response with a media type and headers.
    #[must_use]
    pub fn returns_as<T: JsonSchema>(
        mut self,
        status: &'static str,
        description: &'static str,
        media_type: &'static str,
        headers: &'static [Header],
    ) -> Operation {
        self.responses.push(Response { status, description, media_type, schema: Some(schema_of::<T>), headers });
        self
    }

    fn document(&self, generator: &mut SchemaGenerator) -> Value {
        let mut parameters: Vec<Value> = path_parameters(&self.path)
            .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string", "minLength": 1}}))
            .collect();
        if let Some(query) = self.query {
            parameters.extend(query_parameters(query(generator), generator));
        }
        for header in &self.headers {
            let Parameter { name, description } = header;
            parameters
                .push(json!({"name": name, "in": "header", "description": description, "schema": {"type": "string"}}));
        }
        let mut operation = json!({"operationId": self.id, "tags": [self.tag], "summary": self.summary});
        if !parameters.is_empty() {
            operation["parameters"] = parameters.into();
        }
        if let Some(body) = self.body {
            let content = json!({body.media_type: {"schema": (body.schema)(generator)}});
            operation["requestBody"] = json!({"required": body.required, "content": content});
        }
        let mut responses = Map::new();
        for response in &self.responses {
            let mut value = json!({"description": response.description});
            if let Some(schema) = response.schema {
                value["content"] = json!({response.media_type: {"schema": schema(generator)}});
            }
            for (name, description) in response.headers {
                value["headers"][name] = json!({"description": description, "schema": {"type": "string"}});
            }
            responses.insert(response.status.to_owned(), value);
        }
        let problem = generator.subschema_for::<Problem>();
        for (status, description) in
            [("4XX", "The request cannot be carried out."), ("5XX", "The server or an application failed.")]
        {
            let content = json!({CONTENT_TYPE: {"schema": problem}});
            responses.insert(status.to_owned(), json!({"description": description, "content": content}));
        }
        operation["responses"] = responses.into();
        match self.right {
            Some(right) => {
                operation["security"] = json!([{"token": []}]);
                operation["x-evenkeel-right"] = right.into();
            }
            None => operation["security"] = json!([]),
        }
        operation
    }
}

/// The document of operations.
pub fn document(operations: &[Operation]) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let mut paths = Map::new();
    for operation in operations {
        let value = operation.document(&mut generator);
        let path = paths.entry(operation.path.clone()).or_insert_with(|| json!({}));
        path[operation.method.to_ascii_lowercase()] = value;
    }
    let schemas: Map<String, Value> = generator.take_definitions(true);
    let mut tags: Vec<&str> = operations.iter().map(|operation| operation.tag).collect();
    tags.sort_unstable();
    tags.dedup();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Evenkeel",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Integrations as code: actions, workflows, executions and environments",
            "description": "Errors are problem documents (RFC 9457). Lists have `limit`, `cursor` and `next`. Times are RFC 3339. \
                            A path without an environment works while the server has exactly one.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": tags.iter().map(|tag| json!({"name": tag})).collect::<Vec<_>>(),
        "paths": paths,
        "x-evenkeel-codes": codes::all()
            .into_iter()
            .map(|(code, status, meaning)| json!({"code": code, "status": status, "meaning": meaning}))
            .collect::<Vec<_>>(),
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    })
}

/// Names of the parameters of a path.
pub fn path_parameters(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

/// One parameter for each property of an object's schema.
fn query_parameters(schema: Schema, generator: &SchemaGenerator) -> Vec<Value> {
    let schema = schema.to_value();
    let name = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next());
    let schema = name.and_then(|name| generator.definitions().get(name)).unwrap_or(&schema);
    let properties = schema["properties"].as_object();
    let parameter = |(name, property): (&String, &Value)| {
        let mut property = property.clone();
        let description = property.as_object_mut().and_then(|property| property.shift_remove("description"));
        if property["default"].is_null()
            && let Some(property) = property.as_object_mut()
        {
            property.shift_remove("default");
        }
        // A parameter that is not sent is absent, never null.
        if let Some(kinds) = property.get_mut("type").filter(|kinds| kinds.is_array()) {
            let kind = kinds.as_array().and_then(|kinds| kinds.iter().find(|kind| *kind != "null")).cloned();
            *kinds = kind.unwrap_or_default();
        }
        json!({"name": name, "in": "query", "description": description, "schema": property})
    };
    properties.into_iter().flatten().map(parameter).collect()
}
