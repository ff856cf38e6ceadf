//! The known part of the value of an expression: literals, constants, and declared types of the same file.

use swc_common::{Span, Spanned as _};
use swc_ecma_ast::{
    ArrayLit, BinaryOp, CallExpr, Callee, Expr, ExprOrSpread, Lit, ObjectLit, Prop, PropOrSpread, UnaryOp,
};

use super::bindings::Bindings;
use super::expressions::{is_undefined, member_path, number, property_name, unwrapped};
use super::model::ScriptArgument;
use super::syntax::byte_offset;
use super::types::of_type;
use crate::text::{MAX_PARTIAL_DEPTH, PartialField, PartialMap, PartialValue, RestOfMap, ValueTypes, escaped};

/// Maximum number of fields of an object that is evaluated. A larger one is unknown.
const MAX_FIELDS: usize = 1_000;
/// Maximum number of parts of an argument whose positions are kept.
const MAX_PARTS: usize = 1_000;

/// Evaluates expressions as far as they are known.
pub(super) struct Evaluator<'a> {
    pub(super) bindings: &'a Bindings,
    pub(super) base: u32,
}

impl Evaluator<'_> {
    pub(super) fn at(&self, span: Span) -> (usize, usize) {
        (byte_offset(span.lo, self.base), byte_offset(span.hi, self.base))
    }

    /// The input that a call passes. Without an argument it is an empty map.
    pub(super) fn argument(&self, arguments: &[ExprOrSpread], name_at: (usize, usize)) -> ScriptArgument {
        let (value, at, parts) = match arguments.first() {
            Some(ExprOrSpread { spread: Some(_), expr }) => (PartialValue::Unknown, self.at(expr.span()), Vec::new()),
            Some(ExprOrSpread { expr, .. }) if !is_undefined(expr) => {
                let mut parts = Vec::new();
                let value = self.value(expr, &mut Parts { pointer: String::new(), list: &mut parts, depth: 0 });
                (value, self.at(expr.span()), parts)
            }
            _ => (PartialValue::empty_map(), name_at, Vec::new()),
        };
        ScriptArgument { value, at, parts }
    }

    fn value(&self, expression: &Expr, parts: &mut Parts<'_>) -> PartialValue {
        if parts.depth > MAX_PARTIAL_DEPTH || !self.bindings.may_evaluate() {
            return PartialValue::Unknown;
        }
        match expression {
            Expr::Paren(inner) => self.value(&inner.expr, parts),
            Expr::TsNonNull(inner) => self.value(&inner.expr, parts),
            Expr::TsConstAssertion(inner) => self.value(&inner.expr, parts),
            Expr::TsSatisfies(inner) => self.value(&inner.expr, parts),
            Expr::TsAs(cast) => self.value(&cast.expr, parts).or_declared(|| of_type(self.bindings, &cast.type_ann, 0)),
            Expr::TsTypeAssertion(cast) => {
                self.value(&cast.expr, parts).or_declared(|| of_type(self.bindings, &cast.type_ann, 0))
            }
            Expr::Lit(literal) => of_literal(literal),
            Expr::Tpl(template) if template.exprs.is_empty() => match template.quasis.first() {
                Some(text) => text.cooked.as_ref().map_or(PartialValue::Typed(ValueTypes::STRING), |text| {
                    PartialValue::Scalar(text.to_string_lossy().into_owned().into())
                }),
                None => PartialValue::Typed(ValueTypes::STRING),
            },
            Expr::Tpl(_) => PartialValue::Typed(ValueTypes::STRING),
            Expr::Unary(unary) => match (unary.op, self.below(&unary.arg, parts.depth)) {
                (UnaryOp::Bang, _) => PartialValue::Typed(ValueTypes::BOOL),
                (UnaryOp::TypeOf, _) => PartialValue::Typed(ValueTypes::STRING),
                (UnaryOp::Minus, PartialValue::Scalar(serde_json::Value::Number(value))) => {
                    PartialValue::Scalar(number(-value.as_f64().unwrap_or_default()))
                }
                _ => PartialValue::Unknown,
            },
            Expr::Bin(binary) => match binary.op {
                BinaryOp::EqEq
                | BinaryOp::NotEq
                | BinaryOp::EqEqEq
                | BinaryOp::NotEqEq
                | BinaryOp::Lt
                | BinaryOp::LtEq
                | BinaryOp::Gt
                | BinaryOp::GtEq
                | BinaryOp::In
                | BinaryOp::InstanceOf => PartialValue::Typed(ValueTypes::BOOL),
                BinaryOp::Add => {
                    let is_text = |side: &Expr| self.below(side, parts.depth).types() == ValueTypes::STRING;
                    match is_text(&binary.left) || is_text(&binary.right) {
                        true => PartialValue::Typed(ValueTypes::STRING),
                        false => PartialValue::Unknown,
                    }
                }
                _ => PartialValue::Unknown,
            },
            Expr::Cond(choice) => self.below(&choice.cons, parts.depth).or(self.below(&choice.alt, parts.depth)),
            Expr::Call(call) => called(call),
            Expr::Object(object) => self.object(object, parts),
            Expr::Array(array) => self.array(array, parts),
            Expr::Ident(name) => self.named(&name.sym, parts),
            Expr::Member(_) => self.member(expression, parts.depth).unwrap_or(PartialValue::Unknown),
            _ => PartialValue::Unknown,
        }
    }

    /// The value of an inner expression, whose parts are no parts of the argument.
    fn below(&self, expression: &Expr, depth: usize) -> PartialValue {
        self.value(expression, &mut Parts { pointer: String::new(), list: &mut Vec::new(), depth: depth + 1 })
    }

    fn named(&self, name: &str, parts: &mut Parts<'_>) -> PartialValue {
        let declared = || self.bindings.annotation(name).map(|declared| of_type(self.bindings, declared, 0));
        if let Some(constant) = self.bindings.constant(name) {
            parts.depth += 1;
            let value = self.value(constant, parts);
            parts.depth -= 1;
            return value.or_declared(|| declared().unwrap_or(PartialValue::Unknown));
        }
        match self.bindings.context_part(name) {
            Some("input") if !self.bindings.changes_input() => PartialValue::OwnInput(Vec::new()),
            _ => declared().unwrap_or(PartialValue::Unknown),
        }
    }

    /// A part of the input of the script: `ctx.input.name`, or a field of a constant.
    fn member(&self, expression: &Expr, depth: usize) -> Option<PartialValue> {
        let (root, names) = member_path(expression)?;
        if self.bindings.is_context(&root) {
            return match names.split_first() {
                Some((first, rest)) if first == "input" && !self.bindings.changes_input() => {
                    Some(PartialValue::OwnInput(rest.to_vec()))
                }
                _ => None,
            };
        }
        let mut nowhere = Vec::new();
        match self.named(&root, &mut Parts { pointer: String::new(), list: &mut nowhere, depth: depth + 1 }) {
            PartialValue::OwnInput(path) => Some(PartialValue::OwnInput(path.into_iter().chain(names).collect())),
            known => names.iter().try_fold(known, |value, name| match value {
                PartialValue::Map(map) => {
                    map.get(name).filter(|field| !field.optional).map(|field| field.value.clone())
                }
                _ => None,
            }),
        }
    }

    fn object(&self, object: &ObjectLit, parts: &mut Parts<'_>) -> PartialValue {
        if object.props.len() > MAX_FIELDS {
            return PartialValue::Unknown;
        }
        let mut map = PartialMap::default();
        for property in &object.props {
            match property {
                PropOrSpread::Spread(spread) => {
                    if let PartialValue::Map(spread) = self.below(&spread.expr, parts.depth) {
                        add_spread(&mut map, spread);
                    } else {
                        // `...(condition && {…})` spreads nothing or a map that is not known here.
                        unsettle(&mut map);
                        map.rest = RestOfMap::Unknown;
                    }
                }
                PropOrSpread::Prop(property) => match &**property {
                    Prop::Shorthand(name) => {
                        let value = parts.within(&name.sym, self.at(name.span), |parts| self.named(&name.sym, parts));
                        set(&mut map, name.sym.to_string(), value);
                    }
                    Prop::KeyValue(pair) => match property_name(&pair.key) {
                        // `toJSON` replaces the map, and `__proto__` is no field of it.
                        Some(name) if ["toJSON", "__proto__"].contains(&name.as_str()) => return PartialValue::Unknown,
                        Some(name) if is_undefined(&pair.value) => map.fields.retain(|field| field.name != name),
                        Some(name) => {
                            let span = pair.key.span().with_hi(pair.value.span().hi);
                            let value = parts.within(&name, self.at(span), |parts| self.value(&pair.value, parts));
                            set(&mut map, name, value);
                        }
                        None => {
                            unsettle(&mut map);
                            map.rest = RestOfMap::Unknown;
                        }
                    },
                    Prop::Getter(getter) => match property_name(&getter.key) {
                        Some(name) => set(&mut map, name, PartialValue::Unknown),
                        None => map.rest = RestOfMap::Unknown,
                    },
                    // Functions are not part of JSON; `toJSON` replaces the map.
                    _ => return PartialValue::Unknown,
                },
            }
        }
        PartialValue::Map(map)
    }

    fn array(&self, array: &ArrayLit, parts: &mut Parts<'_>) -> PartialValue {
        let mut items = Vec::new();
        for (at, element) in array.elems.iter().enumerate() {
            match element {
                Some(ExprOrSpread { spread: None, expr }) if !is_undefined(expr) => {
                    items.push(parts.within(&at.to_string(), self.at(expr.span()), |parts| self.value(expr, parts)));
                }
                // A hole is null in JSON.
                None | Some(ExprOrSpread { spread: None, .. }) => {
                    items.push(PartialValue::Scalar(serde_json::Value::Null));
                }
                Some(_) => return PartialValue::List { items, more: true },
            }
        }
        PartialValue::List { items, more: false }
    }
}

