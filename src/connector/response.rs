//! What an application answered to an action's output.

use serde_json::Value;

use super::compile::{template, tree};
use super::pipeline::ActionOutput;
use super::upstream::UpstreamResponse;
use super::{CallError, ErrorCode};
use crate::definition::action::Response;
use crate::template::{Context, Limits, RenderError, Template, Tree};

/// A compiled response transform.
#[derive(Debug, Default)]
pub(super) struct Transform {
    body: Option<Tree>,
    text: Option<Template>,
    content_type: Option<String>,
    success: Vec<u16>,
    success_when: Option<Template>,
}

impl Transform {
    pub(super) fn compile(response: Option<&Response>) -> Result<Transform, String> {
        let Some(response) = response else { return Ok(Transform::default()) };
        Ok(Transform {
            body: response.body.as_ref().map(|body| tree(&body.value())).transpose()?,
            text: response.text.as_deref().map(template).transpose()?,
            content_type: response.content_type.clone(),
            success: response.success.clone(),
            success_when: response.success_when.as_deref().map(template).transpose()?,
        })
    }

    /// Is this answer a success: by its status, and by `successWhen`?
    pub(super) fn succeeds(&self, context: &mut Context, answer: &UpstreamResponse) -> Result<bool, CallError> {
        let status = answer.status;
        let good = if self.success.is_empty() { (200..300).contains(&status) } else { self.success.contains(&status) };
        let Some(when) = self.success_when.as_ref().filter(|_| good) else { return Ok(good) };
        context.set_response(answer.status, answer.headers.clone(), answer.body.clone());
        // A condition that cannot be told does not hold; as an error of its own it would hide what the application said.
        Ok(when.render_value(context, &Limits::default()).is_ok_and(|value| is_true(&value)))
    }

    /// The output. Without a transform the answer is passed on byte for byte.
    ///
    /// The context has no response yet: it is added here.
    pub(super) fn apply(
        &self,
        context: &mut Context,
        answer: &UpstreamResponse,
        json_wanted: bool,
    ) -> Result<ActionOutput, CallError> {
        context.set_response(answer.status, answer.headers.clone(), answer.body.clone());
        let limits = Limits::default();
        if let Some(body) = &self.body {
            let value = body.render(context, &limits).map_err(|error| failed(&error))?;
            return Ok(ActionOutput::Json { value, content_type: self.content_type.clone() });
        }
        if let Some(text) = &self.text {
            let text = text.render_text(context, &limits).map_err(|error| failed(&error))?;
            let json = self.content_type.as_deref().map_or(json_wanted, is_json);
            return match serde_json::from_str::<Value>(&text) {
                Ok(value) if json => Ok(ActionOutput::Json { value, content_type: self.content_type.clone() }),
                Err(error) if json && json_wanted => Err(CallError::new(
                    ErrorCode::ResponseTemplate,
                    format!("the response template's text is not JSON: {error}"),
                )),
                _ => Ok(ActionOutput::Raw {
                    bytes: text.into(),
                    content_type: self.content_type.clone().unwrap_or_else(|| "text/plain; charset=utf-8".into()),
                }),
            };
        }
        let content_type = self.content_type.clone().or_else(|| answer.headers.get("content-type").cloned());
        Ok(ActionOutput::Raw {
            bytes: answer.body.clone(),
            content_type: content_type.unwrap_or_else(|| "application/octet-stream".into()),
        })
    }
}

/// What Jinja takes for true, and text that says otherwise.
pub(super) fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !matches!(text.trim(), "" | "false" | "False" | "0" | "null" | "none" | "None"),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

/// `application/json` and everything that ends in `+json` (RFC 6839).
pub(super) fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    essence == "application/json" || essence == "text/json" || essence.ends_with("+json")
}

fn failed(error: &RenderError) -> CallError {
    CallError::new(ErrorCode::ResponseTemplate, format!("response: {error}"))
}
