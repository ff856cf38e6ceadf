//! Authentication of a connector's calls.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::{Credential, Duration};

/// The authentication methods of a connector.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Auth {
    /// Method of new connections. Optional if there is only one method.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "LocalAuthMethod"))]
    pub default: Option<String>,
    /// Allows users to choose another method. Default: `false`.
    #[schemars(extend("x-evenkeel-planned" = {"instead": "the `method` of a Connection decides alone", "remedy": "name the method in each Connection"}))]
    #[serde(default)]
    pub allow_switching: bool,
    /// Authentication methods by name.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 16, "x-evenkeel-keys" = "name"))]
    pub methods: BTreeMap<String, Box<AuthMethod>>,
}

/// An authentication method. Set exactly one of `none`, `basic`, `bearerToken`, `apiKey`, `oauth2`, `jwt`, `custom`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [
    {"required": ["none"]}, {"required": ["basic"]}, {"required": ["bearerToken"]}, {"required": ["apiKey"]},
    {"required": ["oauth2"]}, {"required": ["jwt"]}, {"required": ["custom"]}
]))]
pub struct AuthMethod {
    /// Display name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// No authentication.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [{}]))]
    pub none: Option<NoAuth>,
    /// HTTP Basic authentication (RFC 7617). Default: the connection's `username` and `password`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basic: Option<Basic>,
    /// Bearer token in the header `Authorization` (RFC 6750). Default: the connection's `token`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [{"token": {"secretRef": "orbit-key"}}]))]
    pub bearer_token: Option<BearerToken>,
    /// Key in a header or query parameter. Default: the connection's `apiKey`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key: Option<ApiKey>,
    /// OAuth 2.0 (RFC 6749).
    #[schemars(extend("x-evenkeel-planned" = {"instead": "no token is requested or refreshed; the connection's `accessToken` is sent as it is", "remedy": "put a valid `accessToken` into the connection, and replace it before it expires"}))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oauth2: Option<OAuth2>,
    /// JSON Web Token (RFC 7519) that is signed for each call and sent as a bearer token.
    #[schemars(extend("x-evenkeel-planned" = {"instead": "a call with this method fails with `NOT_RUNNABLE`", "remedy": "sign a token with `jwt_encode` in `custom.headers`"}))]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [{"algorithm": "RS256", "key": {"secretRef": "orbit-key"}, "headers": {"kid": "k-1"}, "claims": {"iss": "evenkeel", "aud": "orbit"}, "lifetime": "5m"}]))]
    pub jwt: Option<Jwt>,
    /// Custom credential fields, with the headers and query parameters that are made from them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom: Option<CustomAuth>,
}

/// An object without settings: `{}`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NoAuth {}

/// HTTP Basic authentication.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Basic {
    /// User name. Default: the connection's `username`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["ada@example.com"]))]
    pub username: Option<Credential>,
    /// Password. Default: the connection's `password`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [{"secretRef": "orbit-key"}]))]
    pub password: Option<Credential>,
}

/// A bearer token.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BearerToken {
    /// Token. Default: the connection's `token`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Credential>,
}

/// A key in a header or query parameter.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApiKey {
    /// Location of the key in the request. Default: `Header`.
    #[serde(default, rename = "in")]
    pub place: KeyPlace,
    /// Name of the header or query parameter.
    #[schemars(length(min = 1, max = 255))]
    pub name: String,
    /// Text before the key, such as `Token `. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Value of the key. Default: the connection's `apiKey`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [{"secretRef": "orbit-key"}]))]
    pub value: Option<Credential>,
}

/// The location of a key in the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the names are self-explanatory")]
pub enum KeyPlace {
    #[default]
    Header,
    Query,
}

