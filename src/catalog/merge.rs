//! JSON merge patch (RFC 7396) on documents with positions, and documents composed of several files.

use std::collections::HashMap;
use std::sync::Arc;

use super::entry::Entry;
use super::input::{Origin, RawDocument};
use super::ownership::Ownership;
use super::read::{self, ParsedDocument};
use crate::text::{self, Document, Entry as Field, Finding, Node, NodeKind, Range, Source, SourceId};

/// Number of changes of a map above which keys are matched by hashing.
const MAX_LINEAR_SEARCH: usize = 8;

/// A document that takes part in a merge.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) document: Document,
    pub(super) source: Arc<Source>,
    pub(super) written: RawDocument,
    /// True if its paths are relative to the root, as the operator's are, and not to its file.
    pub(super) from_root: bool,
    /// The identity of the layer: two layers have the same stamp only if they are the same layer.
    pub(super) stamp: u64,
}

/// The layers of a composed definition.
pub(super) struct Layers<'a> {
    pub(super) base: BaseLayer<'a>,
    /// Patches over the base, in order.
    pub(super) patches: &'a [Arc<Layer>],
    /// The operator's Environment, merged over all. Fields that only the operator may set are removed from the layers
    /// below.
    pub(super) operator: Option<&'a Layer>,
}

/// The lowest layer.
#[derive(Clone, Copy)]
pub(super) enum BaseLayer<'a> {
    /// A definition.
    Entry(&'a Entry),
    /// A document that is no definition on its own.
    Layer(&'a Layer),
}

/// A borrowed layer of any kind.
#[derive(Clone, Copy)]
struct LayerRef<'a> {
    document: &'a Document,
    source: &'a Arc<Source>,
    written: &'a RawDocument,
    from_root: bool,
    stamp: u64,
}

impl Layer {
    fn borrow(&self) -> LayerRef<'_> {
        let Layer { document, source, written, from_root, stamp } = self;
        LayerRef { document, source, written, from_root: *from_root, stamp: *stamp }
    }
}

impl<'a> Layers<'a> {
    fn base(&self) -> LayerRef<'a> {
        match self.base {
            BaseLayer::Layer(layer) => layer.borrow(),
            BaseLayer::Entry(entry) => LayerRef {
                document: &entry.document,
                source: &entry.source,
                written: &entry.origin.base,
                from_root: false,
                stamp: entry.stamp,
            },
        }
    }

    fn all(&self) -> impl Iterator<Item = LayerRef<'a>> + use<'a> {
        let patches = self.patches.iter().map(|patch| patch.borrow());
        std::iter::once(self.base()).chain(patches).chain(self.operator.map(Layer::borrow))
    }

    /// The stamps of all layers, in order.
    pub(super) fn stamps(&self) -> Vec<u64> {
        self.all().map(|layer| layer.stamp).collect()
    }

    /// The composed definition, with schema findings at the places of the original documents.
    pub(super) fn compose(&self) -> ParsedDocument {
        let extents: Vec<Range> = self.all().map(|layer| layer.document.root.extent()).collect();
        let source_part = |(layer, extent): (LayerRef<'_>, &Range)| {
            text::SourcePart::new(Arc::clone(layer.source), layer.document.source, *extent, layer.from_root)
        };
        let (source, starts) = Source::composed(self.all().zip(&extents).map(source_part).collect());
        let mut moved = self.all().zip(&extents).zip(&starts).map(|((layer, extent), start)| {
            let mut root = layer.document.root.clone();
            root.move_by(extent.start, *start);
            root
        });
        let Some(mut root) = moved.next() else {
            return ParsedDocument { entry: None, nameless: None, findings: Vec::new() };
        };
        for (at, patch) in moved.enumerate() {
            if self.operator.is_some() && at == self.patches.len() {
                remove_operator_fields(&mut root, &patch);
            }
            merge(&mut root, &without_identity(patch));
        }
        let base = self.base();
        let id = base.document.source;
        let patches = self.all().skip(1).map(|layer| layer.written.clone()).collect();
        let origin = Origin { base: base.written.clone(), patches };
        let source = Arc::new(source);
        let mut findings = Vec::new();
        let document = Document { source: id, root };
        let entry = read::entry(document, Ownership::Definition, &source, origin, &mut findings);
        let findings = findings.into_iter().map(|finding| relocated(finding, &source, id)).collect();
        ParsedDocument { entry: entry.map(Arc::new), nameless: None, findings }
    }
}

