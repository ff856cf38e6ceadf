//! The effects of fields that bound calls and steps.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{evenkeel, folder, said};
use crate::upstream::application;
use crate::work::{self, DefinitionsFolder, ENVIRONMENT, ended, live};

fn connector(port: u16, spec: &str) -> String {
    format!(
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Connector\nmetadata: {{ name: c }}\nspec:\n  displayName: C\n  baseUrl: \
         http://127.0.0.1:{port}\n{spec}---\n"
    )
}

/// The port of an application that accepts connections and never responds.
fn silent_application() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let kept: Vec<_> = listener.incoming().map_while(Result::ok).take(50).collect();
        drop(kept);
    });
    port
}

/// The error code of a call.
fn code(definitions: &str) -> Value {
    let folder = folder(&[("a.yaml", definitions)]);
    let mut command = evenkeel();
    command.args(["call", "c/a"]).arg(folder.path()).args(["--allow-loopback", "-o", "json"]);
    let said = said(&command.output().unwrap());
    let error: Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{}{}", said.out, said.err));
    error["code"].clone()
}

#[test]
fn redirects_end_at_their_declared_number() {
    for (declared, requests) in [(0, 1), (1, 2), (3, 4)] {
        let (port, received) = application(
            "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:{port}/again\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        );
        let spec =
            format!("  defaults: {{ maxRedirects: {declared} }}\n  actions: {{ a: {{ http: {{ path: /x }} }} }}\n");
        code(&connector(port, &spec));
        assert_eq!(received.try_iter().count(), requests, "maxRedirects: {declared}");
    }
}

#[test]
fn calls_end_at_their_declared_timeout() {
    let port = silent_application();
    let http = "http: { path: /x }";
    for (spec, at_most) in [
        (format!("  defaults: {{ timeout: 1s }}\n  actions: {{ a: {{ {http} }} }}\n"), 8),
        (format!("  defaults: {{ timeout: 5m }}\n  actions: {{ a: {{ {http}, timeout: 1s }} }}\n"), 8),
    ] {
        let began = Instant::now();
        assert_eq!(code(&connector(port, &spec)), "TIMEOUT", "{spec}");
        assert!(began.elapsed() < Duration::from_secs(at_most), "{spec}: {:?}", began.elapsed());
    }
}

#[test]
fn a_step_ends_at_its_declared_timeout() {
    let port = silent_application();
    let workflow = "apiVersion: evenkeel.dev/v1alpha1\nkind: Workflow\nmetadata: { name: w }\nspec:\n  tier: Standard\n  steps: \
                    [{ name: slow, action: c/a, timeout: 1s }]\n";
    let connector = connector(port, "  actions: { a: { http: { path: /x }, timeout: 5m } }\n");
    let folder = DefinitionsFolder::new(&[("a.yaml", &(ENVIRONMENT.to_owned() + &connector + workflow))]);
    let server = folder.serve(&[]);
    live(&server);
    let started = server.post("/v1/workflows/w/runs", &[], "{}").json();
    let run = ended(&server, started["execution"].as_str().unwrap());
    assert_eq!((&run["status"], &run["error"]["code"]), (&json!("Failed"), &json!("STEP_TIMEOUT")), "{run:#}");
}

#[test]
fn a_loop_runs_as_many_items_at_once_as_declared() {
    let (running, peak) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let port = {
        let (running, peak) = (Arc::clone(&running), Arc::clone(&peak));
        work::application(move |_, _| {
            peak.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(500));
            running.fetch_sub(1, Ordering::SeqCst);
            (200, "{}".to_owned())
        })
    };
    let workflow = |name: &str, concurrency: &str| {
        format!(
            "apiVersion: evenkeel.dev/v1alpha1\nkind: Workflow\nmetadata: {{ name: {name} }}\nspec:\n  tier: Standard\n  steps: \
             [{{ name: each, loop: {{ over: '{{{{ [1, 2, 3, 4] }}}}', {concurrency}steps: [{{ name: s, action: c/a }}] }} }}]\n---\n"
        )
    };
    let connector = connector(port, "  actions: { a: { http: { path: /x } } }\n");
    let text = ENVIRONMENT.to_owned() + &connector + &workflow("one", "") + &workflow("two", "concurrency: 2, ");
    let folder = DefinitionsFolder::new(&[("a.yaml", &text)]);
    let server = folder.serve(&[]);
    live(&server);
    for (name, expected) in [("one", 1), ("two", 2)] {
        peak.store(0, Ordering::SeqCst);
        let started = server.post(&format!("/v1/workflows/{name}/runs"), &[], "{}").json();
        let run = ended(&server, started["execution"].as_str().unwrap());
        assert_eq!((&run["status"], peak.load(Ordering::SeqCst)), (&json!("Completed"), expected), "{run:#}");
    }
}
