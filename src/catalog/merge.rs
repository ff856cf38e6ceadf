//! JSON merge patch (RFC 7396) on documents that know where they stand, and documents composed of several files.

use std::collections::HashMap;
use std::sync::Arc;

use super::read::{self, Part};
use super::{Entry, Origin, RawDocument};
use crate::text::{self, Document, Entry as Field, Finding, Kind, Node, Range, Source, SourceId};

/// Maps of more changes than this are matched by hashing.
const SMALL: usize = 8;

/// A document that others are merged over, or that is merged over others.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) document: Document,
    pub(super) source: Arc<Source>,
    pub(super) written: RawDocument,
    /// Are its paths relative to the root, as the operator's are, instead of to its file?
    pub(super) from_root: bool,
    /// Equal exactly for the same layer.
    pub(super) stamp: u64,
}

/// What a definition is composed of.
pub(super) struct Layers<'a> {
    pub(super) base: Base<'a>,
    /// Merged over it in order.
    pub(super) patches: &'a [Arc<Layer>],
    /// The operator's Environment, merged over all: of what is below it only what a source may say counts.
    pub(super) given: Option<&'a Layer>,
}

/// What others are merged over.
#[derive(Clone, Copy)]
pub(super) enum Base<'a> {
    /// A definition of a file.
    Entry(&'a Entry),
    /// A document by itself.
    Layer(&'a Layer),
}

/// One layer, wherever it is kept.
#[derive(Clone, Copy)]
struct View<'a> {
    document: &'a Document,
    source: &'a Arc<Source>,
    written: &'a RawDocument,
    from_root: bool,
    stamp: u64,
}

impl Layer {
    fn view(&self) -> View<'_> {
        let Layer { document, source, written, from_root, stamp } = self;
        View { document, source, written, from_root: *from_root, stamp: *stamp }
    }
}

impl<'a> Layers<'a> {
    fn base(&self) -> View<'a> {
        match self.base {
            Base::Layer(layer) => layer.view(),
            Base::Entry(entry) => View {
                document: &entry.document,
                source: &entry.source,
                written: &entry.origin.base,
                from_root: false,
                stamp: entry.stamp,
            },
        }
    }

    fn all(&self) -> impl Iterator<Item = View<'a>> + use<'a> {
        let patches = self.patches.iter().map(|patch| patch.view());
        std::iter::once(self.base()).chain(patches).chain(self.given.map(Layer::view))
    }

    /// Equal exactly for the same layers in the same order.
    pub(super) fn stamps(&self) -> Vec<u64> {
        self.all().map(|layer| layer.stamp).collect()
    }

    /// The definition that they make, with what is wrong with its shape where it was really written.
    pub(super) fn compose(&self) -> Part {
        let extents: Vec<Range> = self.all().map(|layer| layer.document.root.extent()).collect();
        let part = |(layer, extent): (View<'_>, &Range)| {
            text::Part::new(Arc::clone(layer.source), layer.document.source, *extent, layer.from_root)
        };
        let (source, starts) = Source::composed(self.all().zip(&extents).map(part).collect());
        let mut moved = self.all().zip(&extents).zip(&starts).map(|((layer, extent), start)| {
            let mut root = layer.document.root.clone();
            root.move_by(extent.start, *start);
            root
        });
        let Some(mut root) = moved.next() else {
            return Part { entry: None, nameless: None, findings: Vec::new() };
        };
        for (at, patch) in moved.enumerate() {
            if self.given.is_some() && at == self.patches.len() {
                leave_to_the_operator(&mut root, &patch);
            }
            merge(&mut root, &without_identity(patch));
        }
        let base = self.base();
        let id = base.document.source;
        let patches = self.all().skip(1).map(|layer| layer.written.clone()).collect();
        let origin = Origin { base: base.written.clone(), patches };
        let source = Arc::new(source);
        let mut findings = Vec::new();
        let entry = read::entry(Document { source: id, root }, &source, origin, &mut findings);
        let findings = findings.into_iter().map(|finding| placed(finding, &source, id)).collect();
        Part { entry: entry.map(Arc::new), nameless: None, findings }
    }
}

/// A finding whose places are in a composed text, with places in files.
fn placed(mut finding: Finding, source: &Source, id: SourceId) -> Finding {
    for label in &mut finding.labels {
        label.span = source.written(id, Range { start: label.span.start, end: label.span.end });
    }
    finding
}

/// What a patch says beside what it is for.
fn without_identity(mut patch: Node) -> Node {
    if let Some(entries) = patch.entries_mut() {
        entries.retain(|entry| !matches!(&*entry.key.name, "apiVersion" | "kind"));
        let metadata = entries.iter_mut().find(|entry| &*entry.key.name == "metadata");
        if let Some(metadata) = metadata.and_then(|entry| entry.value.entries_mut()) {
            metadata.retain(|entry| &*entry.key.name != "name");
        }
    }
    patch
}

