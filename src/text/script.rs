//! JavaScript and TypeScript: read for mistakes and for what it calls, and made runnable by blanking types, so that every
//! line and column stays what the author wrote.

use std::fmt;

use swc_common::errors::{DiagnosticBuilder, Emitter, HANDLER, Handler};
use swc_common::sync::Lrc;
use swc_common::{BytePos, FileName, GLOBALS, Globals, SourceMap, Spanned as _};
use swc_ecma_ast::{
    Callee, EsVersion, Expr, MemberExpr, MemberProp, Module, ModuleDecl, ModuleItem, ObjectPat, ObjectPatProp, Pat,
    PropName, VarDeclarator,
};
use swc_ecma_parser::lexer::Lexer;
use swc_ecma_parser::{Parser, StringInput, Syntax, TsSyntax};
use swc_ecma_visit::{Visit, VisitWith as _};
use swc_ts_fast_strip::{Mode, Options, operate};

/// Largest source, in bytes.
pub const MAX_SCRIPT_BYTES: usize = 256 << 10;
/// Deepest nesting of brackets; more is no program that a person wrote, and parsers go deep with it.
const MAX_NESTING: usize = 500;
/// Most tokens between two commas, semicolons or lines of one pair of brackets.
const MAX_TOKENS: usize = 5_000;
/// Parsers go as deep as the source does, and `!` needs no bracket.
const STACK: usize = 256 << 20;

/// A script, ready to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// JavaScript with the lines and columns of the source.
    pub javascript: String,
    /// Calls of connectors' actions: `….connectors.NAME.ACTION`.
    pub calls: Vec<ScriptCall>,
    /// Is there an `export default`?
    pub exports_default: bool,
    /// Where modules are imported, which there are none of.
    pub imports: Vec<(String, usize)>,
}

/// A call that names a connector and an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptCall {
    /// The connector's name in code.
    pub connector: String,
    /// The action's name in code.
    pub action: String,
    /// Where the connector's name stands: bytes from the beginning of the source.
    pub connector_at: (usize, usize),
    /// Where the action's name stands.
    pub action_at: (usize, usize),
}

/// A mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptError {
    /// What is wrong.
    pub message: String,
    /// Where: bytes from the beginning of the source.
    pub at: (usize, usize),
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Reads a source.
///
/// # Errors
/// What is wrong with it: syntax, or TypeScript that is more than types (`enum`, `namespace`), which blanking cannot make
/// runnable.
pub fn read_script(source: &str) -> Result<Script, Vec<ScriptError>> {
    let refused = |message: String| Err(vec![ScriptError { message, at: (0, 0) }]);
    if source.len() > MAX_SCRIPT_BYTES {
        return refused(format!("the script is larger than {} KiB", MAX_SCRIPT_BYTES >> 10));
    }
    if let Some(at) = too_deep(source) {
        let message = format!("this is nested deeper than {MAX_NESTING}, or longer than {MAX_TOKENS} tokens");
        return Err(vec![ScriptError { message, at: (at, at + 1) }]);
    }
    // The thread's stack is reserved, not used, for sources of an ordinary depth.
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().name("script".into()).stack_size(STACK);
        match builder.spawn_scoped(scope, || read(source)).map(std::thread::ScopedJoinHandle::join) {
            Ok(Ok(read)) => read,
            Ok(Err(_)) => refused("the script cannot be read; please report this".to_owned()),
            Err(error) => refused(format!("a thread cannot be started: {error}")),
        }
    })
}

/// The same for the body of a function of `ctx`, as steps have it. The JavaScript is a whole module; places are those in
/// the body.
///
/// # Errors
/// Those of [`read_script`].
pub fn read_script_body(body: &str) -> Result<Script, Vec<ScriptError>> {
    const BEFORE: &str = "export default async function (ctx) {";
    let moved = |(start, end): (usize, usize)| {
        let inside = |at: usize| at.saturating_sub(BEFORE.len()).min(body.len());
        (inside(start), inside(end))
    };
    match read_script(&format!("{BEFORE}{body}\n}}")) {
        Ok(mut script) => {
            for call in &mut script.calls {
                (call.connector_at, call.action_at) = (moved(call.connector_at), moved(call.action_at));
            }
            Ok(script)
        }
        Err(errors) => Err(errors.into_iter().map(|error| ScriptError { at: moved(error.at), ..error }).collect()),
    }
}

