//! The structure of the source tree: modules in layers, no import cycles between files, each heavy crate named in one
//! module, a pure core, and printing in one place.

mod imports;
mod tokens;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use imports::{Edge, SourceFile, Tree, cycles, module_path};

use crate::support::root;

/// The modules in layers, from the lowest. A module may use only those before it.
const LAYERS: [&str; 20] = [
    "text",
    "script",
    "definition",
    "template",
    "catalog",
    "check",
    "plan",
    "store",
    "net",
    "source",
    "telemetry",
    "quota",
    "connector",
    "workflow",
    "trigger",
    "reconcile",
    "api",
    "server",
    "operator",
    "cli",
];

/// The first layer that may do I/O. The layers before it are pure and synchronous.
const FIRST_IMPURE: &str = "store";

/// Crates that shape the code which uses them, each with the module that hides it.
const HEAVY: [(&str, &str); 46] = [
    ("aes_gcm", "source"),
    ("age", "source"),
    ("annotate_snippets", "text"),
    ("arc_swap", "reconcile"),
    ("axum", "server"),
    ("chacha20poly1305", "store"),
    ("clap", "cli"),
    ("clap_complete", "cli"),
    ("clap_mangen", "cli"),
    ("croner", "definition"),
    ("git2", "source"),
    ("granit_parser", "text"),
    ("hmac", "text"),
    ("ignore", "definition"),
    ("jsonschema", "definition"),
    ("jsonwebtoken", "template"),
    ("k8s_openapi", "operator"),
    ("kube", "operator"),
    ("minijinja", "template"),
    ("notify", "reconcile"),
    ("opentelemetry", "telemetry"),
    ("opentelemetry_http", "telemetry"),
    ("opentelemetry_otlp", "telemetry"),
    ("opentelemetry_sdk", "telemetry"),
    ("pgp", "source"),
    ("prometheus_client", "telemetry"),
    ("rcgen", "operator"),
    ("regex_syntax", "check"),
    ("reqwest", "net"),
    ("rquickjs", "workflow"),
    ("russh", "source"),
    ("rustls", "net"),
    ("schemars", "definition"),
    ("semver", "definition"),
    ("serde_saphyr", "text"),
    ("sha2", "text"),
    ("similar", "plan"),
    ("sqlx", "store"),
    ("ssh_key", "source"),
    ("subtle", "text"),
    ("swc_common", "script"),
    ("swc_ecma_ast", "script"),
    ("swc_ecma_parser", "script"),
    ("swc_ecma_visit", "script"),
    ("swc_ts_fast_strip", "script"),
    ("tokio_rustls", "server"),
];

/// A second module that may name a heavy crate: the types of definitions and of the HTTP API are described by schemas.
const SECOND_HOMES: [(&str, &str); 1] = [("schemars", "api")];

/// Paths that a pure module may not name.
const IMPURE: [&[&str]; 9] = [
    &["std", "fs"],
    &["std", "env"],
    &["std", "process"],
    &["std", "net", "TcpStream"],
    &["std", "net", "TcpListener"],
    &["std", "net", "UdpSocket"],
    &["SystemTime", "now"],
    &["Instant", "now"],
    &["tokio"],
];

/// Names for the command line only: macros and functions that write to the standard streams.
const PRINTING: [&str; 6] = ["println!", "eprintln!", "print!", "eprint!", "stdout()", "stderr()"];

