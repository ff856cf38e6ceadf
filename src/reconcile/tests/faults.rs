//! Single faults, each with what becomes of it.

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
fn row_44_what_was_planned_before_another_went_live_is_refused() {
    on_threads(async {
        let mut one = World::new("Atomic").await;
        one.file("a.yaml", &tenant("a", "first"));
        one.look().await;
        let (mut two, _status) = engine(&one.context, &one.source, "Atomic");
        // One has looked and planned, and is paused before it acts.
        one.file("a.yaml", &tenant("a", "second"));
        one.engine.follow().await.unwrap();
        let joined = one.engine.fetch().await.unwrap();
        let proposal = one.engine.propose(&joined, None).await.unwrap();
        one.file("a.yaml", &tenant("a", "third"));
        two.look().await;
        assert_eq!(one.store.active("live").await.unwrap().unwrap().number, 2);
        let mut status = Status::default();
        let refused = one.engine.decide(&mut status, &Controls::default(), None, proposal, &joined).await.unwrap_err();
        assert_eq!(refused.reason, Reason::Stale);
        assert_eq!(one.store.active("live").await.unwrap().unwrap().number, 2);
        // It looks again, and sees what the other saw.
        one.look().await;
        assert_eq!((one.live()["a"].as_str(), one.status().generation), ("third", 2));
    });
}

#[test]
fn row_41_an_apply_whose_answer_was_lost_is_not_done_twice() {
    on_threads(async {
        let mut one = World::new("Atomic").await;
        one.file("a.yaml", &tenant("a", "first"));
        let (mut two, _status) = engine(&one.context, &one.source, "Atomic");
        let joined = one.engine.fetch().await.unwrap();
        let proposal = one.engine.propose(&joined, None).await.unwrap();
        let digest = proposal.candidate.digest;
        // The very same generation becomes active, and one never hears of it.
        two.look().await;
        let active = one.store.active("live").await.unwrap().unwrap();
        assert_eq!(active.digest, digest);
        let mut status = Status::default();
        let refused = one.engine.decide(&mut status, &Controls::default(), None, proposal, &joined).await.unwrap_err();
        assert_eq!(refused.reason, Reason::Stale);
        one.look().await;
        assert_eq!((one.reason().as_str(), one.status().generation), ("Applied", 1));
        assert_eq!(one.store.history("live", None, 10).await.unwrap().len(), 1);
    });
}

#[test]
fn row_52_a_source_that_panics_is_told_and_tried_again() {
    on_threads(async {
        let mut world = World::new("Atomic").await;
        world.file("a.yaml", &tenant("a", "first"));
        world.look().await;
        *world.source.panics.lock().unwrap() = true;
        world.file("a.yaml", &tenant("a", "second"));
        world.look().await;
        assert_eq!((world.reason().as_str(), world.live()["a"].as_str()), ("FetchFailed", "first"));
        // What fell is made anew: here as the test made it, from its document in a server.
        world.engine.sources = Some(Sources::of(vec![("source".into(), Arc::clone(&world.source) as Arc<dyn Source>)]));
        world.look().await;
        assert_eq!((world.reason().as_str(), world.live()["a"].as_str()), ("Applied", "second"));
    });
}

#[test]
fn row_44_a_lease_that_was_taken_over_fences_out() {
    on_threads(async {
        let mut one = World::new("Atomic").await;
        one.file("a.yaml", &tenant("a", "first"));
        let old = one.store.acquire_lease("environment/live", "one", 1).await.unwrap().unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
        one.store.acquire_lease("environment/live", "two", 60).await.unwrap().unwrap();
        let joined = one.engine.fetch().await.unwrap();
        let proposal = one.engine.propose(&joined, None).await.unwrap();
        let mut status = Status::default();
        let refused =
            one.engine.decide(&mut status, &Controls::default(), Some(&old), proposal, &joined).await.unwrap_err();
        assert_eq!(refused.reason, Reason::Fenced);
        assert!(one.store.active("live").await.unwrap().is_none());
    });
}

