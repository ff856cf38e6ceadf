//! Rust source as trees of tokens with their lines: names, marks, literals and groups in brackets; no comments.
//!
//! `proc-macro2` knows lines only with its feature `span-locations`, and a feature of it rebuilds nearly every dependency
//! for the tests alone.

use std::iter::Peekable;
use std::str::CharIndices;

/// The brackets of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delimiter {
    Parenthesis,
    Brace,
    Bracket,
}

/// One token, or a group of tokens in brackets. The number is the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    Name(String, usize),
    Mark(char, usize),
    /// A string, character or number as it is written.
    Literal(String, usize),
    Group(Delimiter, Vec<Token>),
}

/// Reads a file. Text after an unmatched closing bracket is ignored; rustc refuses such a file.
pub fn tokens(text: &str) -> Vec<Token> {
    let mut lexer = Lexer { text, chars: text.char_indices().peekable(), line: 1 };
    lexer.group()
}

struct Lexer<'a> {
    text: &'a str,
    chars: Peekable<CharIndices<'a>>,
    line: usize,
}

impl Lexer<'_> {
    /// The tokens up to the closing bracket of this group.
    fn group(&mut self) -> Vec<Token> {
        let mut found = Vec::new();
        while let Some((start, next)) = self.next() {
            let line = self.line;
            match next {
                ')' | ']' | '}' => break,
                '(' => found.push(Token::Group(Delimiter::Parenthesis, self.group())),
                '[' => found.push(Token::Group(Delimiter::Bracket, self.group())),
                '{' => found.push(Token::Group(Delimiter::Brace, self.group())),
                '/' if self.rest().starts_with('/') => while self.next_if(|c| c != '\n').is_some() {},
                '/' if self.rest().starts_with('*') => self.block_comment(),
                '"' => {
                    self.string('"');
                    found.push(Token::Literal(self.since(start), line));
                }
                '\'' => {
                    if self.quote() {
                        found.push(Token::Literal(self.since(start), line));
                    }
                }
                _ if next.is_ascii_digit() => {
                    while self.next_if(|c| c.is_alphanumeric() || c == '_').is_some() {}
                    found.push(Token::Literal(self.since(start), line));
                }
                _ if next.is_alphabetic() || next == '_' => {
                    while self.next_if(|c| c.is_alphanumeric() || c == '_').is_some() {}
                    let name = self.since(start);
                    match (name.as_str(), self.rest().chars().next()) {
                        ("b" | "c", Some('"')) => {
                            self.next();
                            self.string('"');
                            found.push(Token::Literal(self.since(start), line));
                        }
                        ("b", Some('\'')) => {
                            self.next();
                            self.string('\'');
                            found.push(Token::Literal(self.since(start), line));
                        }
                        ("r" | "br" | "cr", Some('"' | '#')) if self.raw_string() => {
                            found.push(Token::Literal(self.since(start), line));
                        }
                        ("r", Some('#')) => _ = self.next(),
                        _ => found.push(Token::Name(name, line)),
                    }
                }
                _ if next.is_whitespace() => {}
                _ => found.push(Token::Mark(next, line)),
            }
        }
        found
    }

    fn next(&mut self) -> Option<(usize, char)> {
        let next = self.chars.next()?;
        self.line += usize::from(next.1 == '\n');
        Some(next)
    }

    fn next_if(&mut self, wanted: impl Fn(char) -> bool) -> Option<char> {
        if !wanted(self.chars.peek()?.1) {
            return None;
        }
        self.next().map(|(_, next)| next)
    }

    fn position(&mut self) -> usize {
        self.chars.peek().map_or(self.text.len(), |(position, _)| *position)
    }

    fn rest(&mut self) -> &str {
        let position = self.position();
        &self.text[position..]
    }

    fn since(&mut self, start: usize) -> String {
        let position = self.position();
        self.text[start..position].to_owned()
    }

    /// Comments nest.
    fn block_comment(&mut self) {
        let mut depth = 1;
        self.next();
        while depth > 0 {
            let Some((_, next)) = self.next() else { return };
            match (next, self.chars.peek().map(|(_, after)| *after)) {
                ('*', Some('/')) => depth -= 1,
                ('/', Some('*')) => depth += 1,
                _ => continue,
            }
            self.next();
        }
    }

    fn string(&mut self, end: char) {
        while let Some((_, next)) = self.next() {
            match next {
                '\\' => _ = self.next(),
                _ if next == end => return,
                _ => {}
            }
        }
    }

    /// A raw string with its hashes; false for a raw name such as `r#type`.
    fn raw_string(&mut self) -> bool {
        let hashes = self.rest().chars().take_while(|c| *c == '#').count();
        if !self.rest()[hashes..].starts_with('"') {
            return false;
        }
        (0..=hashes).for_each(|_| _ = self.next());
        let end = format!("\"{}", "#".repeat(hashes));
        while !self.rest().is_empty() && !self.rest().starts_with(&end) {
            self.next();
        }
        (0..=hashes).for_each(|_| _ = self.next());
        true
    }

    /// Reads on after a single quote: true for a character, false for a lifetime.
    fn quote(&mut self) -> bool {
        let mut after = self.rest().chars();
        let is_character = match after.next() {
            Some('\\') => true,
            Some(_) => after.next() == Some('\''),
            None => false,
        };
        if is_character {
            self.string('\'');
        } else {
            while self.next_if(|c| c.is_alphanumeric() || c == '_').is_some() {}
        }
        is_character
    }
}

#[test]
fn reads_names_marks_literals_and_groups() {
    let name = |text: &str, line| Token::Name(text.to_owned(), line);
    let literal = |text: &str, line| Token::Literal(text.to_owned(), line);
    let text =
        "use a::{b}; // use c;\n/* /* d */ e */ f('\\'', 'x', b'y')\n&'g \"h\\\"\n{\" r#\"i\"\"# r#type 1_u8 br\"j\"";
    let expected = [
        name("use", 1),
        name("a", 1),
        Token::Mark(':', 1),
        Token::Mark(':', 1),
        Token::Group(Delimiter::Brace, vec![name("b", 1)]),
        Token::Mark(';', 1),
        name("f", 2),
        Token::Group(
            Delimiter::Parenthesis,
            vec![literal("'\\''", 2), Token::Mark(',', 2), literal("'x'", 2), Token::Mark(',', 2), literal("b'y'", 2)],
        ),
        Token::Mark('&', 3),
        literal("\"h\\\"\n{\"", 3),
        literal("r#\"i\"\"#", 4),
        name("type", 4),
        literal("1_u8", 4),
        literal("br\"j\"", 4),
    ];
    assert_eq!(tokens(text), expected);
}
