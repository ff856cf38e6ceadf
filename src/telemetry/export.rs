//! Sending spans to a collector, by OTLP over HTTP.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use opentelemetry::trace::{SpanKind, TraceId};
use opentelemetry::{Context, InstrumentationScope, KeyValue};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchSpanProcessor, Config, SamplingDecision, ShouldSample, SpanData, SpanProcessor};
use tokio::runtime::Handle;
use url::Url;

use crate::net;

/// How long spans may take to leave when the process ends.
const LEAVING: Duration = Duration::from_secs(3);
/// Longest exchange with the collector; its own variables can make it shorter.
const EXCHANGE: Duration = Duration::from_secs(10);
/// Largest answer of a collector, in bytes.
const MAX_ANSWER: usize = 1 << 20;

/// One for the process, as its log is: what is told in any room goes the same way.
static EXPORT: OnceLock<Export> = OnceLock::new();

struct Export {
    processor: BatchSpanProcessor,
    sampler: Box<dyn ShouldSample>,
    scope: InstrumentationScope,
}

/// Traces cannot be sent as asked.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The endpoint is no address.
    #[error("`{endpoint}` is no address of a collector ({reason}); write `http://collector:4318`")]
    Endpoint {
        /// What was asked for.
        endpoint: String,
        /// What is wrong.
        reason: String,
    },
    /// The exporter refuses its settings.
    #[error("traces cannot be sent: {0}")]
    Settings(String),
}

/// Spans are sent until this ends.
#[derive(Debug)]
pub struct Exporting(());

impl Exporting {
    /// Sends what is left, for at most three seconds.
    pub async fn end(self) {
        let ended =
            tokio::task::spawn_blocking(|| EXPORT.get().map(|export| export.processor.shutdown_with_timeout(LEAVING)));
        if let Ok(Some(Err(error))) = ended.await {
            tracing::warn!("the last traces were not sent: {error}");
        }
    }
}

/// Is this an address of a collector?
///
/// # Errors
/// [`StartError::Endpoint`] where it is none.
pub fn check(endpoint: &str) -> Result<(), StartError> {
    address(endpoint).map(drop)
}

/// Begins to send spans to a collector: `http://collector:4318`, or with the whole path.
///
/// The variables of OpenTelemetry hold: `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_TRACES_SAMPLER` and its
/// `_ARG`, `OTEL_EXPORTER_OTLP_HEADERS`, `_TIMEOUT` and `_COMPRESSION`, and `OTEL_BSP_…`. Spans wait in a queue of bounded
/// length (2048), are sent by a thread of their own, and are dropped rather than anything else made to wait.
///
/// Must be called within a tokio runtime that lives until the end.
///
/// # Errors
/// [`StartError`] where the endpoint or the settings cannot be used.
pub fn start(endpoint: &str, instance: &str, client: net::Client) -> Result<Exporting, StartError> {
    let url = address(endpoint)?;
    let sending = Sending { client, handle: Handle::current(), failing: AtomicBool::new(false) };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(sending)
        .with_endpoint(url)
        .with_protocol(Protocol::HttpBinary)
        .build()
        .map_err(|error| StartError::Settings(error.to_string()))?;
    let mut processor = BatchSpanProcessor::builder(exporter).build();
    processor.set_resource(&resource(instance));
    let sampler = Config::default().sampler;
    let scope = InstrumentationScope::builder("evenkeel").with_version(env!("CARGO_PKG_VERSION")).build();
    // Asked a second time in one process, the first stays.
    let _ = EXPORT.set(Export { processor, sampler, scope });
    Ok(Exporting(()))
}

/// Is a span of this trace to be told? `None` where none is.
pub(super) fn samples(parent: Option<&Context>, trace: TraceId, name: &str, kind: &SpanKind) -> Option<bool> {
    let export = EXPORT.get()?;
    let result = export.sampler.should_sample(parent, trace, name, kind, &[], &[]);
    Some(result.decision == SamplingDecision::RecordAndSample)
}

/// Hands a span on, where any are.
pub(super) fn tell(span: impl FnOnce(InstrumentationScope) -> SpanData) {
    if let Some(export) = EXPORT.get() {
        export.processor.on_end(span(export.scope.clone()));
    }
}

/// Who tells it.
fn resource(instance: &str) -> Resource {
    let mut resource = Resource::builder().with_attributes([
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", instance.to_owned()),
    ]);
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let attributes = std::env::var("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    if !is_set("OTEL_SERVICE_NAME") && !attributes.split(',').any(|pair| pair.trim().starts_with("service.name=")) {
        resource = resource.with_service_name("evenkeel");
    }
    resource.build()
}

/// Where traces are posted to (OTLP/HTTP, endpoint URLs).
fn address(endpoint: &str) -> Result<String, StartError> {
    let refused = |reason: &str| StartError::Endpoint { endpoint: endpoint.to_owned(), reason: reason.to_owned() };
    let mut url = Url::parse(endpoint).map_err(|error| refused(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(refused("it begins with neither http:// nor https://"));
    }
    if !url.path().ends_with("/v1/traces") {
        let path = format!("{}/v1/traces", url.path().trim_end_matches('/'));
        url.set_path(&path);
    }
    Ok(url.into())
}

/// Our client, for the exporter's thread: its exchanges are done by the runtime.
#[derive(Debug)]
struct Sending {
    client: net::Client,
    handle: Handle,
    failing: AtomicBool,
}

impl Sending {
    /// An outage is told once, and its end.
    fn note(&self, problem: Option<String>) {
        match problem {
            Some(problem) => {
                if !self.failing.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        "traces cannot be sent and are dropped (OTLP over HTTP, port 4318 by custom): {problem}"
                    );
                }
            }
            None => {
                if self.failing.swap(false, Ordering::Relaxed) {
                    tracing::info!("traces are sent again");
                }
            }
        }
    }
}

#[async_trait]
impl HttpClient for Sending {
    async fn send_bytes(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let mut outgoing = net::Request::new(parts.method, Url::parse(&parts.uri.to_string())?);
        (outgoing.headers, outgoing.body) = (parts.headers, body);
        let client = self.client.clone();
        let limits = net::Limits {
            timeout: EXCHANGE,
            max_response_bytes: MAX_ANSWER,
            max_redirects: 0,
            ..net::Limits::default()
        };
        let answered = self.handle.spawn(async move { client.send(outgoing, &limits).await }).await?;
        let answer = answered.inspect_err(|error| self.note(Some(error.to_string())))?;
        self.note(
            (!answer.status.is_success()).then(|| format!("the collector answers with status {}", answer.status)),
        );
        let mut response = http::Response::new(answer.body);
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.headers;
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_base_or_the_whole_path() {
        assert_eq!(address("http://collector:4318").unwrap(), "http://collector:4318/v1/traces");
        assert_eq!(address("http://collector:4318/").unwrap(), "http://collector:4318/v1/traces");
        assert_eq!(address("https://otel.example/base").unwrap(), "https://otel.example/base/v1/traces");
        assert_eq!(address("https://otel.example/v1/traces").unwrap(), "https://otel.example/v1/traces");
        for bad in ["collector:4318", "", "file:///tmp", "grpc://collector:4317"] {
            let said = address(bad).unwrap_err().to_string();
            assert!(said.contains("write `http://collector:4318`"), "{said}");
        }
    }
}
