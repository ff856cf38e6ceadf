use super::check;

#[test]
fn prints_values_as_json() {
    check(&[
        ("plain {text}", "plain {text}"),
        ("a\n", "a\n"),
        ("{{ input.n }}\n", "3\n"),
        ("{{ input.yes }} {{ input.no }} {{ input.f }}", "true null 2.5"),
        ("{{ input.zero }} {{ input.big }}", "-0.0 18446744073709551615"),
        ("{{ input.tags }} {{ input.map }}", r#"["b","a","c"] {"z":1,"a":2}"#),
        ("{{ (1, 'x') }} {{ [1, [2]] }}", r#"[1,"x"] [1,[2]]"#),
        ("{{ 'a' if false }}|", "|"),
        ("{{ 'a' if false }}", ""),
        ("x{% set c %}{{ 'a' if false }}{% endset %}{{ c }}", "x"),
        ("{{ body_text }}", "raw body"),
        ("{{ 1e300 }} {{ 0.1 + 0.2 }} {{ 7 / 2 }} {{ 7 // 2 }}", "1e+300 0.30000000000000004 3.5 3"),
    ]);
}

#[test]
fn evaluates_operators() {
    check(&[
        ("{{ 1 + 2 * 3 - 4 }}", "3"),
        ("{{ 2 ** 10 }} {{ 7 % 3 }} {{ -7 // 2 }}", "1024 1 -4"),
        ("{{ 'a' + 'b' }} {{ 'ab' * 3 }} {{ 3 * 'x' }}", "ab ababab xxx"),
        ("{{ [1] + [2] }} {{ [0] * 3 }}", "[1,2] [0,0,0]"),
        ("{{ 1 ~ 'a' ~ true ~ none ~ [1] }}", "1atruenull[1]"),
        ("{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 'a' != 'b' }}", "true false true"),
        ("{{ 'a' in 'cat' }} {{ 4 in [1, 4] }} {{ 'z' in input.map }}", "true true true"),
        ("{{ 4 not in [1, 4] }} {{ [1, 2] in [[1, 2]] }}", "false true"),
        ("{{ not true }} {{ true and 'x' }} {{ '' or 'y' }}", "false x y"),
        ("{{ [1, 2] == [1, 2] }} {{ {'a': 1} == {'a': 1} }}", "true true"),
        ("{{ input.tags == ['b', 'a', 'c'] }} {{ input.map == {'a': 2, 'z': 1} }}", "true true"),
        ("{{ true + 1 }} {{ 9223372036854775807 + 1 }}", "2 9223372036854775808"),
        ("{{ 'abcdef'[1:3] }} {{ 'abc'[-1] }} {{ 'abcdef'[::-2] }}", "bc c fdb"),
        ("{{ [1,2,3,4][1:3] }} {{ [1,2,3][-1] }} {{ [1,2,3][::-1] }}", "[2,3] 3 [3,2,1]"),
        ("{{ [1,2,3][:-1] }} {{ [1,2,3][5:] }} {{ 'äöü'[1:] }}", "[1,2] [] öü"),
        ("{{ [1,2,3,4,5][4:0:-2] }} {{ [1,2][-9:9] }}", "[5,3] [1,2]"),
        ("{{ input['name'] }} {{ input.tags[0] }} {{ input.tags.1 }}", "Ada Lovelace b a"),
    ]);
}

#[test]
fn runs_statements() {
    check(&[
        ("{% for x in input.tags %}{{ loop.index }}{{ x }}{% if not loop.last %},{% endif %}{% endfor %}", "1b,2a,3c"),
        ("{% for k, v in input.map.items() %}{{ k }}={{ v }};{% endfor %}", "z=1;a=2;"),
        ("{% for k, v in input.map | items %}{{ k }}={{ v }};{% endfor %}", "z=1;a=2;"),
        ("{% for k in input.map %}{{ k }}{% endfor %}", "za"),
        ("{% for x in [1,2,3,4] if x % 2 == 0 %}{{ x }}{% endfor %}", "24"),
        ("{% for a, b in [(1, 2), (3, 4)] if a > 1 %}{{ a }}{{ b }}{% endfor %}", "34"),
        ("{% for x in [] %}x{% else %}none{% endfor %}", "none"),
        ("{% for c in 'äb' %}[{{ c }}]{% endfor %}", "[ä][b]"),
        (
            "{% for x in [[1],[2,[3]]] recursive %}{% if x is iterable %}({{ loop(x) }}){% else %}{{ x }}{% endif %}{% endfor %}",
            "(1)(2(3))",
        ),
        (
            "{% for x in [1,1,2] %}{{ loop.changed(x) }} {{ loop.cycle('a','b') }};{% endfor %}",
            "true a;false b;true a;",
        ),
        (
            "{% for x in 'abc' %}{{ loop.previtem | default('-') }}{{ loop.nextitem | default('-') }} {% endfor %}",
            "-b ac b- ",
        ),
        ("{% set x = 1 %}{% if x == 1 %}one{% elif x == 2 %}two{% else %}many{% endif %}", "one"),
        ("{% set a, b = 1, 2 %}{{ a }}{{ b }}", "12"),
        ("{% set c %}x{{ 1 }}{% endset %}{{ c | upper }}", "X1"),
        ("{% set c | upper %}x{% endset %}{{ c }}", "X"),
        ("{% set ns = namespace(n=0) %}{% for x in [1,2,3] %}{% set ns.n = ns.n + x %}{% endfor %}{{ ns.n }}", "6"),
        ("{% set ns = namespace() %}{% set ns.c %}a{{ 1 }}{% endset %}{{ ns.c }}", "a1"),
        ("{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}", "3"),
        ("{% filter upper %}a{{ 'b' }}{% endfilter %}", "AB"),
        ("{% macro m(a, b='x') %}[{{ a }}{{ b }}]{% endmacro %}{{ m(1) }}{{ m(2, b=3) }}", "[1x][23]"),
        ("{% macro m() %}<{{ caller() }}>{% endmacro %}{% call m() %}in{% endcall %}", "<in>"),
        ("{% macro f(n) %}{% if n > 0 %}{{ n }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(3) }}", "321"),
        ("{% raw %}{{ x }}{% endraw %}{# gone #}", "{{ x }}"),
        ("a {{- 1 -}} b", "a1b"),
        (
            "{% set l = [] %}{% do l.append(1) %}{% do l.extend([2, 3]) %}{{ l }} {{ l.pop() }} {{ l | length }}",
            "[1,2,3] 3 2",
        ),
        (
            "{% set d = {} %}{% do d.update({'a': 1}) %}{% do d.update(b=2) %}{{ d }} {{ d.pop('a') }} {{ d }}",
            r#"{"a":1,"b":2} 1 {"b":2}"#,
        ),
        (
            "{% set l = [] %}{% for x in range(3) %}{% set _ = l.append({'i': x}) %}{% endfor %}{{ l | tojson }}",
            r#"[{"i":0},{"i":1},{"i":2}]"#,
        ),
        ("{% set l = input.tags | list %}{% do l.append('d') %}{{ l | join }} {{ input.tags | join }}", "bacd bac"),
        (
            "{% set a = [1] %}{% set b = a %}{% do b.append(2) %}{{ a }}{% do a.insert(0, 0) %}{{ a }}{{ a.index(2) }}{{ a.count(1) }}",
            "[1,2][0,1,2]21",
        ),
        (
            "{% set l = [] %}{% for x in [1,2] %}{% do l.append(x) %}{% endfor %}{{ 1 in l }} {{ l == [1, 2] }} {{ l[-1] }} {{ l is sequence }}",
            "true true 2 true",
        ),
        ("{% set x = '[]' | from_json %}{% do x.append(1) %}{{ x }}", "[1]"),
    ]);
}
