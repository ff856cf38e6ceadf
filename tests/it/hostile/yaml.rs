//! Row 22: malicious YAML, and YAML that readers interpret differently.

use serde_json::{Value, json};

use super::{assert_no_failures, read};

/// Checks files that are rejected, with the code and the position of the finding.
#[track_caller]
fn assert_rejected(cases: &[(&str, &[u8], &str)]) {
    let wrong = cases.iter().filter_map(|(name, bytes, expected)| {
        let (values, reported) = read("a.yaml", bytes);
        (reported != [*expected] || !values.is_empty())
            .then(|| format!("{name}: {reported:?} instead of {expected:?}, {} documents", values.len()))
    });
    assert_no_failures(wrong.collect());
}

/// Checks files that are read, with the expected values and findings.
#[track_caller]
fn assert_read(cases: &[(&str, &[u8], &[Value], &str)]) {
    let wrong = cases.iter().filter_map(|(name, bytes, expected, finding)| {
        let (values, reported) = read("a.yaml", bytes);
        let finding: Vec<&str> = finding.split(", ").filter(|finding| !finding.is_empty()).collect();
        let same =
            values.len() == expected.len() && values.iter().zip(*expected).all(|(value, expected)| *value == *expected);
        (reported != finding || !same)
            .then(|| format!("{name}: {reported:?} instead of {finding:?}\n  {values:?}\n  {expected:?}"))
    });
    assert_no_failures(wrong.collect());
}

/// Builds `a0: [x, …]`, `a1: [*a0, …]`, …: each line expands to `width` times the previous one.
fn laughs(levels: usize, width: usize) -> String {
    let mut text = format!("a0: &a0 [{}]\n", vec!["x"; width].join(","));
    for level in 1..levels {
        text += &format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); width].join(","));
    }
    text
}

#[test]
fn row_22_yaml_billion_laughs() {
    let merges = (1..40).fold("a0: &a0 {x: 1}\n".to_owned(), |text, level| {
        let before = level - 1;
        text + &format!("a{level}: &a{level} {{y{level}: [*a{before}, *a{before}], <<: *a{before}}}\n")
    });
    let long = format!("a: &a {}\nb: [{}*a]\n", "x".repeat(1 << 20), "*a, ".repeat(20));
    let deep = (1..100)
        .fold("a0: &a0 [x]\n".to_owned(), |text, level| text + &format!("a{level}: &a{level} [*a{}]\n", level - 1));
    assert_rejected(&[
        // Charged before the expansion: one alias for 111,111 values fits, the next one does not.
        ("nine levels", laughs(9, 10).as_bytes(), "EK0003 a.yaml:6:14"),
        ("wide", laughs(3, 600).as_bytes(), "EK0003 a.yaml:2:1666"),
        ("through merges", merges.as_bytes(), "EK0003 a.yaml:11:23"),
        ("a long string", long.as_bytes(), "EK0003 a.yaml:2:61"),
        ("nested through aliases", deep.as_bytes(), "EK0003 a.yaml:64:12"),
    ]);
    let own = b"a: &x [*x]\nb: &y {c: *y}\n";
    assert_read(&[
        ("itself", own, &[json!({"a": [null], "b": {"c": null}})], "EK0004 a.yaml:1:8, EK0004 a.yaml:2:11"),
        ("no laugh", laughs(4, 5).as_bytes(), &[read("a.yaml", laughs(4, 5).as_bytes()).0.remove(0)], ""),
    ]);
}

#[test]
fn row_22_yaml_ten_thousand_levels() {
    let blocks: String = (0..10_000).map(|level| " ".repeat(level.min(200)) + "a:\n").collect();
    let texts = [
        ("lists", "[".repeat(10_000), "EK0003 a.yaml:1:65"),
        ("closed lists", "[".repeat(10_000) + &"]".repeat(10_000), "EK0003 a.yaml:1:65"),
        ("maps", "{a: ".repeat(10_000), "EK0003 a.yaml:1:257"),
        ("items", "- ".repeat(10_000), "EK0003 a.yaml:1:129"),
        ("keys", "? ".repeat(10_000), "EK0003 a.yaml:1:129"),
        ("blocks", blocks, "EK0003 a.yaml:65:65"),
    ];
    let run = move || assert_rejected(&texts.each_ref().map(|(name, text, place)| (*name, text.as_bytes(), *place)));
    std::thread::Builder::new().stack_size(256 << 10).spawn(run).unwrap().join().unwrap();
    let (values, reported) = read("a.yaml", ("[".repeat(64) + &"]".repeat(64)).as_bytes());
    assert_eq!((values.len(), reported.len()), (1, 0), "64 levels are read");
}

#[test]
fn row_22_yaml_hundred_megabytes() {
    let scalar = format!("a: {}\n", "x".repeat(100 << 20));
    assert_rejected(&[("one scalar", scalar.as_bytes(), "EK0003 a.yaml:1:1")]);
    let largest = format!("a: {}\n", "x".repeat((4 << 20) - 4));
    assert_eq!(read("a.yaml", largest.as_bytes()).1, [""; 0], "4 MiB are read");
    let more = format!("{largest}\n");
    assert_rejected(&[("one byte more", more.as_bytes(), "EK0003 a.yaml:1:1")]);
}

