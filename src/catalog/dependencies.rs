//! What the checks of one definition asked about the rest, so that they need not run again while the answers stay.
//!
//! Answers are not kept. Whoever keeps findings compares two catalogs, gathers the questions that may be answered
//! otherwise now, and runs again what asked one of them. A question is kept as a hash of it: two that share one cost a
//! check too many, never one too few.

use std::cell::RefCell;
use std::hash::{DefaultHasher, Hash, Hasher as _};

use crate::definition::Kind;

/// Something that the answer of a catalog depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DependencyKey<'a> {
    /// The definition of this kind and name.
    Definition(Kind, &'a str),
    /// All definitions of a kind.
    Kind(Kind),
    /// Is there a document of this name whose kind is not known?
    Nameless(&'a str),
    /// Is there this file?
    File(&'a str),
    /// What does this file of code hold?
    Code(&'a str),
    /// Is there a file in this folder?
    Folder(&'a str),
    /// Which files are there?
    Files,
    /// Which environments provide this secret?
    Secret(&'a str),
    /// Which secrets are provided?
    Secrets,
    /// Who sets this variable?
    Variable(&'a str),
    /// Which variables are set?
    Variables,
    /// Which environments count?
    Environments,
}

/// A question in short.
pub type Key = u64;

impl DependencyKey<'_> {
    /// The question in short.
    pub fn key(&self) -> Key {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }
}

thread_local! {
    static ASKED: RefCell<Option<Vec<Key>>> = const { RefCell::new(None) };
}

/// Notes a question, where somebody is listening.
pub fn ask(question: DependencyKey<'_>) {
    ASKED.with_borrow_mut(|asked| {
        if let Some(asked) = asked {
            asked.push(question.key());
        }
    });
}

/// Runs `work` and gives what it asked, each question once. What runs on other threads is not heard, and neither does
/// one call hear what an inner one does.
pub fn listen<T>(work: impl FnOnce() -> T) -> (T, Box<[Key]>) {
    ASKED.set(Some(Vec::new()));
    let done = work();
    let mut asked = ASKED.take().unwrap_or_default();
    asked.sort_unstable();
    asked.dedup();
    (done, asked.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_heard_once() {
        let both = || {
            ask(DependencyKey::Files);
            ask(DependencyKey::Secret("a"));
            ask(DependencyKey::Files);
        };
        let ((), asked) = listen(both);
        let mut expected = [DependencyKey::Files.key(), DependencyKey::Secret("a").key()];
        expected.sort_unstable();
        assert_eq!(*asked, expected);
        both();
        assert!(listen(|| ()).1.is_empty(), "what was asked before is not heard");
    }

    #[test]
    fn questions_differ() {
        assert_ne!(DependencyKey::Secret("a").key(), DependencyKey::Variable("a").key());
        assert_ne!(DependencyKey::Definition(Kind::Role, "a").key(), DependencyKey::Definition(Kind::Alert, "a").key());
    }
}
