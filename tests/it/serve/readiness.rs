//! Nothing goes live that cannot work: secrets of each provider, code, and the public address of subscriptions.

use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::{cli, connectors, following, is_ready, look, ready, saying, serve, wait};
use crate::announce::{OK, Receiver};
use crate::git_server::{GitHttp, Repository};
use crate::support::{Dev, root, write};

/// The shortest interval: a mended secret is live within it.
const INTERVAL: &str = "interval: 5s";
/// An environment variable that no process has.
const UNSET: &str = "UNSET_VARIABLE_OF_READINESS";

/// A repository with one connector that is live, and a server that follows it.
pub(super) struct World {
    repository: Repository,
    _git: GitHttp,
    folder: TempDir,
    pub(super) server: Dev,
}

impl World {
    /// `environment` holds further fields of the Environment, in which `FOLDER` stands for its folder.
    pub(super) fn start(environment: &str, variables: &[(&str, &str)]) -> World {
        let world = World::without_wait(&[("a.yaml", &saying("a", "first"))], &[], environment, variables);
        wait(&world.server, "live", is_ready, "the first commit");
        world
    }

    /// `encrypted` are files of `tests/encrypted` with their paths in the repository.
    fn without_wait(
        files: &[(&str, &str)],
        encrypted: &[(&str, &str)],
        environment: &str,
        variables: &[(&str, &str)],
    ) -> World {
        let repository = Repository::new();
        repository.write(files);
        for (from, to) in encrypted {
            copy(&repository, from, to);
        }
        repository.commit_all(&["-m", "first"]);
        let git = GitHttp::start(repository.root());
        let folder = tempfile::tempdir().unwrap();
        let shown = folder.path().to_str().unwrap().to_owned();
        let document = following(&git.url(), &environment.replace("FOLDER", &shown)).replace("interval: 1h", INTERVAL);
        write(&folder.path().join("live.yaml"), &document);
        let server = serve(folder.path(), &[], |command| {
            command.env_remove("EVENKEEL_AGE_KEY").env_remove("EVENKEEL_AGE_KEY_FILE");
            command.envs(variables.iter().map(|(name, value)| (name, value.replace("FOLDER", &shown))));
        });
        World { repository, _git: git, folder, server }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn commit(&self, files: &[(&str, &str)]) -> Value {
        self.repository.commit(files, "change");
        look(&self.server, "live")
    }

    /// Asserts that a commit is refused for a secret, and that the last good generation keeps serving.
    fn refused(&self, status: &Value, parts: &[&str]) {
        let (word, reason, message) = ready(status);
        assert_eq!((word.as_str(), reason.as_str()), ("False", "SecretsUnresolved"), "{status:#}");
        let secrets = condition(status, "SecretsResolved");
        assert_eq!(secrets["status"], "False", "{status:#}");
        for part in parts {
            assert!(message.contains(part), "{part} is not in {message}");
            assert!(secrets["message"].as_str().unwrap().contains(part), "{part} is not in {secrets}");
        }
        assert_eq!(connectors(&self.server), ["a"]);
        assert_eq!(status["generation"], 1);
        let shown = cli(&self.server.address, &["status"]);
        assert!(shown.code == 1 && shown.out.contains("SecretsUnresolved"), "{}", shown.out);
        assert!(shown.out.contains(parts[0]), "{}", shown.out);
    }

    /// Waits until a mended secret made the last commit live, for at most an interval with its jitter and some grace.
    fn live_within_an_interval(&self) -> Value {
        let started = Instant::now();
        let status = wait(&self.server, "live", is_ready, "the mended secret");
        assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
        assert_eq!(connectors(&self.server), ["a", "b"]);
        assert_eq!(condition(&status, "SecretsResolved")["status"], "True", "{status:#}");
        status
    }
}

/// A condition of a status.
pub(super) fn condition(status: &Value, kind: &str) -> Value {
    let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    conditions.into_iter().find(|one| one["type"] == kind).unwrap_or_default()
}

/// A connector whose action sends a secret.
fn using(name: &str, secret: &str) -> String {
    let header = format!("http: {{ path: /say, headers: {{ X-Key: \"{{{{ get_secret('{secret}') }}}}\" }} }}");
    saying(name, "first").replace("http: { path: /say }", &header)
}

fn encrypted(name: &str) -> String {
    std::fs::read_to_string(root().join("tests/encrypted").join(name)).unwrap()
}

fn metric(server: &Dev) -> String {
    let metrics = server.get("/metrics").body;
    let line = metrics.lines().find(|line| line.starts_with("evenkeel_secrets_unresolved{"));
    line.unwrap_or_default().rsplit(' ').next().unwrap_or_default().to_owned()
}

#[test]
fn a_missing_variable_keeps_the_last_good_generation_until_the_environment_names_a_file() {
    let world = World::start(&format!("  secrets: {{ key: {{ env: {UNSET} }} }}\n"), &[]);
    let status = world.commit(&[("b.yaml", &using("b", "key"))]);
    let problem = format!("secret `key` (env): the environment variable {UNSET} is not set");
    world.refused(&status, &[&problem, "used by Connector/b at b.yaml:9:"]);
    assert_eq!(metric(&world.server), "1");
    write(&world.path("key"), "the-value\n");
    let document = std::fs::read_to_string(world.path("live.yaml")).unwrap();
    let file = format!("file: {}", world.path("key").display());
    write(&world.path("live.yaml"), &document.replace(&format!("env: {UNSET}"), &file));
    world.live_within_an_interval();
    assert_eq!(metric(&world.server), "0");
}

#[test]
fn a_missing_file_keeps_the_last_good_generation_until_it_is_there() {
    let world = World::start("  secrets: { key: { file: FOLDER/key } }\n", &[]);
    let status = world.commit(&[("b.yaml", &using("b", "key"))]);
    world.refused(&status, &["secret `key` (file): ", "key cannot be read", "used by Connector/b"]);
    // The attempts change nothing, and the status stays as it is.
    let again = look(&world.server, "live");
    assert_eq!(again["conditions"], status["conditions"]);
    write(&world.path("key"), "the-value\n");
    world.live_within_an_interval();
}

#[test]
fn a_file_that_is_lost_while_live_takes_nothing_down() {
    let receiver = Receiver::start(&[OK]);
    let more = format!(
        "  secrets: {{ key: {{ file: FOLDER/key }}, signing: {{ env: SIGNING }} }}\n  notifications:\n    - {{ name: ops, webhook: {{ \
         url: \"{}\", secret: {{ secretRef: signing }} }} }}\n",
        receiver.url("/notify")
    );
    let signing = [("SIGNING", "whsec_c2lnbmluZy1rZXktb2YtdGhlLXRlc3Q=")];
    let world = World::start(&more, &signing);
    write(&world.path("key"), "the-value\n");
    let status = world.commit(&[("b.yaml", &using("b", "key"))]);
    assert!(is_ready(&status), "{status:#}");
    assert_eq!(condition(&status, "SecretsResolved")["message"], "all 2 secrets that are referenced can be resolved");
    std::fs::remove_file(world.path("key")).unwrap();
    let lost = |status: &Value| condition(status, "SecretsResolved")["status"] == "False";
    let status = wait(&world.server, "live", lost, "the lost file");
    assert!(is_ready(&status) && status["generation"] == 2, "{status:#}");
    assert_eq!(connectors(&world.server), ["a", "b"]);
    assert_eq!(metric(&world.server), "1");
    let shown = cli(&world.server.address, &["status"]);
    assert!(shown.code == 0 && shown.out.contains("secret `key` (file)"), "{}", shown.out);
    // Further checks find the same.
    look(&world.server, "live");
    look(&world.server, "live");
    write(&world.path("key"), "the-value\n");
    let found = |status: &Value| condition(status, "SecretsResolved")["status"] == "True";
    wait(&world.server, "live", found, "the mended file");
    assert_eq!(metric(&world.server), "0");
    receiver.wait_for(4);
    let events: Vec<String> =
        receiver.got().iter().map(|got| got.json()["type"].as_str().unwrap().to_owned()).collect();
    let expected =
        ["applied", "applied", "secrets_unresolved", "secrets_resolved"].map(|word| format!("environment.{word}"));
    assert_eq!(events, expected, "one notification of each change");
    let text = receiver.got()[2].json()["data"]["text"].as_str().unwrap().to_owned();
    assert!(text.contains("secret `key` (file)") && text.contains("Connector/b at b.yaml"), "{text}");
}

#[test]
fn a_call_that_fails_on_a_secret_is_reported_before_the_next_interval() {
    let world = World::start("  secrets: { key: { file: FOLDER/key } }\n", &[]);
    write(&world.path("key"), "the-value\n");
    let document = std::fs::read_to_string(world.path("live.yaml")).unwrap();
    write(&world.path("live.yaml"), &document.replace(INTERVAL, "interval: 1h"));
    world.repository.commit(&[("b.yaml", &using("b", "key"))], "change");
    // The changed document is followed within some seconds, and with it the commit.
    wait(&world.server, "live", |status| is_ready(status) && status["generation"] == 2, "the commit");
    std::thread::sleep(Duration::from_secs(6));
    std::fs::remove_file(world.path("key")).unwrap();
    let answer = world.server.post("/v1/connectors/b/actions/say", &[], "{}");
    assert!(answer.status >= 400 && answer.body.contains("cannot be read"), "{answer:?}");
    let lost = |status: &Value| condition(status, "SecretsResolved")["status"] == "False";
    let started = Instant::now();
    wait(&world.server, "live", lost, "the failed call");
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
}

/// A world whose server has the keys of a file, which a test changes.
fn with_keys(file: (&str, &str), secret: &str, keys: &str) -> World {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.keep().join("keys");
    write(&path, &encrypted(keys));
    let variables = [("EVENKEEL_AGE_KEY_FILE", path.to_str().unwrap())];
    let environment = format!("  secrets: {{ key: {secret} }}\n");
    let world = World::without_wait(&[("a.yaml", &saying("a", "first"))], &[file], &environment, &variables);
    wait(&world.server, "live", is_ready, "the first commit");
    std::os::unix::fs::symlink(&path, world.path("keys")).unwrap();
    world
}

/// Adds keys to the file that the server has its keys from.
fn add_keys(world: &World, name: &str) {
    let path = std::fs::read_link(world.path("keys")).unwrap();
    let before = std::fs::read_to_string(&path).unwrap();
    write(&path, &(before + &encrypted(name)));
}

/// Copies a file of `tests/encrypted` into a repository.
fn copy(repository: &Repository, from: &str, to: &str) {
    let to = repository.work().join(to);
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    std::fs::copy(root().join("tests/encrypted").join(from), to).unwrap();
}

#[test]
fn an_age_file_for_another_key_keeps_the_last_good_generation_until_the_key_is_there() {
    let world = with_keys(("whole.age", "enc/whole.age"), "{ age: { file: enc/whole.age } }", "other.txt");
    let status = world.commit(&[("b.yaml", &using("b", "key"))]);
    world.refused(&status, &["secret `key` (age): enc/whole.age: it is encrypted for other age keys"]);
    add_keys(&world, "key.txt");
    world.live_within_an_interval();
}

#[test]
fn a_sops_file_for_another_recipient_keeps_the_last_good_generation_until_the_key_is_there() {
    let world = with_keys(("values.yaml", "enc/values.yaml"), "{ sops: { file: enc/values.yaml } }", "key.txt");
    copy(&world.repository, "others.yaml", "enc/values.yaml");
    let status = world.commit(&[("b.yaml", &using("b", "key"))]);
    world.refused(&status, &["secret `key` (sops): enc/values.yaml: it is encrypted for other age keys"]);
    add_keys(&world, "other.txt");
    let status = world.live_within_an_interval();
    // The key is taken away: the active generation stays, and the status says it.
    let path = std::fs::read_link(world.path("keys")).unwrap();
    write(&path, &encrypted("key.txt"));
    let lost = |status: &Value| condition(status, "SecretsResolved")["status"] == "False";
    let after = wait(&world.server, "live", lost, "the key that was taken away");
    assert!(is_ready(&after) && after["generation"] == status["generation"], "{after:#}");
}

#[test]
fn a_sops_file_that_a_merge_damaged_keeps_the_last_good_generation() {
    for (file, secret) in [
        ("values.yaml", "{ sops: { file: enc/values.yaml, key: database.password } }"),
        ("values.env", "{ sops: { file: enc/values.env, key: TOKEN } }"),
    ] {
        let path = format!("enc/{file}");
        let world = with_keys((file, &path), secret, "key.txt");
        let status = world.commit(&[("b.yaml", &using("b", "key"))]);
        assert!(is_ready(&status), "{file}: {status:#}");
        let good = encrypted(file);
        let middle = good[..good.len() / 2].rfind('\n').unwrap() + 1;
        let (start, end) = good.split_at(middle);
        let line = start.lines().next().unwrap();
        let damaged = format!("<<<<<<< HEAD\n{line}\n=======\n{start}>>>>>>> main\n{end}");
        let changed = using("b", "key").replace("first", "second");
        let status = world.commit(&[(&path, &damaged), ("b.yaml", &changed)]);
        let (word, _, message) = ready(&status);
        assert!(word == "False" && message.contains(&path), "{file}: {status:#}");
        assert_eq!((&status["generation"], connectors(&world.server)), (&2.into(), vec!["a".into(), "b".into()]));
        let status = world.commit(&[(&path, &good)]);
        assert!(is_ready(&status) && status["generation"] == 3, "{file}: {status:#}");
    }
}

#[test]
fn without_a_last_good_generation_nothing_serves_half() {
    let files = [("a.yaml", saying("a", "first")), ("b.yaml", using("b", "key"))];
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let world = World::without_wait(&files, &[], "  secrets: { key: { file: FOLDER/key } }\n", &[]);
    let refused = |status: &Value| ready(status).1 == "SecretsUnresolved";
    let status = wait(&world.server, "live", refused, "the refusal");
    assert_eq!((ready(&status).0.as_str(), &status["generation"]), ("False", &Value::Null), "{status:#}");
    assert_eq!(connectors(&world.server), [""; 0]);
    write(&world.path("key"), "the-value\n");
    world.live_within_an_interval();
}

#[test]
fn isolation_holds_only_the_definitions_that_need_the_secret() {
    let world = World::start("  sync: { apply: Isolate }\n  secrets: { key: { file: FOLDER/key } }\n", &[]);
    let status = world.commit(&[
        ("a.yaml", &using("a", "key")),
        ("b.yaml", &using("b", "key")),
        ("c.yaml", &saying("c", "first")),
    ]);
    let (word, reason, message) = ready(&status);
    assert_eq!((word.as_str(), reason.as_str()), ("False", "Isolated"), "{status:#}");
    assert!(message.contains("secret `key` (file)"), "{message}");
    // `a` keeps its last good version, `b` is absent, `c` is live.
    assert_eq!(connectors(&world.server), ["a", "c"]);
    assert_eq!(status["held"], serde_json::json!(["Connector/a", "Connector/b"]));
    let served = world.server.get("/v1/environments/live/definitions/Connector/a").body;
    assert!(!served.contains("get_secret"), "{served}");
    // Another pass finds the same, and changes nothing.
    assert_eq!(look(&world.server, "live")["generation"], status["generation"]);
    write(&world.path("key"), "the-value\n");
    wait(&world.server, "live", is_ready, "the mended secret");
    assert_eq!(connectors(&world.server), ["a", "b", "c"]);
}

#[test]
fn an_environment_that_warns_applies_the_revision_and_names_the_secret() {
    let world = World::start("  sync: { secrets: Warn }\n  secrets: { key: { file: FOLDER/key } }\n", &[]);
    let status = world.commit(&[("b.yaml", &using("b", "key"))]);
    assert!(is_ready(&status), "{status:#}");
    assert_eq!(connectors(&world.server), ["a", "b"]);
    let secrets = condition(&status, "SecretsResolved");
    assert_eq!((&secrets["status"], &secrets["reason"]), (&"False".into(), &"SecretsUnresolved".into()));
    assert!(secrets["message"].as_str().unwrap().contains("used by Connector/b at b.yaml:9:"), "{secrets}");
}

#[test]
fn inactive_definitions_need_no_secret() {
    let world = World::start(&format!("  secrets: {{ key: {{ env: {UNSET} }} }}\n"), &[]);
    let connection = "apiVersion: evenkeel.dev/v1alpha1\nkind: Connection\nmetadata: { name: own }\nspec: { connector: b, active: \
                      false, credentials: { apiKey: { secretRef: key } } }\n";
    let auth = "  auth: { methods: { key: { apiKey: { name: X-Key } } } }\n  actions:";
    let connector = saying("b", "first").replace("  actions:", auth);
    let status = world.commit(&[("b.yaml", &connector), ("own.yaml", connection)]);
    assert!(is_ready(&status), "{status:#}");
    assert_eq!(condition(&status, "SecretsResolved"), Value::Null);
    let status = world.commit(&[("own.yaml", &connection.replace("active: false", "active: true"))]);
    assert_eq!(ready(&status).1, "SecretsUnresolved", "{status:#}");
    assert!(ready(&status).2.contains("used by Connection/own at own.yaml:4:"), "{status:#}");
}

#[test]
fn an_operator_activates_nothing_that_cannot_work_and_may_leave_a_broken_generation() {
    let world = World::start("  secrets: { key: { file: FOLDER/key } }\n", &[]);
    write(&world.path("key"), "the-value\n");
    assert!(is_ready(&world.commit(&[("b.yaml", &using("b", "key"))])));
    assert!(is_ready(&world.commit(&[("b.yaml", &saying("b", "second")), ("c.yaml", &using("c", "key"))])));
    std::fs::remove_file(world.path("key")).unwrap();
    let roll_back = |to: u64| {
        let body = format!("{{\"to\":{to}}}");
        world.server.post("/v1/environments/live/rollback", &[("content-type", "application/json")], &body)
    };
    let refused = roll_back(2);
    assert!(refused.status == 409 && refused.body.contains("secret `key` (file)"), "{refused:?}");
    // Generation 1 does not use the secret.
    let accepted = roll_back(1);
    assert!(accepted.status < 300, "{accepted:?}");
    assert_eq!(connectors(&world.server), ["a"]);
}

#[test]
fn code_that_the_engine_cannot_compile_keeps_the_last_good_generation() {
    let world = World::start("", &[]);
    let workflow = |code: &str| {
        format!(
            "apiVersion: evenkeel.dev/v1alpha1\nkind: Workflow\nmetadata: {{ name: flow }}\nspec:\n  tier: Standard\n  source: {{ file: \
             flow.ts }}\n# {code}\n"
        )
    };
    // The reader of scripts does not look into regular expressions.
    let code = "const pattern: RegExp = /(?<=a/v;\nexport default async () => pattern.test('a');\n";
    let status = world.commit(&[("flow.yaml", &workflow("broken")), ("flow.ts", code)]);
    let (word, reason, message) = ready(&status);
    assert_eq!((word.as_str(), reason.as_str()), ("False", "CompileFailed"), "{status:#}");
    assert!(
        message.contains("Workflow/flow at flow.ts cannot be compiled") && message.contains("SyntaxError"),
        "{message}"
    );
    assert_eq!(status["generation"], 1);
    let status = world.commit(&[("flow.ts", &code.replace("/(?<=a/v", "/(?<=a)/u"))]);
    assert!(is_ready(&status), "{status:#}");
}

#[test]
fn a_subscription_needs_an_address_that_the_application_can_call() {
    let connector = saying("shop", "first").replace("http://127.0.0.1:9", "https://api.shop.com/v1")
        + "  events:\n    order:\n      webhook:\n        verify: { none: {} }\n        subscribe:\n          http: { method: POST, path: \
           /hooks, body: { url: \"{{ subscription.url }}\" } }\n";
    let rest = "apiVersion: evenkeel.dev/v1alpha1\nkind: Workflow\nmetadata: { name: flow }\nspec:\n  tier: Standard\n  source: { inline: \
                \"export default async () => 1\" }\n---\napiVersion: evenkeel.dev/v1alpha1\nkind: Trigger\nmetadata: { name: orders \
                }\nspec:\n  appEvent: { connector: shop, event: order, routes: [{ workflow: flow }] }\n";
    let world = World::start("", &[]);
    let status = world.commit(&[("shop.yaml", &connector), ("rest.yaml", rest)]);
    let (word, reason, message) = ready(&status);
    assert_eq!((word.as_str(), reason.as_str()), ("False", "PublicUrlUnknown"), "{status:#}");
    assert!(message.contains("Trigger/orders at rest.yaml:") && message.contains("--public-url"), "{message}");
    assert_eq!(connectors(&world.server), ["a"]);
}
