//! Triggers and workflows with the real binary: from an event to an ended execution.

mod basics;
mod crashes;
mod lasting;
mod polling;
mod quotas;
mod schedules;
mod subscriptions;
mod traces;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Answer, Dev, evenkeel};

/// A folder of definitions with its server's state.
pub struct DefinitionsFolder {
    root: tempfile::TempDir,
}

impl DefinitionsFolder {
    /// A folder with files.
    pub fn new(files: &[(&str, &str)]) -> DefinitionsFolder {
        let folder = DefinitionsFolder { root: tempfile::tempdir().unwrap() };
        std::fs::create_dir(folder.path("definitions")).unwrap();
        for (name, text) in files {
            folder.write(name, text);
        }
        folder
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Writes a file in the folder of definitions, atomically.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path("definitions").join(name);
        let mut file = tempfile::NamedTempFile::new_in(self.root.path()).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.persist(path).unwrap();
    }

    pub fn remove(&self, name: &str) {
        std::fs::remove_file(self.path("definitions").join(name)).unwrap();
    }

    /// Starts `evenkeel serve` on these definitions.
    pub fn serve(&self, more: &[&str]) -> Dev {
        self.serve_with(more, &[])
    }

    pub fn serve_with(&self, more: &[&str], env: &[(&str, &str)]) -> Dev {
        let mut command = evenkeel();
        command.arg("serve").arg(self.path("definitions")).args(["--port", "0", "--allow-loopback"]).args(more);
        if !more.contains(&"--state") {
            command.arg("--state").arg(self.path("state"));
        }
        command.env("HOOK_KEY", KEY).env("EVENKEEL_LOG", "info");
        for (name, value) in env {
            command.env(name, value);
        }
        Dev::spawn(&mut command)
    }
}

/// The key of the webhooks of these tests.
pub const KEY: &str = "a-long-random-text";

/// An Environment with the key and a short interval.
pub const ENVIRONMENT: &str = "apiVersion: evenkeel.dev/v1alpha1\nkind: Environment\nmetadata: { name: live }\nspec:\n  interval: \
                               5s\n  secrets: { hook-key: { env: HOOK_KEY } }\n---\n";

/// A workflow of code.
pub fn workflow(name: &str, tier: &str, more: &str, code: &str) -> String {
    let code: String = code.lines().map(|line| format!("      {line}\n")).collect();
    format!(
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Workflow\nmetadata: {{ name: {name} }}\nspec:\n  tier: \
         {tier}\n{more}  source:\n    inline: |\n{code}---\n"
    )
}

/// A webhook with a key.
pub fn hook(name: &str, more: &str, routes: &str) -> String {
    format!(
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Trigger\nmetadata: {{ name: {name} }}\nspec:\n  webhook:\n    verify: {{ \
         apiKey: {{ secretRef: hook-key }} }}\n{more}    routes:\n{routes}---\n"
    )
}

/// Calls a hook.
pub fn call(server: &Dev, hook: &str, body: &Value) -> Answer {
    let headers = [("x-evenkeel-key", KEY), ("content-type", "application/json")];
    server.post(&format!("/hooks/{hook}"), &headers, &body.to_string())
}

/// Waits for a condition, and returns its value.
pub fn eventually<T>(subject: &str, seconds: u64, mut check: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(found) = check() {
            return found;
        }
        assert!(Instant::now() < deadline, "{subject} was not seen in time");
        std::thread::sleep(Duration::from_millis(30));
    }
}

/// An execution with its steps.
pub fn execution(server: &Dev, id: &str) -> Value {
    server.get(&format!("/v1/executions/{id}")).json()
}

/// Waits for the end of an execution, and returns it.
pub fn ended(server: &Dev, id: &str) -> Value {
    eventually("the end", 120, || {
        let run = execution(server, id);
        let status = run["status"].as_str().unwrap_or_default().to_owned();
        (!["Queued", "Running", "Waiting", ""].contains(&status.as_str())).then_some(run)
    })
}

/// Waits until an execution has recorded a step of a kind. A recorded step stays, so a slow test does not miss it.
pub fn wait_for_step(server: &Dev, id: &str, kind: &str) {
    eventually(&format!("a step `{kind}`"), 120, || {
        execution(server, id)["steps"].as_array()?.iter().any(|step| step["kind"] == kind).then_some(())
    });
}

/// Executions that match a query.
pub fn executions(server: &Dev, query: &str) -> Vec<Value> {
    let answer = server.get(&format!("/v1/executions?limit=1000&{query}")).json();
    answer["items"].as_array().cloned().unwrap_or_default()
}

/// Waits until the environment is live.
pub fn live(server: &Dev) {
    eventually("the first generation", 120, || (server.get("/readyz").status == 200).then_some(()));
}

/// Starts an application that responds to the first line and the body of each request. Returns its port.
pub fn application(respond: impl Fn(&str, &[u8]) -> (u16, String) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let respond = std::sync::Arc::new(respond);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let respond = std::sync::Arc::clone(&respond);
            std::thread::spawn(move || serve_connection(stream, &*respond));
        }
    });
    port
}

/// The response of an application: a status and JSON.
type Respond = dyn Fn(&str, &[u8]) -> (u16, String) + Send + Sync;

fn serve_connection(mut stream: TcpStream, respond: &Respond) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let mut length = 0;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).ok()?;
            if header.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = header.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().ok()?;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let (status, text) = respond(&line, &body);
        let head =
            format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", text.len());
        stream.write_all((head + &text).as_bytes()).ok()?;
    }
}
