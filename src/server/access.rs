//! Callers and their rights: the token file, and the rule for callers without a token.

use std::collections::BTreeSet;

use axum::http::{HeaderMap, header};

use crate::api::Problem;
use crate::text::{Digest, equal_in_constant_time};

/// Shortest token, in bytes.
const MIN_TOKEN: usize = 16;
/// Names that the audit log uses itself.
const RESERVED: [&str; 3] = ["reconciler", ANONYMOUS, LOCAL];
/// Name of a caller without a token.
const ANONYMOUS: &str = "anonymous";
/// Name of a caller without a token on a loopback address.
const LOCAL: &str = "local";

/// The word in the token file that stands for every role.
pub const EVERY_ROLE: &str = "*";

/// A right that a route requires and a caller holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// Read definitions, statuses, executions and events.
    Read,
    /// Call actions and start workflows.
    Call,
    /// Change environments and executions.
    Operate,
    /// Name the tenant and the user of a call.
    ActForOthers,
}

impl Right {
    /// All rights.
    pub const ALL: [Right; 4] = [Right::Read, Right::Call, Right::Operate, Right::ActForOthers];

    /// The word in the token file.
    pub fn as_str(self) -> &'static str {
        match self {
            Right::Read => "read",
            Right::Call => "call",
            Right::Operate => "operate",
            Right::ActForOthers => "act-for-others",
        }
    }

    fn from_word(word: &str) -> Option<Right> {
        Right::ALL.into_iter().find(|right| right.as_str() == word)
    }
}

/// A caller and its rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Name, as the audit log shows it.
    pub name: String,
    /// Its rights.
    pub rights: BTreeSet<Right>,
    /// Environments that it has them in; `None` for all.
    pub environments: Option<BTreeSet<String>>,
    /// Tenants that it has them for; `None` for all data, also that of no tenant.
    pub tenants: Option<BTreeSet<String>>,
    /// Its roles; [`EVERY_ROLE`] stands for all of them.
    pub roles: BTreeSet<String>,
}

impl Principal {
    fn new(name: &str, rights: &[Right]) -> Principal {
        let rights = rights.iter().copied().collect();
        Principal { name: name.to_owned(), rights, environments: None, tenants: None, roles: BTreeSet::new() }
    }

    /// True for a caller without a token.
    pub fn is_anonymous(&self) -> bool {
        self.name == ANONYMOUS
    }

    /// True if it holds a right.
    pub fn has(&self, right: Right) -> bool {
        self.rights.contains(&right)
    }

    /// True if it has one of these roles, or if none is required.
    pub fn has_one_of(&self, roles: &[String]) -> bool {
        roles.is_empty() || self.roles.contains(EVERY_ROLE) || roles.iter().any(|role| self.roles.contains(role))
    }

    /// True if its rights extend to an environment.
    pub fn reaches_environment(&self, name: &str) -> bool {
        self.environments.as_ref().is_none_or(|environments| environments.contains(name))
    }

    /// True if its rights extend to the data of a tenant; `None` is data of no tenant.
    pub fn reaches_tenant(&self, tenant: Option<&str>) -> bool {
        self.tenants.as_ref().is_none_or(|tenants| tenant.is_some_and(|tenant| tenants.contains(tenant)))
    }
}

/// The rule for callers without a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anonymous {
    /// They hold every right: only this machine can reach the server.
    Local,
    /// They may call actions and start workflows for any tenant and user.
    Calls,
    /// They have no rights.
    Refused,
}

/// The callers that a server knows.
#[derive(Clone, Debug)]
pub struct Access {
    /// Digests of tokens with their owners: neither memory dumps nor timing reveal a token.
    tokens: Vec<(Digest, Principal)>,
    anonymous: Anonymous,
}

