//! Addresses of stores in messages.

use url::Url;

/// The address without its password and its parameters, which may hold one. Of an address that is not a URL, only the
/// scheme is shown.
pub(super) fn shown_store(address: &str) -> String {
    if address.starts_with("sqlite:") {
        return address.to_owned();
    }
    let hidden = || address.split_once(':').map_or_else(|| "…".to_owned(), |(scheme, _)| format!("{scheme}:…"));
    let Ok(mut url) = Url::parse(address) else { return hidden() };
    if url.cannot_be_a_base() || url.password().is_some() && url.set_password(None).is_err() {
        return hidden();
    }
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        for (address, shown) in [
            ("sqlite:.evenkeel/evenkeel.db", "sqlite:.evenkeel/evenkeel.db"),
            ("postgres://keel:hunter2@db:5432/keel?sslmode=require", "postgres://keel@db:5432/keel"),
            ("postgres://db/keel?user=keel&password=hunter2", "postgres://db/keel"),
            ("postgres://keel:hun/ter2@db/keel", "postgres:…"),
            ("mysql://keel@db/keel", "mysql://keel@db/keel"),
            ("postgres:hunter2", "postgres:…"),
            ("hunter2", "…"),
        ] {
            assert_eq!(shown_store(address), shown, "{address}");
        }
    }
}
