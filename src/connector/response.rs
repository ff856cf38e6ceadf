//! Transforms the response of an application into the output of an action.

use serde_json::Value;

use super::error::{CallError, ErrorCode};
use super::expression::{is_true, template, tree};
use super::outcome::ActionOutput;
use super::upstream::UpstreamResponse;
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

    /// True if a response is successful by its status and by `successWhen`.
    pub(super) fn succeeds(&self, context: &mut Context, response: &UpstreamResponse) -> Result<bool, CallError> {
        let status = response.status;
        let good = if self.success.is_empty() { (200..300).contains(&status) } else { self.success.contains(&status) };
        let Some(when) = self.success_when.as_ref().filter(|_| good) else { return Ok(good) };
        context.set_response(response.status, response.headers.clone(), response.body.clone());
        // A condition that fails to render does not hold: reporting it would hide the response of the application.
        Ok(when.render_value(context, &Limits::default()).is_ok_and(|value| is_true(&value)))
    }

    /// The output. Without a transform it is the response, byte for byte. Adds the response to the context.
    pub(super) fn apply(
        &self,
        context: &mut Context,
        response: &UpstreamResponse,
        json_wanted: bool,
    ) -> Result<ActionOutput, CallError> {
        context.set_response(response.status, response.headers.clone(), response.body.clone());
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
        let content_type = self.content_type.clone().or_else(|| response.headers.get("content-type").cloned());
        Ok(ActionOutput::Raw {
            bytes: response.body.clone(),
            content_type: content_type.unwrap_or_else(|| "application/octet-stream".into()),
        })
    }
}

/// True for `application/json` and types that end in `+json` (RFC 6839).
fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    essence == "application/json" || essence == "text/json" || essence.ends_with("+json")
}

fn failed(error: &RenderError) -> CallError {
    CallError::new(ErrorCode::ResponseTemplate, format!("response: {error}"))
}
