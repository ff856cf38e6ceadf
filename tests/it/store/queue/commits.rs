//! Changes that are committed together.

use evenkeel::store::queue::{
    Change, CommitResult, Disposition, EnqueueRequest, Event, Execution, ExecutionStatus, NEVER, NewExecution,
    RowRange, SignalKind, StepStatus,
};
use serde_json::json;

use super::super::{Fixture, on_both};
use super::{
    HOUR, claim, commit, completed, dead_letter, event, get, keyed, line, new_execution, progress, release, step,
};

on_both!(changes_committed_together_equal_single_commits,);

/// More than one statement takes, of all kinds, in an order that matters.
async fn changes_committed_together_equal_single_commits(fixture: Fixture) {
    let store = &*fixture.store;
    let taking = |request: EnqueueRequest| {
        Change::Accept(Box::new(EnqueueRequest { claimed_by: Some(("worker".to_owned(), HOUR)), ..request }))
    };
    let of_event = |event: &Event, execution: NewExecution| EnqueueRequest {
        event: Some(event.clone()),
        executions: vec![NewExecution { event: event.id.clone(), ..execution }],
        ..EnqueueRequest::default()
    };
    let known = event("in");
    commit(store, taking(of_event(&known, new_execution("known")))).await;

    let mut changes: Vec<Change> = (0..37).map(|_| taking(of_event(&event("in"), new_execution("plain")))).collect();
    changes.insert(3, taking(of_event(&known, new_execution("again"))));
    changes.insert(9, keyed(&event("in"), "k", HOUR));
    changes.insert(20, keyed(&event("in"), "k", HOUR));
    let ordered = || NewExecution { ordering_key: "a".to_owned(), ..new_execution("ordered") };
    changes.insert(
        5,
        taking(EnqueueRequest {
            executions: vec![ordered(), new_execution("beside"), ordered()],
            ..EnqueueRequest::default()
        }),
    );
    changes.insert(
        30,
        taking(EnqueueRequest {
            executions: vec![ordered()],
            dead_letters: vec![dead_letter("x")],
            ..EnqueueRequest::default()
        }),
    );
    let done = store.commit(&changes).await.unwrap();
    assert_eq!(done.len(), changes.len());
    let mut claimed = Vec::new();
    for (at, (change, done)) in changes.iter().zip(&done).enumerate() {
        let Change::Accept(request) = change else { unreachable!() };
        match done {
            CommitResult::Duplicate(event) => {
                assert_eq!(at, 21, "the first event of a key is stored");
                let Change::Accept(first) = &changes[10] else { unreachable!() };
                assert_eq!(*event, first.event.as_ref().unwrap().id);
            }
            CommitResult::Stored(executions) => {
                let names: Vec<&str> = executions.iter().map(|execution| execution.workflow.as_str()).collect();
                let wanted: &[&str] = match at {
                    3 | 10 | 30 => &[],
                    5 => &["ordered", "beside"],
                    _ => &["plain"],
                };
                assert_eq!(names, wanted, "change {at}");
                assert!(
                    executions.iter().all(|execution| request.executions.iter().any(|own| own.id == execution.id)),
                    "change {at}"
                );
                claimed.extend(executions.clone());
            }
            other => panic!("change {at}: {other:?}"),
        }
    }
    assert_eq!(claimed.len(), 39);
    for execution in &claimed {
        assert_eq!(get(store, &execution.id).await, *execution, "the returned execution is the stored one");
    }
    assert_eq!(store.events("live", None, &RowRange::newest(100)).await.unwrap().len(), 39);
    assert_eq!(store.dead_letters("live", None, &RowRange::newest(10)).await.unwrap().len(), 1);

    // Each writes a step twice and ends; each then writes again; one has lost its lease; one waits for a signal that was
    // received already.
    let mut changes = Vec::new();
    for (at, execution) in claimed.iter().enumerate() {
        changes.push(progress(
            execution,
            vec![step("event one", 0, StepStatus::Waiting), step("two", 1, StepStatus::Completed)],
            Vec::new(),
        ));
        let outcome = match at {
            7 => Disposition::Suspend(NEVER, HOUR),
            _ => completed(),
        };
        let Change::Release { claim, disposition, logs, follow_ups, dead_letter, claim_next, .. } =
            release(execution, outcome)
        else {
            unreachable!()
        };
        let steps = if at == 7 { Vec::new() } else { vec![step("event one", 0, StepStatus::Completed)] };
        let logs = [logs, vec![line(1, "bye")]].concat();
        changes.push(Change::Release { claim, disposition, steps, logs, follow_ups, dead_letter, claim_next });
        changes.push(progress(execution, vec![step("late", 2, StepStatus::Completed)], Vec::new()));
    }
    let stale = Execution { token: 9, ..claimed[1].clone() };
    changes.insert(0, progress(&stale, vec![step("stale", 0, StepStatus::Completed)], Vec::new()));
    assert!(store.signal("live", &claimed[7].id, SignalKind::Event, "one", &json!("word")).await.unwrap());
    let done = store.commit(&changes).await.unwrap();
    let fenced = |done: &CommitResult| *done == CommitResult::Fenced;
    assert_eq!(done.iter().filter(|done| fenced(done)).count(), 1 + claimed.len());
    assert!(fenced(&done[0]) && done[3..].iter().step_by(3).all(fenced));
    for (at, execution) in claimed.iter().enumerate() {
        let steps = store.steps(&execution.id).await.unwrap();
        let steps: Vec<(&str, &str)> = steps.iter().map(|step| (step.name.as_str(), step.status.as_str())).collect();
        let one = if at == 7 { "Waiting" } else { "Completed" };
        assert_eq!(steps, [("event one", one), ("two", "Completed")]);
        assert_eq!(store.logs(&execution.id).await.unwrap().len(), 1);
        let status = get(store, &execution.id).await.status;
        assert_eq!(status, if at == 7 { ExecutionStatus::Waiting } else { ExecutionStatus::Completed });
    }
    // The signal came before the wait; and the ordering key continues with its next execution.
    let mut due: Vec<String> = claim(store, 9).await.into_iter().map(|execution| execution.workflow).collect();
    due.sort();
    assert_eq!(due, ["keyed", "ordered", "plain"]);
}
