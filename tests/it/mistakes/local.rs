//! Mistakes that need no server.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::Mistakes;
use crate::git_server::isolated;
use crate::support::{Said, copy, evenkeel, said, write};

/// A password that no message may show.
const PASSWORD: &str = "hunter2-planted";

/// Runs the binary in a folder, without credentials of this machine.
pub fn run_in(folder: &Path, line: &str, variables: &[(&str, &str)]) -> Said {
    let mut command = evenkeel();
    command.current_dir(folder).args(words(line));
    for name in ["KUBECONFIG", "ORBIT_KEY", "HOOK_KEY", "KUBERNETES_SERVICE_HOST", "EVENKEEL_STORE"] {
        command.env_remove(name);
    }
    command.env("HOME", folder).envs(variables.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let deadline = Instant::now() + Duration::from_mins(1);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() >= deadline {
            // A mistake that is not refused, such as a server that starts.
            child.kill().unwrap();
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    said(&child.wait_with_output().unwrap())
}

/// The words of a command line; single quotes keep spaces.
fn words(line: &str) -> Vec<String> {
    line.split('\'')
        .enumerate()
        .flat_map(|(at, part)| match at % 2 {
            0 => part.split_whitespace().map(str::to_owned).collect(),
            _ => vec![part.to_owned()],
        })
        .collect()
}

pub fn make(mistakes: &mut Mistakes) {
    let work = tempfile::tempdir().unwrap();
    let folder = work.path();
    mistakes.replace(folder.to_str().unwrap(), "/work");
    std::fs::rename(copy("examples/quickstart").path(), folder.join("defs")).unwrap();
    std::fs::create_dir(folder.join("empty")).unwrap();
    let run = |line: &str| run_in(folder, line, &[]);
    let mut made = |title, line: &str, parts: &[&'static str]| {
        mistakes.add(title, &format!("evenkeel {line}"), &run(line), parts);
    };

    made("A misspelt flag", "validate --strct", &["--strct", "a similar argument exists: '--strict'"]);
    made("A misspelt command", "validat", &["validat", "a similar subcommand exists: 'validate'"]);
    made(
        "Input that is not JSON",
        "call orbit-crm/create-contact defs -i '{email: ada}'",
        &["the input is not JSON", "line 1 column 2", "expected for example"],
    );
    made(
        "An input file that is missing",
        "call orbit-crm/create-contact defs -i @contact.json",
        &["contact.json", "No such file", "from the current folder"],
    );
    made(
        "An unknown action",
        "call orbit-crm/create-contct defs",
        &["create-contct", "did you mean `create-contact`?"],
    );
    made("An unknown connector", "render orbit-cm/create-contact defs", &["orbit-cm", "did you mean `orbit-crm`?"]);
    made("An action without its connector", "render create-contact defs", &["create-contact", "CONNECTOR/ACTION"]);
    made(
        "A secret without a value, in a call",
        "call orbit-crm/list-contacts defs --tenant acme",
        &["orbit-key", "ORBIT_KEY is not set", "--mock"],
    );
    made("A folder without definitions", "validate empty", &["`empty` holds no definitions", "evenkeel init"]);
    made("A folder that is missing", "validate definitons", &["definitons", "No such file"]);
    made("Files that exist already", "init defs", &["1-environment.yaml", "nothing was written"]);
    made("An unknown code", "explain EK010", &["EK010", "EK0010"]);
    made("A plan of one folder", "plan defs", &["nothing to compare", "evenkeel plan --from main"]);
    made("An unknown test", "test defs --filter nope", &["`nope`", "connector/action/test"]);

    let git = |args: &[&str]| {
        let mut command = Command::new("git");
        for name in ["GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"] {
            command.env(name, "ada@git.test");
        }
        let output = isolated(&mut command).current_dir(folder.join("defs")).args(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    git(&["init", "--quiet", "--initial-branch=main"]);
    git(&["add", "--all", "."]);
    git(&["commit", "--quiet", "-m", "first"]);
    made("A misspelt branch", "plan --from mian defs", &["`mian`", "did you mean `main`?"]);

    let path = "apiVersion: evenkeel.dev/v1alpha1\nkind: Connector\nmetadata: { name: parcels }\nspec:\n  displayName: Parcels\n  \
                baseUrl: https://parcels.example\n  actions:\n    get:\n      http: { path: \"/parcels/{id}\" }\n      \
                response: { body: \"{{ response.json }}\" }\n";
    write(&folder.join("openapi/parcels.yaml"), path);
    made("Braces of OpenAPI in a path", "validate openapi", &["parcels.yaml:9", "{id}", "{{ pathParams.id }}"]);

    servers_that_do_not_start(folder, mistakes);
}

/// Servers that refuse to start.
fn servers_that_do_not_start(folder: &Path, mistakes: &mut Mistakes) {
    let tenant =
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Tenant\nmetadata: { name: acme }\nspec: { displayName: Acme }\n";
    write(&folder.join("tenants/acme.yaml"), tenant);
    write(&folder.join("tokens.txt"), "alice 0123456789abcdef0123\n");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let run = |line: &str, variables: &[(&str, &str)]| run_in(folder, line, variables);
    let mut made = |title, line: &str, parts: &[&'static str]| {
        mistakes.add(title, &format!("evenkeel {line}"), &run(line, &[]), parts);
    };
    let busy = run(&format!("dev defs --port {port}"), &[]);
    made("Definitions without an Environment to serve", "serve tenants --port 0", &["tenants", "evenkeel dev tenants"]);
    made("A broken file of tokens", "serve defs --port 0 --tokens tokens.txt", &["tokens.txt: line 1", "name:token"]);
    made(
        "A public address without tokens",
        "serve defs --port 0 --bind 0.0.0.0",
        &["0.0.0.0", "--tokens", "--allow-anonymous"],
    );
    made(
        "An unknown database",
        "serve defs --port 0 --store mysql://keel@db/keel",
        &["mysql://keel@db/keel", "sqlite:PATH"],
    );
    let parts = ["cannot listen on 127.0.0.1:PORT", "Address already in use", "--port 0"];
    mistakes.add("A port that is in use", "evenkeel dev defs --port PORT", &busy, &parts);
    let line = format!("serve defs --port 0 --store postgres://keel:{PASSWORD}@127.0.0.1:1/keel?sslmode=disable");
    let down = run(&line, &[]);
    assert!(!down.err.contains(PASSWORD) && !down.out.contains(PASSWORD), "{}{}", down.out, down.err);
    let parts = ["postgres://keel@127.0.0.1", "connection refused", "EVENKEEL_STORE"];
    mistakes.add("PostgreSQL that is down", &format!("evenkeel {}", line.replace(PASSWORD, "…")), &down, &parts);
    let variables = [("KUBECONFIG", "/nowhere/kubeconfig")];
    for (title, line) in [
        ("A kubeconfig that is missing, for the operator", "operator --port 0"),
        ("The same for `status`", "status --kube"),
    ] {
        let said = run(line, &variables);
        assert_eq!(said.err.matches("No such file").count(), 1, "the cause once: {}", said.err);
        let parts = ["/nowhere/kubeconfig", "No such file", "set KUBECONFIG"];
        mistakes.add(title, &format!("KUBECONFIG=/nowhere/kubeconfig evenkeel {line}"), &said, &parts);
    }
    drop(taken);
}
