//! Tests of the operator with a real API server and etcd.

mod admission;
mod chart;
mod everyday;
mod faults;
mod leaders;
mod tenants;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;

use crate::cluster::{Cluster, operator, operator_through};
use crate::fault_proxy::FaultProxy;
use crate::support::Dev;

/// An application that responds to every request with the value of its header `x-key`.
pub fn application() -> u16 {
    static PORT: OnceLock<u16> = OnceLock::new();
    *PORT.get_or_init(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || respond(stream));
            }
        });
        port
    })
}

fn respond(mut stream: TcpStream) {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        text.push_str(&String::from_utf8_lossy(&buffer[..read]));
        if text.contains("\r\n\r\n") {
            let key =
                text.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("x-key: ").map(str::to_owned));
            let body = serde_json::json!({"key": key}).to_string();
            let length = body.len();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n");
            if stream.write_all(format!("{head}{body}").as_bytes()).is_err() {
                return;
            }
            text.clear();
        }
    }
}

/// A connector to the application; its action returns a message and the application's response.
pub fn saying(name: &str, message: &str) -> String {
    connector(name, message, "")
}

/// The same, with further fields of the action's `http`.
pub fn connector(name: &str, message: &str, http: &str) -> String {
    let port = application();
    format!(
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Connector\nmetadata: {{ name: {name} }}\nspec:\n  displayName: {name}\n  \
         baseUrl: http://127.0.0.1:{port}\n  actions:\n    say:\n      http: {{ path: /say{http} }}\n      response: {{ body: {{ \
         said: {message}, key: \"{{{{ response.json.key }}}}\" }} }}\n"
    )
}

/// An Environment of the resources of its namespace.
pub fn environment(more: &str) -> String {
    format!(
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Environment\nmetadata: {{ name: live }}\nspec:\n  interval: 1h\n{more}"
    )
}

/// A namespace of the shared cluster with an operator that watches it.
pub struct Place {
    pub cluster: &'static Cluster,
    pub namespace: String,
    pub operator: Dev,
    _state: TempDir,
}

impl Place {
    /// An operator that follows a namespace of its own in the shared cluster.
    pub fn start(args: &[&str]) -> Place {
        let cluster = Cluster::shared();
        Place::of(cluster, cluster.namespace(), args)
    }

    /// Starts an operator that watches a namespace of the shared cluster.
    pub fn of(cluster: &'static Cluster, namespace: String, args: &[&str]) -> Place {
        let state = tempfile::tempdir().unwrap();
        let operator = follow(cluster, &namespace, args, &state);
        Place { cluster, namespace, operator, _state: state }
    }

    pub fn apply(&self, document: &str) {
        self.cluster.apply(&self.namespace, document);
    }

    pub fn wait(&self, kind: &str, name: &str, until: impl Fn(&Value) -> bool, what: &str) -> Value {
        self.cluster.wait(&self.namespace, kind, name, until, what)
    }

    pub fn kubectl(&self, args: &[&str]) -> crate::support::Said {
        let mut all = vec!["-n", &self.namespace];
        all.extend(args);
        self.cluster.kubectl(&all)
    }

    /// The message of a connector's action.
    pub fn said(&self, connector: &str) -> String {
        said(&self.operator, connector)
    }
}

/// Starts an operator of one namespace, with a Lease of its name.
pub fn follow(cluster: &Cluster, namespace: &str, args: &[&str], state: &TempDir) -> Dev {
    let mut all = vec!["--namespace", namespace, "--lease", namespace];
    all.extend(args);
    operator(cluster, "admin", &all, state.path())
}

/// The same, with a proxy between the operator and the API server.
pub fn watch_through(cluster: &Cluster, proxy: &FaultProxy, namespace: &str, state: &TempDir) -> Dev {
    operator_through(cluster, proxy, &["--namespace", namespace, "--lease", namespace], state.path())
}

/// The message of a connector's action.
pub fn said(operator: &Dev, connector: &str) -> String {
    let answer = operator.post(&format!("/v1/connectors/{connector}/actions/say"), &[], "{}");
    answer.json()["said"].as_str().unwrap_or_default().to_owned()
}

/// Status and reason of the condition Ready; empty if it is of an earlier generation.
pub fn ready(resource: &Value) -> (String, String) {
    let conditions = resource["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let ready = conditions.into_iter().find(|condition| condition["type"] == "Ready").unwrap_or_default();
    let text = |name: &str| ready[name].as_str().unwrap_or_default().to_owned();
    if ready["observedGeneration"] != resource["metadata"]["generation"] {
        return (String::new(), String::new());
    }
    (text("status"), text("reason"))
}

pub fn is_ready(resource: &Value) -> bool {
    ready(resource).0 == "True"
}

pub fn is(reason: &'static str) -> impl Fn(&Value) -> bool {
    move |resource| ready(resource).1 == reason
}
