//! Formats of values. Those that depend on the text alone are validated here.

use std::borrow::Cow;
use std::net::IpAddr;

use url::Url;

use crate::definition::version_range::VersionRange;
use crate::definition::{ignore_rules, is_identifier, is_name, locale};
use crate::text::{Code, codes};

/// The format of a value or a key, from the mark `x-evenkeel-type` or `x-evenkeel-keys`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are self-explanatory; the checks are below")]
pub enum ValueFormat {
    Duration,
    Name,
    Identifier,
    /// The name of a variable or secret: an identifier that may contain `-`.
    Setting,
    StepName,
    Header,
    HttpsUrl,
    GitUrl,
    GitRef,
    RelativePath,
    IgnorePattern,
    Email,
    Uuid,
    TimeOfDay,
    HostPattern,
    Cidr,
    VersionRange,
    /// A language tag (BCP 47).
    Locale,
    // The following formats are validated by later stages.
    Cron,
    TimeZone,
    DateTime,
    Regex,
    JsonSchema,
    Filter,
    Credential,
    NotCredential,
    NoTemplate,
    AuthAttributes,
    Variables,
    WidgetAction,
    ConnectorAction,
}

impl ValueFormat {
    pub(super) fn of_mark(mark: &str) -> ValueFormat {
        match mark {
            "duration" => ValueFormat::Duration,
            "name" => ValueFormat::Name,
            "identifier" => ValueFormat::Identifier,
            "variable" | "secret" => ValueFormat::Setting,
            "stepName" => ValueFormat::StepName,
            "header" => ValueFormat::Header,
            "httpsUrl" => ValueFormat::HttpsUrl,
            "gitUrl" => ValueFormat::GitUrl,
            "gitRef" => ValueFormat::GitRef,
            "relativePath" => ValueFormat::RelativePath,
            "ignorePattern" => ValueFormat::IgnorePattern,
            "email" => ValueFormat::Email,
            "uuid" => ValueFormat::Uuid,
            "timeOfDay" => ValueFormat::TimeOfDay,
            "hostPattern" => ValueFormat::HostPattern,
            "cidr" => ValueFormat::Cidr,
            "versionRange" => ValueFormat::VersionRange,
            "locale" => ValueFormat::Locale,
            "cron" => ValueFormat::Cron,
            "timeZone" => ValueFormat::TimeZone,
            "dateTime" => ValueFormat::DateTime,
            "regex" => ValueFormat::Regex,
            "jsonSchema" => ValueFormat::JsonSchema,
            "filter" => ValueFormat::Filter,
            "credential" => ValueFormat::Credential,
            "notCredential" => ValueFormat::NotCredential,
            "noTemplate" => ValueFormat::NoTemplate,
            "authAttributes" => ValueFormat::AuthAttributes,
            "variables" => ValueFormat::Variables,
            "widgetAction" => ValueFormat::WidgetAction,
            "connectorAction" => ValueFormat::ConnectorAction,
            other => panic!("unknown mark {other}"),
        }
    }

    /// True if a later stage validates the format.
    pub(super) fn is_validated_later(self) -> bool {
        self as u8 >= ValueFormat::Cron as u8
    }

