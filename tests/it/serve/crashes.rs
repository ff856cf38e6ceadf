//! A process that is killed at any step of an apply: after a restart, the declared definitions are live, applied once.

use std::time::{Duration, Instant};

use super::{World, is_ready, saying, serve};
use crate::support::Dev;

/// Every point of an apply at which the process can stand still.
const POINTS: [&str; 5] = ["put-objects", "objects-stored", "activate-begun", "activate-committing", "activated"];

#[test]
fn row_40_a_kill_at_any_step_of_an_apply_converges() {
    for point in POINTS {
        kill_at(point, &[]);
    }
}

#[test]
#[cfg_attr(missing_postgres, ignore = "needs PostgreSQL: tests/run installs it")]
fn row_40_a_kill_at_any_step_converges_on_postgresql_too() {
    // In parallel, as each restarted process waits for the lease of the killed one.
    let databases: Vec<String> = POINTS.iter().map(|_| super::replicas::database()).collect();
    std::thread::scope(|scope| {
        for (point, database) in POINTS.iter().zip(&databases) {
            scope.spawn(move || kill_at(point, &["--store", database]));
        }
    });
}

/// Kills a server at a point of an apply, and starts another one.
fn kill_at(point: &str, args: &[&str]) {
    let mut world = World::with(
        &[("a.yaml", &saying("a", "first")), ("b.yaml", &saying("b", "first")), ("c.yaml", &saying("c", "first"))],
        "",
        args,
    );
    world.wait(is_ready, "the first commit");
    world.server.kill();
    let marker = world.folder.path().join(format!("{point}.reached"));
    // Changed, removed and added in one commit.
    std::fs::remove_file(world.repository.work().join("b.yaml")).unwrap();
    world.repository.commit(&[("a.yaml", &saying("a", "second")), ("d.yaml", &saying("d", "new"))], "second");
    let mut stopped = serve(world.folder.path(), args, |command| {
        command.env("EVENKEEL_PAUSE_AT", point).env("EVENKEEL_PAUSE_FILE", &marker);
    });
    let deadline = Instant::now() + Duration::from_mins(2);
    while !marker.exists() {
        assert!(Instant::now() < deadline, "{point} was never reached; it said:\n{}", stopped.said());
        std::thread::sleep(Duration::from_millis(10));
    }
    // While it stands there, one of the two generations serves, whole.
    let names = super::connectors(&stopped);
    assert!(names == ["a", "b", "c"] || names == ["a", "c", "d"], "{point}: {names:?}");
    stopped.kill();
    world.server = serve(world.folder.path(), args, |_| {});
    // The active generation serves at once; the killed process counts as a replica until its heartbeat expires.
    let status = world.wait(|status| is_ready(status) && status["generation"] == 2, point);
    assert_eq!(world.connectors(), ["a", "c", "d"], "{point}");
    assert_eq!(status["lastApplied"]["source"], format!("main@sha1:{}", world.repository.head()), "{point}");
    let history = world.server.get("/v1/environments/live/history").json();
    let numbers: Vec<u64> =
        history["items"].as_array().unwrap().iter().filter_map(|one| one["generation"].as_u64()).collect();
    assert_eq!(numbers, [2, 1], "{point}: nothing is applied twice");
    let stones = status["tombstones"].as_array().unwrap();
    assert_eq!((stones.len(), stones[0]["id"].as_str()), (1, Some("Connector/b")), "{point}");
}

#[test]
fn row_43_a_server_serves_the_active_generation_before_it_fetches() {
    let mut world = World::start(&[("a.yaml", &saying("a", "first"))]);
    world.wait(is_ready, "the first commit");
    world.git.fault(crate::git_server::Fault::Status(503));
    world.restart(&[]);
    let status = world.wait(|status| super::ready(status).1 == "FetchFailed", "the failure");
    assert_eq!(status["generation"], 1);
    assert_eq!(world.connectors(), ["a"]);
    assert_eq!(world.server.get("/readyz").status, 200);
}

#[test]
fn healthz_reports_a_stuck_loop() {
    let world = World::start(&[("a.yaml", &saying("a", "first"))]);
    world.wait(is_ready, "the first commit");
    let marker = world.folder.path().join("reached");
    let document = super::following(&world.git.url(), "").replace("interval: 1h", "interval: 5s");
    drop(world.server);
    crate::support::write(&world.folder.path().join("live.yaml"), &document);
    world.repository.commit(&[("a.yaml", &saying("a", "second"))], "second");
    let server = serve(world.folder.path(), &[], |command| {
        command
            .env("EVENKEEL_PAUSE_AT", "put-objects")
            .env("EVENKEEL_PAUSE_FILE", &marker)
            .env("EVENKEEL_STUCK_SECONDS", "1");
    });
    let healthy = |server: &Dev| server.get("/healthz").status == 200;
    assert!(healthy(&server));
    let deadline = Instant::now() + Duration::from_mins(2);
    while healthy(&server) {
        assert!(Instant::now() < deadline, "a stuck loop was never seen");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(server.get("/healthz").body.contains("live"), "it says which environment is stuck");
    // The live generation keeps serving.
    assert_eq!(super::connectors(&server), ["a"]);
}
