//! Tests of the formatter on generated and damaged files: formatting twice is formatting once, and keeps the values.

use std::time::{Duration, Instant};

use super::*;

/// A seeded generator of files (SplitMix64).
struct Random {
    state: u64,
    /// True if only valid YAML is written.
    careful: bool,
    /// Anchors so far in the document: of a scalar, and of a map.
    anchors: [bool; 2],
}

impl Random {
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn one_in(&mut self, chance: usize) -> bool {
        self.below(chance) == 0
    }

    fn pick<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }

    /// White space that may follow a line.
    fn tail(&mut self) -> &'static str {
        let tails = ["", "", "", "", " ", "   ", " # note", "  # a: b  ", "\t", "\u{a0}"];
        self.pick(&tails[..if self.careful { 8 } else { 10 }])
    }

    /// Blank lines and comments that may stand between two lines.
    fn gap(&mut self, indent: usize) -> String {
        let mut text = String::new();
        for _ in 0..self.below(8).saturating_sub(4) {
            text += &match self.below(4) {
                0 => "\n".to_owned(),
                1 => "   \n".to_owned(),
                2 => format!("{}# a comment: here{}\n", " ".repeat(self.below(indent + 2)), self.pick(&["", "  "])),
                _ => "\n\n\n".to_owned(),
            };
        }
        text
    }

    fn scalar(&mut self) -> &'static str {
        const SCALARS: [&str; 24] = [
            "a",
            "1",
            "1.0",
            "1e3",
            "0x10",
            "true",
            "~",
            "",
            "'it''s'",
            "\"a\\n b\"",
            "\"  \"",
            "a # no: comment",
            "a#b",
            "\"# text\"",
            "'---'",
            "\"{{ input }}\"",
            "http://x.example:80/a?b#c",
            "\u{e9}\u{a0}x",
            "\"\\u00e9\\ud83d\\ude00\"",
            "- x",
            "--- x",
            "{{ input }}",
            "!!str 1",
            "*other",
        ];
        if self.one_in(8) {
            self.anchors[0] = true;
            return "&ref v";
        }
        if self.anchors[0] && self.one_in(4) {
            return "*ref";
        }
        self.pick(&SCALARS[..if self.careful { 19 } else { 24 }])
    }

    fn flow(&mut self, indent: usize, depth: usize) -> String {
        let space = |random: &mut Random| {
            let pad = if random.careful { indent + 1 + random.below(4) } else { random.below(6) };
            let start = random.pick(&[" ", "", " ", "\n", " # c\n", "\n\n", "  \n"]);
            if start.contains('\n') { format!("{start}{}", " ".repeat(pad)) } else { start.to_owned() }
        };
        let plain = ["a", "1.50", "'x y'", "\"q, {\"", "null", "no"];
        let mut parts = Vec::new();
        match self.below(if depth > 2 { 1 } else { 3 }) {
            0 => self.pick(&plain).to_owned(),
            1 => {
                for _ in 0..self.below(4) {
                    parts.push(format!("{}{}", space(self), self.flow(indent, depth + 1)));
                }
                format!("[{}{}]", parts.join(","), space(self))
            }
            _ => {
                for at in 0..self.below(4) {
                    parts.push(format!("{}k{at}: {}", space(self), self.flow(indent, depth + 1)));
                }
                format!("{{{}{}}}", parts.join(","), space(self))
            }
        }
    }

    fn block_scalar(&mut self, indent: usize) -> String {
        const HEADERS: [&str; 9] = ["|", ">", "|+", ">-", "|-", ">+", "| # c", "|2", "|1-"];
        let header = self.pick(&HEADERS[..if self.careful { 7 } else { 9 }]);
        let mut text = format!("{header}{}\n", self.pick(&["", " ", "  "]));
        if self.careful {
            // The first line decides the indentation.
            text += &format!("{}first\n", " ".repeat(indent));
        }
        for _ in 0..self.below(6) {
            let line = self.pick(&[
                "line",
                "two  words  ",
                "  more",
                "",
                "",
                "   ",
                "# no comment",
                "a: b",
                "--- no",
                "\ttab",
            ]);
            let pad = if line.is_empty() { 0 } else { indent + self.below(2) };
            text += &format!("{}{line}\n", " ".repeat(pad));
        }
        text
    }

    /// A value after `key:`, from the space to the end of its last line.
    fn value(&mut self, indent: usize, depth: usize) -> String {
        let step = 1 + self.below(4);
        match self.below(if depth > 3 { 3 } else { 8 }) {
            0 | 1 => format!(" {}{}\n", self.scalar(), self.tail()),
            2 => format!(" {}", self.block_scalar(indent + step)),
            3 if self.one_in(4) => {
                self.anchors[1] = true;
                format!(" &map {{ m: {} }}{}\n", self.flow(indent, 1), self.tail())
            }
            3 => format!(" {}{}\n", self.flow(indent, 0), self.tail()),
            4 => format!(" a plain\n{}and long  \n\n{}text\n", " ".repeat(indent + step), " ".repeat(indent + step)),
            5 => {
                let pad = if self.careful { indent + step } else { self.below(indent + 3) };
                format!(" \"quoted  \n\n{}and \\\n{}long\"\n", " ".repeat(pad), " ".repeat(indent + step))
            }
            6 => {
                let pad = indent + self.below(2) * step;
                let mut text = format!("{}\n", self.tail());
                for _ in 0..=self.below(3) {
                    text += &format!("{}{}-{}", self.gap(pad), " ".repeat(pad), self.value(pad + 2, depth + 1));
                }
                text
            }
            _ => {
                let mut text = format!("{}{}\n", self.pick(&["", "", " &one", " &other"]), self.tail());
                let keys = ["a", "b", "'c'", "\"d e\"", "<<", "text", "? f"];
                text += &self.map(indent + step, depth + 1, &keys[..if self.careful { 6 } else { 7 }]);
                text
            }
        }
    }

    fn map(&mut self, indent: usize, depth: usize, keys: &[&str]) -> String {
        let mut text = String::new();
        for key in keys {
            if depth > 0 && self.one_in(2) || *key == "<<" && self.careful && !self.anchors[1] {
                continue;
            }
            let value = if *key == "<<" { " *map\n".to_owned() } else { self.value(indent, depth) };
            text += &format!("{}{}{key}:{value}", self.gap(indent), " ".repeat(indent));
        }
        text
    }

    fn document(&mut self) -> String {
        self.anchors = [false; 2];
        let mut fields = vec!["apiVersion", "kind", "metadata", "spec"];
        if self.one_in(4) {
            fields.push(self.pick(&["status", "extra", "'kind'"]));
        }
        for at in (1..fields.len()).rev() {
            let other = self.below(at + 1);
            if self.one_in(2) {
                fields.swap(at, other);
            }
        }
        self.map(0, 0, &fields) + &self.gap(0)
    }

    fn yaml(&mut self) -> String {
        self.careful = self.below(4) > 0;
        let mut text = self.gap(0);
        if self.one_in(8) {
            text = format!("%YAML 1.2\n{text}---\n");
        }
        for at in 0..=self.below(3) {
            if at > 0 || self.one_in(4) {
                let marks = ["---\n", "--- # next\n", "---   \n", "...\n---\n", "--- !!map\n", "...\n"];
                text += self.pick(&marks[..if self.careful { 4 } else { 6 }]);
            }
            text += &self.document();
        }
        text
    }

    fn json(&mut self, depth: usize) -> String {
        let space = |random: &mut Random| random.pick(&["", " ", "\n", "\t ", "\r\n", "\n\n"]);
        match self.below(if depth > 3 { 3 } else { 5 }) {
            0 => {
                self.pick(&["1", "1.0", "1E3", "-0", "-0.0", "1e-2", "12345678901234567890", "9007199254740993"]).into()
            }
            1 => self
                .pick(&["\"a\"", "\"\\u0041\"", "\"\\/\"", "\"\\ud83d\\ude00\"", "\"\u{e9}\u{2028}\"", "\"\\t\\\\\""])
                .into(),
            2 => self.pick(&["null", "true", "false", "{}", "[]", "{ }", "[\n]"]).into(),
            3 => {
                let items: Vec<String> = (0..self.below(4))
                    .map(|_| format!("{}{}{}", space(self), self.json(depth + 1), space(self)))
                    .collect();
                format!("[{}]", items.join(","))
            }
            _ => {
                let entry = |random: &mut Random, at| {
                    let key = random.pick(&["a", "\\u0062", "c d", ""]);
                    format!(
                        "{}\"{key}{at}\"{}:{}{}",
                        space(random),
                        space(random),
                        space(random),
                        random.json(depth + 1)
                    )
                };
                let entries: Vec<String> = (0..self.below(4)).map(|at| entry(self, at)).collect();
                format!("{{{}{}}}", entries.join(","), space(self))
            }
        }
    }

    /// A text with some lines and characters changed.
    fn damaged(&mut self, text: &str) -> String {
        let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
        for _ in 0..self.below(5) {
            let (at, other) = (self.below(lines.len()), self.below(lines.len()));
            match self.below(8) {
                0 => drop(lines.remove(at)),
                1 => lines.insert(at, lines[other].clone()),
                2 => lines.swap(at, other),
                3 => {
                    lines.insert(at, self.pick(&["", "  ", "# comment", "---", "...", "\t", "- a", "x: 1"]).to_owned());
                }
                4 => lines[at].insert(0, ' '),
                5 => lines[at] = lines[at].strip_prefix(' ').unwrap_or(&lines[at]).to_owned(),
                6 => lines[at]
                    .push_str(self.pick(&[" ", "\t", "\r", " #", ":", "\u{a0}", "\u{feff}", "\u{85}", "\u{2028}"])),
                _ => {
                    let place = self.below(lines[at].len() + 1);
                    let character = self.pick(&[
                        " ", "#", ":", "-", "|", ">", "&a ", "*a", "\"", "'", "{", "}", "[", "]", ",", "?", "%", "\r",
                        "\t",
                    ]);
                    if lines[at].is_char_boundary(place) {
                        lines[at].insert_str(place, character);
                    }
                }
            }
            if lines.is_empty() {
                lines.push(String::new());
            }
        }
        lines.join("\n")
    }
}