impl Access {
    /// The callers of a token file's lines, and a rule for callers without a token. Ignores empty lines and lines that start
    /// with `#`. A line is `name:token rights=read,call,operate,act-for-others [environments=a,b] [tenants=x,y]
    /// [roles=owner,approver]`.
    ///
    /// # Errors
    /// Fails if a line has another form, its token is too short, or a name or token repeats. The error does not contain a
    /// token.
    pub fn new(lines: &str, anonymous: Anonymous) -> Result<Access, String> {
        let mut tokens: Vec<(Digest, Principal)> = Vec::new();
        for (number, line) in lines.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (digest, principal) = parse(line).map_err(|problem| format!("line {}: {problem}", number + 1))?;
            if tokens.iter().any(|(_, known)| known.name == principal.name) {
                return Err(format!("line {}: the name `{}` is in the file already", number + 1, principal.name));
            }
            if tokens.iter().any(|(known, _)| *known == digest) {
                return Err(format!("line {}: the token of `{}` is in the file already", number + 1, principal.name));
            }
            tokens.push((digest, principal));
        }
        Ok(Access { tokens, anonymous })
    }

    /// No tokens, and a rule for callers without one.
    pub fn without_tokens(anonymous: Anonymous) -> Access {
        Access { tokens: Vec::new(), anonymous }
    }

    /// True if no tokens are configured.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// One line about who has access, for the log.
    pub fn describe(&self) -> String {
        let tokens = match self.tokens.len() {
            0 => "no tokens".to_owned(),
            1 => "1 token".to_owned(),
            count => format!("{count} tokens"),
        };
        let others = match self.anonymous {
            Anonymous::Local => "everyone on this machine has every right",
            Anonymous::Calls => "callers without a token may call actions and start workflows",
            Anonymous::Refused => "callers without a token are refused",
        };
        format!("{tokens}; {others}")
    }

    /// The caller of a request.
    ///
    /// # Errors
    /// 401 `INVALID_TOKEN` if the token is not known, `UNAUTHORIZED` if it is missing and required.
    pub fn principal(&self, headers: &HeaderMap) -> Result<Principal, Problem> {
        let Some(value) = headers.get(header::AUTHORIZATION) else { return self.anonymous() };
        if headers.get_all(header::AUTHORIZATION).iter().count() > 1 {
            return Err(Problem::new(401, "INVALID_TOKEN", "there are several `Authorization` headers; send one"));
        }
        let token = value.to_str().ok().and_then(|value| value.split_once(' '));
        let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
        let Some(token) = token else {
            let detail = "the `Authorization` header has another form than `Bearer TOKEN`";
            return Err(Problem::new(401, "INVALID_TOKEN", detail));
        };
        if self.tokens.is_empty() && self.anonymous == Anonymous::Local {
            // The server has no tokens to compare with, and the caller would have every right without one.
            return self.anonymous();
        }
        let digest = Digest::of(token.as_bytes());
        let mut found = None;
        for (known, principal) in &self.tokens {
            if equal_in_constant_time(known.bytes(), digest.bytes()) {
                found = Some(principal);
            }
        }
        found.cloned().ok_or_else(|| {
            let detail = "the token is not known to this server; check EVENKEEL_TOKEN and the server's token file";
            Problem::new(401, "INVALID_TOKEN", detail)
        })
    }

    fn anonymous(&self) -> Result<Principal, Problem> {
        match self.anonymous {
            Anonymous::Local => {
                let roles = BTreeSet::from([EVERY_ROLE.to_owned()]);
                Ok(Principal { roles, ..Principal::new(LOCAL, &Right::ALL) })
            }
            Anonymous::Calls => Ok(Principal::new(ANONYMOUS, &[Right::Call, Right::ActForOthers])),
            Anonymous::Refused => {
                let detail =
                    "a token is required: send `Authorization: Bearer TOKEN`, or set EVENKEEL_TOKEN for `evenkeel`";
                Err(Problem::new(401, "UNAUTHORIZED", detail))
            }
        }
    }
}

