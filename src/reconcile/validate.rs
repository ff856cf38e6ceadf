//! Everything up to the findings, in one call: what `validate` shows is what `dev` and the reconciler act on.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;

use crate::catalog::{self, AttributedFinding, CacheTally, Catalog, Input, Loader};
use crate::check::{self, Checker};
use crate::connector::Runtime;
use crate::definition::Id;
use crate::source::directory::{self, Unreadable};
use crate::text::{self, Code, Finding, Range, Severity, Source, Span, codes};

/// A catalog and everything that is wrong with it, sorted.
#[derive(Debug)]
pub struct Validated {
    /// The catalog: for the environment that was chosen, or before any overlay.
    pub catalog: Catalog,
    /// The findings, sorted by place.
    pub findings: Vec<Finding>,
    /// Where no environment was chosen: the catalogs of those that have overlays or a selector.
    environments: BTreeMap<String, Catalog>,
    broken: BTreeSet<Id>,
    unattributed: bool,
}

impl Validated {
    /// Is there nothing worse than a warning?
    pub fn is_valid(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity != Severity::Error)
    }

    /// Definitions with an error in them, in a patch of them, or in a file of theirs.
    pub fn broken(&self) -> &BTreeSet<Id> {
        &self.broken
    }

    /// Is there an error that may belong to a definition that nobody knows, such as in a file that cannot be parsed?
    pub fn unattributed(&self) -> bool {
        self.unattributed
    }

    /// The catalog that runs in an environment, with its overlays: of the one that is named, or the first.
    pub fn catalog_of(&self, environment: Option<&str>) -> &Catalog {
        let first = || self.catalog.environments().next().map(|(entry, _)| entry.id.name.as_str());
        let name = environment.or_else(first);
        name.and_then(|name| self.environments.get(name)).unwrap_or(&self.catalog)
    }
}

/// Reads and checks a folder or a file.
///
/// # Errors
/// Where the path itself cannot be read.
pub fn folder(path: &Path) -> std::io::Result<Validated> {
    let (snapshot, unreadable) = directory::read(path)?;
    Ok(with(&snapshot, unreadable))
}

/// Checks a snapshot; what could not be read becomes findings.
pub fn with(snapshot: &catalog::Snapshot, unreadable: Vec<Unreadable>) -> Validated {
    let input = Input { snapshot: snapshot.clone(), ..Input::default() };
    Validator::new().validate(&input, &unreadable)
}

/// Examines one input after the other. What was read and found before is kept while it can still be so: a call costs
/// what changed, and gives the same as one that has nothing to remember.
#[derive(Debug, Default)]
pub struct Validator {
    loader: Loader,
    /// By environment; `None` for the catalog before any overlay.
    checkers: BTreeMap<Option<String>, Checker>,
    stats: CacheStats,
}

/// How much of the work of a call was there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Files read.
    pub parsed: Counts,
    /// Definitions checked.
    pub checked: Counts,
    /// Connectors compiled, as far as they were counted ([`Validator::count_compiled`]).
    pub compiled: Counts,
}

/// Of one kind of work: in the last call, and in all.
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

/// What is wrong, with whose it is, as it is gathered.
#[derive(Default)]
struct Gathered {
    findings: Vec<Finding>,
    broken: BTreeSet<Id>,
    unattributed: bool,
}

impl Gathered {
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
    /// One that remembers nothing yet.
    pub fn new() -> Validator {
        Validator::default()
    }

    /// Reads and checks an input; what could not be read becomes findings.
    pub fn validate(&mut self, input: &Input, unreadable: &[Unreadable]) -> Validated {
        let loaded = self.loader.load(input);
        let mut catalog = loaded.main.catalog;
        let mut before = std::mem::take(&mut self.checkers);
        let mut checker = before.remove(&catalog.environment).unwrap_or_default();
        let mut checked = checker.check(&catalog, None);
        let mut gathered = Gathered::default();
        gathered.add(loaded.main.findings);

        let mut others = Vec::new();
        for (name, view) in loaded.environments {
            let key = Some(name.clone());
            let mut other = before.remove(&key).unwrap_or_default();
            let tally = other.check(&view.catalog, Some(&checker));
            checked = CacheTally { hits: checked.hits + tally.hits, misses: checked.misses + tally.misses };
            others.push((name, view, other));
        }
        let used: Vec<&Checker> = others.iter().map(|(.., checker)| checker).collect();
        gathered.add(check::catalog_findings(&catalog, &checker, &used));
        let mut environments = BTreeMap::new();
        let mut known = KnownContents::of(&gathered.findings);
        for (name, view, other) in others {
            let found = view.findings.into_iter().chain(check::environment_findings(&view.catalog, &other));
            let found: Vec<AttributedFinding> = found.filter(|found| !known.has(&found.finding)).collect();
            known.add(&found);
            gathered.add(found);
            environments.insert(name.clone(), view.catalog);
            self.checkers.insert(Some(name), other);
        }
        self.checkers.insert(catalog.environment.clone(), checker);
        self.stats.parsed.add(loaded.read);
        self.stats.checked.add(checked);

        for Unreadable { path, finding } in unreadable {
            let id = catalog.sources.add(Source::new(path.as_str(), ""));
            gathered.add([AttributedFinding::unattributed(finding.clone().within(id))]);
        }
        if catalog.entries.is_empty() && gathered.findings.is_empty() {
            let id = catalog.sources.add(Source::new(".", ""));
            let nothing = Finding::new(&codes::EMPTY, Range::default().within(id), "there are no definitions here")
                .help("check the path, or let `evenkeel init` write a first one")
                .severity(Severity::Error);
            gathered.add([AttributedFinding::unattributed(nothing)]);
        }
        let Gathered { mut findings, broken, unattributed } = gathered;
        text::sort(&mut findings, &catalog.sources);
        Validated { catalog, findings, environments, broken, unattributed }
    }

    /// Counts what a runtime took over from the one before it.
    pub fn count_compiled(&mut self, runtime: &Runtime) {
        self.stats.compiled.add(runtime.compiled);
    }

    /// How much was there already.
    pub fn stats(&self) -> CacheStats {
        self.stats
    }
}

/// What was told already: the same at the same place is not told again for another environment.
struct KnownContents(HashSet<(Option<Span>, &'static str)>);

impl KnownContents {
    fn of(findings: &[Finding]) -> KnownContents {
        KnownContents(findings.iter().map(KnownContents::key).collect())
    }

    fn key(finding: &Finding) -> (Option<Span>, &'static str) {
        // Of a secret or variable that an environment lacks it is enough to be told once, in whatever words.
        let settings = [&codes::UNKNOWN_SECRET, &codes::UNKNOWN_VARIABLE, &codes::PARTLY_PROVIDED];
        let code: &Code = if settings.contains(&finding.code) { &codes::PARTLY_PROVIDED } else { finding.code };
        (finding.span(), code.id)
    }

    fn has(&self, finding: &Finding) -> bool {
        self.0.contains(&KnownContents::key(finding))
    }

    fn add(&mut self, found: &[AttributedFinding]) {
        self.0.extend(found.iter().map(|found| KnownContents::key(&found.finding)));
    }
}
