//! Parsing, after a scan that keeps the parser's recursion (and everything
//! that walks through the tree later, down to its drop) within bounds.

use std::ops::Range;
use std::sync::LazyLock;

use minijinja::ErrorKind;
use minijinja::machinery::{Span, Token, ast, parse as parse_template, tokenize};
use minijinja::syntax::SyntaxConfig;

use super::{Problem, ProblemKind};

/// The largest source there may be.
const MAX_SOURCE: usize = 64 << 10;
/// How deeply brackets may be nested.
const MAX_BRACKETS: usize = 40;
/// How long a chain of operators, filters and attributes may be; each of them
/// makes the tree one deeper.
const MAX_CHAIN: usize = 500;
/// How deeply statements may be nested; each `elif` counts as well.
const MAX_BLOCKS: usize = 40;

static SYNTAX: LazyLock<SyntaxConfig> = LazyLock::new(|| {
    SyntaxConfig::builder()
        .keep_trailing_newline(true)
        .build()
        // With the default delimiters there is nothing to be wrong.
        .unwrap_or_default()
});

/// Whether a source holds no Jinja at all.
pub(super) fn is_plain(source: &str) -> bool {
    !(source.contains("{{") || source.contains("{%") || source.contains("{#"))
}

/// Parses a source.
pub(super) fn parse(source: &str) -> Result<ast::Stmt<'_>, Problem> {
    scan(source)?;
    parse_template(source, "template", SYNTAX.clone()).map_err(|error| syntax(source, &error))
}

/// The bytes a span covers.
pub(super) fn range_of(span: Span) -> Range<usize> {
    let start = span.start_offset as usize;
    start..(span.end_offset as usize).max(start)
}

/// The only expression of a template that is nothing else.
pub(super) fn single_expression<'t, 's>(template: &'t ast::Stmt<'s>) -> Option<&'t ast::Expr<'s>> {
    match template {
        ast::Stmt::Template(template) => match template.children.as_slice() {
            [ast::Stmt::EmitExpr(emit)] => Some(&emit.expr),
            _ => None,
        },
        _ => None,
    }
}

fn syntax(source: &str, error: &minijinja::Error) -> Problem {
    let range = error.range().unwrap_or(0..source.len());
    let message = match (error.kind(), error.detail()) {
        (ErrorKind::SyntaxError, Some(detail)) => detail.to_owned(),
        (kind, Some(detail)) => format!("{kind}: {detail}"),
        (kind, None) => kind.to_string(),
    };
    Problem::new(ProblemKind::Syntax, message, clip(source, range))
}

/// A range within the source, on character boundaries.
fn clip(source: &str, range: Range<usize>) -> Range<usize> {
    let start = source.floor_char_boundary(range.start.min(source.len()));
    let end = source.ceil_char_boundary(range.end.min(source.len()));
    start..end.max(start)
}

fn too_large(what: &str, range: Range<usize>) -> Problem {
    Problem::new(ProblemKind::TooLarge, what, range)
}

fn scan(source: &str) -> Result<(), Problem> {
    if source.len() > MAX_SOURCE {
        return Err(too_large("the template is larger than 64 KiB", 0..source.len()));
    }
    // The open statements, each with the depth it adds.
    let mut blocks: Vec<usize> = Vec::new();
    let mut tag = Tag::default();
    for token in tokenize(source, false, SYNTAX.clone()) {
        let (token, span) = token.map_err(|error| syntax(source, &error))?;
        match &token {
            Token::VariableStart | Token::BlockStart => tag = Tag::default(),
            Token::BlockEnd => tag.nest(&mut blocks),
            token => tag.feed(token),
        }
        if blocks.iter().sum::<usize>() > MAX_BLOCKS {
            return Err(too_large("the statements are nested too deeply", range_of(span)));
        }
        if tag.levels.len() > MAX_BRACKETS || tag.depth() > MAX_CHAIN {
            return Err(too_large("the expression is nested too deeply", range_of(span)));
        }
    }
    Ok(())
}

/// One `{{ … }}` or `{% … %}` while it is scanned.
#[derive(Default)]
struct Tag {
    keyword: Option<Keyword>,
    assigns: bool,
    seen: bool,
    /// For each open bracket, an upper bound of the depth of the tree so far
    /// and of its deepest finished element.
    levels: Vec<Level>,
    top: Level,
}

#[derive(Default, Clone, Copy)]
struct Level {
    now: usize,
    deepest: usize,
}

#[derive(Clone, Copy)]
enum Keyword {
    Opens,
    OpensUnlessAssigning,
    Deepens,
    Closes,
}

impl Tag {
    fn feed(&mut self, token: &Token<'_>) {
        if !self.seen {
            self.seen = true;
            if let Token::Ident(word) = token {
                self.keyword = Keyword::of(word);
            }
        }
        match token {
            Token::ParenOpen | Token::BracketOpen | Token::BraceOpen => {
                self.levels.push(self.top);
                self.top = Level::default();
            }
            Token::ParenClose | Token::BracketClose | Token::BraceClose => {
                let inside = self.top.now.max(self.top.deepest);
                self.top = self.levels.pop().unwrap_or_default();
                // The bracket may be the left end of a longer chain.
                self.top.now = self.top.now.saturating_add(inside).saturating_add(1);
            }
            Token::Comma => {
                self.top.deepest = self.top.deepest.max(self.top.now);
                self.top.now = 0;
            }
            Token::Ident("and" | "or" | "not" | "if" | "else" | "is" | "in")
            | Token::Plus
            | Token::Minus
            | Token::Mul
            | Token::Div
            | Token::FloorDiv
            | Token::Pow
            | Token::Mod
            | Token::Dot
            | Token::Tilde
            | Token::Pipe
            | Token::Eq
            | Token::Ne
            | Token::Gt
            | Token::Gte
            | Token::Lt
            | Token::Lte
            | Token::Colon => self.top.now += 1,
            Token::Assign => {
                self.assigns |= self.levels.is_empty();
                self.top.now += 1;
            }
            _ => {}
        }
    }

    fn depth(&self) -> usize {
        self.levels.iter().chain([&self.top]).map(|level| level.now.max(level.deepest)).fold(0, usize::saturating_add)
    }

    /// Opens or closes a statement at the end of the tag.
    fn nest(&self, blocks: &mut Vec<usize>) {
        match self.keyword {
            Some(Keyword::Opens) => blocks.push(1),
            Some(Keyword::OpensUnlessAssigning) if !self.assigns => blocks.push(1),
            // The parser nests an `elif` in the `if` before it.
            Some(Keyword::Deepens) => {
                if let Some(block) = blocks.last_mut() {
                    *block += 1;
                }
            }
            Some(Keyword::Closes) => {
                blocks.pop();
            }
            _ => {}
        }
    }
}

impl Keyword {
    fn of(word: &str) -> Option<Keyword> {
        Some(match word {
            "for" | "if" | "with" | "filter" | "macro" | "call" | "block" | "autoescape" => Keyword::Opens,
            "set" => Keyword::OpensUnlessAssigning,
            "elif" => Keyword::Deepens,
            word if word.starts_with("end") => Keyword::Closes,
            _ => return None,
        })
    }
}
