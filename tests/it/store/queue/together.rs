//! What is committed together.

use evenkeel::store::queue::{
    Change, CommitResult, Disposition, EnqueueRequest, Event, Execution, ExecutionStatus, NewExecution, PARKED,
    SignalKind, StepStatus,
};
use serde_json::json;

use super::super::{Fixture, on_both};
use super::{HOUR, claim, commit, completed, dead, event, get, keyed, leaves, line, new_run, progress, step};

on_both!(many_changes_together_are_as_if_one_by_one,);

/// More than one statement takes, of all sorts, in an order that matters.
async fn many_changes_together_are_as_if_one_by_one(fixture: Fixture) {
    let store = &*fixture.store;
    let taking = |intake: EnqueueRequest| {
        Change::Accept(Box::new(EnqueueRequest { claimed_by: Some(("worker".to_owned(), HOUR)), ..intake }))
    };
    let of_event = |event: &Event, run: NewExecution| EnqueueRequest {
        event: Some(event.clone()),
        executions: vec![NewExecution { event: event.id.clone(), ..run }],
        ..EnqueueRequest::default()
    };
    let known = event("in");
    commit(store, taking(of_event(&known, new_run("known")))).await;

    let mut changes: Vec<Change> = (0..37).map(|_| taking(of_event(&event("in"), new_run("plain")))).collect();
    changes.insert(3, taking(of_event(&known, new_run("again"))));
    changes.insert(9, keyed(&event("in"), "k", HOUR));
    changes.insert(20, keyed(&event("in"), "k", HOUR));
    let in_lane = || NewExecution { ordering_key: "a".to_owned(), ..new_run("lane") };
    changes.insert(
        5,
        taking(EnqueueRequest {
            executions: vec![in_lane(), new_run("beside"), in_lane()],
            ..EnqueueRequest::default()
        }),
    );
    changes.insert(
        30,
        taking(EnqueueRequest {
            executions: vec![in_lane()],
            dead_letters: vec![dead("x")],
            ..EnqueueRequest::default()
        }),
    );
    let done = store.commit(&changes).await.unwrap();
    assert_eq!(done.len(), changes.len());
    let mut taken = Vec::new();
    for (at, (change, done)) in changes.iter().zip(&done).enumerate() {
        let Change::Accept(intake) = change else { unreachable!() };
        match done {
            CommitResult::Duplicate(event) => {
                assert_eq!(at, 21, "the first of one key is stored");
                let Change::Accept(first) = &changes[10] else { unreachable!() };
                assert_eq!(*event, first.event.as_ref().unwrap().id);
            }
            CommitResult::Stored(runs) => {
                let names: Vec<&str> = runs.iter().map(|run| run.workflow.as_str()).collect();
                let wanted: &[&str] = match at {
                    3 | 10 | 30 => &[],
                    5 => &["lane", "beside"],
                    _ => &["plain"],
                };
                assert_eq!(names, wanted, "change {at}");
                assert!(runs.iter().all(|run| intake.executions.iter().any(|own| own.id == run.id)), "change {at}");
                taken.extend(runs.clone());
            }
            other => panic!("change {at}: {other:?}"),
        }
    }
    assert_eq!(taken.len(), 39);
    for run in &taken {
        assert_eq!(get(store, &run.id).await, *run, "what is given is what is stored");
    }
    assert_eq!(store.events("live", None, 100).await.unwrap().len(), 39);
    assert_eq!(store.dead_letters("live", None, 10).await.unwrap().len(), 1);

    // Each writes a step twice and ends; one writes after that, one has lost its claim, one waits for what came already.
    let mut changes = Vec::new();
    for (at, run) in taken.iter().enumerate() {
        changes.push(progress(
            run,
            vec![step("event one", 0, StepStatus::Waiting), step("two", 1, StepStatus::Completed)],
            Vec::new(),
        ));
        let outcome = match at {
            7 => Disposition::Suspend(PARKED, HOUR),
            _ => completed(),
        };
        let Change::Release { claim, disposition, logs, follow_ups, dead_letter, claim_next, .. } =
            leaves(run, outcome)
        else {
            unreachable!()
        };
        let steps = if at == 7 { Vec::new() } else { vec![step("event one", 0, StepStatus::Completed)] };
        let logs = [logs, vec![line(1, "bye")]].concat();
        changes.push(Change::Release { claim, disposition, steps, logs, follow_ups, dead_letter, claim_next });
        changes.push(progress(run, vec![step("late", 2, StepStatus::Completed)], Vec::new()));
    }
    let stale = Execution { token: 9, ..taken[1].clone() };
    changes.insert(0, progress(&stale, vec![step("stale", 0, StepStatus::Completed)], Vec::new()));
    assert!(store.signal("live", &taken[7].id, SignalKind::Event, "one", &json!("word")).await.unwrap());
    let done = store.commit(&changes).await.unwrap();
    let fenced = |done: &CommitResult| *done == CommitResult::Fenced;
    assert_eq!(done.iter().filter(|done| fenced(done)).count(), 1 + taken.len());
    assert!(fenced(&done[0]) && done[3..].iter().step_by(3).all(fenced));
    for (at, run) in taken.iter().enumerate() {
        let steps = store.steps(&run.id).await.unwrap();
        let steps: Vec<(&str, &str)> = steps.iter().map(|step| (step.name.as_str(), step.status.as_str())).collect();
        let one = if at == 7 { "Waiting" } else { "Completed" };
        assert_eq!(steps, [("event one", one), ("two", "Completed")]);
        assert_eq!(store.logs(&run.id).await.unwrap().len(), 1);
        let status = get(store, &run.id).await.status;
        assert_eq!(status, if at == 7 { ExecutionStatus::Waiting } else { ExecutionStatus::Completed });
    }
    // What it waits for came before it waited; and the lane goes on with its next one.
    let mut due: Vec<String> = claim(store, 9).await.into_iter().map(|run| run.workflow).collect();
    due.sort();
    assert_eq!(due, ["keyed", "lane", "plain"]);
}
