use super::super::{FieldLocation, ProblemKind as Kind, Template, analyse};

/// The kinds of a template's problems, with the source text at their positions.
fn problems(source: &str, location: FieldLocation, absolute_url: bool) -> Vec<(Kind, String)> {
    analyse(source, location, absolute_url)
        .problems
        .into_iter()
        .map(|problem| (problem.kind, source[problem.range].to_owned()))
        .collect()
}

#[track_caller]
#[allow(clippy::type_complexity)]
fn table(rows: &[(&str, FieldLocation, &[(Kind, &str)])]) {
    let mut wrong = Vec::new();
    for (source, location, wanted) in rows {
        let got = problems(source, *location, false);
        let wanted: Vec<_> = wanted.iter().map(|(kind, at)| (*kind, (*at).to_owned())).collect();
        if got != wanted {
            wrong.push(format!("{source} at {location}\n  wanted {wanted:?}\n  got    {got:?}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn checks_names_by_location() {
    table(&[
        ("{{ input.x }}", FieldLocation::Body, &[]),
        ("{{ inptu.x }}", FieldLocation::Body, &[(Kind::UnknownName, "inptu")]),
        ("{{ response.json }}", FieldLocation::Body, &[(Kind::NotHere, "response")]),
        ("{{ body_text }}", FieldLocation::Url, &[(Kind::NotHere, "body_text")]),
        ("{{ record.id ~ output.x }}", FieldLocation::PollRecord, &[]),
        ("{{ record.id }}", FieldLocation::PollOutput, &[(Kind::NotHere, "record")]),
        ("{{ response.jsno.id }}", FieldLocation::Response, &[(Kind::UnknownName, "response.jsno.id")]),
        ("{{ response['statuscode'] }}", FieldLocation::Response, &[(Kind::UnknownName, "response['statuscode']")]),
        ("{{ request.method }}{{ request.body }}", FieldLocation::Body, &[(Kind::UnknownName, "request.body")]),
        (
            "{% set a = 1 %}{{ a }}{% for b, c in input.x %}{{ b }}{{ c }}{{ loop.index }}{% endfor %}",
            FieldLocation::Body,
            &[],
        ),
        ("{% for b in input.x %}{% endfor %}{{ b }}", FieldLocation::Body, &[(Kind::UnknownName, "b")]),
        (
            "{% macro m(a) %}{{ a }}{{ late }}{{ caller() }}{% endmacro %}{% set late = 1 %}{{ m(1) }}",
            FieldLocation::Body,
            &[],
        ),
        ("{% with z = 1 %}{{ z }}{% endwith %}{{ z }}", FieldLocation::Body, &[(Kind::UnknownName, "z")]),
        ("{{ x }}{{ y }}", FieldLocation::Form, &[(Kind::UnknownName, "x"), (Kind::UnknownName, "y")]),
        ("{{ now }}", FieldLocation::Body, &[(Kind::UnknownName, "now")]),
        (
            "{% for x in input.l %}{{ loop }}{% endfor %}{{ loop.index }}",
            FieldLocation::Body,
            &[(Kind::Forbidden, "loop"), (Kind::Forbidden, "loop.index")],
        ),
    ]);
    let analysis = analyse("{{ inptu.x }}", FieldLocation::Body, false);
    assert_eq!(analysis.problems[0].help.as_deref(), Some("did you mean `input`?"));
    let analysis = analyse("{{ response.x }}", FieldLocation::PollOutput, false);
    assert_eq!(analysis.problems[0].help.as_deref(), Some("available here: output"));
}

#[test]
fn checks_functions_filters_and_tests() {
    table(&[
        ("{{ 'a' | upcase }}", FieldLocation::Body, &[(Kind::UnknownFilter, "upcase")]),
        ("{{ 1 is evn }}", FieldLocation::Body, &[(Kind::UnknownTest, "evn")]),
        ("{{ foo(1) }}", FieldLocation::Body, &[(Kind::UnknownFunction, "foo")]),
        ("{{ get_secret('a') }}", FieldLocation::Header, &[]),
        ("{{ get_secret('a') }}", FieldLocation::Body, &[(Kind::SecretNotAllowed, "get_secret('a')")]),
        ("{{ get_secret('a') }}", FieldLocation::Url, &[(Kind::SecretNotAllowed, "get_secret('a')")]),
        ("{{ jwt_encode({}, 'k', 'HS256') }}", FieldLocation::Response, &[(Kind::NotHere, "jwt_encode")]),
        ("{{ get_secret(input.x) }}", FieldLocation::Header, &[(Kind::NotLiteral, "input.x")]),
        ("{{ get_variable('a' ~ 'b') }}", FieldLocation::Url, &[(Kind::NotLiteral, "'a' ~ 'b'")]),
        ("{{ get_variable() }}", FieldLocation::Url, &[(Kind::BadArguments, "get_variable()")]),
        (
            "{{ now(1, 2) }}{{ now(of=1) }}{{ now(offset=1) }}",
            FieldLocation::Url,
            &[(Kind::BadArguments, "now(1, 2)"), (Kind::BadArguments, "now(of=1)")],
        ),
        ("{{ jwt_encode({}, 'k') }}", FieldLocation::Url, &[(Kind::BadArguments, "jwt_encode({}, 'k')")]),
        ("{{ range(3) }}{{ dict(a=1) }}{{ namespace(b=2) }}", FieldLocation::PollOutput, &[]),
        ("{{ dict(*input.x) }}", FieldLocation::Body, &[(Kind::Forbidden, "input.x")]),
        ("{% include 'x' %}", FieldLocation::Body, &[(Kind::Forbidden, "include 'x'")]),
        ("{% extends 'x' %}", FieldLocation::Body, &[(Kind::Forbidden, "extends 'x'")]),
        ("{% import 'x' as y %}", FieldLocation::Body, &[(Kind::Forbidden, "import 'x' as y")]),
        ("{{ upper('x') }}", FieldLocation::Body, &[(Kind::UnknownFunction, "upper")]),
        ("{{ x", FieldLocation::Body, &[(Kind::Syntax, "x")]),
    ]);
}

#[test]
fn lists_secrets_variables_and_reads() {
    let analysis = analyse(
        "{{ get_secret('a') | default('x') }}{{ get_secret('b') }}{{ get_variable('v') | d('') }}\
         {{ input.user['email'].x.upper() }}{{ steps.find.body[0].id }}\
         {% for i in input.items %}{{ i.y }}{% endfor %}",
        FieldLocation::Header,
        false,
    );
    assert_eq!(analysis.problems, []);
    let secrets: Vec<_> = analysis.secrets.iter().map(|s| (s.name.as_str(), s.has_default)).collect();
    assert_eq!(secrets, [("a", true), ("b", false)]);
    assert_eq!(analysis.secrets[0].range, 3..18);
    assert!(analysis.variables[0].has_default);
    let reads: Vec<_> = analysis.reads.keys().map(String::as_str).collect();
    assert_eq!(reads, ["input.items", "input.user.email.x", "steps.find.body"]);
    assert!(!analysis.plain && !analysis.single_expression);
    assert!(analyse("{{ input }}", FieldLocation::Body, false).single_expression);
    assert!(analyse("text", FieldLocation::Body, false).plain);
}

#[test]
fn checks_the_host_of_urls() {
    let fine = [
        "https://example.com/{{ input.x }}",
        "http://localhost:1234?x={{ input.x }}",
        "https://{{ get_variable('region') }}.example.com/{{ input.x }}",
        "https://{{ get_variable('region') | default('eu') }}.example.com",
        "https://{{ get_variable('region') | default('eu', true) }}.example.com#{{ input.x }}",
        "{{ get_variable('instance_url') }}/api/{{ input.x }}",
        "{{ get_variable('instance_url') }}",
        "{{ get_variable('instance_url') | default('https://x.y') }}/x",
        "https://{# note #}example.com/{% if input.x %}a{% endif %}",
    ];
    for source in fine {
        assert_eq!(problems(source, FieldLocation::Url, true), [], "{source}");
    }
    let wrong = [
        ("https://{{ input.host }}/x", "{{ input.host }}"),
        ("https://example.com{{ input.x }}/y", "{{ input.x }}"),
        ("https://{{ get_variable('a') ~ input.x }}/", "{{ get_variable('a') ~ input.x }}"),
        ("https://{{ get_variable('a') | default(input.x) }}/", "{{ get_variable('a') | default(input.x) }}"),
        ("https://{{ get_variable('a') | upper }}/", "{{ get_variable('a') | upper }}"),
        ("{{ get_variable('a') }}{{ input.x }}/", "{{ input.x }}"),
        ("{{ get_variable('a') }}.evil.com/", ".evil.com/"),
        ("{{ input.url }}", "{{ input.url }}"),
        ("ftp://example.com/", "ftp://example.com/"),
        ("{{ 'https' }}://example.com/", "{{ 'https' }}"),
        ("https://{% if input.x %}a{% endif %}.com/", "{% if input.x %}a{% endif %}"),
    ];
    for (source, at) in wrong {
        let got = problems(source, FieldLocation::Url, true);
        assert!(got.contains(&(Kind::HostNotVariable, at.to_owned())), "{source}: {got:?}");
    }
    // Relative URLs have no host; absolute URLs are recognised by their prefix.
    assert_eq!(problems("/x/{{ input.x }}", FieldLocation::Url, false), []);
    assert_eq!(problems("https://{{ input.x }}/", FieldLocation::Url, false).len(), 1);
}

#[test]
fn the_location_table_matches_the_enumeration() {
    for location in FieldLocation::all() {
        assert_eq!(location.as_str().parse::<FieldLocation>().unwrap(), location);
        assert_eq!(FieldLocation::all().filter(|other| *other == location).count(), 1);
    }
    assert_eq!(FieldLocation::all().count(), 15);
    assert_eq!("pollInput".parse::<FieldLocation>().unwrap(), FieldLocation::PollInput);
    assert!("pollinput".parse::<FieldLocation>().is_err());
}

#[test]
fn compilation_rejects_constructs_outside_the_dialect() {
    for (source, kind) in [
        ("{{ x | nope }}", Kind::UnknownFilter),
        ("{{ x is nope }}", Kind::UnknownTest),
        ("{{ nope() }}", Kind::UnknownFunction),
        ("{% include 'x' %}", Kind::Forbidden),
        ("{{ x", Kind::Syntax),
        ("{{ get_secret(x) }}", Kind::NotLiteral),
    ] {
        assert_eq!(Template::compile(source).unwrap_err().kind, kind, "{source}");
    }
    let large = format!("{{{{ 1 }}}}{}", "x".repeat(70_000));
    assert_eq!(Template::compile(&large).unwrap_err().kind, Kind::TooLarge);
}
