//! The lexer: strings, numbers, literals, and messages for common mistakes.

use std::borrow::Cow;

use super::Reader;
use crate::text::codes;
use crate::text::finding::Finding;
use crate::text::node::NodeKind;
use crate::text::span::Range;
use crate::text::tree::{excerpt, finding, range, slice};

impl<'a> Reader<'a> {
    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub(super) fn skip_blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Reads a string, including its quotes.
    pub(super) fn string(&mut self) -> Result<Cow<'a, str>, Finding> {
        let start = self.at;
        self.at += 1;
        let mut value = Cow::Borrowed("");
        loop {
            let from = self.at;
            let rest = self.text.as_bytes().get(from..).unwrap_or_default();
            self.at += rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | ..0x20)).unwrap_or(rest.len());
            let part = self.text.get(from..self.at).unwrap_or_default();
            if value.is_empty() {
                value = Cow::Borrowed(part);
            } else {
                value.to_mut().push_str(part);
            }
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(value);
                }
                Some(b'\\') => {
                    let character = self.escape()?;
                    value.to_mut().push(character);
                }
                Some(b'\t') => {
                    let here = range(self.at, self.at + 1);
                    return Err(finding(&codes::SYNTAX, here, "a tab within a string").help("write it as `\\t`"));
                }
                _ => {
                    let here = range(start, start + 1);
                    let help = "close it with `\"`; a line break within a string is written `\\n`";
                    return Err(finding(&codes::SYNTAX, here, "a string is not closed on its line").help(help));
                }
            }
        }
    }

    /// Consumes a number. Returns true for a float.
    pub(super) fn number_end(&mut self) -> Result<bool, Finding> {
        let start = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        let digits = self.at;
        self.digits("a digit")?;
        if self.at - digits > 1 && self.text.as_bytes().get(digits) == Some(&b'0') {
            let here = range(start, self.at);
            let message = format!("the number `{}` starts with a zero", excerpt(slice(self.text, here)));
            return Err(finding(&codes::SYNTAX, here, message).help("drop the zero, or write a string"));
        }
        let mut float = false;
        if self.peek() == Some(b'.') {
            float = true;
            self.at += 1;
            self.digits("a digit after the decimal point")?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            float = true;
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits("a digit of the exponent")?;
        }
        Ok(float)
    }

    /// Reads `true`, `false` or `null`.
    pub(super) fn word(&mut self) -> Result<NodeKind, Finding> {
        let here = self.bare_word();
        let word = slice(self.text, here);
        let kind = match word {
            "true" => NodeKind::Bool(true),
            "false" => NodeKind::Bool(false),
            "null" => NodeKind::Null,
            "" => return Err(self.unexpected("a value")),
            _ => {
                let help = match word {
                    "NaN" | "Infinity" => "JSON has no such number; write `null` or a string",
                    "True" | "False" | "None" | "TRUE" | "FALSE" | "NULL" | "undefined" => {
                        "write `true`, `false` or `null`"
                    }
                    _ => "put strings in double quotes",
                };
                let message = format!("`{}` is not a JSON value", excerpt(word));
                return Err(finding(&codes::SYNTAX, here, message).help(help));
            }
        };
        self.at = here.end as usize;
        Ok(kind)
    }

    /// The range of letters and digits at the current position.
    pub(super) fn bare_word(&self) -> Range {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let length =
            rest.find(|next: char| !next.is_alphanumeric() && !matches!(next, '_' | '$')).unwrap_or(rest.len());
        range(self.at, self.at + length)
    }

    /// The range of the character at the current position; empty at the end.
    pub(super) fn character(&self) -> Range {
        let next = self.text.get(self.at..).and_then(|rest| rest.chars().next());
        range(self.at, self.at + next.map_or(0, char::len_utf8))
    }

    /// The finding for an unexpected character at the current position.
    pub(super) fn unexpected(&self, expected: &str) -> Finding {
        let here = self.character();
        let rest = self.text.get(self.at..).unwrap_or_default();
        let (message, help) = match rest.chars().next() {
            None => (
                format!("the file ends, but {expected} was expected"),
                "close the open string, list or map; the file may be truncated",
            ),
            Some('/' | '#') => ("JSON has no comments".to_owned(), "remove it, or write YAML"),
            Some('\'') => (format!("{expected} was expected, not `'`"), "put strings in double quotes"),
            Some('{') if rest.starts_with("{{") => {
                (format!("{expected} was expected, not `{{{{`"), "put templates in double quotes")
            }
            Some(found) => {
                let help = if found == ',' || expected.starts_with("`,`") {
                    "check the commas"
                } else {
                    "check quotes and brackets"
                };
                (format!("{expected} was expected, not `{}`", found.escape_debug()), help)
            }
        };
        finding(&codes::SYNTAX, here, message).help(help)
    }

    fn digits(&mut self, expected: &str) -> Result<(), Finding> {
        let from = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == from { Err(self.unexpected(expected)) } else { Ok(()) }
    }

    /// Reads an escape sequence, including its backslash.
    fn escape(&mut self) -> Result<char, Finding> {
        let start = self.at;
        let escaped = self.text.as_bytes().get(start + 1).copied();
        self.at += 2;
        Ok(match escaped {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{C}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(start),
            _ => {
                let width = self.text.get(start + 1..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
                let here = range(start, start + 1 + width);
                let message = format!("the escape `{}` does not exist", excerpt(slice(self.text, here)));
                return Err(finding(&codes::SYNTAX, here, message).help("write `\\\\` for a backslash"));
            }
        })
    }

    /// Decodes `\uXXXX`, or a surrogate pair for a character beyond 16 bits.
    fn unicode(&mut self, start: usize) -> Result<char, Finding> {
        let first = self.hex(start)?;
        let paired =
            (0xD800..0xDC00).contains(&first) && self.text.get(self.at..).is_some_and(|rest| rest.starts_with("\\u"));
        let code = if paired {
            self.at += 2;
            let second = self.hex(start)?;
            match second {
                0xDC00..0xE000 => 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00),
                _ => first,
            }
        } else {
            first
        };
        char::from_u32(code).ok_or_else(|| {
            let here = range(start, start + 6);
            let message = format!("`{}` is half of a surrogate pair", excerpt(slice(self.text, here)));
            finding(&codes::SYNTAX, here, message).help("write both halves, or the character itself")
        })
    }

    fn hex(&mut self, start: usize) -> Result<u32, Finding> {
        let digits =
            self.text.get(self.at..self.at + 4).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let Some(code) = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()) else {
            let here = range(start, start + 2);
            return Err(finding(&codes::SYNTAX, here, "`\\u` takes four hexadecimal digits")
                .help("write `\\\\` for a backslash"));
        };
        self.at += 4;
        Ok(code)
    }
}
