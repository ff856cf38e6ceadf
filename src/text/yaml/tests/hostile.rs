use std::time::{Duration, Instant};

use super::*;

/// Reads a text and fails after a time that only quadratic or exponential work exceeds, even in a debug build.
fn quickly(text: &str) -> (Vec<Node>, Vec<Finding>) {
    let start = Instant::now();
    let read = read(text);
    assert!(start.elapsed() < Duration::from_secs(5), "took {:?}", start.elapsed());
    read
}

fn nested_aliases(levels: usize, width: usize) -> String {
    let mut text = format!("a0: &a0 [{}]\n", vec!["x"; width].join(","));
    for level in 1..levels {
        let aliases = vec![format!("*a{}", level - 1); width].join(",");
        text += &format!("a{level}: &a{level} [{aliases}]\n");
    }
    text
}

#[test]
fn aliases_are_charged_before_they_are_expanded() {
    let text = nested_aliases(9, 10);
    let (roots, findings) = quickly(&text);
    assert!(roots.is_empty());
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].message, "more than 250000 values in one file");
    let span = findings[0].span().unwrap();
    assert_eq!(&text[(span.start as usize)..=(span.start as usize)], "*");

    let long = format!("a: &a {}\nb: [{}*a]\n", "x".repeat(1 << 20), "*a,".repeat(20));
    assert_eq!(quickly(&long).1[0].message, "more than 16777216 bytes of strings in one file");

    // Nesting counts through aliases.
    let mut deep = String::from("a0: &a0 [x]\n");
    (1..100).for_each(|level| deep += &format!("a{level}: &a{level} [*a{}]\n", level - 1));
    assert_eq!(quickly(&deep).1[0].message, "lists and maps are nested more than 64 deep");
}

#[test]
fn limits_nesting() {
    let blocks: String = (0..2000).map(|level| " ".repeat(level) + "a:\n").collect();
    for text in
        ["[".repeat(10_000), "{a: ".repeat(10_000), "- ".repeat(10_000), "? ".repeat(10_000), blocks, "[{".repeat(40)]
    {
        let text = text.clone();
        let read = move || quickly(&text).1.into_iter().map(|finding| finding.message).collect::<Vec<_>>();
        let found = std::thread::Builder::new().stack_size(256 << 10).spawn(read).unwrap().join().unwrap();
        assert_eq!(found, ["lists and maps are nested more than 64 deep"]);
    }
    assert_eq!(read(&("[".repeat(64) + &"]".repeat(64))).1, []);
}

#[test]
fn limits_documents_and_values() {
    let few = ReadLimits { documents: 2, nodes: 10, ..ReadLimits::default() };
    assert_eq!(read_with("a\n---\nb\n---\nc\n", &few).1[0].message, "more than 2 documents in one file");
    assert_eq!(read_with("a\n---\nb\n---\nc\n", &few).0.len(), 2);
    assert_eq!(read_with(&"- a\n".repeat(10), &few).1[0].message, "more than 10 values in one file");
    let large = "a: ".to_owned() + &"x".repeat(100 << 20);
    assert_eq!(quickly(&large).1[0].message, format!("the file has {} bytes, the limit is 4194304", large.len()));
}

#[test]
fn reads_large_files_in_linear_time() {
    let keys: String = (0..60_000).map(|key| format!("k{key}: 1, ")).collect();
    for text in [
        format!("{{{keys}}}"),
        "k: 1\n".repeat(60_000),
        format!("[{}]", "{{ x }}, ".repeat(50_000)),
        "---\na: [\n".repeat(50_000),
        "a: \"x\n".repeat(50_000),
        "- |\n  a\n".repeat(50_000),
        format!("- |\n  a\n{}", "#\n".repeat(500_000)),
        format!("a: {}", "x: ".repeat(300_000)),
        "- &a a\n".repeat(50_000) + "- *a\n",
        "-\n".repeat(50_000),
    ] {
        let (_, findings) = quickly(&text);
        assert!(findings.len() <= MAX_FINDINGS + 1);
    }
}

/// No text causes a panic, and every position is within the text.
#[test]
fn never_panics_on_random_text() {
    let parts = [
        "a",
        ": ",
        "- ",
        "\n",
        "\n  ",
        "\t",
        "|",
        ">-",
        "\"",
        "'",
        "[",
        "]",
        "{",
        "}",
        ",",
        "&a ",
        "*a ",
        "!!str ",
        "!x ",
        "#",
        " # c",
        "---\n",
        "...\n",
        "%",
        "{{ ",
        " }}",
        "<<: ",
        "0123",
        ".inf",
        "ü",
        "\r\n",
        "\u{85}",
        "\u{2028}",
        "\\",
        "? ",
        "@",
        "`",
        "~",
        "\u{FEFF}",
        "%YAML 1.2\n---\n",
        "1e9",
        "\u{10FFFF}",
    ];
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut next = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    for _ in 0..20_000 {
        let text: String = (0..next(24)).map(|_| parts[next(parts.len())]).collect();
        for path in ["a.yaml", "a.json"] {
            let (documents, findings) = parse_source(&Source::new(path, &*text), &ReadLimits::default());
            let inside = |start: u32, end: u32| {
                assert!(text.get(start as usize..end as usize).is_some(), "{text:?} {start}..{end}");
            };
            for document in &documents {
                check(&document.root, &inside, &text);
            }
            for label in findings.iter().flat_map(|finding| &finding.labels) {
                inside(label.span.start, label.span.end);
            }
        }
    }
}

/// Like the test above, for bytes: half of the inputs derive from a valid file.
#[test]
fn never_panics_on_random_bytes() {
    let fine = "\u{FEFF}a: 'ü'\nb:\n  - |\n    x\n  - [1, {c: d}]\n---\ne: \"\\u00e9\"\n".as_bytes();
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    for _ in 0..5_000 {
        let bytes: Vec<u8> = fine
            .iter()
            .map(|byte| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                if state.is_multiple_of(16) { (state >> 8) as u8 } else { *byte }
            })
            .collect();
        for path in ["a.yaml", "a.json"] {
            let (mut sources, mut findings) = (crate::text::SourceMap::default(), Vec::new());
            crate::text::read(&mut sources, path, &bytes, &ReadLimits::default(), &mut findings);
            for output in crate::text::render::OutputFormat::ALL {
                let report = crate::text::render::Report { findings: &findings, sources: &sources, definitions: 1 };
                let _no_panic = crate::text::render::render(&report, output, true, 80);
            }
        }
    }
}

fn check(node: &Node, inside: &impl Fn(u32, u32), text: &str) {
    inside(node.span.start, node.span.end);
    if let Some(value) = node.as_str() {
        let found = node.locate(text, 0..value.len());
        inside(found.start, found.end);
    }
    node.items().iter().for_each(|item| check(item, inside, text));
    for entry in node.entries() {
        inside(entry.key.span.start, entry.key.span.end);
        check(&entry.value, inside, text);
    }
}
