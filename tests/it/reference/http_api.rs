//! The page about the HTTP API, from `schemas/openapi.json` (OpenAPI 3.1).

use serde_json::{Map, Value, json};

use super::markdown::{anchor, block, code, head, id, table};

/// The methods of a path, in the order of the page.
const METHODS: [&str; 7] = ["get", "post", "put", "patch", "delete", "head", "options"];

/// The page.
pub fn page(api: &Value) -> String {
    let about = api["info"]["description"].as_str().unwrap_or("The HTTP API of Evenkeel.");
    let mut text = head("HTTP API", about);
    text += "Generated from `schemas/openapi.json`, which a server returns at `/openapi.json`.\n\n";
    let empty = Map::new();
    let paths = api["paths"].as_object().unwrap_or(&empty);
    let operations: Vec<(&str, &str, &Value, &Value)> = paths
        .iter()
        .flat_map(|(path, item)| {
            let methods = METHODS.into_iter().filter_map(move |method| Some((method, item.get(method)?)));
            methods.map(move |(method, operation)| (path.as_str(), method, operation, item))
        })
        .collect();
    let rows: Vec<[String; 2]> = operations
        .iter()
        .map(|(path, method, operation, _)| {
            let name = format!("{} {path}", method.to_uppercase());
            [format!("[`{name}`](#{})", id(&name)), one_line(&operation["summary"])]
        })
        .collect();
    text += &table(["operation", "does"], &rows);
    let codes = api["x-evenkeel-codes"].as_array().into_iter().flatten();
    let rows: Vec<[String; 3]> = codes
        .map(|entry| {
            let name = entry["code"].as_str().unwrap_or_default();
            [code(name), entry["status"].to_string(), one_line(&entry["meaning"])]
        })
        .collect();
    if !rows.is_empty() {
        text += "## Codes of problems\n\n";
        text += &table(["code", "status", "meaning"], &rows);
    }
    text += "## Operations\n\n";
    for (path, method, operation, item) in operations {
        text += &section(api, path, method, operation, item);
    }
    let schemas = api["components"]["schemas"].as_object().unwrap_or(&empty);
    if !schemas.is_empty() {
        text += "## Types\n\n";
    }
    for (name, schema) in schemas {
        text += &anchor(&format!("schema-{}", id(name)));
        text += &format!("### {}\n\n", code(name));
        text += &paragraph(&schema["description"]);
        if let Some(words) = schema["enum"].as_array() {
            let words = words.iter().map(|word| code(word.as_str().unwrap_or_default()));
            text += &format!("One of {}.\n\n", words.collect::<Vec<_>>().join(", "));
        }
        text += &properties(schema);
    }
    text.trim_end().to_owned() + "\n"
}

