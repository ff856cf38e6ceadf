//! Faults that need a whole server: widely used definitions, floods of requests, and machines that run out of resources.

use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::sources::{hooked, mac};
use super::{World, following, is_ready, ready, saying, served_by, status, wait};
use crate::git_server::{Fault, GitHttp, Repository};
use crate::support::{Dev, evenkeel, folder, request, write};

fn references(files: &[(String, String)]) -> Vec<(&str, &str)> {
    files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect()
}

fn workflow(name: &str, step: &str) -> String {
    format!(
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Workflow\nmetadata: {{ name: {name} }}\nspec:\n  tier: Instant\n  steps:\n    - \
         {{ name: one, {step} }}\n"
    )
}

#[test]
fn row_49_refuses_to_rename_a_needed_definition_and_plans_show_dependants() {
    let mut files = vec![("app.yaml".to_owned(), saying("app", "first"))];
    files.extend((0..40).map(|number| (format!("w{number}.yaml"), workflow(&format!("w{number}"), "action: app/say"))));
    let world = World::start(&references(&files));
    world.wait(is_ready, "the first commit");
    // The plan that a reviewer sees before the merge.
    let planned = |text: &str, path: &str| {
        let mut changed = files.clone();
        changed[0] = (path.to_owned(), text.to_owned());
        let mine = folder(&references(&changed));
        let mine = mine.path().to_str().unwrap();
        world.run(&["plan", mine, "--server", &world.server.address, "-e", "live", "-o", "json"])
    };
    let legal = planned(&saying("app", "second"), "app.yaml");
    assert_eq!(legal.code, 0, "{}{}", legal.out, legal.err);
    let plan = &serde_json::from_str::<Value>(&legal.out).unwrap()["plan"];
    let action = &plan["actions"][0];
    assert_eq!((&action["id"], &action["dependantsTotal"]), (&json!("Connector/app"), &json!(40)), "{plan:#}");
    let dependants = action["dependants"].as_array().unwrap();
    assert!(dependants.contains(&json!("Workflow/w39")) && dependants.contains(&json!("Workflow/w0")), "{plan:#}");
    let renamed = planned(&saying("renamed", "first"), "renamed.yaml");
    assert_eq!(renamed.code, 1, "{}{}", renamed.out, renamed.err);
    assert!(renamed.err.contains("`app`"), "{}", renamed.err);
    // If it is merged nevertheless, nothing of it is applied.
    std::fs::remove_file(world.repository.work().join("app.yaml")).unwrap();
    let (_, status) = world.push(&[("renamed.yaml", &saying("renamed", "first"))], "rename");
    assert_eq!((ready(&status).1.as_str(), &status["errors"]), ("InvalidDefinitions", &json!(40)), "{status:#}");
    let findings = status["findings"].as_array().unwrap().iter().filter(|finding| finding["severity"] == "error");
    for finding in findings {
        let message = finding["message"].as_str().unwrap();
        assert_eq!((&finding["code"], message.contains("`app`")), (&json!("EK0202"), true), "{finding:#}");
    }
    assert_eq!((&status["generation"], world.connectors()), (&1.into(), vec!["app".to_owned()]));
    // A rename together with all dependants is applied.
    let all: Vec<(String, String)> = (0..40)
        .map(|number| (format!("w{number}.yaml"), workflow(&format!("w{number}"), "action: renamed/say")))
        .collect();
    let (_, status) = world.push(&references(&all), "with all");
    assert!(is_ready(&status), "{status:#}");
    assert_eq!(world.connectors(), ["renamed"]);
}