/// Does a file hold code that can run, by its name? Declarations (`.d.ts`) cannot.
pub fn is_script(path: &str) -> bool {
    if path.ends_with(".d.ts") {
        return false;
    }
    let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
    ["js", "mjs", "ts"].iter().any(|known| extension.eq_ignore_ascii_case(known))
}

/// The name of a connector or action as code writes it: `create-contact` is `createContact`.
pub fn camel(name: &str) -> String {
    let mut result = String::with_capacity(name.len());
    let mut upper = false;
    for letter in name.chars() {
        match letter {
            '-' | '_' | '.' => upper = !result.is_empty(),
            letter if upper => {
                result.extend(letter.to_uppercase());
                upper = false;
            }
            letter => result.push(letter),
        }
    }
    result
}

/// What is wrong with a declaration file (`.d.ts`).
///
/// # Errors
/// Where it is no TypeScript, or more than [`read_script`] takes.
#[cfg(test)]
pub(crate) fn check_declarations(source: &str) -> Result<(), Vec<ScriptError>> {
    if let Some(at) = too_deep(source) {
        return Err(vec![ScriptError { message: "this is nested too deep".to_owned(), at: (at, at + 1) }]);
    }
    GLOBALS.set(&Globals::new(), || parse(&Lrc::default(), source, TsSyntax { dts: true, ..syntax() }).map(|_| ()))
}

/// Where a source is nested deeper, or an expression is longer, than any that a person wrote. Parsers go as deep as
/// expressions are long: `!!!!…`, `a=>a=>…` and `1+1+…` need no brackets.
fn too_deep(source: &str) -> Option<usize> {
    let bytes = source.as_bytes();
    let mut lengths = vec![0_usize];
    let (mut at, mut before) = (0, "");
    while let Some(&byte) = bytes.get(at) {
        let rest = source.get(at..).unwrap_or_default();
        let start = at;
        at += match byte {
            b'/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            b'/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            b'"' | b'\'' => string(rest),
            byte if is_word(byte) => rest.bytes().take_while(|byte| is_word(*byte)).count(),
            _ => 1,
        };
        let token = source.get(start..at).unwrap_or(" ");
        match byte {
            b'(' | b'[' | b'{' => lengths.push(0),
            b')' | b']' | b'}' if lengths.len() > 1 => {
                lengths.pop();
            }
            b',' | b';' => *lengths.last_mut()? = 0,
            // A line that begins like a statement, after one that ends like one.
            byte if (is_word(byte) || byte == b'}') && before == "\n" => *lengths.last_mut()? = 0,
            _ => {}
        }
        if byte == b'\n' {
            before = if ends(before) { "\n" } else { before };
        } else if !byte.is_ascii_whitespace() {
            *lengths.last_mut()? += 1;
            before = token;
        }
        if lengths.len() > MAX_NESTING || lengths.last().is_some_and(|length| *length > MAX_TOKENS) {
            return Some(start);
        }
    }
    None
}

