//! Discovery of calls of actions and workflows in a syntax tree.

use std::collections::HashMap;

use swc_common::Spanned as _;
use swc_ecma_ast::{
    CallExpr, Callee, Expr, MemberExpr, Module, ObjectPat, ObjectPatProp, Pat, PropName, VarDecl, VarDeclKind,
};
use swc_ecma_visit::{Visit, VisitWith as _};

use super::bindings::Bindings;
use super::expressions::{member_name, unwrapped};
use super::model::{ScriptCall, ScriptRead, WorkflowCall};
use super::values::Evaluator;

/// Maximum number of reads of outputs that are kept for one script.
const MAX_READS: usize = 1_000;

/// Lists the calls `….connectors.NAME.ACTION(…)` and `ctx.workflows.NAME(…)` of a module, in source order.
pub(super) fn find_calls(module: &Module, base: u32) -> (Vec<ScriptCall>, Vec<WorkflowCall>) {
    let bindings = Bindings::of(module);
    let evaluator = Evaluator { bindings: &bindings, base };
    let mut collector = CallCollector {
        evaluator,
        calls: Vec::new(),
        workflow_calls: Vec::new(),
        aliases: Vec::new(),
        by_start: HashMap::new(),
        results: HashMap::new(),
        reads: Vec::new(),
    };
    module.visit_with(&mut collector);
    let CallCollector { mut calls, mut workflow_calls, by_start, reads, .. } = collector;
    for (start, read) in reads.into_iter().take(MAX_READS) {
        match by_start.get(&start) {
            Some(Called::Action(at)) => calls[*at].reads.push(read),
            Some(Called::Workflow(at)) => workflow_calls[*at].reads.push(read),
            None => {}
        }
    }
    (calls, workflow_calls)
}

/// The position of a call in its list.
enum Called {
    Action(usize),
    Workflow(usize),
}

struct CallCollector<'a> {
    evaluator: Evaluator<'a>,
    calls: Vec<ScriptCall>,
    workflow_calls: Vec<WorkflowCall>,
    /// Local names of `ctx.connectors`, from declarations and destructuring patterns.
    aliases: Vec<String>,
    /// Calls by the position at which they start.
    by_start: HashMap<usize, Called>,
    /// The starts of calls by the constants that hold their output.
    results: HashMap<String, usize>,
    /// Parts of outputs that are read, with the start of the call.
    reads: Vec<(usize, ScriptRead)>,
}

impl CallCollector<'_> {
    /// Name and position of a property that is an identifier or a string literal.
    fn property_name(&self, member: &MemberExpr) -> Option<(String, (usize, usize))> {
        let name = member_name(&member.prop)?;
        let span = match &member.prop {
            swc_ecma_ast::MemberProp::Computed(computed) => computed.expr.span(),
            other => other.span(),
        };
        Some((name, self.evaluator.at(span)))
    }

    /// True if the expression is `….connectors` or an alias of it.
    fn is_connectors(&self, expression: &Expr) -> bool {
        match expression {
            Expr::Member(member) => self.property_name(member).is_some_and(|(name, _)| name == "connectors"),
            Expr::Ident(name) => self.aliases.iter().any(|alias| *alias == *name.sym),
            _ => false,
        }
    }

    /// True if the expression is `ctx.workflows` or a name of it. Other objects have workflows too.
    fn is_workflows(&self, expression: &Expr) -> bool {
        self.is_part_of_context(expression, "workflows")
    }

    /// True if the expression is a part of the context, such as `ctx.workflows`, or a name of it.
    fn is_part_of_context(&self, expression: &Expr, part: &str) -> bool {
        let bindings = self.evaluator.bindings;
        match expression {
            Expr::Member(member) => {
                matches!(&*member.obj, Expr::Ident(context) if bindings.is_context(&context.sym))
                    && self.property_name(member).is_some_and(|(name, _)| name == part)
            }
            Expr::Ident(name) => match bindings.context_part(&name.sym) {
                Some(known) => known == part,
                None => bindings.constant(&name.sym).is_some_and(|value| {
                    matches!(unwrapped(value), Expr::Member(_)) && self.is_part_of_context(unwrapped(value), part)
                }),
            },
            _ => false,
        }
    }

    fn call(&mut self, call: &CallExpr) {
        let Callee::Expr(callee) = &call.callee else { return };
        let Expr::Member(called) = &**callee else { return };
        let start = self.evaluator.at(call.span).0;
        if let Expr::Member(connectors) = &*called.obj
            && self.is_connectors(&connectors.obj)
            && let (Some((connector, connector_at)), Some((action, action_at))) =
                (self.property_name(connectors), self.property_name(called))
        {
            let argument = self.evaluator.argument(&call.args, action_at);
            self.by_start.insert(start, Called::Action(self.calls.len()));
            let reads = Vec::new();
            let of_context = self.is_part_of_context(&connectors.obj, "connectors");
            self.calls.push(ScriptCall { connector, action, connector_at, action_at, argument, reads, of_context });
        } else if self.is_workflows(&called.obj)
            && let Some((workflow, workflow_at)) = self.property_name(called)
        {
            let argument = self.evaluator.argument(&call.args, workflow_at);
            self.by_start.insert(start, Called::Workflow(self.workflow_calls.len()));
            self.workflow_calls.push(WorkflowCall { workflow, workflow_at, argument, reads: Vec::new() });
        }
    }

    /// The start of the call whose output an expression is.
    fn awaited(&self, expression: &Expr) -> Option<usize> {
        let Expr::Await(awaited) = unwrapped(expression) else { return None };
        let Expr::Call(call) = unwrapped(&awaited.arg) else { return None };
        Some(self.evaluator.at(call.span).0)
    }

    /// Notes the names that a pattern takes from an output.
    fn destructured(&mut self, start: usize, pattern: &ObjectPat) {
        for property in &pattern.props {
            let (name, span) = match property {
                ObjectPatProp::Assign(assign) => (assign.key.sym.to_string(), assign.key.id.span),
                ObjectPatProp::KeyValue(pair) => match &pair.key {
                    PropName::Ident(key) => (key.sym.to_string(), key.span),
                    _ => continue,
                },
                ObjectPatProp::Rest(_) => continue,
            };
            self.reads.push((start, ScriptRead { path: vec![name], at: self.evaluator.at(span) }));
        }
    }
}

