//! SOPS files (<https://getsops.io/docs>), decrypted with age keys.
//!
//! Each value is `ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]`, bound to its path: the names above it, each followed by `:`,
//! are authenticated with it (items of a list share the list's path). The MAC is SHA-512 over all decrypted values in their
//! order, itself encrypted and bound to the time of the last change. Both are verified before any value is returned.

use aes_gcm::aead::consts::U32;
use aes_gcm::aes::Aes256;
use aes_gcm::{AeadInOut as _, AesGcm, KeyInit as _, Nonce, Tag};
use base64::Engine as _;
use regex::{Regex, RegexBuilder};
use zeroize::Zeroizing;

use super::age_file::decrypt_age;
use super::format::{EncryptedFormat, check_size};
use super::identities::Identities;
use super::tree::{self, Plain};
use crate::text::{self, Node, NodeKind};

/// SOPS uses nonces of 32 bytes, not the usual 12.
type Cipher = AesGcm<Aes256, U32>;

/// The first bytes under a MAC that covers encrypted values only: SHA-256 of `sops`, as SOPS defines it.
const ONLY_ENCRYPTED: [u8; 32] = [
    0x8a, 0x3f, 0xd2, 0xad, 0x54, 0xce, 0x66, 0x52, 0x7b, 0x10, 0x34, 0xf3, 0xd1, 0x47, 0xbe, 0x0b, 0x0b, 0x97, 0x5b,
    0x3b, 0xf4, 0x4f, 0x72, 0xc6, 0xfd, 0xad, 0xec, 0x81, 0x76, 0xf2, 0x7d, 0x69,
];
/// Maximum number of recipients of a file.
const MAX_KEYS: usize = 64;
/// Maximum size of a compiled pattern, in bytes.
const MAX_PATTERN_BYTES: usize = 1 << 20;

/// Decrypts the value at a dotted path of a SOPS file (`a.b`, `a.0`). Without a path it returns the whole file: as JSON, or
/// the original content of a file that SOPS keeps as one value (`data` of a file that is neither YAML, JSON nor dotenv).
///
/// # Errors
/// One sentence: the file is too large, not encrypted with SOPS, encrypted for other keys, damaged, or has no such value.
pub fn decrypt_sops(
    bytes: &[u8],
    format: EncryptedFormat,
    key: Option<&str>,
    identities: &Identities,
) -> Result<Zeroizing<Vec<u8>>, String> {
    check_size(bytes)?;
    let root = tree::read(bytes, format)?;
    let metadata = match format {
        EncryptedFormat::Dotenv => Metadata::of(|name| root.get(&format!("sops_{}", name.replace('/', "__")))),
        _ => Metadata::of(|name| root.pointer(&format!("/sops/{name}"))),
    }?;
    let data_key = metadata.data_key(identities)?;
    let cipher = Cipher::new_from_slice(&data_key).map_err(|_| damaged("its data key has the wrong length"))?;
    // Decrypted text is shorter than encrypted text, so this buffer seldom grows and leaves a copy behind.
    let clear = Zeroizing::new(Vec::with_capacity(bytes.len() + ONLY_ENCRYPTED.len()));
    let mut walk = Walk { cipher, metadata: &metadata, clear, path: Vec::new() };
    if metadata.only_encrypted {
        walk.clear.extend(ONLY_ENCRYPTED);
    }
    let mut values = Vec::new();
    for entry in root.entries() {
        let name = &*entry.key.name;
        let is_metadata = match format {
            EncryptedFormat::Dotenv => name.starts_with("sops_"),
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
            if name == "data" && format == EncryptedFormat::Json =>
        {
            Ok(data.bytes())
        }
        (None, _) => Ok(Plain::Map(values).bytes()),
    }
}

/// The metadata of a SOPS file.
struct Metadata {
    last_modified: String,
    mac: String,
    only_encrypted: bool,
    rule: Rule,
    /// The data key, encrypted for each age recipient, armored.
    keys: Vec<String>,
}

/// The rule that determines the encrypted values by the names above them.
enum Rule {
    Suffix { of: String, encrypted: bool },
    Pattern { of: Regex, encrypted: bool },
}

impl Metadata {
    /// Reads the metadata through a look-up by path: `mac`, `age/0/enc`. Dotenv files have flat names; see [`flat`].
    fn of<'a>(get: impl Fn(&str) -> Option<&'a Node>) -> Result<Metadata, String> {
        let text = |name: &str| get(name).and_then(Node::as_str).map(str::to_owned);
        let (Some(mac), Some(last_modified)) = (text("mac"), text("lastmodified")) else {
            return Err("it is not encrypted with SOPS; encrypt it, and replace the secrets that it held".to_owned());
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
        // Each recipient has its own copy. If none can be decrypted, the first error is returned.
        let mut first = None;
        for key in &self.keys {
            match decrypt_age(key.as_bytes(), identities) {
                Ok(key) => return Ok(key),
                Err(error) => first = first.or(Some(error)),
            }
        }
        Err(first.unwrap_or_else(|| damaged("it has no data key")))
    }
}

/// The name of a recipient's data key in a dotenv file, without its prefix.
fn flat(path: &[&str; 2]) -> String {
    format!("{}__list_{}__map_enc", path[0], path[1])
}

impl Rule {
    fn of(text: impl Fn(&str) -> Option<String>) -> Result<Rule, String> {
        if ["encrypted_comment_regex", "unencrypted_comment_regex"].iter().any(|name| text(name).is_some()) {
            return Err("it encrypts by comments, which is not supported; use encrypted_regex instead".to_owned());
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
            // The default of SOPS without a rule.
            [] => Ok(Rule::Suffix { of: "_unencrypted".to_owned(), encrypted: false }),
            [(of, false, encrypted)] => Ok(Rule::Suffix { of: of.clone(), encrypted: *encrypted }),
            [(of, true, encrypted)] => match RegexBuilder::new(of).size_limit(MAX_PATTERN_BYTES).build() {
                Ok(of) => Ok(Rule::Pattern { of, encrypted: *encrypted }),
                Err(_) => Err("its pattern for encrypted names cannot be used; write a simpler one".to_owned()),
            },
            _ => Err("it has more than one rule for encrypted names; keep one".to_owned()),
        }
    }

    fn encrypts(&self, path: &[&str]) -> bool {
        match self {
            Rule::Suffix { of, encrypted } => path.iter().any(|name| name.ends_with(of)) == *encrypted,
            Rule::Pattern { of, encrypted } => path.iter().any(|name| of.is_match(name)) == *encrypted,
        }
    }
}

/// A decrypted value, and its bytes as the MAC covers them.
type Decrypted = (Plain, Zeroizing<Vec<u8>>);

/// A traversal of all values in their order that collects the bytes under the MAC.
struct Walk<'a> {
    cipher: Cipher,
    metadata: &'a Metadata,
    clear: Zeroizing<Vec<u8>>,
    path: Vec<&'a str>,
}

