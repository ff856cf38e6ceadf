//! Resolution of scalars and tags.

use granit_parser::ScalarStyle;

use super::super::syntax_error::{self, UNQUOTED_TEMPLATE};
use super::{Builder, CollectionKind, Tagged};
use crate::text::codes;
use crate::text::node::{Node, NodeKind, TextStyle};
use crate::text::scalar::{self, Plain};
use crate::text::span::Range;
use crate::text::tree::{excerpt, finding, range, slice};

/// The tags of the core schema.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CoreTag {
    Str,
    Int,
    Float,
    Bool,
    Null,
    Map,
    Seq,
}

impl Builder<'_> {
    /// Resolves a scalar by its tag and the core schema.
    pub(super) fn value(&mut self, value: &str, style: ScalarStyle, tag: Tagged<'_>, span: Range) -> Node {
        let style = match style {
            ScalarStyle::Plain => TextStyle::Plain,
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => TextStyle::Quoted,
            ScalarStyle::Literal => TextStyle::Literal,
            ScalarStyle::Folded => TextStyle::Folded,
        };
        let kind = match self.core_tag(tag) {
            Some(core) => self.tagged_scalar(core, value, style, span),
            None if style == TextStyle::Plain => self.plain_scalar(value, span),
            None => NodeKind::text(value, style),
        };
        Node { kind, span }
    }

    /// Reports a tag of another type on a list or map.
    pub(super) fn check_collection_tag(&mut self, kind: CollectionKind, tag: Tagged<'_>) {
        let Some((core, (_, at))) = self.core_tag(tag).zip(tag) else { return };
        let (own, name) = if kind == CollectionKind::Map { (CoreTag::Map, "a map") } else { (CoreTag::Seq, "a list") };
        if core != own {
            let message = format!("the tag `{}` is on {name}", excerpt(slice(self.text, at)));
            self.report(finding(&codes::WRONG_TYPE, at, message).help("remove the tag"));
        }
    }

    /// Completes an unquoted template: it is read as the string that was meant, so that no further finding results.
    pub(super) fn finish_template(&mut self, start: usize, end: usize) {
        let span = range(start, end);
        let written = slice(self.text, span);
        // Outside of brackets the value extends to the end of its line or to a comment.
        let whole = if self.stack.last().is_some_and(|open| open.flow) {
            written
        } else {
            let line = self.text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
            let value = line.split_once(" #").map_or(line, |(value, _)| value);
            if value.len() < written.len() { written } else { value }
        };
        self.report(finding(&codes::SYNTAX, span, UNQUOTED_TEMPLATE).help(syntax_error::quoting_help(whole)));
        let node = Node { kind: NodeKind::text(written, TextStyle::Plain), span };
        self.cursor = self.cursor.max(end);
        self.attach(node, 0, span);
    }

    fn plain_scalar(&mut self, value: &str, span: Range) -> NodeKind {
        let quote = || format!("quote it if it is text: `\"{}\"`", excerpt(value));
        match scalar::plain(value) {
            Plain::Null => NodeKind::Null,
            Plain::Bool(value) => NodeKind::Bool(value),
            Plain::Number(number) => NodeKind::Number(number),
            Plain::Text => NodeKind::text(value, TextStyle::Plain),
            Plain::Ambiguous(number) => {
                let message = format!("`{}` is read as different numbers by different YAML readers", excerpt(value));
                let help = format!("{}; drop the leading zero if it is a number", quote());
                self.report(finding(&codes::AMBIGUOUS_NUMBER, span, message).help(help));
                NodeKind::Number(number)
            }
            Plain::NotFinite => {
                let message = format!("`{}` is a number that JSON cannot represent", excerpt(value));
                self.report(finding(&codes::NOT_FINITE, span, message).help(quote()));
                NodeKind::Number(0.into())
            }
            Plain::TooLarge(number) => {
                let message = format!("the integer `{}` does not fit into 64 bits", excerpt(value));
                self.report(finding(&codes::OUT_OF_RANGE, span, message).help(quote()));
                NodeKind::Number(number)
            }
        }
    }

    fn tagged_scalar(&mut self, core: CoreTag, value: &str, style: TextStyle, span: Range) -> NodeKind {
        // With a tag, quotes have no meaning: `!!int "5"` is 5.
        match (core, scalar::plain(value)) {
            (CoreTag::Str, _) => NodeKind::text(value, style),
            (CoreTag::Int, Plain::Number(number)) if !number.is_f64() => NodeKind::Number(number),
            (CoreTag::Float, Plain::Number(number)) => number
                .as_f64()
                .and_then(serde_json::Number::from_f64)
                .map_or(NodeKind::Number(number), NodeKind::Number),
            (CoreTag::Bool, Plain::Bool(value)) => NodeKind::Bool(value),
            (CoreTag::Null, Plain::Null) => NodeKind::Null,
            (CoreTag::Int | CoreTag::Float, Plain::Ambiguous(_) | Plain::NotFinite | Plain::TooLarge(_)) => {
                self.plain_scalar(value, span)
            }
            _ => {
                let message = format!("`{}` does not match its tag", excerpt(value));
                self.report(finding(&codes::WRONG_TYPE, span, message).help("correct the value, or remove the tag"));
                NodeKind::text(value, style)
            }
        }
    }

    /// The tag of the core schema; any other tag is reported.
    fn core_tag(&mut self, tag: Tagged<'_>) -> Option<CoreTag> {
        let (tag, at) = tag?;
        match tag.core_suffix() {
            Some("str") => Some(CoreTag::Str),
            Some("int") => Some(CoreTag::Int),
            Some("float") => Some(CoreTag::Float),
            Some("bool") => Some(CoreTag::Bool),
            Some("null") => Some(CoreTag::Null),
            Some("map") => Some(CoreTag::Map),
            Some("seq") => Some(CoreTag::Seq),
            _ => {
                let message = format!("the tag `{}` is not supported", excerpt(slice(self.text, at)));
                let help = "remove the tag; if the text starts with `!`, quote it";
                self.report(finding(&codes::UNKNOWN_TAG, at, message).help(help));
                None
            }
        }
    }
}
