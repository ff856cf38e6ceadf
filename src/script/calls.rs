//! Discovery of connector calls in a syntax tree.

use swc_common::Span;
use swc_ecma_ast::{
    Callee, Expr, Lit, MemberExpr, MemberProp, Module, ObjectPat, ObjectPatProp, Pat, PropName, VarDeclarator,
};
use swc_ecma_visit::{Visit, VisitWith as _};

use super::model::ScriptCall;
use super::syntax::byte_offset;

/// Lists the calls `….connectors.NAME.ACTION(…)` of a module, in source order.
pub(super) fn find_calls(module: &Module, base: u32) -> Vec<ScriptCall> {
    let mut collector = CallCollector { base, calls: Vec::new(), aliases: Vec::new() };
    module.visit_with(&mut collector);
    collector.calls
}

struct CallCollector {
    base: u32,
    calls: Vec<ScriptCall>,
    /// Local names of `ctx.connectors`, from declarations and destructuring patterns.
    aliases: Vec<String>,
}

impl CallCollector {
    /// Name and position of a property that is an identifier or a string literal.
    fn property_name(&self, property: &MemberProp) -> Option<(String, (usize, usize))> {
        let at = |span: Span| (byte_offset(span.lo, self.base), byte_offset(span.hi, self.base));
        match property {
            MemberProp::Ident(name) => Some((name.sym.to_string(), at(name.span))),
            MemberProp::Computed(computed) => match &*computed.expr {
                Expr::Lit(Lit::Str(text)) => Some((text.value.to_string_lossy().into_owned(), at(text.span))),
                _ => None,
            },
            MemberProp::PrivateName(_) => None,
        }
    }

    /// True if the expression is `….connectors` or an alias of it.
    fn is_connectors(&self, expression: &Expr) -> bool {
        match expression {
            Expr::Member(member) => self.property_name(&member.prop).is_some_and(|(name, _)| name == "connectors"),
            Expr::Ident(name) => self.aliases.iter().any(|alias| *alias == *name.sym),
            _ => false,
        }
    }
}

impl Visit for CallCollector {
    fn visit_var_declarator(&mut self, declarator: &VarDeclarator) {
        if let (Pat::Ident(name), Some(value)) = (&declarator.name, &declarator.init)
            && self.is_connectors(value)
        {
            self.aliases.push(name.id.sym.to_string());
        }
        declarator.visit_children_with(self);
    }

    /// Records aliases from `const { connectors } = ctx` and from parameters such as `({ connectors: apps })`.
    fn visit_object_pat(&mut self, pattern: &ObjectPat) {
        self.aliases.extend(pattern.props.iter().filter_map(connectors_alias));
        pattern.visit_children_with(self);
    }

    fn visit_callee(&mut self, callee: &Callee) {
        if let Callee::Expr(expression) = callee
            && let Expr::Member(MemberExpr { obj, prop: action, .. }) = &**expression
            && let Expr::Member(MemberExpr { obj: connectors, prop: connector, .. }) = &**obj
            && self.is_connectors(connectors)
            && let (Some((connector, connector_at)), Some((action, action_at))) =
                (self.property_name(connector), self.property_name(action))
        {
            self.calls.push(ScriptCall { connector, action, connector_at, action_at });
        }
        callee.visit_children_with(self);
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
