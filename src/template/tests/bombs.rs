//! The counterpart of tests/it/hostile/bombs.rs: large and deep templates within the limits still render.

use super::super::{Limits, Template};
use super::context;

#[test]
fn renders_large_and_deep_templates_within_limits() {
    let sources = [
        "{% for x in range(5000) %}{{ x }}: {{ input.name | upper }}, {% endfor %}",
        "{% set l = [] %}{% for x in range(5000) %}{% do l.append({'i': x}) %}{% endfor %}{{ l | tojson }}",
        "{{ 'x' * 1000000 }}",
        "{% set ns = namespace(s='') %}{% for x in range(2000) %}{% set ns.s = ns.s ~ 'ab' %}{% endfor %}{{ ns.s }}",
        "{% for a in input.people %}{% for b in input.people %}{% if a == b %}x{% endif %}{% endfor %}{% endfor %}",
    ];
    // The longest chain and the deepest nesting within the limits must fit on the
    // stack of a thread, even without optimisation.
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
