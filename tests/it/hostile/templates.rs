//! Rows 32, 33, 34, 36 and 39: names in templates, and operations that templates never perform.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use evenkeel::connector::{ActionOutput, Call};
use evenkeel::template::{Context, Limits, ProblemKind, RenderErrorKind, Template, TemplateHost, Tree};
use serde_json::{Value, json};

use super::{
    FixedResponse, PROBE_LINES, assert_no_failures, call, child, errors, folder, input, prepare, print_line, probe,
    runtime,
};

/// A host with fixed secrets, variables and time.
#[derive(Default)]
pub struct Fixed {
    now: AtomicI64,
}

impl TemplateHost for Fixed {
    fn secret(&self, name: &str) -> Result<String, String> {
        Ok(format!("{name} at {}", self.now.load(Ordering::Relaxed)))
    }

    fn variable(&self, name: &str) -> Option<String> {
        (name != "unset").then(|| format!("{name} at {}", self.now.load(Ordering::Relaxed)))
    }

    fn now(&self) -> i64 {
        self.now.load(Ordering::Relaxed)
    }
}

fn context(values: Value) -> Context {
    let mut context = Context::new(Arc::new(Fixed::default()));
    context.set("input", values);
    context
}

#[test]
fn row_32_undefined_is_strict() {
    let context = context(json!({"email": "a@b.example", "null": null, "list": [1], "map": {"a": {}}}));
    let cases = [
        ("{{ input.emial }}", "`input.emial` does not exist, did you mean `input.email`?", 1, Some(3..14)),
        ("a\nb {{ input.nope }}", "`input.nope` does not exist", 2, Some(7..17)),
        ("a\n\n{{ 1 }} {{ input.map.a.b }}", "`input.map.a.b` does not exist", 3, Some(14..27)),
        ("{{ input.null.x }}", "`input.null` is null", 1, None),
        ("{{ input.email.x }}", "`input.email` is a string", 1, None),
        ("{{ input.list[1] }}", "`input.list[1]` does not exist", 1, Some(3..16)),
        ("{{ input.list[0] }} {{ input.list[-2].x }}", "`input.list[-2]` does not exist", 1, Some(23..37)),
        ("{{ nowhere }}", "`nowhere` does not exist", 1, Some(3..10)),
        ("{% if input.nope %}x{% endif %}", "`input.nope` does not exist", 1, Some(6..16)),
        ("{% for x in input.nope %}x{% endfor %}", "`input.nope` does not exist", 1, None),
        ("{{ input.nope ~ 'x' }}", "`input.nope` does not exist", 1, None),
        ("{{ input.nope | upper }}", "`input.nope` does not exist", 1, None),
        ("{{ input.nope == none }}", "`input.nope` does not exist", 1, None),
        ("{{ [input.nope] | tojson }}", "`input.nope` does not exist", 1, None),
        ("{{ input.a.b | default('x') }}", "`input.a` does not exist", 1, None),
    ];
    let wrong = cases.into_iter().filter_map(|(source, message, line, range)| {
        let template = Template::compile(source).unwrap();
        let outcome = template.render_text(&context, &Limits::default());
        let good = outcome.as_ref().is_err_and(|error| {
            error.kind == RenderErrorKind::Undefined
                && error.message.contains(message)
                && error.line == line
                && range.as_ref().is_none_or(|range| error.range.as_ref() == Some(range))
        });
        (!good).then(|| format!("{source:?}: {outcome:?}"))
    });
    assert_no_failures(wrong.collect());
    let lenient = [
        ("{{ input.nope | default('x') }}", "x"),
        ("{{ input.null | default('x', true) }}", "x"),
        ("{{ 'y' if input.nope is defined else 'n' }}", "n"),
        ("{{ input.get('nope') is none }}", "true"),
        ("{{ get_variable('unset') | default('x') }}", "x"),
    ];
    for (source, expected) in lenient {
        let text = Template::compile(source).unwrap().render_text(&context, &Limits::default());
        assert_eq!(text.as_deref(), Ok(expected), "{source}");
    }
    // In a tree the error also names the leaf; in a call, the part of the request.
    let tree = Tree::compile(&json!({"a": [1, {"b/c": "{{ input.nope }}"}]})).unwrap();
    let error = tree.render(&context, &Limits::default()).unwrap_err();
    assert_eq!((error.kind, error.pointer.as_deref()), (RenderErrorKind::Undefined, Some("/a/1/b~1c")));
    let runtime =
        runtime(&probe("send:\n  http: { method: POST, path: /x, body: { a: { b: \"{{ input.nope }}\" } } }\n"));
    let error = prepare(&runtime, "send", &input(json!({}))).unwrap_err();
    assert_eq!(error.code.as_str(), "TEMPLATE_ERROR");
    assert!(error.detail.contains("body") && error.detail.contains("/a/b") && error.detail.contains("input.nope"));
}

