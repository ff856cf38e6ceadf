//! The first hour with the real binary: a new project, a new definition, files of other tools beside definitions, and the
//! mistakes that beginners make.

mod foreign;
mod init;
mod mistakes;
mod new;

use std::path::Path;

use crate::support::run;

/// A tenant, the smallest definition.
const TENANT: &str =
    "apiVersion: evenkeel.dev/v1alpha1\nkind: Tenant\nmetadata: { name: acme }\nspec: { displayName: Acme }\n";

/// The names of all files below a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    fn walk(root: &Path, folder: &Path, names: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                walk(root, &path, names);
            } else {
                names.push(path.strip_prefix(root).unwrap().display().to_string());
            }
        }
    }
    let mut names = Vec::new();
    walk(folder, folder, &mut names);
    names.sort();
    names
}

/// Checks that a folder has no finding, that its tests pass, and that its files are formatted.
fn is_clean(folder: &Path) {
    let command = |args: &[&str]| {
        let args = args.iter().map(std::ffi::OsStr::new).chain([folder.as_os_str()]);
        let said = run(args);
        assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    };
    command(&["validate", "--strict"]);
    command(&["test"]);
    command(&["fmt", "--check"]);
}
