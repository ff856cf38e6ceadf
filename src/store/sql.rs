//! Statements for either database.
//!
//! The store's logic is written once, over [`Connection`]; `sqlite.rs` and `postgres.rs` implement it. Statements use the
//! syntax that both databases share (`$1`, `ON CONFLICT`, `RETURNING`, partial indexes); the few words that differ are in
//! [`Dialect`].

use std::borrow::Cow;

use async_trait::async_trait;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgRow, PgTypeInfo, PgValueFormat, PgValueRef};
use sqlx::sqlite::{SqliteRow, SqliteTypeInfo, SqliteValueRef};
use sqlx::{Decode, Encode, Postgres, Row as _, Sqlite, Type};

use super::{Micros, StoreError};

/// Words that differ between the databases.
#[derive(Debug)]
pub(super) struct Dialect {
    /// Locks the rows of a SELECT until the transaction ends.
    pub for_update: &'static str,
    /// The same, without those that another transaction has locked.
    pub skip_locked: &'static str,
}

/// A connection to a database, inside of a transaction or not.
#[async_trait]
pub(super) trait Connection: Send {
    /// The database's words.
    fn dialect(&self) -> &'static Dialect;

    /// Runs a statement; returns the number of rows that it changed.
    async fn execute(&mut self, query: Query<'_>) -> Result<u64, StoreError>;

    /// Runs a statement; returns its rows.
    async fn fetch(&mut self, query: Query<'_>) -> Result<Vec<Row>, StoreError>;

    /// The store's time.
    async fn now(&mut self) -> Result<Micros, StoreError>;

    /// Wakes other processes once the transaction is committed.
    async fn notify(&mut self, environment: &str) -> Result<(), StoreError>;

    /// Locks out others that write or sweep objects, until the transaction ends.
    async fn lock_objects(&mut self) -> Result<(), StoreError>;

    /// Locks names until the transaction ends, always in the same order.
    async fn lock_names(&mut self, names: &[String]) -> Result<(), StoreError>;

    /// Locks executions, and the parents that wait for their results, until the transaction ends, always in the same
    /// order.
    async fn lock_executions(&mut self, ids: &[&str]) -> Result<(), StoreError>;
}

/// A value of a statement's parameter. `None` is NULL.
#[derive(Debug)]
pub(super) enum Value<'q> {
    Int(Option<i64>),
    Bool(bool),
    Text(Option<Cow<'q, str>>),
    Bytes(Option<Cow<'q, [u8]>>),
    Json(Option<Cow<'q, str>>),
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Value::Int(Some(value))
    }
}

impl From<Option<i64>> for Value<'_> {
    fn from(value: Option<i64>) -> Self {
        Value::Int(value)
    }
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

impl<'q> From<&'q str> for Value<'q> {
    fn from(value: &'q str) -> Self {
        Value::Text(Some(Cow::Borrowed(value)))
    }
}

impl<'q> From<&'q String> for Value<'q> {
    fn from(value: &'q String) -> Self {
        Value::Text(Some(Cow::Borrowed(value)))
    }
}

impl From<String> for Value<'_> {
    fn from(value: String) -> Self {
        Value::Text(Some(Cow::Owned(value)))
    }
}

impl From<Option<String>> for Value<'_> {
    fn from(value: Option<String>) -> Self {
        Value::Text(value.map(Cow::Owned))
    }
}

impl<'q> From<&'q [u8]> for Value<'q> {
    fn from(value: &'q [u8]) -> Self {
        Value::Bytes(Some(Cow::Borrowed(value)))
    }
}

impl<'q> From<Option<&'q [u8]>> for Value<'q> {
    fn from(value: Option<&'q [u8]>) -> Self {
        Value::Bytes(value.map(Cow::Borrowed))
    }
}

impl From<Json> for Value<'_> {
    fn from(value: Json) -> Self {
        Value::Json(Some(Cow::Owned(value.0)))
    }
}

impl From<Option<Json>> for Value<'_> {
    fn from(value: Option<Json>) -> Self {
        Value::Json(value.map(|json| Cow::Owned(json.0)))
    }
}

/// A text that is NULL if it is empty.
pub(super) fn optional(text: &str) -> Value<'_> {
    Value::Text((!text.is_empty()).then_some(Cow::Borrowed(text)))
}

/// A time that is NULL if it is 0.
pub(super) fn optional_time(time: Micros) -> Value<'static> {
    Value::Int((time != 0).then_some(time))
}

