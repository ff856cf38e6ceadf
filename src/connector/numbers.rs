//! Integers that JSON parsers would round.

/// The first integer in JSON text that does not fit into 64 bits. Read as a float it would be a different number.
pub fn inexact_integer(json: &[u8]) -> Option<String> {
    let mut rest = json;
    while let Some(&byte) = rest.first() {
        if byte == b'"' {
            let mut escaped = false;
            let end = rest.iter().skip(1).position(|&byte| {
                let closes = byte == b'"' && !escaped;
                escaped = byte == b'\\' && !escaped;
                closes
            })?;
            rest = rest.get(end + 2..)?;
            continue;
        }
        let length = rest.iter().take_while(|byte| byte.is_ascii_digit() || b"+-.eE".contains(byte)).count();
        let number = rest.get(..length).and_then(|number| std::str::from_utf8(number).ok()).unwrap_or_default();
        let integer = number.len() > 18 && number.trim_start_matches('-').bytes().all(|byte| byte.is_ascii_digit());
        if integer && number.parse::<i64>().is_err() && number.parse::<u64>().is_err() {
            return Some(number.to_owned());
        }
        rest = rest.get(length.max(1)..)?;
    }
    None
}
