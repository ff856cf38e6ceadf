//! The imports of the source tree: every `use` and every path of every file, resolved to the file that defines the item.
//!
//! Files are read as tokens, so that a path is found however it is wrapped, nested or written inside a macro, and so
//! that comments and strings are not mistaken for code.

use std::collections::{BTreeMap, BTreeSet};

use super::tokens::{Delimiter, Token, tokens};

/// A file of the source tree: its path below the repository and its text.
pub struct SourceFile {
    pub path: String,
    pub text: String,
}

/// A path in code, such as `crate::plan::Plan`, with the line that holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodePath {
    pub segments: Vec<String>,
    pub line: usize,
    /// True if the path stands in a `use`.
    pub is_import: bool,
}

/// One name that a `use` brings into a module. `name` is `*` for a glob.
#[derive(Clone, Debug)]
struct Import {
    name: String,
    segments: Vec<String>,
    line: usize,
    is_reexport: bool,
}

/// One module: that of a file, or one written inline.
#[derive(Default)]
struct Module {
    file: usize,
    imports: Vec<Import>,
    paths: Vec<CodePath>,
    /// Items that the module defines.
    items: BTreeSet<String>,
    /// Names that stand alone in its code: an item that is re-exported and used here is among them.
    names: BTreeSet<String>,
}

/// The modules of a crate by their path; the root's path is empty.
pub struct Tree {
    pub files: Vec<SourceFile>,
    modules: BTreeMap<Vec<String>, Module>,
}

/// The target of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    /// An item, defined in the file of this index.
    Item(usize),
    /// A module as a whole.
    Module,
}

/// An import of one file by another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    pub from: usize,
    pub to: usize,
    pub line: usize,
    pub path: String,
}

const ITEM_KEYWORDS: [&str; 9] = ["fn", "struct", "enum", "trait", "type", "const", "static", "union", "macro_rules"];

/// The module path of a file: `src/plan/render.rs` and `src/plan/render/mod.rs` are `["plan", "render"]`.
pub fn module_path(path: &str) -> Vec<String> {
    let inside = path.strip_prefix("src/").unwrap_or(path).trim_end_matches(".rs");
    let mut segments: Vec<String> = inside.split('/').map(str::to_owned).collect();
    if segments.last().is_some_and(|last| last == "mod") || segments == ["lib"] {
        segments.pop();
    }
    segments
}

impl Tree {
    /// Reads files.
    pub fn read(files: Vec<SourceFile>) -> Tree {
        let mut modules = BTreeMap::new();
        for (index, file) in files.iter().enumerate() {
            let tokens = tokens(&file.text);
            let mut reader = Reader { modules: &mut modules, file: index };
            reader.module(module_path(&file.path), &tokens);
        }
        Tree { files, modules }
    }

    /// Every path of a file that starts at `crate`, `self` or `super`, written from the root of the crate.
    pub fn internal(&self) -> impl Iterator<Item = (usize, CodePath)> {
        self.modules.iter().flat_map(|(path, module)| {
            let imports = module.imports.iter().map(|import| CodePath {
                segments: import.segments.clone(),
                line: import.line,
                is_import: true,
            });
            imports.chain(module.paths.iter().cloned()).filter_map(move |found| {
                let segments = absolute(path, &found.segments)?;
                (!segments.is_empty()).then_some((module.file, CodePath { segments, ..found }))
            })
        })
    }

    /// Paths that start at another crate: neither at `crate`, `self` and `super`, nor at a name of their own module.
    pub fn external(&self) -> impl Iterator<Item = (usize, CodePath)> {
        self.modules.iter().flat_map(move |(path, module)| {
            let imports = module.imports.iter().map(|import| CodePath {
                segments: import.segments.clone(),
                line: import.line,
                is_import: true,
            });
            imports.chain(module.paths.iter().cloned()).filter_map(move |found| {
                let first = &found.segments[0];
                let is_own = ["crate", "self", "super", "Self"].contains(&first.as_str())
                    || self.modules.contains_key(&joined(path, first))
                    || (!found.is_import && module.imports.iter().any(|import| import.name == *first))
                    || module.items.contains(first);
                (!is_own).then_some((module.file, found))
            })
        })
    }