#[test]
fn row_22_yaml_duplicate_keys() {
    assert_read(&[
        ("block", b"a: 1\nb: 2\na: 3\n", &[json!({"a": 1, "b": 2})], "EK0005 a.yaml:3:1"),
        ("flow", b"x: {a: 1, \"a\": 2}\n", &[json!({"x": {"a": 1}})], "EK0005 a.yaml:1:11"),
        ("escaped", b"a: 1\n\"\\x61\": 2\n", &[json!({"a": 1})], "EK0005 a.yaml:2:1"),
        ("merge", b"<<: {a: 1}\n<<: {b: 1}\n", &[json!({"a": 1})], "EK0005 a.yaml:2:1"),
        ("other document", b"a: 1\n---\na: 2\n", &[json!({"a": 1}), json!({"a": 2})], ""),
    ]);
}

#[test]
fn row_22_yaml_tabs() {
    assert_rejected(&[
        ("indentation", b"a:\n\tb: 1\n", "EK0004 a.yaml:2:1"),
        ("after spaces", b"a:\n  b: 1\n\tc: 1\n", "EK0004 a.yaml:3:1"),
        ("block scalar", b"a: |\n\tx\n", "EK0004 a.yaml:2:1"),
    ]);
    assert_read(&[
        ("first line", b"\ta: 1\n", &[json!({"a": 1})], "EK0004 a.yaml:1:1"),
        ("between", b"a:\t1\t# c\n", &[json!({"a": 1})], ""),
        ("within", b"a: |\n  x\ty\n", &[json!({"a": "x\ty\n"})], ""),
    ]);
}

#[test]
fn row_22_yaml_byte_order_marks_and_utf_16() {
    let marked = |text: &str, unit: fn(u16) -> [u8; 2]| -> Vec<u8> {
        std::iter::once(0xFEFF).chain(text.encode_utf16()).flat_map(unit).collect()
    };
    let (little, big) = (marked("a: \"é🎉\"\n", u16::to_le_bytes), marked("a: \"é🎉\"\n", u16::to_be_bytes));
    let odd = &little[..little.len() - 1];
    let unmarked = &little[2..];
    let lone = [0xFF, 0xFE, 0x61, 0, 0x3A, 0, 0x20, 0, 0x00, 0xD8];
    assert_read(&[
        ("UTF-8", b"\xEF\xBB\xBFa: 1\n", &[json!({"a": 1})], ""),
        ("place after it", b"\xEF\xBB\xBFa: 01\n", &[json!({"a": 1})], "EK0006 a.yaml:1:4"),
        ("UTF-16 LE", &little, &[json!({"a": "é🎉"})], ""),
        ("UTF-16 BE", &big, &[json!({"a": "é🎉"})], ""),
    ]);
    assert_rejected(&[
        ("half a unit", odd, "EK0002 a.yaml:1:1"),
        ("no mark", unmarked, "EK0002 a.yaml:1:1"),
        ("lone surrogate", &lone, "EK0002 a.yaml:1:1"),
        ("UTF-32", b"\xFF\xFE\0\0a\0\0\0", "EK0002 a.yaml:1:1"),
        ("Latin-1", b"a: caf\xE9\n", "EK0002 a.yaml:1:1"),
        ("overlong", b"a: \xC0\x80\n", "EK0002 a.yaml:1:1"),
        ("NUL", b"a: \0\n", "EK0002 a.yaml:1:1"),
        ("escape", b"a: \x1b[31m\n", "EK0002 a.yaml:1:1"),
    ]);
}

#[test]
fn row_22_yaml_line_breaks() {
    assert_read(&[
        ("CRLF", b"a: 1\r\nb: |\r\n  x\r\n  y\r\n", &[json!({"a": 1, "b": "x\ny\n"})], ""),
        ("place after CRLF", b"a: 1\r\nb: 01\r\n", &[json!({"a": 1, "b": 1})], "EK0006 a.yaml:2:4"),
        ("NEL is text in 1.2", "a: x\u{85}y\n".as_bytes(), &[json!({"a": "x\u{85}y"})], ""),
        ("LS is text in 1.2", "a: x\u{2028}y\n".as_bytes(), &[json!({"a": "x\u{2028}y"})], ""),
    ]);
}

