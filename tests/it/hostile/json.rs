//! Row 23: malicious JSON, read on a thread with a stack of 256 KiB.

use serde_json::json;

use super::{assert_no_failures, read};

/// Runs a function on a small stack, which overflows if the function recurses over its input.
fn on_a_small_stack<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::Builder::new().stack_size(256 << 10).spawn(run).unwrap().join().unwrap()
}

#[test]
fn row_23_json_depth_on_small_stack() {
    let wrong = on_a_small_stack(|| {
        let mixed = "[{\"a\":".repeat(50_000);
        let texts = [
            ("lists", "[".repeat(100_000), "EK0003 a.json:1:65"),
            ("closed lists", "[".repeat(100_000) + &"]".repeat(100_000), "EK0003 a.json:1:65"),
            ("maps", "{\"a\":".repeat(100_000), "EK0003 a.json:1:321"),
            ("both", mixed, "EK0003 a.json:1:193"),
            ("lines", "[\n".repeat(100_000), "EK0003 a.json:65:1"),
            ("brackets that close", "]".repeat(100_000), "EK0004 a.json:1:1"),
        ];
        let wrong = texts.into_iter().filter_map(|(name, text, expected)| {
            let (values, reported) = read("a.json", text.as_bytes());
            (reported != [expected] || !values.is_empty())
                .then(|| format!("{name}: {reported:?} instead of {expected}"))
        });
        wrong.collect::<Vec<_>>()
    });
    assert_no_failures(wrong);
    let deepest = "[".repeat(64) + &"]".repeat(64);
    assert_eq!(on_a_small_stack(move || read("a.json", deepest.as_bytes()).1), [""; 0], "64 levels are read");
}

#[test]
fn row_23_json_numbers_and_duplicates() {
    let reported = on_a_small_stack(|| {
        read("a.json", b"{\"a\": 1,\n \"b\": 1e400,\n \"a\": 2,\n \"\\u0061\": 3,\n \"c\": 18446744073709551616}")
    });
    assert_eq!(reported.0, [json!({"a": 1, "b": 0, "c": 18_446_744_073_709_551_616.0})]);
    assert_eq!(reported.1, ["EK0008 a.json:2:7", "EK0005 a.json:3:2", "EK0005 a.json:4:2", "EK0105 a.json:5:7"]);
    let (values, reported) = read("a.json", b"[-0.0, 9007199254740993, -9223372036854775808, 1E5, 0.1]");
    assert_eq!(reported, [""; 0]);
    assert_eq!(values[0].to_string(), "[-0.0,9007199254740993,-9223372036854775808,100000.0,0.1]");
}

#[test]
fn row_23_json_strictness() {
    let cases: &[(&[u8], &str)] = &[
        (br#"["\ud800"]"#, "EK0004 a.json:1:3"),
        (br#"["x\udc00"]"#, "EK0004 a.json:1:4"),
        (br#"["\ud800\u0041"]"#, "EK0004 a.json:1:3"),
        (b"[\n\"\xED\xA0\x80\"]", "EK0002 a.json:1:1"),
        (b"[NaN]", "EK0004 a.json:1:2"),
        (b"[\n -Infinity]", "EK0004 a.json:2:3"),
        (b"[01]", "EK0004 a.json:1:2"),
        (b"[0x1F]", "EK0004 a.json:1:3"),
        (b"[1,]", "EK0004 a.json:1:3"),
        (b"{'a': 1}", "EK0004 a.json:1:2"),
        (b"{\"a\": 1} // c", "EK0004 a.json:1:10"),
        (b"{}\n{}", "EK0004 a.json:2:1"),
        (b"{\"a\": \"x\ny\"}", "EK0004 a.json:1:7"),
        (b"{\"a\"", "EK0004 a.json:1:5"),
        (b"\"", "EK0004 a.json:1:1"),
        (b"&a [*a]", "EK0004 a.json:1:1"),
    ];
    let wrong = cases.iter().filter_map(|(bytes, expected)| {
        let (values, reported) = read("a.json", bytes);
        let text = String::from_utf8_lossy(bytes);
        (reported != [*expected] || !values.is_empty()).then(|| format!("{text}: {reported:?} instead of {expected}"))
    });
    assert_no_failures(wrong.collect());
    assert_eq!(read("a.json", "\u{FEFF}\"\\ud83c\\udf89\"".as_bytes()).0, [json!("🎉")]);
}
