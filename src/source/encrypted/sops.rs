//! SOPS files (<https://getsops.io/docs>), opened with age keys.
//!
//! Each value is `ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]`, bound to its path: the names above it, each followed by `:`,
//! are authenticated with it (items of a list share the list's path). The MAC is SHA-512 over all values in their order, in
//! the clear, itself encrypted and bound to the time of the last change. Both are checked before anything is given out.

use aes_gcm::aead::consts::U32;
use aes_gcm::aes::Aes256;
use aes_gcm::{AeadInOut as _, AesGcm, KeyInit as _, Nonce, Tag};
use base64::Engine as _;
use regex::{Regex, RegexBuilder};
use zeroize::Zeroizing;

use super::tree::{self, Plain};
use super::{Identities, SealedFormat, fits, open_age};
use crate::text::{self, Node, NodeKind};

/// SOPS takes nonces of 32 bytes, not the usual 12.
type Cipher = AesGcm<Aes256, U32>;

/// What the MAC starts with where it covers encrypted values only: SHA-256 of `sops`, as SOPS defines it.
const ONLY_ENCRYPTED: [u8; 32] = [
    0x8a, 0x3f, 0xd2, 0xad, 0x54, 0xce, 0x66, 0x52, 0x7b, 0x10, 0x34, 0xf3, 0xd1, 0x47, 0xbe, 0x0b, 0x0b, 0x97, 0x5b,
    0x3b, 0xf4, 0x4f, 0x72, 0xc6, 0xfd, 0xad, 0xec, 0x81, 0x76, 0xf2, 0x7d, 0x69,
];
/// Most recipients of a file.
const MAX_KEYS: usize = 64;
/// Largest compiled pattern, in bytes.
const MAX_PATTERN_BYTES: usize = 1 << 20;

/// The value at a dotted path of a SOPS file (`a.b`, `a.0`); without a path the whole file: as JSON, or what it held where
/// SOPS keeps it as one value (`data` of a file that is neither YAML, JSON nor dotenv).
///
/// # Errors
/// One sentence: too large, not encrypted with SOPS, for other keys, damaged, or no such value.
pub fn open_sops(
    bytes: &[u8],
    format: SealedFormat,
    key: Option<&str>,
    identities: &Identities,
) -> Result<Zeroizing<Vec<u8>>, String> {
    fits(bytes)?;
    let root = tree::read(bytes, format)?;
    let metadata = match format {
        SealedFormat::Dotenv => Metadata::of(|name| root.get(&format!("sops_{}", name.replace('/', "__")))),
        _ => Metadata::of(|name| root.pointer(&format!("/sops/{name}"))),
    }?;
    let data_key = metadata.data_key(identities)?;
    let cipher = Cipher::new_from_slice(&data_key).map_err(|_| damaged("its data key has the wrong length"))?;
    // What is in the clear is shorter than what it was encrypted to, so this seldom grows and leaves a copy behind.
    let clear = Zeroizing::new(Vec::with_capacity(bytes.len() + ONLY_ENCRYPTED.len()));
    let mut walk = Walk { cipher, metadata: &metadata, clear, path: Vec::new() };
    if metadata.only_encrypted {
        walk.clear.extend(ONLY_ENCRYPTED);
    }
    let mut values = Vec::new();
    for entry in root.entries() {
        let name = &*entry.key.name;
        let is_metadata = match format {
            SealedFormat::Dotenv => name.starts_with("sops_"),
            _ => name == "sops",
        };
        if !is_metadata {
            values.extend(walk.entry(name, &entry.value)?);
        }
    }
    walk.check_mac()?;
    match (key, values.as_slice()) {
        (Some(key), _) => Plain::Map(values).value(key),
        (None, [(name, data @ (Plain::Text(_) | Plain::Bytes(_)))])
            if name == "data" && format == SealedFormat::Json =>
        {
            Ok(data.bytes())
        }
        (None, _) => Ok(Plain::Map(values).bytes()),
    }
}

/// What SOPS says of a file.
struct Metadata {
    last_modified: String,
    mac: String,
    only_encrypted: bool,
    rule: Rule,
    /// The data key, once for each age recipient, armored.
    keys: Vec<String>,
}

/// Which values are encrypted, told from the names above them.
enum Rule {
    Suffix { of: String, encrypted: bool },
    Pattern { of: Regex, encrypted: bool },
}

