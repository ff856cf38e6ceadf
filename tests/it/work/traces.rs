//! Traces, as an OpenTelemetry collector receives them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message as _;
use serde_json::json;

use super::{DefinitionsFolder, ENVIRONMENT, KEY, application, ended, eventually, hook, live, wait_for_step, workflow};
use crate::support::Dev;

/// The `traceparent` of a caller.
const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// The checked part of a span.
#[derive(Clone, Debug)]
struct CollectedSpan {
    trace: String,
    id: String,
    parent: String,
    name: String,
    kind: SpanKind,
    attributes: BTreeMap<String, String>,
    failed: bool,
    nanos: u64,
}

/// A collector and everything that it received.
struct Collector {
    port: u16,
    spans: Arc<Mutex<Vec<CollectedSpan>>>,
    services: Arc<Mutex<Vec<BTreeMap<String, String>>>>,
    bytes: Arc<Mutex<Vec<u8>>>,
    /// The status of its responses.
    status: Arc<AtomicU16>,
}

impl Collector {
    fn start() -> Collector {
        let (spans, services, bytes) = (Arc::default(), Arc::default(), Arc::default());
        let mut collector = Collector { port: 0, spans, services, bytes, status: Arc::new(AtomicU16::new(200)) };
        let (spans, services) = (Arc::clone(&collector.spans), Arc::clone(&collector.services));
        let (bytes, status) = (Arc::clone(&collector.bytes), Arc::clone(&collector.status));
        collector.port = application(move |line, body| {
            assert!(line.starts_with("POST /v1/traces "), "{line}");
            let status = status.load(Ordering::Relaxed);
            if status == 200 {
                bytes.lock().unwrap().extend_from_slice(body);
                let request = ExportTraceServiceRequest::decode(body).unwrap();
                for resource in request.resource_spans {
                    services.lock().unwrap().push(texts(&resource.resource.unwrap().attributes));
                    let found = resource.scope_spans.iter().flat_map(|scope| &scope.spans).map(collected);
                    spans.lock().unwrap().extend(found);
                }
            }
            (status, String::new())
        });
        collector
    }

    fn serve(&self, folder: &DefinitionsFolder) -> Dev {
        let endpoint = format!("http://127.0.0.1:{}", self.port);
        let env = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "100")];
        folder.serve_with(&[], &env)
    }

    /// Waits for a span.
    fn find(&self, subject: &str, matches: impl Fn(&CollectedSpan) -> bool) -> CollectedSpan {
        eventually(subject, 60, || self.spans.lock().unwrap().iter().find(|span| matches(span)).cloned())
    }

    fn named(&self, name: &str) -> CollectedSpan {
        self.find(name, |span| span.name == name)
    }

    /// The received children of a span.
    fn children_of(&self, parent: &CollectedSpan) -> Vec<CollectedSpan> {
        self.spans.lock().unwrap().iter().filter(|span| span.parent == parent.id).cloned().collect()
    }
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |pair: &KeyValue| match pair.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Any::StringValue(text)) => text.clone(),
        Some(Any::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    attributes.iter().map(|pair| (pair.key.clone(), text(pair))).collect()
}

fn collected(span: &opentelemetry_proto::tonic::trace::v1::Span) -> CollectedSpan {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    CollectedSpan {
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        name: span.name.clone(),
        kind: span.kind(),
        attributes: texts(&span.attributes),
        failed: span.status.as_ref().is_some_and(|status| status.code() == StatusCode::Error),
        nanos: span.end_time_unix_nano - span.start_time_unix_nano,
    }
}

/// A connector of an application on this machine.
fn connector(port: u16) -> String {
    format!(
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Connector\nmetadata: {{ name: shop }}\nspec:\n  displayName: Shop\n  baseUrl: \
         http://127.0.0.1:{port}\n  actions:\n    pay:\n      http: {{ method: POST, path: /pay, body: '{{{{ input }}}}' }}\n      \
         tests: [{{ name: pays, input: {{}}, respond: {{ body: {{}} }} }}]\n---\n"
    )
}

