//! Decrypted values: look-up by path and output as JSON.

use base64::Engine as _;
use zeroize::Zeroizing;

use super::format::{EncryptedFormat, limits};
use crate::text::{self, Entry, Key, Node, NodeKind, Range, Severity, Text, TextStyle};

/// A decrypted value. Has no `Debug`; overwritten when dropped.
pub(super) enum Plain {
    Null,
    Bool(bool),
    /// A number in JSON syntax.
    Number(Zeroizing<String>),
    Text(Zeroizing<String>),
    Bytes(Zeroizing<Vec<u8>>),
    List(Vec<Plain>),
    Map(Vec<(String, Plain)>),
}

impl Plain {
    /// A value that is not encrypted on its own.
    pub(super) fn of(node: &Node) -> Plain {
        match &node.kind {
            NodeKind::Null => Plain::Null,
            NodeKind::Bool(value) => Plain::Bool(*value),
            NodeKind::Number(value) => Plain::Number(Zeroizing::new(value.to_string())),
            NodeKind::Text(text) => Plain::Text(Zeroizing::new(text.value.to_string())),
            NodeKind::List(items) => Plain::List(items.iter().map(Plain::of).collect()),
            NodeKind::Map(entries) => {
                Plain::Map(entries.iter().map(|entry| (entry.key.name.to_string(), Plain::of(&entry.value))).collect())
            }
        }
    }

    /// The bytes of the value at a dotted path: the text of a string, JSON for everything else.
    ///
    /// # Errors
    /// Names the path if there is no such value, or it is null.
    pub(super) fn value(&self, path: &str) -> Result<Zeroizing<Vec<u8>>, String> {
        match self.find(path) {
            Some(Plain::Null) => Err(format!("the value at `{path}` is null; give it one")),
            Some(found) => Ok(found.bytes()),
            None => Err(format!("it has no value at `{path}`; write the path as `a.b`, the items of a list as `a.0`")),
        }
    }

    /// Finds a value. The longest key that the path starts with wins, so that a key with dots is found too.
    fn find(&self, path: &str) -> Option<&Plain> {
        let cuts = path.match_indices('.').map(|(at, _)| at).take(64);
        let cuts: Vec<usize> = std::iter::once(path.len()).chain(cuts.collect::<Vec<_>>().into_iter().rev()).collect();
        cuts.into_iter().find_map(|cut| {
            let child = match self {
                Plain::Map(entries) => &entries.iter().find(|(key, _)| Some(key.as_str()) == path.get(..cut))?.1,
                Plain::List(items) => items.get(path.get(..cut)?.parse::<usize>().ok()?)?,
                _ => return None,
            };
            match path.get(cut + 1..) {
                Some(rest) => child.find(rest),
                None => Some(child),
            }
        })
    }

    /// The text of a string, or JSON for everything else.
    pub(super) fn bytes(&self) -> Zeroizing<Vec<u8>> {
        match self {
            Plain::Text(text) => Zeroizing::new(text.as_bytes().to_vec()),
            Plain::Bytes(bytes) => bytes.clone(),
            other => {
                let mut out = Zeroizing::new(Vec::new());
                other.write(&mut out);
                out
            }
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Plain::Null => out.extend(b"null"),
            Plain::Bool(value) => out.extend(value.to_string().as_bytes()),
            Plain::Number(number) => out.extend(number.as_bytes()),
            Plain::Text(text) => quoted(text, out),
            Plain::Bytes(bytes) => {
                quoted(&Zeroizing::new(base64::engine::general_purpose::STANDARD.encode(&**bytes)), out);
            }
            Plain::List(items) => {
                out.push(b'[');
                for (at, item) in items.iter().enumerate() {
                    out.extend(if at > 0 { &b","[..] } else { b"" });
                    item.write(out);
                }
                out.push(b']');
            }
            Plain::Map(entries) => {
                out.push(b'{');
                for (at, (key, value)) in entries.iter().enumerate() {
                    out.extend(if at > 0 { &b","[..] } else { b"" });
                    quoted(key, out);
                    out.push(b':');
                    value.write(out);
                }
                out.push(b'}');
            }
        }
    }
}

fn quoted(text: &str, out: &mut Vec<u8>) {
    // Writing a string to memory cannot fail.
    let _ = serde_json::to_writer(out, text);
}

/// Parses the only document of a file.
///
/// # Errors
/// Names the line that does not have the format, never its content.
pub(super) fn read(bytes: &[u8], format: EncryptedFormat) -> Result<Node, String> {
    let path = match format {
        EncryptedFormat::Yaml => "encrypted.yaml",
        EncryptedFormat::Json => "encrypted.json",
        EncryptedFormat::Dotenv => return dotenv(bytes),
    };
    let (source, mut findings) = text::decode(path, bytes, &limits());
    let (documents, found) = text::parse(&source, &limits());
    findings.extend(found);
    if let Some(wrong) = findings.iter().find(|finding| finding.severity == Severity::Error) {
        let line = wrong.span().map_or(1, |span| source.position(span.start).line);
        return Err(format!("line {line} of it cannot be read ({}); correct it", wrong.code.id));
    }
    let mut documents = documents.into_iter();
    match (documents.next(), documents.next()) {
        (Some(document), None) if matches!(document.root.kind, NodeKind::Map(_)) => Ok(document.root),
        (Some(_), None) => Err("it holds no map of names and values; write one".to_owned()),
        (None, _) => Err("it is empty".to_owned()),
        (Some(_), Some(_)) => Err("it holds more than one document; write one only".to_owned()),
    }
}

/// Parses `NAME=value` lines as SOPS does: a `#` starts a comment line, `\n` in a value is a line break.
fn dotenv(bytes: &[u8]) -> Result<Node, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8; correct it".to_owned())?;
    let mut entries: Vec<Entry> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = |what: &str| format!("line {} of it {what}; correct it", number + 1);
        let (name, value) = line.split_once('=').ok_or_else(|| wrong("is not written as NAME=value"))?;
        if entries.len() >= 10_000 {
            return Err(wrong("is one too many, as it may hold 10000 values"));
        }
        let value = Text { value: value.replace("\\n", "\n").into(), style: TextStyle::Quoted };
        let value = Node { kind: NodeKind::Text(value), span: Range::default() };
        entries.push(Entry { key: Key { name: name.into(), span: Range::default() }, value });
    }
    let mut names: Vec<&str> = entries.iter().map(|entry| &*entry.key.name).collect();
    names.sort_unstable();
    match names.windows(2).any(|pair| pair[0] == pair[1]) {
        true => Err("a name in it is given twice; remove one".to_owned()),
        false => Ok(Node { kind: NodeKind::Map(entries), span: Range::default() }),
    }
}
