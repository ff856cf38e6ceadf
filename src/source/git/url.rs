//! Addresses of repositories: the accepted forms, and the address that the library is given instead.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::error::invalid;
use crate::source::FetchError;

/// Maximum length of an address, in bytes.
const MAX_URL_BYTES: usize = 2048;

/// An accepted address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum GitUrl {
    /// `https://`, or `http://` to this machine in tests.
    Http { tls: bool, user: Option<String>, host: String, port: u16, path: String },
    /// `ssh://`, or `user@host:path` if `relative`: such a path starts in the user's home folder.
    Ssh { user: String, host: String, port: u16, path: String, relative: bool },
    /// A repository on this disk, in tests and development.
    File(PathBuf),
}

impl GitUrl {
    /// Parses an address. `allow_file` permits `file://`, and `http://` to this machine.
    ///
    /// # Errors
    /// `Invalid` for anything that is not plainly a host and a path: helpers (`ext::`), options (`-…`), passwords.
    pub(super) fn parse(text: &str, allow_file: bool) -> Result<GitUrl, FetchError> {
        if text.len() > MAX_URL_BYTES {
            return Err(invalid(format!("the repository's URL is longer than {MAX_URL_BYTES} characters")));
        }
        if text.is_empty() || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(invalid("the repository's URL is empty, or holds blanks or control characters"));
        }
        if text.starts_with('-') || text.contains("::") && !text.contains('[') {
            return Err(unknown_form());
        }
        match text.split_once("://") {
            Some((scheme, _)) => by_scheme(text, &scheme.to_ascii_lowercase(), allow_file),
            None => scp(text),
        }
    }

    /// The address that people see: without user name.
    pub(super) fn shown(&self) -> String {
        let at = |host: &str, port: u16, usual: u16| {
            let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
            if port == usual { host } else { format!("{host}:{port}") }
        };
        match self {
            GitUrl::Http { tls: true, host, port, path, .. } => format!("https://{}{path}", at(host, *port, 443)),
            GitUrl::Http { tls: false, host, port, path, .. } => format!("http://{}{path}", at(host, *port, 80)),
            GitUrl::Ssh { host, port, path, relative: false, .. } => format!("ssh://{}{path}", at(host, *port, 22)),
            GitUrl::Ssh { host, path, .. } => format!("{host}:{path}"),
            GitUrl::File(path) => format!("file://{}", path.display()),
        }
    }

    /// The address that the library is given: a folder, or the relay's address. `token` is the path that the relay
    /// expects if the repository is reached over SSH.
    pub(super) fn library_url(&self, relay: SocketAddr, token: Option<&str>) -> String {
        match self {
            GitUrl::Ssh { .. } => format!("git://{relay}/{}", token.unwrap_or_default()),
            GitUrl::Http { path, .. } => format!("http://{relay}{path}"),
            GitUrl::File(path) => path.to_string_lossy().into_owned(),
        }
    }
}

fn by_scheme(text: &str, scheme: &str, allow_file: bool) -> Result<GitUrl, FetchError> {
    // Errors never repeat the address: it may hold a password.
    let url =
        url::Url::parse(text).map_err(|error| invalid(format!("the repository's URL cannot be read: {error}")))?;
    if url.password().is_some() {
        return Err(invalid("the repository's URL holds a password; name a secret in `auth` instead"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(invalid("the repository's URL has a query or fragment; give only its path"));
    }
    let host = match url.host() {
        Some(url::Host::Ipv6(address)) => address.to_string(),
        Some(host) => host.to_string(),
        None => String::new(),
    };
    let path = url.path().to_owned();
    let user = Some(url.username()).filter(|user| !user.is_empty()).map(plain_user).transpose()?;
    if scheme == "file" {
        if !allow_file || !host.is_empty() {
            return Err(invalid(
                "`file://` is not allowed here; use `https://`, `ssh://` or a `directory` source, or start the server with \
                 `--allow-local-repositories`",
            ));
        }
        let path = url.to_file_path().map_err(|()| invalid("the `file://` URL has no path of this machine"))?;
        return Ok(GitUrl::File(path));
    }
    if host.is_empty() || host.starts_with('-') || path.len() < 2 || path.starts_with("/-") {
        return Err(unknown_form());
    }
    match scheme {
        "https" => Ok(GitUrl::Http { tls: true, user, host, port: url.port().unwrap_or(443), path }),
        "http" if allow_file && is_loopback(&host) => {
            Ok(GitUrl::Http { tls: false, user, host, port: url.port().unwrap_or(80), path })
        }
        "http" => Err(invalid("`http://` would send credentials and definitions in the clear; use `https://`")),
        "ssh" | "git+ssh" | "ssh+git" => {
            let path = percent_encoding::percent_decode_str(&path).decode_utf8();
            let path = path.map_err(|_| unknown_form())?.into_owned();
            if path.chars().any(char::is_control) {
                return Err(unknown_form());
            }
            let user = user.unwrap_or_else(|| "git".to_owned());
            Ok(GitUrl::Ssh { user, host, port: url.port().unwrap_or(22), path, relative: false })
        }
        _ => Err(unknown_form()),
    }
}

/// Parses `user@host:path`, the form of `scp`.
fn scp(text: &str) -> Result<GitUrl, FetchError> {
    let (user, rest) = text.split_once('@').ok_or_else(unknown_form)?;
    let (host, path) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once("]:").ok_or_else(unknown_form)?,
        None => rest.split_once(':').ok_or_else(unknown_form)?,
    };
    let host_is_plain = !host.is_empty()
        && !host.starts_with('-')
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte));
    if !host_is_plain || path.is_empty() || path.starts_with('-') || path.contains('@') {
        return Err(unknown_form());
    }
    let (host, path) = (host.to_ascii_lowercase(), path.to_owned());
    Ok(GitUrl::Ssh { user: plain_user(user)?, host, port: 22, path, relative: true })
}

