//! Authentication of a request: from the method, its credentials and the connection.

use std::collections::BTreeMap;

use super::compile::template;
use super::request::{PreparedRequest, basic, failed};
use super::{CallError, ErrorCode, Secrets};
use crate::definition::auth::{AuthMethod, KeyPlace};
use crate::definition::common::Credential;
use crate::template::{Context, Limits, Template};

/// A compiled authentication method.
#[derive(Debug)]
pub(super) enum Method {
    None,
    Basic {
        username: Source,
        password: Source,
    },
    Bearer {
        token: Source,
        header: String,
        prefix: String,
    },
    ApiKey {
        place: KeyPlace,
        name: String,
        prefix: String,
        value: Source,
    },
    Custom {
        headers: Vec<(String, Template)>,
        query: Vec<(String, Template)>,
        fields: Vec<Field>,
    },
    /// Declared and checked, not run by this version: its name.
    NotRunnable(&'static str),
}

/// Where a credential comes from: the method itself, or the connection under a name.
#[derive(Debug)]
pub(super) struct Source {
    name: &'static str,
    own: Option<Value>,
}

#[derive(Debug)]
pub(super) struct Field {
    name: String,
    required: bool,
    default: Option<String>,
}

#[derive(Debug)]
enum Value {
    Secret(String),
    Template(Template),
}

/// Credentials that a connection gives, by name.
pub(super) type Given = BTreeMap<String, Credential>;

impl Method {
    pub(super) fn compile(method: &AuthMethod) -> Result<Method, String> {
        if let Some(basic) = &method.basic {
            return Ok(Method::Basic {
                username: Source::compile("username", basic.username.as_ref())?,
                password: Source::compile("password", basic.password.as_ref())?,
            });
        }
        if let Some(bearer) = &method.bearer_token {
            let token = Source::compile("token", bearer.token.as_ref())?;
            return Ok(Method::Bearer { token, header: "Authorization".into(), prefix: "Bearer ".into() });
        }
        if let Some(key) = &method.api_key {
            return Ok(Method::ApiKey {
                place: key.place,
                name: key.name.clone(),
                prefix: key.prefix.clone().unwrap_or_default(),
                value: Source::compile("apiKey", key.value.as_ref())?,
            });
        }
        // A token that a connection brings is sent; getting and refreshing tokens comes with the store that keeps them.
        if let Some(oauth2) = &method.oauth2 {
            return Ok(Method::Bearer {
                token: Source { name: "accessToken", own: None },
                header: oauth2.header.clone().unwrap_or_else(|| "Authorization".into()),
                prefix: oauth2
                    .prefix
                    .clone()
                    .unwrap_or_else(|| if oauth2.header.is_some() { String::new() } else { "Bearer ".into() }),
            });
        }
        if method.jwt.is_some() {
            return Ok(Method::NotRunnable("jwt"));
        }
        if let Some(custom) = &method.custom {
            let all = |params: &BTreeMap<String, String>| -> Result<Vec<(String, Template)>, String> {
                params.iter().map(|(name, source)| Ok((name.clone(), template(source)?))).collect()
            };
            let fields = custom.fields.iter().map(|(name, field)| Field {
                name: name.clone(),
                required: field.required,
                default: field
                    .default
                    .as_ref()
                    .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)),
            });
            return Ok(Method::Custom {
                headers: all(&custom.headers)?,
                query: all(&custom.query)?,
                fields: fields.collect(),
            });
        }
        Ok(Method::None)
    }

    /// Adds the credentials to a request. The context may hold everything that templates of `auth` see.
    pub(super) fn apply(
        &self,
        request: &mut PreparedRequest,
        given: &Given,
        context: &Context,
        secrets: &dyn Secrets,
    ) -> Result<(), CallError> {
        let lookup = Lookup { given, context, secrets };
        match self {
            Method::None => Ok(()),
            Method::Basic { username, password } => {
                let (username, password) = (lookup.get(username)?, lookup.get(password)?);
                if username.contains(':') {
                    return Err(CallError::new(
                        ErrorCode::Credential,
                        "a user name of Basic authentication cannot hold `:`",
                    ));
                }
                // Placeholders stay readable: encoded, nobody could tell where they come from.
                let value =
                    if secrets.masked() { format!("Basic {username}:{password}") } else { basic(&username, &password) };
                request.credential_header("Authorization", value)
            }
            Method::Bearer { token, header, prefix } => {
                let token = lookup.get(token)?;
                request.credential_header(header, format!("{prefix}{token}"))
            }
            Method::ApiKey { place, name, prefix, value } => {
                let value = format!("{prefix}{}", lookup.get(value)?);
                match place {
                    KeyPlace::Header => request.credential_header(name, value),
                    KeyPlace::Query => {
                        request.credential_query(name, &value);
                        Ok(())
                    }
                }
            }
            Method::Custom { headers, query, fields } => {
                let mut context = context.clone();
                context.set("credentials", lookup.fields(fields)?);
                let limits = Limits::default();
                for (name, template) in headers {
                    let value = template.render_text(&context, &limits).map_err(|error| failed("auth", &error))?;
                    request.credential_header(name, value)?;
                }
                for (name, template) in query {
                    let value = template.render_text(&context, &limits).map_err(|error| failed("auth", &error))?;
                    request.credential_query(name, &value);
                }
                Ok(())
            }
            Method::NotRunnable(name) => Err(CallError::new(
                ErrorCode::NotRunnable,
                format!("this version checks authentication by `{name}` and does not perform it"),
            )),
        }
    }
}

