//! The locations of templates.

use super::Location;
use crate::template::FieldLocation;

/// All locations, in the order of [`FieldLocation`].
pub const LOCATIONS: &[Location] = &[
    Location { location: FieldLocation::Url, meaning: "URLs, paths and hosts of requests." },
    Location { location: FieldLocation::Header, meaning: "Headers of requests." },
    Location { location: FieldLocation::Query, meaning: "Query parameters of requests." },
    Location { location: FieldLocation::Auth, meaning: "Authentication of calls, and credentials." },
    Location { location: FieldLocation::Body, meaning: "Bodies of requests." },
    Location { location: FieldLocation::Response, meaning: "Transformations of responses." },
    Location { location: FieldLocation::Condition, meaning: "Conditions of steps." },
    Location { location: FieldLocation::Step, meaning: "Inputs and values of steps." },
    Location { location: FieldLocation::Event, meaning: "Incoming webhooks, before their routes." },
    Location {
        location: FieldLocation::Subscription,
        meaning: "Requests that register a webhook with an application.",
    },
    Location { location: FieldLocation::PollInput, meaning: "Input of the action that a poll calls." },
    Location {
        location: FieldLocation::PollOutput,
        meaning: "Output of the action that a poll or a page request calls.",
    },
    Location { location: FieldLocation::PollRecord, meaning: "Identity and version of a polled record." },
    Location { location: FieldLocation::Route, meaning: "Routes from events to workflows." },
    Location { location: FieldLocation::Form, meaning: "Forms of widgets." },
];