fn one_line(value: &Value) -> String {
    value.as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn paragraph(value: &Value) -> String {
    let text = value.as_str().unwrap_or_default().trim();
    if text.is_empty() { String::new() } else { format!("{text}\n\n") }
}

/// A part of the document that may be a reference to a component.
fn resolved<'a>(api: &'a Value, value: &'a Value) -> &'a Value {
    let pointer = value["$ref"].as_str().and_then(|target| target.strip_prefix('#'));
    pointer.and_then(|pointer| api.pointer(pointer)).unwrap_or(value)
}

fn section(api: &Value, path: &str, method: &str, operation: &Value, item: &Value) -> String {
    let name = format!("{} {path}", method.to_uppercase());
    let mut text = anchor(&id(&name)) + &format!("### `{name}`\n\n");
    text += &paragraph(&operation["summary"]);
    text += &paragraph(&operation["description"]);
    let shared = item["parameters"].as_array().into_iter().flatten();
    let parameters = shared.chain(operation["parameters"].as_array().into_iter().flatten());
    let rows: Vec<[String; 4]> = parameters
        .map(|parameter| {
            let parameter = resolved(api, parameter);
            let required = if parameter["required"] == true { ", required" } else { "" };
            let place = format!("{}{required}", parameter["in"].as_str().unwrap_or_default());
            [
                code(parameter["name"].as_str().unwrap_or_default()),
                place,
                type_name(&parameter["schema"]),
                one_line(&parameter["description"]),
            ]
        })
        .collect();
    text += &table(["parameter", "in", "type", "meaning"], &rows);
    let body = resolved(api, &operation["requestBody"]);
    for (media, content) in body["content"].as_object().into_iter().flatten() {
        text += &format!("Body, {}: {}.\n\n", code(media), type_name(&content["schema"]));
        text += &example(content);
    }
    let rows: Vec<[String; 3]> = operation["responses"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(status, response)| {
            let response = resolved(api, response);
            let content = response["content"].as_object().into_iter().flatten();
            let types = content.map(|(media, content)| format!("{} ({})", type_name(&content["schema"]), code(media)));
            [status.clone(), types.collect::<Vec<_>>().join(", "), one_line(&response["description"])]
        })
        .collect();
    text + &table(["status", "body", "meaning"], &rows)
}

fn example(content: &Value) -> String {
    match content.get("example") {
        Some(example) => block("json", &format!("{example:#}")),
        None => String::new(),
    }
}

/// The type of a schema in words, with links to the types of the page.
fn type_name(schema: &Value) -> String {
    if let Some(target) = schema["$ref"].as_str() {
        let name = target.rsplit('/').next().unwrap_or(target);
        return format!("[{name}](#schema-{})", id(name));
    }
    let cases = ["oneOf", "anyOf", "allOf"].into_iter().find_map(|name| schema[name].as_array());
    if let Some(cases) = cases {
        return cases.iter().map(type_name).collect::<Vec<_>>().join(" or ");
    }
    let types: Vec<String> = match &schema["type"] {
        Value::String(one) => vec![one.clone()],
        Value::Array(several) => several.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    let format = schema["format"].as_str().map_or_else(String::new, |format| format!(" ({format})"));
    match types.join(" or ").as_str() {
        "" => "any value".to_owned(),
        "array" => format!("list of {}", type_name(&schema["items"])),
        name => format!("{name}{format}"),
    }
}

fn properties(schema: &Value) -> String {
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let rows: Vec<[String; 4]> = schema["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, property)| {
            let presence = if required.contains(&name.as_str()) { "always" } else { "optional" };
            [code(name), type_name(property), presence.to_owned(), one_line(&property["description"])]
        })
        .collect();
    table(["member", "type", "presence", "meaning"], &rows)
}

#[test]
fn a_page_is_made_from_a_description_of_an_api() {
    let api = json!({
        "openapi": "3.1.0",
        "info": {"title": "Evenkeel", "version": "1", "description": "An API."},
        "paths": {
            "/v1/environments/{e}/things": {
                "parameters": [{"$ref": "#/components/parameters/environment"}],
                "get": {
                    "summary": "List things", "description": "Newest first.",
                    "parameters": [{"name": "limit", "in": "query", "schema": {"type": "integer"}, "description": "At | most."}],
                    "responses": {
                        "200": {"description": "The things.", "content": {"application/json": {"schema": {"type": "array", "items": {"$ref": "#/components/schemas/Thing"}}}}},
                        "404": {"$ref": "#/components/responses/missing"}
                    }
                },
                "post": {
                    "summary": "Create a thing",
                    "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}, "example": {"name": "a"}}}},
                    "responses": {"202": {"description": "Accepted."}}
                }
            }
        },
        "components": {
            "parameters": {"environment": {"name": "e", "in": "path", "required": true, "schema": {"type": "string"}, "description": "The environment."}},
            "responses": {"missing": {"description": "Not found."}},
            "schemas": {
                "Thing": {"type": "object", "description": "A thing.", "required": ["name"], "properties": {
                    "name": {"type": "string", "description": "Its name."},
                    "at": {"type": ["string", "null"], "format": "date-time"},
                    "state": {"$ref": "#/components/schemas/State"}
                }},
                "State": {"type": "string", "enum": ["Open", "Closed"]}
            }
        }
    });
    let text = page(&api);
    for line in [
        "# HTTP API",
        "| [`GET /v1/environments/{e}/things`](#GET-v1-environments-e-things) | List things |",
        "### `POST /v1/environments/{e}/things`",
        "Newest first.",
        "| `e` | path, required | string | The environment. |",
        "| `limit` | query | integer | At \\| most. |",
        "| 200 | list of [Thing](#schema-Thing) (`application/json`) | The things. |",
        "| 404 |  | Not found. |",
        "Body, `application/json`: [Thing](#schema-Thing).",
        "  \"name\": \"a\"",
        "| 202 |  | Accepted. |",
        "<a id=\"schema-Thing\"></a>",
        "| `name` | string | always | Its name. |",
        "| `at` | string or null (date-time) | optional |  |",
        "One of `Open`, `Closed`.",
    ] {
        assert!(text.lines().any(|known| known == line), "`{line}` is missing in\n{text}");
    }
}
