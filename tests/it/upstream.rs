//! Calls over a real socket: what an application receives, and the limits of its responses.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};

use crate::support::{Dev, evenkeel, folder, run, said};

/// An application that responds to every request alike and reports the requests.
pub fn application(response: &'static str) -> (u16, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, received) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok).take(50) {
            let Some(request) = receive(&stream) else { continue };
            let _ = (&stream).write_all(response.replace("{port}", &port.to_string()).as_bytes());
            if sender.send(request).is_err() {
                break;
            }
        }
    });
    (port, received)
}

fn receive(stream: &TcpStream) -> Option<String> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap();
        }
        let end = line == "\r\n";
        head += &line;
        if end {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(head + &String::from_utf8_lossy(&body))
}

/// A connector of an application on this machine.
fn definitions(port: u16, auth: &str) -> String {
    format!(
        r#"apiVersion: evenkeel.dev/v1alpha1
kind: Environment
metadata: {{ name: test }}
spec:
  secrets: {{ key: {{ env: TEST_KEY }}, other: {{ env: TEST_OTHER }} }}
---
apiVersion: evenkeel.dev/v1alpha1
kind: Connection
metadata: {{ name: local }}
spec: {{ connector: local, credentials: {{ {auth} }} }}
---
apiVersion: evenkeel.dev/v1alpha1
kind: Connector
metadata: {{ name: local }}
spec:
  displayName: Local
  baseUrl: http://127.0.0.1:{port}/api
  auth:
    default: key
    methods:
      key: {{ apiKey: {{ name: X-Key }} }}
      basic: {{ basic: {{}} }}
      bearer: {{ bearerToken: {{}} }}
      query: {{ apiKey: {{ in: Query, name: api_key }} }}
      custom:
        custom:
          fields: {{ shop: {{ required: true }}, pin: {{ type: Password, required: true }} }}
          headers: {{ X-Shop: "{{{{ credentials.shop }}}}", X-Pin: "{{{{ credentials.pin | base64_encode }}}}" }}
  defaults:
    maxResponseBytes: 1000
    headers: {{ X-Trace: {{ value: "{{{{ request.id }}}}", overridable: true }}, X-Fixed: fixed, X-Other: "{{{{ get_secret('other') }}}}" }}
  actions:
    send:
      input: {{ type: object, required: [text], properties: {{ text: {{ type: string }}, tags: {{ type: array }} }} }}
      http:
        method: POST
        path: /items/{{{{ pathParams.id }}}}
        pathParams: {{ id: {{}} }}
        query: {{ page: {{ value: "1", overridable: true }}, q: "{{{{ input.text }}}}" }}
        body: {{ text: "{{{{ input.text }}}}", tags: "{{{{ input.tags | default([]) }}}}" }}
      response: {{ body: {{ status: "{{{{ response.status_code }}}}", got: "{{{{ response.json }}}}" }} }}
      tests: [{{ name: sends, input: {{ text: a }}, pathParams: {{ id: x }}, respond: {{ body: 1 }} }}]
    raw:
      http: {{ path: /raw }}
      tests: [{{ name: gets, respond: {{ text: x }} }}]
"#
    )
}