    /// Imports between files, each resolved to the file that defines the item. A `mod child;` and a re-export that the
    /// file itself does not use are no imports.
    pub fn edges(&self) -> Vec<Edge> {
        let mut edges = BTreeMap::new();
        for (path, module) in &self.modules {
            let mut add = |segments: &[String], line: usize| {
                if let Some(Target::Item(to)) = self.resolve(path, segments, 0)
                    && to != module.file
                {
                    let path = segments.join("::");
                    edges.entry((module.file, to)).or_insert(Edge { from: module.file, to, line, path });
                }
            };
            for import in &module.imports {
                if import.name == "*" {
                    let mut whole = import.segments.clone();
                    if let (false, Some(to)) = (import.is_reexport, self.module_of(path, &whole)) {
                        whole.push("*".to_owned());
                        if self.modules[&to].items.is_empty() {
                            continue;
                        }
                        add(&whole, import.line);
                    }
                } else if !import.is_reexport || module.names.contains(&import.name) {
                    add(&import.segments, import.line);
                }
            }
            for found in &module.paths {
                add(&found.segments, found.line);
            }
        }
        edges.into_values().collect()
    }

    /// The module that a path names, if it names one.
    fn module_of(&self, from: &[String], segments: &[String]) -> Option<Vec<String>> {
        let whole = absolute(from, segments).unwrap_or_else(|| [from, segments].concat());
        self.modules.contains_key(&whole).then_some(whole)
    }

    /// Follows a path from a module to the file that defines the item, through imports and re-exports.
    fn resolve(&self, from: &[String], segments: &[String], depth: usize) -> Option<Target> {
        if depth > 16 || segments.is_empty() {
            return None;
        }
        let whole = match absolute(from, segments) {
            Some(whole) => whole,
            None if self.modules.contains_key(&joined(from, &segments[0])) => [from, segments].concat(),
            None => {
                let module = self.modules.get(from)?;
                if let Some(import) = module.imports.iter().find(|import| import.name == segments[0]) {
                    let through = [&import.segments, &segments[1..]].concat();
                    return if through == segments { None } else { self.resolve(from, &through, depth + 1) };
                }
                return self.through_globs(from, module, segments, depth);
            }
        };
        let mut current: Vec<String> = Vec::new();
        for (position, segment) in whole.iter().enumerate() {
            let next = joined(&current, segment);
            if self.modules.contains_key(&next) {
                current = next;
                continue;
            }
            let module = self.modules.get(&current)?;
            if let Some(import) = module.imports.iter().find(|import| import.name == *segment) {
                let through = [&import.segments, &whole[position + 1..]].concat();
                return self.resolve(&current, &through, depth + 1);
            }
            if module.items.contains(segment) {
                return Some(Target::Item(module.file));
            }
            let found = self.through_globs(&current, module, &whole[position..], depth);
            return found.or(Some(Target::Item(module.file)));
        }
        Some(Target::Module)
    }

    /// Follows a path through the glob imports of a module.
    fn through_globs(&self, from: &[String], module: &Module, segments: &[String], depth: usize) -> Option<Target> {
        module.imports.iter().filter(|import| import.name == "*").find_map(|import| {
            let other = self.module_of(from, &import.segments)?;
            let known = &self.modules[&other];
            let has = known.items.contains(&segments[0])
                || known.imports.iter().any(|import| import.name == segments[0])
                || self.modules.contains_key(&joined(&other, &segments[0]));
            let mut whole = vec!["crate".to_owned()];
            whole.extend(other.iter().chain(segments).cloned());
            if has { self.resolve(&[], &whole, depth + 1) } else { None }
        })
    }
}

fn joined(path: &[String], segment: &str) -> Vec<String> {
    path.iter().cloned().chain([segment.to_owned()]).collect()
}

/// The path from the root of the crate, if it starts at `crate`, `self` or `super`.
fn absolute(from: &[String], segments: &[String]) -> Option<Vec<String>> {
    let mut base = match segments.first()?.as_str() {
        "crate" => Vec::new(),
        "self" | "super" => from.to_vec(),
        _ => return None,
    };
    for (position, segment) in segments.iter().enumerate() {
        match segment.as_str() {
            "crate" | "self" if position == 0 => {}
            "super" => _ = base.pop(),
            _ => {
                base.extend(segments[position..].iter().cloned());
                break;
            }
        }
    }
    Some(base)
}

/// Reads the tokens of one file into modules.
struct Reader<'a> {
    modules: &'a mut BTreeMap<Vec<String>, Module>,
    file: usize,
}