/// Can a statement end with it?
fn ends(token: &str) -> bool {
    const GO_ON: [&str; 10] = ["typeof", "void", "delete", "await", "yield", "new", "in", "of", "instanceof", "else"];
    let last = token.bytes().last().unwrap_or(b' ');
    !GO_ON.contains(&token) && (is_word(last) || b")]}\"'`\n".contains(&last))
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

/// Length of a string; it ends with its line at the latest.
fn string(rest: &str) -> usize {
    let quote = rest.as_bytes().first().copied().unwrap_or(b'"');
    let mut escaped = false;
    let end = rest.bytes().skip(1).position(|byte| {
        let ends = !escaped && (byte == quote || byte == b'\n');
        escaped = !escaped && byte == b'\\';
        ends
    });
    end.map_or(rest.len(), |end| end + 2)
}

fn read(source: &str) -> Result<Script, Vec<ScriptError>> {
    GLOBALS.set(&Globals::new(), || {
        let map: Lrc<SourceMap> = Lrc::default();
        let (module, base) = parse(&map, source, syntax())?;
        let mut found = Found { base, ..Found::default() };
        module.visit_with(&mut found);
        let javascript = strip(source)?;
        Ok(Script {
            javascript,
            calls: found.calls,
            exports_default: exports_default(&module),
            imports: imports(&module, base),
        })
    })
}

fn syntax() -> TsSyntax {
    TsSyntax { decorators: true, ..TsSyntax::default() }
}

fn parse(map: &Lrc<SourceMap>, source: &str, syntax: TsSyntax) -> Result<(Module, u32), Vec<ScriptError>> {
    let file = map.new_source_file(Lrc::new(FileName::Anon), source.to_owned());
    let base = file.start_pos.0;
    let input = StringInput::from(&*file);
    let mut parser = Parser::new_from(Lexer::new(Syntax::Typescript(syntax), EsVersion::latest(), input, None));
    let parsed = parser.parse_module();
    let mut errors = parser.take_errors();
    match parsed {
        Ok(module) if errors.is_empty() => Ok((module, base)),
        Ok(_) => Err(errors.into_iter().map(|error| mistake(&error, base)).collect()),
        Err(error) => {
            errors.insert(0, error);
            Err(errors.into_iter().map(|error| mistake(&error, base)).collect())
        }
    }
}

fn mistake(error: &swc_ecma_parser::error::Error, base: u32) -> ScriptError {
    let span = error.span();
    ScriptError { message: error.kind().msg().into_owned(), at: (offset(span.lo, base), offset(span.hi, base)) }
}

fn offset(position: BytePos, base: u32) -> usize {
    position.0.saturating_sub(base) as usize
}

/// Collects what is reported, instead of printing it.
struct Collecting(Lrc<std::sync::Mutex<Vec<ScriptError>>>);

impl Emitter for Collecting {
    fn emit(&mut self, diagnostic: &mut DiagnosticBuilder<'_>) {
        let at = diagnostic.span.primary_span().map_or((0, 0), |span| (offset(span.lo, 1), offset(span.hi, 1)));
        let error = ScriptError { message: diagnostic.message(), at };
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(error);
    }
}

fn strip(source: &str) -> Result<String, Vec<ScriptError>> {
    let errors: Lrc<std::sync::Mutex<Vec<ScriptError>>> = Lrc::default();
    let handler = Handler::with_emitter(true, false, Box::new(Collecting(errors.clone())));
    let map: Lrc<SourceMap> = Lrc::default();
    let options = Options { module: Some(true), parser: syntax(), mode: Mode::StripOnly, ..Options::default() };
    let stripped = HANDLER.set(&handler, || operate(&map, &handler, source.to_owned(), options));
    stripped.map(|output| output.code).map_err(|error| {
        let mut errors = std::mem::take(&mut *errors.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        if errors.is_empty() {
            errors.push(ScriptError { message: error.message, at: (0, 0) });
        }
        errors
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

/// Imports of values; those of types are blanked.
fn imports(module: &Module, base: u32) -> Vec<(String, usize)> {
    let imports = module.body.iter().filter_map(|item| match item {
        ModuleItem::ModuleDecl(ModuleDecl::Import(import)) if !import.type_only => Some(import),
        _ => None,
    });
    imports.map(|import| (import.src.value.to_string_lossy().into_owned(), offset(import.span.lo, base))).collect()
}

#[derive(Default)]
struct Found {
    base: u32,
    calls: Vec<ScriptCall>,
    /// Names that stand for `ctx.connectors`: taken out of it.
    aliases: Vec<String>,
}

impl Found {
    fn name(&self, property: &MemberProp) -> Option<(String, (usize, usize))> {
        let at = |span: swc_common::Span| (offset(span.lo, self.base), offset(span.hi, self.base));
        match property {
            MemberProp::Ident(name) => Some((name.sym.to_string(), at(name.span))),
            MemberProp::Computed(computed) => match &*computed.expr {
                Expr::Lit(swc_ecma_ast::Lit::Str(text)) => {
                    Some((text.value.to_string_lossy().into_owned(), at(text.span)))
                }
                _ => None,
            },
            MemberProp::PrivateName(_) => None,
        }
    }

    /// Is it `….connectors`, or a name for it?
    fn is_connectors(&self, expression: &Expr) -> bool {
        match expression {
            Expr::Member(member) => self.name(&member.prop).is_some_and(|(name, _)| name == "connectors"),
            Expr::Ident(name) => self.aliases.iter().any(|alias| *alias == *name.sym),
            _ => false,
        }
    }
}

impl Visit for Found {
    fn visit_var_declarator(&mut self, declared: &VarDeclarator) {
        if let (Pat::Ident(name), Some(value)) = (&declared.name, &declared.init)
            && self.is_connectors(value)
        {
            self.aliases.push(name.id.sym.to_string());
        }
        declared.visit_children_with(self);
    }

    /// `const { connectors } = ctx`, and parameters such as `({ connectors: apps })`.
    fn visit_object_pat(&mut self, pattern: &ObjectPat) {
        self.aliases.extend(pattern.props.iter().filter_map(alias));
        pattern.visit_children_with(self);
    }

    fn visit_callee(&mut self, callee: &Callee) {
        if let Callee::Expr(expression) = callee
            && let Expr::Member(MemberExpr { obj, prop: action, .. }) = &**expression
            && let Expr::Member(MemberExpr { obj: connectors, prop: connector, .. }) = &**obj
            && self.is_connectors(connectors)
            && let (Some((connector, connector_at)), Some((action, action_at))) =
                (self.name(connector), self.name(action))
        {
            self.calls.push(ScriptCall { connector, action, connector_at, action_at });
        }
        callee.visit_children_with(self);
    }
}

fn alias(property: &ObjectPatProp) -> Option<String> {
    match property {
        ObjectPatProp::Assign(assign) if &*assign.key.sym == "connectors" => Some("connectors".to_owned()),
        ObjectPatProp::KeyValue(pair) => match (&pair.key, &*pair.value) {
            (PropName::Ident(key), Pat::Ident(name)) if &*key.sym == "connectors" => Some(name.id.sym.to_string()),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_blanked_and_places_stay() {
        let source = "type A = { x: number };\nexport default async function (ctx: any): Promise<A> {\n  const x: number = 1;\n  return { x };\n}\n";
        let script = read_script(source).unwrap();
        assert_eq!(script.javascript.len(), source.len());
        assert_eq!(script.javascript.lines().nth(2).unwrap().trim_end(), "  const x         = 1;");
        assert!(script.exports_default);
        assert!(!script.javascript.contains("number"));
    }

    #[test]
    fn calls_of_actions_are_found_with_their_places() {
        let source = "export default async ({ connectors: apps, input }) => {\n  await apps.orbitCrm.createContact({});\n}\n\
                      export async function more(ctx) { const c = ctx.connectors; await c.slack['post-message']();\n\
                      return ctx.connectors.a.b(ctx.connectors.x.y()) }";
        let script = read_script(source).unwrap();
        let names: Vec<(&str, &str)> =
            script.calls.iter().map(|call| (call.connector.as_str(), call.action.as_str())).collect();
        assert_eq!(names, [("orbitCrm", "createContact"), ("slack", "post-message"), ("a", "b"), ("x", "y")]);
        let first = &script.calls[0];
        assert_eq!(&source[first.action_at.0..first.action_at.1], "createContact");
    }

    #[test]
    fn names_in_code() {
        for (name, code) in
            [("orbit-crm", "orbitCrm"), ("create-contact", "createContact"), ("s3", "s3"), ("a-1b", "a1b")]
        {
            assert_eq!(camel(name), code);
        }
        assert!(
            is_script("a/b.ts")
                && is_script("b.MJS")
                && !is_script("a.json")
                && !is_script("ts")
                && !is_script("a.d.ts")
        );
    }

    #[test]
    fn bodies_have_their_own_places() {
        let body = "const x: number = 1;\nreturn ctx.connectors.crm.list(x)";
        let script = read_script_body(body).unwrap();
        let at = script.calls[0].action_at;
        assert_eq!(&body[at.0..at.1], "list");
        assert_eq!(read_script_body("const = 1").unwrap_err()[0].at.0, 6);
        assert_eq!(read_script_body("return (").unwrap_err()[0].at.0, 8);
    }

    #[test]
    fn mistakes_have_places() {
        let errors = read_script("export default function () {\n  const = 1;\n}").unwrap_err();
        assert_eq!(errors[0].at.0, 37, "{errors:?}");
        let errors = read_script("enum A { B }\nexport default 1").unwrap_err();
        assert!(errors[0].message.contains("enum"), "{errors:?}");
    }

    #[test]
    fn what_no_person_wrote_is_refused_and_stops_nothing() {
        for source in
            ["(".repeat(100_000), "!".repeat(200_000), "a=>".repeat(80_000), "[".repeat(499), "a?.".repeat(80_000)]
        {
            assert!(read_script(&source).is_err(), "{}", &source[..8]);
        }
        for unit in ["typeof\n", "!\n", "a=>\n", "a\n?.", "if(a){}else ", "1+", "a:", "await ", "-", "`${"] {
            assert!(read_script(&unit.repeat(20_000)).is_err(), "{unit}");
        }
        let long: String = (0..5_000).map(|at| format!("const a{at} = [1, 2, {at}]\n// it's\n")).collect();
        assert!(read_script(&long).is_ok());
        assert!(read_script(&"x".repeat(MAX_SCRIPT_BYTES + 1)).is_err());
        let binary = format!("export default {}1", "1+".repeat(2_000));
        assert!(read_script(&binary).is_ok());
    }
}
