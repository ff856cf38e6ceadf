//! Export of spans to a collector, by OTLP over HTTP.

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

/// Time for the last export during a shutdown.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(3);
/// Maximum duration of a request to the collector. The variables of OpenTelemetry can shorten it.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum size of a response of the collector in bytes.
const MAX_RESPONSE_BYTES: usize = 1 << 20;

/// The export of the process. Like its log, it is shared by all modules.
static EXPORT: OnceLock<Export> = OnceLock::new();

struct Export {
    processor: BatchSpanProcessor,
    sampler: Box<dyn ShouldSample>,
    scope: InstrumentationScope,
}

/// The export cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The endpoint is not a URL of a collector.
    #[error("`{endpoint}` is not a URL of a collector ({reason}); write `http://collector:4318`")]
    Endpoint {
        /// The configured endpoint.
        endpoint: String,
        /// The cause.
        reason: String,
    },
    /// The exporter rejects its settings.
    #[error("cannot export traces: {0}")]
    Settings(String),
}

/// The running export.
#[derive(Debug)]
pub struct TraceExport(());

impl TraceExport {
    /// Exports the remaining spans, within at most three seconds.
    pub async fn shutdown(self) {
        let ended = tokio::task::spawn_blocking(|| {
            EXPORT.get().map(|export| export.processor.shutdown_with_timeout(SHUTDOWN_TIMEOUT))
        });
        if let Ok(Some(Err(error))) = ended.await {
            tracing::warn!(error = error.to_string(), "exporting the last traces failed");
        }
    }
}

/// Validates the endpoint of a collector.
///
/// # Errors
/// [`StartError::Endpoint`] if it is not a URL of a collector.
pub fn validate_endpoint(endpoint: &str) -> Result<(), StartError> {
    traces_url(endpoint).map(drop)
}

/// Starts the export to a collector: a base URL such as `http://collector:4318`, or a URL with the complete path.
///
/// Honours the variables of OpenTelemetry: `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_TRACES_SAMPLER` and its
/// `_ARG`, `OTEL_EXPORTER_OTLP_HEADERS`, `_TIMEOUT` and `_COMPRESSION`, and `OTEL_BSP_…`. Spans are queued (at most 2048)
/// and exported by a thread of their own. If the queue is full they are dropped, so that no other work waits.
///
/// Must be called within a tokio runtime that outlives the export.
///
/// # Errors
/// The endpoint or the settings are not usable.
pub fn start_export(endpoint: &str, instance: &str, client: net::Client) -> Result<TraceExport, StartError> {
    let url = traces_url(endpoint)?;
    let client = CollectorClient { client, handle: Handle::current(), failing: AtomicBool::new(false) };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_endpoint(url)
        .with_protocol(Protocol::HttpBinary)
        .build()
        .map_err(|error| StartError::Settings(error.to_string()))?;
    let mut processor = BatchSpanProcessor::builder(exporter).build();
    processor.set_resource(&resource(instance));
    let sampler = Config::default().sampler;
    let scope = InstrumentationScope::builder("evenkeel").with_version(env!("CARGO_PKG_VERSION")).build();
    // A second call in one process keeps the first export.
    let _ = EXPORT.set(Export { processor, sampler, scope });
    Ok(TraceExport(()))
}

/// True if a span of this trace is exported. `None` without an export.
pub(super) fn is_sampled(parent: Option<&Context>, trace: TraceId, name: &str, kind: &SpanKind) -> Option<bool> {
    let export = EXPORT.get()?;
    let result = export.sampler.should_sample(parent, trace, name, kind, &[], &[]);
    Some(result.decision == SamplingDecision::RecordAndSample)
}

/// Exports a span.
pub(super) fn export(span: impl FnOnce(InstrumentationScope) -> SpanData) {
    if let Some(export) = EXPORT.get() {
        export.processor.on_end(span(export.scope.clone()));
    }
}

/// The resource attributes of this process.
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

/// The URL of the traces (OTLP/HTTP, endpoint URLs).
fn traces_url(endpoint: &str) -> Result<String, StartError> {
    let error = |reason: &str| StartError::Endpoint { endpoint: endpoint.to_owned(), reason: reason.to_owned() };
    let mut url = Url::parse(endpoint).map_err(|cause| error(&cause.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(error("it starts with neither http:// nor https://"));
    }
    if !url.path().ends_with("/v1/traces") {
        let path = format!("{}/v1/traces", url.path().trim_end_matches('/'));
        url.set_path(&path);
    }
    Ok(url.into())
}

/// The HTTP client of the exporter's thread. The requests run on the runtime.
#[derive(Debug)]
struct CollectorClient {
    client: net::Client,
    handle: Handle,
    failing: AtomicBool,
}

impl CollectorClient {
    /// Logs the start and the end of an outage, each once.
    fn log_outage(&self, problem: Option<String>) {
        match problem {
            Some(problem) => {
                if !self.failing.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        problem,
                        "trace export failed; spans are dropped (OTLP over HTTP, usually port 4318)"
                    );
                }
            }
            None => {
                if self.failing.swap(false, Ordering::Relaxed) {
                    tracing::info!("trace export recovered");
                }
            }
        }
    }
}

#[async_trait]
impl HttpClient for CollectorClient {
    async fn send_bytes(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let mut outgoing = net::Request::new(parts.method, Url::parse(&parts.uri.to_string())?);
        (outgoing.headers, outgoing.body) = (parts.headers, body);
        let client = self.client.clone();
        let limits = net::Limits {
            timeout: REQUEST_TIMEOUT,
            max_response_bytes: MAX_RESPONSE_BYTES,
            max_redirects: 0,
            ..net::Limits::default()
        };
        let answered = self.handle.spawn(async move { client.send(outgoing, &limits).await }).await?;
        let answer = answered.inspect_err(|error| self.log_outage(Some(error.to_string())))?;
        self.log_outage(
            (!answer.status.is_success()).then(|| format!("the collector responded with status {}", answer.status)),
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
    fn accepts_a_base_url_or_the_complete_path() {
        assert_eq!(traces_url("http://collector:4318").unwrap(), "http://collector:4318/v1/traces");
        assert_eq!(traces_url("http://collector:4318/").unwrap(), "http://collector:4318/v1/traces");
        assert_eq!(traces_url("https://otel.example/base").unwrap(), "https://otel.example/base/v1/traces");
        assert_eq!(traces_url("https://otel.example/v1/traces").unwrap(), "https://otel.example/v1/traces");
        for bad in ["collector:4318", "", "file:///tmp", "grpc://collector:4317"] {
            let message = traces_url(bad).unwrap_err().to_string();
            assert!(message.contains("write `http://collector:4318`"), "{message}");
        }
    }
}