impl Reader<'_> {
    fn module(&mut self, path: Vec<String>, tokens: &[Token]) {
        let mut module = Module { file: self.file, ..Module::default() };
        self.tokens(&path, &mut module, tokens, true);
        self.modules.insert(path, module);
    }

    fn tokens(&mut self, path: &[String], module: &mut Module, tokens: &[Token], is_module_level: bool) {
        let mut at = 0;
        while at < tokens.len() {
            let token = &tokens[at];
            let next = tokens.get(at + 1);
            match token {
                Token::Mark('#', _) => {
                    let after = if next.is_some_and(|next| is_punct(next, '!')) { at + 2 } else { at + 1 };
                    let Some(Token::Group(_, inner)) = tokens.get(after) else {
                        at += 1;
                        continue;
                    };
                    at = after + 1;
                    if is_test_only(inner) {
                        at = after_item(tokens, at);
                    } else {
                        attribute(module, inner);
                    }
                    continue;
                }
                Token::Name(name, _) if name == "use" && !next.is_some_and(|next| is_punct(next, '<')) => {
                    let end =
                        tokens[at..].iter().position(|token| is_punct(token, ';')).map_or(tokens.len(), |n| at + n);
                    let is_reexport = at > 0
                        && (is_ident(&tokens[at - 1], "pub")
                            || (at > 1
                                && is_ident(&tokens[at - 2], "pub")
                                && matches!(&tokens[at - 1], Token::Group(..))));
                    use_tree(&[], &tokens[at + 1..end], is_reexport, &mut module.imports);
                    at = end + 1;
                    continue;
                }
                Token::Name(name, _) if name == "mod" && is_module_level => {
                    if let (Some(Token::Name(name, _)), Some(Token::Group(_, body))) = (next, tokens.get(at + 2)) {
                        self.module(joined(path, name), body);
                    }
                    at += 3;
                    continue;
                }
                Token::Name(name, _) if name == "pub" => {
                    // `pub(in crate::x)` names a place, not an item.
                    let is_restricted = matches!(next, Some(Token::Group(Delimiter::Parenthesis, _)));
                    at += if is_restricted { 2 } else { 1 };
                    continue;
                }
                Token::Name(first, line) => {
                    if is_module_level && ITEM_KEYWORDS.contains(&first.as_str()) {
                        let name = tokens[at + 1..].iter().take(2).find_map(|token| match token {
                            Token::Name(name, _) => Some(name.clone()),
                            _ => None,
                        });
                        if let Some(name) = name.filter(|name| !ITEM_KEYWORDS.contains(&name.as_str())) {
                            module.items.insert(name);
                            at += if first == "macro_rules" { 3 } else { 2 };
                            continue;
                        }
                    }
                    let (segments, end) = code_path(tokens, at);
                    let is_member =
                        at > 0 && is_punct(&tokens[at - 1], '.') && !(at > 1 && is_punct(&tokens[at - 2], '.'));
                    if !is_member {
                        if segments.len() > 1 {
                            module.paths.push(CodePath { segments, line: *line, is_import: false });
                        } else if is_used(first, tokens.get(end)) {
                            module.names.insert(first.clone());
                        }
                    }
                    at = end;
                    continue;
                }
                Token::Group(_, inner) => self.tokens(path, module, inner, false),
                _ => {}
            }
            at += 1;
        }
    }
}

/// True if a lone name is used as an item: a type, a constant or a call, not a local variable or a field.
fn is_used(name: &str, next: Option<&Token>) -> bool {
    let is_call = matches!(next, Some(Token::Group(Delimiter::Parenthesis, _)));
    is_call || name.starts_with(char::is_uppercase)
}

fn is_punct(token: &Token, wanted: char) -> bool {
    matches!(token, Token::Mark(mark, _) if *mark == wanted)
}

fn is_ident(token: &Token, wanted: &str) -> bool {
    matches!(token, Token::Name(name, _) if name == wanted)
}

/// True if a `::` stands at this position.
fn is_separator(tokens: &[Token], at: usize) -> bool {
    tokens.get(at).is_some_and(|token| is_punct(token, ':'))
        && tokens.get(at + 1).is_some_and(|token| is_punct(token, ':'))
}

/// The path that starts at a position, and the position after it.
fn code_path(tokens: &[Token], mut at: usize) -> (Vec<String>, usize) {
    let mut segments = Vec::new();
    while let Some(Token::Name(name, _)) = tokens.get(at) {
        segments.push(name.clone());
        at += 1;
        if !(is_separator(tokens, at) && matches!(tokens.get(at + 2), Some(Token::Name(..)))) {
            break;
        }
        at += 2;
    }
    (segments, at)
}

