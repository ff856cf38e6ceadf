//! The parser, behind a scan of the tokens that bounds the recursion of the parser
//! and of everything that walks the tree later, including its drop.

use std::ops::Range;
use std::sync::LazyLock;

use minijinja::ErrorKind;
use minijinja::machinery::{Span, Token, ast, parse as parse_template, tokenize};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;

use super::{Problem, ProblemKind};

/// Maximum size of a template, in bytes.
const MAX_SOURCE: usize = 64 << 10;
/// Maximum nesting of brackets.
const MAX_BRACKETS: usize = 40;
/// Maximum length of a chain of operators, filters and attributes; each one
/// adds a level to the tree.
const MAX_CHAIN: usize = 500;
/// Maximum nesting of statements; each `elif` adds a level.
const MAX_BLOCKS: usize = 40;

static SYNTAX: LazyLock<SyntaxConfig> = LazyLock::new(|| {
    SyntaxConfig::builder()
        .keep_trailing_newline(true)
        .build()
        // The default delimiters are always valid.
        .unwrap_or_default()
});

/// True if a source contains no Jinja.
pub(super) fn is_plain(source: &str) -> bool {
    !(source.contains("{{") || source.contains("{%") || source.contains("{#"))
}

/// Parses a source.
pub(super) fn parse(source: &str) -> Result<ast::Stmt<'_>, Problem> {
    scan(source)?;
    parse_template(source, "template", SYNTAX.clone()).map_err(|error| syntax(source, &error))
}

/// The byte range of a span.
pub(super) fn range_of(span: Span) -> Range<usize> {
    let start = span.start_offset as usize;
    start..(span.end_offset as usize).max(start)
}

/// The expression of a template that consists of exactly one expression.
pub(super) fn single_expression<'t, 's>(template: &'t ast::Stmt<'s>) -> Option<&'t ast::Expr<'s>> {
    match template {
        ast::Stmt::Template(template) => match template.children.as_slice() {
            [ast::Stmt::EmitExpr(emit)] => Some(&emit.expr),
            _ => None,
        },
        _ => None,
    }
}

/// True if an expression is a string literal.
pub(super) fn is_text_literal(expr: &ast::Expr<'_>) -> bool {
    matches!(expr, ast::Expr::Const(literal) if literal.value.kind() == ValueKind::String)
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

/// Clips a range to the source and to character boundaries.
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
    // The open statements with the depth that each one adds.
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

/// A `{{ … }}` or `{% … %}` during the scan.
#[derive(Default)]
struct Tag {
    keyword: Option<Keyword>,
    assigns: bool,
    seen: bool,
    /// For each open bracket, upper bounds of the depth of the tree so far and
    /// of its deepest complete element.
    levels: Vec<Depth>,
    top: Depth,
}

#[derive(Default, Clone, Copy)]
struct Depth {
    current: usize,
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
                self.top = Depth::default();
            }
            Token::ParenClose | Token::BracketClose | Token::BraceClose => {
                let inside = self.top.current.max(self.top.deepest);
                self.top = self.levels.pop().unwrap_or_default();
                // The bracket may be the start of a longer chain.
                self.top.current = self.top.current.saturating_add(inside).saturating_add(1);
            }
            Token::Comma => {
                self.top.deepest = self.top.deepest.max(self.top.current);
                self.top.current = 0;
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
            | Token::Colon => self.top.current += 1,
            Token::Assign => {
                self.assigns |= self.levels.is_empty();
                self.top.current += 1;
            }
            _ => {}
        }
    }

    fn depth(&self) -> usize {
        self.levels
            .iter()
            .chain([&self.top])
            .map(|level| level.current.max(level.deepest))
            .fold(0, usize::saturating_add)
    }

    /// Opens or closes a statement at the end of a tag.
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
