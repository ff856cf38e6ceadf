//! The files of a project: definitions with the schema that editors complete from.

use std::path::Path;

use anyhow::Context as _;

/// The schema of definitions within a project. The name starts with a dot, so no source reads it.
pub(super) const SCHEMA: &str = ".evenkeel/schemas/definition.json";

/// Maximum number of parent folders that are searched for the schema.
const MAX_PARENTS: usize = 16;

/// The comment that names the schema for the YAML language server, by its path from the definition.
pub(super) fn schema_line(schema: &str) -> String {
    format!("# yaml-language-server: $schema={schema}\n")
}

/// The comment for a definition in a folder; empty if neither the folder nor one above it has the schema.
pub(super) fn schema_line_in(folder: &Path) -> String {
    let Ok(folder) = std::path::absolute(folder) else { return String::new() };
    let found = folder.ancestors().take(MAX_PARENTS).position(|parent| parent.join(SCHEMA).is_file());
    found.map_or_else(String::new, |parents| schema_line(&format!("{}{SCHEMA}", "../".repeat(parents))))
}

/// Writes a new file and its folders; fails if the file exists.
pub(super) fn write_new(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    let fail = || format!("cannot write {}", path.display());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(fail)?;
    }
    let file = std::fs::OpenOptions::new().write(true).create_new(true).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).with_context(fail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_schema_by_its_path_from_the_folder() {
        let project = tempfile::tempdir().unwrap();
        let deep = project.path().join("a/b");
        std::fs::create_dir_all(&deep).unwrap();
        assert_eq!(schema_line_in(&deep), "");
        write_new(&project.path().join(SCHEMA), "{}").unwrap();
        let line = |path: &str| format!("# yaml-language-server: $schema={path}\n");
        assert_eq!(schema_line_in(project.path()), line(".evenkeel/schemas/definition.json"));
        assert_eq!(schema_line_in(&deep), line("../../.evenkeel/schemas/definition.json"));
        assert!(write_new(&project.path().join(SCHEMA), "{}").is_err(), "an existing file is not replaced");
    }
}
