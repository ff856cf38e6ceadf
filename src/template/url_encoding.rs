//! Percent-encoding (RFC 3986, section 2.1).

use minijinja::Error;
use minijinja::value::Value;

use super::arguments::Args;
use super::convert::text;

/// Appends the percent-encoded text of a value.  All characters except the
/// unreserved ones are encoded, and `/` unless `keep_slash`.
pub(super) fn percent_encode(args: &Args<'_>, out: &mut String, value: &Value, keep_slash: bool) -> Result<(), Error> {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let text = text(&args.budget, value)?;
    args.budget.charge_memory(text.len().saturating_mul(3))?;
    for byte in text.bytes() {
        let plain =
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') || (keep_slash && byte == b'/');
        if plain {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    Ok(())
}