    /// Validates a text. Returns the code, the message and the help of a problem.
    pub(crate) fn problem(self, text: &str) -> Option<FormatProblem> {
        let wrong = |code: &'static Code, what: &str, help: &'static str| {
            Some((code, format!("`{text}` is not {what}"), Cow::Borrowed(help)))
        };
        match self {
            ValueFormat::Name if !is_name(text) => {
                let help = match suggested_name(text) {
                    Some(name) => Cow::Owned(format!("write `{name}`: lower-case letters, digits and `-`")),
                    None => Cow::Borrowed(NAME_HELP),
                };
                Some((&codes::BAD_NAME, format!("`{text}` is not a name"), help))
            }
            ValueFormat::Identifier if !is_identifier(text) => wrong(
                &codes::BAD_NAME,
                "an identifier",
                "use letters, digits and `_`, not starting with a digit, at most 63",
            ),
            ValueFormat::Setting if !is_identifier(&text.replace('-', "_")) => wrong(
                &codes::BAD_NAME,
                "a name of a secret or variable",
                "use letters, digits, `_` and `-`, starting with a letter or `_`, at most 63",
            ),
            ValueFormat::StepName if !is_name(text) && !is_identifier(text) => wrong(
                &codes::BAD_NAME,
                "a step's name",
                "use letters, digits, `-` and `_`, at most 63; names with `-` are read as `steps['a-b']`",
            ),
            ValueFormat::Header => header(text),
            ValueFormat::HttpsUrl => https(text),
            ValueFormat::GitUrl if !is_git_url(text) => wrong(
                &codes::BAD_URL,
                "the URL of a Git repository",
                "use `https://host/path.git`, `ssh://git@host/path.git` or `git@host:path.git`, without a password",
            ),
            ValueFormat::GitRef if !is_git_ref(text) => {
                wrong(&codes::BAD_FORMAT, "a branch or tag", "see `git check-ref-format`")
            }
            ValueFormat::RelativePath if !is_relative(text) => {
                wrong(&codes::OUTSIDE, "a path inside the folder", "use a relative path without `..`")
            }
            ValueFormat::IgnorePattern => ignore_rules::problem_of(text).map(|problem| {
                let help = "write a pattern as in `.gitignore`, such as `schemas/` or `*.tmp.yaml`";
                (&codes::IGNORE_PATTERN, format!("the pattern `{text}` {problem}"), Cow::Borrowed(help))
            }),
            ValueFormat::Email if !is_email(text) => {
                wrong(&codes::BAD_FORMAT, "an e-mail address", "write it like `name@example.com`")
            }
            ValueFormat::Uuid if !is_uuid(text) => {
                wrong(&codes::BAD_FORMAT, "a UUID", "write it like `0b2f7d1e-8c53-4f0a-9e77-1c2d3e4f5a6b`")
            }
            ValueFormat::TimeOfDay if !is_time_of_day(text) => {
                wrong(&codes::BAD_FORMAT, "a time of day", "write it like `06:30`, from `00:00` to `23:59`")
            }
            ValueFormat::HostPattern if !is_host_pattern(text) => wrong(
                &codes::BAD_FORMAT,
                "a host",
                "write it like `api.example.com` or `*.example.com`, without a scheme or path",
            ),
            ValueFormat::Cidr if !is_cidr(text) => {
                wrong(&codes::BAD_FORMAT, "a network", "write it like `10.1.0.0/16` or `fd00:1::/32`")
            }
            ValueFormat::VersionRange if VersionRange::parse(text).is_none() => {
                wrong(&codes::BAD_FORMAT, "a range of versions", "write it like `>=1.2.0 <2.0.0`, `~1.4` or `*`")
            }
            ValueFormat::Locale if !locale::is_tag(text) => {
                wrong(&codes::BAD_FORMAT, "a language tag (BCP 47)", "write it like `de`, `pt-BR` or `zh-Hant-TW`")
            }
            _ => None,
        }
    }
}

/// A problem of a text: the code, the message and the help.
pub(crate) type FormatProblem = (&'static Code, String, Cow<'static, str>);

const NAME_HELP: &str = "use 1 to 63 lower-case letters, digits and `-`, starting and ending with a letter or digit";

/// The name that is closest to a text: `create-shipment` for `createShipment`; `None` if the text has letters that a name
/// cannot have, or none at all.
pub(crate) fn suggested_name(text: &str) -> Option<String> {
    if text.chars().any(|character| character.is_alphanumeric() && !character.is_ascii()) {
        return None;
    }
    let mut name = String::new();
    let mut before = ' ';
    let mut characters = text.chars().take(200).peekable();
    while let Some(character) = characters.next() {
        let starts_word = character.is_ascii_uppercase()
            && (before.is_ascii_lowercase()
                || before.is_ascii_digit()
                || before.is_ascii_uppercase() && characters.peek().is_some_and(char::is_ascii_lowercase));
        if (starts_word || !character.is_ascii_alphanumeric()) && !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
        if character.is_ascii_alphanumeric() {
            name.push(character.to_ascii_lowercase());
        }
        before = character;
    }
    name.truncate(63);
    let name = name.trim_end_matches('-');
    is_name(name).then(|| name.to_owned())
}

/// Headers that belong to the connection itself (RFC 9110, section 7.6.1) or are derived from other fields.
const OWN_HEADERS: [&str; 12] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

fn header(text: &str) -> Option<FormatProblem> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if text.is_empty() || text.len() > 255 || !text.bytes().all(token) {
        return Some((
            &codes::BAD_HEADER,
            format!("`{text}` is not a header name"),
            "use letters, digits and `-` (RFC 9110, 5.6.2)".into(),
        ));
    }
    OWN_HEADERS.iter().any(|own| own.eq_ignore_ascii_case(text)).then(|| {
        (
            &codes::BAD_HEADER,
            format!("the header `{text}` belongs to the connection and cannot be set"),
            "remove it; it is made from the URL and the body".into(),
        )
    })
}

