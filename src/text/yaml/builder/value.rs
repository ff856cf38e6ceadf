//! What scalars mean.

use granit_parser::ScalarStyle;

use super::super::mistake::{self, UNQUOTED_TEMPLATE};
use super::{
    Builder, Kind, Node, Plain, Range, Shape, Tagged, Text, TextStyle, codes, excerpt, finding, range, scalar, slice,
};

/// The tags of the core schema.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Core {
    Str,
    Int,
    Float,
    Bool,
    Null,
    Map,
    Seq,
}

/// A key without quotes or tag: its text, or the value that it is mistaken for.
pub(super) fn plain_key(value: &str, span: Range) -> Node {
    let kind = match scalar::plain(value) {
        Plain::Text => text(value, TextStyle::Plain),
        Plain::Null => Kind::Null,
        Plain::Bool(value) => Kind::Bool(value),
        Plain::Number(number) | Plain::Ambiguous(number) | Plain::TooLarge(number) => Kind::Number(number),
        Plain::NotFinite => Kind::Number(0.into()),
    };
    Node { kind, span }
}

impl Builder<'_> {
    /// A value, by its tag and the core schema.
    pub(super) fn value(&mut self, value: &str, style: ScalarStyle, tag: Tagged<'_>, span: Range) -> Node {
        let style = match style {
            ScalarStyle::Plain => TextStyle::Plain,
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => TextStyle::Quoted,
            ScalarStyle::Literal => TextStyle::Literal,
            ScalarStyle::Folded => TextStyle::Folded,
        };
        let kind = match self.core(tag) {
            Some(core) => self.tagged(core, value, style, span),
            None if style == TextStyle::Plain => self.plain(value, span),
            None => text(value, style),
        };
        Node { kind, span }
    }

    /// Reports a tag on a list or map that is not its own.
    pub(super) fn check_collection_tag(&mut self, shape: Shape, tag: Tagged<'_>) {
        let Some((core, (_, at))) = self.core(tag).zip(tag) else { return };
        let (own, name) = if shape == Shape::Map { (Core::Map, "a map") } else { (Core::Seq, "a list") };
        if core != own {
            let message = format!("the tag `{}` is on {name}", excerpt(slice(self.text, at)));
            self.report(finding(&codes::WRONG_TYPE, at, message).help("remove the tag"));
        }
    }

    /// Ends an unquoted template: it is taken as the string that was meant, so that nothing else is reported for it.
    pub(super) fn finish_template(&mut self, start: usize, end: usize) {
        let span = range(start, end);
        let written = slice(self.text, span);
        // Outside of brackets the value goes on to the end of its line, or to a comment.
        let whole = if self.stack.last().is_some_and(|open| open.flow) {
            written
        } else {
            let line = self.text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
            let value = line.split_once(" #").map_or(line, |(value, _)| value);
            if value.len() < written.len() { written } else { value }
        };
        self.report(finding(&codes::SYNTAX, span, UNQUOTED_TEMPLATE).help(mistake::quoted(whole)));
        let node = Node { kind: text(written, TextStyle::Plain), span };
        self.cursor = self.cursor.max(end);
        self.attach(node, 0, span);
    }

    fn plain(&mut self, value: &str, span: Range) -> Kind {
        let quote = || format!("quote it if it is text: `\"{}\"`", excerpt(value));
        match scalar::plain(value) {
            Plain::Null => Kind::Null,
            Plain::Bool(value) => Kind::Bool(value),
            Plain::Number(number) => Kind::Number(number),
            Plain::Text => text(value, TextStyle::Plain),
            Plain::Ambiguous(number) => {
                let message = format!("`{}` is a different number to different readers", excerpt(value));
                let help = format!("{}; drop the zero in front if it is a number", quote());
                self.report(finding(&codes::AMBIGUOUS_NUMBER, span, message).help(help));
                Kind::Number(number)
            }
            Plain::NotFinite => {
                let message = format!("`{}` is a number that JSON cannot hold", excerpt(value));
                self.report(finding(&codes::NOT_FINITE, span, message).help(quote()));
                Kind::Number(0.into())
            }
            Plain::TooLarge(number) => {
                let message = format!("the integer `{}` does not fit into 64 bits", excerpt(value));
                self.report(finding(&codes::OUT_OF_RANGE, span, message).help(quote()));
                Kind::Number(number)
            }
        }
    }

    fn tagged(&mut self, core: Core, value: &str, style: TextStyle, span: Range) -> Kind {
        // With a tag, quotes do not matter: `!!int "5"` is 5.
        match (core, scalar::plain(value)) {
            (Core::Str, _) => text(value, style),
            (Core::Int, Plain::Number(number)) if !number.is_f64() => Kind::Number(number),
            (Core::Float, Plain::Number(number)) => {
                number.as_f64().and_then(serde_json::Number::from_f64).map_or(Kind::Number(number), Kind::Number)
            }
            (Core::Bool, Plain::Bool(value)) => Kind::Bool(value),
            (Core::Null, Plain::Null) => Kind::Null,
            (Core::Int | Core::Float, Plain::Ambiguous(_) | Plain::NotFinite | Plain::TooLarge(_)) => {
                self.plain(value, span)
            }
            _ => {
                let message = format!("`{}` is not what its tag says", excerpt(value));
                self.report(finding(&codes::WRONG_TYPE, span, message).help("correct the value, or remove the tag"));
                text(value, style)
            }
        }
    }

    /// The tag's meaning; a tag that has none is reported.
    fn core(&mut self, tag: Tagged<'_>) -> Option<Core> {
        let (tag, at) = tag?;
        match tag.core_suffix() {
            Some("str") => Some(Core::Str),
            Some("int") => Some(Core::Int),
            Some("float") => Some(Core::Float),
            Some("bool") => Some(Core::Bool),
            Some("null") => Some(Core::Null),
            Some("map") => Some(Core::Map),
            Some("seq") => Some(Core::Seq),
            _ => {
                let message = format!("the tag `{}` means nothing here", excerpt(slice(self.text, at)));
                let help = "remove the tag; if the text starts with `!`, quote it";
                self.report(finding(&codes::UNKNOWN_TAG, at, message).help(help));
                None
            }
        }
    }
}

fn text(value: &str, style: TextStyle) -> Kind {
    Kind::Text(Text { value: value.into(), style })
}
