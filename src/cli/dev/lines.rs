//! The lines of `dev`: events of the log in the words of an author.
//!
//! Each event of the server and of workflows becomes one line. An event that is not known here is shown with its fields, so
//! that nothing is lost.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use anstyle::{AnsiColor, Style};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Maximum number of characters of a line.
const MAX_LINE: usize = 4_000;
/// Indentation of the further rows of a text: the width of the time and the kind.
const INDENT: &str = "                    ";

/// The format of the lines.
#[derive(Clone, Debug)]
pub(in crate::cli) struct EventLines {
    /// Prefix of the paths of definitions, as findings show it.
    pub(super) path_prefix: String,
}

/// A line without its time.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    kind: &'static str,
    mark: Mark,
    text: String,
    /// Id to use with other commands.
    id: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Plain,
    Good,
    Warning,
    Bad,
}

impl Mark {
    fn style(self) -> Style {
        match self {
            Mark::Plain => Style::new(),
            Mark::Good => AnsiColor::Green.on_default(),
            Mark::Warning => AnsiColor::Yellow.on_default(),
            Mark::Bad => AnsiColor::Red.on_default(),
        }
    }
}

impl<S, N> FormatEvent<S, N> for EventLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let Some(line) = self.line(*event.metadata().level(), &fields) else { return Ok(()) };
        let time = jiff::Zoned::now().strftime("%H:%M:%S").to_string();
        let text = printable(&line.text);
        if writer.has_ansi_escapes() {
            let (dim, style) = (Style::new().dimmed(), line.mark.style());
            let (kind, id) = (line.kind, &line.id);
            writeln!(writer, "{dim}{time}{dim:#}  {style}{kind:<9}{style:#} {text}  {dim}{id}{dim:#}")
        } else {
            let whole = format!("{time}  {:<9} {text}  {}", line.kind, line.id);
            writeln!(writer, "{}", whole.trim_end())
        }
    }
}

impl EventLines {
    /// The line of an event; `None` for events that another line reports, or that do not concern authors.
    fn line(&self, level: Level, fields: &Fields) -> Option<Line> {
        let get = |name: &str| fields.get(name);
        let line = |kind, mark, text: String, id: &str| Some(Line { kind, mark, text, id: get(id).to_owned() });
        match get("message") {
            "call" => {
                let action = format!("{}/{}", get("connector"), get("action"));
                let status: u16 = get("status").parse().unwrap_or_default();
                let took = format!("{status} in {}", duration(get("ms")));
                match (status < 400, get("code"), get("mock")) {
                    (true, _, "") => line("call", Mark::Good, format!("{action} {took}"), ""),
                    (true, _, mock) => {
                        line("call", Mark::Good, format!("{action} {took}, answered by the test `{mock}`"), "")
                    }
                    (false, "", _) => line("call", Mark::Bad, format!("{action} {took}"), ""),
                    (false, code, _) => {
                        let text = format!("{action} refused with {took}: {code}: {}", get("detail"));
                        let text = if status >= 500 { text.replacen("refused with", "failed with", 1) } else { text };
                        line("call", Mark::Bad, text, "")
                    }
                }
            }
            "webhook" => {
                let trigger = get("trigger");
                let text = match (get("duplicate"), get("executions"), get("event")) {
                    ("true", ..) => format!("{trigger}: a duplicate, nothing started"),
                    (_, "0", "") => format!("{trigger}: not an event of this trigger"),
                    (_, "0", _) => format!("{trigger}: no route matches, nothing started"),
                    (_, "1", _) => format!("{trigger}: 1 execution started"),
                    (_, count, _) => format!("{trigger}: {count} executions started"),
                };
                let mark =
                    if get("executions") == "0" && get("duplicate") != "true" { Mark::Warning } else { Mark::Good };
                line("webhook", mark, text, "event")
            }
            "webhook rejected" => {
                line("webhook", Mark::Bad, format!("{} refused: {}", get("trigger"), get("reason")), "")
            }
            "request refused" => {
                // Requests that only read are those of the page.
                if get("method") == "GET" {
                    return None;
                }
                let (kind, subject) = subject(get("path"));
                let text = format!("{subject} refused with {}: {}: {}", get("status"), get("code"), get("detail"));
                line(kind, Mark::Bad, text, "")
            }
            "the execution completed" => {
                let text = format!("{} completed in {}", get("workflow"), duration(get("ms")));
                line("execution", Mark::Good, text, "execution")
            }
            "the execution failed" => {
                let status = if get("status") == "TimedOut" { "timed out" } else { "failed" };
                let text =
                    format!("{} {status} after {}: {}", get("workflow"), duration(get("ms")), self.cause(fields));
                line("execution", Mark::Bad, text, "execution")
            }
            "the execution was cancelled" => {
                line("execution", Mark::Warning, format!("{} was cancelled", get("workflow")), "execution")
            }
            "the attempt failed and is repeated" => {
                let wait = duration(get("retry_in_ms"));
                let text = format!(
                    "{} failed in attempt {} and runs again in {wait}: {}",
                    get("workflow"),
                    get("attempt"),
                    self.cause(fields)
                );
                line("execution", Mark::Warning, text, "execution")
            }
            "the execution waits for a signal" => {
                let text = format!("{} waits for the {} `{}`", get("workflow"), get("signal"), get("name"));
                line("execution", Mark::Warning, text, "execution")
            }
            "line of an execution" => {
                let mark = match get("severity") {
                    "error" => Mark::Bad,
                    "warn" => Mark::Warning,
                    _ => Mark::Plain,
                };
                line("log", mark, format!("{} {}: {}", get("workflow"), get("severity"), get("line")), "execution")
            }
            // The rejection of each call has a line of its own.
            "webhook calls are refused for lack of a secret" | "workflow versions published" => None,
            message => {
                let (kind, mark) = match level {
                    Level::ERROR => ("error", Mark::Bad),
                    Level::WARN => ("warning", Mark::Warning),
                    _ => ("info", Mark::Plain),
                };
                let mut text = message.to_owned();
                for (name, value) in fields.0.iter().filter(|(name, _)| **name != "message") {
                    let _ = write!(text, " {name}={value}");
                }
                line(kind, mark, text, "")
            }
        }
    }

