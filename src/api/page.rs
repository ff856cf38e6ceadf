//! Pages of lists.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::store::Micros;

/// Number of items of a page, unless `limit` says otherwise.
pub const DEFAULT_LIMIT: u32 = 50;
/// Largest number of items of a page.
pub const MAX_LIMIT: u32 = 1000;

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    /// The environment that the items belong to; null for a list of environments.
    pub environment: Option<String>,
    /// The items, in the order of the list.
    pub items: Vec<T>,
    /// The cursor of the next page; null if this is the last one.
    pub next: Option<String>,
}

/// Position in a list that is sorted by time and id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// Time of the last item of the page, in microseconds.
    pub at: Micros,
    /// Its id.
    pub id: String,
}

impl Position {
    /// The cursor that continues after this item. Its form is not part of the API.
    pub fn cursor(&self) -> String {
        URL_SAFE_NO_PAD.encode(format!("{}:{}", self.at, self.id))
    }

    /// The position of a cursor; `None` for any other text.
    pub fn parse(cursor: &str) -> Option<Position> {
        let (at, id) = decode(cursor)?.split_once(':').map(|(at, id)| (at.to_owned(), id.to_owned()))?;
        Some(Position { at: at.parse().ok()?, id })
    }
}

/// The cursor that continues after a name or number.
pub fn cursor_after(key: &str) -> String {
    URL_SAFE_NO_PAD.encode(key)
}

/// The name or number of a cursor; `None` for any other text.
pub fn decode(cursor: &str) -> Option<String> {
    String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()
}

impl<T> Page<T> {
    /// The page of a list in memory that is sorted by `key`. `after` is the key of the last item of the page before.
    pub fn of(items: Vec<T>, key: impl Fn(&T) -> String, after: Option<&str>, limit: u32) -> Page<T> {
        let limit = limit as usize;
        let mut rest = items.into_iter().filter(|item| after.is_none_or(|after| key(item).as_str() > after));
        let items: Vec<T> = rest.by_ref().take(limit).collect();
        let next = if rest.next().is_some() { items.last().map(|item| cursor_after(&key(item))) } else { None };
        Page { environment: None, items, next }
    }

    /// The page of rows that were read with one row more than `limit`.
    pub fn of_rows(mut items: Vec<T>, limit: u32, cursor: impl Fn(&T) -> String) -> Page<T> {
        let limit = limit as usize;
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more { items.last().map(cursor) } else { None };
        Page { environment: None, items, next }
    }

    /// Sets the environment.
    #[must_use]
    pub fn of_environment(self, environment: &str) -> Page<T> {
        Page { environment: Some(environment.to_owned()), ..self }
    }

    /// The page with other items.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page { environment: self.environment, items: self.items.into_iter().map(change).collect(), next: self.next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("n{number:02}")).collect()
    }

    #[test]
    fn pages_of_a_list_in_memory_cover_it_once() {
        for (count, limit) in [(0, 3), (3, 3), (4, 3), (10, 1), (7, 100)] {
            let (mut seen, mut after) = (Vec::new(), None);
            loop {
                let page = Page::of(names(count), Clone::clone, after.as_deref(), limit);
                assert!(page.items.len() <= limit as usize);
                seen.extend(page.items);
                let Some(next) = page.next else { break };
                after = Some(decode(&next).unwrap());
            }
            assert_eq!(seen, names(count), "{count} items, {limit} to a page");
        }
    }

    #[test]
    fn a_cursor_of_rows_exists_only_if_there_are_more() {
        let page = |count| Page::of_rows(names(count), 3, Clone::clone);
        assert_eq!((page(3).items.len(), page(3).next), (3, None));
        assert_eq!((page(4).items.len(), page(4).next), (3, Some("n02".into())));
    }

    #[test]
    fn positions_are_read_back_and_other_texts_are_refused() {
        let position = Position { at: -5, id: "a:b".into() };
        assert_eq!(Position::parse(&position.cursor()), Some(position));
        for text in ["", "%", "AAAA", "bm90aW1lOmlk", "äö"] {
            assert_eq!(Position::parse(text), None, "{text}");
        }
    }
}
