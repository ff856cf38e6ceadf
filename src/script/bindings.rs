//! The names of a script: what they are bound to, and whether something may change the value behind them.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};

use swc_ecma_ast::{
    AssignExpr, AssignTarget, BindingIdent, CallExpr, Callee, ClassDecl, ClassExpr, DefaultDecl, Expr, FnDecl, FnExpr,
    Ident, ImportSpecifier, MemberExpr, Module, ModuleDecl, ModuleItem, ObjectPat, ObjectPatProp, Pat, PropName,
    SimpleAssignTarget, SpreadElement, TsInterfaceDecl, TsType, TsTypeAliasDecl, TsTypeParam, UnaryExpr, UnaryOp,
    UpdateExpr, VarDecl, VarDeclKind,
};
use swc_ecma_visit::{Visit, VisitWith as _};

use super::expressions::unwrapped;

/// Maximum number of expressions and types of one script that are evaluated. Names that multiply are bounded by it.
const MAX_EVALUATED: u32 = 20_000;

/// A named type of a script.
#[derive(Debug)]
pub(super) enum TypeDeclaration {
    Interface(Box<TsInterfaceDecl>),
    Alias(Box<TsType>),
}

/// The names of a script. A name that is bound more than once in the file is known by none of its values.
#[derive(Debug, Default)]
pub(super) struct Bindings {
    counts: HashMap<String, usize>,
    constants: HashMap<String, Expr>,
    annotations: HashMap<String, TsType>,
    types: HashMap<String, Vec<TypeDeclaration>>,
    /// Names of the parameters of types and functions, which hide types of the same name.
    type_parameters: HashSet<String>,
    /// Names whose value, or a part of it, is assigned.
    assigned: HashSet<String>,
    /// Names that are passed to code that may change what they refer to.
    passed: HashSet<String>,
    /// Names of the context: `ctx`, and the first parameter of the exported function.
    contexts: HashSet<String>,
    /// Parts of the context, such as `input`, by their local name.
    parts: HashMap<String, String>,
    /// Number of places that name each variable, its declaration included.
    mentions: HashMap<String, usize>,
    evaluated: Cell<u32>,
}

impl Bindings {
    pub(super) fn of(module: &Module) -> Bindings {
        let mut bindings = Bindings { contexts: HashSet::from(["ctx".to_owned()]), ..Bindings::default() };
        for item in &module.body {
            if let Some(parameter) = exported_parameter(item) {
                match parameter {
                    Pat::Ident(name) => {
                        bindings.contexts.insert(name.id.sym.to_string());
                    }
                    Pat::Object(pattern) => bindings.parts_of_context(pattern),
                    _ => {}
                }
            }
        }
        module.visit_with(&mut bindings);
        let mut mentions = Mentions::default();
        module.visit_with(&mut mentions);
        bindings.mentions = mentions.0;
        bindings
    }

    /// Counts an evaluation; false if there were too many.
    pub(super) fn may_evaluate(&self) -> bool {
        self.evaluated.set(self.evaluated.get().saturating_add(1));
        self.evaluated.get() <= MAX_EVALUATED
    }

    fn is_unique(&self, name: &str) -> bool {
        self.counts.get(name) == Some(&1)
    }

    /// The value of a constant that nothing changes.
    pub(super) fn constant(&self, name: &str) -> Option<&Expr> {
        let value = self.constants.get(name).filter(|_| self.is_unique(name) && !self.assigned.contains(name))?;
        // Another name for it, or for a part of it, may change it: only one that is used once is surely unchanged.
        let is_used_once = self.mentions.get(name).is_none_or(|mentions| *mentions <= 2);
        let is_shared = (self.passed.contains(name) || !is_used_once)
            && matches!(unwrapped(value), Expr::Object(_) | Expr::Array(_));
        (!is_shared).then_some(value)
    }

    /// True if the script may change its own input: something of the context, or another name for it, is assigned.
    pub(super) fn changes_input(&self) -> bool {
        let is_input = |name: &String| self.contexts.contains(name) || self.parts.contains_key(name);
        self.assigned.iter().any(|name| {
            is_input(name) || self.constants.get(name).and_then(root).is_some_and(|source| is_input(&source))
        })
    }