impl Visit for CallCollector<'_> {
    fn visit_var_decl(&mut self, declaration: &VarDecl) {
        for declarator in &declaration.decls {
            let Some(value) = &declarator.init else { continue };
            match &declarator.name {
                Pat::Ident(name) => {
                    if self.is_connectors(value) {
                        self.aliases.push(name.id.sym.to_string());
                    }
                    if declaration.kind == VarDeclKind::Const
                        && self.evaluator.bindings.constant(&name.id.sym).is_some()
                        && let Some(start) = self.awaited(value)
                    {
                        self.results.insert(name.id.sym.to_string(), start);
                    }
                }
                Pat::Object(pattern) => {
                    if let Some(start) = self.awaited(value) {
                        self.destructured(start, pattern);
                    }
                }
                _ => {}
            }
        }
        declaration.visit_children_with(self);
    }

    /// Records aliases from `const { connectors } = ctx` and from parameters such as `({ connectors: apps })`.
    fn visit_object_pat(&mut self, pattern: &ObjectPat) {
        self.aliases.extend(pattern.props.iter().filter_map(connectors_alias));
        pattern.visit_children_with(self);
    }

    fn visit_call_expr(&mut self, call: &CallExpr) {
        self.call(call);
        call.visit_children_with(self);
    }

    fn visit_member_expr(&mut self, member: &MemberExpr) {
        let mut path = Vec::new();
        let mut inner = member;
        // The names from the last computed one on cannot be known.
        loop {
            match member_name(&inner.prop) {
                Some(name) => path.push(name),
                None => path.clear(),
            }
            match unwrapped(&inner.obj) {
                Expr::Member(next) => inner = next,
                root => {
                    let start = match root {
                        Expr::Ident(name) => self.results.get(&*name.sym).copied(),
                        other => self.awaited(other),
                    };
                    path.reverse();
                    if let Some(start) = start.filter(|_| !path.is_empty()) {
                        self.reads.push((start, ScriptRead { path, at: self.evaluator.at(member.span) }));
                    }
                    break;
                }
            }
        }
        // Inner members are parts of this path.
        let mut inner = member;
        loop {
            inner.prop.visit_with(self);
            match &*inner.obj {
                Expr::Member(next) => inner = next,
                root => return root.visit_with(self),
            }
        }
    }
}

/// The local name that a destructuring pattern gives to `connectors`.
fn connectors_alias(property: &ObjectPatProp) -> Option<String> {
    match property {
        ObjectPatProp::Assign(assign) if &*assign.key.sym == "connectors" => Some("connectors".to_owned()),
        ObjectPatProp::KeyValue(pair) => match (&pair.key, &*pair.value) {
            (PropName::Ident(key), Pat::Ident(name)) if &*key.sym == "connectors" => Some(name.id.sym.to_string()),
            _ => None,
        },
        _ => None,
    }
}
