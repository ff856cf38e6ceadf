//! Several processes on one PostgreSQL: one leads, all serve, and one that was paused does no harm.

use std::process::Command;
use std::time::{Duration, Instant};

use super::{connectors, is_ready, look, saying, serve, status, wait};
use crate::git_server::{GitHttp, Repository};
use crate::postgres;
use crate::support::{Dev, write};

pub fn database() -> String {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(postgres::database())
}

fn signal(server: &Dev, name: &str) {
    let done = Command::new("kill").arg(name).arg(server.id().to_string()).status().unwrap();
    assert!(done.success());
}

fn replica(folder: &std::path::Path, number: u32, database: &str) -> Dev {
    let state = folder.join(format!(".state{number}"));
    serve(folder, &["--store", database, "--state", state.to_str().unwrap()], |_| {})
}

#[test]
#[cfg_attr(missing_postgres, ignore = "needs PostgreSQL: tests/run installs it")]
fn row_44_a_process_that_was_paused_is_refused_and_follows() {
    let database = database();
    let repository = Repository::with(&[("a.yaml", &saying("a", "first"))]);
    let git = GitHttp::start(repository.root());
    let folder = tempfile::tempdir().unwrap();
    let document = super::following(&git.url(), "").replace("interval: 1h", "interval: 5s");
    write(&folder.path().join("live.yaml"), &document);
    let one = replica(folder.path(), 1, &database);
    wait(&one, "live", is_ready, "the first commit");
    let two = replica(folder.path(), 2, &database);
    wait(&two, "live", |status| status["replicas"].as_array().is_some_and(|all| all.len() == 2), "both replicas");
    assert_eq!(connectors(&two), ["a"]);

    // The leader is stopped as a virtual machine is paused.
    signal(&one, "-STOP");
    repository.commit(&[("a.yaml", &saying("a", "second")), ("b.yaml", &saying("b", "second"))], "second");
    let status = wait(&two, "live", |status| status["generation"] == 2, "the takeover");
    assert_eq!(connectors(&two), ["a", "b"], "{status:#}");
    // Its lease and its heartbeat have expired once it does not count as a replica any more.
    let is_alone = |status: &serde_json::Value| status["replicas"].as_array().is_some_and(|all| all.len() == 1);
    wait(&two, "live", is_alone, "the expiry of the paused process");
    signal(&one, "-CONT");
    wait(&one, "live", |_| connectors(&one) == ["a", "b"], "the paused one following");
    let after = look(&two, "live");
    assert_eq!((&after["generation"], after["definitions"].as_u64()), (&2.into(), Some(3)), "{after:#}");
    let numbers = two.get("/v1/environments/live/history").json()["items"].as_array().unwrap().len();
    assert_eq!(numbers, 2, "the paused process activated nothing");
}

#[test]
#[cfg_attr(missing_postgres, ignore = "needs PostgreSQL: tests/run installs it")]
fn row_45_replicas_follow_at_once_and_ready_means_all_of_them() {
    let database = database();
    let repository = Repository::with(&[("a.yaml", &saying("a", "first"))]);
    let git = GitHttp::start(repository.root());
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("live.yaml"), &super::following(&git.url(), ""));
    let servers: Vec<Dev> = (1..=3).map(|number| replica(folder.path(), number, &database)).collect();
    for server in &servers {
        wait(server, "live", is_ready, "the first commit");
    }
    for round in 0..5 {
        let commit = repository.commit(&[("a.yaml", &saying("a", &format!("round{round}")))], "round");
        let live = format!("main@sha1:{commit}");
        // The leader handles the requests of every process.
        let server = &servers[round % 3];
        look(server, "live");
        let applied = |status: &serde_json::Value| status["lastApplied"]["source"] == live.as_str() && is_ready(status);
        let seen = wait(server, "live", applied, "the commit");
        for replica in seen["replicas"].as_array().unwrap() {
            assert_eq!(replica["digest"], seen["digest"], "ready means that all serve it: {seen:#}");
        }
        for server in &servers {
            assert_eq!(super::served_by(server, "a").0.unwrap(), live);
        }
    }
    // The leader is killed, and another one takes over.
    let commit = repository.commit(&[("b.yaml", &saying("b", "new"))], "last");
    let mut servers = servers;
    let mut first = servers.remove(0);
    first.kill();
    let live = format!("main@sha1:{commit}");
    let server = &servers[0];
    let deadline = Instant::now() + Duration::from_mins(2);
    while status(server, "live")["lastApplied"]["source"] != live.as_str() {
        assert!(Instant::now() < deadline, "no process took over: {:#}", status(server, "live"));
        look(server, "live");
        std::thread::sleep(Duration::from_millis(200));
    }
    // A follower may show the leader's status before it serves the generation.
    wait(server, "live", |_| connectors(server) == ["a", "b"], "what the last commit declares");
}
