//! Reading a script: limits, syntax errors, calls, and runnable JavaScript.

use swc_common::sync::Lrc;
use swc_common::{GLOBALS, Globals, SourceMap};
use swc_ecma_ast::{Module, ModuleDecl, ModuleItem};
#[cfg(test)]
use swc_ecma_parser::TsSyntax;

use super::calls::find_calls;
use super::model::{MAX_SCRIPT_BYTES, Script, ScriptError};
use super::nesting::{MAX_NESTING, MAX_TOKENS, find_excessive_nesting};
use super::strip::strip_types;
use super::syntax::{byte_offset, parse, typescript};

/// Stack size of the parser thread, in bytes. The parser recurses as deep as the source nests, and operators such as `!`
/// nest without brackets.
const STACK: usize = 256 << 20;

/// Reads a script.
///
/// # Errors
/// Syntax errors, exceeded limits, and TypeScript that has a meaning at run time (`enum`, `namespace`), which blanking
/// cannot make runnable.
pub fn read_script(source: &str) -> Result<Script, Vec<ScriptError>> {
    let error = |message: String| Err(vec![ScriptError { message, at: (0, 0) }]);
    if source.len() > MAX_SCRIPT_BYTES {
        return error(format!("the script is larger than {} KiB", MAX_SCRIPT_BYTES >> 10));
    }
    if let Some(at) = find_excessive_nesting(source) {
        let message = format!(
            "the code nests deeper than {MAX_NESTING} levels, or a statement is longer than {MAX_TOKENS} tokens"
        );
        return Err(vec![ScriptError { message, at: (at, at + 1) }]);
    }
    // The stack is reserved address space; a source of ordinary depth touches little of it.
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().name("script".into()).stack_size(STACK);
        match builder.spawn_scoped(scope, || parse_and_strip(source)).map(std::thread::ScopedJoinHandle::join) {
            Ok(Ok(script)) => script,
            Ok(Err(_)) => error("the script cannot be read: the parser panicked; please report this".to_owned()),
            Err(cause) => error(format!("cannot start the parser thread: {cause}")),
        }
    })
}

/// Reads the body of a function of `ctx`, the form in which workflow steps contain code.
///
/// The resulting JavaScript is a whole module; the positions of calls and errors refer to the body.
///
/// # Errors
/// Those of [`read_script`].
pub fn read_script_body(body: &str) -> Result<Script, Vec<ScriptError>> {
    const PREFIX: &str = "export default async function (ctx) {";
    let to_body = |(start, end): (usize, usize)| {
        let offset = |at: usize| at.saturating_sub(PREFIX.len()).min(body.len());
        (offset(start), offset(end))
    };
    match read_script(&format!("{PREFIX}{body}\n}}")) {
        Ok(mut script) => {
            script.move_calls(to_body);
            Ok(script)
        }
        Err(errors) => Err(errors.into_iter().map(|error| ScriptError { at: to_body(error.at), ..error }).collect()),
    }
}

/// Checks the syntax of a declaration file (`.d.ts`).
///
/// # Errors
/// Syntax errors and exceeded limits.
#[cfg(test)]
pub(crate) fn check_declarations(source: &str) -> Result<(), Vec<ScriptError>> {
    if let Some(at) = find_excessive_nesting(source) {
        return Err(vec![ScriptError { message: "the code nests too deep".to_owned(), at: (at, at + 1) }]);
    }
    let syntax = TsSyntax { dts: true, ..typescript() };
    GLOBALS.set(&Globals::new(), || parse(&Lrc::default(), source, syntax).map(|_| ()))
}

fn parse_and_strip(source: &str) -> Result<Script, Vec<ScriptError>> {
    GLOBALS.set(&Globals::new(), || {
        let map: Lrc<SourceMap> = Lrc::default();
        let (module, base) = parse(&map, source, typescript())?;
        let javascript = strip_types(source)?;
        let (calls, workflow_calls) = find_calls(&module, base);
        Ok(Script {
            javascript,
            calls,
            workflow_calls,
            exports_default: exports_default(&module),
            imports: imports(&module, base),
        })
    })
}

fn exports_default(module: &Module) -> bool {
    module.body.iter().any(|item| match item {
        ModuleItem::ModuleDecl(ModuleDecl::ExportDefaultDecl(_) | ModuleDecl::ExportDefaultExpr(_)) => true,
        ModuleItem::ModuleDecl(ModuleDecl::ExportNamed(named)) => named.specifiers.iter().any(|specifier| {
            let text = format!("{specifier:?}");
            text.contains("default")
        }),
        _ => false,
    })
}

/// Imports of values. Type-only imports are blanked and need no module.
fn imports(module: &Module, base: u32) -> Vec<(String, usize)> {
    let imports = module.body.iter().filter_map(|item| match item {
        ModuleItem::ModuleDecl(ModuleDecl::Import(import)) if !import.type_only => Some(import),
        _ => None,
    });
    imports.map(|import| (import.src.value.to_string_lossy().into_owned(), byte_offset(import.span.lo, base))).collect()
}
