//! Single faults and their outcomes.

use super::*;

fn on_threads(test: impl Future<Output = ()> + Send + 'static) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(runtime.spawn(test)).unwrap();
}

impl World {
    fn file(&self, path: &str, text: &str) {
        self.source.files.lock().unwrap().insert(path.into(), text.into());
    }
}

#[test]
fn row_44_refuses_a_plan_that_is_older_than_the_active_generation() {
    on_threads(async {
        let mut one = World::new("Atomic").await;
        one.file("a.yaml", &tenant("a", "first"));
        one.reconcile().await;
        let (mut two, _status) = reconciler(&one.context, &one.source, "Atomic");
        // The first process has planned and stops before it activates.
        one.file("a.yaml", &tenant("a", "second"));
        one.reconciler.load_active().await.unwrap();
        let merged = one.fetch().await;
        let proposal = one.reconciler.propose(&merged, None).await.result.unwrap();
        one.file("a.yaml", &tenant("a", "third"));
        two.reconcile().await;
        assert_eq!(one.store.active("live").await.unwrap().unwrap().number, 2);
        let mut status = Status::default();
        let refused =
            one.reconciler.carry_out(&mut status, &Controls::default(), None, proposal, &merged).await.unwrap_err();
        assert_eq!(refused.reason, Reason::Stale);
        assert_eq!(one.store.active("live").await.unwrap().unwrap().number, 2);
        // The next pass loads the newer generation.
        one.reconcile().await;
        assert_eq!((one.live()["a"].as_str(), one.status().generation), ("third", 2));
    });
}

#[test]
fn row_41_does_not_repeat_an_apply_whose_response_was_lost() {
    on_threads(async {
        let mut one = World::new("Atomic").await;
        one.file("a.yaml", &tenant("a", "first"));
        let (mut two, _status) = reconciler(&one.context, &one.source, "Atomic");
        let merged = one.fetch().await;
        let proposal = one.reconciler.propose(&merged, None).await.result.unwrap();
        let digest = proposal.candidate.digest;
        // The same generation becomes active, and the first process does not learn of it.
        two.reconcile().await;
        let active = one.store.active("live").await.unwrap().unwrap();
        assert_eq!(active.digest, digest);
        let mut status = Status::default();
        let refused =
            one.reconciler.carry_out(&mut status, &Controls::default(), None, proposal, &merged).await.unwrap_err();
        assert_eq!(refused.reason, Reason::Stale);
        one.reconcile().await;
        assert_eq!((one.reason().as_str(), one.status().generation), ("Applied", 1));
        assert_eq!(one.store.history("live", None, 10).await.unwrap().len(), 1);
    });
}

#[test]
fn row_52_reports_and_retries_a_source_that_panics() {
    on_threads(async {
        let mut world = World::new("Atomic").await;
        world.file("a.yaml", &tenant("a", "first"));
        world.reconcile().await;
        *world.source.panics.lock().unwrap() = true;
        world.file("a.yaml", &tenant("a", "second"));
        world.reconcile().await;
        assert_eq!((world.reason().as_str(), world.live()["a"].as_str()), ("FetchFailed", "first"));
        // A server creates the sources again from the document.
        world.reconciler.sources.replace(sources(&world.source));
        world.reconcile().await;
        assert_eq!((world.reason().as_str(), world.live()["a"].as_str()), ("Applied", "second"));
    });
}

#[test]
fn row_44_fences_the_former_holder_of_a_lease() {
    on_threads(async {
        let mut one = World::new("Atomic").await;
        one.file("a.yaml", &tenant("a", "first"));
        let old = one.store.acquire_lease("environment/live", "one", 1).await.unwrap().unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
        one.store.acquire_lease("environment/live", "two", 60).await.unwrap().unwrap();
        let merged = one.fetch().await;
        let proposal = one.reconciler.propose(&merged, None).await.result.unwrap();
        let mut status = Status::default();
        let refused = one
            .reconciler
            .carry_out(&mut status, &Controls::default(), Some(&old), proposal, &merged)
            .await
            .unwrap_err();
        assert_eq!(refused.reason, Reason::Fenced);
        assert!(one.store.active("live").await.unwrap().is_none());
    });
}

