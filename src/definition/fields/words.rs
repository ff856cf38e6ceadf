//! The marks of fields in words.

/// The format of a value with the mark `x-evenkeel-type`. Types that are formats themselves, such as durations, have none.
pub(super) fn format(mark: &str) -> Option<&'static str> {
    Some(match mark {
        "name" => "name: 1 to 63 lower-case letters, digits and `-`, starting and ending with a letter or digit",
        "identifier" => "identifier: letters, digits and `_`, not starting with a digit, at most 63",
        "stepName" => "name or identifier, at most 63 characters",
        "header" => "name of an HTTP header",
        "httpsUrl" => "absolute `https://` URL",
        "gitUrl" => "URL of a Git repository: `https://…`, `ssh://…` or `user@host:path`",
        "gitRef" => "name of a branch or tag",
        "relativePath" => "relative path without `..`",
        "email" => "e-mail address",
        "uuid" => "UUID, such as `0b2f7d1e-8c53-4f0a-9e77-1c2d3e4f5a6b`",
        "timeOfDay" => "time of day, from `00:00` to `23:59`",
        "hostPattern" => "host name, which may start with `*.`",
        "cidr" => "network, such as `10.1.0.0/16`",
        "versionRange" => "range of versions, such as `>=1.2.0 <2.0.0`",
        "cron" => "cron expression: minute, hour, day of month, month, day of week",
        "timeZone" => "IANA time zone, such as `Europe/Berlin`",
        "dateTime" => "date and time (RFC 3339), such as `2026-03-01T12:00:00Z`",
        "regex" => "regular expression without look-around and back references",
        "credential" => "reference to a secret, or a template; never the value itself",
        "notCredential" => "not a credential",
        "noTemplate" => "used as written: not a template",
        "filter" => "conditions by dotted path",
        _ => return None,
    })
}

/// The format of keys with the mark `x-evenkeel-keys`.
pub(super) fn key_format(mark: &str) -> Option<&'static str> {
    Some(match mark {
        "name" => "names",
        "identifier" => "identifiers",
        "header" => "names of HTTP headers",
        "variable" => "names of variables",
        "secret" => "names of secrets",
        "widgetAction" => "names of actions of the widget",
        "connectorAction" => "names of actions of the connector",
        "locale" => "language tags (BCP 47)",
        _ => return None,
    })
}

/// The target of a reference with the mark `x-evenkeel-ref`.
pub(super) fn reference(mark: &str) -> String {
    match mark {
        "Action" => "action, as `CONNECTOR/ACTION`, or `ACTION` within its connector".to_owned(),
        "LocalAction" => "action of this connector".to_owned(),
        "LocalEntity" => "entity of this connector".to_owned(),
        "LocalAuthMethod" => "authentication method of this connector".to_owned(),
        "LocalForm" => "form of this widget".to_owned(),
        "WidgetConnector" => "connector of this widget".to_owned(),
        "AuthMethod" => "authentication method of the connector".to_owned(),
        "Event" => "event of the connector".to_owned(),
        "UsedAction" => "action of the connector".to_owned(),
        "CanonicalEntity" => "canonical entity: built in, or of an Entity".to_owned(),
        "CanonicalField" => "field of the canonical entity, as a dotted path".to_owned(),
        "Secret" => "secret of the Environment".to_owned(),
        "File" => "file, relative to the definition".to_owned(),
        "Folder" => "folder, relative to the definition".to_owned(),
        kind => format!("name of a definition of the kind {kind}"),
    }
}
