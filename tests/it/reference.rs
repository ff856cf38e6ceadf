//! The reference: the examples of kinds and codes are what they claim to be, and `docs/reference` is generated from the
//! types, tables and help texts. `UPDATE=1` writes the pages.

mod accepted;
mod command_line;
mod configuration;
mod examples;
mod explain;
mod findings;
mod http_api;
mod kinds;
mod markdown;
mod metrics;
mod templates;
mod workflow_context;

use evenkeel::definition::Kind;

use crate::support::{golden, root};

/// Folder of the generated pages.
const FOLDER: &str = "docs/reference";

/// All pages: file name, title for the index, and text.
fn pages() -> Vec<(String, String, String)> {
    let kinds = Kind::ALL.into_iter().map(|kind| (kinds::file(kind), kind.to_string(), kinds::page(kind)));
    let page = |file: &str, title: &str, text: String| (file.to_owned(), title.to_owned(), text);
    let rest = [
        page("templates.md", "Templates: variables, filters, functions and tests", templates::page()),
        page("workflow-context.md", "`ctx` in the code of workflows", workflow_context::page()),
        page("findings.md", "Findings", findings::page()),
        page("accepted.md", "Accepted, not in effect yet", accepted::page()),
        page("command-line.md", "Command line", command_line::page()),
        page("configuration.md", "Configuration: options and environment variables", configuration::page()),
        page("metrics.md", "Metrics", metrics::page()),
    ];
    // The description of the HTTP API is generated from the server's types.
    let api = std::fs::read_to_string(root().join("schemas/openapi.json")).ok();
    let api = api.map(|text| page("http-api.md", "HTTP API", http_api::page(&serde_json::from_str(&text).unwrap())));
    kinds.chain(rest).chain(api).collect()
}

fn index(pages: &[(String, String, String)]) -> String {
    let mut text = markdown::head(
        "Reference",
        "Generated from the types, tables and help texts of this version. `evenkeel explain` prints the same on the command \
         line.",
    );
    let (kinds, rest) = pages.split_at(Kind::ALL.len());
    text += "## Kinds\n\n";
    for (file, title, page) in kinds {
        text += &format!("- [{title}]({file}): {}\n", markdown::first_paragraph(page));
    }
    text += "\n## Everything else\n\n";
    for (file, title, _) in rest {
        text += &format!("- [{title}]({file})\n");
    }
    text
}

#[test]
fn the_pages_of_the_reference_are_up_to_date() {
    let pages = pages();
    let mut names: Vec<String> = pages.iter().map(|(file, ..)| file.clone()).chain(["README.md".to_owned()]).collect();
    for (file, _, text) in &pages {
        golden(&format!("{FOLDER}/{file}"), text);
    }
    golden(&format!("{FOLDER}/README.md"), &index(&pages));
    let mut committed: Vec<String> = std::fs::read_dir(root().join(FOLDER))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    committed.sort();
    names.sort();
    assert_eq!(committed, names, "{FOLDER} holds other pages than those that are generated");
}

#[test]
fn links_within_the_reference_lead_to_an_anchor() {
    let pages = pages();
    let link = regex::Regex::new(r"\]\(([a-z-]*\.md)?#([A-Za-z0-9_-]+)\)").unwrap();
    let (mut links, mut wrong) = (0, Vec::new());
    for (file, _, text) in &pages {
        for found in link.captures_iter(text) {
            links += 1;
            let target = found.get(1).map_or(file.as_str(), |target| target.as_str());
            let page = pages.iter().find(|(name, ..)| name == target);
            if !page.is_some_and(|(_, _, text)| text.contains(&format!("<a id=\"{}\"></a>", &found[2]))) {
                wrong.push(format!("{file} links to {}", &found[0]));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(links > 300, "{links}");
}

/// A table whose rows have different numbers of cells is shown as text.
#[test]
fn tables_have_as_many_cells_in_each_row() {
    let cell = regex::Regex::new(r"(^|[^\\])\|").unwrap();
    for (file, _, text) in pages() {
        let mut columns = None;
        let mut in_code = false;
        for line in text.lines() {
            in_code ^= line.starts_with("```");
            columns = if line.starts_with('|') && !in_code {
                let cells = cell.find_iter(line).count();
                assert!(columns.is_none_or(|columns| columns == cells), "{file}: {line}");
                Some(cells)
            } else {
                None
            };
        }
        assert!(!in_code, "{file} ends within code");
    }
}