#[test]
fn one_trace_spans_a_webhook_its_workflows_and_the_application() {
    let collector = Collector::start();
    let (port, received) = crate::upstream::application(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}",
    );
    let order = "export default async (ctx) => {
  await ctx.connectors.shop.pay({ n: 1 })
  await ctx.step('ship', async () => { await ctx.connectors.shop.pay({ n: 2 }) })
  await ctx.workflows.tell({})
  await ctx.fetch(`http://127.0.0.1:${ctx.input.port}/in-the-path`)
  await ctx.state.set('in-the-key', 1)
  return 'done'
}";
    let tell = "export default async (ctx) => { await ctx.connectors.shop.pay({ n: 3 }) }";
    let folder = DefinitionsFolder::new(&[(
        "a.yaml",
        &(ENVIRONMENT.to_owned()
            + &connector(port)
            + &workflow("order", "Standard", "", order)
            + &workflow("tell", "Standard", "", tell)
            + &hook("in", "    webhookId: 0b2f7d1e-8c53-4f0a-9e77-1c2d3e4f5a6b\n", "      - { workflow: order }\n")),
    )]);
    let server = collector.serve(&folder);
    live(&server);
    let headers = [("x-evenkeel-key", KEY), ("traceparent", CALLER)];
    let answer = server.post(
        "/hooks/in/0b2f7d1e-8c53-4f0a-9e77-1c2d3e4f5a6b?token=in-the-query",
        &headers,
        &format!(r#"{{"card": "in-the-body", "port": {port}}}"#),
    );
    let id = answer.json()["executions"][0].as_str().unwrap().to_owned();
    let run = ended(&server, &id);
    assert_eq!(run["output"], "done", "{run:#}");

    let order = collector.named("workflow order");
    let hook = collector.named("POST /hooks/{trigger}/{address}");
    assert_eq!((hook.parent.as_str(), hook.kind), ("b7ad6b7169203331", SpanKind::Server));
    assert_eq!(hook.attributes["http.response.status_code"], "202");
    assert_eq!((order.parent.as_str(), order.kind), (hook.id.as_str(), SpanKind::Consumer));
    assert_eq!(order.attributes["evenkeel.execution"], id);
    assert_eq!(order.attributes["evenkeel.trigger"], "in");
    assert!(order.nanos > 0);

    // Each request at the application carries the span of that request.
    let mut requests = BTreeMap::new();
    for request in received.iter().take(3) {
        let trace = request.lines().find_map(|line| line.strip_prefix("traceparent: ")).unwrap().trim().to_owned();
        let n = request.rsplit_once("\"n\":").unwrap().1.trim_end_matches('}').to_owned();
        let id = trace.split('-').nth(2).unwrap().to_owned();
        assert!(trace.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && trace.ends_with("-01"), "{trace}");
        let span = collector.find("the request", |span| span.id == id);
        assert_eq!((span.name.as_str(), span.kind), ("POST", SpanKind::Client));
        assert_eq!(span.attributes["server.port"], port.to_string());
        assert_eq!((&*span.attributes["evenkeel.connector"], &*span.attributes["evenkeel.action"]), ("shop", "pay"));
        requests.insert(n, span);
    }
    let parent_of = |span: &CollectedSpan| collector.find("the parent", |other| other.id == span.parent);
    let first = parent_of(&requests["1"]);
    assert_eq!((first.name.as_str(), &first.parent), ("shop/pay", &order.id));
    let second = parent_of(&requests["2"]);
    assert_eq!(second.name, "shop/pay");
    let ship = parent_of(&second);
    assert_eq!((ship.name.as_str(), &ship.parent), ("ship", &order.id));
    let third = parent_of(&requests["3"]);
    let tell = parent_of(&third);
    assert_eq!(tell.name, "workflow tell");
    let child = parent_of(&tell);
    assert_eq!((child.name.as_str(), &child.parent), ("workflow tell", &order.id));
    assert_eq!(child.attributes["evenkeel.step.kind"], "workflow");

    let spans = collector.spans.lock().unwrap();
    let own: Vec<&CollectedSpan> =
        spans.iter().filter(|span| span.trace == "0af7651916cd43dd8448eb211c80319c").collect();
    let ids: std::collections::BTreeSet<&str> = own.iter().map(|span| span.id.as_str()).collect();
    assert_eq!((own.len(), ids.len()), (14, 14), "each span is exported once: {own:#?}");
    assert!(own.iter().all(|span| !span.failed));
    // No span contains secrets or personal data.
    let bytes = String::from_utf8_lossy(&collector.bytes.lock().unwrap()).into_owned();
    for secret in
        [KEY, "0b2f7d1e-8c53-4f0a-9e77-1c2d3e4f5a6b", "in-the-query", "in-the-body", "in-the-path", "in-the-key"]
    {
        assert!(!bytes.contains(secret), "{secret}");
    }
    let services = collector.services.lock().unwrap();
    assert!(services.iter().all(|service| service["service.name"] == "evenkeel"), "{services:?}");
}