impl Metadata {
    /// From a look-up of what is written: `mac`, `age/0/enc` as in maps. Dotenv files have all this flat; see [`flat`].
    fn of<'a>(get: impl Fn(&str) -> Option<&'a Node>) -> Result<Metadata, String> {
        let text = |name: &str| get(name).and_then(Node::as_str).map(str::to_owned);
        let (Some(mac), Some(last_modified)) = (text("mac"), text("lastmodified")) else {
            return Err("it is not encrypted with SOPS; encrypt it, and replace what it held".to_owned());
        };
        let several = ["key_groups/1", "key_groups__list_1__map_age__list_0__map_enc"];
        if several.iter().any(|name| get(name).is_some()) {
            return Err("it needs keys of several groups; encrypt it for one group of age recipients".to_owned());
        }
        let keys = |place: fn(usize) -> String| (0..MAX_KEYS).map_while(move |at| text(&place(at))).collect::<Vec<_>>();
        let mut found = keys(|at| format!("age/{at}/enc"));
        found.extend(keys(|at| format!("key_groups/0/age/{at}/enc")));
        found.extend(keys(|at| flat(&["age", &at.to_string()])));
        if found.is_empty() {
            return Err("it is encrypted for other keys than age's; add an age recipient".to_owned());
        }
        let only_encrypted = match get("mac_only_encrypted").map(|node| &node.kind) {
            Some(NodeKind::Bool(value)) => *value,
            Some(NodeKind::Text(value)) => &*value.value == "true",
            _ => false,
        };
        let rule = Rule::of(text)?;
        Ok(Metadata { last_modified, mac, only_encrypted, rule, keys: found })
    }

    fn data_key(&self, identities: &Identities) -> Result<Zeroizing<Vec<u8>>, String> {
        // Each recipient has a copy of its own; the error of the first is the one to show where none fits.
        let mut first = None;
        for key in &self.keys {
            match open_age(key.as_bytes(), identities) {
                Ok(key) => return Ok(key),
                Err(error) => first = first.or(Some(error)),
            }
        }
        Err(first.unwrap_or_else(|| damaged("it has no data key")))
    }
}

/// The name of a recipient's data key in a dotenv file, without its start.
fn flat(path: &[&str; 2]) -> String {
    format!("{}__list_{}__map_enc", path[0], path[1])
}

impl Rule {
    fn of(text: impl Fn(&str) -> Option<String>) -> Result<Rule, String> {
        if ["encrypted_comment_regex", "unencrypted_comment_regex"].iter().any(|name| text(name).is_some()) {
            return Err("it encrypts by comments, which are not read; use encrypted_regex instead".to_owned());
        }
        let names = [
            ("unencrypted_suffix", false, false),
            ("encrypted_suffix", false, true),
            ("unencrypted_regex", true, false),
            ("encrypted_regex", true, true),
        ];
        let given = names.into_iter().filter_map(|(name, pattern, encrypted)| {
            text(name).filter(|of| !of.is_empty()).map(|of| (of, pattern, encrypted))
        });
        let given: Vec<_> = given.collect();
        match given.as_slice() {
            // The default of SOPS, where no rule is written.
            [] => Ok(Rule::Suffix { of: "_unencrypted".to_owned(), encrypted: false }),
            [(of, false, encrypted)] => Ok(Rule::Suffix { of: of.clone(), encrypted: *encrypted }),
            [(of, true, encrypted)] => match RegexBuilder::new(of).size_limit(MAX_PATTERN_BYTES).build() {
                Ok(of) => Ok(Rule::Pattern { of, encrypted: *encrypted }),
                Err(_) => Err("its pattern of what is encrypted cannot be used; write a simpler one".to_owned()),
            },
            _ => Err("it has more than one rule for what is encrypted; leave one".to_owned()),
        }
    }

    fn encrypts(&self, path: &[&str]) -> bool {
        match self {
            Rule::Suffix { of, encrypted } => path.iter().any(|name| name.ends_with(of)) == *encrypted,
            Rule::Pattern { of, encrypted } => path.iter().any(|name| of.is_match(name)) == *encrypted,
        }
    }
}

/// A value, and its bytes as the MAC covers them.
type Opened = (Plain, Zeroizing<Vec<u8>>);

/// A walk over all values in their order, which gathers what the MAC covers.
struct Walk<'a> {
    cipher: Cipher,
    metadata: &'a Metadata,
    clear: Zeroizing<Vec<u8>>,
    path: Vec<&'a str>,
}

impl<'a> Walk<'a> {
    /// A named value; `None` where it is a comment.
    fn entry(&mut self, name: &'a str, node: &'a Node) -> Result<Option<(String, Plain)>, String> {
        self.path.push(name);
        let value = self.value(node);
        self.path.pop();
        Ok(value?.map(|value| (name.to_owned(), value)))
    }

    fn value(&mut self, node: &'a Node) -> Result<Option<Plain>, String> {
        match &node.kind {
            NodeKind::Null => Ok(Some(Plain::Null)),
            NodeKind::List(items) => {
                let items: Result<Vec<_>, _> = items.iter().filter_map(|item| self.value(item).transpose()).collect();
                Ok(Some(Plain::List(items?)))
            }
            NodeKind::Map(entries) => {
                let mut values = Vec::with_capacity(entries.len());
                for entry in entries {
                    values.extend(self.entry(&entry.key.name, &entry.value)?);
                }
                Ok(Some(Plain::Map(values)))
            }
            NodeKind::Bool(_) | NodeKind::Number(_) | NodeKind::Text(_) => {
                let encrypted = self.metadata.rule.encrypts(&self.path);
                let opened = match (encrypted, node.as_str()) {
                    (true, Some(text)) => self.open(text)?,
                    (true, None) => return Err(damaged(&format!("`{}` is in the clear", self.path.join(".")))),
                    (false, _) => Some((Plain::of(node), as_sops_writes(node))),
                };
                let Some((value, clear)) = opened else { return Ok(None) };
                if encrypted || !self.metadata.only_encrypted {
                    self.clear.extend(&**clear);
                }
                Ok(Some(value))
            }
        }
    }