/// The source files without those that hold tests.
fn sources() -> Tree {
    fn walk(folder: &Path, files: &mut Vec<SourceFile>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let is_test = path.file_name().is_some_and(|name| {
                let name = name.to_string_lossy();
                ["test", "tests", "test.rs", "tests.rs"].contains(&&*name)
                    || name.starts_with("test_")
                    || name.starts_with("tests_")
            });
            let is_command = path.ends_with("cli/test.rs");
            if is_test && !is_command {
                continue;
            }
            if path.is_dir() {
                walk(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("src/main.rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let path = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
                files.push(SourceFile { path, text });
            }
        }
    }
    let mut files = Vec::new();
    walk(&root().join("src"), &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(files.len() > 100, "the source tree was not found");
    Tree::read(files)
}

/// A tree of planted files, with empty files for the root and for the module `plan` if they are not among them.
fn planted(files: &[(&str, &str)]) -> Tree {
    let file = |(path, text): &(&str, &str)| SourceFile { path: (*path).to_owned(), text: (*text).to_owned() };
    let missing =
        ["src/lib.rs", "src/plan.rs"].into_iter().filter(|path| !files.iter().any(|(known, _)| known == path));
    Tree::read(missing.map(|path| file(&(path, ""))).chain(files.iter().map(file)).collect())
}

/// The module of a file: the first segment of its path below `src`. Empty for the root.
fn module_of(path: &str) -> String {
    module_path(path).into_iter().next().unwrap_or_default()
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|known| *known == module)
}

/// Imports that name a module of a higher layer.
fn upward_imports(tree: &Tree) -> Vec<String> {
    let mut wrong = Vec::new();
    for (file, path) in tree.internal() {
        let file = &tree.files[file].path;
        let own = module_of(file);
        if let (Some(from), Some(to)) = (layer(&own), layer(&path.segments[0]))
            && to > from
        {
            let other = &path.segments[0];
            wrong.push(format!("{file}:{}: `{own}` uses `{other}`, which is a higher layer", path.line));
        }
    }
    wrong
}

/// Groups of files that import each other in a circle, as text with the imports that close it.
fn import_cycles(tree: &Tree) -> Vec<(Vec<usize>, String)> {
    let root = tree.files.iter().position(|file| file.path == "src/lib.rs");
    let edges: Vec<Edge> = tree.edges().into_iter().filter(|edge| Some(edge.to) != root).collect();
    let describe = |group: Vec<usize>| {
        let inside = edges.iter().filter(|edge| group.contains(&edge.from) && group.contains(&edge.to));
        let lines = inside.map(|edge| {
            let (from, to) = (&tree.files[edge.from].path, &tree.files[edge.to].path);
            format!("  {from}:{}: `{}` is defined in {to}\n", edge.line, edge.path)
        });
        let text = format!("{} files import each other in a circle:\n{}", group.len(), lines.collect::<String>());
        (group, text)
    };
    cycles(tree.files.len(), &edges).into_iter().map(describe).collect()
}

/// Uses of a heavy crate outside of its module.
fn misplaced_crates(tree: &Tree) -> Vec<String> {
    let homes: BTreeMap<&str, &str> = HEAVY.into_iter().collect();
    let mut wrong = BTreeSet::new();
    for (file, path) in tree.external() {
        let file = &tree.files[file].path;
        let name = path.segments[0].as_str();
        if let Some(home) = homes.get(name)
            && *home != module_of(file)
            && !SECOND_HOMES.contains(&(name, module_of(file).as_str()))
        {
            wrong.insert(format!("{file}:{}: `{}` may be named in `{home}` only", path.line, path.segments[0]));
        }
    }
    wrong.into_iter().collect()
}

/// Uses of clocks, files, environment, network or async in a pure module.
fn impurities(tree: &Tree) -> Vec<String> {
    let pure = |file: &str| layer(&module_of(file)).is_some_and(|own| own < layer(FIRST_IMPURE).unwrap());
    let mut wrong = Vec::new();
    for (file, path) in tree.external() {
        let file = &tree.files[file].path;
        let has = |wanted: &&&[&str]| {
            let wanted: Vec<&str> = wanted.to_vec();
            let starts = path.segments.iter().map(String::as_str).collect::<Vec<_>>();
            starts.starts_with(&wanted) || (wanted[1..] == ["now"] && starts.ends_with(&wanted))
        };
        if pure(file)
            && let Some(impure) = IMPURE.iter().find(has)
        {
            wrong.push(format!("{file}:{}: a pure module uses `{}`", path.line, impure.join("::")));
        }
    }
    for file in tree.files.iter().filter(|file| pure(&file.path)) {
        let lines = code_lines(&file.text).filter(|(_, line)| line.contains("async fn") || line.contains("async move"));
        wrong.extend(lines.map(|(line, _)| format!("{}:{line}: a pure module is asynchronous", file.path)));
    }
    wrong
}

/// Writes to the standard streams outside of `cli`.
fn printing(tree: &Tree) -> Vec<String> {
    let mut wrong = Vec::new();
    for file in tree.files.iter().filter(|file| module_of(&file.path) != "cli") {
        for (line, text) in code_lines(&file.text) {
            if let Some(word) = PRINTING.iter().find(|word| text.contains(**word)) {
                wrong.push(format!("{}:{line}: only `cli` prints, and this uses `{word}`", file.path));
            }
        }
    }
    wrong
}

/// Lines without comments, numbered from 1.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_code = |(_, line): &(usize, &str)| !line.trim_start().starts_with("//");
    text.lines().enumerate().map(|(number, line)| (number + 1, line)).filter(is_code)
}

