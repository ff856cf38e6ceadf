//! Loading and checking in one call: `validate`, `dev` and the reconciler act on the same findings.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;

use crate::catalog::{self, AttributedFinding, CacheTally, Catalog, EnvironmentSelection, ForeignFile, Input, Loader};
use crate::check::{self, Checker};
use crate::connector::Runtime;
use crate::definition::{Id, Kind};
use crate::source::{UnreadableFile, directory};
use crate::text::{self, Code, Finding, Severity, Source, Span, codes};

/// A catalog with its findings.
#[derive(Clone, Debug)]
pub struct Validated {
    /// The catalog of the selected environment; without one, the catalog before any overlay.
    pub catalog: Catalog,
    /// The findings, sorted by place.
    pub findings: Vec<Finding>,
    /// Catalogs of environments with overlays or a selector, unless an environment is selected.
    environments: BTreeMap<String, Catalog>,
    /// Files with documents of other tools.
    foreign: Vec<ForeignFile>,
    /// Positions in the catalog of the definitions that use each secret.
    secret_uses: BTreeMap<Box<str>, Vec<u32>>,
    broken: BTreeSet<Id>,
    unattributed: bool,
}

impl Validated {
    /// True if there are no errors.
    pub fn is_valid(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity != Severity::Error)
    }

    /// Definitions with an error in them, in one of their patches or in one of their files.
    pub fn broken(&self) -> &BTreeSet<Id> {
        &self.broken
    }

    /// True if an error may belong to an unknown definition, such as one in a file that cannot be parsed.
    pub fn unattributed(&self) -> bool {
        self.unattributed
    }

    /// Files with documents of other tools, by path.
    pub fn foreign(&self) -> &[ForeignFile] {
        &self.foreign
    }

    /// Positions in the catalog of the definitions that use each secret.
    pub(super) fn secret_uses(&self) -> &BTreeMap<Box<str>, Vec<u32>> {
        &self.secret_uses
    }

    /// Adds errors that may belong to any definition.
    pub(super) fn add_unattributed(&mut self, errors: Vec<Finding>) {
        self.unattributed |= !errors.is_empty();
        self.findings.extend(errors);
        text::sort(&mut self.findings, &self.catalog.sources);
    }

    /// Checks that the definitions declare an environment that no document of an operator describes.
    ///
    /// # Errors
    /// One sentence with the names of the declared ones.
    pub fn expect_environment(&self, selection: &EnvironmentSelection) -> Result<(), String> {
        let name = &selection.name;
        // An unreadable file may declare it: its error is the one to show.
        if selection.document.is_some() || self.unattributed || self.catalog.find(Kind::Environment, name).is_some() {
            return Ok(());
        }
        let declared = self.catalog.of_kind(Kind::Environment).map(|entry| entry.id.name.as_str());
        let declared: Vec<&str> = declared.collect();
        match declared.is_empty() {
            true => Err(format!("there is no Environment `{name}`: the definitions declare none")),
            false => Err(format!("there is no Environment `{name}`; there are: {}", declared.join(", "))),
        }
    }

    /// The catalog of an environment with its overlays: of the named one, or of the first one.
    pub fn catalog_of(&self, environment: Option<&str>) -> &Catalog {
        let first = || self.catalog.environments().next().map(|(entry, _)| entry.id.name.as_str());
        let name = environment.or_else(first);
        name.and_then(|name| self.environments.get(name)).unwrap_or(&self.catalog)
    }
}

/// Validates a folder or a file for all environments.
///
/// # Errors
/// The path itself cannot be read.
pub fn folder(path: &Path) -> std::io::Result<Validated> {
    folder_for(path, None)
}

/// Validates a folder or a file for one environment, or for all.
///
/// # Errors
/// The path itself cannot be read.
pub fn folder_for(path: &Path, environment: Option<EnvironmentSelection>) -> std::io::Result<Validated> {
    let (snapshot, unreadable) = directory::read(path)?;
    Ok(Validator::new().validate(&Input { snapshot, environment, ..Input::default() }, &unreadable))
}

/// Validates a snapshot for all environments; paths that could not be read become findings.
pub fn with(snapshot: &catalog::Snapshot, unreadable: Vec<UnreadableFile>) -> Validated {
    Validator::new().validate(&Input::from(snapshot), &unreadable)
}

/// Validates one input after the other. Files and findings are cached as long as they are still valid: a call costs as
/// much as has changed, and returns the same as one without caches.
#[derive(Debug, Default)]
pub struct Validator {
    loader: Loader,
    /// Checkers by environment; `None` for the catalog before any overlay.
    checkers: BTreeMap<Option<String>, Checker>,
    stats: CacheStats,
}

/// Cache hits and misses of a validator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Files parsed.
    pub parsed: Counts,
    /// Definitions checked.
    pub checked: Counts,
    /// Connectors compiled, if counted by [`Validator::count_compiled`].
    pub compiled: Counts,
}

/// Hits and misses of one stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// In the last call.
    pub last: CacheTally,
    /// In all calls.
    pub total: CacheTally,
}

impl Counts {
    fn add(&mut self, last: CacheTally) {
        self.last = last;
        self.total.hits += last.hits;
        self.total.misses += last.misses;
    }
}

/// Findings with the definitions that they belong to, as they are collected.
#[derive(Default)]
struct CollectedFindings {
    findings: Vec<Finding>,
    broken: BTreeSet<Id>,
    unattributed: bool,
}