/// The collected positions of the parts of an argument.
struct Parts<'l> {
    pointer: String,
    list: &'l mut Vec<(String, (usize, usize))>,
    depth: usize,
}

impl Parts<'_> {
    fn within<T>(&mut self, name: &str, at: (usize, usize), then: impl FnOnce(&mut Parts<'_>) -> T) -> T {
        let pointer = format!("{}/{}", self.pointer, escaped(name));
        if self.list.len() < MAX_PARTS {
            self.list.push((pointer.clone(), at));
        }
        then(&mut Parts { pointer, list: &mut *self.list, depth: self.depth + 1 })
    }
}

/// Sets a field. A value of which nothing is known may be undefined or a function, and JSON drops those.
fn set(map: &mut PartialMap, name: String, value: PartialValue) {
    if value == PartialValue::Unknown {
        map.fields.retain(|field| field.name != name);
        map.fields.push(PartialField { name, value, optional: true });
    } else {
        map.set(name, value);
    }
}

/// Adds the fields of a map that is spread into another.
fn add_spread(map: &mut PartialMap, spread: PartialMap) {
    map.rest = match (map.rest, spread.rest) {
        (RestOfMap::Unknown, _) | (_, RestOfMap::Unknown) => RestOfMap::Unknown,
        (RestOfMap::Undeclared, _) | (_, RestOfMap::Undeclared) => RestOfMap::Undeclared,
        _ => RestOfMap::Nothing,
    };
    if spread.rest != RestOfMap::Nothing {
        unsettle(map);
    }
    for field in spread.fields {
        match (field.optional, map.get(&field.name).is_some()) {
            (true, true) => map.set(field.name, PartialValue::Unknown),
            (true, false) => map.fields.push(field),
            (false, _) => map.set(field.name, field.value),
        }
    }
}