fn values(path: &str, bytes: &[u8]) -> Vec<serde_json::Value> {
    let limits = ReadLimits::default();
    let (source, _) = decode(path, bytes, &limits);
    parse(&source, &limits).0.iter().map(|document| document.root.to_json()).collect()
}

/// Formats a file twice; false if it has errors.
fn is_stable(path: &str, bytes: &[u8]) -> bool {
    let Ok(once) = format(path, bytes) else { return false };
    let shown = String::from_utf8_lossy(bytes);
    assert_eq!(
        format(path, once.as_bytes()).as_deref(),
        Ok(once.as_str()),
        "a second time differs:\n{shown:?}\n{once:?}"
    );
    assert_eq!(values(path, bytes), values(path, once.as_bytes()), "the meaning differs:\n{shown:?}\n{once:?}");
    true
}

fn encoded(random: &mut Random, text: String) -> Vec<u8> {
    let text = if random.one_in(3) { text.replace('\n', "\r\n") } else { text };
    match random.below(8) {
        0 => format!("\u{feff}{text}").into_bytes(),
        1 => [&[0xFF, 0xFE][..], &text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>()].concat(),
        _ => text.into_bytes(),
    }
}

#[test]
fn formatting_twice_is_formatting_once_for_generated_and_damaged_files() {
    const FILES: usize = 6000;
    let started = Instant::now();
    let mut random = Random { state: 13, careful: true, anchors: [false; 2] };
    let mut formatted = [0, 0];
    for _ in 0..FILES {
        let is_json = random.one_in(4);
        let text = if is_json { random.json(0) } else { random.yaml() };
        let text = if random.one_in(3) { random.damaged(&text) } else { text };
        let bytes = encoded(&mut random, text);
        formatted[usize::from(is_json)] += usize::from(is_stable(if is_json { "a.json" } else { "a.yaml" }, &bytes));
    }
    // The files are mostly valid, or the test would show little.
    assert!(formatted[0] > FILES / 4 && formatted[1] > FILES / 8, "{formatted:?} of {FILES}");
    assert!(started.elapsed() < Duration::from_mins(2), "{:?}", started.elapsed());
}

#[test]
fn a_moved_field_takes_no_blank_lines_to_another_blank_line() {
    let text = "kind: Tenant\n\napiVersion: evenkeel.dev/v1alpha1\n\n# named\n\nspec: { displayName: A }\n\nmetadata: { name: a }\n";
    let once = format("a.yaml", text.as_bytes()).unwrap();
    assert!(!once.contains("\n\n\n") && !once.starts_with('\n') && !once.ends_with("\n\n"), "{once}");
    assert!(is_stable("a.yaml", text.as_bytes()));
}

#[test]
fn a_space_that_belongs_to_a_value_does_not_stop_the_formatting() {
    let text =
        "kind: Tenant   \napiVersion: evenkeel.dev/v1alpha1\nmetadata: { name: a }\nspec:\n  displayName: A\u{a0}\n";
    let once = format("a.yaml", text.as_bytes()).unwrap();
    assert!(once.starts_with("apiVersion") && once.contains("A\u{a0}\n"), "{once}");
}