impl Source {
    fn compile(name: &'static str, own: Option<&Credential>) -> Result<Source, String> {
        let own = match own {
            Some(Credential::Reference(reference)) => Some(Value::Secret(reference.secret_ref.clone())),
            Some(Credential::Template(source)) => Some(Value::Template(template(source)?)),
            None => None,
        };
        Ok(Source { name, own })
    }
}

struct Lookup<'a> {
    given: &'a Given,
    context: &'a Context,
    secrets: &'a dyn Secrets,
}

impl Lookup<'_> {
    fn get(&self, source: &Source) -> Result<String, CallError> {
        match (&source.own, self.given.get(source.name)) {
            (Some(Value::Secret(name)), _) => self.secret(name),
            (Some(Value::Template(template)), _) => {
                template.render_text(self.context, &Limits::default()).map_err(|error| failed("auth", &error))
            }
            (None, Some(credential)) => self.credential(credential),
            (None, None) => self.missing(source.name),
        }
    }

    fn fields(&self, fields: &[Field]) -> Result<serde_json::Value, CallError> {
        let mut values = serde_json::Map::new();
        for field in fields {
            let value = match (self.given.get(&field.name), &field.default) {
                (Some(credential), _) => self.credential(credential)?,
                (None, Some(default)) => default.clone(),
                (None, None) if field.required => self.missing(&field.name)?,
                (None, None) => String::new(),
            };
            values.insert(field.name.clone(), value.into());
        }
        Ok(values.into())
    }

    fn credential(&self, credential: &Credential) -> Result<String, CallError> {
        match credential {
            Credential::Reference(reference) => self.secret(&reference.secret_ref),
            Credential::Template(source) => {
                let template = template(source).map_err(|problem| CallError::new(ErrorCode::Template, problem))?;
                template.render_text(self.context, &Limits::default()).map_err(|error| failed("auth", &error))
            }
        }
    }

    fn secret(&self, name: &str) -> Result<String, CallError> {
        self.secrets.get(name).map_err(|reason| CallError::new(ErrorCode::Credential, reason))
    }

    fn missing(&self, name: &str) -> Result<String, CallError> {
        if self.secrets.masked() {
            return Ok(format!("[credential {name}]"));
        }
        let detail = if self.given.is_empty() {
            format!(
                "no connection gives `{name}`: name a tenant or a connection, or declare a Connection of this connector"
            )
        } else {
            format!("the connection has no credential `{name}`; add it to its `credentials`")
        };
        Err(CallError::new(ErrorCode::ConnectionRequired, detail))
    }
}