#[test]
fn definitions_written_on_two_processes_are_both_kept() {
    on_threads(async {
        let mut one = World::new("Atomic").await;
        one.file("a.yaml", &tenant("a", "first"));
        one.reconcile().await;
        let (mut two, _status) = reconciler(&one.context, &one.source, "Atomic");
        two.reconcile().await;
        let put = |name: &str| Request::Put {
            id: format!("Tenant/{name}").parse().unwrap(),
            text: tenant(name, "hand"),
            json: false,
            over: None,
            reason: None,
            precondition: Precondition::None,
        };
        two.handle(put("x"), "bob").await.unwrap();
        // The first process does not know of it yet.
        one.reconciler.handle(put("y"), "alice").await.unwrap();
        one.reconcile().await;
        assert_eq!(one.live().into_keys().collect::<Vec<_>>(), ["a", "x", "y"]);
    });
}

#[test]
fn an_expired_override_does_not_shorten_the_wait_while_suspended() {
    on_threads(async {
        let mut world = World::new("Atomic").await;
        world.file("a.yaml", &tenant("a", "first"));
        world.reconcile().await;
        let id = "Tenant/a".parse().unwrap();
        let request = Request::Put {
            id,
            text: tenant("a", "hand"),
            json: false,
            over: Some(1),
            reason: None,
            precondition: Precondition::None,
        };
        world.reconciler.handle(request, "alice").await.unwrap();
        world.reconciler.handle(Request::Suspend { reason: None }, "alice").await.unwrap();
        let wait = world.reconciler.reconcile().await;
        assert!(wait > std::time::Duration::from_secs(10), "{wait:?}");
        assert_eq!(world.reason(), "Suspended");
    });
}

#[test]
fn row_51_an_unparsable_file_holds_back_nothing_else() {
    on_threads(async {
        let mut world = World::new("Isolate").await;
        world.file("a.yaml", &tenant("a", "first"));
        world.reconcile().await;
        world.file("a.yaml", &tenant("a", "second"));
        world.file("garbage.yaml", "# evenkeel.dev/v1alpha1\n{{{");
        // Other tools have files that cannot be read as YAML.
        world.file("template.yaml", "{{{");
        world.reconcile().await;
        assert_eq!((world.live()["a"].as_str(), world.reason().as_str()), ("second", "Isolated"));
    });
}

#[test]
fn row_42_rebuilds_a_generation_that_cannot_be_read() {
    on_threads(async {
        let mut world = World::new("Atomic").await;
        world.file("a.yaml", &tenant("a", "first"));
        world.reconcile().await;
        // The root object names objects that do not exist.
        let bogus = Digest::of(b"{}");
        world.store.put_objects(&[(bogus, b"{}".to_vec())]).await.unwrap();
        let broken = store::Activation {
            environment: "live".into(),
            expected: 1,
            digest: bogus,
            revisions: BTreeMap::new(),
            cause: store::Cause::Source,
            actor: "mallory".into(),
            plan: None,
            summary: serde_json::Value::Null,
            tombstones: vec![],
            restored: vec![],
        };
        world.store.activate(&broken, None).await.unwrap();
        world.restart();
        world.reconcile().await;
        assert_eq!(
            (world.reason().as_str(), world.status().generation),
            ("Applied", 3),
            "{:?}",
            world.status().conditions
        );
        assert_eq!(world.live()["a"], "first");
    });
}