    /// An encrypted value, and its bytes as the MAC covers them; `None` for a comment, which the MAC does not cover.
    fn open(&self, text: &str) -> Result<Option<Opened>, String> {
        let wrong = || damaged(&format!("`{}` was changed, or moved from another place", self.path.join(".")));
        // SOPS leaves empty strings as they are.
        if text.is_empty() {
            return Ok(Some((Plain::Text(Zeroizing::default()), Zeroizing::default())));
        }
        let bound: String = self.path.iter().flat_map(|name| [name, ":"]).collect();
        let (clear, kind) = self.decrypt(text, bound.as_bytes()).ok_or_else(wrong)?;
        let text = match std::str::from_utf8(&clear) {
            Ok(text) if kind != "bytes" => Zeroizing::new(text.to_owned()),
            // Whole files are strings to SOPS, whatever bytes they hold.
            Err(_) if !matches!(kind, "bytes" | "str") => return Err(wrong()),
            _ => return Ok(Some((Plain::Bytes(clear.clone()), clear))),
        };
        let value = match kind {
            "str" | "time" => Plain::Text(text),
            "int" => Plain::Number(Zeroizing::new(text.parse::<i64>().map_err(|_| wrong())?.to_string())),
            "float" => {
                let number: f64 = text.parse().ok().filter(|number: &f64| number.is_finite()).ok_or_else(wrong)?;
                Plain::Number(Zeroizing::new(number.to_string()))
            }
            "bool" => Plain::Bool(match text.as_str() {
                "True" | "true" | "TRUE" | "t" | "T" | "1" => true,
                "False" | "false" | "FALSE" | "f" | "F" | "0" => false,
                _ => return Err(wrong()),
            }),
            "comment" => return Ok(None),
            _ => return Err(wrong()),
        };
        // The MAC covers values as SOPS writes them, which need not be how they were encrypted.
        let clear = match &value {
            Plain::Number(number) => Zeroizing::new(number.as_bytes().to_vec()),
            Plain::Bool(value) => Zeroizing::new(boolean(*value).to_vec()),
            _ => clear,
        };
        Ok(Some((value, clear)))
    }

    /// `ENC[…]` to what it holds and the word for its type.
    fn decrypt<'t>(&self, text: &'t str, bound: &[u8]) -> Option<(Zeroizing<Vec<u8>>, &'t str)> {
        let rest = text.strip_prefix("ENC[AES256_GCM,data:")?.strip_suffix(']')?;
        let (data, rest) = rest.split_once(",iv:")?;
        let (nonce, rest) = rest.split_once(",tag:")?;
        let (tag, kind) = rest.split_once(",type:")?;
        let decode = |text: &str| base64::engine::general_purpose::STANDARD.decode(text).ok();
        let nonce = Nonce::<U32>::try_from(decode(nonce)?.as_slice()).ok()?;
        let tag = Tag::try_from(decode(tag)?.as_slice()).ok()?;
        let mut data = Zeroizing::new(decode(data)?);
        self.cipher.decrypt_inout_detached(&nonce, bound, data.as_mut_slice().into(), &tag).ok()?;
        Some((data, kind))
    }

    fn check_mac(&self) -> Result<(), String> {
        let wrong = || damaged("a value was added, removed, moved or changed without SOPS");
        let bound = self.metadata.last_modified.as_bytes();
        let (expected, _) = self.decrypt(&self.metadata.mac, bound).ok_or_else(wrong)?;
        let actual: String = text::sha512(&self.clear).iter().map(|byte| format!("{byte:02X}")).collect();
        if text::equal_in_constant_time(&expected, actual.as_bytes()) { Ok(()) } else { Err(wrong()) }
    }
}

/// A value in the clear as the MAC covers it: numbers without exponents, booleans in title case.
fn as_sops_writes(node: &Node) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(match &node.kind {
        NodeKind::Bool(value) => boolean(*value).to_vec(),
        NodeKind::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(float) => float.to_string().into_bytes(),
            None => number.to_string().into_bytes(),
        },
        // A point in time is written as it is covered: SOPS writes `2024-02-29` as `2024-02-29T00:00:00Z`.
        NodeKind::Text(text) => text.value.as_bytes().to_vec(),
        NodeKind::Null | NodeKind::List(_) | NodeKind::Map(_) => Vec::new(),
    })
}

fn boolean(value: bool) -> &'static [u8] {
    if value { b"True" } else { b"False" }
}

fn damaged(what: &str) -> String {
    format!("it is damaged: {what}; encrypt it again")
}
