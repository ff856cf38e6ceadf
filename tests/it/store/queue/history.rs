//! Steps, logs, lists, dead letters and retention.

use evenkeel::store::Store;
use evenkeel::store::queue::{
    Change, DeadLetterStatus, Disposition, EnqueueRequest, ExecutionFilter, ExecutionMatch, ExecutionStatus,
    ExecutionSummary, MAX_CANDIDATES, NewExecution, RowRange, SignalKind, StepStatus,
};
use serde_json::{Value, json};

use super::super::{Fixture, on_both};
use super::{
    HOUR, accept, claim, claim_one, completed, dead_letter, enqueue, event, get, keyed, line, new_execution, progress,
    release, replayed, step, stored,
};

on_both!(
    keeps_steps_and_logs_in_order,
    keeps_all_log_lines_of_one_microsecond,
    filters_executions,
    finds_text_literally,
    pages_have_no_gaps,
    finds_an_execution_by_an_unambiguous_prefix,
    lists_the_candidates_of_an_ambiguous_prefix,
    a_prefix_search_reads_the_primary_key,
    lists_read_no_payloads,
    replays_a_dead_letter_once,
    dead_letters_expire_and_are_deleted,
    deletes_expired_rows,
);

async fn keeps_steps_and_logs_in_order(fixture: Fixture) {
    let store = &*fixture.store;
    accept(store, new_execution("any")).await;
    let execution = claim_one(store).await;
    let second = evenkeel::store::queue::Step {
        input: json!({ "a": 1 }),
        output: json!([1.5, "x"]),
        started_at: 5,
        finished_at: 6,
        ..step("second", 2, StepStatus::Completed)
    };
    stored(
        store,
        progress(
            &execution,
            vec![second.clone(), step("first", 1, StepStatus::Waiting)],
            vec![line(7, "c"), line(7, "d")],
        ),
    )
    .await;
    stored(
        store,
        progress(&execution, vec![step("first", 1, StepStatus::Completed)], vec![line(3, "a"), line(5, "b")]),
    )
    .await;
    let change = Change::Release {
        claim: execution.claim(),
        disposition: Disposition::Requeue,
        steps: vec![step("third", 3, StepStatus::Completed)],
        logs: (0..15).map(|number| line(9, &format!("{number}"))).collect(),
        follow_ups: Vec::new(),
        dead_letter: None,
        claim_next: None,
    };
    stored(store, change).await;
    let execution = claim_one(store).await;
    let change = Change::Release {
        claim: execution.claim(),
        disposition: completed(),
        steps: vec![step("fourth", 10, StepStatus::Failed)],
        logs: vec![line(10, "last")],
        follow_ups: Vec::new(),
        dead_letter: None,
        claim_next: None,
    };
    stored(store, change).await;
    let wanted = [
        step("first", 1, StepStatus::Completed),
        second,
        step("third", 3, StepStatus::Completed),
        step("fourth", 10, StepStatus::Failed),
    ];
    assert_eq!(store.steps(&execution.id).await.unwrap(), wanted);
    let logs: Vec<String> = store.logs(&execution.id).await.unwrap().into_iter().map(|line| line.message).collect();
    let wanted = ["a", "b", "c", "d"].map(str::to_owned).into_iter();
    let wanted: Vec<String> = wanted.chain((0..15).map(|number| number.to_string())).chain(["last".into()]).collect();
    assert_eq!(logs, wanted);
    assert!(store.steps("another").await.unwrap().is_empty() && store.logs("another").await.unwrap().is_empty());
}

async fn keeps_all_log_lines_of_one_microsecond(fixture: Fixture) {
    let store = &*fixture.store;
    accept(store, new_execution("any")).await;
    let execution = claim_one(store).await;
    for number in 0..3 {
        let lines = vec![line(7, &format!("{number}a")), line(7, &format!("{number}b"))];
        stored(store, progress(&execution, Vec::new(), lines)).await;
    }
    let logs: Vec<String> = store.logs(&execution.id).await.unwrap().into_iter().map(|line| line.message).collect();
    assert_eq!(logs, ["0a", "0b", "1a", "1b", "2a", "2b"]);
}

