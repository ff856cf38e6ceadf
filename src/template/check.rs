//! The checker: finds problems in a template and lists the names that it uses.

mod calls;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Range;

use minijinja::machinery::ast::{self, BinOpKind, CompareOpKind, Expr, Stmt};

use super::location::{attributes, is_root, nearest};
use super::name_path::{NamePath, name_path};
use super::parser::range_of;
use super::{FieldLocation, Problem, ProblemKind, functions, predicates};

/// A secret or variable that a template uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameUse {
    /// The name of the secret or variable.
    pub name: String,
    /// The byte range of the call.
    pub range: Range<usize>,
    /// True if a `default` filter follows the call directly.
    pub has_default: bool,
}

/// The result of a check.
#[derive(Default)]
pub(super) struct CheckResult {
    pub problems: Vec<Problem>,
    pub secrets: Vec<NameUse>,
    pub variables: Vec<NameUse>,
    pub reads: BTreeMap<String, Range<usize>>,
    /// Reads that fail if the value is undefined.
    pub strict_reads: BTreeMap<String, Range<usize>>,
    /// Paths whose absence the template handles.
    pub guarded: BTreeSet<String>,
}

impl CheckResult {
    /// Reads that fail if the value is undefined, and whose absence the template handles nowhere.
    pub fn unguarded(&mut self) -> BTreeMap<String, Range<usize>> {
        let mut reads = std::mem::take(&mut self.strict_reads);
        reads.retain(|read, _| {
            // A guard of `input` guards everything in it.
            let handles = |guard: &String| {
                read.strip_prefix(guard.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            };
            !self.guarded.iter().any(handles)
        });
        reads
    }
}

/// Checks a template.  Without a location, names are not checked.
pub(super) fn check(template: &Stmt<'_>, location: Option<FieldLocation>) -> CheckResult {
    let mut checker = Checker {
        location,
        found: CheckResult::default(),
        scopes: vec![HashSet::new()],
        set_anywhere: HashSet::new(),
        in_macro: 0,
        in_loop: 0,
        is_guarding: false,
    };
    checker.note_names(std::slice::from_ref(template));
    checker.stmt(template);
    checker.found
}

struct Checker<'s> {
    location: Option<FieldLocation>,
    found: CheckResult,
    scopes: Vec<HashSet<&'s str>>,
    /// All names that the template sets: a macro may read names that are set
    /// after it.
    set_anywhere: HashSet<&'s str>,
    in_macro: usize,
    in_loop: usize,
    /// True within an expression that may be undefined.
    is_guarding: bool,
}

impl<'s> Checker<'s> {
    fn problem(&mut self, kind: ProblemKind, message: impl Into<String>, range: Range<usize>, help: Option<String>) {
        self.found.problems.push(Problem::new(kind, message, range).with_help(help));
    }

    fn forbid(&mut self, what: &str, range: Range<usize>) {
        self.problem(ProblemKind::Forbidden, what, range, None);
    }

    fn is_local(&self, name: &str) -> bool {
        self.scopes.iter().any(|scope| scope.contains(name))
            || (self.in_macro > 0 && (name == "caller" || self.set_anywhere.contains(name)))
    }

    fn scoped(&mut self, f: impl FnOnce(&mut Self)) {
        self.scopes.push(HashSet::new());
        f(self);
        self.scopes.pop();
    }

    /// Checks an expression that may be undefined if `guards` is set.
    fn guarded(&mut self, guards: bool, expr: &Expr<'s>) {
        let outer = std::mem::replace(&mut self.is_guarding, guards);
        self.expr(expr);
        self.is_guarding = outer;
    }

