//! The files of a new project.

use std::borrow::Cow;

use super::super::new::{DefinitionKind, definition};
use super::super::project::{SCHEMA, schema_line};
use crate::definition::schema;

/// A file by its path from the folder of the project.
pub(super) struct NewFile {
    pub(super) path: Cow<'static, str>,
    pub(super) text: Cow<'static, str>,
}

impl NewFile {
    pub(super) fn new(path: impl Into<Cow<'static, str>>, text: impl Into<Cow<'static, str>>) -> NewFile {
        NewFile { path: path.into(), text: text.into() }
    }
}

/// The quickstart example, which the tests run.
const TOUR: [(&str, &str); 5] = [
    ("1-environment.yaml", include_str!("../../../examples/quickstart/1-environment.yaml")),
    ("2-connector.yaml", include_str!("../../../examples/quickstart/2-connector.yaml")),
    ("3-workflow.yaml", include_str!("../../../examples/quickstart/3-workflow.yaml")),
    ("4-tenant.yaml", include_str!("../../../examples/quickstart/4-tenant.yaml")),
    ("welcome.ts", include_str!("../../../examples/quickstart/welcome.ts")),
];

/// The definitions that explain all kinds.
pub(super) fn tour() -> Vec<NewFile> {
    TOUR.iter().map(|&(path, text)| NewFile::new(path, with_schema(path, text))).collect()
}

/// An environment, and a connector with one tested action.
pub(super) fn minimal() -> Vec<NewFile> {
    let environment = include_str!("environment.yaml");
    let connector = definition(DefinitionKind::Connector, "example", None);
    vec![
        NewFile::new("environment.yaml", with_schema("environment.yaml", environment)),
        NewFile::new("example.connector.yaml", with_schema("example.connector.yaml", &connector)),
    ]
}

/// The files beside the definitions.
pub(super) fn around() -> Vec<NewFile> {
    vec![
        NewFile::new("README.md", include_str!("project-readme.md")),
        NewFile::new(".gitignore", include_str!("gitignore")),
        NewFile::new("tsconfig.json", include_str!("tsconfig.json")),
        NewFile::new(SCHEMA, format!("{:#}\n", schema::of_any())),
    ]
}

fn with_schema(path: &str, text: &str) -> String {
    if path.ends_with(".yaml") { schema_line(SCHEMA) + text } else { text.to_owned() }
}