async fn filters_executions(fixture: Fixture) {
    let store = &*fixture.store;
    let of = |workflow: &str, tenant: &str, source: &str| NewExecution {
        tenant: tenant.to_owned(),
        source: source.to_owned(),
        event: format!("event of {source}"),
        ..new_execution(workflow)
    };
    let a = accept(store, of("ship", "acme", "orders")).await;
    let execution = claim_one(store).await;
    stored(
        store,
        release(&execution, Disposition::Ended(ExecutionStatus::Failed, Value::Null, json!({ "code": "BROKEN" }))),
    )
    .await;
    let b = accept(store, of("ship", "other", "orders")).await;
    let execution = claim_one(store).await;
    let middle = get(store, &b).await.created_at;
    stored(store, release(&execution, completed())).await;
    let c = accept(store, of("bill", "acme", "clock")).await;
    claim_one(store).await;
    let d = accept(store, of("bill", "", "clock")).await;
    accept(store, NewExecution { environment: "draft".to_owned(), ..of("ship", "acme", "orders") }).await;

    let found = async |filter: ExecutionFilter| -> Vec<String> {
        store.executions("live", &filter).await.unwrap().into_iter().map(|execution| execution.id).collect()
    };
    let all = ExecutionFilter::default;
    assert_eq!(found(all()).await, [&*d, &*c, &*b, &*a]);
    assert_eq!(found(ExecutionFilter { workflow: Some("ship".into()), ..all() }).await, [&*b, &*a]);
    assert_eq!(found(ExecutionFilter { tenant: Some("acme".into()), ..all() }).await, [&*c, &*a]);
    assert_eq!(found(ExecutionFilter { tenant: Some(String::new()), ..all() }).await, [&*d]);
    assert_eq!(found(ExecutionFilter { trigger: Some("clock".into()), ..all() }).await, [&*d, &*c]);
    assert_eq!(found(ExecutionFilter { event: Some("event of orders".into()), ..all() }).await, [&*b, &*a]);
    assert_eq!(found(ExecutionFilter { open: true, ..all() }).await, [&*d, &*c]);
    assert_eq!(found(ExecutionFilter { since: Some(middle), ..all() }).await, [&*d, &*c, &*b]);
    assert_eq!(found(ExecutionFilter { limit: 1, ..all() }).await, [&*d]);
    for (status, id) in [
        (ExecutionStatus::Failed, &a),
        (ExecutionStatus::Completed, &b),
        (ExecutionStatus::Running, &c),
        (ExecutionStatus::Queued, &d),
    ] {
        assert_eq!(found(ExecutionFilter { status: Some(status), ..all() }).await, [id.as_str()]);
    }
    let both = ExecutionFilter { workflow: Some("ship".into()), tenant: Some("acme".into()), ..all() };
    assert_eq!(found(both).await, [&*a]);
    assert!(found(ExecutionFilter { status: Some(ExecutionStatus::TimedOut), ..all() }).await.is_empty());
}

async fn finds_text_literally(fixture: Fixture) {
    let store = &*fixture.store;
    let with = |input: &str| NewExecution { input: json!({ "text": input }), ..new_execution("any") };
    let a = accept(store, with("100% of_it")).await;
    let b = accept(store, with("100 percent of it")).await;
    let c = accept(store, with("ÄRGER und Straße")).await;
    for execution in claim(store, 9).await {
        let output = Value::String(format!("Result of {}", if execution.id == a { "First" } else { "Others" }));
        stored(
            store,
            release(&execution, Disposition::Ended(ExecutionStatus::Failed, output, json!({ "code": "E_1" }))),
        )
        .await;
    }
    let found = async |text: &str| -> Vec<String> {
        let filter = ExecutionFilter { text: Some(text.to_owned()), ..ExecutionFilter::default() };
        store.executions("live", &filter).await.unwrap().into_iter().map(|execution| execution.id).collect()
    };
    assert_eq!(found("100%").await, [&*a]);
    assert_eq!(found("of_it").await, [&*a]);
    assert_eq!(found("OF_IT").await, [&*a], "in any case");
    assert_eq!(found("100").await, [&*b, &*a]);
    assert_eq!(found("0%it").await, [""; 0]);
    assert_eq!(found("result of first").await, [&*a]);
    assert_eq!(found("e_1").await.len(), 3);
    assert_eq!(found("e11").await.len(), 0);
    assert_eq!(found("ÄRGER").await, [&*c]);
    assert_eq!(found("Straße").await, [&*c]);
    assert_eq!(found(&a[..]).await, [&*a]);
    assert_eq!(found("it'; DROP TABLE executions; --").await.len(), 0);
}