impl<'a> Walk<'a> {
    /// Decrypts a named value; `None` for a comment.
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

    /// Decrypts a value, with its bytes as the MAC covers them; `None` for a comment, which the MAC does not cover.
    fn open(&self, text: &str) -> Result<Option<Decrypted>, String> {
        let wrong = || damaged(&format!("`{}` was changed, or moved from another place", self.path.join(".")));
        // SOPS leaves empty strings as they are.
        if text.is_empty() {
            return Ok(Some((Plain::Text(Zeroizing::default()), Zeroizing::default())));
        }
        let bound: String = self.path.iter().flat_map(|name| [name, ":"]).collect();
        let (clear, kind) = self.decrypt(text, bound.as_bytes()).ok_or_else(wrong)?;
        let text = match std::str::from_utf8(&clear) {
            Ok(text) if kind != "bytes" => Zeroizing::new(text.to_owned()),
            // SOPS stores whole files as strings, also if they are binary.
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
        // The MAC covers values as SOPS writes them, which may differ from the encrypted text.
        let clear = match &value {
            Plain::Number(number) => Zeroizing::new(number.as_bytes().to_vec()),
            Plain::Bool(value) => Zeroizing::new(boolean(*value).to_vec()),
            _ => clear,
        };
        Ok(Some((value, clear)))
    }

    /// Decrypts `ENC[…]` to its content and the name of its type.
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

/// An unencrypted value as the MAC covers it: numbers without exponents, booleans in title case.
fn as_sops_writes(node: &Node) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(match &node.kind {
        NodeKind::Bool(value) => boolean(*value).to_vec(),
        NodeKind::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(float) => float.to_string().into_bytes(),
            None => number.to_string().into_bytes(),
        },
        // A time needs no conversion: SOPS writes `2024-02-29` as `2024-02-29T00:00:00Z`.
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
