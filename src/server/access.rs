//! Access to environments: by token, or from this machine only if no tokens are configured.

use axum::http::{HeaderMap, header};

use crate::reconcile::commands::CommandError;
use crate::text::{Digest, equal_in_constant_time};

/// Tokens and the names of their owners.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Names and token digests: neither memory dumps nor timing reveal a token.
    tokens: Vec<(String, Digest)>,
    /// True if the server listens on a loopback address.
    local: bool,
}

/// Shortest token, in bytes.
const MIN_TOKEN: usize = 16;

impl Access {
    /// Parses lines of `name:token`; ignores empty lines and lines that start with `#`.
    ///
    /// # Errors
    /// Fails if a line has another form or its token is too short. The error does not contain the token.
    pub fn new(lines: &str, local: bool) -> Result<Access, String> {
        let mut tokens = Vec::new();
        for (number, line) in lines.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let parts = line.split_once(':').filter(|(name, _)| crate::definition::is_name(name));
            let (name, token) = parts.ok_or_else(|| {
                format!(
                    "line {}: expected `name:token`; the name consists of lower-case letters, digits and `-`",
                    number + 1
                )
            })?;
            if token.len() < MIN_TOKEN {
                return Err(format!(
                    "line {}: the token of `{name}` is shorter than {MIN_TOKEN} characters",
                    number + 1
                ));
            }
            tokens.push((name.to_owned(), Digest::of(token.as_bytes())));
        }
        Ok(Access { tokens, local })
    }

    /// True if no tokens are configured.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Checks the right to read.
    ///
    /// # Errors
    /// Fails if the request has no such right.
    pub(super) fn reader(&self, headers: &HeaderMap) -> Result<(), CommandError> {
        self.writer(headers).map(|_| ())
    }

    /// Checks the right to write, and returns the caller's name.
    ///
    /// # Errors
    /// Fails if the request has no such right.
    pub(super) fn writer(&self, headers: &HeaderMap) -> Result<String, CommandError> {
        if self.tokens.is_empty() {
            let message = "no tokens are configured, so environments are accessible only on a loopback address; start the \
                           server with `--tokens FILE`";
            return if self.local { Ok("local".to_owned()) } else { Err(CommandError::new(403, "Forbidden", message)) };
        }
        let header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token =
            header.and_then(|header| header.strip_prefix("Bearer ")).map(|token| Digest::of(token.trim().as_bytes()));
        let known =
            |token: Digest| self.tokens.iter().find(|(_, known)| equal_in_constant_time(known.bytes(), token.bytes()));
        let (name, _) = token.and_then(known).ok_or_else(|| {
            CommandError::new(
                401,
                "Unauthorized",
                "a token is required: send `Authorization: Bearer TOKEN`, or set EVENKEEL_TOKEN for `evenkeel`",
            )
        })?;
        Ok(name.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(token: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
        headers
    }

    #[test]
    fn a_token_identifies_the_caller() {
        let access = Access::new("# people\nalice:0123456789abcdef\nci-bot:fedcba9876543210\n", false).unwrap();
        assert_eq!(access.writer(&headers("fedcba9876543210")).unwrap(), "ci-bot");
        assert_eq!(access.writer(&headers("fedcba987654321")).unwrap_err().status, 401);
        assert_eq!(access.writer(&HeaderMap::new()).unwrap_err().status, 401);
        assert!(!format!("{access:?}").contains("0123456789abcdef"));
    }

    #[test]
    fn without_tokens_only_loopback_has_access() {
        assert_eq!(Access::new("", true).unwrap().writer(&HeaderMap::new()).unwrap(), "local");
        assert_eq!(Access::new("", false).unwrap().writer(&HeaderMap::new()).unwrap_err().status, 403);
    }

    #[test]
    fn rejects_malformed_lines_without_showing_tokens() {
        for lines in ["alice", "Alice:0123456789abcdef", "alice:short"] {
            let error = Access::new(lines, true).unwrap_err();
            assert!(!error.contains("short`") && !error.contains("0123456789abcdef"), "{error}");
        }
    }
}
