//! Compiled schemas.

use std::collections::HashMap;

use regex::Regex;

use super::facts::ReferenceKind;
use super::format::ValueFormat;
use crate::definition::Kind;
use crate::definition::planned::Planned;
use crate::text::Code;

/// The compiled schemas of all kinds. A schema refers to its parts by index.
#[derive(Debug)]
pub(super) struct CompiledSchemas {
    pub(super) schemas: Vec<CompiledSchema>,
    /// Index of the schema of each kind.
    pub(super) roots: HashMap<Kind, usize>,
}

/// A compiled schema.
#[derive(Debug, Default)]
pub(super) struct CompiledSchema {
    pub(super) value_type: ValueType,
    pub(super) nullable: bool,
    pub(super) reference: Option<ReferenceKind>,
    pub(super) template: Option<&'static str>,
    pub(super) format: Option<ValueFormat>,
    /// Code of findings in the value, if it replaces the general codes, such as for a filter.
    pub(super) code: Option<&'static Code>,
    /// Minimum and maximum duration, in milliseconds.
    pub(super) duration: (Option<u64>, Option<u64>),
    /// Set if a use of the value is accepted and not in effect.
    pub(super) planned: Option<Planned<'static>>,
    /// The default, if the value is `planned`: a declared default asks for nothing.
    pub(super) default: Option<&'static serde_json::Value>,
}

/// The type of a value, with its constraints.
#[derive(Debug, Default)]
pub(super) enum ValueType {
    #[default]
    Any,
    Bool,
    Integer {
        min: Option<i128>,
        max: Option<i128>,
    },
    Number {
        min: Option<f64>,
        max: Option<f64>,
    },
    Text {
        min: usize,
        max: usize,
        pattern: Option<Regex>,
    },
    /// One of a list of strings.
    Enum(Vec<String>),
    List {
        items: usize,
        min: usize,
        max: usize,
    },
    Map {
        values: usize,
        keys: Option<ValueFormat>,
        /// Allowed keys; empty if any key is allowed.
        key_values: Vec<String>,
        min: usize,
        max: usize,
    },
    Object(ObjectFields),
    /// The first schema that accepts the type of the value.
    Union(Vec<usize>),
    /// Another schema, with the marks of this one.
    Alias(usize),
}

/// The fields of an object.
#[derive(Debug, Default)]
pub(super) struct ObjectFields {
    pub(super) by_name: HashMap<String, usize>,
    pub(super) required: Vec<String>,
    pub(super) exactly_one: Vec<Vec<String>>,
    /// Code of a violation of `exactly_one`, if it differs from the general one.
    pub(super) exactly_one_code: Option<&'static Code>,
    pub(super) at_most_one: Vec<Vec<String>>,
    pub(super) not_empty: bool,
}