fn call(folder: &tempfile::TempDir, action: &str, more: &[&str]) -> crate::support::Said {
    let mut command = evenkeel();
    command.args(["call", action]).arg(folder.path()).args(["--allow-loopback"]).args(more);
    said(&command.env("TEST_KEY", "s3cret-value").env("TEST_OTHER", "0ther-value").output().unwrap())
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 24\r\nconnection: close\r\n\r\n{\"big\":18446744073709551}";

#[test]
fn the_application_receives_the_declared_request() {
    let (port, received) = application(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 8\r\nconnection: close\r\n\r\n{\"ok\":1}",
    );
    let folder = folder(&[("a.yaml", &definitions(port, "apiKey: { secretRef: key }"))]);
    let said = call(
        &folder,
        "local/send",
        &[
            "-i",
            r#"{"text":"a b/c?&","tags":["x"]}"#,
            "-p",
            "id=a@b",
            "--query",
            "page=2",
            "--header",
            "X-Trace=mine",
            "--header",
            "X-Fixed=changed",
        ],
    );
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let output: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(output, serde_json::json!({"status": 200, "got": {"ok": 1}}));
    let request = received.recv().unwrap();
    assert!(request.starts_with("POST /api/items/a%40b?page=2&q=a%20b%2Fc%3F%26 HTTP/1.1\r\n"), "{request}");
    let lower = request.to_ascii_lowercase();
    for header in [
        "x-key: s3cret-value",
        "x-other: 0ther-value",
        "x-trace: mine",
        "x-fixed: fixed",
        "content-type: application/json",
    ] {
        assert!(lower.contains(header), "{header} in {request}");
    }
    assert!(request.ends_with("{\"text\":\"a b/c?&\",\"tags\":[\"x\"]}"), "{request}");
}

#[test]
fn each_authentication_method_sends_its_credentials() {
    let cases = [
        (
            "method: basic, credentials: { username: ada, password: { secretRef: key } }",
            "authorization: basic ywrhonmzy3jldc12ywx1zq==",
        ),
        ("method: bearer, credentials: { token: { secretRef: key } }", "authorization: bearer s3cret-value"),
        ("method: query, credentials: { apiKey: { secretRef: key } }", "/api/raw?api_key=s3cret-value "),
        ("method: custom, credentials: { shop: keel, pin: { secretRef: key } }", "x-pin: cznjcmv0lxzhbhvl"),
    ];
    for (connection, expected) in cases {
        let (port, received) = application("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
        let text = definitions(port, "")
            .replace("connector: local, credentials: {  }", &format!("connector: local, {connection}"));
        let folder = folder(&[("a.yaml", &text)]);
        let said = call(&folder, "local/raw", &[]);
        assert_eq!((said.code, said.out.as_str()), (0, "ok"), "{}", said.err);
        let request = received.recv().unwrap().to_ascii_lowercase();
        assert!(request.contains(expected), "{expected} in {request}");
    }
}

#[test]
fn bytes_pass_through_without_a_transform() {
    let (port, _received) = application(OK);
    let folder = folder(&[("a.yaml", &definitions(port, "apiKey: { secretRef: key }"))]);
    assert_eq!(call(&folder, "local/raw", &[]).out, "{\"big\":18446744073709551");
}

#[test]
fn responses_of_applications_are_limited() {
    let long = "HTTP/1.1 200 OK\r\ncontent-length: 2000\r\nconnection: close\r\n\r\n";
    let cases: [(&'static str, &str); 5] = [
        (Box::leak(format!("{long}{}", "x".repeat(2000)).into_boxed_str()), "RESPONSE_TOO_LARGE"),
        (
            "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/latest/meta-data\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            "REFUSED_ADDRESS",
        ),
        (
            "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:{port}/api/raw\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            "UNREACHABLE",
        ),
        ("HTTP/1.1 503 Busy\r\ncontent-length: 4\r\nconnection: close\r\n\r\nbusy", "UPSTREAM_ERROR"),
        ("nonsense\r\n\r\n", "UNREACHABLE"),
    ];
    for (response, code) in cases {
        let (port, _received) = application(response);
        let folder = folder(&[("a.yaml", &definitions(port, "apiKey: { secretRef: key }"))]);
        let said = call(&folder, "local/raw", &["-o", "json"]);
        assert_eq!(said.code, 1, "{response:?}: {}{}", said.out, said.err);
        let error: serde_json::Value = serde_json::from_str(&said.out).unwrap();
        assert_eq!(error["code"], code, "{error}");
        assert!(!format!("{}{}", said.out, said.err).contains("s3cret-value"), "{}", said.out);
    }
}

#[test]
fn the_local_machine_is_refused_unless_allowed() {
    let (port, received) = application(OK);
    let folder = folder(&[("a.yaml", &definitions(port, "apiKey: { secretRef: key }"))]);
    let mut command = evenkeel();
    command.args(["call", "local/raw"]).arg(folder.path()).env("TEST_KEY", "k").env("TEST_OTHER", "o");
    let refused = said(&command.output().unwrap());
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("REFUSED_ADDRESS"), "{}", refused.err);
    assert!(received.try_recv().is_err(), "a request was sent");
    let dev = Dev::start(folder.path(), &[]);
    let answer = dev.post("/v1/connectors/local/actions/raw", &[], "");
    assert!(
        ["REFUSED_ADDRESS", "CREDENTIAL_UNAVAILABLE"].contains(&answer.json()["code"].as_str().unwrap()),
        "{answer:?}"
    );
    assert!(received.try_recv().is_err(), "a request was sent");
}

#[test]
fn a_missing_secret_is_named_and_nothing_is_sent() {
    let (port, received) = application(OK);
    let folder = folder(&[("a.yaml", &definitions(port, "apiKey: { secretRef: key }"))]);
    let mut command = evenkeel();
    command
        .args(["call", "local/raw", "--allow-loopback"])
        .arg(folder.path())
        .env_remove("TEST_KEY")
        .env("TEST_OTHER", "o");
    let missing = said(&command.output().unwrap());
    assert_eq!(missing.code, 1);
    assert!(
        missing.err.contains("CREDENTIAL_UNAVAILABLE") && missing.err.contains("TEST_KEY is not set"),
        "{}",
        missing.err
    );
    assert!(received.try_recv().is_err(), "a request was sent");
}

/// The actions of a connector whose requests are rendered and sent.
const RENDERED: &str = r#"
    text: { http: { method: PUT, path: /text, text: "{{ '%.2f' | format(10.1) }}" } }
    spaced: { http: { method: POST, path: /spaced, headers: { Content-Type: application/json }, text: "{ \"n\": {{ '%.2f' | format(10.1) }} }\n" } }
    tree: { http: { method: POST, path: /tree, body: { a: 1.0, b: 1e3, c: 18446744073709551615, d: "1.10", e: [true, ~], f: "{{ input.f }}" } } }
    form: { http: { method: PATCH, path: /form, form: { a: "x y", b: [1.0, 2] } } }
    none: { http: { method: POST, path: /none } }
    get: { http: { path: /get, query: { q: "a b&c" }, headers: { X-Version: 1.0, Accept: text/csv } } }
    coded: { http: { method: DELETE, path: /coded, headers: { Accept-Encoding: identity, User-Agent: me } } }
"#;

/// Header fields of a request in lower case and sorted, and its body.
fn parts(request: &str, line_end: &str) -> (Vec<String>, String) {
    let (head, body) = request.split_once(&line_end.repeat(2)).unwrap_or((request, ""));
    let lines = head.trim_end().split(line_end).skip(1);
    let field = |line: &str| {
        let (name, value) = line.split_once(": ").unwrap_or((line, ""));
        format!("{}: {value}", name.to_lowercase())
    };
    let mut fields: Vec<String> = lines.map(field).collect();
    fields.sort();
    (fields, body.to_owned())
}

#[test]
fn a_rendered_request_is_the_one_that_is_sent() {
    let (port, received) = application("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
    let connector = format!(
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Connector\nmetadata: {{ name: local }}\nspec:\n  displayName: Local\n  \
         baseUrl: http://127.0.0.1:{port}/api\n  actions:{RENDERED}"
    );
    let folder = folder(&[("a.yaml", &connector)]);
    let path = folder.path().to_str().unwrap();
    for action in ["text", "spaced", "tree", "form", "none", "get", "coded"] {
        let (action, input) = (format!("local/{action}"), ["-i", r#"{"f": 2.50}"#]);
        let called = run([&["call", &action, path, "--allow-loopback"], &input[..]].concat());
        assert_eq!(called.code, 0, "{action}: {}", called.err);
        let sent = received.recv_timeout(std::time::Duration::from_secs(20)).unwrap();
        let shown = run([&["render", &action, path], &input[..]].concat());
        assert_eq!(shown.code, 0, "{action}: {}", shown.err);
        let (mut fields, mut body) = parts(&shown.out, "\n");
        if !body.is_empty() {
            assert_eq!(body.pop(), Some('\n'), "a line break ends the output");
        }
        assert_eq!(
            (&fields, &body),
            (&parts(&sent, "\r\n").0, &parts(&sent, "\r\n").1),
            "{action}\n{}\n{sent}",
            shown.out
        );
        let document = run([&["render", &action, path, "-o", "json"], &input[..]].concat()).out;
        let document: serde_json::Value = serde_json::from_str(&document).unwrap();
        let shown = match &document["body"] {
            serde_json::Value::Null => String::new(),
            serde_json::Value::String(text) => text.clone(),
            value => value.to_string(),
        };
        assert_eq!(shown, body, "{action}");
        let headers = document["headers"].as_object().unwrap().iter();
        let mut named: Vec<String> =
            headers.map(|(name, value)| format!("{name}: {}", value.as_str().unwrap())).collect();
        named.sort();
        fields.sort();
        assert_eq!(named, fields, "{action}");
    }
    let text = run(["render", "local/text", path, "-o", "json"]).out;
    assert!(text.contains("\"body\": \"10.10\""), "{text}");
}

#[test]
fn render_shows_the_names_of_secrets_and_never_their_values() {
    let folder = folder(&[("a.yaml", &definitions(9, "apiKey: { secretRef: key }"))]);
    let mut command = evenkeel();
    command.args(["render", "local/send"]).arg(folder.path()).args(["-i", r#"{"text":"hi"}"#, "-p", "id=7"]);
    let shown = said(&command.env("TEST_KEY", "s3cret-value").env("TEST_OTHER", "0ther-value").output().unwrap());
    assert_eq!(shown.code, 0, "{}", shown.err);
    assert!(
        shown.out.contains("x-key: [secret key]") && shown.out.contains("x-other: [secret other]"),
        "{}",
        shown.out
    );
    assert!(!shown.out.contains("s3cret") && !shown.out.contains("0ther-"), "{}", shown.out);
    assert!(shown.out.starts_with("POST http://127.0.0.1:9/api/items/7?page=1&q=hi\n"), "{}", shown.out);
    assert_eq!(run(["render", "local", "."]).code, 2);
}
