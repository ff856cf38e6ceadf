//! Schedules on the clock: each time once, across replicas and restarts.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::{ENVIRONMENT, Place, eventually, executions, live, workflow};
use crate::serve::replicas;

fn definitions(more: &str) -> String {
    ENVIRONMENT.to_owned()
        + &workflow("tick", "Standard", "", "export default async (ctx) => ctx.headers['x-evenkeel-scheduled-at']")
        + &format!(
            "apiVersion: evenkeel.dev/v1alpha1\nkind: Trigger\nmetadata: {{ name: every }}\nspec:\n  schedule: {{ interval: 1s, overlap: \
             Allow{more}, routes: [{{ workflow: tick }}] }}\n"
        )
}

fn times(runs: &[Value]) -> Vec<String> {
    let mut times: Vec<String> = runs.iter().filter_map(|run| run["output"].as_str().map(str::to_owned)).collect();
    times.sort();
    times
}

#[test]
fn three_replicas_fire_each_time_once() {
    let Some(database) = replicas::database() else { return };
    let place = Place::new(&[("a.yaml", &definitions(""))]);
    let began = Instant::now();
    let servers: Vec<_> = (0..3)
        .map(|number| {
            let state = place.path(&format!("state-{number}"));
            place.serve(&["--store", &database, "--state", state.to_str().unwrap()])
        })
        .collect();
    servers.iter().for_each(live);
    let server = &servers[0];
    let fired = eventually("eight times", 120, || {
        let fired = server.get("/v1/triggers").json()["triggers"][0]["counts"]["fired"].as_u64().unwrap();
        (fired >= 8).then_some(fired)
    });
    assert!(fired <= began.elapsed().as_secs() + 2, "{fired} in {:?}", began.elapsed());
    let outputs = |server| {
        let list = executions(server, "trigger=every");
        let ids = list.iter().map(|run| super::execution(server, run["id"].as_str().unwrap()));
        ids.collect::<Vec<Value>>()
    };
    let seconds = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_second();
    let deadline = Instant::now() + Duration::from_mins(2);
    loop {
        let times = times(&outputs(server));
        let mut distinct = times.clone();
        distinct.dedup();
        assert_eq!(times, distinct, "a time was fired twice");
        // No second is left out between the first and the last. One that has not ended while a later one has is on its way.
        if times.len() as u64 >= fired
            && seconds(&times[times.len() - 1]) - seconds(&times[0]) + 1 == i64::try_from(times.len()).unwrap()
        {
            break;
        }
        assert!(Instant::now() < deadline, "{fired} fired, and these are not all: {times:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Asks or changes a server's database behind its back; gives the first value of what it answers.
fn sql(database: &std::path::Path, statement: &str) -> String {
    let script = "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1], timeout=60)\nrow = c.execute(sys.argv[2]).fetchone()\nc.commit()\n\
                  print(row[0] if row else '')";
    let done =
        std::process::Command::new("python3").args(["-c", script]).arg(database).arg(statement).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).trim().to_owned()
}

#[test]
fn what_was_missed_while_nothing_ran_is_caught_up_as_declared() {
    for (catch_up, expected) in [("Skip", 0..=0), ("One", 1..=1), ("All", 3..=100)] {
        // Ticks count as missed after a minute: the server must have been away for longer than that, or believe so.
        let place = Place::new(&[(
            "a.yaml",
            &definitions(&format!(", catchUp: {catch_up}")).replace("interval: 1s, overlap", "interval: 20s, overlap"),
        )]);
        let mut server = place.serve(&[]);
        live(&server);
        // Until the server has written down since when it is declared, nothing can be missed.
        let database = place.path("state").join("evenkeel.db");
        eventually("the schedule", 120, || {
            (sql(&database, "select count(*) from schedules where shape <> ''") == "1").then_some(())
        });
        server.kill();
        // Two minutes and a half ago, by the database.
        sql(&database, "update schedules set until_at = until_at - 150000000");
        let server = place.serve(&[]);
        live(&server);
        let late = |server: &crate::support::Dev| {
            server.get("/v1/triggers").json()["triggers"][0]["counts"]["late"].as_u64().unwrap()
        };
        eventually("what is caught up", 120, || (late(&server) >= *expected.start()).then_some(()));
        std::thread::sleep(Duration::from_secs(3));
        assert!(expected.contains(&late(&server)), "{catch_up}: {}", server.get("/v1/triggers").body);
    }
}

#[test]
fn a_paused_schedule_fires_nothing_and_misses_nothing() {
    let place = Place::new(&[("a.yaml", &definitions(", paused: true"))]);
    let server = place.serve(&[]);
    live(&server);
    std::thread::sleep(Duration::from_secs(3));
    let trigger = server.get("/v1/triggers").json()["triggers"][0].clone();
    assert_eq!((&trigger["counts"]["fired"], &trigger["counts"]["missed"]), (&0.into(), &0.into()), "{trigger}");
    assert_eq!(executions(&server, "").len(), 0);
    place.write("a.yaml", &definitions(""));
    eventually("the first time", 120, || (!executions(&server, "").is_empty()).then_some(()));
    assert_eq!(server.get("/v1/triggers").json()["triggers"][0]["counts"]["late"], 0, "nothing is caught up");
}
