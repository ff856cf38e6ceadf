//! Values of the types that a script declares: keywords, literals, lists, maps, and names of simple types of the same file.

use swc_ecma_ast::{
    Expr, Lit, TsEntityName, TsKeywordTypeKind, TsLit, TsType, TsTypeElement, TsUnionOrIntersectionType,
};

use super::bindings::{Bindings, TypeDeclaration};
use super::expressions::number;
use crate::text::{MAX_PARTIAL_DEPTH, PartialField, PartialMap, PartialValue, RestOfMap, ValueTypes};

/// The part of its values that a type determines. Types are erased at run time; a map may have more fields than its type declares.
pub(super) fn of_type(bindings: &Bindings, declared: &TsType, depth: usize) -> PartialValue {
    if depth > MAX_PARTIAL_DEPTH || !bindings.may_evaluate() {
        return PartialValue::Unknown;
    }
    match declared {
        TsType::TsKeywordType(keyword) => match keyword.kind {
            TsKeywordTypeKind::TsStringKeyword => PartialValue::Typed(ValueTypes::STRING),
            TsKeywordTypeKind::TsNumberKeyword => PartialValue::Typed(ValueTypes::NUMBER),
            TsKeywordTypeKind::TsBooleanKeyword => PartialValue::Typed(ValueTypes::BOOL),
            TsKeywordTypeKind::TsNullKeyword => PartialValue::Scalar(serde_json::Value::Null),
            _ => PartialValue::Unknown,
        },
        TsType::TsLitType(literal) => match &literal.lit {
            TsLit::Str(text) => PartialValue::Scalar(text.value.to_string_lossy().into_owned().into()),
            TsLit::Bool(value) => PartialValue::Scalar(value.value.into()),
            TsLit::Number(literal) => PartialValue::Scalar(number(literal.value)),
            TsLit::Tpl(_) => PartialValue::Typed(ValueTypes::STRING),
            TsLit::BigInt(_) => PartialValue::Unknown,
        },
        TsType::TsArrayType(_) => PartialValue::List { items: Vec::new(), more: true },
        TsType::TsTypeLit(map) => of_members(bindings, &map.members, depth),
        TsType::TsParenthesizedType(inner) => of_type(bindings, &inner.type_ann, depth + 1),
        TsType::TsUnionOrIntersectionType(TsUnionOrIntersectionType::TsUnionType(union)) => {
            let of = |one: &TsType| of_type(bindings, one, depth + 1);
            let parts = union.types.iter().filter(|one| !is_undefined(one)).map(|one| of(one));
            parts.reduce(PartialValue::or).unwrap_or(PartialValue::Unknown)
        }
        TsType::TsTypeRef(reference) => {
            let TsEntityName::Ident(name) = &reference.type_name else { return PartialValue::Unknown };
            match bindings.type_of(&name.sym) {
                Some(TypeDeclaration::Interface(interface)) if interface.type_params.is_none() => {
                    match of_members(bindings, &interface.body.body, depth) {
                        PartialValue::Map(map) if !interface.extends.is_empty() => {
                            PartialValue::Map(PartialMap { rest: RestOfMap::Unknown, ..map })
                        }
                        known => known,
                    }
                }
                Some(TypeDeclaration::Alias(alias)) => of_type(bindings, alias, depth + 1),
                None if &*name.sym == "Array" || &*name.sym == "ReadonlyArray" => {
                    PartialValue::List { items: Vec::new(), more: true }
                }
                _ => PartialValue::Unknown,
            }
        }
        _ => PartialValue::Unknown,
    }
}

fn of_members(bindings: &Bindings, members: &[TsTypeElement], depth: usize) -> PartialValue {
    let mut map = PartialMap { fields: Vec::new(), rest: RestOfMap::Undeclared };
    for member in members {
        match member {
            TsTypeElement::TsPropertySignature(property) => {
                let name = match &*property.key {
                    Expr::Ident(name) if !property.computed => name.sym.to_string(),
                    Expr::Lit(Lit::Str(text)) => text.value.to_string_lossy().into_owned(),
                    _ => {
                        map.rest = RestOfMap::Unknown;
                        continue;
                    }
                };
                let declared = property.type_ann.as_ref().map(|annotation| &*annotation.type_ann);
                let may_be_undefined = declared.is_some_and(|declared| match declared {
                    TsType::TsUnionOrIntersectionType(TsUnionOrIntersectionType::TsUnionType(union)) => {
                        union.types.iter().any(|one| is_undefined(one))
                    }
                    other => is_undefined(other),
                });
                let value = declared.map_or(PartialValue::Unknown, |declared| of_type(bindings, declared, depth + 1));
                if name == "toJSON" {
                    return PartialValue::Unknown;
                }
                // Nothing is known of functions and of names of `undefined`, and JSON drops those.
                let optional = property.optional || may_be_undefined || value == PartialValue::Unknown;
                map.fields.push(PartialField { name, value, optional });
            }
            // Methods are not part of JSON, except that `toJSON` replaces the map.
            TsTypeElement::TsMethodSignature(method) if matches!(&*method.key, Expr::Ident(name) if &*name.sym == "toJSON") =>
            {
                return PartialValue::Unknown;
            }
            TsTypeElement::TsMethodSignature(_) => {}
            _ => map.rest = RestOfMap::Unknown,
        }
    }
    PartialValue::Map(map)
}

fn is_undefined(declared: &TsType) -> bool {
    matches!(declared, TsType::TsKeywordType(keyword) if keyword.kind == TsKeywordTypeKind::TsUndefinedKeyword)
}
