//! Secrets in encrypted files of a repository, from the files to the application that receives them.

use std::sync::Arc;

use evenkeel::connector::{ProvidedSecrets, Runtime, Secrets as _, Vault};
use evenkeel::reconcile::validate;
use evenkeel::source::directory;
use evenkeel::source::encrypted::Identities;
use evenkeel::text::codes;

use crate::support::{Dev, Said, evenkeel, root, said, write};
use crate::upstream::application;

const SECRETS: &str = "
    whole: { age: { file: ../encrypted/whole.age } }
    inner: { age: { file: ../encrypted/inner.yaml.age, key: database.password } }
    password: { sops: { file: ../encrypted/values.yaml, key: database.password } }
    token: { sops: { file: ../encrypted/values.env, key: TOKEN } }
    list: { sops: { file: ../encrypted/values.json, key: list } }
    nowhere: { sops: { file: ../encrypted/values.yaml, key: database.nope } }
    empty: { sops: { file: ../encrypted/values.yaml, key: empty } }
    others: { sops: { file: ../encrypted/others.yaml, key: key_secret } }
    bytes: { sops: { file: ../encrypted/whole.bin } }
    cluster: { kubernetes: { name: a, key: b } }
    vault: { vault: { path: a, key: b } }
";

/// A folder of definitions with encrypted files beside them, and an application at a port.
fn definitions(port: u16) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let encrypted = folder.path().join("encrypted");
    std::fs::create_dir(&encrypted).unwrap();
    for file in std::fs::read_dir(root().join("tests/encrypted")).unwrap().map(Result::unwrap) {
        std::fs::copy(file.path(), encrypted.join(file.file_name())).unwrap();
    }
    let environment = format!(
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Environment\nmetadata: {{ name: test }}\nspec:\n  secrets:{SECRETS}"
    );
    write(&folder.path().join("environments/test.yaml"), &environment);
    let connector = format!(
        r#"apiVersion: evenkeel.dev/v1alpha1
kind: Connector
metadata: {{ name: local }}
spec:
  displayName: Local
  baseUrl: http://127.0.0.1:{port}
  actions:
    read:
      http:
        path: /
        headers: {{ X-Password: "{{{{ get_secret('password') }}}}", X-Inner: "{{{{ get_secret('inner') }}}}" }}
      tests: [{{ name: reads, respond: {{ body: 1 }} }}]
"#
    );
    write(&folder.path().join("local.yaml"), &connector);
    folder
}

fn key(name: &str) -> String {
    std::fs::read_to_string(root().join("tests/encrypted").join(name)).unwrap()
}

#[test]
fn encrypted_files_beside_definitions_cause_no_findings() {
    let folder = definitions(1);
    let validated = validate::folder(folder.path()).unwrap();
    // The definition reads a vault, which is not in effect yet, and an address of this machine; and not every secret is used.
    let of_definition = [codes::PLANNED.id, codes::REFUSED_ADDRESS.id];
    let found = validated.findings.iter().filter(|finding| !of_definition.contains(&finding.code.id));
    let found = found.map(|finding| finding.message.as_str());
    let found: Vec<_> = found.filter(|message| !message.starts_with("nothing uses the secret")).collect();
    assert_eq!(found, [""; 0]);
    assert_eq!(validated.catalog.entries.len(), 2);
}

