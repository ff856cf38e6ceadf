//! The parser: source text to syntax tree.

use swc_common::sync::Lrc;
use swc_common::{BytePos, FileName, SourceMap, Spanned as _};
use swc_ecma_ast::{EsVersion, Module};
use swc_ecma_parser::lexer::Lexer;
use swc_ecma_parser::{Parser, StringInput, Syntax, TsSyntax};

use super::model::ScriptError;

/// The accepted syntax: TypeScript with decorators.
pub(super) fn typescript() -> TsSyntax {
    TsSyntax { decorators: true, ..TsSyntax::default() }
}

/// Parses a module. The number is the position of the file's first byte in the source map.
pub(super) fn parse(map: &Lrc<SourceMap>, source: &str, syntax: TsSyntax) -> Result<(Module, u32), Vec<ScriptError>> {
    let file = map.new_source_file(Lrc::new(FileName::Anon), source.to_owned());
    let base = file.start_pos.0;
    let input = StringInput::from(&*file);
    let mut parser = Parser::new_from(Lexer::new(Syntax::Typescript(syntax), EsVersion::latest(), input, None));
    let parsed = parser.parse_module();
    let mut errors = parser.take_errors();
    match parsed {
        Ok(module) if errors.is_empty() => Ok((module, base)),
        Ok(_) => Err(errors.into_iter().map(|error| syntax_error(&error, base)).collect()),
        Err(error) => {
            errors.insert(0, error);
            Err(errors.into_iter().map(|error| syntax_error(&error, base)).collect())
        }
    }
}

fn syntax_error(error: &swc_ecma_parser::error::Error, base: u32) -> ScriptError {
    let span = error.span();
    let at = (byte_offset(span.lo, base), byte_offset(span.hi, base));
    ScriptError { message: error.kind().msg().into_owned(), at }
}

/// Converts a position in the source map to bytes from the start of the file.
pub(super) fn byte_offset(position: BytePos, base: u32) -> usize {
    position.0.saturating_sub(base) as usize
}
