use super::check;

#[test]
fn prints_as_json_does() {
    check(&[
        ("plain {text}", "plain {text}"),
        ("a\n", "a\n"),
        ("{{ input.n }}\n", "3\n"),
        (
            "{{ input.yes }} {{ input.no }} {{ input.f }}",
            "true null 2.5",
        ),
        (
            "{{ input.zero }} {{ input.big }}",
            "-0.0 18446744073709551615",
        ),
        (
            "{{ input.tags }} {{ input.map }}",
            r#"["b","a","c"] {"z":1,"a":2}"#,
        ),
        ("{{ (1, 'x') }} {{ [1, [2]] }}", r#"[1,"x"] [1,[2]]"#),
        ("{{ 'a' if false }}|", "|"),
        ("{{ 'a' if false }}", ""),
        ("x{% set c %}{{ 'a' if false }}{% endset %}{{ c }}", "x"),
        ("{{ body_text }}", "raw body"),
        (
            "{{ 1e300 }} {{ 0.1 + 0.2 }} {{ 7 / 2 }} {{ 7 // 2 }}",
            "1e+300 0.30000000000000004 3.5 3",
        ),
    ]);
}

#[test]
fn operators() {
    check(&[
        ("{{ 1 + 2 * 3 - 4 }}", "3"),
        ("{{ 2 ** 10 }} {{ 7 % 3 }} {{ -7 // 2 }}", "1024 1 -4"),
        (
            "{{ 'a' + 'b' }} {{ 'ab' * 3 }} {{ 3 * 'x' }}",
            "ab ababab xxx",
        ),
        ("{{ [1] + [2] }} {{ [0] * 3 }}", "[1,2] [0,0,0]"),
        ("{{ 1 ~ 'a' ~ true ~ none ~ [1] }}", "1atruenull[1]"),
        (
            "{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 'a' != 'b' }}",
            "true false true",
        ),
        (
            "{{ 'a' in 'cat' }} {{ 4 in [1, 4] }} {{ 'z' in input.map }}",
            "true true true",
        ),
        (
            "{{ 4 not in [1, 4] }} {{ [1, 2] in [[1, 2]] }}",
            "false true",
        ),
        (
            "{{ not true }} {{ true and 'x' }} {{ '' or 'y' }}",
            "false x y",
        ),
        (
            "{{ [1, 2] == [1, 2] }} {{ {'a': 1} == {'a': 1} }}",
            "true true",
        ),
        (
            "{{ input.tags == ['b', 'a', 'c'] }} {{ input.map == {'a': 2, 'z': 1} }}",
            "true true",
        ),
        (
            "{{ true + 1 }} {{ 9223372036854775807 + 1 }}",
            "2 9223372036854775808",
        ),
        (
            "{{ 'abcdef'[1:3] }} {{ 'abc'[-1] }} {{ 'abcdef'[::-2] }}",
            "bc c fdb",
        ),
        (
            "{{ [1,2,3,4][1:3] }} {{ [1,2,3][-1] }} {{ [1,2,3][::-1] }}",
            "[2,3] 3 [3,2,1]",
        ),
        (
            "{{ [1,2,3][:-1] }} {{ [1,2,3][5:] }} {{ 'äöü'[1:] }}",
            "[1,2] [] öü",
        ),
        ("{{ [1,2,3,4,5][4:0:-2] }} {{ [1,2][-9:9] }}", "[5,3] [1,2]"),
        (
            "{{ input['name'] }} {{ input.tags[0] }} {{ input.tags.1 }}",
            "Ada Lovelace b a",
        ),
    ]);
}

#[test]
fn statements() {
    check(&[
        (
            "{% for x in input.tags %}{{ loop.index }}{{ x }}{% if not loop.last %},{% endif %}{% endfor %}",
            "1b,2a,3c",
        ),
        (
            "{% for k, v in input.map.items() %}{{ k }}={{ v }};{% endfor %}",
            "z=1;a=2;",
        ),
        (
            "{% for k, v in input.map | items %}{{ k }}={{ v }};{% endfor %}",
            "z=1;a=2;",
        ),
        ("{% for k in input.map %}{{ k }}{% endfor %}", "za"),
        (
            "{% for x in [1,2,3,4] if x % 2 == 0 %}{{ x }}{% endfor %}",
            "24",
        ),
        (
            "{% for a, b in [(1, 2), (3, 4)] if a > 1 %}{{ a }}{{ b }}{% endfor %}",
            "34",
        ),
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
        (
            "{% set x = 1 %}{% if x == 1 %}one{% elif x == 2 %}two{% else %}many{% endif %}",
            "one",
        ),
        ("{% set a, b = 1, 2 %}{{ a }}{{ b }}", "12"),
        ("{% set c %}x{{ 1 }}{% endset %}{{ c | upper }}", "X1"),
        ("{% set c | upper %}x{% endset %}{{ c }}", "X"),
        (
            "{% set ns = namespace(n=0) %}{% for x in [1,2,3] %}{% set ns.n = ns.n + x %}{% endfor %}{{ ns.n }}",
            "6",
        ),
        (
            "{% set ns = namespace() %}{% set ns.c %}a{{ 1 }}{% endset %}{{ ns.c }}",
            "a1",
        ),
        ("{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}", "3"),
        ("{% filter upper %}a{{ 'b' }}{% endfilter %}", "AB"),
        (
            "{% macro m(a, b='x') %}[{{ a }}{{ b }}]{% endmacro %}{{ m(1) }}{{ m(2, b=3) }}",
            "[1x][23]",
        ),
        (
            "{% macro m() %}<{{ caller() }}>{% endmacro %}{% call m() %}in{% endcall %}",
            "<in>",
        ),
        (
            "{% macro f(n) %}{% if n > 0 %}{{ n }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(3) }}",
            "321",
        ),
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
        (
            "{% set l = input.tags | list %}{% do l.append('d') %}{{ l | join }} {{ input.tags | join }}",
            "bacd bac",
        ),
        (
            "{% set a = [1] %}{% set b = a %}{% do b.append(2) %}{{ a }}{% do a.insert(0, 0) %}{{ a }}{{ a.index(2) }}{{ a.count(1) }}",
            "[1,2][0,1,2]21",
        ),
        (
            "{% set l = [] %}{% for x in [1,2] %}{% do l.append(x) %}{% endfor %}{{ 1 in l }} {{ l == [1, 2] }} {{ l[-1] }} {{ l is sequence }}",
            "true true 2 true",
        ),
        (
            "{% set x = '[]' | from_json %}{% do x.append(1) %}{{ x }}",
            "[1]",
        ),
    ]);
}

#[test]
fn filters() {
    check(&[
        (
            "{{ input.none_such | default('x') }} {{ '' | default('y', true) }} {{ input.n | d('z') }}",
            "x y 3",
        ),
        (
            "{{ input.no | default('x') }} {{ input.no | default('x', boolean=true) }}",
            "null x",
        ),
        (
            "{{ input.tags | join(', ') }} {{ input.people | join('/', attribute='name') }}",
            "b, a, c Zoe/bob/Amy",
        ),
        (
            "{{ input.tags | sort | join }} {{ input.people | map(attribute='name') | sort | join(',') }}",
            "abc Amy,bob,Zoe",
        ),
        (
            "{{ input.people | selectattr('age', '>', 26) | map(attribute='name') | list }}",
            r#"["Zoe","Amy"]"#,
        ),
        (
            "{{ input.people | rejectattr('city', 'equalto', 'Bern') | list | length }}",
            "1",
        ),
        (
            "{{ [1,2,3] | select('odd') | list }} {{ [1,2,3] | reject('odd') | list }}",
            "[1,3] [2]",
        ),
        ("{{ ['a','b'] | map('upper') | join }}", "AB"),
        (
            "{% for g, l in input.people | groupby('city') %}{{ g }}:{{ l | length }} {% endfor %}",
            "Bern:2 Oslo:1 ",
        ),
        (
            "{{ (input.people | groupby('city') | first).grouper }}",
            "Bern",
        ),
        (
            "{{ [1,2,1] | unique | list }} {{ [3,1,2] | max }} {{ [3,1,2] | min }} {{ [1,2] | sum }}",
            "[1,2] 3 1 3",
        ),
        (
            "{{ input.map | dictsort }} {{ input.map | items | list }}",
            r#"[["a",2],["z",1]] [["z",1],["a",2]]"#,
        ),
        (
            "{{ 'a b' | urlencode }} {{ {'a': 1, 'b': 'x y'} | urlencode }} {{ '/ä&' | urlencode }}",
            "a%20b a=1&b=x%20y /%C3%A4%26",
        ),
        (
            "{{ 'abc' | replace('b', 'x') }} {{ 'aaa' | replace('a', 'b', 2) }} {{ 12 | replace('1', '3') }}",
            "axc bba 32",
        ),
        ("{{ ' x ' | trim }}|{{ 'xax' | trim('x') }}", "x|a"),
        (
            "{{ 'a,b' | split(',') }} {{ ' a  b ' | split }} {{ 'a,b,c' | split(',', 1) }}",
            r#"["a","b"] ["a","b"] ["a","b,c"]"#,
        ),
        (
            "{{ 'ab' | upper }} {{ 'AB' | lower }} {{ 'a bc' | title }} {{ 'aBC' | capitalize }}",
            "AB ab A Bc Abc",
        ),
        (
            "{{ 3.7 | int }} {{ '4' | int }} {{ 'x' | int(9) }} {{ '2.5' | float }} {{ 2.567 | round(1) }} {{ -3 | abs }}",
            "3 4 9 2.5 2.6 3",
        ),
        (
            "{{ [1,2,3] | first }} {{ [1,2,3] | last }} {{ 'abc' | first }} {{ 'äb' | length }}",
            "1 3 a 2",
        ),
        (
            "{{ [1,2,3] | batch(2) | list }} {{ [1,2,3] | batch(2, 0) }} {{ [1,2,3] | slice(2) }}",
            "[[1,2],[3]] [[1,2],[3,0]] [[1,2],[3]]",
        ),
        (
            "{{ [1,2] | reverse | list }} {{ 'abc' | reverse }} {{ 'abc' | list }}",
            r#"[2,1] cba ["a","b","c"]"#,
        ),
        (
            "{{ {'a': [1, 'x\\n', 1.0, none]} | tojson }}",
            r#"{"a":[1,"x\n",1.0,null]}"#,
        ),
        (
            "{{ '<&>' | tojson }} {{ {'a': 1} | json_encode }}",
            r#""<&>" {"a":1}"#,
        ),
        (
            "{{ {'a': [1], 'b': []} | tojson(indent=2) }}",
            "{\n  \"a\": [\n    1\n  ],\n  \"b\": []\n}",
        ),
        (
            "{{ ('{\"a\": [1, {\"b\": null}]}' | from_json).a[1].b }}",
            "null",
        ),
        (
            "{{ 'ä' | base64_encode }} {{ 'w6Q=' | base64_decode }} {{ body_raw | base64_encode }}",
            "w6Q= ä /wBB",
        ),
        ("{{ '_w' | base64_decode | base64_encode }}", "/w=="),
        (
            "{{ 'a\nb' | indent(2) }}|{{ 'ab' | center(6) }}|",
            "a\n  b|  ab  |",
        ),
        (
            "{{ '<a>' | e }} {{ '%s-%05.1f-%d' | format('x', 2.25, 7) }}",
            "&lt;a&gt; x-002.2-7",
        ),
        (
            "{{ 'one two three' | truncate(9, leeway=0) }} {{ 'a b' | wordcount }}",
            "one... 2",
        ),
        (
            "{{ [1] | chain([2]) | list }} {{ [1,2] | zip(['a','b']) | list }}",
            r#"[1,2] [[1,"a"],[2,"b"]]"#,
        ),
        (
            "{{ 1 | string ~ 2 }} {{ 'x' | bool }} {{ {'a': 1} | attr('a') }} {{ 'a\nb' | lines }}",
            r#"12 true 1 ["a","b"]"#,
        ),
    ]);
}

#[test]
fn methods() {
    check(&[
        (
            "{{ 'a-b'.split('-') }} {{ ' a b '.split() }} {{ 'a,b,c'.split(',', 1) }}",
            r#"["a","b"] ["a","b"] ["a","b,c"]"#,
        ),
        (
            "{{ ' x '.strip() }}|{{ 'xxa'.lstrip('x') }}|{{ 'a  '.rstrip() }}",
            "x|a|a",
        ),
        (
            "{{ 'Ab'.lower() }} {{ 'Ab'.upper() }} {{ 'ab cd'.title() }} {{ 'aB'.capitalize() }}",
            "ab AB Ab Cd Ab",
        ),
        (
            "{{ 'abc'.startswith('ab') }} {{ 'abc'.endswith(('x', 'c')) }}",
            "true true",
        ),
        (
            "{{ 'abc'.replace('b', 'x') }} {{ 'äbc'.find('c') }} {{ 'a'.find('z') }} {{ 'aba'.count('a') }}",
            "axc 2 -1 2",
        ),
        (
            "{{ '12'.isdigit() }} {{ ''.isdigit() }} {{ '-7'.zfill(4) }} {{ 'a\nb'.splitlines() }}",
            r#"true false -007 ["a","b"]"#,
        ),
        (
            "{{ ','.join(['a', 'b']) }} {{ '{} {1} {x}'.format('a', 'b', x=3) }}",
            "a,b a b 3",
        ),
        (
            "{{ input.map.get('z') }} {{ input.map.get('q') }} {{ input.map.get('q', 5) }}",
            "1 null 5",
        ),
        (
            "{{ input.map.keys() | list }} {{ input.map.values() | list }} {{ input.map.items() | list }}",
            r#"["z","a"] [1,2] [["z",1],["a",2]]"#,
        ),
        (
            "{{ response.json.items[0].id }} {{ response.json.items() | list | length }}",
            "7 3",
        ),
    ]);
}

#[test]
fn tests() {
    check(&[
        (
            "{{ input.q is defined }} {{ input.n is defined }} {{ input.q is undefined }}",
            "false true true",
        ),
        (
            "{{ none is none }} {{ 1 is number }} {{ 'x' is string }} {{ {} is mapping }} {{ [] is sequence }}",
            "true true true true true",
        ),
        (
            "{{ 3 is odd }} {{ 4 is divisibleby(2) }} {{ 1 is in([1]) }} {{ 1 is not none }}",
            "true true true true",
        ),
        (
            "{{ true is boolean }} {{ 1 is integer }} {{ 1.5 is float }} {{ true is true }}",
            "true true true true",
        ),
        (
            "{{ 'abc' is startingwith('a') }} {{ 'abc' is endingwith 'c' }} {{ 'a' is lower }}",
            "true true true",
        ),
    ]);
}

#[test]
fn functions() {
    check(&[
        (
            "{{ range(3) | list }} {{ range(1, 7, 2) }} {{ range(3, 0, -1) }}",
            "[0,1,2] [1,3,5] [3,2,1]",
        ),
        (
            "{{ dict(a=1, b=2) }} {{ dict({'a': 1}, b=2) }} {{ dict([('x', 1)]) }}",
            r#"{"a":1,"b":2} {"a":1,"b":2} {"x":1}"#,
        ),
        (
            "{{ now() }} {{ now(60) }} {{ now(offset=-1) }}",
            "1700000000 1700000060 1699999999",
        ),
        (
            "{{ get_secret('token') }} {{ get_variable('instance_url') }}",
            "s3cr3t-value https://example.com",
        ),
        ("{{ get_variable('nope') | default('d') }}", "d"),
        (
            "{{ jwt_encode({'sub': 'a', 'exp': '5'}, 'k', 'HS256').split('.') | length }}",
            "3",
        ),
    ]);
}

#[test]
fn responses() {
    check(&[
        (
            "{{ response.status_code }} {{ response.headers['content-type'] }}",
            "200 application/json",
        ),
        (
            "{{ response.json }}",
            r#"{"z":1,"a":[1,2.0,-0.0],"items":[{"id":7}]}"#,
        ),
        (
            "{{ response.json.a[1] }} {{ response.body | length }}",
            "2.0 51",
        ),
    ]);
}
