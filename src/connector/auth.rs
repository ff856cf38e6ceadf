//! Authenticates requests with the credentials of the method and of the connection.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::error::{CallError, ErrorCode};
use super::expression::{failed, template};
use super::host::Secrets;
use super::prepared::PreparedRequest;
use crate::definition::auth::{AuthMethod, KeyPlace};
use crate::definition::common::Credential;
use crate::template::{Context, Limits, Template};

/// A compiled authentication method.
#[derive(Debug)]
pub(super) enum AuthScheme {
    None,
    Basic {
        username: CredentialSource,
        password: CredentialSource,
    },
    Bearer {
        token: CredentialSource,
        header: String,
        prefix: String,
    },
    ApiKey {
        place: KeyPlace,
        name: String,
        prefix: String,
        value: CredentialSource,
    },
    Custom {
        headers: Vec<(String, Template)>,
        query: Vec<(String, Template)>,
        fields: Vec<CredentialField>,
    },
    /// A method that this version checks and does not perform, by its name.
    NotRunnable(&'static str),
}

/// The source of a credential: the method itself, or the connection's credential of this name.
#[derive(Debug)]
pub(super) struct CredentialSource {
    name: &'static str,
    own: Option<OwnCredential>,
}

#[derive(Debug)]
pub(super) struct CredentialField {
    name: String,
    required: bool,
    default: Option<String>,
}

#[derive(Debug)]
enum OwnCredential {
    Secret(String),
    Template(Template),
}

/// The credentials of a connection, by name.
pub(super) type CredentialValues = BTreeMap<String, Credential>;

impl AuthScheme {
    pub(super) fn compile(method: &AuthMethod) -> Result<AuthScheme, String> {
        if let Some(basic) = &method.basic {
            return Ok(AuthScheme::Basic {
                username: CredentialSource::compile("username", basic.username.as_ref())?,
                password: CredentialSource::compile("password", basic.password.as_ref())?,
            });
        }
        if let Some(bearer) = &method.bearer_token {
            let token = CredentialSource::compile("token", bearer.token.as_ref())?;
            return Ok(AuthScheme::Bearer { token, header: "Authorization".into(), prefix: "Bearer ".into() });
        }
        if let Some(key) = &method.api_key {
            return Ok(AuthScheme::ApiKey {
                place: key.place,
                name: key.name.clone(),
                prefix: key.prefix.clone().unwrap_or_default(),
                value: CredentialSource::compile("apiKey", key.value.as_ref())?,
            });
        }
        // Only a token of the connection is sent. Obtaining and refreshing tokens is not implemented.
        if let Some(oauth2) = &method.oauth2 {
            return Ok(AuthScheme::Bearer {
                token: CredentialSource { name: "accessToken", own: None },
                header: oauth2.header.clone().unwrap_or_else(|| "Authorization".into()),
                prefix: oauth2
                    .prefix
                    .clone()
                    .unwrap_or_else(|| if oauth2.header.is_some() { String::new() } else { "Bearer ".into() }),
            });
        }
        if method.jwt.is_some() {
            return Ok(AuthScheme::NotRunnable("jwt"));
        }
        if let Some(custom) = &method.custom {
            let all = |params: &BTreeMap<String, String>| -> Result<Vec<(String, Template)>, String> {
                params.iter().map(|(name, source)| Ok((name.clone(), template(source)?))).collect()
            };
            let fields = custom.fields.iter().map(|(name, field)| CredentialField {
                name: name.clone(),
                required: field.required,
                default: field
                    .default
                    .as_ref()
                    .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)),
            });
            return Ok(AuthScheme::Custom {
                headers: all(&custom.headers)?,
                query: all(&custom.query)?,
                fields: fields.collect(),
            });
        }
        Ok(AuthScheme::None)
    }

    /// Adds the credentials to a request. The context holds the names that templates of `auth` may use.
    pub(super) fn apply(
        &self,
        request: &mut PreparedRequest,
        credentials: &CredentialValues,
        context: &Context,
        secrets: &dyn Secrets,
    ) -> Result<(), CallError> {
        let lookup = CredentialLookup { credentials, context, secrets };
        match self {
            AuthScheme::None => Ok(()),
            AuthScheme::Basic { username, password } => {
                let (username, password) = (lookup.get(username)?, lookup.get(password)?);
                if username.contains(':') {
                    return Err(CallError::new(
                        ErrorCode::Credential,
                        "a user name of Basic authentication cannot hold `:`",
                    ));
                }
                // Placeholders stay readable: encoded, they would not name their source.
                let value =
                    if secrets.masked() { format!("Basic {username}:{password}") } else { basic(&username, &password) };
                request.credential_header("Authorization", value)
            }
            AuthScheme::Bearer { token, header, prefix } => {
                let token = lookup.get(token)?;
                request.credential_header(header, format!("{prefix}{token}"))
            }
            AuthScheme::ApiKey { place, name, prefix, value } => {
                let value = format!("{prefix}{}", lookup.get(value)?);
                match place {
                    KeyPlace::Header => request.credential_header(name, value),
                    KeyPlace::Query => {
                        request.credential_query(name, &value);
                        Ok(())
                    }
                }
            }
            AuthScheme::Custom { headers, query, fields } => {
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
            AuthScheme::NotRunnable(name) => Err(CallError::new(
                ErrorCode::NotRunnable,
                format!("this version checks authentication by `{name}` and does not perform it"),
            )),
        }
    }
}

impl CredentialSource {
    fn compile(name: &'static str, own: Option<&Credential>) -> Result<CredentialSource, String> {
        let own = match own {
            Some(Credential::Reference(reference)) => Some(OwnCredential::Secret(reference.secret_ref.clone())),
            Some(Credential::Template(source)) => Some(OwnCredential::Template(template(source)?)),
            None => None,
        };
        Ok(CredentialSource { name, own })
    }
}

struct CredentialLookup<'a> {
    credentials: &'a CredentialValues,
    context: &'a Context,
    secrets: &'a dyn Secrets,
}

impl CredentialLookup<'_> {
    fn get(&self, source: &CredentialSource) -> Result<String, CallError> {
        match (&source.own, self.credentials.get(source.name)) {
            (Some(OwnCredential::Secret(name)), _) => self.secret(name),
            (Some(OwnCredential::Template(template)), _) => {
                template.render_text(self.context, &Limits::default()).map_err(|error| failed("auth", &error))
            }
            (None, Some(credential)) => self.render(credential),
            (None, None) => self.missing(source.name),
        }
    }

    fn fields(&self, fields: &[CredentialField]) -> Result<serde_json::Value, CallError> {
        let mut values = serde_json::Map::new();
        for field in fields {
            let value = match (self.credentials.get(&field.name), &field.default) {
                (Some(credential), _) => self.render(credential)?,
                (None, Some(default)) => default.clone(),
                (None, None) if field.required => self.missing(&field.name)?,
                (None, None) => String::new(),
            };
            values.insert(field.name.clone(), value.into());
        }
        Ok(values.into())
    }

    fn render(&self, credential: &Credential) -> Result<String, CallError> {
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
        let detail = if self.credentials.is_empty() {
            format!(
                "no connection gives `{name}`: name a tenant or a connection, or declare a Connection of this connector"
            )
        } else {
            format!("the connection has no credential `{name}`; add it to its `credentials`")
        };
        Err(CallError::new(ErrorCode::ConnectionRequired, detail))
    }
}

/// The header value of Basic authentication (RFC 7617).
fn basic(username: &str, password: &str) -> String {
    format!("Basic {}", BASE64.encode(format!("{username}:{password}")))
}