#[track_caller]
fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} violations\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_map_the_layers_and_the_tree_agree() {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(root().join("src")).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().trim_end_matches(".rs").to_owned();
        found.insert(name);
    }
    assert!(found.remove("lib") && found.remove("main"));
    let listed: BTreeSet<String> = LAYERS.map(str::to_owned).into();
    assert_eq!(listed, found, "LAYERS and the folder `src` differ");

    let map = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    assert_eq!(rows(&map, "//! | [`"), LAYERS, "the table of src/lib.rs and LAYERS differ");
    let declared = map.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    assert_eq!(
        declared.map(str::to_owned).collect::<BTreeSet<_>>(),
        listed,
        "`pub mod` of src/lib.rs and LAYERS differ"
    );

    let page = std::fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let page = page.split("## Code map").nth(1).expect("docs/architecture.md has a section `Code map`");
    assert_eq!(rows(page, "| `"), LAYERS, "the code map of docs/architecture.md and LAYERS differ");
}

/// The names in the first column of a table.
fn rows<'a>(text: &'a str, start: &str) -> Vec<&'a str> {
    text.lines().filter_map(|line| line.strip_prefix(start)?.split('`').next()).collect()
}

#[test]
fn imports_go_down_the_layers() {
    assert_none(&upward_imports(&sources()));
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let tree = sources();
    let cycles: String = import_cycles(&tree).into_iter().map(|(_, text)| text).collect();
    assert_eq!(cycles, "");
}

#[test]
fn each_heavy_crate_is_named_in_one_module() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    for (name, home) in HEAVY {
        let is_dependency =
            manifest.lines().any(|line| line.split(' ').next().is_some_and(|key| key.replace('-', "_") == name));
        assert!(is_dependency, "`{name}` of HEAVY is no dependency");
        assert!(layer(home).is_some(), "`{home}` of HEAVY is no module");
    }
    assert_none(&misplaced_crates(&sources()));
}

#[test]
fn only_the_command_line_prints() {
    assert_none(&printing(&sources()));
}

#[test]
fn the_layers_before_the_store_are_pure() {
    assert_none(&impurities(&sources()));
}

#[test]
fn an_upward_import_is_found_however_it_is_written() {
    let higher = ("src/cli.rs", "pub struct Output;");
    for text in [
        "use crate::cli::Output;",
        "use crate::{\n    check::Severity,\n    cli::{\n        Output,\n    },\n};",
        "use super::super::cli::Output;",
        "fn f() { let _ = crate::cli::Output; }",
        "fn f() { g!(x, crate::cli::Output); }",
        "#[serde(with = \"crate::cli::bytes\")] struct S;",
        "pub(in crate::plan) fn f() -> Vec<super::super::cli::Output> { Vec::new() }",
    ] {
        let tree = planted(&[higher, ("src/plan/render.rs", text)]);
        let wrong = upward_imports(&tree);
        assert_eq!(wrong.len(), 1, "{text}: {wrong:?}");
        assert!(wrong[0].contains("`plan` uses `cli`"), "{wrong:?}");
    }
    for text in ["use crate::text::Span;", "// use crate::cli::Output;", "const S: &str = \"crate::cli::Output is\";"] {
        let tree = planted(&[higher, ("src/text.rs", ""), ("src/plan/render.rs", text)]);
        assert_none(&upward_imports(&tree));
    }
}

