//! A guard in front of the parser, which recurses as deep as the source nests.

/// Maximum nesting of brackets.
pub(super) const MAX_NESTING: usize = 500;
/// Maximum number of tokens between two commas, semicolons or statement ends within one pair of brackets.
pub(super) const MAX_TOKENS: usize = 5_000;

/// Finds the byte offset at which the source exceeds [`MAX_NESTING`] or [`MAX_TOKENS`].
///
/// The length of a statement counts because the parser also recurses along expressions that need no brackets:
/// `!!!!…`, `a=>a=>…` and `1+1+…`.
pub(super) fn find_excessive_nesting(source: &str) -> Option<usize> {
    let bytes = source.as_bytes();
    // Number of tokens in the current statement, for each open bracket.
    let mut lengths = vec![0_usize];
    let (mut at, mut previous) = (0, "");
    while let Some(&byte) = bytes.get(at) {
        let rest = source.get(at..).unwrap_or_default();
        let start = at;
        at += match byte {
            b'/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            b'/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            b'"' | b'\'' => string_length(rest),
            byte if is_identifier_byte(byte) => rest.bytes().take_while(|byte| is_identifier_byte(*byte)).count(),
            _ => 1,
        };
        let token = source.get(start..at).unwrap_or(" ");
        match byte {
            b'(' | b'[' | b'{' => lengths.push(0),
            b')' | b']' | b'}' if lengths.len() > 1 => {
                lengths.pop();
            }
            b',' | b';' => *lengths.last_mut()? = 0,
            // A line that begins like a statement follows a line that ends like one.
            byte if (is_identifier_byte(byte) || byte == b'}') && previous == "\n" => *lengths.last_mut()? = 0,
            _ => {}
        }
        if byte == b'\n' {
            previous = if can_end_statement(previous) { "\n" } else { previous };
        } else if !byte.is_ascii_whitespace() {
            *lengths.last_mut()? += 1;
            previous = token;
        }
        if lengths.len() > MAX_NESTING || lengths.last().is_some_and(|length| *length > MAX_TOKENS) {
            return Some(start);
        }
    }
    None
}

/// True if a statement can end with the token.
fn can_end_statement(token: &str) -> bool {
    const CONTINUING: [&str; 10] =
        ["typeof", "void", "delete", "await", "yield", "new", "in", "of", "instanceof", "else"];
    let last = token.bytes().last().unwrap_or(b' ');
    !CONTINUING.contains(&token) && (is_identifier_byte(last) || b")]}\"'`\n".contains(&last))
}

fn is_identifier_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

/// Length in bytes of the string literal at the start of `rest`; an unterminated string ends with its line.
fn string_length(rest: &str) -> usize {
    let quote = rest.as_bytes().first().copied().unwrap_or(b'"');
    let mut escaped = false;
    let end = rest.bytes().skip(1).position(|byte| {
        let ends = !escaped && (byte == quote || byte == b'\n');
        escaped = !escaped && byte == b'\\';
        ends
    });
    end.map_or(rest.len(), |end| end + 2)
}