#[test]
fn row_33_nothing_of_the_host_is_folded() {
    let long = format!("{}{{{{ now() }}}}", "x".repeat(4096));
    let sources = [
        "{{ now() }}",
        "at {{ now() }}",
        "{{ now(offset=60) }}",
        "{{ now() - now(-1) + now() }}",
        "{{ [now(), [now()]] | tojson }}",
        "{% set t = now() %}{{ t }}",
        "{% macro f() %}{{ now() }}{% endmacro %}{{ f() }}",
        "{% if true %}{{ now() | string }}{% endif %}",
        "{{ get_variable('v') }}",
        "{{ get_variable('v') | upper | replace('A', 'b') }}",
        "{{ get_secret('s') }}",
        "{{ 'Bearer ' ~ get_secret('s') }}",
        "{{ jwt_encode({'iat': now()}, 'k', 'HS256') }}",
        &long,
    ];
    for source in sources {
        let template = Template::compile(source).unwrap();
        let tree = Tree::compile(&json!({"a": source})).unwrap();
        let host = Arc::new(Fixed::default());
        let context = Context::new(host.clone());
        let render = |now: i64| {
            host.now.store(now, Ordering::Relaxed);
            let text = template.render_text(&context, &Limits::default()).unwrap();
            (text, tree.render(&context, &Limits::default()).unwrap().to_string())
        };
        let (first, second, again) = (render(1_700_000_000), render(1_800_000_000), render(1_700_000_000));
        assert_ne!(first.0, second.0, "{source}");
        assert_ne!(first.1, second.1, "{source}");
        assert_eq!(first, again, "{source}");
    }
    assert!(Template::compile("{{ random() }}").and(Template::compile("{{ [1] | random }}")).is_err());
    // Two calls at different times, with different variables.
    let runtime =
        runtime(&probe("send:\n  http: { path: /x, query: { t: \"{{ now() }}\", v: \"{{ get_variable('v') }}\" } }\n"));
    let at = |now: i64, v: &str| {
        let variables = BTreeMap::from([("v".to_owned(), v.to_owned())]);
        prepare(&runtime, "send", &Call { now: Some(now), variables, ..input(json!({})) }).unwrap().url.to_string()
    };
    assert_eq!(at(1, "a"), "https://api.orbit.example/v1/x?t=1&v=a");
    assert_eq!(at(2, "b"), "https://api.orbit.example/v1/x?t=2&v=b");
}