#[test]
fn a_cycle_between_files_is_found_however_it_is_closed() {
    let open = [
        // Siblings.
        [("src/plan/a.rs", "use super::b::B; pub struct A;"), ("src/plan/b.rs", "use super::a::A; pub struct B;")],
        // A parent that uses a child, which imports an item that the parent defines.
        [("src/plan.rs", "mod a; pub struct P; fn f() { a::g() }"), ("src/plan/a.rs", "use super::P; pub fn g() {}")],
        // The same through a re-export that the parent uses by its bare name.
        [
            ("src/plan.rs", "mod a; pub use a::A; pub struct P; fn f() { A::new() }"),
            ("src/plan/a.rs", "pub struct A; fn f() { let _ = crate::plan::P; }"),
        ],
        // A module that is imported as a whole.
        [
            ("src/plan/a.rs", "use crate::plan::b; pub struct A; fn f() { b::g() }"),
            ("src/plan/b.rs", "use crate::{plan::{a::{A}}}; pub fn g() {}"),
        ],
    ];
    for files in open {
        let found = import_cycles(&planted(&files));
        assert_eq!(found.len(), 1, "{files:?}");
        assert!(found[0].1.contains("2 files import each other"), "{}", found[0].1);
    }
    // Three files, where the facade between them only re-exports.
    let facade = planted(&[
        ("src/plan.rs", "mod a; mod b; mod c; pub use a::A; pub use b::B; pub use c::C;"),
        ("src/plan/a.rs", "use super::B; pub struct A;"),
        ("src/plan/b.rs", "use crate::plan::C; pub struct B;"),
        ("src/plan/c.rs", "use super::*; pub struct C; fn f() { super::A::new() }"),
    ]);
    let found = import_cycles(&facade);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].0.len(), 3, "{}", found[0].1);
}

#[test]
fn accepts_imports_that_form_no_cycle() {
    let accepted: [&[(&str, &str)]; 4] = [
        // Containment and re-export only.
        &[("src/plan.rs", "mod a; pub use a::A; pub struct P;"), ("src/plan/a.rs", "use super::P; pub struct A;")],
        // The re-export leads to a third file.
        &[
            ("src/plan.rs", "mod a; mod b; pub use b::B; fn f() { a::g() }"),
            ("src/plan/a.rs", "use super::B; pub fn g() {}"),
            ("src/plan/b.rs", "pub struct B;"),
        ],
        // Tests inside a file.
        &[
            ("src/plan/a.rs", "use super::b::B; pub struct A;"),
            ("src/plan/b.rs", "pub struct B; #[cfg(test)] mod tests { use crate::plan::a::A; }"),
        ],
        // A module of its own inside the file.
        &[("src/plan.rs", "mod inner { use super::P; pub struct I; } pub struct P; fn f() { inner::I; }")],
    ];
    for files in accepted {
        let found = import_cycles(&planted(files));
        assert!(found.is_empty(), "{files:?}: {}", found[0].1);
    }
}

#[test]
fn a_misplaced_crate_an_impure_call_and_printing_are_found() {
    for text in ["use sqlx::Row;", "fn f() { crate::text::g(sqlx::query()) }", "#[derive(clap::Args)] struct S;"] {
        assert_eq!(misplaced_crates(&planted(&[("src/plan/a.rs", text)])).len(), 1, "{text}");
    }
    assert_none(&misplaced_crates(&planted(&[("src/plan/a.rs", "mod sqlx {} fn f() { sqlx::query() }")])));
    for text in ["use std::{\n fs, io};", "fn f() { std::env::var(x) }", "async fn f() {}", "fn f() { Instant::now() }"]
    {
        assert_eq!(impurities(&planted(&[("src/plan/a.rs", text)])).len(), 1, "{text}");
        assert_none(&impurities(&planted(&[("src/server/a.rs", text)])));
    }
    assert_eq!(printing(&planted(&[("src/plan/a.rs", "fn f() { println!() }")])).len(), 1);
}