/// Makes values unknown that a later property of an unknown name may replace.
fn unsettle(map: &mut PartialMap) {
    map.fields.iter_mut().for_each(|field| field.value = PartialValue::Unknown);
}

fn of_literal(literal: &Lit) -> PartialValue {
    match literal {
        Lit::Str(text) => PartialValue::Scalar(text.value.to_string_lossy().into_owned().into()),
        Lit::Bool(value) => PartialValue::Scalar(value.value.into()),
        Lit::Null(_) => PartialValue::Scalar(serde_json::Value::Null),
        Lit::Num(value) => PartialValue::Scalar(number(value.value)),
        _ => PartialValue::Unknown,
    }
}

/// The result of a function whose type is fixed.
fn called(call: &CallExpr) -> PartialValue {
    let Callee::Expr(callee) = &call.callee else { return PartialValue::Unknown };
    match unwrapped(callee) {
        Expr::Ident(name) if &*name.sym == "String" => PartialValue::Typed(ValueTypes::STRING),
        Expr::Ident(name) if &*name.sym == "Boolean" => PartialValue::Typed(ValueTypes::BOOL),
        _ => PartialValue::Unknown,
    }
}

trait OrDeclared {
    fn or_declared(self, declared: impl FnOnce() -> PartialValue) -> PartialValue;
}

impl OrDeclared for PartialValue {
    /// The value, or what its declared type says if nothing is known.
    fn or_declared(self, declared: impl FnOnce() -> PartialValue) -> PartialValue {
        match self {
            PartialValue::Unknown => declared(),
            known => known,
        }
    }
}