#[test]
fn row_50_circles_and_missing_references_are_held_and_others_go_live() {
    let calling = |name: &str, other: &str| workflow(name, &format!("workflow: {other}"));
    let set = |name: &str, value: &str| workflow(name, &format!("set: {{ value: {value} }}"));
    let world = World::with(
        &[("a.yaml", &set("a", "first")), ("b.yaml", &calling("b", "a")), ("c.yaml", &saying("c", "first"))],
        "  sync: { apply: Isolate }\n",
        &[],
    );
    world.wait(is_ready, "the first commit");
    let (commit, status) = world.push(
        &[
            ("a.yaml", &calling("a", "b")),
            ("self.yaml", &calling("self", "self")),
            ("lost.yaml", &calling("lost", "nowhere")),
            ("c.yaml", &saying("c", "second")),
            ("new.yaml", &set("new", "first")),
        ],
        "circles",
    );
    assert_eq!(ready(&status).1, "Isolated", "{status:#}");
    let held = status["held"].as_array().unwrap();
    for id in ["Workflow/a", "Workflow/self", "Workflow/lost"] {
        assert!(held.contains(&json!(id)), "{id}: {status:#}");
    }
    assert!(!held.contains(&json!("Workflow/new")) && !held.contains(&json!("Connector/c")), "{held:?}");
    let live = format!("main@sha1:{commit}");
    assert_eq!(served_by(&world.server, "c").0, Some(live.clone()));
    let traced = |id: &str| world.server.get(&format!("/v1/environments/live/definitions/{id}"));
    assert_eq!(traced("Workflow/new").json()["owner"]["revision"], live.as_str());
    assert_ne!(traced("Workflow/a").json()["owner"]["revision"], live.as_str(), "its last good version");
    for id in ["Workflow/self", "Workflow/lost"] {
        assert_eq!(traced(id).status, 404, "{id} never was good");
    }
    // Each finding names its cause.
    let findings = status["findings"].to_string();
    for text in ["these need each other in a circle", "needs itself", "there is no Workflow `nowhere`"] {
        assert!(findings.contains(text), "{text}: {findings}");
    }
    let (_, status) = world.push(
        &[("a.yaml", &set("a", "second")), ("self.yaml", &set("self", "x")), ("lost.yaml", &calling("lost", "a"))],
        "repair",
    );
    assert!(is_ready(&status) && status["held"] == json!([]), "{status:#}");
    assert_eq!(traced("Workflow/lost").status, 200);
}

/// Revision of the newest commit in the headers of responses.
fn revision(repository: &Repository) -> Option<String> {
    Some(format!("main@sha1:{}", repository.head()))
}

#[test]
fn row_55_a_flood_of_pushes_to_one_environment_does_not_delay_another() {
    const PUSHES: usize = 2000;
    let (noisy, quiet) = (
        Repository::with(&[("a.yaml", &saying("a", "first"))]),
        Repository::with(&[("b.yaml", &saying("b", "first"))]),
    );
    let (noisy_git, quiet_git) = (GitHttp::start(noisy.root()), GitHttp::start(quiet.root()));
    let folder = tempfile::tempdir().unwrap();
    let hook = "branch: main, webhook: { provider: GitHub, secret: { secretRef: hook } }";
    let document = following(&quiet_git.url(), "  secrets: { hook: { env: TEST_HOOK } }\n");
    let document = document.replace("branch: main", hook).replace("name: live", "name: quiet");
    write(&folder.path().join("quiet.yaml"), &document);
    // The document of the flooded environment, and the server of both.
    let server = hooked(&noisy_git, folder.path(), "GitHub");
    wait(&server, "quiet", is_ready, "the quiet one");
    noisy_git.requests();
    let body = "{\"ref\":\"refs/heads/main\"}";
    let signature = format!("sha256={}", mac(body));
    let headers = [("x-hub-signature-256", signature.as_str())];
    let push = |environment: &str| {
        let path = format!("/v1/environments/{environment}/webhook");
        assert_eq!(request(&server.address, "POST", &path, &headers, body).status, 202);
    };
    // Its Git server does not respond either.
    noisy_git.fault(Fault::Hold);
    let (sent, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while sent.fetch_add(1, Ordering::Relaxed) < PUSHES || !stop.load(Ordering::Relaxed) {
                    push("live");
                }
            });
        }
        while sent.load(Ordering::Relaxed) < PUSHES / 2 {
            std::thread::sleep(Duration::from_millis(1));
        }
        quiet.commit(&[("b.yaml", &saying("b", "second"))], "second");
        noisy.commit(&[("a.yaml", &saying("a", "second"))], "second");
        push("quiet");
        let deadline = Instant::now() + Duration::from_mins(2);
        while status(&server, "quiet")["generation"] != 2 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        stop.store(true, Ordering::Relaxed);
    });
    // Checked outside, so that a failure ends the flood too.
    assert_eq!(status(&server, "quiet")["generation"], 2, "the quiet one waited for the flood");
    assert_eq!(status(&server, "live")["generation"], 1, "the flooded one could not know");
    noisy_git.fault(Fault::None);
    wait(&server, "live", |status| status["generation"] == 2, "the flooded one");
    let listings = noisy_git.requests().iter().filter(|request| request.contains("info/refs")).count();
    assert!(listings < 100, "{PUSHES} pushes caused {listings} fetches");
}