async fn pages_have_no_gaps(fixture: Fixture) {
    let store = &*fixture.store;
    // Many of the same microsecond, and some of others.
    stored(store, enqueue((0..20).map(|_| new_execution("any")).collect())).await;
    for _ in 0..5 {
        accept(store, new_execution("any")).await;
    }
    let all: Vec<ExecutionSummary> = store.executions("live", &ExecutionFilter::default()).await.unwrap();
    assert_eq!(all.len(), 25);
    for limit in [1, 7, 25] {
        let (mut pages, mut before) = (Vec::new(), None);
        loop {
            let page = store
                .executions("live", &ExecutionFilter { limit, before, ..ExecutionFilter::default() })
                .await
                .unwrap();
            assert!(page.len() <= limit as usize);
            let Some(last) = page.last() else { break };
            before = Some((last.created_at, last.id.clone()));
            pages.extend(page);
        }
        let ids = |page: &[ExecutionSummary]| page.iter().map(|one| one.id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(&pages), ids(&all));
    }
}

async fn finds_an_execution_by_an_unambiguous_prefix(fixture: Fixture) {
    let store = &*fixture.store;
    let with = |id: &str| NewExecution { id: id.to_owned(), ..new_execution("any") };
    let [a, b, c] = ["01aaaaaaaa0000000000000001", "01aaaaaaaabzzzzzzzzzzzzzzz", "01aaaaaaabzzzzzzzzzzzzzzzz"];
    stored(store, enqueue(vec![with(a), with(b), with(c)])).await;
    stored(
        store,
        enqueue(vec![NewExecution { environment: "draft".to_owned(), ..with("02aaaaaaaabzzzzzzzzzzzzzzz") }]),
    )
    .await;
    let found = async |id: &str| store.execution("live", id).await.unwrap().map(|execution| execution.id);
    for id in [a, b, c] {
        assert_eq!(found(id).await.as_deref(), Some(id));
        assert_eq!(found(&id[..11]).await.as_deref(), Some(id));
        assert_eq!(found(&id[..25]).await.as_deref(), Some(id));
    }
    assert_eq!(found("01aaaaaaab").await.as_deref(), Some(c));
    assert_eq!(found("01aaaaaaaa").await, None, "two ids begin with it");
    assert_eq!(found("01aaaaa").await, None, "too short");
    assert_eq!(found("02aaaaaaaab").await, None, "another environment's");
    for odd in ["", "01aaaaaa%", "01aaaaaa_", "01aaaaaaa'", "01aaaaaaaa0000000000000001x", "01aaaaaaaé"] {
        assert_eq!(found(odd).await, None, "{odd}");
    }
}

async fn lists_the_candidates_of_an_ambiguous_prefix(fixture: Fixture) {
    let store = &*fixture.store;
    let with = |id: String| NewExecution { id, ..new_execution("any") };
    let ids: Vec<String> =
        (0..2 * MAX_CANDIDATES).map(|number| format!("01aaaaaaaa00000000000000{number:02}")).collect();
    stored(store, enqueue(ids.iter().rev().cloned().map(with).collect())).await;
    let elsewhere = NewExecution { environment: "draft".to_owned(), ..with("01aaaaaaaabbbbbbbbbbbbbbbb".to_owned()) };
    stored(store, enqueue(vec![elsewhere])).await;
    let find = async |environment: &str, id: &str| store.find_execution(environment, id).await.unwrap();
    assert_eq!(find("live", "01aaaaaaaa").await, ExecutionMatch::Several(ids[..MAX_CANDIDATES].to_vec()), "bounded");
    assert_eq!(find("live", &ids[10][..25]).await, ExecutionMatch::Several(ids[10..].to_vec()), "in order");
    stored(store, enqueue(vec![with("01aaaaaaaa00000000000000x0".to_owned())])).await;
    assert_eq!(find("live", "01aaaaaaaa00000000000000x").await, find("live", "01aaaaaaaa00000000000000x0").await);
    assert!(matches!(find("draft", "01aaaaaaaa").await, ExecutionMatch::One(one) if one.id.ends_with("bb")));
    assert!(matches!(find("live", &ids[3]).await, ExecutionMatch::One(one) if one.id == ids[3]));
    assert_eq!(find("live", "01bbbbbbbb").await, ExecutionMatch::None);
    assert_eq!(find("live", "01aaaaa").await, ExecutionMatch::None, "too short");
}

/// The plan of the search that `finds_an_execution_by_an_unambiguous_prefix` runs.
async fn a_prefix_search_reads_the_primary_key(fixture: Fixture) {
    let store = &*fixture.store;
    let executions = (0..2_000).map(|_| new_execution("any")).collect();
    stored(store, enqueue(executions)).await;
    let search = "SELECT id FROM executions WHERE id >= '01aaaaaa' AND id < '01aaaaaa~' AND environment || '' = 'live' \
                  ORDER BY id LIMIT 10";
    let plan = fixture.plan(search).await;
    let keys = ["sqlite_autoindex_executions_1 (id>? AND id<?)", "executions_pkey"];
    assert!(keys.iter().any(|key| plan.contains(key)), "{plan}");
}