#[test]
fn a_trace_continues_after_a_restart_and_a_schedule_starts_a_trace() {
    let collector = Collector::start();
    let code = "export default async (ctx) => {
  await ctx.step('before', () => 1)
  await ctx.sleep('4s')
  await ctx.step('after', () => { throw new Error('it is broken') })
}";
    let schedule = "apiVersion: evenkeel.dev/v1alpha1\nkind: Trigger\nmetadata: { name: often }\nspec:\n  schedule: { interval: 1m, \
                    startsAt: '2020-01-01T00:00:00Z', catchUp: One, routes: [{ workflow: quick }] }\n---\n";
    let folder = DefinitionsFolder::new(&[(
        "a.yaml",
        &(ENVIRONMENT.to_owned()
            + &workflow("long", "Long", "", code)
            + &workflow("quick", "Standard", "", "export default async () => 1")
            + schedule),
    )]);
    let mut server = collector.serve(&folder);
    live(&server);
    let id = server.post("/v1/workflows/long/runs", &[], "{}").json()["execution"].as_str().unwrap().to_owned();
    wait_for_step(&server, &id, "sleep");
    let before = collector.named("before");
    server.kill();
    let server = collector.serve(&folder);
    live(&server);
    assert_eq!(ended(&server, &id)["status"], "Failed");
    let run = collector.named("workflow long");
    let request = collector.named("POST /v1/workflows/{workflow}/runs");
    assert_eq!((&run.parent, request.parent.as_str()), (&request.id, ""));
    assert!(run.failed && run.nanos > 3_000_000_000, "{run:?}");
    let after = collector.named("after");
    assert_eq!(after.attributes["error.type"], "STEP_FAILED", "{after:?}");
    assert!(!String::from_utf8_lossy(&collector.bytes.lock().unwrap()).contains("it is broken"));
    assert_eq!((&before.parent, &after.parent, &after.trace), (&run.id, &run.id, &run.trace));
    assert!(after.failed && !before.failed);
    let steps: Vec<String> = collector.children_of(&run).into_iter().map(|span| span.name).collect();
    assert_eq!(
        steps.iter().filter(|name| *name == "before").count(),
        1,
        "a completed step is exported again: {steps:?}"
    );

    let quick = collector.named("workflow quick");
    assert_eq!((quick.parent.as_str(), &*quick.attributes["evenkeel.trigger"]), ("", "often"));
    assert_ne!(quick.trace, run.trace);
}

#[test]
fn an_unavailable_collector_stops_nothing_and_unsampled_traces_are_not_exported() {
    let collector = Collector::start();
    collector.status.store(500, Ordering::Relaxed);
    let code = "export default async (ctx) => ctx.input.n";
    let folder =
        DefinitionsFolder::new(&[("a.yaml", &(ENVIRONMENT.to_owned() + &workflow("echo", "Instant", "", code)))]);
    let mut server = collector.serve(&folder);
    live(&server);
    let run = |server: &Dev, n: u32, headers: &[(&str, &str)]| {
        let answer = server.post("/v1/workflows/echo/runs", headers, &json!({"n": n}).to_string());
        assert_eq!((answer.status, answer.json()), (200, json!(n)));
        answer.header("x-evenkeel-execution").unwrap().to_owned()
    };
    run(&server, 1, &[]);
    server.wait_for("trace export failed");
    run(&server, 2, &[]);
    collector.status.store(200, Ordering::Relaxed);
    let unsampled = run(&server, 3, &[("traceparent", &CALLER.replace("-01", "-00"))]);
    let last = run(&server, 4, &[]);
    server.wait_for("trace export recovered");
    collector.find("the last", |span| span.attributes.get("evenkeel.execution") == Some(&last));
    let spans = collector.spans.lock().unwrap();
    assert!(spans.iter().all(|span| span.attributes.get("evenkeel.execution") != Some(&unsampled)));
    assert!(spans.iter().all(|span| span.trace != "0af7651916cd43dd8448eb211c80319c"), "{spans:#?}");
}

#[test]
fn an_invalid_endpoint_is_rejected_at_startup() {
    let folder = DefinitionsFolder::new(&[("a.yaml", ENVIRONMENT)]);
    let mut command = crate::support::evenkeel();
    command.arg("serve").arg(folder.path("definitions")).args(["--port", "0", "--otlp-endpoint", "collector:4318"]);
    let said = crate::support::said(&command.arg("--state").arg(folder.path("state")).output().unwrap());
    assert_eq!(said.code, 2);
    assert!(said.err.contains("write `http://collector:4318`"), "{}", said.err);
    assert!(!said.out.contains("listening"), "{}", said.out);
}