#[test]
fn row_56_applies_removals_after_a_suspension() {
    let world = World::start(&[("a.yaml", &saying("a", "first")), ("b.yaml", &saying("b", "first"))]);
    world.wait(is_ready, "the first commit");
    assert_eq!(world.run(&["suspend", "-e", "live"]).code, 0);
    std::fs::remove_file(world.repository.work().join("b.yaml")).unwrap();
    let (_, status) = world.push(&[("a.yaml", &saying("a", "second"))], "remove");
    assert_eq!((ready(&status).1.as_str(), &status["generation"]), ("Suspended", &1.into()), "{status:#}");
    assert_eq!((world.connectors().len(), &world.status()["tombstones"]), (2, &json!([])));
    // Concurrent suspensions and resumptions: the last request counts.
    std::thread::scope(|scope| {
        for verb in ["suspend", "resume", "suspend", "resume"] {
            let address = &world.server.address;
            scope.spawn(move || request(address, "POST", &format!("/v1/environments/live/{verb}"), &[], "{}"));
        }
    });
    let resumed = world.run(&["resume", "-e", "live"]);
    assert_eq!(resumed.code, 0, "{}{}", resumed.out, resumed.err);
    let status = world.status();
    assert!(is_ready(&status) && status["suspended"].is_null(), "{status:#}");
    assert_eq!((world.connectors(), &status["generation"]), (vec!["a".to_owned()], &2.into()), "{status:#}");
    assert_eq!(status["tombstones"][0]["id"], "Connector/b");
}

#[test]
fn row_57_a_hanging_fetch_does_not_hold_back_newer_commits() {
    let world = World::start(&[("a.yaml", &saying("a", "first"))]);
    world.wait(is_ready, "the first commit");
    let first = revision(&world.repository);
    world.git.requests();
    world.git.fault(Fault::Hold);
    world.repository.commit(&[("a.yaml", &saying("a", "second"))], "second");
    let address = world.server.address.clone();
    let stalled = std::thread::spawn(move || {
        // The response comes after the pass, which is long.
        request(&address, "POST", "/v1/environments/live/reconcile", &[], "")
    });
    while world.git.requests().is_empty() {
        std::thread::sleep(Duration::from_millis(5));
    }
    // Meanwhile all other requests are answered, and the live generation keeps serving.
    world.repository.commit(&[("a.yaml", &saying("a", "third"))], "third");
    assert_eq!(served_by(&world.server, "a").0, first);
    assert_eq!((world.server.get("/healthz").status, world.status()["generation"].as_u64()), (200, Some(1)));
    world.git.fault(Fault::None);
    let status = world.wait(|status| status["generation"] != 1 && is_ready(status), "the newest commit");
    assert_eq!((is_ready(&status), &status["generation"]), (true, &2.into()), "{status:#}");
    assert_eq!(served_by(&world.server, "a").0, revision(&world.repository));
    stalled.join().unwrap();
}

