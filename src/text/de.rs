//! Deserialisation of [`Node`]s into typed values, with the position of errors.

use std::fmt;

use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::node::{Entry, Node, NodeKind};
use super::span::Range;

/// Deserialises a value of type `T`.
///
/// Enums have serde's external form: a string for a variant without content, a map with one key for a variant with
/// content. For an option, `null` means `None`.
///
/// # Errors
/// The position of the innermost invalid value (for an unknown field, of its key) and the reason.
pub fn from_node<T: DeserializeOwned>(node: &Node) -> Result<T, (Range, String)> {
    T::deserialize(Reader(node)).map_err(|error| (error.range.unwrap_or(node.span), error.message))
}

#[derive(Clone, Copy)]
struct Reader<'a>(&'a Node);

#[derive(Debug)]
struct Error {
    /// Position of the innermost value that the error propagated through.
    range: Option<Range>,
    message: String,
}

impl Error {
    fn at(mut self, range: Range) -> Error {
        self.range.get_or_insert(range);
        self
    }
}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Error {
        Error { range: None, message: message.to_string() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let value = match &self.0.kind {
            NodeKind::Null => visitor.visit_unit(),
            NodeKind::Bool(value) => visitor.visit_bool(*value),
            NodeKind::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(value), _, _) => visitor.visit_u64(value),
                (_, Some(value), _) => visitor.visit_i64(value),
                (_, _, Some(value)) => visitor.visit_f64(value),
                _ => Err(de::Error::custom("a number that is not finite")),
            },
            NodeKind::Text(text) => visitor.visit_str(&text.value),
            NodeKind::List(items) => list(items, visitor),
            NodeKind::Map(entries) => visitor.visit_map(Entries { entries: entries.iter(), value: None }),
        };
        value.map_err(|error| error.at(self.0.span))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let value = if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) };
        value.map_err(|error| error.at(self.0.span))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self).map_err(|error| error.at(self.0.span))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let value = match &self.0.kind {
            NodeKind::Text(text) => visitor.visit_enum(IntoDeserializer::<Error>::into_deserializer(&*text.value)),
            NodeKind::Map(entries) => {
                if let [entry] = &**entries {
                    visitor.visit_enum(Variant(entry))
                } else {
                    let message = format!("expected a map with exactly one key, found {} keys", entries.len());
                    Err(de::Error::custom(message))
                }
            }
            _ => {
                Err(de::Error::custom(format!("expected a string or a map with one key, found {}", self.0.kind_name())))
            }
        };
        value.map_err(|error| error.at(self.0.span))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier
    }
}

impl IntoDeserializer<'_, Error> for Reader<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

fn list<'de, V: Visitor<'de>>(items: &[Node], visitor: V) -> Result<V::Value, Error> {
    let mut rest = Items(items.iter());
    let value = visitor.visit_seq(&mut rest)?;
    match rest.0.next() {
        // A tuple consumed fewer items than the list has.
        Some(item) => {
            let taken = items.len() - rest.0.len() - 1;
            Err(Error::at(de::Error::custom(format!("expected a list of {taken}, found {}", items.len())), item.span))
        }
        None => Ok(value),
    }
}

struct Items<'a>(std::slice::Iter<'a, Node>);

impl<'de> SeqAccess<'de> for &mut Items<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        self.0.next().map(|item| seed.deserialize(Reader(item)).map_err(|error| error.at(item.span))).transpose()
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

struct Entries<'a> {
    entries: std::slice::Iter<'a, Entry>,
    value: Option<&'a Node>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some(entry) = self.entries.next() else { return Ok(None) };
        self.value = Some(&entry.value);
        seed.deserialize(MapKey(entry)).map(Some).map_err(|error| error.at(entry.key.span))
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Error> {
        let Some(value) = self.value.take() else {
            return Err(de::Error::custom("a value was requested before its key"));
        };
        seed.deserialize(Reader(value)).map_err(|error| error.at(value.span))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.entries.len())
    }
}

/// A key. Rust maps may have keys of other types than strings, which are parsed from the key's text.
struct MapKey<'a>(&'a Entry);

macro_rules! parsed_keys {
    ($($method:ident $visit:ident $type:ty)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match self.0.key.name.parse::<$type>() {
                Ok(value) => visitor.$visit(value),
                Err(_) => visitor.visit_str(&self.0.key.name),
            }
        })*
    };
}

impl<'de> Deserializer<'de> for MapKey<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_str(&self.0.key.name)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_enum(IntoDeserializer::<Error>::into_deserializer(&*self.0.key.name))
    }

    parsed_keys! {
        deserialize_bool visit_bool bool
        deserialize_i8 visit_i64 i64 deserialize_i16 visit_i64 i64 deserialize_i32 visit_i64 i64 deserialize_i64 visit_i64 i64
        deserialize_u8 visit_u64 u64 deserialize_u16 visit_u64 u64 deserialize_u32 visit_u64 u64 deserialize_u64 visit_u64 u64
    }

    forward_to_deserialize_any! {
        i128 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier
        ignored_any
    }
}

/// A variant with content; its name is the only key of the map.
struct Variant<'a>(&'a Entry);

impl<'a, 'de> EnumAccess<'de> for Variant<'a> {
    type Error = Error;
    type Variant = VariantContent<'a>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self::Variant), Error> {
        let name: StrDeserializer<'_, Error> = (*self.0.key.name).into_deserializer();
        let value = seed.deserialize(name).map_err(|error| error.at(self.0.key.span))?;
        Ok((value, VariantContent(&self.0.value)))
    }
}

struct VariantContent<'a>(&'a Node);

impl<'de> VariantAccess<'de> for VariantContent<'_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        if self.0.is_null() {
            return Ok(());
        }
        let message = format!("this variant takes no value, found {}", self.0.kind_name());
        Err(Error::at(de::Error::custom(message), self.0.span))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(Reader(self.0)).map_err(|error| error.at(self.0.span))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        let value = match &self.0.kind {
            NodeKind::List(items) => list(items, visitor),
            _ => Err(de::Error::invalid_type(Unexpected::Other(self.0.kind_name()), &visitor)),
        };
        value.map_err(|error| error.at(self.0.span))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        let value = match &self.0.kind {
            NodeKind::Map(entries) => {
                let map = MapAccessDeserializer::new(Entries { entries: entries.iter(), value: None });
                map.deserialize_map(visitor)
            }
            _ => Err(de::Error::invalid_type(Unexpected::Other(self.0.kind_name()), &visitor)),
        };
        value.map_err(|error| error.at(self.0.span))
    }
}

#[cfg(test)]
mod tests;