fn plain_user(user: &str) -> Result<String, FetchError> {
    let plain = !user.is_empty()
        && user.len() <= 64
        && !user.starts_with('-')
        && user.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if plain { Ok(user.to_owned()) } else { Err(unknown_form()) }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn unknown_form() -> FetchError {
    invalid("the repository's URL has an unsupported form; write `https://…`, `ssh://…` or `user@host:path`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::FetchReason;

    #[test]
    fn accepts_urls_of_a_host_and_a_path() {
        for (text, shown, relayed) in [
            ("https://git.example/a/b.git", "https://git.example/a/b.git", "http://127.0.0.1:9/a/b.git"),
            ("HTTPS://Git.Example:8443/a", "https://git.example:8443/a", "http://127.0.0.1:9/a"),
            ("https://bot@git.example/a", "https://git.example/a", "http://127.0.0.1:9/a"),
            ("ssh://git@git.example/a.git", "ssh://git.example/a.git", "git://127.0.0.1:9/t0k"),
            ("ssh://git.example:2222/~u/a", "ssh://git.example:2222/~u/a", "git://127.0.0.1:9/t0k"),
            ("git@git.example:a/b.git", "git.example:a/b.git", "git://127.0.0.1:9/t0k"),
            ("http://127.0.0.1:8080/a", "http://127.0.0.1:8080/a", "http://127.0.0.1:9/a"),
            ("file:///srv/a.git", "file:///srv/a.git", "/srv/a.git"),
        ] {
            let url = GitUrl::parse(text, true).unwrap();
            assert_eq!(url.shown(), shown, "{text}");
            assert_eq!(url.library_url(SocketAddr::from(([127, 0, 0, 1], 9)), Some("t0k")), relayed, "{text}");
        }
    }

    #[test]
    fn rejects_other_forms_without_repeating_them() {
        for text in [
            "",
            "-oProxyCommand=touch",
            "--upload-pack=touch /s3cret",
            "ext::sh -c s3cret",
            "ext::sh",
            "fd::17/s3cret",
            "git://git.example/a",
            "ftp://git.example/a",
            "https://user:s3cret@git.example/a",
            "https://git.example",
            "https://git.example/",
            "https://git.example/a?s3cret",
            "https:///a",
            "ssh://-oProxyCommand=s3cret/a",
            "ssh://git@git.example/-s3cret",
            "ssh://-l@git.example/a",
            "git@-host:a",
            "git@host:-a",
            "git@host:",
            "git@:a",
            "a/b",
            "../b",
            "https://git.example/a\nb",
            "https://git.example/a b",
            "git@host:a\u{0}b",
            "ssh://git@host/a%0Ab",
        ] {
            let error = GitUrl::parse(text, true).expect_err(text);
            assert_eq!(error.reason, FetchReason::Invalid, "{text}");
            assert!(!error.message.contains("s3cret"), "{}", error.message);
        }
        for text in ["file:///srv/a.git", "http://127.0.0.1/a"] {
            assert!(GitUrl::parse(text, false).is_err(), "{text}");
        }
        assert!(GitUrl::parse("http://git.example/a", true).is_err());
        assert!(GitUrl::parse(&format!("https://git.example/{}", "a".repeat(3000)), true).is_err());
    }
}
