//! Schemas of values that other modules own.

use schemars::{Schema, SchemaGenerator, json_schema};

/// An enum whose values have one text form each.
pub(super) trait Words {
    /// The text forms.
    fn words() -> Vec<&'static str>;
}

macro_rules! words_of {
    ($($name:ty),+ $(,)?) => {
        $(impl Words for $name {
            fn words() -> Vec<&'static str> {
                <$name>::ALL.iter().map(|value| value.as_str()).collect()
            }
        })+
    };
}

words_of!(
    crate::store::queue::ExecutionStatus,
    crate::store::queue::TriggeredBy,
    crate::store::queue::StepStatus,
    crate::store::queue::StepKind,
    crate::store::queue::LogLevel,
    crate::store::queue::EventOutcome,
    crate::store::queue::DeadLetterReason,
    crate::store::queue::DeadLetterStatus,
    crate::store::queue::SubscriptionStatus,
);

/// The schema of an enum of words.
pub(super) fn words<T: Words>(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "enum": T::words()})
}

/// The schema of a digest.
pub(super) fn digest(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"})
}

/// The schema of a digest that may be absent.
pub(super) fn optional_digest(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": ["string", "null"], "pattern": "^sha256:[0-9a-f]{64}$"})
}

/// The schema of a finding, as `validate -o json` writes it.
pub(super) fn findings(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "items": {"type": "object"}})
}
