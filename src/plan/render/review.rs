//! The frame of a rendered plan: the two compared states with their files and findings.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use super::neutral::neutral;
use crate::plan::model::{Action, Verb};
use crate::plan::object::SourceLocation;
use crate::text::Severity;
use crate::text::render::ReportedFinding;

/// Characters that are escaped in a path of a URL: all except the unreserved ones of RFC 3986 and the separator.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// The revisions of both sides of a plan, in readable form.
#[derive(Clone, Copy, Debug)]
pub struct Revisions<'a> {
    /// The revision of the observed definitions.
    pub from: &'a str,
    /// The revision of the desired definitions.
    pub to: &'a str,
    /// The folder of the definitions from the root of their repository; empty for the root.
    pub folder: &'a str,
}

/// The compared states of a plan.
#[derive(Clone, Debug, Default)]
pub struct Review {
    /// The name of the environment.
    pub environment: String,
    /// The observed state.
    pub before: ReviewSide,
    /// The desired state.
    pub after: ReviewSide,
    /// Remarks, one sentence each.
    pub notes: Vec<String>,
    /// The reason why there is no plan, unless findings are the reason.
    pub error: Option<String>,
}

/// One of the two compared states.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReviewSide {
    /// The folder, revision or environment in readable form, such as `main@4f0c2d1a3b`.
    pub name: String,
    /// The commit, if the state is a Git revision.
    pub commit: Option<String>,
    /// The folder of the definitions from the root of the repository; empty for the root.
    pub folder: String,
    /// Address of the root of the repository at the revision on a Git host, without a final slash:
    /// `https://git.example/team/definitions/blob/4f0c2d1a`.
    pub url: Option<String>,
    /// The findings; their paths start at the root of the repository.
    #[serde(skip)]
    pub findings: Vec<ReportedFinding>,
}

impl From<&Revisions<'_>> for Review {
    fn from(revisions: &Revisions<'_>) -> Review {
        let folder = revisions.folder;
        let side =
            |name: &str| ReviewSide { name: name.to_owned(), folder: folder.to_owned(), ..ReviewSide::default() };
        Review { before: side(revisions.from), after: side(revisions.to), ..Review::default() }
    }
}

impl ReviewSide {
    /// Number of errors.
    pub fn errors(&self) -> usize {
        self.findings.iter().filter(|finding| finding.severity == Severity::Error).count()
    }

    /// Number of warnings.
    pub fn warnings(&self) -> usize {
        self.findings.len() - self.errors()
    }

    /// Path of a file of the source from the root of the repository.
    pub(super) fn path(&self, path: &str) -> String {
        match self.folder.trim_end_matches('/') {
            "" => path.to_owned(),
            folder => format!("{folder}/{path}"),
        }
    }

    /// Address of a line on the Git host. No character of the path can end a Markdown link.
    pub(super) fn link(&self, path: &str, line: Option<u32>) -> Option<String> {
        let url = self.url.as_ref()?.replace('(', "%28").replace(')', "%29");
        let line = line.map_or_else(String::new, |line| format!("#L{line}"));
        Some(format!("{url}/{}{line}", utf8_percent_encode(path, PATH)))
    }
}

/// A place as it is shown.
pub(super) struct ShownPlace {
    /// `path:line`, from the root of the repository.
    pub(super) text: String,
    /// Its address on the Git host.
    pub(super) link: Option<String>,
}

impl Review {
    /// The place of an action's declaration: of a removal in the state before.
    pub(super) fn place(&self, action: &Action) -> ShownPlace {
        match action.action {
            Verb::Delete => shown(&self.before, &action.place),
            Verb::Create | Verb::Update | Verb::Move | Verb::Adopt => shown(&self.after, &action.place),
        }
    }

    /// The former place of an action's declaration, if it is in another file.
    pub(super) fn former_place(&self, action: &Action) -> Option<ShownPlace> {
        action.was.as_ref().map(|was| shown(&self.before, was))
    }

    /// A file that an action's definition refers to.
    pub(super) fn file(&self, action: &Action, path: &str) -> ShownPlace {
        let side = if action.action == Verb::Delete { &self.before } else { &self.after };
        let path = side.path(path);
        ShownPlace { link: side.link(&path, None), text: neutral(&path) }
    }
}

fn shown(side: &ReviewSide, place: &SourceLocation) -> ShownPlace {
    let path = side.path(&place.path);
    ShownPlace { link: side.link(&path, Some(place.line)), text: neutral(&format!("{path}:{}", place.line)) }
}