#[test]
fn reported_drift_is_counted_once_and_ends_with_a_new_revision() {
    on_threads(async {
        let mut world = World::new("Atomic, mode: Report").await;
        for text in ["first", "second"] {
            world.file("a.yaml", &tenant("a", text));
            world.reconcile().await;
        }
        // Another writer activates the first generation again.
        let first = world.store.generation("live", 1).await.unwrap().unwrap();
        let undone = store::Activation {
            environment: "live".into(),
            expected: 2,
            digest: first.digest,
            revisions: first.revisions,
            cause: store::Cause::Rollback,
            actor: "mallory".into(),
            plan: None,
            summary: serde_json::Value::Null,
            tombstones: vec![],
            restored: vec![],
        };
        world.store.activate(&undone, None).await.unwrap();
        for _ in 0..3 {
            world.reconcile().await;
            let status = world.status();
            assert_eq!((world.reason().as_str(), world.live()["a"].as_str()), ("Drifted", "first"));
            assert_eq!((status.drift.len(), status.drift[0].who.as_str()), (1, "mallory"));
        }
        let counted = r#"evenkeel_drift_detected_total{environment="live"} 1"#;
        assert!(world.context.metrics.encode().contains(counted), "{}", world.context.metrics.encode());
        world.file("b.yaml", &tenant("b", "new"));
        world.reconcile().await;
        assert_eq!((world.reason().as_str(), world.live()["a"].as_str()), ("Applied", "second"));
        assert_eq!(world.status().drift, []);
    });
}

#[test]
fn each_revision_has_the_notification_of_its_outcome() {
    use super::super::status::{ConditionStatus, Verdict};
    use super::super::status_writer::event;
    use crate::definition::environment::NotificationEvent as Event;
    let status = |reason: &str, attempted: &str, applied: &str| {
        let mut status = Status::default();
        let is_ready = matches!(reason, "Applied" | "Suspended" | "HeldBack");
        let ready = if is_ready { ConditionStatus::True } else { ConditionStatus::False };
        let (reason, message) = (Reason::parse(reason), String::new());
        status.conclude(&Verdict { ready, reason, message, stalled: false, reconciling: false }, 0);
        status.last_attempted = [("source".to_owned(), attempted.to_owned())].into();
        status.last_applied = [("source".to_owned(), applied.to_owned())].into();
        status
    };
    let applied = status("Applied", "1", "1");
    let broken = status("InvalidDefinitions", "2", "1");
    for (before, after, expected) in [
        (&Status::default(), &applied, Some(Event::Applied)),
        (&applied, &broken, Some(Event::Failed)),
        (&broken, &status("InvalidDefinitions", "3", "1"), Some(Event::Failed)),
        (&broken, &status("Applied", "4", "4"), Some(Event::Recovered)),
        // A commit that changes no definition is live as well.
        (&applied, &status("Applied", "2", "2"), Some(Event::Applied)),
        (&applied, &status("AwaitingApproval", "2", "1"), Some(Event::AwaitingApproval)),
        (&applied, &status("PruneBlocked", "2", "1"), Some(Event::PruneBlocked)),
        (&broken, &status("Suspended", "2", "1"), None),
        (&applied, &status("Progressing", "2", "2"), None),
        (&status("Progressing", "2", "2"), &status("Applied", "2", "2"), Some(Event::Applied)),
        (&applied, &applied, None),
    ] {
        assert_eq!(event(before, after), expected, "{:?} to {:?}", before.conditions, after.conditions);
    }
}

/// An override that has ended is the last trace of a definition that an emptied source declared.
#[test]
fn row_03_an_ended_override_is_not_removed_by_an_empty_source() {
    for apply in ["Atomic", "Isolate"] {
        on_threads(async move {
            let mut world = World::new(apply).await;
            world.file("a.yaml", &tenant("t3", "declared"));
            perform(&mut world, &Step::Hand(12, 0)).await;
            world.reconcile().await;
            perform(&mut world, &Step::Hand(12, 0)).await;
            for step in [Step::RemoveAll, Step::Override(3), Step::Verify] {
                perform(&mut world, &step).await;
                world.reconcile().await;
                assert_eq!(world.live().into_keys().collect::<Vec<_>>(), ["t12", "t3"], "{apply}: {step:?}");
            }
            assert_eq!(world.reason(), "PruneBlocked", "{apply}");
        });
    }
}
