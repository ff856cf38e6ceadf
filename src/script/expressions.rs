//! Small questions about expressions: their names, and the numbers that they write.

use swc_ecma_ast::{Expr, Lit, MemberProp, PropName, UnaryOp};

/// The expression without parentheses and types.
pub(super) fn unwrapped(mut expression: &Expr) -> &Expr {
    loop {
        expression = match expression {
            Expr::Paren(inner) => &inner.expr,
            Expr::TsNonNull(inner) => &inner.expr,
            Expr::TsConstAssertion(inner) => &inner.expr,
            Expr::TsSatisfies(inner) => &inner.expr,
            Expr::TsAs(cast) => &cast.expr,
            Expr::TsTypeAssertion(cast) => &cast.expr,
            other => return other,
        };
    }
}

/// The root and the names of `root.name['name']`.
pub(super) fn member_path(expression: &Expr) -> Option<(String, Vec<String>)> {
    let mut names = Vec::new();
    let mut expression = unwrapped(expression);
    while let Expr::Member(member) = expression {
        names.push(member_name(&member.prop)?);
        expression = unwrapped(&member.obj);
    }
    names.reverse();
    match expression {
        Expr::Ident(root) => Some((root.sym.to_string(), names)),
        _ => None,
    }
}

/// The name of a property that an identifier or a string literal names.
pub(super) fn member_name(property: &MemberProp) -> Option<String> {
    match property {
        MemberProp::Ident(name) => Some(name.sym.to_string()),
        MemberProp::Computed(computed) => match &*computed.expr {
            Expr::Lit(Lit::Str(text)) => Some(text.value.to_string_lossy().into_owned()),
            _ => None,
        },
        MemberProp::PrivateName(_) => None,
    }
}

/// The name of a key of an object, unless it is computed.
pub(super) fn property_name(name: &PropName) -> Option<String> {
    match name {
        PropName::Ident(name) => Some(name.sym.to_string()),
        PropName::Str(text) => Some(text.value.to_string_lossy().into_owned()),
        PropName::Computed(computed) => match &*computed.expr {
            Expr::Lit(Lit::Str(text)) => Some(text.value.to_string_lossy().into_owned()),
            _ => None,
        },
        PropName::Num(_) | PropName::BigInt(_) => None,
    }
}

/// A number as JSON writes it: whole numbers without a fraction.
pub(super) fn number(value: f64) -> serde_json::Value {
    #[allow(clippy::cast_possible_truncation, reason = "checked to be whole and in range")]
    match value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0 {
        true => (value as i64).into(),
        false => serde_json::Number::from_f64(value).map_or(serde_json::Value::Null, serde_json::Value::Number),
    }
}

/// True for `undefined` and `void 0`.
pub(super) fn is_undefined(expression: &Expr) -> bool {
    match unwrapped(expression) {
        Expr::Ident(name) => &*name.sym == "undefined",
        Expr::Unary(unary) => unary.op == UnaryOp::Void,
        _ => false,
    }
}
