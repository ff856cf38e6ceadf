//! Everything up to the findings, in one call: what `validate` shows is what `dev` and later the reconciler act on.

use std::path::Path;

use crate::catalog::{self, Catalog};
use crate::check;
use crate::source::directory::{self, Unreadable};
use crate::text::{self, Finding, Range, Severity, Source, codes};

/// A catalog and everything that is wrong with it, sorted.
#[derive(Debug)]
pub struct Examined {
    /// The catalog.
    pub catalog: Catalog,
    /// The findings, sorted by place.
    pub findings: Vec<Finding>,
}

impl Examined {
    /// Is there nothing worse than a warning?
    pub fn is_good(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity != Severity::Error)
    }
}

/// Reads and checks a folder or a file.
///
/// # Errors
/// Where the path itself cannot be read.
pub fn folder(path: &Path) -> std::io::Result<Examined> {
    let (snapshot, unreadable) = directory::read(path)?;
    Ok(with(&snapshot, unreadable))
}

/// Checks a snapshot; what could not be read becomes findings.
pub fn with(snapshot: &catalog::Snapshot, unreadable: Vec<Unreadable>) -> Examined {
    let (mut catalog, mut findings) = catalog::load(snapshot);
    findings.extend(check::check(&catalog));
    for Unreadable { path, finding } in unreadable {
        let id = catalog.sources.add(Source::new(path, ""));
        findings.push(finding.within(id));
    }
    if catalog.entries.is_empty() && findings.is_empty() {
        let id = catalog.sources.add(Source::new(".", ""));
        let nothing = Finding::new(&codes::EMPTY, Range::default().within(id), "there are no definitions here")
            .help("check the path, or let `evenkeel init` write a first one")
            .severity(Severity::Error);
        findings.push(nothing);
    }
    text::sort(&mut findings, &catalog.sources);
    Examined { catalog, findings }
}
