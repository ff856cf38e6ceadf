//! Decoding of bytes: UTF-8 is accepted, UTF-16 with a byte order mark is converted, everything else is rejected.
//!
//! The encoding is never guessed, as a wrong guess would silently change the text. A rejected file yields empty text
//! and exactly one finding.

use super::codes::{self, Code};
use super::finding::Finding;
use super::limits::ReadLimits;
use super::span::{Range, SourceId};

/// Start of a pointer file of Git LFS, which is in the working tree if the content was not fetched.
const LFS_HEADER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// Decodes the text of a file, without its byte order mark. Rejected text is empty and reported.
pub(super) fn decode(bytes: &[u8], limits: &ReadLimits, findings: &mut Vec<Finding>) -> String {
    match decode_text(bytes, limits).and_then(|text| check_size(text.len(), limits).map(|()| text)) {
        Ok(text) => text,
        Err(finding) => {
            findings.push(finding);
            String::new()
        }
    }
}

/// Rejects a file that exceeds the size limit or the offsets that a [`Range`] can express.
pub(super) fn check_size(length: usize, limits: &ReadLimits) -> Result<(), Finding> {
    let max = limits.file_bytes.min(u32::MAX as usize - 1);
    if length <= max {
        return Ok(());
    }
    let message = format!("the file has {length} bytes, the limit is {max}");
    Err(at_start(&codes::LIMIT, message).help("split it into several files; the order of files does not matter"))
}

fn decode_text(bytes: &[u8], limits: &ReadLimits) -> Result<String, Finding> {
    check_size(bytes.len(), limits)?;
    if bytes.starts_with(LFS_HEADER) {
        let finding = at_start(&codes::LFS_POINTER, "the file is a Git LFS pointer, its content is not here");
        return Err(finding.help("run `git lfs pull`, or store definitions in Git itself (`git lfs untrack`)"));
    }
    match bytes {
        // UTF-32 is tested first: its little-endian mark starts like that of UTF-16.
        [0xFF, 0xFE, 0, 0, ..] | [0, 0, 0xFE, 0xFF, ..] => Err(encoding("the file is UTF-32")),
        [0xFF, 0xFE, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xEF, 0xBB, 0xBF, rest @ ..] => utf8(rest, 3),
        _ => utf8(bytes, 0),
    }
}

/// Decodes UTF-8. `skipped` is the length of the byte order mark, so that reported offsets count from the file's start.
fn utf8(bytes: &[u8], skipped: usize) -> Result<String, Finding> {
    if let Some(at) = control_character(bytes) {
        return Err(control(bytes, at, skipped));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(error) => {
            let at = error.valid_up_to();
            let byte = bytes.get(at).copied().unwrap_or_default();
            let line = line_of(bytes, at);
            let offset = at + skipped;
            Err(encoding(format!("the file is not UTF-8: byte 0x{byte:02X} at offset {offset}, line {line}")))
        }
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, Finding> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(encoding("the file is UTF-16 with an odd number of bytes, so it is truncated"));
    }
    let mut text = String::with_capacity(bytes.len());
    for unit in char::decode_utf16(pairs.iter().map(|pair| unit(*pair))) {
        match unit {
            Ok(character) => text.push(character),
            Err(error) => {
                let line = line_of(text.as_bytes(), text.len());
                let unit = error.unpaired_surrogate();
                return Err(encoding(format!("the file is not UTF-16: lone surrogate 0x{unit:04X}, line {line}")));
            }
        }
    }
    match control_character(text.as_bytes()) {
        Some(at) => Err(control(text.as_bytes(), at, 0)),
        None => Ok(text),
    }
}

fn control(bytes: &[u8], at: usize, skipped: usize) -> Finding {
    let byte = bytes.get(at).copied().unwrap_or_default();
    let (line, offset) = (line_of(bytes, at), at + skipped);
    let name = if byte == 0 { "a NUL byte".to_owned() } else { format!("the control character 0x{byte:02X}") };
    let finding = encoding(format!("the file contains {name} at offset {offset}, line {line}"));
    if byte == 0 && at < 2 {
        return finding.help("this looks like UTF-16 without a byte order mark; save the file as UTF-8");
    }
    finding.help("remove it; in a quoted string it can be written as an escape such as `\\u001b`")
}

/// Offset of the first control character other than tab, line feed and carriage return.
fn control_character(bytes: &[u8]) -> Option<usize> {
    let rejected = |byte: u8| (byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r')) || byte == 0x7F;
    // A fold without an early exit compiles to vector instructions; `position` alone does not.
    let mut start = 0;
    for block in bytes.chunks(256) {
        if block.iter().fold(false, |any, byte| any | rejected(*byte)) {
            return block.iter().position(|byte| rejected(*byte)).map(|at| start + at);
        }
        start += block.len();
    }
    None
}

fn line_of(bytes: &[u8], at: usize) -> usize {
    bytes.iter().take(at).filter(|byte| **byte == b'\n').count() + 1
}

fn encoding(message: impl Into<String>) -> Finding {
    at_start(&codes::ENCODING, message).help("save the file as UTF-8")
}

fn at_start(code: &'static Code, message: impl Into<String>) -> Finding {
    Finding::new(code, Range::default().within(SourceId::UNKNOWN), message)
}

#[cfg(test)]
mod tests;
