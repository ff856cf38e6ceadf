//! Schedules: each time fires once, across replicas and restarts.

use serde_json::{Value, json};

use super::{DefinitionsFolder, ENVIRONMENT, eventually, executions, live, workflow};
use crate::serve::replicas;
use crate::support::Dev;

fn definitions(more: &str) -> String {
    ENVIRONMENT.to_owned()
        + &workflow("tick", "Standard", "", "export default async (ctx) => ctx.headers['x-evenkeel-scheduled-at']")
        + &format!(
            "apiVersion: evenkeel.dev/v1alpha1\nkind: Trigger\nmetadata: {{ name: every }}\nspec:\n  schedule: {{ interval: 1s, overlap: \
             Allow{more}, routes: [{{ workflow: tick }}] }}\n"
        )
}

/// The times of ended executions, sorted.
fn times(executions: &[Value]) -> Vec<String> {
    let mut times: Vec<String> =
        executions.iter().filter_map(|execution| execution["output"].as_str().map(str::to_owned)).collect();
    times.sort();
    times
}

#[test]
#[cfg_attr(missing_postgres, ignore = "needs PostgreSQL: tests/run installs it")]
fn three_replicas_fire_each_time_once() {
    let database = replicas::database();
    let folder = DefinitionsFolder::new(&[("a.yaml", &definitions(""))]);
    let began = jiff::Timestamp::now();
    let servers: Vec<_> = (0..3)
        .map(|number| {
            let state = folder.path(&format!("state-{number}"));
            folder.serve(&["--store", &database, "--state", state.to_str().unwrap()])
        })
        .collect();
    servers.iter().for_each(live);
    let server = &servers[0];
    let fired = eventually("eight times", 120, || {
        let fired = counts(server)["fired"].as_u64().unwrap();
        (fired >= 8).then_some(fired)
    });
    let seconds = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_second();
    let distinct_times = |executions: &[Value]| {
        let times = times(executions);
        let mut distinct = times.clone();
        distinct.dedup();
        assert_eq!(times, distinct, "a time was fired twice");
        times
    };
    // Until the first `fired` times are seen without a gap: an execution that has not ended is not in the list yet.
    let times = eventually("every second between the first and the last time", 120, || {
        let list = executions(server, "trigger=every");
        let ended: Vec<Value> =
            list.iter().map(|entry| super::execution(server, entry["id"].as_str().unwrap())).collect();
        let times = distinct_times(&ended);
        let (first, last) = (seconds(times.first()?), seconds(times.last()?));
        (times.len() as u64 >= fired && last - first + 1 == i64::try_from(times.len()).unwrap()).then_some(times)
    });
    // The counter and the record agree, and no time is outside of the life of the servers.
    assert!(counts(server)["fired"].as_u64().unwrap() >= times.len() as u64);
    assert!(seconds(&times[0]) >= began.as_second(), "{times:?} began before {began}");
    let now = jiff::Timestamp::now();
    assert!(seconds(&times[times.len() - 1]) <= now.as_second(), "{times:?} ends after {now}");
}

/// The counters of the schedule.
fn counts(server: &Dev) -> Value {
    server.get("/v1/triggers").json()["items"][0]["counts"].clone()
}

/// Runs a statement on a server's database. Returns the first value of the result, or an empty text.
fn sql(database: &std::path::Path, statement: &str) -> String {
    let script = "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1], timeout=60)\nrow = c.execute(sys.argv[2]).fetchone()\nc.commit()\n\
                  print(row[0] if row else '')";
    let done =
        std::process::Command::new("python3").args(["-c", script]).arg(database).arg(statement).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).trim().to_owned()
}

/// The time up to which the schedule has been evaluated, in microseconds since 1970; `None` before it was declared.
fn evaluated_until(database: &std::path::Path) -> Option<i64> {
    sql(database, "select until_at from schedules where shape <> ''").parse().ok()
}

#[test]
#[cfg_attr(missing_python, ignore = "needs Python: tests/run installs it")]
fn missed_times_are_caught_up_as_declared() {
    for (catch_up, late) in [("Skip", 0..=0), ("One", 1..=1), ("All", 3..=100)] {
        // A time counts as missed after one minute, so the schedule is moved back by two and a half.
        let folder = DefinitionsFolder::new(&[(
            "a.yaml",
            &definitions(&format!(", catchUp: {catch_up}")).replace("interval: 1s, overlap", "interval: 20s, overlap"),
        )]);
        let mut server = folder.serve(&[]);
        live(&server);
        // Times are missed only after the schedule was declared.
        let database = folder.path("state").join("evenkeel.db");
        eventually("the schedule", 120, || evaluated_until(&database));
        server.kill();
        sql(&database, "update schedules set until_at = until_at - 150000000");
        let before = evaluated_until(&database).unwrap();
        let already_late = sql(&database, "select late from schedules").parse::<u64>().unwrap();
        let server = folder.serve(&[]);
        live(&server);
        // One transaction evaluates the whole period.
        eventually("the evaluation", 120, || (evaluated_until(&database)? > before).then_some(()));
        let counts = counts(&server);
        let caught_up = counts["late"].as_u64().unwrap() - already_late;
        assert!(late.contains(&caught_up), "{catch_up}: {counts}");
        assert!(caught_up + counts["missed"].as_u64().unwrap() >= 3, "{catch_up}: {counts}");
    }
}

#[test]
#[cfg_attr(missing_python, ignore = "needs Python: tests/run installs it")]
fn a_paused_schedule_neither_fires_nor_misses_times() {
    let folder = DefinitionsFolder::new(&[("a.yaml", &definitions(", paused: true"))]);
    let server = folder.serve(&[]);
    live(&server);
    let database = folder.path("state").join("evenkeel.db");
    let declared = eventually("the schedule", 120, || evaluated_until(&database));
    eventually("the evaluation of three times", 120, || {
        (evaluated_until(&database)? >= declared + 3_000_000).then_some(())
    });
    let counts_while_paused = counts(&server);
    assert_eq!(counts_while_paused, json!({"fired": 0, "missed": 0, "late": 0}));
    assert_eq!(executions(&server, "").len(), 0);
    folder.write("a.yaml", &definitions(""));
    eventually("the first time", 120, || (!executions(&server, "").is_empty()).then_some(()));
    assert_eq!(counts(&server)["late"], 0, "times of the pause are caught up");
}