#[test]
fn row_34_fields_named_like_functions_shadow_nothing() {
    let names = [
        "range",
        "context",
        "input",
        "get_secret",
        "get_variable",
        "now",
        "dict",
        "namespace",
        "jwt_encode",
        "loop",
        "self",
        "super",
        "caller",
        "user",
        "tenant",
        "response",
        "steps",
        "credentials",
        "true",
        "none",
        "items",
        "get",
    ];
    let body: serde_json::Map<String, Value> = names.iter().map(|name| ((*name).to_owned(), json!("mine"))).collect();
    let context = context(Value::Object(body));
    let cases = [
        ("{{ range(3) | join }}", "012"),
        ("{{ get_variable('v') }}", "v at 0"),
        ("{{ get_secret('s') }}", "s at 0"),
        ("{{ now() }}", "0"),
        ("{{ dict(a=1) }}", "{\"a\":1}"),
        ("{{ true }} {{ none }}", "true null"),
        ("{% for x in [1] %}{{ loop.index }}{% endfor %}", "1"),
        ("{{ context is defined }} {{ response is defined }} {{ credentials is defined }}", "false false false"),
    ];
    let wrong = cases.into_iter().filter_map(|(source, expected)| {
        let text = Template::compile(source).unwrap().render_text(&context, &Limits::default());
        (text.as_deref() != Ok(expected)).then(|| format!("{source}: {text:?} instead of {expected}"))
    });
    assert_no_failures(wrong.collect());
    for name in names {
        let source = format!("{{{{ input['{name}'] }}}}");
        let text = Template::compile(&source).unwrap().render_text(&context, &Limits::default());
        assert_eq!(text.as_deref(), Ok("mine"), "{source}");
        let source = format!("{{{{ input.{name} }}}}");
        let text = Template::compile(&source).unwrap().render_text(&context, &Limits::default());
        assert_eq!(text.as_deref(), Ok("mine"), "{source}");
    }
    // The same for a response, and for a body that is a list or text.
    let text = "read:\n  http: { path: /x }\n  response:\n    body: { a: \"{{ range(2) | list }}\", b: \"{{ input.range }}\", c: \"{{ response.json }}\" }\n";
    let runtime = runtime(&probe(text));
    for answer in [json!({"range": 1, "input": {"range": 2}, "json": 3}), json!([1]), json!("range")] {
        let outcome =
            call(&runtime, &FixedResponse::new(200, answer.to_string()), "read", input(json!({"range": "mine"})));
        let Ok(ActionOutput::Json { value, .. }) = outcome.result else { panic!("{:?}", outcome.result) };
        assert_eq!(value, json!({"a": [0, 1], "b": "mine", "c": answer}));
    }
}

#[test]
fn row_36_data_is_never_rendered_again() {
    let actions = r#"
send:
  http:
    method: POST
    path: "/{{ input.v }}/{{ pathParams.p }}"
    pathParams: { p: {} }
    query: { q: "{{ input.v }}", o: { value: x, overridable: true } }
    headers: { X-A: "{{ input.v }}", X-O: { value: x, overridable: true } }
    body: { a: "{{ input.v }}", b: "<{{ input.v }}>", c: "{{ input }}" }
  response:
    body: { a: "{{ response.json }}", b: "{{ response.body }}", c: "{{ response.headers['x-a'] }}" }
form:
  http: { method: POST, path: /x, form: { f: "{{ input.v }}" } }
text:
  http: { method: POST, path: /x, text: "{{ input.v }} {{ input.v | upper }} {{ get_variable('v') }}" }
  response: { text: "{{ response.body }}", contentType: text/plain }
"#;
    let runtime = runtime(&probe(actions));
    let answers = |data: &str| {
        let mut answers = FixedResponse::new(200, json!(data).to_string());
        answers.headers.insert("x-a".into(), data.into());
        answers
    };
    for data in
        ["{{ 7*7 }}", "{% for x in range(9) %}x{% endfor %}", "{{ get_secret('s') }}", "{#", "}}", "{{", "{%raw%}"]
    {
        let mut given = input(json!({"v": data}));
        given.path_params.insert("p".into(), format!("p{}", data.replace(['{', '}', '%', '#', ' '], "")));
        given.headers.insert("x-o".into(), data.into());
        given.query.insert("o".into(), data.into());
        given.variables.insert("v".into(), data.into());
        let request = prepare(&runtime, "send", &given).unwrap();
        let query: BTreeMap<_, _> = request.url.query_pairs().into_owned().collect();
        assert_eq!((query["q"].as_str(), query["o"].as_str()), (data, data));
        assert_eq!((request.header("x-a"), request.header("x-o")), (Some(data), Some(data)));
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(body, json!({"a": data, "b": format!("<{data}>"), "c": {"v": data}}));
        let segment = request.url.path_segments().unwrap().nth(1).unwrap();
        assert_eq!(percent_encoding::percent_decode_str(segment).decode_utf8().unwrap(), data);

        let Ok(ActionOutput::Json { value, .. }) = call(&runtime, &answers(data), "send", given.clone()).result else {
            panic!()
        };
        assert_eq!(value, json!({"a": data, "b": json!(data).to_string(), "c": data}));

        given.path_params.clear();
        let request = prepare(&runtime, "form", &given).unwrap();
        let form: Vec<_> = url::form_urlencoded::parse(&request.body).into_owned().collect();
        assert_eq!(form, [("f".to_owned(), data.to_owned())]);
        let request = prepare(&runtime, "text", &given).unwrap();
        assert_eq!(request.body, format!("{data} {} {data}", data.to_uppercase()));
        let Ok(ActionOutput::Raw { bytes, .. }) = call(&runtime, &FixedResponse::new(200, data), "text", given).result
        else {
            panic!()
        };
        assert_eq!(bytes, data);
    }
}