    fn set_name(&mut self, name: &'s str) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(name);
        }
    }

    fn note_names(&mut self, stmts: &[Stmt<'s>]) {
        for stmt in stmts {
            match stmt {
                Stmt::Template(template) => self.note_names(&template.children),
                Stmt::ForLoop(stmt) => {
                    self.note_names(&stmt.body);
                    self.note_names(&stmt.else_body);
                }
                Stmt::IfCond(stmt) => {
                    self.note_names(&stmt.true_body);
                    self.note_names(&stmt.false_body);
                }
                Stmt::WithBlock(stmt) => self.note_names(&stmt.body),
                Stmt::Set(stmt) => {
                    for name in target_names(&stmt.target) {
                        self.set_anywhere.insert(name);
                    }
                }
                Stmt::SetBlock(stmt) => {
                    for name in target_names(&stmt.target) {
                        self.set_anywhere.insert(name);
                    }
                }
                Stmt::Macro(stmt) => {
                    self.set_anywhere.insert(stmt.name);
                }
                _ => {}
            }
        }
    }

    fn stmts(&mut self, stmts: &[Stmt<'s>]) {
        for stmt in stmts {
            self.stmt(stmt);
        }
    }

    fn stmt(&mut self, stmt: &Stmt<'s>) {
        match stmt {
            Stmt::Template(stmt) => self.stmts(&stmt.children),
            Stmt::EmitExpr(stmt) => self.expr(&stmt.expr),
            Stmt::EmitRaw(_) => {}
            Stmt::ForLoop(stmt) => {
                self.expr(&stmt.iter);
                self.scoped(|this| {
                    this.target(&stmt.target, false);
                    if let Some(filter) = &stmt.filter_expr {
                        this.expr(filter);
                    }
                    this.in_loop += 1;
                    this.stmts(&stmt.body);
                    this.in_loop -= 1;
                });
                self.scoped(|this| this.stmts(&stmt.else_body));
            }
            Stmt::IfCond(stmt) => {
                self.expr(&stmt.expr);
                self.stmts(&stmt.true_body);
                self.stmts(&stmt.false_body);
            }
            Stmt::WithBlock(stmt) => self.scoped(|this| {
                for (target, value) in &stmt.assignments {
                    this.expr(value);
                    this.target(target, false);
                }
                this.stmts(&stmt.body);
            }),
            Stmt::Set(stmt) => {
                self.expr(&stmt.expr);
                self.target(&stmt.target, true);
            }
            Stmt::SetBlock(stmt) => {
                self.stmts(&stmt.body);
                if let Some(filter) = &stmt.filter {
                    self.expr(filter);
                }
                self.target(&stmt.target, true);
            }
            Stmt::FilterBlock(stmt) => {
                self.stmts(&stmt.body);
                self.expr(&stmt.filter);
            }
            Stmt::Macro(stmt) => {
                self.set_name(stmt.name);
                self.macro_body(stmt);
            }
            Stmt::CallBlock(stmt) => {
                if self.location == Some(FieldLocation::Url) {
                    self.forbid("a call block cannot be used in a URL", range_of(stmt.span()));
                }
                self.call(&stmt.call);
                self.macro_body(&stmt.macro_decl);
            }
            Stmt::Do(stmt) => self.call(&stmt.call),
            Stmt::AutoEscape(stmt) => {
                self.forbid("`autoescape` cannot be used here", range_of(stmt.span()));
            }
            Stmt::Block(stmt) => {
                self.forbid("`block` cannot be used here", range_of(stmt.span()));
            }
            Stmt::Import(stmt) => {
                self.forbid("`import` cannot be used here", range_of(stmt.span()));
            }
            Stmt::FromImport(stmt) => {
                self.forbid("`import` cannot be used here", range_of(stmt.span()));
            }
            Stmt::Extends(stmt) => {
                self.forbid("`extends` cannot be used here", range_of(stmt.span()));
            }
            Stmt::Include(stmt) => {
                self.forbid("`include` cannot be used here", range_of(stmt.span()));
            }
        }
    }

    fn macro_body(&mut self, declared: &ast::Macro<'s>) {
        for default in &declared.defaults {
            self.expr(default);
        }
        let in_loop = std::mem::take(&mut self.in_loop);
        self.in_macro += 1;
        self.scoped(|this| {
            for parameter in &declared.args {
                this.target(parameter, false);
            }
            this.stmts(&declared.body);
        });
        self.in_macro -= 1;
        self.in_loop = in_loop;
    }

    /// Checks the target of an assignment.  Only `set` may assign to attributes.
    fn target(&mut self, target: &Expr<'s>, attributes: bool) {
        match target {
            Expr::Var(var) => self.set_name(var.id),
            Expr::GetAttr(attr) if attributes => self.expr(&attr.expr),
            Expr::List(list) => {
                for item in &list.items {
                    match item {
                        Expr::Var(var) => self.set_name(var.id),
                        other => self.forbid("only plain names can be unpacked into", range_of(other.span())),
                    }
                }
            }
            other => self.forbid("this cannot be assigned to", range_of(other.span())),
        }
    }

    fn expr(&mut self, expr: &Expr<'s>) {
        match expr {
            Expr::Var(_) | Expr::GetAttr(_) | Expr::GetItem(_) => self.read(expr),
            Expr::Const(_) => {}
            Expr::Slice(slice) => {
                self.expr(&slice.expr);
                for bound in [&slice.start, &slice.stop, &slice.step].into_iter().flatten() {
                    self.expr(bound);
                }
            }
            Expr::UnaryOp(op) => self.expr(&op.expr),
            Expr::BinOp(op) => {
                self.expr(&op.left);
                let tests_keys = matches!(op.op, BinOpKind::In);
                self.guarded(tests_keys && name_path(&op.right).is_some(), &op.right);
            }
            Expr::Compare(compare) => {
                self.expr(&compare.expr);
                for op in &compare.ops {
                    let tests_keys = matches!(op.op, CompareOpKind::In | CompareOpKind::NotIn);
                    self.guarded(tests_keys && name_path(&op.expr).is_some(), &op.expr);
                }
            }
            Expr::IfExpr(choice) => {
                self.expr(&choice.test_expr);
                self.expr(&choice.true_expr);
                if let Some(other) = &choice.false_expr {
                    self.expr(other);
                }
            }
            Expr::Filter(filter) => self.filter(filter),
            Expr::Test(test) => {
                let tests_absence = matches!(test.name, "defined" | "undefined");
                self.guarded(tests_absence && name_path(&test.expr).is_some(), &test.expr);
                self.args(&test.args);
                if !predicates::names().any(|known| known == test.name) {
                    let help = suggestion(nearest(test.name, predicates::names()));
                    let start = range_of(test.span()).start;
                    self.problem(
                        ProblemKind::UnknownTest,
                        format!("there is no test `{}`", test.name),
                        start..start + test.name.len(),
                        help,
                    );
                }
            }
            Expr::Call(call) => self.call(call),
            Expr::List(list) => list.items.iter().for_each(|item| self.expr(item)),
            Expr::Tuple(tuple) => tuple.items.iter().for_each(|item| self.expr(item)),
            Expr::Map(map) => {
                map.keys.iter().for_each(|key| self.expr(key));
                map.values.iter().for_each(|value| self.expr(value));
            }
        }
    }

    /// Checks a name, attribute or item that is read.
    fn read(&mut self, expr: &Expr<'s>) {
        if let Some(NamePath { root, names, range }) = name_path(expr) {
            return self.read_path(root, &names, range);
        }
        match expr {
            Expr::GetAttr(attr) => self.expr(&attr.expr),
            Expr::GetItem(item) => {
                self.expr(&item.expr);
                self.expr(&item.subscript_expr);
            }
            _ => {}
        }
    }

    fn read_path(&mut self, root: &'s str, names: &[&str], range: Range<usize>) {
        match root {
            "loop" if names.is_empty() => {
                return self.forbid("`loop` cannot be used as a value", range);
            }
            "loop" if self.in_loop == 0 => {
                return self.forbid("`loop` can only be used in a loop", range);
            }
            "loop" => return,
            "self" => return self.forbid("`self` cannot be used here", range),
            _ => {}
        }
        if self.is_local(root) {
            return;
        }
        let Some(location) = self.location else { return };
        let at_root = range.start..range.start + root.len();
        if !location.roots().contains(&root) {
            let here = Some(format!("available here: {}", location.roots().join(", ")));
            if is_root(root) {
                return self.problem(ProblemKind::NotHere, format!("`{root}` is not available here"), at_root, here);
            }
            let help = if functions::find(root).is_some() {
                Some(format!("`{root}` is a function: write `{root}(…)`"))
            } else {
                let known = location.roots().iter().copied().chain(self.scopes.iter().flatten().copied());
                suggestion(nearest(root, known)).or(here)
            };
            return self.problem(ProblemKind::UnknownName, format!("there is no `{root}`"), at_root, help);
        }
        let mut path = root.to_owned();
        for name in names {
            path.push('.');
            path.push_str(name);
        }
        if self.is_guarding {
            self.found.guarded.insert(path.clone());
        } else {
            self.found.strict_reads.entry(path.clone()).or_insert_with(|| range.clone());
        }
        self.found.reads.entry(path).or_insert_with(|| range.clone());
        self.header_name(root, names, &range);
        if root == "response"
            && let ["body", field, rest @ ..] = names
        {
            let meant = ["response.json", field].into_iter().chain(rest.iter().copied()).collect::<Vec<_>>().join(".");
            let help = Some(format!("did you mean `{meant}`? `response.json` is the parsed body"));
            return self.problem(ProblemKind::UnknownName, "`response.body` is text, which has no fields", range, help);
        }
        if let (Some(known), Some(name)) = (attributes(root), names.first())
            && !known.contains(name)
        {
            let help = suggestion(nearest(name, known.iter().copied()))
                .or_else(|| Some(format!("`{root}` has {}", known.join(", "))));
            self.problem(ProblemKind::UnknownName, format!("`{root}` has no `{name}`"), range, help);
        }
    }
}

impl Checker<'_> {
    /// Reports a header that is never found because of its upper-case letters.
    fn header_name(&mut self, root: &str, names: &[&str], range: &Range<usize>) {
        let (name, before) = match (root, names) {
            ("headers", [name, ..]) => (*name, "headers".to_owned()),
            ("request" | "response", ["headers", name, ..]) => (*name, format!("{root}.headers")),
            ("steps", [step, "headers", name, ..]) => (*name, format!("steps.{step}.headers")),
            _ => return,
        };
        if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            let message = format!("names of headers are in lower case here, so `{name}` is never found");
            let help = Some(format!("write `{before}['{}']`", name.to_ascii_lowercase()));
            self.problem(ProblemKind::UnknownName, message, range.clone(), help);
        }
    }
}

/// All names that an assignment sets.
fn target_names<'s>(target: &Expr<'s>) -> Vec<&'s str> {
    match target {
        Expr::Var(var) => vec![var.id],
        Expr::List(list) => list.items.iter().flat_map(target_names).collect(),
        _ => Vec::new(),
    }
}

fn suggestion(word: Option<&str>) -> Option<String> {
    word.map(|word| format!("did you mean `{word}`?"))
}