/// Lists work without the payloads: so they do not read them, however large they are.
async fn lists_read_no_payloads(fixture: Fixture) {
    let store = &*fixture.store;
    let received = event("orders");
    stored(store, keyed(&received, "a", HOUR)).await;
    let execution = claim_one(store).await;
    let error = json!({ "code": "X", "message": "it did not work" });
    stored(store, release(&execution, Disposition::Ended(ExecutionStatus::Failed, json!("output"), error))).await;
    fixture.sql("DROP TABLE execution_payloads").await;
    for column in ["headers", "payload"] {
        fixture.sql(&format!("ALTER TABLE events DROP COLUMN {column}")).await;
    }
    let listed = store.executions("live", &ExecutionFilter::default()).await.unwrap();
    let listed: Vec<_> = listed.iter().map(|one| (one.id.as_str(), one.error_message.as_deref())).collect();
    assert_eq!(listed, [(execution.id.as_str(), Some("it did not work"))]);
    let events = store.events("live", None, &RowRange::newest(9)).await.unwrap();
    assert_eq!(events.iter().map(|event| event.id.as_str()).collect::<Vec<_>>(), [received.id]);
    assert!(store.execution("live", &execution.id).await.is_err() && store.event("live", &events[0].id).await.is_err());
}

/// Also if the database sorts by a language instead of bytes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(missing_postgres, ignore = "needs PostgreSQL: tests/run installs it")]
async fn finds_executions_in_a_database_with_a_locale() {
    let url = crate::postgres::database().await;
    let pool = sqlx::PgPool::connect(&url).await.unwrap();
    let (base, name) = url.rsplit_once('/').unwrap();
    let name = name.split('?').next().unwrap();
    let create = format!(
        "CREATE DATABASE {name}_en TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C' ENCODING 'UTF8'"
    );
    sqlx::query(sqlx::AssertSqlSafe(create)).execute(&pool).await.unwrap();
    let url = format!("{base}/{name}_en?sslmode=disable");
    let open = async || {
        let store = evenkeel::store::open(&url, evenkeel::store::Keys::none()).await.unwrap();
        let raw = super::super::Raw::Postgres(sqlx::PgPool::connect(&url).await.unwrap());
        Fixture { store, url: url.clone(), raw, _folder: None }
    };
    finds_an_execution_by_an_unambiguous_prefix(open().await).await;
    open().await.sql("DELETE FROM executions").await;
    pages_have_no_gaps(open().await).await;
    open().await.sql("DELETE FROM executions").await;
    finds_text_literally(open().await).await;
}

async fn add_dead_letter(store: &dyn Store, workflow: &str) -> String {
    let letter = dead_letter(workflow);
    let id = letter.id.clone();
    stored(store, Change::Accept(Box::new(EnqueueRequest { dead_letters: vec![letter], ..EnqueueRequest::default() })))
        .await;
    id
}

async fn replays_a_dead_letter_once(fixture: Fixture) {
    let store = &*fixture.store;
    let there = fixture.another().await;
    let mut accepted = Vec::new();
    for name in ["one", "two", "three"] {
        accepted.push(add_dead_letter(store, name).await);
    }
    let list = async |status: Option<DeadLetterStatus>| -> Vec<String> {
        store
            .dead_letters("live", status, &RowRange::newest(9))
            .await
            .unwrap()
            .into_iter()
            .map(|letter| letter.id)
            .collect()
    };
    assert_eq!(list(None).await, [&*accepted[2], &*accepted[1], &*accepted[0]]);
    assert_eq!(store.dead_letters("live", None, &RowRange::newest(1)).await.unwrap().len(), 1);
    assert!(store.dead_letters("draft", None, &RowRange::newest(9)).await.unwrap().is_empty());
    assert!(!replayed(store, "draft", &accepted[1]).await);
    let (one, other) = tokio::join!(replayed(store, "live", &accepted[1]), replayed(&*there, "live", &accepted[1]));
    assert!(one ^ other);
    assert!(!replayed(store, "live", &accepted[1]).await);
    let letter = store.dead_letter("live", &accepted[1]).await.unwrap().unwrap();
    assert_eq!((letter.status, letter.replays), (DeadLetterStatus::Replayed, 1));
    assert_eq!(list(Some(DeadLetterStatus::Pending)).await, [&*accepted[2], &*accepted[0]]);
    assert_eq!(list(Some(DeadLetterStatus::Replayed)).await, [&*accepted[1]]);
    assert_eq!(store.depth("live").await.unwrap().dead_letters, 2);
}