fn https(text: &str) -> Option<FormatProblem> {
    let wrong = |why: &str, help: &'static str| Some((&codes::BAD_URL, format!("`{text}` {why}"), help.into()));
    match Url::parse(text) {
        Err(_) => wrong("is not an absolute URL", "write it like `https://example.com/path`"),
        Ok(url) if url.scheme() != "https" => wrong("is not an `https://` URL", "use `https://`"),
        Ok(url) if !url.username().is_empty() || url.password().is_some() => Some((
            &codes::BAD_URL,
            "the URL contains a user name or password".into(),
            "remove them; credentials go into `auth`".into(),
        )),
        Ok(_) => None,
    }
}

fn is_git_url(text: &str) -> bool {
    let scp = text.split_once(':').is_some_and(|(host, path)| {
        host.contains('@')
            && !host.contains('/')
            && !path.is_empty()
            && !path.starts_with('-')
            && !host.starts_with('-')
    });
    let url = Url::parse(text).is_ok_and(|url| {
        let user_only = url.password().is_none() && (url.scheme() == "ssh" || url.username().is_empty());
        ["https", "ssh", "http", "file"].contains(&url.scheme()) && user_only
    });
    !text.contains(char::is_whitespace) && (scp && !text.contains("://") || url)
}

fn is_git_ref(text: &str) -> bool {
    let allowed = |character: char| character.is_alphanumeric() || "/_.-+@".contains(character);
    !text.is_empty()
        && text.len() <= 255
        && text.chars().all(allowed)
        && !["..", "//", "@{"].iter().any(|bad| text.contains(bad))
        && !text.starts_with(['/', '-', '.'])
        && !text.ends_with(['/', '.'])
        && !text.ends_with(".lock")
}

fn is_relative(text: &str) -> bool {
    !text.starts_with(['/', '\\']) && !text.split(['/', '\\']).any(|part| part == "..") && !text.contains(['\0', ':'])
}

fn is_email(text: &str) -> bool {
    text.split_once('@').is_some_and(|(name, host)| {
        !name.is_empty()
            && host.contains('.')
            && !host.starts_with('.')
            && !host.ends_with('.')
            && !host.contains('@')
            && !text.contains(char::is_whitespace)
            && text.len() <= 254
    })
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

fn is_time_of_day(text: &str) -> bool {
    let part = |text: &str, below: u8| {
        text.len() == 2
            && text.bytes().all(|byte| byte.is_ascii_digit())
            && text.parse::<u8>().is_ok_and(|part| part < below)
    };
    text.split_once(':').is_some_and(|(hour, minute)| part(hour, 24) && part(minute, 60))
}

fn is_host_pattern(text: &str) -> bool {
    let host = text.strip_prefix("*.").unwrap_or(text);
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            && !label.starts_with('-')
    };
    host.len() <= 253 && host.split('.').all(label)
}

fn is_cidr(text: &str) -> bool {
    text.split_once('/').is_some_and(|(address, bits)| {
        let max = match address.parse() {
            Ok(IpAddr::V4(_)) => 32,
            Ok(IpAddr::V6(_)) => 128,
            Err(_) => return false,
        };
        bits.parse::<u8>().is_ok_and(|bits| bits <= max)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_the_closest_name() {
        for (text, name) in [
            ("createShipment", Some("create-shipment")),
            ("create_shipment", Some("create-shipment")),
            ("Create Shipment!", Some("create-shipment")),
            ("listHTTPCalls", Some("list-http-calls")),
            ("v2Orders", Some("v2-orders")),
            ("--a--", Some("a")),
            ("Orbit.CRM", Some("orbit-crm")),
            ("größe", None),
            ("___", None),
            ("", None),
        ] {
            assert_eq!(suggested_name(text).as_deref(), name, "{text}");
        }
        let long = suggested_name(&"aB".repeat(200)).unwrap();
        assert!(is_name(&long) && long.len() <= 63, "{long}");
        let (_, message, help) = ValueFormat::Name.problem("createShipment").unwrap();
        assert_eq!(message, "`createShipment` is not a name");
        assert!(help.contains("`create-shipment`"), "{help}");
        assert!(ValueFormat::Name.problem("___").unwrap().2.contains("1 to 63"));
    }
}
