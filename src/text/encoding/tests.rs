use super::*;

fn decoded(bytes: &[u8]) -> (String, Vec<(&'static str, String)>) {
    let mut findings = Vec::new();
    let text = decode(bytes, &ReadLimits { file_bytes: 200, ..ReadLimits::default() }, &mut findings);
    (text, findings.into_iter().map(|finding| (finding.code.id, finding.message)).collect())
}

fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    "\u{FEFF}".encode_utf16().chain(text.encode_utf16()).flat_map(bytes).collect()
}

#[test]
fn accepts_utf8_and_utf16() {
    let text = "a: ü 🎉\r\n";
    for bytes in [
        text.as_bytes().to_vec(),
        format!("\u{FEFF}{text}").into_bytes(),
        utf16(text, u16::to_le_bytes),
        utf16(text, u16::to_be_bytes),
    ] {
        assert_eq!(decoded(&bytes), (text.to_owned(), vec![]));
    }
    assert_eq!(decoded(b""), (String::new(), vec![]));
}

#[test]
fn rejects_other_encodings_with_one_finding_and_no_text() {
    let long = [b'a'; 201];
    let cases: &[(&[u8], &str, &str)] = &[
        (b"a: 1\nb: \xFF\n", "EK0002", "the file is not UTF-8: byte 0xFF at offset 8, line 2"),
        (b"\xEF\xBB\xBFa: \xC3", "EK0002", "the file is not UTF-8: byte 0xC3 at offset 6, line 1"),
        (b"\xFF\xFE\0\0a\0\0\0", "EK0002", "the file is UTF-32"),
        (b"\0\0\xFE\xFF\0\0\0a", "EK0002", "the file is UTF-32"),
        (b"\xFF\xFEa\0b", "EK0002", "the file is UTF-16 with an odd number of bytes, so it is truncated"),
        (b"\xFE\xFF\0\n\xD8\0", "EK0002", "the file is not UTF-16: lone surrogate 0xD800, line 2"),
        (b"a\0:\0", "EK0002", "the file contains a NUL byte at offset 1, line 1"),
        (b"a: 1\nb: \x1B[31m", "EK0002", "the file contains the control character 0x1B at offset 8, line 2"),
        (b"a: \x7F", "EK0002", "the file contains the control character 0x7F at offset 3, line 1"),
        (&long, "EK0003", "the file has 201 bytes, the limit is 200"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
            "EK0010",
            "the file is a Git LFS pointer, its content is not here",
        ),
    ];
    for (bytes, code, message) in cases {
        assert_eq!(decoded(bytes), (String::new(), vec![(*code, (*message).to_owned())]));
    }
}

#[test]
fn finds_a_control_character_beyond_the_first_block() {
    let mut bytes = vec![b'a'; 1000];
    bytes[777] = 1;
    assert_eq!(control_character(&bytes), Some(777));
}