/// OAuth 2.0 settings.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OAuth2 {
    /// Grant type. Default: `AuthorizationCode`.
    #[serde(default)]
    pub grant: Grant,
    /// Authorization endpoint, where the user consents. Required for `AuthorizationCode`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "absoluteUrl"))]
    pub authorization_url: Option<String>,
    /// Token endpoint.
    #[schemars(extend("x-evenkeel-template" = "absoluteUrl"))]
    pub token_url: String,
    /// Endpoint that exchanges refresh tokens. Default: `tokenUrl`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "absoluteUrl"))]
    pub refresh_url: Option<String>,
    /// Endpoint that revokes tokens when a connection is removed (RFC 7009).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "absoluteUrl"))]
    pub revocation_url: Option<String>,
    /// Requested scopes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Separator of scopes. Default: a space.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope_separator: Option<String>,
    /// Client id. Default: the connection's `clientId`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<Credential>,
    /// Client secret. Default: the connection's `clientSecret`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<Credential>,
    /// Client authentication at the token endpoint. Default: `Body`.
    #[serde(default)]
    pub client_auth: ClientAuth,
    /// Uses a proof key for code exchange (PKCE, RFC 7636). Default: `true`.
    #[serde(default = "super::common::yes")]
    pub pkce: bool,
    /// Additional parameters of the authorization request, such as `access_type: offline`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub authorization_params: BTreeMap<String, String>,
    /// Additional parameters of the token request, such as `audience`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-evenkeel-template" = "auth"))]
    pub token_params: BTreeMap<String, String>,
    /// States that each refresh returns a new refresh token. Default: `false`.
    #[serde(default)]
    pub rotates_refresh_token: bool,
    /// Lifetime of a refresh token, if the application does not report it. Example: `90d`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token_lifetime: Option<Duration>,
    /// Header that carries the access token. Default: `Authorization`.
    #[schemars(extend("x-evenkeel-planned" = false))]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-type" = "header"))]
    #[schemars(extend("examples" = ["X-Access-Token"]))]
    pub header: Option<String>,
    /// Text before the access token. Default: `Bearer ` for the header `Authorization`, otherwise none.
    #[schemars(extend("x-evenkeel-planned" = false))]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["Token "]))]
    pub prefix: Option<String>,
    /// Assertion of the grant `JwtBearer` (RFC 7523).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [{"claims": {"iss": "evenkeel"}}]))]
    pub assertion: Option<Jwt>,
}

/// An OAuth 2.0 grant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Grant {
    /// Authorization code grant (RFC 6749, section 4.1).
    #[default]
    AuthorizationCode,
    /// Client credentials grant (RFC 6749, section 4.4).
    ClientCredentials,
    /// JWT bearer grant (RFC 7523).
    JwtBearer,
}

/// The authentication of the client at the token endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ClientAuth {
    /// `client_id` and `client_secret` in the form body.
    #[default]
    Body,
    /// HTTP Basic authentication.
    Basic,
}

/// A signed JSON Web Token.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Jwt {
    /// Signature algorithm (RFC 7518). Default: `RS256`.
    #[serde(default)]
    pub algorithm: Algorithm,
    /// Private key in PEM format, or shared secret. Default: the connection's `privateKey`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Credential>,
    /// Additional header fields, such as `kid`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-evenkeel-template" = "authTree"))]
    pub headers: BTreeMap<String, serde_json::Value>,
    /// Claims. `exp`, `iat` and `nbf` are converted to integers.
    #[schemars(extend("x-evenkeel-template" = "authTree"))]
    pub claims: BTreeMap<String, serde_json::Value>,
    /// Lifetime of the token, from `1s` to `1h`. Sets `iat` and `exp` unless the claims contain them. Default: `5m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-min" = "1s", "x-evenkeel-max" = "1h"))]
    pub lifetime: Option<Duration>,
}

/// A signature algorithm (RFC 7518, section 3.1; RFC 8037).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the names are those of the RFC")]
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

/// Custom authentication.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CustomAuth {
    /// Credential fields that the user fills in, by name. Templates read them as `credentials.NAME`.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 64, "x-evenkeel-keys" = "identifier"))]
    pub fields: BTreeMap<String, CredentialField>,
    /// Headers that are made from the fields: templates.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-evenkeel-keys" = "header", "x-evenkeel-template" = "auth"))]
    pub headers: BTreeMap<String, String>,
    /// Query parameters that are made from the fields: templates.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-evenkeel-template" = "auth"))]
    pub query: BTreeMap<String, String>,
    /// Lifetime of the credentials, after which the user must enter them again. Example: `30d`.
    #[schemars(extend("x-evenkeel-planned" = {"instead": "the credentials do not expire", "remedy": "replace the credentials in time, or remove the field"}))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<Duration>,
}

/// A field of custom credentials.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CredentialField {
    /// Label of the field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Help text below the field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Input type. A `Password` is masked and never displayed again. Default: `Text`.
    #[serde(default, rename = "type")]
    pub field_type: CredentialFieldType,
    /// Requires a value. Default: `false`.
    #[serde(default)]
    pub required: bool,
    /// Initial value. Must not be a credential.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-type" = "notCredential"))]
    #[schemars(extend("examples" = ["main"]))]
    pub default: Option<serde_json::Value>,
    /// Hides the field. Default: `false`.
    #[schemars(extend("x-evenkeel-planned" = {"instead": "no form asks for credentials", "remedy": "give credentials in Connections until then"}))]
    #[serde(default)]
    #[schemars(extend("examples" = [true]))]
    pub hidden: bool,
    /// Makes the field read-only. Default: `false`.
    #[schemars(extend("x-evenkeel-planned" = {"instead": "no form asks for credentials", "remedy": "give credentials in Connections until then"}))]
    #[serde(default)]
    #[schemars(extend("examples" = [true]))]
    pub disabled: bool,
}

/// The input type of a credential field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the names are self-explanatory")]
pub enum CredentialFieldType {
    #[default]
    Text,
    Password,
    Number,
}
