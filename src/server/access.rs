//! Who may read and change environments: by token, or, without any tokens, whoever is on this machine.

use axum::http::{HeaderMap, header};

use crate::reconcile::commands::CommandError;
use crate::text::{Digest, equal_in_constant_time};

/// Tokens and who they are.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Digests of tokens, so that neither memory dumps nor timing tell one.
    tokens: Vec<(String, Digest)>,
    /// Does the server listen on this machine only?
    local: bool,
}

/// Shortest token.
const SHORTEST: usize = 16;

impl Access {
    /// Reads lines of `name:token`; empty lines and lines that start with `#` are passed over.
    ///
    /// # Errors
    /// Where a line is not of that form or its token is too short to be one, without showing it.
    pub fn new(lines: &str, local: bool) -> Result<Access, String> {
        let mut tokens = Vec::new();
        for (number, line) in lines.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let parts = line.split_once(':').filter(|(name, _)| crate::definition::is_name(name));
            let (name, token) = parts.ok_or_else(|| {
                format!("line {}: write `name:token`, the name of small letters, digits and `-`", number + 1)
            })?;
            if token.len() < SHORTEST {
                return Err(format!(
                    "line {}: the token of `{name}` is shorter than {SHORTEST} characters",
                    number + 1
                ));
            }
            tokens.push((name.to_owned(), Digest::of(token.as_bytes())));
        }
        Ok(Access { tokens, local })
    }

    /// Are there any tokens?
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// May this request read what environments say of themselves?
    ///
    /// # Errors
    /// Unless it may.
    pub(super) fn reader(&self, headers: &HeaderMap) -> Result<(), CommandError> {
        self.writer(headers).map(|_| ())
    }

    /// Who asks for a change.
    ///
    /// # Errors
    /// Unless they may.
    pub(super) fn writer(&self, headers: &HeaderMap) -> Result<String, CommandError> {
        if self.tokens.is_empty() {
            let message = "no tokens are configured, so environments are asked on the machine itself only; start the \
                           server with `--tokens FILE`";
            return if self.local { Ok("local".to_owned()) } else { Err(CommandError::new(403, "Forbidden", message)) };
        }
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token =
            given.and_then(|given| given.strip_prefix("Bearer ")).map(|token| Digest::of(token.trim().as_bytes()));
        let known =
            |token: Digest| self.tokens.iter().find(|(_, known)| equal_in_constant_time(known.bytes(), token.bytes()));
        let (name, _) = token.and_then(known).ok_or_else(|| {
            CommandError::new(
                401,
                "Unauthorized",
                "send `Authorization: Bearer TOKEN`; `evenkeel` takes it from EVENKEEL_TOKEN",
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
    fn tokens_name_who_asks() {
        let access = Access::new("# people\nalice:0123456789abcdef\nci-bot:fedcba9876543210\n", false).unwrap();
        assert_eq!(access.writer(&headers("fedcba9876543210")).unwrap(), "ci-bot");
        assert_eq!(access.writer(&headers("fedcba987654321")).unwrap_err().status, 401);
        assert_eq!(access.writer(&HeaderMap::new()).unwrap_err().status, 401);
        assert!(!format!("{access:?}").contains("0123456789abcdef"));
    }

    #[test]
    fn without_tokens_only_this_machine_asks() {
        assert_eq!(Access::new("", true).unwrap().writer(&HeaderMap::new()).unwrap(), "local");
        assert_eq!(Access::new("", false).unwrap().writer(&HeaderMap::new()).unwrap_err().status, 403);
    }

    #[test]
    fn bad_lines_are_refused_without_showing_tokens() {
        for lines in ["alice", "Alice:0123456789abcdef", "alice:short"] {
            let error = Access::new(lines, true).unwrap_err();
            assert!(!error.contains("short`") && !error.contains("0123456789abcdef"), "{error}");
        }
    }
}