#[test]
fn row_36_nothing_is_included() {
    let cases = [
        "{% include 'a' %}",
        "{% include input.x ignore missing %}",
        "{% import 'a' as b %}",
        "{% from 'a' import b %}",
        "{% extends 'a' %}",
        "{% if true %}{% extends input.x %}{% endif %}",
        "{% block a %}{% endblock %}",
        "{% macro f() %}{% include 'a' %}{% endmacro %}",
    ];
    for source in cases {
        let problem = Template::compile(source).expect_err(source);
        assert_eq!(problem.kind, ProblemKind::Forbidden, "{source}: {problem:?}");
    }
    let actions = "send:\n  http:\n    method: POST\n    path: /x\n    body:\n      a: \"ok\"\n      b: \"é {% include 'a' %}\"\n";
    assert_eq!(errors(&folder(&[("p.yaml", probe(actions))])), [format!("EK0307 p.yaml:{}:20", PROBE_LINES + 7)]);
}

/// Times, numbers and texts whose format depends on the locale elsewhere.
const LOCAL: &str = "{{ now() }} {{ now(86400) }} {{ 1234567.891 }} {{ 0.1 + 0.2 }} {{ 1e21 }} {{ '%.2f' | format(1234.5) }} \
    {{ 1234567 | string }} {{ 'İIıißẞ' | lower }} {{ 'İIıiß' | upper }} {{ 'istanbul' | title }} {{ ['ä', 'z', 'a', 'Z', 'Ä'] | sort }} \
    {{ ['ä', 'z', 'a', 'Z'] | sort(case_sensitive=true) }} {{ {'ö': 1, 'z': 2} | dictsort }} {{ 'ǆ' | capitalize }} \
    {{ '1,5' | float(0) }} {{ '1.5' | float }} {{ 3.0 | int }} {{ 12345.678 | round(1) }} {{ 'a b' | urlencode }} {{ {'a': 1.5} | tojson }} \
    {{ jwt_encode({'iat': now()}, 'k', 'HS256') }} {{ get_variable('v') }}";

#[test]
fn row_39_nothing_depends_on_locale_or_time_zone() {
    let places =
        [("UTC", "C"), ("Asia/Kathmandu", "de_DE.UTF-8"), ("America/St_Johns", "tr_TR.UTF-8"), ("<+14>-14", "ar_EG")];
    let rendered = places.map(|(zone, locale)| {
        let variables = [("TZ", zone), ("LANG", locale), ("LC_ALL", locale), ("LANGUAGE", locale)];
        let out =
            child("exec \"$0\" \"$@\"", "hostile::templates::worker_39", &variables, Duration::from_mins(2)).unwrap();
        let (_, text) = out.split_once("\nrendered: ").unwrap();
        text.split_once('\n').unwrap().0.to_owned()
    });
    for other in &rendered {
        assert_eq!(*other, rendered[0]);
    }
    assert!(rendered[0].contains("1700000000 1700086400 1234567.891"), "{}", rendered[0]);
}

#[test]
#[ignore = "processes of their own run it"]
fn worker_39() {
    let host = Fixed::default();
    host.now.store(1_700_000_000, Ordering::Relaxed);
    let text =
        Template::compile(LOCAL).unwrap().render_text(&Context::new(Arc::new(host)), &Limits::default()).unwrap();
    print_line(&format!("\nrendered: {text}\n"));
}
