//! Times in the API.

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};

use crate::store::Micros;

/// A time, as RFC 3339 text in UTC with six digits of a second, such as `2026-11-29T22:45:01.123456Z`: texts sort by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(transparent)]
pub struct Time(pub Timestamp);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:.6}", self.0))
    }
}

impl Time {
    /// A time of the store; `None` for 0, which stands for no time, and for years beyond 9999.
    pub fn of(micros: Micros) -> Option<Time> {
        (micros != 0).then(|| Timestamp::from_microsecond(micros).ok()).flatten().map(Time)
    }

    /// Microseconds since 1970.
    pub fn micros(self) -> Micros {
        self.0.as_microsecond()
    }
}

impl JsonSchema for Time {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Time".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "date-time"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_and_zero_is_absent() {
        let time = Time::of(1_795_966_439_970_117).unwrap();
        assert_eq!(serde_json::to_value(time).unwrap(), "2026-11-29T15:33:59.970117Z");
        assert_eq!(serde_json::from_value::<Time>("2026-11-29T15:33:59.970117Z".into()).unwrap(), time);
        assert_eq!(serde_json::to_value(Time::of(1_000_000)).unwrap(), "1970-01-01T00:00:01.000000Z");
        assert_eq!(time.micros(), 1_795_966_439_970_117);
        assert_eq!((Time::of(0), Time::of(i64::MAX)), (None, None));
    }
}
