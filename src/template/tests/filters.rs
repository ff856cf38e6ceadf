use super::check;

#[test]
fn applies_filters() {
    check(&[
        ("{{ input.none_such | default('x') }} {{ '' | default('y', true) }} {{ input.n | d('z') }}", "x y 3"),
        ("{{ input.no | default('x') }} {{ input.no | default('x', boolean=true) }}", "null x"),
        ("{{ input.tags | join(', ') }} {{ input.people | join('/', attribute='name') }}", "b, a, c Zoe/bob/Amy"),
        (
            "{{ input.tags | sort | join }} {{ input.people | map(attribute='name') | sort | join(',') }}",
            "abc Amy,bob,Zoe",
        ),
        ("{{ input.people | selectattr('age', '>', 26) | map(attribute='name') | list }}", r#"["Zoe","Amy"]"#),
        ("{{ input.people | rejectattr('city', 'equalto', 'Bern') | list | length }}", "1"),
        ("{{ [1,2,3] | select('odd') | list }} {{ [1,2,3] | reject('odd') | list }}", "[1,3] [2]"),
        ("{{ ['a','b'] | map('upper') | join }}", "AB"),
        ("{% for g, l in input.people | groupby('city') %}{{ g }}:{{ l | length }} {% endfor %}", "Bern:2 Oslo:1 "),
        ("{{ (input.people | groupby('city') | first).grouper }}", "Bern"),
        ("{{ [1,2,1] | unique | list }} {{ [3,1,2] | max }} {{ [3,1,2] | min }} {{ [1,2] | sum }}", "[1,2] 3 1 3"),
        ("{{ input.map | dictsort }} {{ input.map | items | list }}", r#"[["a",2],["z",1]] [["z",1],["a",2]]"#),
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
        ("{{ 'ab' | upper }} {{ 'AB' | lower }} {{ 'a bc' | title }} {{ 'aBC' | capitalize }}", "AB ab A Bc Abc"),
        (
            "{{ 3.7 | int }} {{ '4' | int }} {{ 'x' | int(9) }} {{ '2.5' | float }} {{ 2.567 | round(1) }} {{ -3 | abs }}",
            "3 4 9 2.5 2.6 3",
        ),
        ("{{ [1,2,3] | first }} {{ [1,2,3] | last }} {{ 'abc' | first }} {{ 'äb' | length }}", "1 3 a 2"),
        (
            "{{ [1,2,3] | batch(2) | list }} {{ [1,2,3] | batch(2, 0) }} {{ [1,2,3] | slice(2) }}",
            "[[1,2],[3]] [[1,2],[3,0]] [[1,2],[3]]",
        ),
        ("{{ [1,2] | reverse | list }} {{ 'abc' | reverse }} {{ 'abc' | list }}", r#"[2,1] cba ["a","b","c"]"#),
        ("{{ {'a': [1, 'x\\n', 1.0, none]} | tojson }}", r#"{"a":[1,"x\n",1.0,null]}"#),
        ("{{ '<&>' | tojson }} {{ {'a': 1} | json_encode }}", r#""<&>" {"a":1}"#),
        ("{{ {'a': [1], 'b': []} | tojson(indent=2) }}", "{\n  \"a\": [\n    1\n  ],\n  \"b\": []\n}"),
        ("{{ ('{\"a\": [1, {\"b\": null}]}' | from_json).a[1].b }}", "null"),
        ("{{ 'ä' | base64_encode }} {{ 'w6Q=' | base64_decode }} {{ body_raw | base64_encode }}", "w6Q= ä /wBB"),
        ("{{ '_w' | base64_decode | base64_encode }}", "/w=="),
        ("{{ 'a\nb' | indent(2) }}|{{ 'ab' | center(6) }}|", "a\n  b|  ab  |"),
        ("{{ '<a>' | e }} {{ '%s-%05.1f-%d' | format('x', 2.25, 7) }}", "&lt;a&gt; x-002.2-7"),
        ("{{ 'one two three' | truncate(9, leeway=0) }} {{ 'a b' | wordcount }}", "one... 2"),
        ("{{ [1] | chain([2]) | list }} {{ [1,2] | zip(['a','b']) | list }}", r#"[1,2] [[1,"a"],[2,"b"]]"#),
        (
            "{{ 1 | string ~ 2 }} {{ 'x' | bool }} {{ {'a': 1} | attr('a') }} {{ 'a\nb' | lines }}",
            r#"12 true 1 ["a","b"]"#,
        ),
    ]);
}

#[test]
fn calls_methods() {
    check(&[
        (
            "{{ 'a-b'.split('-') }} {{ ' a b '.split() }} {{ 'a,b,c'.split(',', 1) }}",
            r#"["a","b"] ["a","b"] ["a","b,c"]"#,
        ),
        ("{{ ' x '.strip() }}|{{ 'xxa'.lstrip('x') }}|{{ 'a  '.rstrip() }}", "x|a|a"),
        ("{{ 'Ab'.lower() }} {{ 'Ab'.upper() }} {{ 'ab cd'.title() }} {{ 'aB'.capitalize() }}", "ab AB Ab Cd Ab"),
        ("{{ 'abc'.startswith('ab') }} {{ 'abc'.endswith(('x', 'c')) }}", "true true"),
        (
            "{{ 'abc'.replace('b', 'x') }} {{ 'äbc'.find('c') }} {{ 'a'.find('z') }} {{ 'aba'.count('a') }}",
            "axc 2 -1 2",
        ),
        (
            "{{ '12'.isdigit() }} {{ ''.isdigit() }} {{ '-7'.zfill(4) }} {{ 'a\nb'.splitlines() }}",
            r#"true false -007 ["a","b"]"#,
        ),
        ("{{ ','.join(['a', 'b']) }} {{ '{} {1} {x}'.format('a', 'b', x=3) }}", "a,b a b 3"),
        ("{{ input.map.get('z') }} {{ input.map.get('q') }} {{ input.map.get('q', 5) }}", "1 null 5"),
        (
            "{{ input.map.keys() | list }} {{ input.map.values() | list }} {{ input.map.items() | list }}",
            r#"["z","a"] [1,2] [["z",1],["a",2]]"#,
        ),
        ("{{ response.json.items[0].id }} {{ response.json.items() | list | length }}", "7 3"),
    ]);
}

#[test]
fn evaluates_tests() {
    check(&[
        ("{{ input.q is defined }} {{ input.n is defined }} {{ input.q is undefined }}", "false true true"),
        (
            "{{ none is none }} {{ 1 is number }} {{ 'x' is string }} {{ {} is mapping }} {{ [] is sequence }}",
            "true true true true true",
        ),
        ("{{ 3 is odd }} {{ 4 is divisibleby(2) }} {{ 1 is in([1]) }} {{ 1 is not none }}", "true true true true"),
        ("{{ true is boolean }} {{ 1 is integer }} {{ 1.5 is float }} {{ true is true }}", "true true true true"),
        ("{{ 'abc' is startingwith('a') }} {{ 'abc' is endingwith 'c' }} {{ 'a' is lower }}", "true true true"),
    ]);
}

#[test]
fn calls_functions() {
    check(&[
        ("{{ range(3) | list }} {{ range(1, 7, 2) }} {{ range(3, 0, -1) }}", "[0,1,2] [1,3,5] [3,2,1]"),
        (
            "{{ dict(a=1, b=2) }} {{ dict({'a': 1}, b=2) }} {{ dict([('x', 1)]) }}",
            r#"{"a":1,"b":2} {"a":1,"b":2} {"x":1}"#,
        ),
        ("{{ now() }} {{ now(60) }} {{ now(offset=-1) }}", "1700000000 1700000060 1699999999"),
        ("{{ get_secret('token') }} {{ get_variable('instance_url') }}", "s3cr3t-value https://example.com"),
        ("{{ get_variable('nope') | default('d') }}", "d"),
        ("{{ jwt_encode({'sub': 'a', 'exp': '5'}, 'k', 'HS256').split('.') | length }}", "3"),
    ]);
}

#[test]
fn reads_responses() {
    check(&[
        ("{{ response.status_code }} {{ response.headers['content-type'] }}", "200 application/json"),
        ("{{ response.json }}", r#"{"z":1,"a":[1,2.0,-0.0],"items":[{"id":7}]}"#),
        ("{{ response.json.a[1] }} {{ response.body | length }}", "2.0 51"),
    ]);
}