/// Makes the arguments of a statement of its values: `arguments!(SqliteArguments, values)`.
macro_rules! arguments {
    ($type:ty, $values:expr) => {{
        let mut arguments = <$type>::default();
        for value in $values {
            let added = match value {
                Value::Int(value) => arguments.add(value),
                Value::Bool(value) => arguments.add(value),
                Value::Text(value) => arguments.add(value.as_deref()),
                Value::Bytes(value) => arguments.add(value.as_deref()),
                Value::Json(value) => arguments.add(value.map(|text| Json(text.into_owned()))),
            };
            added.map_err(sqlx::Error::Encode)?;
        }
        arguments
    }};
}
pub(super) use arguments;

/// The text of a JSON document: of a column JSON or JSONB on PostgreSQL, TEXT on SQLite.
#[derive(Clone, Debug)]
pub(super) struct Json(pub String);

impl Json {
    /// The text of a value.
    pub(super) fn of(value: &serde_json::Value) -> Json {
        Json(value.to_string())
    }

    /// The text of a value that is NULL if it is null.
    pub(super) fn unless_null(value: &serde_json::Value) -> Option<Json> {
        (!value.is_null()).then(|| Json::of(value))
    }

    /// The text of a document of ours.
    pub(super) fn document<T: serde::Serialize>(document: &T) -> Result<Json, StoreError> {
        serde_json::to_string(document).map(Json).map_err(|error| StoreError::Refused(error.to_string()))
    }

    /// Reads it; `what` names it in the error.
    pub(super) fn parse<T: serde::de::DeserializeOwned>(&self, what: &str) -> Result<T, StoreError> {
        serde_json::from_str(&self.0).map_err(|_| super::limits::unreadable(what))
    }
}

/// Object ids of PostgreSQL's built-in types (`pg_type.dat`).
const JSON_OID: Oid = Oid(114);
const JSONB_OID: Oid = Oid(3802);
/// The first byte of a JSONB value in the binary protocol: its version.
const JSONB_VERSION: u8 = 1;

impl Type<Postgres> for Json {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(JSON_OID)
    }

    fn compatible(info: &PgTypeInfo) -> bool {
        info.oid().is_some_and(|oid| oid == JSON_OID || oid == JSONB_OID)
    }
}

impl Encode<'_, Postgres> for Json {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }
}

impl Decode<'_, Postgres> for Json {
    fn decode(value: PgValueRef<'_>) -> Result<Json, BoxDynError> {
        let is_jsonb = <PgValueRef<'_> as sqlx::ValueRef<'_>>::type_info(&value).oid() == Some(JSONB_OID);
        let is_binary = value.format() == PgValueFormat::Binary;
        let bytes = value.as_bytes()?;
        let text = match bytes.split_first() {
            Some((&JSONB_VERSION, text)) if is_jsonb && is_binary => text,
            _ => bytes,
        };
        Ok(Json(std::str::from_utf8(text)?.to_owned()))
    }
}

impl Type<Sqlite> for Json {
    fn type_info() -> SqliteTypeInfo {
        <String as Type<Sqlite>>::type_info()
    }
}

impl Encode<'_, Sqlite> for Json {
    fn encode_by_ref(&self, buffer: &mut <Sqlite as sqlx::Database>::ArgumentBuffer) -> Result<IsNull, BoxDynError> {
        <String as Encode<'_, Sqlite>>::encode_by_ref(&self.0, buffer)
    }
}

impl Decode<'_, Sqlite> for Json {
    fn decode(value: SqliteValueRef<'_>) -> Result<Json, BoxDynError> {
        <String as Decode<'_, Sqlite>>::decode(value).map(Json)
    }
}

/// A statement with its parameters.
#[derive(Debug)]
pub(super) struct Query<'q> {
    pub text: Cow<'static, str>,
    pub values: Vec<Value<'q>>,
    /// False for statements of many forms, which would fill the cache of prepared statements.
    pub is_prepared: bool,
}

/// A statement; parameters are `$1`, `$2`, …
pub(super) fn query<'q>(text: impl Into<Cow<'static, str>>) -> Query<'q> {
    Query { text: text.into(), values: Vec::new(), is_prepared: true }
}

impl<'q> Query<'q> {
    /// Adds the value of the next parameter.
    pub(super) fn bind(mut self, value: impl Into<Value<'q>>) -> Query<'q> {
        self.values.push(value.into());
        self
    }

    /// Discards the prepared statement after its execution.
    pub(super) fn once(mut self) -> Query<'q> {
        self.is_prepared = false;
        self
    }

