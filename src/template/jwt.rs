//! Signing of JSON Web Tokens, for `jwt_encode`.

use jsonwebtoken::{Algorithm, AlgorithmFamily, EncodingKey, Header, encode};
use serde_json::Value;

/// Claims that are points in time, which templates often contain as text.
const TIMES: [&str; 3] = ["exp", "iat", "nbf"];

/// Signs a JSON Web Token.
///
/// `key` is the shared secret of an `HS…` algorithm, otherwise a private key
/// in PEM.  The claims `exp`, `iat` and `nbf` become numbers if they are
/// strings of digits.  The error contains no part of the key.
pub fn sign_jwt(payload: &Value, key: &str, algorithm: &str, headers: Option<&Value>) -> Result<String, String> {
    let algorithm: Algorithm = algorithm.parse().map_err(|_| {
        "the algorithm is not one of HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, \
         PS512, ES256, ES384 and EdDSA"
            .to_owned()
    })?;
    let Value::Object(claims) = payload else {
        return Err("the payload of a token must be a map".to_owned());
    };
    let mut claims = claims.clone();
    for name in TIMES {
        if let Some(time) = claims.get_mut(name)
            && let Some(seconds) = time.as_str().and_then(digits)
        {
            *time = Value::from(seconds);
        }
    }
    let key = encoding_key(algorithm, key)?;
    let header = header(algorithm, headers)?;
    encode(&header, &claims, &key).map_err(|_| format!("the token cannot be signed with {algorithm:?} and this key"))
}

fn digits(text: &str) -> Option<i64> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

fn encoding_key(algorithm: Algorithm, key: &str) -> Result<EncodingKey, String> {
    // Definitions often keep a PEM on one line, with the line ends escaped.
    let unescaped;
    let pem = if key.contains("\\n") && !key.contains('\n') {
        unescaped = zeroize::Zeroizing::new(key.replace("\\n", "\n"));
        unescaped.as_bytes()
    } else {
        key.as_bytes()
    };
    let parsed = match algorithm.family() {
        AlgorithmFamily::Hmac => return Ok(EncodingKey::from_secret(key.as_bytes())),
        AlgorithmFamily::Rsa => EncodingKey::from_rsa_pem(pem),
        AlgorithmFamily::Ec => EncodingKey::from_ec_pem(pem),
        AlgorithmFamily::Ed => EncodingKey::from_ed_pem(pem),
    };
    // The library's message could quote the key.
    parsed.map_err(|_| format!("the key is not a private key in PEM for {algorithm:?}"))
}

fn header(algorithm: Algorithm, extra: Option<&Value>) -> Result<Header, String> {
    let Some(extra) = extra else {
        return Ok(Header::new(algorithm));
    };
    let Value::Object(extra) = extra else {
        return Err("the headers of a token must be a map".to_owned());
    };
    let mut header = extra.clone();
    if !header.contains_key("typ") {
        header.insert("typ".to_owned(), Value::from("JWT"));
    }
    // The token always names the algorithm that signed it.
    header.insert("alg".to_owned(), Value::from(format!("{algorithm:?}")));
    serde_json::from_value(Value::Object(header)).map_err(|_| "the headers of a token cannot be used".to_owned())
}
