use super::read;
use crate::text::{Node, Range};

fn at(text: &str, range: Range) -> &str {
    &text[range.start as usize..range.end as usize]
}

#[test]
fn spans_cover_the_source_text() {
    let text = "a: 'x y' # c\nb: |- # c\n  one\n\n  two\n\nc: &anchor >\n  fold\nd:   # nothing\ne: [1, {k: v}, ]\nf:\n  - a\n  -\n  - g: 1\n    \"h\": ü\n# end\n";
    let (roots, findings) = read(text);
    assert_eq!(findings, []);
    let root = &roots[0];
    let cases = [
        ("/a", "'x y'"),
        ("/b", "|- # c\n  one\n\n  two"),
        ("/c", ">\n  fold"),
        ("/d", ""),
        ("/e", "[1, {k: v}, ]"),
        ("/e/1", "{k: v}"),
        ("/f", "- a\n  -\n  - g: 1\n    \"h\": ü"),
        ("/f/1", ""),
        ("/f/2", "g: 1\n    \"h\": ü"),
        ("/f/2/h", "ü"),
    ];
    for (pointer, written) in cases {
        assert_eq!(at(text, root.pointer(pointer).unwrap().span), written, "{pointer}");
    }
    assert_eq!(at(text, root.span), text.trim_end().trim_end_matches("\n# end"));
    assert_eq!(root.get("d").unwrap().span.start as usize, text.find("d:").unwrap() + 2);
    let key = root.pointer("/f/2").unwrap().entry("h").unwrap();
    assert_eq!(at(text, key.key.span), "\"h\"");
    assert_eq!(at(text, key.span()), "\"h\": ü");
}

#[test]
fn locates_a_map_without_brackets_in_a_flow_list() {
    let text = "[ü: b, c]\n";
    let root = &read(text).0[0];
    assert_eq!(root.to_json(), serde_json::json!([{"ü": "b"}, "c"]));
    assert_eq!(at(text, root.items()[0].span), "ü: b");
}

#[test]
fn an_aliased_value_has_the_position_of_its_definition() {
    let text = "a: &x {k: v}\nb: *x\n";
    let root = &read(text).0[0];
    assert_eq!(at(text, root.get("b").unwrap().span), "{k: v}");
    assert_eq!(at(text, root.entry("b").unwrap().span()), "b");
    assert_eq!(at(text, root.span), "a: &x {k: v}\nb: *x");
}

fn block(text: &str) -> Node {
    let (roots, findings) = read(text);
    assert_eq!(findings, []);
    roots[0].get("k").unwrap().clone()
}

#[test]
fn locates_a_range_within_a_string() {
    let cases = [
        ("k: hello é world\n", "é w"),
        ("k: 'hello é'\n", "é"),
        ("k: \"hello é\"\n", "hello"),
        ("k: |\n  one\n  {{ é }}\n", "{{ é }}"),
        ("k: |-\n      deep é\n        deeper ü\n      last", "deeper ü"),
        ("k: |-\n      deep é\n        deeper ü\n      last", "last"),
        ("k: |\n\n  after a blank\n", "after"),
        ("k: |2\n    indented\n", "  indented"),
        ("k: |+ # comment\n  x\n\n  y  \n\n\n", "y  "),
        ("k: |\r\n  one\r\n  two ü\r\n", "two ü"),
        ("k:\n  # c | c\n  &a |\n  one\n  two\n", "two"),
        ("k: |\n  first line é\n  second\n", "é"),
    ];
    for (text, part) in cases {
        let node = block(text);
        let start = node.as_str().unwrap().find(part).unwrap();
        assert_eq!(at(text, node.locate(text, start..start + part.len())), part, "{text}");
    }
    // Across a line break, and at the end.
    let text = "k: |\n  one\n  two\n";
    let node = block(text);
    assert_eq!(at(text, node.locate(text, 2..6)), "e\n  tw");
    assert_eq!(at(text, node.locate(text, 4..8)), "two");
    assert_eq!(at(text, node.locate(text, 4..4)), "");
}

#[test]
fn returns_the_whole_value_if_a_range_cannot_be_located() {
    for (text, part) in
        [("k: \"a\\tb c\"\n", "c"), ("k: 'it''s x'\n", "x"), ("k: >\n  a\n  b\n", "b"), ("k: \"\\_ x\"\n", "x")]
    {
        let node = block(text);
        let start = node.as_str().unwrap().find(part).unwrap();
        assert_eq!(node.locate(text, start..start + 1), node.span, "{text}");
    }
    // Ranges outside of this value.
    let node = block("k: é\n");
    for range in [0..1, 1..2, 5..9] {
        let _no_panic = node.locate("k: é\n", range);
    }
}
