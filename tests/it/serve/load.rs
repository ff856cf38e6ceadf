//! Activations under load: no call fails, and a call that is on its way ends as it began.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::{World, is_ready};
use crate::support::{Answer, request};

/// An application that answers `{"ok": true}`, slowly where it is asked to.
struct Application {
    port: u16,
    /// Slow requests that came.
    slow: Arc<AtomicUsize>,
}

impl Application {
    fn start() -> Application {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let slow = Arc::new(AtomicUsize::new(0));
        let came = Arc::clone(&slow);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let came = Arc::clone(&came);
                std::thread::spawn(move || answer(stream, &came));
            }
        });
        Application { port, slow }
    }
}

fn answer(mut stream: TcpStream, slow: &AtomicUsize) {
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(read) = stream.read(&mut buffer) {
        if read == 0 {
            return;
        }
        text.extend_from_slice(&buffer[..read]);
        if text.windows(4).any(|part| part == b"\r\n\r\n") {
            if text.starts_with(b"GET /slow") {
                slow.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_secs(3));
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
         {version}, ok: \"{{{{ response.json.ok }}}}\" }} }}\n    slow:\n      http: {{ path: /slow }}\n      timeout: 20s\n      \
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
            // On its way while the next generations go live: it ends on the one it began with.
            let (address, began) = (world.server.address.clone(), version - 1);
            slow.push(std::thread::spawn(move || (began, call(&address, "slow"))));
            let deadline = Instant::now() + Duration::from_mins(2);
            while application.slow.load(Ordering::Relaxed) < slow.len() {
                assert!(Instant::now() < deadline, "the slow call never came to the application");
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        let (_, status) = world.push(&[("app.yaml", &connector(application.port, version))], "version");
        assert!(is_ready(&status), "{status:#}");
        assert_eq!(call(&world.server.address, "fast").json()["version"], version);
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