/// Translates the places of a finding from the composed text to the original files.
fn relocated(mut finding: Finding, source: &Source, id: SourceId) -> Finding {
    for label in &mut finding.labels {
        label.span = source.original_span(id, Range { start: label.span.start, end: label.span.end });
    }
    finding
}

/// A patch without the fields that identify its target.
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

/// Removes from a source's Environment the fields that only the operator may set: the sources, when definitions go
/// live, the private networks that may be reached, and secrets that are read from the process, its machine or its
/// cluster. A secret that the operator's document provides comes from there alone: merged, it would have two sources.
fn remove_operator_fields(root: &mut Node, operator: &Node) {
    const OPERATOR: [&str; 8] =
        ["source", "sources", "sync", "interval", "suspend", "promoteFrom", "notifications", "history"];
    const PROVIDERS: [&str; 4] = ["env", "file", "kubernetes", "vault"];
    let provided = operator.pointer("/spec/secrets");
    if let Some(spec) = root.pointer_mut("/spec").and_then(Node::entries_mut) {
        spec.retain(|entry| !OPERATOR.contains(&&*entry.key.name));
    }
    if let Some(egress) = root.pointer_mut("/spec/egress").and_then(Node::entries_mut) {
        egress.retain(|entry| &*entry.key.name != "privateNetworks");
    }
    if let Some(secrets) = root.pointer_mut("/spec/secrets").and_then(Node::entries_mut) {
        secrets.retain(|secret| {
            let replaced = provided.is_some_and(|provided| provided.get(&secret.key.name).is_some());
            !replaced && !PROVIDERS.iter().any(|provider| secret.value.get(provider).is_some())
        });
    }
}

/// Merges a patch over a value: maps key by key, `null` removes, everything else is replaced (RFC 7396, 2).
pub(super) fn merge(target: &mut Node, patch: &Node) {
    let NodeKind::Map(changes) = &patch.kind else {
        *target = patch.clone();
        return;
    };
    if !matches!(target.kind, NodeKind::Map(_)) {
        *target = Node { kind: NodeKind::Map(Vec::new()), span: patch.span };
    }
    let Some(entries) = target.entries_mut() else { return };
    let places: Option<HashMap<Arc<str>, usize>> = (changes.len() > MAX_LINEAR_SEARCH)
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
                if !matches!((&entry.value.kind, &change.value.kind), (NodeKind::Map(_), NodeKind::Map(_))) {
                    entry.key = change.key.clone();
                }
                merge(&mut entry.value, &change.value);
            }
            (None, false) => {
                let mut value = Node { kind: NodeKind::Null, span: change.value.span };
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

    /// RFC 7396, appendix A, without the cases of a top-level `null`, which no document is.
    #[test]
    fn merges_as_in_appendix_a_of_rfc_7396() {
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
    fn merges_large_maps_like_small_ones() {
        let map = |numbers: std::ops::Range<u32>, value: &str| {
            let entries: Vec<String> = numbers.map(|number| format!("\"k{number}\":{value}")).collect();
            node(&format!("{{{}}}", entries.join(",")))
        };
        let mut merged = map(0..100, "1");
        merge(&mut merged, &map(50..70, "null"));
        merge(&mut merged, &map(70..120, "2"));
        let (old, new) = (map(0..50, "1").to_json(), map(70..120, "2").to_json());
        let mut expected = old.as_object().unwrap().clone();
        expected.extend(new.as_object().unwrap().clone());
        assert_eq!(merged.to_json(), serde_json::Value::Object(expected));
    }
}
