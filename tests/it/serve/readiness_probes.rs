//! Probes of connectors by the process that leads.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use super::readiness::{World, condition};
use super::{cli, is_ready, look, saying, wait};

/// An application on this machine that responds with 200, or with 500 while `fails`.
fn application(fails: &Arc<AtomicBool>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let fails = Arc::clone(fails);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer);
            let line = if fails.load(Ordering::Relaxed) { "500 Internal Server Error" } else { "200 OK" };
            let head = format!(
                "HTTP/1.1 {line}\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}"
            );
            let _ = stream.write_all(head.as_bytes());
        }
    });
    port
}

#[test]
fn a_probe_reports_a_connector_whose_application_fails_and_takes_nothing_down() {
    let fails = Arc::new(AtomicBool::new(false));
    let port = application(&fails);
    let world = World::start("", &[]);
    let probed = saying("b", "first")
        .replace("http://127.0.0.1:9", &format!("http://127.0.0.1:{port}"))
        .replace("  actions:", "  health: { action: say, interval: 10s }\n  actions:");
    let status = world.commit(&[("b.yaml", &probed)]);
    assert!(is_ready(&status), "{status:#}");
    let becomes = |word: &'static str| move |status: &Value| condition(status, "ConnectorsHealthy")["status"] == word;
    wait(&world.server, "live", becomes("True"), "the first probe");
    fails.store(true, Ordering::Relaxed);
    let status = wait(&world.server, "live", becomes("False"), "the failed probe");
    let health = condition(&status, "ConnectorsHealthy");
    assert!(
        health["message"].as_str().unwrap().starts_with("connector `b`: the action `say` failed with "),
        "{health}"
    );
    assert!(is_ready(&status) && status["generation"] == 2, "{status:#}");
    assert!(world.server.get("/metrics").body.contains("evenkeel_connectors_unhealthy{environment=\"live\"} 1"));
    let shown = cli(&world.server.address, &["status"]);
    assert!(shown.code == 0 && shown.out.contains("connector `b`"), "{}", shown.out);
    // A pass changes nothing about it.
    assert_eq!(condition(&look(&world.server, "live"), "ConnectorsHealthy"), health);
    fails.store(false, Ordering::Relaxed);
    wait(&world.server, "live", becomes("True"), "the application that responds again");
    // The condition goes with the last probe.
    let status = world.commit(&[("b.yaml", &saying("b", "second"))]);
    assert!(is_ready(&status), "{status:#}");
    let gone = |status: &Value| condition(status, "ConnectorsHealthy") == Value::Null;
    wait(&world.server, "live", gone, "the end of the probes");
}