#[test]
fn writing_by_hand_on_two_processes_loses_neither() {
    on_threads(async {
        let mut one = World::new("Atomic").await;
        one.file("a.yaml", &tenant("a", "first"));
        one.look().await;
        let (mut two, _status) = engine(&one.context, &one.source, "Atomic");
        two.look().await;
        let put = |name: &str| Request::Put {
            id: format!("Tenant/{name}").parse().unwrap(),
            text: tenant(name, "hand"),
            json: false,
            over: None,
            reason: None,
        };
        two.answer(put("x"), "bob").await.unwrap();
        // One does not know of it yet.
        one.engine.answer(put("y"), "alice").await.unwrap();
        one.look().await;
        assert_eq!(one.live().into_keys().collect::<Vec<_>>(), ["a", "x", "y"]);
    });
}

#[test]
fn an_override_that_cannot_be_taken_back_does_not_make_it_look_harder() {
    on_threads(async {
        let mut world = World::new("Atomic").await;
        world.file("a.yaml", &tenant("a", "first"));
        world.look().await;
        let id = "Tenant/a".parse().unwrap();
        let request = Request::Put { id, text: tenant("a", "hand"), json: false, over: Some(1), reason: None };
        world.engine.answer(request, "alice").await.unwrap();
        world.engine.answer(Request::Suspend { reason: None }, "alice").await.unwrap();
        let wait = world.engine.look().await;
        assert!(wait > std::time::Duration::from_secs(10), "{wait:?}");
        assert_eq!(world.reason(), "Suspended");
    });
}

#[test]
fn row_51_a_file_that_is_no_definition_holds_back_nothing_else() {
    on_threads(async {
        let mut world = World::new("Isolate").await;
        world.file("a.yaml", &tenant("a", "first"));
        world.look().await;
        world.file("a.yaml", &tenant("a", "second"));
        world.file("garbage.yaml", "{{{");
        world.look().await;
        assert_eq!((world.live()["a"].as_str(), world.reason().as_str()), ("second", "Isolated"));
    });
}

#[test]
fn row_42_a_generation_that_cannot_be_read_is_made_anew() {
    on_threads(async {
        let mut world = World::new("Atomic").await;
        world.file("a.yaml", &tenant("a", "first"));
        world.look().await;
        // Its root says something that nobody stored.
        let bogus = Digest::of(b"{}");
        world.store.put_objects(&[(bogus, b"{}".to_vec())]).await.unwrap();
        let broken = store::Activation {
            environment: "live".into(),
            expected: 1,
            digest: bogus,
            revisions: BTreeMap::new(),
            cause: store::Cause::Source,
            actor: "somebody".into(),
            plan: None,
            summary: serde_json::Value::Null,
            tombstones: vec![],
            restored: vec![],
        };
        world.store.activate(&broken, None).await.unwrap();
        world.restart();
        world.look().await;
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
fn what_is_told_is_what_became_of_the_revision() {
    use super::super::status::ConditionStatus;
    use super::super::status_writer::event;
    use crate::definition::environment::NotificationEvent as Told;
    let status = |reason: &str, attempted: &str, applied: &str| {
        let mut status = Status::default();
        let truth = if matches!(reason, "Applied" | "Suspended" | "HeldBack") {
            ConditionStatus::True
        } else {
            ConditionStatus::False
        };
        status.set(ConditionKind::Ready, truth, Reason::parse(reason), "", 0);
        status.last_attempted = [("source".to_owned(), attempted.to_owned())].into();
        status.last_applied = [("source".to_owned(), applied.to_owned())].into();
        status
    };
    let applied = status("Applied", "1", "1");
    let broken = status("InvalidDefinitions", "2", "1");
    for (before, after, told) in [
        (&Status::default(), &applied, Some(Told::Applied)),
        (&applied, &broken, Some(Told::Failed)),
        (&broken, &status("InvalidDefinitions", "3", "1"), Some(Told::Failed)),
        (&broken, &status("Applied", "4", "4"), Some(Told::Recovered)),
        // A commit that changes no definition is live all the same.
        (&applied, &status("Applied", "2", "2"), Some(Told::Applied)),
        (&applied, &status("AwaitingApproval", "2", "1"), Some(Told::AwaitingApproval)),
        (&applied, &status("PruneBlocked", "2", "1"), Some(Told::PruneBlocked)),
        (&broken, &status("Suspended", "2", "1"), None),
        (&applied, &status("Progressing", "2", "2"), None),
        (&status("Progressing", "2", "2"), &status("Applied", "2", "2"), Some(Told::Applied)),
        (&applied, &applied, None),
    ] {
        assert_eq!(event(before, after), told, "{:?} to {:?}", before.conditions, after.conditions);
    }
}