/// True for `#[cfg(test)]` and `#[test]`.
fn is_test_only(attribute: &[Token]) -> bool {
    match attribute {
        [only] => is_ident(only, "test"),
        [cfg, Token::Group(_, condition)] if is_ident(cfg, "cfg") => match condition.as_slice() {
            [only] => is_ident(only, "test"),
            [all, Token::Group(_, conditions)] if is_ident(all, "all") => {
                conditions.first().is_some_and(|first| is_ident(first, "test"))
            }
            _ => false,
        },
        _ => false,
    }
}

/// The position after the item that starts here: after its `;`, its braces, or the comma of a field.
fn after_item(tokens: &[Token], mut at: usize) -> usize {
    while let Some(token) = tokens.get(at) {
        at += 1;
        match token {
            Token::Mark(';' | ',', _) => break,
            Token::Group(Delimiter::Brace, _) => break,
            _ => {}
        }
    }
    at
}

/// Paths in an attribute: `#[derive(clap::Args)]`, `#[serde(with = "crate::text::bytes")]`.
fn attribute(module: &mut Module, tokens: &[Token]) {
    if tokens.first().is_some_and(|first| is_ident(first, "doc")) {
        return;
    }
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at] {
            Token::Name(_, line) => {
                let (segments, end) = code_path(tokens, at);
                if segments.len() > 1 {
                    module.paths.push(CodePath { segments, line: *line, is_import: false });
                }
                at = end;
                continue;
            }
            Token::Literal(text, line) => {
                let path = text.trim_matches('"');
                let is_path =
                    path.contains("::") && path.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':');
                if is_path {
                    let segments = path.split("::").map(str::to_owned).collect();
                    module.paths.push(CodePath { segments, line: *line, is_import: false });
                }
            }
            Token::Group(_, inner) => attribute(module, inner),
            Token::Mark(..) => {}
        }
        at += 1;
    }
}

/// Reads `a::{b, c::{self, d as e}, f::*}`.
fn use_tree(prefix: &[String], tokens: &[Token], is_reexport: bool, imports: &mut Vec<Import>) {
    let mut segments = prefix.to_vec();
    let mut at = 0;
    let mut line = 0;
    let mut renamed = None;
    while let Some(token) = tokens.get(at) {
        match token {
            Token::Name(name, _) if name == "as" => {
                renamed = match tokens.get(at + 1) {
                    Some(Token::Name(name, _)) => Some(name.clone()),
                    _ => None,
                };
                break;
            }
            Token::Name(name, own) => {
                line = *own;
                segments.push(name.clone());
            }
            Token::Mark('*', line) => {
                let line = *line;
                imports.push(Import { name: "*".to_owned(), segments, line, is_reexport });
                return;
            }
            Token::Group(_, inner) => {
                for part in inner.split(|token| is_punct(token, ',')) {
                    if !part.is_empty() {
                        use_tree(&segments, part, is_reexport, imports);
                    }
                }
                return;
            }
            _ => {}
        }
        at += 1;
    }
    if segments.len() > 1 && segments.last().is_some_and(|last| last == "self") {
        segments.pop();
    }
    if let Some(last) = segments.last() {
        let name = renamed.unwrap_or_else(|| last.clone());
        imports.push(Import { name, segments, line, is_reexport });
    }
}

/// Groups of files that import each other in a circle, each sorted by path.
pub fn cycles(count: usize, edges: &[Edge]) -> Vec<Vec<usize>> {
    let mut next = vec![Vec::new(); count];
    let mut back = vec![Vec::new(); count];
    for edge in edges {
        next[edge.from].push(edge.to);
        back[edge.to].push(edge.from);
    }
    // Kosaraju: files in the order in which a walk leaves them, then walks against the imports in reverse order.
    let mut left = Vec::new();
    let mut seen = vec![false; count];
    for start in 0..count {
        let mut stack = vec![(start, 0)];
        while let Some((file, position)) = stack.pop() {
            if position == 0 {
                if seen[file] {
                    continue;
                }
                seen[file] = true;
            }
            match next[file].get(position) {
                Some(&other) => stack.extend([(file, position + 1), (other, 0)]),
                None => left.push(file),
            }
        }
    }
    let mut found = Vec::new();
    let mut taken = vec![false; count];
    for &start in left.iter().rev() {
        let mut group = Vec::new();
        let mut stack = vec![start];
        while let Some(file) = stack.pop() {
            if !std::mem::replace(&mut taken[file], true) {
                group.push(file);
                stack.extend(&back[file]);
            }
        }
        if group.len() > 1 {
            group.sort_unstable();
            found.push(group);
        }
    }
    found.sort();
    found
}
