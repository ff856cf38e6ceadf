//! Activations under load: no call fails, and a call in progress finishes on the generation that it began on.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::{World, is_ready};
use crate::support::{Answer, request};

/// An application that responds `{"ok": true}`, and to slow requests only when they are released.
struct Application {
    port: u16,
    /// Slow requests that arrived.
    slow: Arc<AtomicUsize>,
    /// Slow requests that may be answered.
    released: Arc<AtomicUsize>,
}

impl Application {
    fn start() -> Application {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let slow = Arc::new(AtomicUsize::new(0));
        let released = Arc::new(AtomicUsize::new(0));
        let counters = (Arc::clone(&slow), Arc::clone(&released));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (slow, released) = counters.clone();
                std::thread::spawn(move || answer(stream, &slow, &released));
            }
        });
        Application { port, slow, released }
    }
}

fn answer(mut stream: TcpStream, slow: &AtomicUsize, released: &AtomicUsize) {
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(read) = stream.read(&mut buffer) {
        if read == 0 {
            return;
        }
        text.extend_from_slice(&buffer[..read]);
        if text.windows(4).any(|part| part == b"\r\n\r\n") {
            if text.starts_with(b"GET /slow") {
                let number = slow.fetch_add(1, Ordering::Relaxed);
                while released.load(Ordering::Relaxed) <= number {
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
            let body = "{\"ok\":true}";
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
            if stream.write_all(format!("{head}{body}").as_bytes()).is_err() {
                return;
            }
            text.clear();
        }
    }
}

fn connector(port: u16, version: usize) -> String {
    format!(
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Connector\nmetadata: {{ name: app }}\nspec:\n  displayName: App\n  baseUrl: \
         http://127.0.0.1:{port}\n  actions:\n    fast:\n      http: {{ path: /fast }}\n      response: {{ body: {{ version: \
         {version}, ok: \"{{{{ response.json.ok }}}}\" }} }}\n    slow:\n      http: {{ path: /slow }}\n      timeout: 2m\n      \
         response: {{ body: {{ version: {version}, ok: \"{{{{ response.json.ok }}}}\" }} }}\n"
    )
}

fn call(address: &str, action: &str) -> Answer {
    request(address, "POST", &format!("/v1/connectors/app/actions/{action}"), &[], "{}")
}

#[test]
fn no_request_fails_during_twenty_activations() {
    const ACTIVATIONS: usize = 20;
    let application = Application::start();
    let world = World::start(&[("app.yaml", &connector(application.port, 0))]);
    world.wait(is_ready, "the first commit");
    let (stop, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (address, stop, served) = (world.server.address.clone(), Arc::clone(&stop), Arc::clone(&served));
            std::thread::spawn(move || {
                let mut last = 0;
                while !stop.load(Ordering::Relaxed) {
                    let answer = call(&address, "fast");
                    assert_eq!(answer.status, 200, "{answer:?}");
                    let json = answer.json();
                    assert_eq!(json["ok"], true);
                    let version = json["version"].as_u64().unwrap();
                    assert!(version >= last, "an older generation answered after a newer one: {version} after {last}");
                    last = version;
                    served.fetch_add(1, Ordering::Relaxed);
                }
                last
            })
        })
        .collect();
    let mut slow = Vec::new();
    for version in 1..=ACTIVATIONS {
        if version % 5 == 0 {
            // It is in progress while the next generation is activated.
            let (address, began) = (world.server.address.clone(), version - 1);
            slow.push(std::thread::spawn(move || (began, call(&address, "slow"))));
            let deadline = Instant::now() + Duration::from_mins(2);
            while application.slow.load(Ordering::Relaxed) < slow.len() {
                assert!(Instant::now() < deadline, "timeout waiting for the slow call");
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        let (_, status) = world.push(&[("app.yaml", &connector(application.port, version))], "version");
        assert!(is_ready(&status), "{status:#}");
        assert_eq!(call(&world.server.address, "fast").json()["version"], version);
        application.released.store(slow.len(), Ordering::Relaxed);
    }
    for one in slow {
        let (began, answer) = one.join().unwrap();
        assert_eq!((answer.status, answer.json()["version"].as_u64()), (200, Some(began as u64)), "{answer:?}");
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        assert!(client.join().unwrap() > 0, "a client saw no new generation");
    }
    assert!(served.load(Ordering::Relaxed) > 100, "{} calls are no load", served.load(Ordering::Relaxed));
    assert_eq!(world.status()["generation"], ACTIVATIONS + 1);
}