async fn dead_letters_expire_and_are_deleted(fixture: Fixture) {
    let store = &*fixture.store;
    let (old, new) = (add_dead_letter(store, "old").await, add_dead_letter(store, "new").await);
    let age = format!(
        "UPDATE dead_letters SET expires_at = expires_at - {HOUR} - 1000000, delete_at = delete_at - {HOUR} - 1000000 WHERE workflow = 'old'"
    );
    fixture.sql(&age).await;
    store.delete_expired("live", HOUR).await.unwrap();
    assert_eq!(store.dead_letter("live", &old).await.unwrap().unwrap().status, DeadLetterStatus::Expired);
    assert!(!replayed(store, "live", &old).await);
    assert_eq!(store.depth("live").await.unwrap().dead_letters, 1);
    fixture.sql(&age).await;
    store.delete_expired("draft", HOUR).await.unwrap();
    assert!(store.dead_letter("live", &old).await.unwrap().is_some());
    store.delete_expired("live", HOUR).await.unwrap();
    assert!(store.dead_letter("live", &old).await.unwrap().is_none());
    assert_eq!(store.dead_letter("live", &new).await.unwrap().unwrap().status, DeadLetterStatus::Pending);
}

async fn deletes_expired_rows(fixture: Fixture) {
    let store = &*fixture.store;
    let mut events = Vec::new();
    for name in ["old", "new", "open", "waits"] {
        let event = event(name);
        stored(store, keyed(&event, name, HOUR)).await;
        events.push(event.id);
    }
    let mut executions = claim(store, 9).await;
    for execution in &executions {
        stored(store, progress(execution, vec![step("a", 1, StepStatus::Completed)], vec![line(1, "x")])).await;
        assert!(store.signal("live", &execution.id, SignalKind::Event, "go", &json!(1)).await.unwrap());
    }
    executions.sort_by_key(|execution| events.iter().position(|id| *id == execution.event));
    stored(store, release(&executions[0], completed())).await;
    stored(store, release(&executions[1], completed())).await;
    let then = store.time().await.unwrap() + 2 * HOUR;
    stored(store, release(&executions[3], Disposition::Suspend(then, then))).await;
    // Two hours pass for the first; the open ones began long ago.
    let (old, ago) = (&executions[0].id, 2 * HOUR);
    fixture.sql(&format!("UPDATE executions SET finished_at = finished_at - {ago} WHERE id = '{old}'")).await;
    fixture
        .sql(&format!("UPDATE executions SET created_at = created_at - {ago}, started_at = started_at - {ago}"))
        .await;
    fixture.sql(&format!("UPDATE events SET received_at = received_at - {ago} WHERE id = '{}'", events[0])).await;
    fixture.sql(&format!("UPDATE event_keys SET expires_at = expires_at - {ago} WHERE key = 'old'")).await;
    store.put_workflow_state("live", "s", "gone", &json!(1), Some(-1)).await.unwrap();
    store.put_workflow_state("live", "s", "kept", &json!(1), Some(HOUR)).await.unwrap();
    store.put_workflow_state("live", "s", "always", &json!(1), None).await.unwrap();

    assert_eq!(store.delete_expired("draft", HOUR).await.unwrap(), 0);
    // The execution (its step, line and signal are deleted with it), its event and key, and a value.
    assert_eq!(store.delete_expired("live", HOUR).await.unwrap(), 4);
    assert_eq!(store.delete_expired("live", HOUR).await.unwrap(), 0);
    assert!(store.execution("live", old).await.unwrap().is_none());
    for (at, execution) in executions.iter().enumerate() {
        let there = at > 0;
        assert_eq!(store.steps(&execution.id).await.unwrap().len(), usize::from(there));
        assert_eq!(store.logs(&execution.id).await.unwrap().len(), usize::from(there));
        assert_eq!(store.received_signal(&execution.id, "event go").await.unwrap().is_some(), there);
        assert_eq!(store.event("live", &events[at]).await.unwrap().is_some(), there);
        assert_eq!(store.execution("live", &execution.id).await.unwrap().is_some(), there);
    }
    assert_eq!(fixture.number("SELECT count(*) FROM workflow_state").await, 2);
    // Without a retention all ended ones are deleted; open ones stay.
    super::pass(3).await;
    store.delete_expired("live", 0).await.unwrap();
    let left = store.executions("live", &ExecutionFilter::default()).await.unwrap();
    assert_eq!(left.len(), 2);
    assert!(left.iter().all(|execution| !execution.status.is_final()));
    assert_eq!(fixture.number("SELECT count(*) FROM execution_steps").await, 2);
    stored(store, keyed(&event("old"), "old", HOUR)).await;
}