    /// The type that the declaration of a name states.
    pub(super) fn annotation(&self, name: &str) -> Option<&TsType> {
        self.annotations.get(name).filter(|_| self.is_unique(name))
    }

    /// The declaration of a type without parameters.
    pub(super) fn type_of(&self, name: &str) -> Option<&TypeDeclaration> {
        match self.types.get(name).map(Vec::as_slice) {
            Some([only]) if !self.type_parameters.contains(name) => Some(only),
            _ => None,
        }
    }

    /// True if the name stands for the context of the script.
    pub(super) fn is_context(&self, name: &str) -> bool {
        self.contexts.contains(name)
    }

    /// The part of the context that a name stands for.
    pub(super) fn context_part(&self, name: &str) -> Option<&str> {
        self.parts.get(name).map(String::as_str).filter(|_| self.is_unique(name) && !self.assigned.contains(name))
    }

    fn bind(&mut self, name: &Ident) {
        *self.counts.entry(name.sym.to_string()).or_default() += 1;
    }

    fn parts_of_context(&mut self, pattern: &ObjectPat) {
        for property in &pattern.props {
            let (part, name) = match property {
                ObjectPatProp::Assign(assign) if assign.value.is_none() => {
                    (assign.key.sym.to_string(), &assign.key.sym)
                }
                ObjectPatProp::KeyValue(pair) => match (&pair.key, &*pair.value) {
                    (PropName::Ident(key), Pat::Ident(name)) => (key.sym.to_string(), &name.id.sym),
                    _ => continue,
                },
                _ => continue,
            };
            self.parts.insert(name.to_string(), part);
        }
    }

    /// Notes that the value behind an expression changes.
    fn assigned(&mut self, expression: &Expr) {
        if let Some(name) = root(expression) {
            self.assigned.insert(name);
        }
    }
}

/// Counts the places that name each variable.
#[derive(Default)]
struct Mentions(HashMap<String, usize>);

impl Visit for Mentions {
    fn visit_ident(&mut self, name: &Ident) {
        *self.0.entry(name.sym.to_string()).or_default() += 1;
    }
}

/// The first parameter of the exported function.
fn exported_parameter(item: &ModuleItem) -> Option<&Pat> {
    match item {
        ModuleItem::ModuleDecl(ModuleDecl::ExportDefaultDecl(declaration)) => match &declaration.decl {
            DefaultDecl::Fn(function) => function.function.params.first().map(|parameter| &parameter.pat),
            _ => None,
        },
        ModuleItem::ModuleDecl(ModuleDecl::ExportDefaultExpr(exported)) => match unwrapped(&exported.expr) {
            Expr::Arrow(arrow) => arrow.params.first(),
            Expr::Fn(function) => function.function.params.first().map(|parameter| &parameter.pat),
            _ => None,
        },
        _ => None,
    }
}

/// The name at the start of `name.a[b].c`.
pub(super) fn root(expression: &Expr) -> Option<String> {
    let mut expression = unwrapped(expression);
    while let Expr::Member(member) = expression {
        expression = unwrapped(&member.obj);
    }
    match expression {
        Expr::Ident(name) => Some(name.sym.to_string()),
        _ => None,
    }
}

impl Visit for Bindings {
    fn visit_binding_ident(&mut self, name: &BindingIdent) {
        self.bind(&name.id);
        if let Some(annotation) = &name.type_ann {
            self.annotations.insert(name.id.sym.to_string(), (*annotation.type_ann).clone());
        }
        name.visit_children_with(self);
    }

    fn visit_fn_decl(&mut self, function: &FnDecl) {
        self.bind(&function.ident);
        function.function.visit_with(self);
    }

    fn visit_fn_expr(&mut self, function: &FnExpr) {
        function.ident.iter().for_each(|name| self.bind(name));
        function.function.visit_with(self);
    }

    fn visit_class_decl(&mut self, class: &ClassDecl) {
        self.bind(&class.ident);
        class.class.visit_with(self);
    }

    fn visit_class_expr(&mut self, class: &ClassExpr) {
        class.ident.iter().for_each(|name| self.bind(name));
        class.class.visit_with(self);
    }

