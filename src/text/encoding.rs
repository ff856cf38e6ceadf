//! Bytes to text: UTF-8 is taken, UTF-16 with a byte order mark converted, everything else refused.
//!
//! A guess would change what the author wrote in silence, so there is none. A file that is refused gives empty text:
//! its one finding says why, and nothing else is reported about it.

use super::{Code, Finding, Range, ReadLimits, SourceId, codes};

/// What a file of Git's large-file storage starts with when only its pointer is checked out.
const LFS_HEADER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// The text of a file without its byte order mark; empty text and a finding where it cannot be taken.
pub(super) fn decode(bytes: &[u8], limits: &ReadLimits, findings: &mut Vec<Finding>) -> String {
    match text_of(bytes, limits).and_then(|text| fits(text.len(), limits).map(|()| text)) {
        Ok(text) => text,
        Err(finding) => {
            findings.push(finding);
            String::new()
        }
    }
}

/// Refuses more bytes than a file may have, and more than a [`Range`] can count.
pub(super) fn fits(length: usize, limits: &ReadLimits) -> Result<(), Finding> {
    let most = limits.file_bytes.min(u32::MAX as usize - 1);
    if length <= most {
        return Ok(());
    }
    let message = format!("the file has {length} bytes, at most {most} are read");
    Err(at_start(&codes::LIMIT, message).help("split it into several files; the order of files does not matter"))
}

fn text_of(bytes: &[u8], limits: &ReadLimits) -> Result<String, Finding> {
    fits(bytes.len(), limits)?;
    if bytes.starts_with(LFS_HEADER) {
        let finding = at_start(&codes::LFS_POINTER, "the file is a Git LFS pointer, its content is not here");
        return Err(finding.help("run `git lfs pull`, or store definitions in Git itself (`git lfs untrack`)"));
    }
    match bytes {
        // UTF-32 first: its little-endian mark starts like that of UTF-16.
        [0xFF, 0xFE, 0, 0, ..] | [0, 0, 0xFE, 0xFF, ..] => Err(encoding("the file is UTF-32")),
        [0xFF, 0xFE, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xEF, 0xBB, 0xBF, rest @ ..] => utf8(rest, 3),
        _ => utf8(bytes, 0),
    }
}

/// `skipped` is the length of the byte order mark, so that offsets told to people count from the file's start.
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
        return Err(encoding("the file is UTF-16 with an odd number of bytes, so a part of it is missing"));
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
    let finding = encoding(format!("the file holds {name} at offset {offset}, line {line}"));
    if byte == 0 && at < 2 {
        return finding.help("this looks like UTF-16 without a byte order mark; save the file as UTF-8");
    }
    finding.help("remove it; in a quoted string it can be written as an escape such as `\\u001b`")
}

/// Offset of the first control character other than tab, line feed and carriage return.
fn control_character(bytes: &[u8]) -> Option<usize> {
    let refused = |byte: u8| (byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r')) || byte == 0x7F;
    // A fold without an early exit within a block becomes vector instructions; `position` alone does not.
    let mut start = 0;
    for block in bytes.chunks(256) {
        if block.iter().fold(false, |any, byte| any | refused(*byte)) {
            return block.iter().position(|byte| refused(*byte)).map(|at| start + at);
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
