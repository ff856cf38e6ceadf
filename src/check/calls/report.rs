//! Findings about what callers pass.

use std::borrow::Cow;

use super::callee::Callee;
use super::places::existing;
use crate::catalog::Entry;
use crate::definition::json_schema::{Misfit, MisfitKind};
use crate::text::{Code, Finding, Node, Span, codes, unescaped};

/// A caller in a document: the reference to its callee, and the value that it passes, if one is written.
pub(super) struct Caller<'a> {
    pub(super) entry: &'a Entry,
    pub(super) reference: &'a str,
    pub(super) passed: Option<&'a str>,
}

impl Caller<'_> {
    /// The place of a misfit.
    pub(super) fn span(&self, misfit: &Misfit) -> Span {
        let Some(base) = self.passed.filter(|base| self.entry.node(base).is_some()) else {
            return self.entry.value_span(self.reference);
        };
        if let Some(name) = self.form_field(base, &misfit.pointer) {
            return self.entry.value_span(&name);
        }
        let at = existing(self.entry, base, &misfit.pointer);
        match misfit.kind {
            MisfitKind::Value => self.entry.value_span(&at),
            _ => self.entry.key_span(&at),
        }
    }
}

impl Caller<'_> {
    /// The pointer of the name of a form field, if the passed value is that of a form.
    fn form_field(&self, base: &str, pointer: &str) -> Option<String> {
        let name = unescaped(pointer.strip_prefix('/')?.split('/').next()?);
        let fields = self.entry.node(base).filter(|_| base.ends_with("/fields"))?.items();
        let at = fields.iter().position(|field| field.get("name").and_then(Node::as_str) == Some(&*name))?;
        Some(format!("{base}/{at}/name"))
    }
}

/// The finding about a misfit of an input.
pub(super) fn finding(callee: &Callee<'_>, misfit: &Misfit, span: Span) -> Finding {
    let name = &callee.name;
    let text = &misfit.message;
    let parts: Vec<Cow<'_, str>> = misfit.pointer.split('/').skip(1).map(unescaped).collect();
    let (path, field) = (parts.join("."), parts.last().map_or("", |field| &**field));
    let (code, message): (&'static Code, String) = match misfit.kind {
        MisfitKind::Missing | MisfitKind::Refused => (&codes::CALL_INPUT, format!("in the input of {name}, {text}")),
        MisfitKind::Value => match misfit.pointer.is_empty() {
            true => (&codes::CALL_INPUT, format!("the input does not fit {name}: {text}")),
            false => (&codes::CALL_INPUT, format!("`{path}` does not fit the input of {name}: {text}")),
        },
        MisfitKind::Misspelt | MisfitKind::MissingInType => {
            (&codes::CALL_FIELD, format!("in the input of {name}, {text}"))
        }
        MisfitKind::RefusedIfPresent => {
            (&codes::CALL_FIELD, format!("in the input of {name}, {text}, so a call that has it is refused"))
        }
    };
    let help = misfit.help.clone().unwrap_or_else(|| match misfit.kind {
        MisfitKind::Missing | MisfitKind::MissingInType => {
            format!("pass `{field}`, give it a `default` in the schema, or do not require it")
        }
        MisfitKind::Refused | MisfitKind::RefusedIfPresent | MisfitKind::Misspelt => {
            "remove the field, or declare it in the schema".to_owned()
        }
        MisfitKind::Value => "correct the value, or the schema".to_owned(),
    });
    Finding::new(code, span, message).also(callee.declared_at("input", &misfit.schema), "declared here").help(help)
}