    fn visit_import_specifier(&mut self, import: &ImportSpecifier) {
        self.bind(import.local());
    }

    fn visit_ts_interface_decl(&mut self, declaration: &TsInterfaceDecl) {
        let declared = TypeDeclaration::Interface(Box::new(declaration.clone()));
        self.types.entry(declaration.id.sym.to_string()).or_default().push(declared);
    }

    fn visit_ts_type_alias_decl(&mut self, declaration: &TsTypeAliasDecl) {
        let name = declaration.id.sym.to_string();
        // A type with parameters cannot be known by its name alone: counted twice, it is known as none.
        let copies = if declaration.type_params.is_some() { 2 } else { 1 };
        for _ in 0..copies {
            let declared = TypeDeclaration::Alias(declaration.type_ann.clone());
            self.types.entry(name.clone()).or_default().push(declared);
        }
    }

    fn visit_ts_type_param(&mut self, parameter: &TsTypeParam) {
        self.type_parameters.insert(parameter.name.sym.to_string());
    }

    fn visit_var_decl(&mut self, declaration: &VarDecl) {
        for declarator in &declaration.decls {
            match (&declarator.name, &declarator.init) {
                (Pat::Ident(name), Some(value)) if declaration.kind == VarDeclKind::Const => {
                    self.constants.insert(name.id.sym.to_string(), (**value).clone());
                }
                (Pat::Object(pattern), Some(value)) => {
                    if let Expr::Ident(context) = unwrapped(value)
                        && self.is_context(&context.sym)
                    {
                        self.parts_of_context(pattern);
                    }
                }
                _ => {}
            }
        }
        declaration.visit_children_with(self);
    }

    fn visit_assign_expr(&mut self, assign: &AssignExpr) {
        match &assign.left {
            AssignTarget::Simple(SimpleAssignTarget::Ident(name)) => {
                self.assigned.insert(name.id.sym.to_string());
            }

            AssignTarget::Simple(SimpleAssignTarget::Member(member)) => {
                self.assigned(&member.obj);
                member.visit_children_with(self);
            }
            other => other.visit_with(self),
        }
        assign.right.visit_with(self);
    }

    fn visit_update_expr(&mut self, update: &UpdateExpr) {
        self.assigned(&update.arg);
        update.visit_children_with(self);
    }

    fn visit_unary_expr(&mut self, unary: &UnaryExpr) {
        if unary.op == UnaryOp::Delete {
            self.assigned(&unary.arg);
        }
        unary.visit_children_with(self);
    }

    fn visit_call_expr(&mut self, call: &CallExpr) {
        let called = match &call.callee {
            Callee::Expr(callee) => Some(unwrapped(callee)),
            _ => None,
        };
        // The functions of the context, of `console` and of `JSON` take a copy of their arguments.
        let copies = called.and_then(root).is_some_and(|name| {
            let alias = self.constants.get(&name).and_then(root);
            self.is_context(&name)
                || self.parts.contains_key(&name)
                || alias.is_some_and(|alias| self.is_context(&alias))
                || ["console", "JSON"].contains(&name.as_str())
        });
        if let Some(Expr::Member(member)) = called {
            // A method may change its object, such as `list.push(…)`.
            if !copies && let Some(name) = root(&member.obj) {
                self.passed.insert(name);
            }
        }
        call.callee.visit_with(self);
        for argument in &call.args {
            match unwrapped(&argument.expr) {
                Expr::Ident(_) if copies => {}
                argument => argument.visit_with(self),
            }
        }
    }

    fn visit_spread_element(&mut self, spread: &SpreadElement) {
        if !matches!(unwrapped(&spread.expr), Expr::Ident(_)) {
            spread.expr.visit_with(self);
        }
    }

    fn visit_member_expr(&mut self, member: &MemberExpr) {
        // Reading a part does not change it.
        if !matches!(unwrapped(&member.obj), Expr::Ident(_)) {
            member.obj.visit_with(self);
        }
        member.prop.visit_with(self);
    }

    fn visit_expr(&mut self, expression: &Expr) {
        if let Expr::Ident(name) = expression {
            self.passed.insert(name.sym.to_string());
        }
        expression.visit_children_with(self);
    }
}
