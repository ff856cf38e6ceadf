//! The real binary against real Git servers: from a commit to the active generation.

mod command_line;
mod commands;
mod crashes;
mod faults;
mod git;
mod load;
mod log;
mod notifications;
mod operators;
mod overrides;
mod readiness;
mod readiness_probes;
pub mod replicas;
mod secrets;
mod settings;
mod sources;
mod terminal;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::git_server::{GitHttp, Repository};
use crate::support::{Dev, Said, evenkeel, request, said, write};

/// A connector with one action that responds without a request to another system.
pub fn saying(name: &str, message: &str) -> String {
    format!(
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Connector\nmetadata: {{ name: {name} }}\nspec:\n  displayName: {name}\n  \
         baseUrl: http://127.0.0.1:9\n  actions:\n    say:\n      http: {{ path: /say }}\n      response: {{ body: {{ said: \
         {message} }} }}\n"
    )
}

/// An Environment document that follows a repository; it reconciles on request only.
pub fn following(url: &str, more: &str) -> String {
    format!(
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Environment\nmetadata: {{ name: live }}\nspec:\n  source: {{ git: {{ url: \
         \"{url}\", branch: main }} }}\n  interval: 1h\n{more}"
    )
}

/// A repository behind a real HTTP server, and `evenkeel serve` that follows it.
pub struct World {
    pub repository: Repository,
    pub git: GitHttp,
    pub folder: TempDir,
    pub server: Dev,
}

impl World {
    pub fn start(files: &[(&str, &str)]) -> World {
        World::with(files, "", &[])
    }

    pub fn with(files: &[(&str, &str)], environment: &str, args: &[&str]) -> World {
        let repository = Repository::with(files);
        let git = GitHttp::start(repository.root());
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("live.yaml"), &following(&git.url(), environment));
        let server = serve(folder.path(), args, |_| {});
        let world = World { repository, git, folder, server };
        world.wait(|status| !status["conditions"].as_array().is_none_or(Vec::is_empty), "the first pass");
        world
    }

    pub fn restart(&mut self, args: &[&str]) {
        self.server.kill();
        self.server = serve(self.folder.path(), args, |_| {});
    }

    /// Status of the environment.
    pub fn status(&self) -> Value {
        status(&self.server, "live")
    }

    /// Requests a pass and returns the status after it.
    pub fn look(&self) -> Value {
        look(&self.server, "live")
    }

    pub fn wait(&self, until: impl Fn(&Value) -> bool, what: &str) -> Value {
        wait(&self.server, "live", until, what)
    }

    /// Commits, requests a pass, and returns the commit and the status.
    pub fn push(&self, files: &[(&str, &str)], message: &str) -> (String, Value) {
        let commit = self.repository.commit(files, message);
        (commit, self.look())
    }

    /// Names of live connectors.
    pub fn connectors(&self) -> Vec<String> {
        connectors(&self.server)
    }

    /// Runs `evenkeel …` against this server.
    pub fn run(&self, args: &[&str]) -> Said {
        cli(&self.server.address, args)
    }
}

pub fn cli(address: &str, args: &[&str]) -> Said {
    said(&evenkeel().args(args).env("EVENKEEL_SERVER", address).output().unwrap())
}

/// Starts `evenkeel serve` in a folder that holds Environment documents.
pub fn serve(folder: &Path, args: &[&str], change: impl FnOnce(&mut Command)) -> Dev {
    let mut command = evenkeel();
    command
        .arg("serve")
        .arg(folder)
        .args(["--port", "0", "--allow-loopback", "--allow-local-repositories"])
        .args(args)
        .env("EVENKEEL_LOG", "info,sqlx=warn");
    if !args.contains(&"--state") {
        command.arg("--state").arg(folder.join(".state"));
    }
    change(&mut command);
    Dev::spawn(&mut command)
}

pub fn status(server: &Dev, environment: &str) -> Value {
    server.get(&format!("/v1/environments/{environment}")).json()
}

pub fn look(server: &Dev, environment: &str) -> Value {
    let answer = server.post(&format!("/v1/environments/{environment}/reconcile"), &[], "");
    assert_eq!(answer.status, 200, "{answer:?}");
    // The response may come before the end of the pass; the loop takes the next request after it.
    server.get(&format!("/v1/environments/{environment}/plan"));
    status(server, environment)
}

/// Waits until the loop of an environment has taken every push notification that arrived before. The loop takes waiting
/// events in random order, one at a time, so that enough requests leave none of them waiting.
pub fn drain(server: &Dev, environment: &str) {
    for _ in 0..20 {
        server.get(&format!("/v1/environments/{environment}/plan"));
    }
}

pub fn wait(server: &Dev, environment: &str, until: impl Fn(&Value) -> bool, what: &str) -> Value {
    let deadline = Instant::now() + Duration::from_mins(2);
    loop {
        let status = status(server, environment);
        if until(&status) {
            return status;
        }
        assert!(Instant::now() < deadline, "timeout waiting for {what}: {status:#}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub fn connectors(server: &Dev) -> Vec<String> {
    let listed = server.get("/v1/connectors?limit=1000").json();
    let names = listed["items"].as_array().into_iter().flatten();
    names.filter_map(|one| one["name"].as_str().map(str::to_owned)).collect()
}

/// The condition Ready: its status, reason and message.
pub fn ready(status: &Value) -> (String, String, String) {
    let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    let ready = conditions.into_iter().find(|one| one["type"] == "Ready").unwrap_or_default();
    let text = |name: &str| ready[name].as_str().unwrap_or_default().to_owned();
    (text("status"), text("reason"), text("message"))
}

pub fn is_ready(status: &Value) -> bool {
    ready(status).0 == "True"
}

/// Revision and source place in the headers of a response.
pub fn served_by(server: &Dev, connector: &str) -> (Option<String>, Option<String>) {
    let path = format!("/v1/connectors/{connector}/actions/say");
    let answer = request(&server.address, "POST", &path, &[], "{}");
    let header = |name: &str| answer.header(name).map(str::to_owned);
    (header("x-evenkeel-revision"), header("x-evenkeel-source"))
}

/// Reasons of the removals that guards stop.
pub fn blocked(status: &Value) -> Value {
    json!(status["blocked"].as_array().into_iter().flatten().map(|one| one["reason"].clone()).collect::<Vec<_>>())
}