impl CollectedFindings {
    fn add(&mut self, found: impl IntoIterator<Item = AttributedFinding>) {
        for AttributedFinding { finding, definitions, unattributed } in found {
            if finding.severity == Severity::Error {
                self.broken.extend(definitions);
                self.unattributed |= unattributed;
            }
            self.findings.push(finding);
        }
    }
}

impl Validator {
    /// A validator with empty caches.
    pub fn new() -> Validator {
        Validator::default()
    }

    /// Validates an input; paths that could not be read become findings.
    pub fn validate(&mut self, input: &Input, unreadable: &[UnreadableFile]) -> Validated {
        let loaded = self.loader.load(input);
        let mut catalog = loaded.main.catalog;
        let mut before = std::mem::take(&mut self.checkers);
        let mut checker = before.remove(&catalog.environment).unwrap_or_default();
        let mut checked = checker.check(&catalog, None);
        let mut collected = CollectedFindings::default();
        collected.add(loaded.main.findings);

        let mut others = Vec::new();
        for (name, view) in loaded.environments {
            let key = Some(name.clone());
            let mut other = before.remove(&key).unwrap_or_default();
            let tally = other.check(&view.catalog, Some(&checker));
            checked = CacheTally { hits: checked.hits + tally.hits, misses: checked.misses + tally.misses };
            others.push((name, view, other));
        }
        let used: Vec<&Checker> = others.iter().map(|(.., checker)| checker).collect();
        collected.add(check::catalog_findings(&catalog, &checker, &used));
        let mut environments = BTreeMap::new();
        let mut known = ReportedFindings::of(&collected.findings);
        for (name, view, other) in others {
            let found = view.findings.into_iter().chain(check::environment_findings(&view.catalog, &other));
            let found: Vec<AttributedFinding> = found.filter(|found| !known.has(&found.finding)).collect();
            known.add(&found);
            collected.add(found);
            environments.insert(name.clone(), view.catalog);
            self.checkers.insert(Some(name), other);
        }
        let secret_uses = checker.secret_uses();
        self.checkers.insert(catalog.environment.clone(), checker);
        self.stats.parsed.add(loaded.read);
        self.stats.checked.add(checked);

        for UnreadableFile { path, finding } in unreadable {
            let id = catalog.sources.add(Source::new(path.as_str(), ""));
            collected.add([AttributedFinding::unattributed(finding.clone().within(id))]);
        }
        // A submodule that is not read says nothing about the rest of the folder.
        let is_silent = collected.findings.iter().all(|finding| finding.code == &codes::SUBMODULE);
        if catalog.entries.is_empty() && is_silent {
            let empty = no_definitions(&input.snapshot.shown_under, &loaded.foreign);
            collected.add([AttributedFinding::unattributed(empty)]);
        }
        let CollectedFindings { mut findings, broken, unattributed } = collected;
        text::sort(&mut findings, &catalog.sources);
        Validated { catalog, findings, environments, foreign: loaded.foreign, secret_uses, broken, unattributed }
    }

    /// Reads an input without checking it.
    pub(super) fn load(&mut self, input: &Input) -> Catalog {
        self.loader.load(input).main.catalog
    }

    /// Counts the connectors that a runtime took over from the previous one.
    pub fn count_compiled(&mut self, runtime: &Runtime) {
        self.stats.compiled.add(runtime.compiled);
    }

    /// Cache hits and misses.
    pub fn stats(&self) -> CacheStats {
        self.stats
    }
}

/// The error of a folder without definitions. It has no place: there is no file to show.
fn no_definitions(folder: &str, foreign: &[ForeignFile]) -> Finding {
    let place = match folder.trim_end_matches('/') {
        "" | "." => "this folder".to_owned(),
        folder => format!("`{folder}`"),
    };
    let message = match foreign.first() {
        None => format!("{place} holds no definitions"),
        Some(first) => format!("{place} holds no definitions; `{}` belongs to another tool", first.path),
    };
    let help = "name the folder that holds them, or run `evenkeel init` to write a first set; a definition starts with \
                `apiVersion: evenkeel.dev/v1alpha1`";
    Finding::general(&codes::EMPTY, message).help(help).severity(Severity::Error)
}

/// Findings that were reported: an equal one at the same place is not reported again for another environment.
struct ReportedFindings(HashSet<(Option<Span>, &'static str)>);

impl ReportedFindings {
    fn of(findings: &[Finding]) -> ReportedFindings {
        ReportedFindings(findings.iter().map(ReportedFindings::key).collect())
    }

    fn key(finding: &Finding) -> (Option<Span>, &'static str) {
        // A secret or variable that an environment lacks is reported once, in one of several wordings.
        let settings = [&codes::UNKNOWN_SECRET, &codes::UNKNOWN_VARIABLE, &codes::PARTLY_PROVIDED];
        let code: &Code = if settings.contains(&finding.code) { &codes::PARTLY_PROVIDED } else { finding.code };
        (finding.span(), code.id)
    }

    fn has(&self, finding: &Finding) -> bool {
        self.0.contains(&ReportedFindings::key(finding))
    }

    fn add(&mut self, found: &[AttributedFinding]) {
        self.0.extend(found.iter().map(|found| ReportedFindings::key(&found.finding)));
    }
}
