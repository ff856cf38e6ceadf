use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;

use super::super::{Context, Limits, RenderErrorKind as Kind, Template, Tree, sign_jwt};
use super::{TestHost, context, fails, render, value};

#[test]
fn a_single_expression_keeps_its_type() {
    let table = [
        ("{{ input.n }}", json!(3)),
        ("{{ input.no }}", json!(null)),
        ("{{ input.big }}", json!(u64::MAX)),
        ("{{ input.tags }}", json!(["b", "a", "c"])),
        ("{{ [1, {'a': (1, 2)}] }}", json!([1, {"a": [1, 2]}])),
        ("{{ input.map }}", json!({"z": 1, "a": 2})),
        ("{{ 1 == 1 }}", json!(true)),
        ("{{- input.n -}}", json!(3)),
        (" {{ input.n }}", json!(" 3")),
        ("{{ input.n }}{{ input.n }}", json!("33")),
        ("{% if true %}{{ input.n }}{% endif %}", json!("3")),
        ("plain", json!("plain")),
    ];
    for (source, wanted) in table {
        assert_eq!(value(source).unwrap(), wanted, "{source}");
    }
    assert_eq!(value("{{ input.zero }}").unwrap().to_string(), "-0.0");
    assert_eq!(value("{{ input.map }}").unwrap().to_string(), r#"{"z":1,"a":2}"#);
    assert_eq!(value("{{ 'a' if false }}").unwrap_err().kind, Kind::Undefined);
}

#[test]
fn errors_name_undefined_values() {
    fails(&[
        ("{{ input.emial }}", Kind::Undefined, "`input.emial` does not exist, did you mean `input.email`?"),
        ("{{ input.qqq.x }}", Kind::Undefined, "`input.qqq` does not exist"),
        ("{{ input.name.first }}", Kind::Undefined, "`input.name` is a string"),
        ("{{ input.emial | upper }}", Kind::Undefined, "input.emial"),
        ("{{ 'x' ~ input.emial ~ 'y' }}", Kind::Undefined, "input.emial"),
        ("{{ input['emial'] }}", Kind::Undefined, "input.emial"),
        ("{% for x in input.tagz %}{% endfor %}", Kind::Undefined, "did you mean `input.tags`"),
        ("{% if input.q == 1 %}{% endif %}", Kind::Undefined, "input.q"),
        ("{% if input.q %}{% endif %}", Kind::Undefined, "input.q"),
        ("{{ [1, input.q] }}", Kind::Undefined, "input.q"),
        ("{{ {'a': input.q} }}", Kind::Undefined, "input.q"),
        ("{{ input.q + 1 }}", Kind::Undefined, "input.q"),
        ("{{ input.a.b | default('x') }}", Kind::Undefined, "`input.a`"),
        ("{{ nothing }}", Kind::Undefined, "`nothing` does not exist"),
        ("{{ input.email.uper() }}", Kind::BadArgument, "uper"),
        ("{{ get_variable('nope') }}", Kind::Variable, "`nope`"),
        ("x{{ get_variable('nope') | upper }}", Kind::Variable, "`nope`"),
        ("{{ get_secret('nope') }}", Kind::Secret, "`nope` cannot be used: it is not set"),
    ]);
    let error = render("a\nb {{ input.emial }}").unwrap_err();
    assert_eq!((error.line, error.range), (2, Some(7..18)));
}

#[test]
fn rejects_values_of_the_wrong_type() {
    fails(&[
        ("{{ 'x' | from_json }}", Kind::BadArgument, "not JSON (line 1, column 1)"),
        ("{{ none | from_json }}", Kind::BadArgument, "`from_json` takes a text"),
        ("{{ 1 / 0 }}", Kind::BadArgument, ""),
        ("{{ 1 + 'a' }}", Kind::BadArgument, "cannot be added"),
        ("{{ '%' | base64_decode }}", Kind::BadArgument, "base64"),
        ("{% do input.tags.append(1) %}", Kind::BadArgument, "from outside"),
        ("{% set t = (1, 2) %}{% do t.append(1) %}", Kind::BadArgument, "tuple"),
        ("{% set a, b = [1, 2, 3] %}", Kind::BadArgument, "3 items cannot be unpacked into 2"),
        ("{{ 'a' | replace('x') }}", Kind::BadArgument, "`new`"),
        ("{{ 'a' | upper(1) }}", Kind::BadArgument, "fewer"),
        ("{{ {[1]: 1} }}", Kind::BadArgument, "key"),
        ("{% set x = 1 %}{% set x.y = 2 %}", Kind::BadArgument, "namespace"),
        ("{{ range(1, 2, 0) }}", Kind::BadArgument, "step"),
        ("{{ 1e308 * 10 }}", Kind::NotFinite, "finite"),
        ("{{ [1e308 * 10] | tojson }}", Kind::NotFinite, "finite"),
        ("{{ ('nan' | float) | tojson }}", Kind::NotFinite, "finite"),
        ("{{ input.people | sort(attribute='x', y=1) }}", Kind::BadArgument, "sort"),
        ("{{ none | length }}", Kind::BadArgument, "no length"),
        ("{% for x in none %}{% endfor %}", Kind::BadArgument, "iterated"),
        ("{{ jwt_encode({}, 'k', 'none') }}", Kind::BadArgument, "algorithm"),
        ("{{ jwt_encode({}, 'k', 'RS256') }}", Kind::BadArgument, "PEM"),
    ]);
}

#[test]
fn parses_response_json_once_and_on_demand() {
    let mut ctx = Context::new(Arc::new(TestHost));
    ctx.set_response(500, BTreeMap::new(), Bytes::from_static(b"<html>\xff"));
    let run = |source: &str| Template::compile(source).unwrap().render_text(&ctx, &Limits::default());
    assert_eq!(run("{{ response.status_code }}").unwrap(), "500");
    assert_eq!(run("{{ response.body is none }}").unwrap(), "true");
    for _ in 0..2 {
        let error = run("{{ response.json.id }}").unwrap_err();
        assert_eq!(error.kind, Kind::BadArgument);
        assert!(error.message.contains("response body is not JSON"), "{error}");
    }
    assert!(run("{{ response['json'] }}").is_err());
    assert!(run("{{ response | tojson }}").is_err());
}

#[test]
fn errors_never_contain_secrets() {
    let sources = [
        "{{ get_secret('token').nope() }}",
        "{{ get_secret('token') + 1 }}",
        "{{ get_secret('token') | from_json }}",
        "{{ {'a': 1}[get_secret('token')] }}",
        "{{ {'a': 1}.pop(get_secret('token')) }}",
        "{{ [get_secret('token')] | sum }}",
        "{{ get_secret('token') | map(get_secret('token')) }}",
        "{{ [1] | map(get_secret('token')) }}",
        "{{ [1] | select(get_secret('token')) }}",
        "{{ get_secret(get_secret('token') | upper | upper)[1] }}",
        "{{ get_secret('token') / 2 }}",
        "{{ get_secret('token') | round }}",
        "{{ input[get_secret('token')] }}",
        "{{ jwt_encode({}, get_secret('token'), 'RS256') }}",
        "{{ jwt_encode({}, 'k', get_secret('token')) }}",
        "{{ get_secret('token') | format(1) }}",
        "{{ -get_secret('token') }}",
        "{{ range(get_secret('token')) }}",
        "{% for a, b in [get_secret('token')] %}{% endfor %}",
    ];
    for source in sources {
        // `compile` does not see through nested calls, but it may refuse them.
        let Ok(template) = Template::compile(source) else {
            continue;
        };
        let error = template.render_text(&context(), &Limits::default()).expect_err(source);
        assert!(!format!("{error:?} {error}").contains("s3cr3t"), "{source}: {error:?}");
    }
    let template = Template::compile("{{ get_secret('token') }}").unwrap();
    assert!(!format!("{template:?} {:?}", context()).contains("s3cr3t"));
}

#[test]
fn renders_trees() {
    let tree = Tree::compile(&json!({
        "{{ key }}": "{{ input.n }}",
        "list": [1, "{{ input.tags[0] }}-", {"deep": "{{ input.map }}"}],
        "plain": {"a": null},
    }))
    .unwrap();
    assert_eq!(
        tree.render(&context(), &Limits::default()).unwrap(),
        json!({
            "{{ key }}": 3, "list": [1, "b-", {"deep": {"z": 1, "a": 2}}], "plain": {"a": null},
        })
    );
    let (pointer, problem) = Tree::compile(&json!({"a/b": [1, "{{ x"]})).unwrap_err();
    assert_eq!(pointer, "/a~1b/1");
    assert_eq!(problem.kind, super::super::ProblemKind::Syntax);
    let tree = Tree::compile(&json!({"a": ["{{ input.q }}"]})).unwrap();
    let error = tree.render(&context(), &Limits::default()).unwrap_err();
    assert_eq!(error.pointer.as_deref(), Some("/a/0"));
    assert_eq!(error.kind, Kind::Undefined);
    let small = Limits { output_bytes: 100, ..Limits::default() };
    let tree = Tree::compile(&json!(vec!["{{ 'x' * 30 }}"; 9])).unwrap();
    let error = tree.render(&context(), &small).unwrap_err();
    assert_eq!(error.kind, Kind::OutputTooLarge);
}

#[test]
fn enforces_limits() {
    let run = |source: &str, limits: Limits| {
        Template::compile(source).unwrap().render_text(&context(), &limits).map_err(|error| error.kind)
    };
    let few = Limits { fuel: 50, ..Limits::default() };
    assert_eq!(run("{{ 1 }}{{ 2 }}", few), Ok("12".to_owned()));
    assert_eq!(run("{% for x in range(99) %}{{ x }}{% endfor %}", few), Err(Kind::OutOfFuel));
    let none = Limits { fuel: u64::MAX, ..Limits::default() };
    assert_eq!(run("{{ 1 }}{{ 2 }}", none), Ok("12".to_owned()));
    let small = Limits { output_bytes: 10, ..Limits::default() };
    assert_eq!(run("{{ 'x' * 20 }}", small), Err(Kind::OutputTooLarge));
    assert_eq!(run("{% set x = 'x' * 20 %}{{ x | length }}", small), Ok("20".to_owned()));
    assert_eq!(run("{% set x %}{{ 'x' * 20 }}{% endset %}{{ x | length }}", small), Ok("20".to_owned()));
    assert_eq!(run("more than ten bytes of text", small), Err(Kind::OutputTooLarge));
}

#[test]
fn never_compiles_user_data() {
    let mut ctx = context();
    ctx.set("input", json!({"x": "{{ get_secret('token') }}"}));
    let text = Template::compile("{{ input.x }}!").unwrap().render_text(&ctx, &Limits::default());
    assert_eq!(text.unwrap(), "{{ get_secret('token') }}!");
}

#[test]
fn signs_tokens() {
    let token = sign_jwt(
        &json!({"iat": "1700000000", "exp": 1, "nbf": "x"}),
        "key",
        "HS256",
        Some(&json!({"kid": "k1", "alg": "none"})),
    )
    .unwrap();
    let parts: Vec<_> = token.split('.').map(decode).collect();
    assert_eq!(parts[0], json!({"typ": "JWT", "alg": "HS256", "kid": "k1"}));
    assert_eq!(parts[1], json!({"iat": 1_700_000_000, "exp": 1, "nbf": "x"}));
    for algorithm in ["RS256", "PS512", "ES256", "ES384", "EdDSA"] {
        let error = sign_jwt(&json!({}), "-----BEGIN X-----", algorithm, None).unwrap_err();
        assert!(error.contains(algorithm) && !error.contains("BEGIN"), "{error}");
    }
    assert!(sign_jwt(&json!([]), "key", "HS256", None).is_err());
    assert!(sign_jwt(&json!({}), "key", "HS257", None).is_err());
}

fn decode(part: &str) -> serde_json::Value {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(part)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default()
}

#[test]
fn templates_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Template>();
    shared::<Tree>();
    shared::<Context>();
    let template = Arc::new(Template::compile("{{ input.n }}{% set l = [1] %}{{ l }}").unwrap());
    let ctx = context();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let text = template.render_text(&ctx, &Limits::default());
                    assert_eq!(text.unwrap(), "3[1]");
                }
            });
        }
    });
}