/// Parses a line of the token file. Errors name the owner and never the token.
fn parse(line: &str) -> Result<(Digest, Principal), String> {
    let form =
        "expected `name:token rights=read,call,operate`; the name consists of lower-case letters, digits and `-`";
    let mut words = line.split_whitespace();
    let (name, token) = words.next().and_then(|word| word.split_once(':')).ok_or(form)?;
    if !crate::definition::is_name(name) {
        return Err(form.to_owned());
    }
    if token.len() < MIN_TOKEN {
        return Err(format!("the token of `{name}` is shorter than {MIN_TOKEN} characters"));
    }
    if RESERVED.contains(&name) {
        return Err(format!("the name `{name}` is reserved: the audit log uses it for Evenkeel itself"));
    }
    let mut principal = Principal::new(name, &[]);
    let mut seen = BTreeSet::new();
    for word in words {
        let unknown = || {
            format!(
                "`{name}` has an unknown attribute; expected `rights=…`, `environments=…`, `tenants=…` or `roles=…`"
            )
        };
        let (key, values) = word.split_once('=').ok_or_else(unknown)?;
        if !seen.insert(key) {
            return Err(format!("`{name}` has `{key}=` twice; separate values with commas"));
        }
        let values: BTreeSet<String> =
            values.split(',').filter(|value| !value.is_empty()).map(|value| value.replace('/', ".")).collect();
        if values.is_empty() {
            return Err(format!("`{key}=` of `{name}` names nothing"));
        }
        match key {
            "rights" => {
                for value in values {
                    let right = Right::from_word(&value).ok_or_else(|| {
                        let known = Right::ALL.map(Right::as_str).join(", ");
                        format!("`{name}` has the unknown right `{value}`; expected one of {known}")
                    })?;
                    principal.rights.insert(right);
                }
            }
            "environments" => principal.environments = Some(values),
            "tenants" => principal.tenants = Some(values),
            "roles" => {
                if let Some(value) =
                    values.iter().find(|value| *value != EVERY_ROLE && !crate::definition::is_name(value))
                {
                    return Err(format!("`{name}` has the role `{value}`, which is not the name of a role"));
                }
                principal.roles = values;
            }
            _ => return Err(unknown()),
        }
    }
    if principal.rights.is_empty() {
        return Err(format!("`{name}` has no rights; add for example `rights=read,call,operate`"));
    }
    Ok((Digest::of(token.as_bytes()), principal))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = "# people\nalice:0123456789abcdef rights=read,call,operate,act-for-others\n\
                         shop:fedcba9876543210 rights=call environments=live,ns/eu tenants=acme,globex\n";

    fn headers(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        headers
    }

    #[test]
    fn a_token_identifies_the_caller_and_its_rights() {
        let access = Access::new(LINES, Anonymous::Refused).unwrap();
        let alice = access.principal(&headers("Bearer 0123456789abcdef")).unwrap();
        assert!(alice.name == "alice" && Right::ALL.into_iter().all(|right| alice.has(right)));
        assert!(alice.reaches_environment("any") && alice.reaches_tenant(None));
        let shop = access.principal(&headers("bearer fedcba9876543210")).unwrap();
        assert!(shop.has(Right::Call) && !shop.has(Right::Read) && !shop.has(Right::ActForOthers));
        assert!(shop.reaches_environment("ns.eu") && !shop.reaches_environment("draft"));
        assert!(shop.reaches_tenant(Some("acme")) && !shop.reaches_tenant(Some("other")) && !shop.reaches_tenant(None));
        assert!(!format!("{access:?}").contains("0123456789abcdef"));
    }

    #[test]
    fn a_token_has_the_roles_of_its_line() {
        let lines = "a:0123456789abcdef rights=operate roles=owner,approver\nb:fedcba9876543210 rights=operate\n\
                     c:0011223344556677 rights=operate roles=*";
        let access = Access::new(lines, Anonymous::Refused).unwrap();
        let roles = |token: &str| access.principal(&headers(&format!("Bearer {token}"))).unwrap();
        let owner = ["owner".to_owned()];
        assert!(roles("0123456789abcdef").has_one_of(&owner));
        assert!(!roles("fedcba9876543210").has_one_of(&owner) && roles("fedcba9876543210").has_one_of(&[]));
        assert!(roles("0011223344556677").has_one_of(&owner));
        let local = Access::without_tokens(Anonymous::Local).principal(&HeaderMap::new()).unwrap();
        assert!(local.has_one_of(&owner), "a caller on this machine has every right");
    }

    #[test]
    fn a_missing_and_an_unknown_token_have_different_codes() {
        let access = Access::new(LINES, Anonymous::Refused).unwrap();
        assert_eq!(access.principal(&HeaderMap::new()).unwrap_err().code, "UNAUTHORIZED");
        for value in ["Bearer fedcba987654321", "Bearer", "Basic YTpi", "Bearer "] {
            let problem = access.principal(&headers(value)).unwrap_err();
            assert_eq!((problem.status, problem.code.as_str()), (401, "INVALID_TOKEN"), "{value}");
        }
    }

    #[test]
    fn callers_without_a_token_have_the_rights_of_the_rule() {
        let rights = |anonymous| Access::new("", anonymous).unwrap().principal(&HeaderMap::new());
        assert_eq!(rights(Anonymous::Local).unwrap().rights.len(), 4);
        let caller = rights(Anonymous::Calls).unwrap();
        assert!(caller.has(Right::Call) && !caller.has(Right::Read) && !caller.has(Right::Operate));
        assert_eq!(rights(Anonymous::Refused).unwrap_err().status, 401);
        // An unknown token is never better than none.
        let access = Access::new("", Anonymous::Calls).unwrap();
        assert_eq!(access.principal(&headers("Bearer 0123456789abcdef")).unwrap_err().code, "INVALID_TOKEN");
    }

    #[test]
    fn rejects_malformed_lines_without_showing_tokens() {
        for (line, expected) in [
            ("alice", "expected `name:token"),
            ("Alice:0123456789abcdef rights=read", "expected `name:token"),
            ("alice:short rights=read", "shorter than 16"),
            ("alice:0123456789abcdef", "has no rights"),
            ("alice:0123456789abcdef rights=", "names nothing"),
            ("alice:0123456789abcdef rights=admin", "unknown right `admin`"),
            ("alice:0123456789abcdef role=admin", "unknown attribute"),
            ("alice:0123456789abcdef read", "unknown attribute"),
            ("alice:0123456789abcdef rights=read rights=call", "`rights=` twice"),
            ("alice:0123456789abcdef rights=read roles=The/Owner", "not the name of a role"),
            ("reconciler:0123456789abcdef rights=read", "reserved"),
            ("a:0123456789abcdef rights=read\na:fedcba9876543210 rights=call", "line 2: the name `a` is in the file"),
            (
                "a:0123456789abcdef rights=read\nb:0123456789abcdef rights=call",
                "line 2: the token of `b` is in the file",
            ),
        ] {
            let error = Access::new(line, Anonymous::Refused).unwrap_err();
            assert!(error.contains(expected), "{line}: {error}");
            assert!(!error.contains("short rights") && !error.contains("0123456789abcdef"), "{error}");
        }
    }
}