/// `evenkeel serve` with limits as of `ulimit`, and with signals of files that are too large ignored, as on a full disk.
fn limited(folder: &std::path::Path, limit: &str) -> Dev {
    let binary = evenkeel().get_program().to_owned();
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("trap '' XFSZ; ulimit {limit}; exec \"$@\"")).arg("sh").arg(binary);
    command.arg("serve").arg(folder).args(["--port", "0", "--allow-loopback", "--allow-local-repositories", "--state"]);
    command.arg(folder.join(".state")).env("EVENKEEL_LOG", "info,sqlx=warn");
    Dev::spawn(&mut command)
}

/// Definitions of random text, which cannot be compressed.
fn large(count: usize) -> Vec<(String, String)> {
    let noise = |seed: usize| {
        let digest = |at: usize| evenkeel::text::Digest::of(format!("{seed} {at}").as_bytes()).hex();
        (0..300).map(digest).collect::<Vec<String>>().join("\n# ")
    };
    (0..count)
        .map(|number| {
            (format!("n{number}.yaml"), format!("# {}\n{}", noise(number), saying(&format!("n{number}"), "x")))
        })
        .collect()
}

#[test]
fn row_53_reports_a_full_disk_and_keeps_serving() {
    let mut world = World::start(&[("a.yaml", &saying("a", "first"))]);
    world.wait(is_ready, "the first commit");
    let first = revision(&world.repository);
    world.server.kill();
    // No file may become larger than 512 KiB: neither the database nor a pack.
    world.server = limited(world.folder.path(), "-f 1024");
    let status = world.wait(is_ready, "a start on a disk that is nearly full");
    assert_eq!((&status["generation"], served_by(&world.server, "a").0), (&1.into(), first.clone()));
    let (_, status) = world.push(&references(&large(100)), "large");
    let (truth, reason, message) = ready(&status);
    assert_eq!(truth, "False", "{status:#}");
    assert_eq!(reason, "FetchFailed", "{message}");
    assert!(message.contains("Unreadable") && message.contains("state folder (File too large)"), "{message}");
    for _ in 0..3 {
        assert_eq!((served_by(&world.server, "a").0, world.connectors().len()), (first.clone(), 1));
        world.look();
    }
    assert_eq!(world.server.get("/readyz").status, 200, "it still serves");
    let said = world.server.said();
    assert!(!said.contains("panicked"), "{said}");
    // The commit is applied once there is space.
    world.restart(&[]);
    let status = world.wait(|status| status["generation"] == 2 && is_ready(status), "space");
    assert_eq!((is_ready(&status), world.connectors().len()), (true, 101), "{status:#}");
}

#[test]
#[cfg_attr(missing_mount, ignore = "needs the right to mount a file system")]
fn row_53_recovers_from_a_full_disk_of_the_database() {
    let mount = |args: &[&str]| Command::new(args[0]).args(&args[1..]).output();
    let disk = tempfile::tempdir().unwrap();
    let path = disk.path().to_str().unwrap();
    let mounted = mount(&["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", path]);
    assert!(mounted.is_ok_and(|output| output.status.success()), "a file system in memory cannot be mounted");
    let end = scopeguard(|| drop(mount(&["umount", "-l", path])));
    let store = format!("sqlite:{path}/evenkeel.db");
    let mut world = World::with(&[("a.yaml", &saying("a", "first"))], "", &["--store", &store]);
    world.wait(is_ready, "the first commit");
    let first = revision(&world.repository);
    world.repository.commit(&references(&large(250)), "more than the disk holds");
    // Requests are refused with the cause, even if the status cannot be stored.
    let ask = || world.server.post("/v1/environments/live/reconcile", &[], "");
    for _ in 0..4 {
        let answer = ask();
        assert!(answer.status == 200 || answer.body.contains("the disk is full"), "{answer:?}");
        assert_eq!((served_by(&world.server, "a").0, world.connectors().len()), (first.clone(), 1));
    }
    let status = world.status();
    let (truth, reason, message) = ready(&status);
    assert_eq!((truth.as_str(), status["generation"].as_u64()), ("False", Some(1)), "{status:#}");
    assert!(reason.starts_with("Store") && message.contains("full"), "{reason}: {message}");
    assert!(!world.server.said().contains("panicked"));
    // The disk grows, and the commit is applied.
    assert!(mount(&["mount", "-o", "remount,size=64m", path]).unwrap().status.success());
    let status = world.look();
    let status = if is_ready(&status) { status } else { world.wait(is_ready, "the end of the shortage") };
    assert_eq!((&status["generation"], world.connectors().len()), (&2.into(), 251));
    drop(world);
    drop(end);
}