    /// Appends text.
    pub(super) fn push(&mut self, text: &str) -> &mut Query<'q> {
        self.text.to_mut().push_str(text);
        self
    }

    /// Appends the next parameter (`$3`) with its value.
    pub(super) fn push_bind(&mut self, value: impl Into<Value<'q>>) -> &mut Query<'q> {
        self.values.push(value.into());
        let parameter = format!("${}", self.values.len());
        self.push(&parameter)
    }

    /// Appends values in parentheses: `($1, $2)`.
    pub(super) fn push_list<V: Into<Value<'q>>>(&mut self, values: impl IntoIterator<Item = V>) -> &mut Query<'q> {
        for (at, value) in values.into_iter().enumerate() {
            self.push(if at == 0 { "(" } else { ", " });
            self.push_bind(value);
        }
        self.push(")")
    }

    /// Appends rows: `VALUES ($1, $2), ($3, $4)`.
    pub(super) fn push_rows<const N: usize>(
        &mut self,
        rows: impl IntoIterator<Item = [Value<'q>; N]>,
    ) -> &mut Query<'q> {
        for (at, row) in rows.into_iter().enumerate() {
            self.push(if at == 0 { "VALUES " } else { ", " });
            self.push_list(row);
        }
        self
    }

    /// Runs it; returns the number of rows that it changed.
    pub(super) async fn execute(self, connection: &mut dyn Connection) -> Result<u64, StoreError> {
        connection.execute(self).await
    }

    /// Its rows.
    pub(super) async fn fetch_all(self, connection: &mut dyn Connection) -> Result<Vec<Row>, StoreError> {
        connection.fetch(self).await
    }

    /// Its only row, if there is one.
    pub(super) async fn fetch_optional(self, connection: &mut dyn Connection) -> Result<Option<Row>, StoreError> {
        Ok(connection.fetch(self).await?.into_iter().next())
    }

    /// Its only row.
    pub(super) async fn fetch_one(self, connection: &mut dyn Connection) -> Result<Row, StoreError> {
        let row = self.fetch_optional(connection).await?;
        row.ok_or_else(|| StoreError::Refused("the database returned no row, where one was expected".to_owned()))
    }
}

/// A row of either database.
pub(super) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// A type of a column's values on both databases.
pub(super) trait Column:
    for<'r> Decode<'r, Sqlite> + Type<Sqlite> + for<'r> Decode<'r, Postgres> + Type<Postgres>
{
}

impl<T> Column for T where T: for<'r> Decode<'r, Sqlite> + Type<Sqlite> + for<'r> Decode<'r, Postgres> + Type<Postgres> {}

impl Row {
    /// The value of a column.
    pub(super) fn get<T: Column>(&self, column: &str) -> Result<T, StoreError> {
        match self {
            Row::Sqlite(row) => Ok(row.try_get(column)?),
            Row::Postgres(row) => Ok(row.try_get(column)?),
        }
    }

    /// The text of a column; empty for NULL.
    pub(super) fn text(&self, column: &str) -> Result<String, StoreError> {
        Ok(self.get::<Option<String>>(column)?.unwrap_or_default())
    }

    /// The time of a column; 0 for NULL.
    pub(super) fn time(&self, column: &str) -> Result<Micros, StoreError> {
        Ok(self.get::<Option<Micros>>(column)?.unwrap_or_default())
    }

    /// The JSON value of a column; null for NULL.
    pub(super) fn json(&self, column: &str) -> Result<serde_json::Value, StoreError> {
        match self.get::<Option<Json>>(column)? {
            Some(json) => json.parse(column),
            None => Ok(serde_json::Value::Null),
        }
    }

    /// The value of a column that holds a text form.
    pub(super) fn name<T>(&self, column: &str, from_name: impl Fn(&str) -> Option<T>) -> Result<T, StoreError> {
        let text: String = self.get(column)?;
        from_name(&text).ok_or_else(|| super::limits::unreadable(column))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_numbered_in_order() {
        let mut statement = query("SELECT 1 WHERE a = $1 AND b IN ").bind(1);
        statement.push_list(["x", "y"]).push(" AND c = ").push_bind(true);
        assert_eq!(statement.text, "SELECT 1 WHERE a = $1 AND b IN ($2, $3) AND c = $4");
        assert_eq!(statement.values.len(), 4);
        let mut statement = query("INSERT INTO t ");
        statement.push_rows([[Value::from(1), Value::from("a")], [Value::from(2), Value::from("b")]]);
        assert_eq!(statement.text, "INSERT INTO t VALUES ($1, $2), ($3, $4)");
    }
}
