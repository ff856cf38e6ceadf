use std::time::{Duration, Instant};

use super::super::{Limits, Template};
use super::context;

/// Templates that must end with an error; the integration tests run them
/// again with little memory.
const BOMBS: &str = include_str!("../../../tests/it/bombs.txt");

#[test]
fn bombs_end_with_an_error() {
    let ctx = context();
    let mut wrong = Vec::new();
    for bomb in BOMBS.split("\n----\n").map(expand) {
        let start = Instant::now();
        let name: String = bomb.chars().take(120).collect();
        let outcome = Template::compile(&bomb).map_err(|problem| format!("{:?}", problem.kind)).and_then(|template| {
            template.render_text(&ctx, &Limits::default()).map_err(|error| format!("{:?}", error.kind))
        });
        let took = start.elapsed();
        if let Ok(text) = outcome {
            wrong.push(format!("{name}: rendered {} bytes", text.len()));
        }
        // Without optimisation everything takes several times as long.
        if took > Duration::from_secs(12) {
            wrong.push(format!("{name}: took {took:?}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// `§repeat 3000 (§` stands for that many brackets: the file stays readable.
fn expand(bomb: &str) -> String {
    let mut out = String::new();
    for (at, part) in bomb.split('§').enumerate() {
        let repeated = (at % 2 == 1).then(|| part.strip_prefix("repeat ")?.split_once(' ')).flatten();
        match repeated {
            Some((times, unit)) => out.push_str(&unit.repeat(times.parse().unwrap())),
            None => out.push_str(part),
        }
    }
    out
}

#[test]
fn harmless_templates_are_not_bombs() {
    let sources = [
        "{% for x in range(5000) %}{{ x }}: {{ input.name | upper }}, {% endfor %}",
        "{% set l = [] %}{% for x in range(5000) %}{% do l.append({'i': x}) %}{% endfor %}{{ l | tojson }}",
        "{{ 'x' * 1000000 }}",
        "{% set ns = namespace(s='') %}{% for x in range(2000) %}{% set ns.s = ns.s ~ 'ab' %}{% endfor %}{{ ns.s }}",
        "{% for a in input.people %}{% for b in input.people %}{% if a == b %}x{% endif %}{% endfor %}{% endfor %}",
    ];
    // The longest chain and the deepest nesting that are still allowed have to
    // fit on the stack of a thread, without optimisation as well.
    let chain = format!("{{{{ 1{} }}}}", " + 1".repeat(480));
    let brackets = format!("{{{{ {}1{} }}}}", "[".repeat(38), "]".repeat(38));
    let blocks = "{% if 1 %}".repeat(38) + &"{% endif %}".repeat(38);
    let filters = format!("{{{{ 'a'{} }}}}", " | upper".repeat(480));
    let choice = format!("{{{{ 1{} }}}}", " if 1 else 2".repeat(240));
    let long = [chain, brackets, blocks, filters, choice];
    for source in sources.into_iter().chain(long.iter().map(String::as_str)) {
        let template = Template::compile(source).unwrap();
        template.render_text(&context(), &Limits::default()).unwrap();
    }
}