#[test]
fn row_22_yaml_tags() {
    let local = [json!({"a": 1})];
    assert_read(&[
        ("object", b"a: !!python/object:os.system {b: 1}\n", &[json!({"a": {"b": 1}})], "EK0007 a.yaml:1:4"),
        ("apply", b"!!python/object/apply:os.system ['id']\n", &[json!(["id"])], "EK0007 a.yaml:1:1"),
        ("local", b"a: !ruby 1\n", &local, "EK0007 a.yaml:1:4"),
        ("verbatim", b"a: !<tag:x.org,2000:y> 1\n", &local, "EK0007 a.yaml:1:4"),
        ("handle", b"%TAG !e! tag:x.org,2000:\n---\na: !e!y 1\n", &local, "EK0004 a.yaml:1:1, EK0007 a.yaml:3:4"),
        ("core", b"a: !!str 1\nb: !!int \"2\"\n", &[json!({"a": "1", "b": 2})], ""),
        ("binary", b"a: !!binary aGk=\n", &[json!({"a": "aGk="})], "EK0007 a.yaml:1:4"),
        ("wrong", b"a: !!int x\n", &[json!({"a": "x"})], "EK0103 a.yaml:1:10"),
    ]);
}

#[test]
fn row_22_yaml_merge_keys() {
    assert_read(&[
        (
            "own keys win",
            b"a: &a {x: 1, y: 2}\nb: {y: 3, <<: *a}\n",
            &[json!({"a": {"x": 1, "y": 2}, "b": {"y": 3, "x": 1}})],
            "",
        ),
        ("a number", b"<<: 1\n", &[json!({})], "EK0012 a.yaml:1:5"),
        ("a list with one", b"<<: [{a: 1}, 2]\n", &[json!({})], "EK0012 a.yaml:1:5"),
        ("quoted is a key", b"\"<<\": 1\n", &[json!({"<<": 1})], ""),
        ("unknown alias", b"<<: *nope\n", &[json!({})], "EK0004 a.yaml:1:5"),
    ]);
}

#[test]
fn row_22_yaml_words_and_numbers() {
    assert_read(&[
        (
            "Norway",
            b"[no, NO, off, on, y, Yes, true, ~]\n",
            &[json!(["no", "NO", "off", "on", "y", "Yes", true, null])],
            "",
        ),
        ("octal", b"- 010\n- 0o10\n- 0x1F\n", &[json!([10, 8, 31])], "EK0006 a.yaml:1:3"),
        ("postal code", b"zip: 08001\n", &[json!({"zip": 8001})], "EK0006 a.yaml:1:6"),
        (
            "exponents",
            b"[1e3, 1E-2, 1e+3, .5, 5., 1e, e3]\n",
            &[json!([1000.0, 0.01, 1000.0, 0.5, 5.0, "1e", "e3"])],
            "",
        ),
        (
            "infinite",
            b"- .inf\n- -.INF\n- .nan\n- 1e400\n- inf\n",
            &[json!([0, 0, 0, 0, "inf"])],
            "EK0008 a.yaml:1:3, EK0008 a.yaml:2:3, EK0008 a.yaml:3:3, EK0008 a.yaml:4:3",
        ),
        (
            "sexagesimal",
            b"[12:30:45, 190:20, 2024-01-31, 1_000]\n",
            &[json!(["12:30:45", "190:20", "2024-01-31", "1_000"])],
            "",
        ),
        (
            "64 bits",
            b"[9223372036854775807, -9223372036854775808, 18446744073709551615, 9007199254740993]\n",
            &[json!([i64::MAX, i64::MIN, u64::MAX, 9_007_199_254_740_993_u64])],
            "",
        ),
        (
            "more than 64 bits",
            b"- 18446744073709551616\n- -9223372036854775809\n",
            &[json!([18_446_744_073_709_551_616.0, -9_223_372_036_854_775_808.0])],
            "EK0105 a.yaml:1:3, EK0105 a.yaml:2:3",
        ),
        ("negative zero", b"[-0.0, -0]\n", &[json!([-0.0, 0])], ""),
        (
            "keys",
            b"1: a\ntrue: b\n~: c\n",
            &[json!({"1": "a", "true": "b", "~": "c"})],
            "EK0014 a.yaml:1:1, EK0014 a.yaml:2:1, EK0014 a.yaml:3:1",
        ),
    ]);
}

#[test]
fn row_22_yaml_documents() {
    let (one, two) = (json!({"a": 1}), json!({"b": 2}));
    assert_read(&[
        ("nothing", b"", &[], ""),
        ("comments", b"# a\n---\n# b\n---\n", &[], ""),
        ("empty ones", b"---\n---\n# c\n---\na: 1\n...\n---\n...\n---\nb: 2\n", &[one.clone(), two.clone()], ""),
        ("trailing dots", b"a: 1\n...\n", std::slice::from_ref(&one), ""),
        ("dots and a comment", b"---\na: 1\n...\n# end\n", std::slice::from_ref(&one), ""),
        (
            "one is broken",
            b"a: [\n---\nb: 2\n---\n- @\n",
            std::slice::from_ref(&two),
            "EK0004 a.yaml:1:4, EK0004 a.yaml:5:3",
        ),
        ("1.1", b"%YAML 1.1\n---\na: 1\n", std::slice::from_ref(&one), "EK0004 a.yaml:1:1"),
    ]);
    let many = "a: 1\n---\n".repeat(10_001);
    let (values, reported) = read("a.yaml", many.as_bytes());
    assert_eq!((values.len(), reported), (10_000, vec!["EK0003 a.yaml:20001:1".to_owned()]));
}