/// Runs a function at the end of a scope, also after a panic.
fn scopeguard<F: FnMut()>(end: F) -> impl Drop {
    struct Guard<F: FnMut()>(F);
    impl<F: FnMut()> Drop for Guard<F> {
        fn drop(&mut self) {
            (self.0)();
        }
    }
    Guard(end)
}

#[test]
fn row_53_recovers_once_file_descriptors_are_free_again() {
    let mut world = World::start(&[("a.yaml", &saying("a", "first"))]);
    world.wait(is_ready, "the first commit");
    world.server.kill();
    world.server = limited(world.folder.path(), "-n 64");
    world.wait(is_ready, "a start with 64 descriptors");
    let host = world.server.address.trim_start_matches("http://").to_owned();
    let idle: Vec<_> = (0..100).map(|_| std::net::TcpStream::connect(&host).unwrap()).collect();
    let said = world.server.wait_for("Too many open files");
    assert!(!said.contains("panicked"), "{said}");
    world.repository.commit(&[("a.yaml", &saying("a", "second"))], "second");
    drop(idle);
    let status = world.look();
    let status = if is_ready(&status) { status } else { world.wait(is_ready, "the end of the shortage") };
    assert_eq!((&status["generation"], served_by(&world.server, "a").0), (&2.into(), revision(&world.repository)));
}

#[test]
fn row_53_reports_an_unwritable_state_folder_at_the_start() {
    let world = World::start(&[("a.yaml", &saying("a", "first"))]);
    // A file in place of the folder, which not even root can write to.
    let state = world.folder.path().join("occupied");
    write(&state, "");
    let said = crate::support::run([
        "serve".as_ref(),
        world.folder.path().as_os_str(),
        "--port".as_ref(),
        "0".as_ref(),
        "--state".as_ref(),
        state.as_os_str(),
    ]);
    assert_ne!(said.code, 0);
    assert!(said.err.contains("check the path and its permissions"), "{}", said.err);
    assert!(said.out.is_empty(), "it does not say that it listens: {}", said.out);
}

/// Peak memory of a process, in MiB.
fn peak(server: &Dev) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).and_then(|kibibytes| kibibytes.parse::<u64>().ok()).unwrap() / 1024
}

#[test]
fn row_54_ten_thousand_definitions_in_bounded_memory() {
    const MAX_MIB: u64 = 512;
    let files: Vec<(String, String)> =
        (0..10_000).map(|at| (format!("{}/c{at}.yaml", at % 100), saying(&format!("c{at}"), "x"))).collect();
    let world = World::start(&references(&files));
    let status = world.wait(is_ready, "ten thousand definitions");
    assert_eq!(status["definitions"], 10_001);
    let first = peak(&world.server);
    // Changes take hardly more memory than the first load.
    for at in 0..10 {
        let (_, status) = world.push(&[("7/c7.yaml", &saying("c7", &format!("v{at}")))], "one of them");
        assert!(is_ready(&status), "{status:#}");
    }
    let after = peak(&world.server);
    assert!(after < MAX_MIB, "{after} MiB");
    assert!(after < first + first / 2, "{first} MiB at first, {after} MiB after ten changes");
}