    /// Code, reason and place of a failure.
    fn cause(&self, fields: &Fields) -> String {
        let cause = format!("{}: {}", fields.get("code"), fields.get("reason"));
        match fields.get("place") {
            "" => cause,
            place => format!("{cause} ({}{place})", self.path_prefix),
        }
    }
}

/// The kind of a request, and its subject, by its path.
fn subject(path: &str) -> (&'static str, String) {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    // The long form of an address has the environment before the rest.
    let rest = match parts.as_slice() {
        ["v1", "environments", _, rest @ ..] | ["v1", rest @ ..] => rest,
        rest => rest,
    };
    match rest {
        ["connectors", connector, "actions", action, ..] => ("call", format!("{connector}/{action}")),
        ["workflows", workflow, "runs"] => ("workflow", (*workflow).to_owned()),
        ["hooks", trigger, ..] => ("webhook", (*trigger).to_owned()),
        _ => ("request", path.to_owned()),
    }
}

/// The fields of an event, as text.
#[derive(Debug, Default)]
struct Fields(BTreeMap<&'static str, String>);

impl Fields {
    fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}

/// Milliseconds in the unit that people would choose.
fn duration(milliseconds: &str) -> String {
    match milliseconds.parse::<f64>() {
        Ok(ms) if ms >= 60_000.0 => format!("{:.0} min", ms / 60_000.0),
        Ok(ms) if ms >= 1_000.0 => format!("{:.1} s", ms / 1_000.0),
        Ok(ms) if ms >= 10.0 => format!("{ms:.0} ms"),
        Ok(ms) => format!("{ms:.1} ms"),
        Err(_) => milliseconds.to_owned(),
    }
}

/// A text without characters that control a terminal, within the length of a line. Further rows are indented.
fn printable(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for (at, character) in text.trim_end().chars().enumerate() {
        if at == MAX_LINE {
            line.push('…');
            break;
        }
        match character {
            '\n' => {
                line.push('\n');
                line.push_str(INDENT);
            }
            '\t' => line.push(' '),
            // Directional marks and isolates would reorder the line.
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                line.extend(character.escape_unicode());
            }
            character if character.is_control() => line.extend(character.escape_unicode()),
            character => line.push(character),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The line of an event: `kind text [id]`.
    fn shown(level: Level, fields: &[(&'static str, &str)]) -> Option<String> {
        let lines = EventLines { path_prefix: "examples/".to_owned() };
        let fields = Fields(fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect());
        let line = lines.line(level, &fields)?;
        Some(format!("{} {} {}", line.kind, line.text, line.id).trim_end().to_owned())
    }

    #[test]
    fn each_event_becomes_a_line_in_the_words_of_an_author() {
        let call = |more: &[(&'static str, &'static str)]| {
            let mut fields = vec![("message", "call"), ("connector", "crm"), ("action", "get"), ("ms", "0.42")];
            fields.extend(more);
            shown(Level::INFO, &fields).unwrap()
        };
        let work = |message: &'static str, more: &[(&'static str, &'static str)]| {
            let mut fields = vec![("message", message), ("workflow", "welcome"), ("execution", "01kb"), ("ms", "2500")];
            fields.extend(more);
            shown(Level::INFO, &fields).unwrap()
        };
        let hook = |message: &'static str, more: &[(&'static str, &'static str)]| {
            let mut fields = vec![("message", message), ("trigger", "sign-ups"), ("duplicate", "false")];
            fields.extend(more);
            shown(Level::INFO, &fields).unwrap()
        };
        let refused = |method: &'static str, path: &'static str| {
            let fields = [
                ("message", "request refused"),
                ("method", method),
                ("path", path),
                ("status", "400"),
                ("code", "BAD_REQUEST"),
                ("detail", "not JSON"),
            ];
            shown(Level::INFO, &fields).unwrap()
        };
        let failure = [("code", "UPSTREAM_ERROR"), ("reason", "out of paper"), ("place", "a.ts:2:3"), ("attempt", "1")];
        let rows = [
            (call(&[("status", "201")]), "call crm/get 201 in 0.4 ms"),
            (call(&[("status", "201"), ("mock", "finds")]), "call crm/get 201 in 0.4 ms, answered by the test `finds`"),
            (
                call(&[("status", "400"), ("code", "INVALID_INPUT"), ("detail", "/a: b")]),
                "call crm/get refused with 400 in 0.4 ms: INVALID_INPUT: /a: b",
            ),
            (
                call(&[("status", "502"), ("code", "UNREACHABLE"), ("detail", "no answer")]),
                "call crm/get failed with 502 in 0.4 ms: UNREACHABLE: no answer",
            ),
            (hook("webhook", &[("executions", "1"), ("event", "01ev")]), "webhook sign-ups: 1 execution started 01ev"),
            (
                hook("webhook", &[("executions", "0"), ("event", "01ev")]),
                "webhook sign-ups: no route matches, nothing started 01ev",
            ),
            (
                hook("webhook rejected", &[("reason", "HOOK_KEY is not set")]),
                "webhook sign-ups refused: HOOK_KEY is not set",
            ),
            (refused("POST", "/v1/connectors/crm/actions/get"), "call crm/get refused with 400: BAD_REQUEST: not JSON"),
            (
                refused("POST", "/v1/environments/draft/workflows/welcome/runs"),
                "workflow welcome refused with 400: BAD_REQUEST: not JSON",
            ),
            (refused("POST", "/hooks/none"), "webhook none refused with 400: BAD_REQUEST: not JSON"),
            (
                refused("POST", "/v1/executions/7/cancel"),
                "request /v1/executions/7/cancel refused with 400: BAD_REQUEST: not JSON",
            ),
            (work("the execution completed", &[]), "execution welcome completed in 2.5 s 01kb"),
            (
                work("the execution failed", &failure),
                "execution welcome failed after 2.5 s: UPSTREAM_ERROR: out of paper (examples/a.ts:2:3) 01kb",
            ),
            (
                work("the attempt failed and is repeated", &[failure.as_slice(), &[("retry_in_ms", "5000")]].concat()),
                "execution welcome failed in attempt 1 and runs again in 5.0 s: UPSTREAM_ERROR: out of paper \
                 (examples/a.ts:2:3) 01kb",
            ),
            (
                work("the execution waits for a signal", &[("signal", "approval"), ("name", "boss")]),
                "execution welcome waits for the approval `boss` 01kb",
            ),
            (work("line of an execution", &[("severity", "info"), ("line", "hello")]), "log welcome info: hello 01kb"),
            (
                shown(Level::WARN, &[("message", "poll failed"), ("error", "no answer"), ("trigger", "t")]).unwrap(),
                "warning poll failed error=no answer trigger=t",
            ),
        ];
        for (actual, expected) in rows {
            assert_eq!(actual, expected);
        }
        assert_eq!(shown(Level::WARN, &[("message", "webhook calls are refused for lack of a secret")]), None);
    }

    #[test]
    fn no_text_controls_the_terminal() {
        assert_eq!(printable("a\u{1b}[31mred\r\u{202e}b"), "a\\u{1b}[31mred\\u{d}\\u{202e}b");
        assert_eq!(printable("one\ntwo\n"), format!("one\n{INDENT}two"));
        assert_eq!(printable(&"x".repeat(MAX_LINE * 2)).chars().count(), MAX_LINE + 1);
    }
}