/// Takes out of a source's Environment what only the operator may say: where definitions come from, when they go live,
/// which private networks are reached, and what is read from the process and its machine. A secret that the operator's
/// document provides too comes from there alone: merged, it would have two sources.
fn leave_to_the_operator(root: &mut Node, operators: &Node) {
    const OPERATOR: [&str; 8] =
        ["source", "sources", "sync", "interval", "suspend", "promoteFrom", "notifications", "history"];
    const PROVIDERS: [&str; 4] = ["env", "file", "kubernetes", "vault"];
    let given = operators.pointer("/spec/secrets");
    if let Some(spec) = root.pointer_mut("/spec").and_then(Node::entries_mut) {
        spec.retain(|entry| !OPERATOR.contains(&&*entry.key.name));
    }
    if let Some(egress) = root.pointer_mut("/spec/egress").and_then(Node::entries_mut) {
        egress.retain(|entry| &*entry.key.name != "privateNetworks");
    }
    if let Some(secrets) = root.pointer_mut("/spec/secrets").and_then(Node::entries_mut) {
        secrets.retain(|secret| {
            let replaced = given.is_some_and(|given| given.get(&secret.key.name).is_some());
            !replaced && !PROVIDERS.iter().any(|provider| secret.value.get(provider).is_some())
        });
    }
}

/// Merges a patch over a value: maps key by key, `null` removes, everything else is replaced (RFC 7396, 2).
pub(super) fn merge(target: &mut Node, patch: &Node) {
    let Kind::Map(changes) = &patch.kind else {
        *target = patch.clone();
        return;
    };
    if !matches!(target.kind, Kind::Map(_)) {
        *target = Node { kind: Kind::Map(Vec::new()), span: patch.span };
    }
    let Some(entries) = target.entries_mut() else { return };
    let places: Option<HashMap<Arc<str>, usize>> = (changes.len() > SMALL)
        .then(|| entries.iter().enumerate().map(|(at, entry)| (entry.key.name.clone(), at)).collect());
    let mut removed = vec![false; entries.len()];
    for change in changes {
        let place = match &places {
            Some(places) => places.get(&change.key.name).copied(),
            None => entries.iter().position(|entry| entry.key.name == change.key.name),
        };
        match (place, change.value.is_null()) {
            (Some(at), true) => {
                if let Some(removed) = removed.get_mut(at) {
                    *removed = true;
                }
            }
            (None, true) => {}
            (Some(at), false) => {
                let Some(entry) = entries.get_mut(at) else { continue };
                if !matches!((&entry.value.kind, &change.value.kind), (Kind::Map(_), Kind::Map(_))) {
                    entry.key = change.key.clone();
                }
                merge(&mut entry.value, &change.value);
            }
            (None, false) => {
                let mut value = Node { kind: Kind::Null, span: change.value.span };
                merge(&mut value, &change.value);
                entries.push(Field { key: change.key.clone(), value });
            }
        }
    }
    let mut at = 0;
    entries.retain(|_| {
        at += 1;
        !removed.get(at - 1).copied().unwrap_or(false)
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{ReadLimits, Source};

    fn node(json: &str) -> Node {
        let (mut documents, findings) = text::parse(&Source::new("a.json", json), &ReadLimits::default());
        assert!(findings.is_empty(), "{findings:?}");
        documents.remove(0).root
    }

    /// RFC 7396, appendix A. Its cases with a `null` at the top are left out: no document is one.
    #[test]
    fn patches_are_those_of_rfc_7396() {
        let cases = [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"a":null}"#, r"{}"),
            (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
            (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
            (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
            (r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#),
            (r#"{"a":"b"}"#, r#"["c"]"#, r#"["c"]"#),
            (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
            (r"[1,2]", r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
            (r"{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
        ];
        for (target, patch, expected) in cases {
            let mut merged = node(target);
            merge(&mut merged, &node(patch));
            assert_eq!(merged.to_json(), node(expected).to_json(), "{target} + {patch}");
        }
    }

    #[test]
    fn large_maps_are_merged_as_small_ones() {
        let of = |numbers: std::ops::Range<u32>, value: &str| {
            let entries: Vec<String> = numbers.map(|number| format!("\"k{number}\":{value}")).collect();
            node(&format!("{{{}}}", entries.join(",")))
        };
        let mut merged = of(0..100, "1");
        merge(&mut merged, &of(50..70, "null"));
        merge(&mut merged, &of(70..120, "2"));
        let (old, new) = (of(0..50, "1").to_json(), of(70..120, "2").to_json());
        let mut expected = old.as_object().unwrap().clone();
        expected.extend(new.as_object().unwrap().clone());
        assert_eq!(merged.to_json(), serde_json::Value::Object(expected));
    }
}
