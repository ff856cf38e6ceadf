//! How a connector's calls are authenticated.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::{Credential, Duration};

/// The methods that a connection may use.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Auth {
    /// The method a new connection starts with; may be left out where there is only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "LocalAuthMethod"))]
    pub default: Option<String>,
    /// May the user choose another method? `false` unless set.
    #[serde(default)]
    pub allow_switching: bool,
    /// The methods by name.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 16, "x-evenkeel-keys" = "name"))]
    pub methods: BTreeMap<String, Box<AuthMethod>>,
}

/// One method: exactly one of `none`, `basic`, `bearerToken`, `apiKey`, `oauth2`, `jwt`, `custom`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [
    {"required": ["none"]}, {"required": ["basic"]}, {"required": ["bearerToken"]}, {"required": ["apiKey"]},
    {"required": ["oauth2"]}, {"required": ["jwt"]}, {"required": ["custom"]}
]))]
pub struct AuthMethod {
    /// Name shown to people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// No credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub none: Option<NoAuth>,
    /// User name and password (RFC 7617); from the connection's `username` and `password` where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basic: Option<Basic>,
    /// `Authorization: Bearer …` (RFC 6750); from the connection's `token` where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bearer_token: Option<BearerToken>,
    /// A key in a header or query parameter; from the connection's `apiKey` where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key: Option<ApiKey>,
    /// OAuth 2.0 (RFC 6749).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oauth2: Option<OAuth2>,
    /// A JWT signed anew for every call (RFC 7519), sent as bearer token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt: Option<Jwt>,
    /// Fields of your own and the headers and query parameters made from them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom: Option<CustomAuth>,
}

/// No settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NoAuth {}

/// User name and password.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Basic {
    /// User name; the connection's `username` where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<Credential>,
    /// Password; the connection's `password` where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Credential>,
}

/// A bearer token.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BearerToken {
    /// The token; the connection's `token` where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Credential>,
}

/// A key in a header or query parameter.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApiKey {
    /// Where the key is sent; `Header` unless set.
    #[serde(default, rename = "in")]
    pub place: KeyPlace,
    /// Name of the header or query parameter.
    #[schemars(length(min = 1, max = 255))]
    pub name: String,
    /// Text before the key, such as `Token `.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// The key; the connection's `apiKey` where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Credential>,
}

/// Where a key is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the names say it")]
pub enum KeyPlace {
    #[default]
    Header,
    Query,
}

/// OAuth 2.0.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OAuth2 {
    /// How tokens are got; `AuthorizationCode` unless set.
    #[serde(default)]
    pub grant: Grant,
    /// Where the user consents; for `AuthorizationCode` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "absoluteUrl"))]
    pub authorization_url: Option<String>,
    /// Where tokens are issued.
    #[schemars(extend("x-evenkeel-template" = "absoluteUrl"))]
    pub token_url: String,
    /// Where refresh tokens are exchanged, where not `tokenUrl`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "absoluteUrl"))]
    pub refresh_url: Option<String>,
    /// Where tokens are revoked on disconnect (RFC 7009).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "absoluteUrl"))]
    pub revocation_url: Option<String>,
    /// Scopes that are asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Text between scopes; a space unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope_separator: Option<String>,
    /// Client id; the connection's `clientId` where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<Credential>,
    /// Client secret; the connection's `clientSecret` where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<Credential>,
    /// How the client authenticates at `tokenUrl`; `Body` unless set.
    #[serde(default)]
    pub client_auth: ClientAuth,
    /// Proof key for code exchange (RFC 7636); `true` unless set.
    #[serde(default = "super::common::yes")]
    pub pkce: bool,
    /// Further parameters of the authorization request, such as `access_type: offline`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub authorization_params: BTreeMap<String, String>,
    /// Further parameters of the token request, such as `audience`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-evenkeel-template" = "auth"))]
    pub token_params: BTreeMap<String, String>,
    /// Does a refresh give a new refresh token? `false` unless set.
    #[serde(default)]
    pub rotates_refresh_token: bool,
    /// How long a refresh token lives, where the application does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token_lifetime: Option<Duration>,
    /// The header that carries the access token; `Authorization` unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-type" = "header"))]
    pub header: Option<String>,
    /// Text before the access token; `Bearer ` for `Authorization`, nothing for another header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// The assertion of the `JwtBearer` grant (RFC 7523).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assertion: Option<Jwt>,
}

/// An OAuth 2.0 grant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Grant {
    /// RFC 6749, 4.1.
    #[default]
    AuthorizationCode,
    /// RFC 6749, 4.4.
    ClientCredentials,
    /// RFC 7523.
    JwtBearer,
}

/// How a client authenticates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ClientAuth {
    /// `client_id` and `client_secret` in the form.
    #[default]
    Body,
    /// HTTP Basic.
    Basic,
}

/// A signed JSON Web Token.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Jwt {
    /// Signature algorithm (RFC 7518); `RS256` unless set.
    #[serde(default)]
    pub algorithm: Algorithm,
    /// The private key as PEM, or the shared secret; the connection's `privateKey` where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Credential>,
    /// Further header fields, such as `kid`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-evenkeel-template" = "authTree"))]
    pub headers: BTreeMap<String, serde_json::Value>,
    /// Claims; `exp`, `iat` and `nbf` are cast to integers.
    #[schemars(extend("x-evenkeel-template" = "authTree"))]
    pub claims: BTreeMap<String, serde_json::Value>,
    /// How long it is valid; sets `iat` and `exp` where the claims do not. `5m` unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-min" = "1s", "x-evenkeel-max" = "1h"))]
    pub lifetime: Option<Duration>,
}

/// A signature algorithm (RFC 7518, 3.1; RFC 8037).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the names are the RFC's")]
pub enum Algorithm {
    HS256,
    HS384,
    HS512,
    #[default]
    RS256,
    RS384,
    RS512,
    ES256,
    ES384,
    PS256,
    PS384,
    PS512,
    EdDSA,
}

/// Fields of your own.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CustomAuth {
    /// What the user fills in, by name; templates read it as `credentials.name`.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 64, "x-evenkeel-keys" = "identifier"))]
    pub fields: BTreeMap<String, CredentialField>,
    /// Headers made from the fields.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-evenkeel-keys" = "header", "x-evenkeel-template" = "auth"))]
    pub headers: BTreeMap<String, String>,
    /// Query parameters made from the fields.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-evenkeel-template" = "auth"))]
    pub query: BTreeMap<String, String>,
    /// How long the credentials live; the user is asked again after that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<Duration>,
}

/// One field of custom credentials.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CredentialField {
    /// What the user reads beside the field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// A sentence below it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// How it is entered; `Text` unless set. A `Password` is masked and never shown again.
    #[serde(default, rename = "type")]
    pub field_type: CredentialFieldType,
    /// Must it be filled in? `false` unless set.
    #[serde(default)]
    pub required: bool,
    /// What it starts with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-type" = "notCredential"))]
    pub default: Option<serde_json::Value>,
    /// Not shown.
    #[serde(default)]
    pub hidden: bool,
    /// Shown and fixed.
    #[serde(default)]
    pub disabled: bool,
}

/// How a credential is entered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the names say it")]
pub enum CredentialFieldType {
    #[default]
    Text,
    Password,
    Number,
}