#[test]
fn decrypts_each_secret_or_names_the_cause() {
    let folder = definitions(1);
    let validated = validate::folder(folder.path()).unwrap();
    let runtime = Runtime::compile(&validated.catalog, None, String::new(), None).unwrap();
    let read = |path: &str| directory::read_inside(folder.path(), path, 1 << 20).ok();
    let identities = Some(Arc::new(Identities::parse(&key("key.txt")).unwrap()));
    let vault = Vault::load(&runtime.secrets, identities, read);
    assert_eq!(vault.files.len(), 7);
    let shown = format!("{vault:?}");
    assert!(shown.contains("encrypted/values.yaml") && !shown.contains("AGE-SECRET"), "{shown}");
    let secrets = ProvidedSecrets::new(runtime.secrets.clone(), Arc::new(vault));
    for (name, value) in [
        ("whole", "opened with age"),
        ("inner", "pa$$w0rd"),
        ("password", "pa$$w0rd"),
        ("token", "top secret"),
        ("list", r#"["a",{"b":null}]"#),
    ] {
        assert_eq!(secrets.get(name).as_deref(), Ok(value), "{name}");
    }
    for (name, reason) in [
        ("nowhere", "secret `nowhere`: encrypted/values.yaml: it has no value at `database.nope`"),
        ("empty", "the value is empty"),
        ("others", "encrypted/others.yaml: it is encrypted for other age keys"),
        ("bytes", "the value is not UTF-8"),
        ("cluster", "read by `evenkeel operator` only"),
        ("vault", "not from `vault`"),
    ] {
        let error = secrets.get(name).unwrap_err();
        assert!(error.contains(reason), "{name}: {error}");
        assert!(!error.contains("ENC["), "{error}");
    }
    let without = Vault::load(&runtime.secrets, None, read);
    let error = ProvidedSecrets::new(runtime.secrets.clone(), Arc::new(without)).get("password").unwrap_err();
    assert!(error.contains("this process has no key; set EVENKEEL_AGE_KEY"), "{error}");
    let error = ProvidedSecrets::new(runtime.secrets.clone(), Arc::default()).get("password").unwrap_err();
    assert!(error.contains("encrypted/values.yaml is not in the source"), "{error}");
}

#[test]
fn reads_files_inside_the_folder_only() {
    let folder = definitions(1);
    let inside = |path: &str| directory::read_inside(folder.path(), path, 10);
    assert_eq!(inside("encrypted/README.md").unwrap(), b"# Encrypte");
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("key.txt"), "key").unwrap();
    std::os::unix::fs::symlink("encrypted/README.md", folder.path().join("inside")).unwrap();
    assert_eq!(inside("inside").unwrap(), b"# Encrypte");
    std::os::unix::fs::symlink(outside.path().join("key.txt"), folder.path().join("link")).unwrap();
    std::os::unix::fs::symlink(outside.path(), folder.path().join("folder")).unwrap();
    for path in
        ["link", "folder/key.txt", "../x", "encrypted/../local.yaml", "/etc/hostname", "", "encrypted", "nope", "a\\b"]
    {
        assert!(inside(path).is_err(), "{path}");
    }
}

fn call(folder: &tempfile::TempDir, variables: &[(&str, &str)]) -> Said {
    let mut command = evenkeel();
    command.env_remove("EVENKEEL_AGE_KEY").env_remove("EVENKEEL_AGE_KEY_FILE");
    command.args(["call", "local/read"]).arg(folder.path()).arg("--allow-loopback");
    said(&command.envs(variables.iter().copied()).output().unwrap())
}

const ANSWER: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";

#[test]
fn the_application_receives_decrypted_secrets() {
    let (port, received) = application(ANSWER);
    let folder = definitions(port);
    let file = root().join("tests/encrypted/key.txt");
    let both = format!("{}{}", key("other.txt"), key("key.txt"));
    for variable in [("EVENKEEL_AGE_KEY", both.as_str()), ("EVENKEEL_AGE_KEY_FILE", file.to_str().unwrap())] {
        let said = call(&folder, &[variable]);
        assert_eq!(said.code, 0, "{}{}", said.out, said.err);
        let request = received.recv().unwrap().to_ascii_lowercase();
        assert!(request.contains("x-password: pa$$w0rd") && request.contains("x-inner: pa$$w0rd"), "{request}");
        assert!(!said.err.contains("pa$$w0rd") && !said.out.contains("pa$$w0rd"));
    }
    let other = key("other.txt");
    for (variables, reason) in [
        (&[][..], "has no key"),
        (&[("EVENKEEL_AGE_KEY", other.as_str())], "for other age keys"),
        (&[("EVENKEEL_AGE_KEY", "AGE-SECRET-KEY-1NONSENSE")], "line 1 of the age keys is not a key"),
        (&[("EVENKEEL_AGE_KEY_FILE", "/nonexistent/key")], "EVENKEEL_AGE_KEY_FILE cannot be read"),
    ] {
        let said = call(&folder, variables);
        assert_ne!(said.code, 0);
        let output = said.out + &said.err;
        assert!(output.contains(reason), "{reason} is not in {output}");
        assert!(!output.contains("NONSENSE") && !output.to_uppercase().contains("AGE-SECRET-KEY-1NON"), "{output}");
    }
}

#[test]
fn dev_names_the_variable_of_the_missing_key() {
    let (port, received) = application(ANSWER);
    let folder = definitions(port);
    // `dev` has no key in its environment here: the error names the variable, and nothing is sent.
    let dev = Dev::start(folder.path(), &["--allow-loopback"]);
    let answer = dev.post("/v1/connectors/local/actions/read", &[], "{}");
    assert!(answer.status >= 400 && answer.body.contains("EVENKEEL_AGE_KEY"), "{}", answer.body);
    assert!(received.try_recv().is_err());
}
