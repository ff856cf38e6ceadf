//! Requests as they are shown: the bytes that the pipeline would send.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::error::CallError;
use super::prepared::PreparedRequest;
use super::upstream::network_error;

/// A request as it is sent over HTTP/1.1, with the header fields that the client adds. Only the method and the URL are
/// written in one line, so that the whole URL is visible.
#[derive(Clone, Debug)]
pub struct RenderedRequest {
    method: &'static str,
    url: String,
    headers: Vec<(String, String)>,
    body: Bytes,
}

impl PreparedRequest {
    /// The request as it is sent. A traced call sends `traceparent` too, which is not known before.
    ///
    /// # Errors
    /// Those of sending it that do not depend on the application.
    pub fn rendered(&self) -> Result<RenderedRequest, CallError> {
        let sent = self.to_net()?;
        let fields = sent.sent_headers().map_err(|error| network_error(&error))?;
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let headers = fields.iter().map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect();
        // A fragment is not sent.
        let mut url = sent.url;
        url.set_fragment(None);
        Ok(RenderedRequest { method: self.method, url: url.into(), headers, body: sent.body })
    }
}

impl RenderedRequest {
    /// The request as text: one line for the method and the URL, the header fields, a blank line and the body. A line break
    /// ends it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = format!("{} {}\n", self.method, self.url);
        for (name, value) in &self.headers {
            text += &format!("{name}: {value}\n");
        }
        let mut bytes = text.into_bytes();
        if !self.body.is_empty() {
            bytes.push(b'\n');
            bytes.extend_from_slice(&self.body);
            bytes.push(b'\n');
        }
        bytes
    }

    /// The request as JSON. Values of a repeated header field are joined by `, `. `body` is the JSON value that is sent if
    /// its compact form is exactly the body; otherwise the body as text.
    pub fn to_json(&self) -> Value {
        let mut headers = Map::new();
        for (name, value) in &self.headers {
            match headers.get_mut(name) {
                Some(Value::String(known)) => *known += &format!(", {value}"),
                _ => drop(headers.insert(name.clone(), value.as_str().into())),
            }
        }
        json!({"method": self.method, "url": self.url, "headers": headers, "body": self.json_body()})
    }

    fn json_body(&self) -> Value {
        if self.body.is_empty() {
            return Value::Null;
        }
        let is_json = self.headers.iter().any(|(name, value)| name == "content-type" && value.contains("json"));
        let value = serde_json::from_slice::<Value>(&self.body).ok().filter(|_| is_json);
        // `10.10` is not 10.1: a value whose text differs from the body would show another body.
        let value = value.filter(|value| value.to_string().as_bytes() == &*self.body);
        value.unwrap_or_else(|| String::from_utf8_lossy(&self.body).into())
    }
}
