//! Tests with files that age and SOPS wrote (`tests/encrypted`), unchanged and changed.

use zeroize::Zeroizing;

use super::identities::{MAX_IDENTITIES, MAX_IDENTITY_BYTES};
use super::*;

const AT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/encrypted/");

fn file(name: &str) -> Vec<u8> {
    std::fs::read(format!("{AT}{name}")).unwrap()
}

fn keys(name: &str) -> Identities {
    Identities::parse(&String::from_utf8(file(name)).unwrap()).unwrap()
}

fn text(opened: Result<Zeroizing<Vec<u8>>, String>) -> Result<String, String> {
    opened.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
}

fn sops(name: &str, key: Option<&str>) -> Result<String, String> {
    sops_of(&file(name), EncryptedFormat::of(name), key)
}

fn sops_of(bytes: &[u8], format: EncryptedFormat, key: Option<&str>) -> Result<String, String> {
    text(decrypt_sops(bytes, format, key, &keys("key.txt")))
}

/// A file with one text exchanged for another, each place.
fn changed(name: &str, from: &str, to: &str) -> Vec<u8> {
    let text = String::from_utf8(file(name)).unwrap();
    assert!(text.contains(from), "{name} has no `{from}`");
    text.replace(from, to).into_bytes()
}

/// The line of a file that starts with this, without its indentation.
fn line(name: &str, start: &str) -> String {
    let text = String::from_utf8(file(name)).unwrap();
    text.lines().map(str::trim).find(|line| line.starts_with(start)).unwrap().to_owned()
}

#[test]
fn parses_keys_in_the_format_of_age_keygen() {
    let key = String::from_utf8(file("key.txt")).unwrap();
    let other = String::from_utf8(file("other.txt")).unwrap();
    let both = Identities::parse(&format!("\n# two\r\n  {}\r\n\n{}", other.trim(), key.trim())).unwrap();
    assert_eq!(text(decrypt_age(&file("whole.age"), &both)).unwrap(), "opened with age\n");
    let secret = key.lines().find(|line| line.starts_with("AGE")).unwrap();
    let broken = format!("# fine\n{}X", &secret[..secret.len() - 1]);
    let many = format!("{secret}\n").repeat(MAX_IDENTITIES + 1);
    for (wrong, reason) in [
        ("", "there is no age key"),
        ("# only words\n", "there is no age key"),
        (&broken, "line 2 of the age keys is not a key"),
        ("AGE-PLUGIN-YUBIKEY-1XXXX", "line 1"),
        (&many, "at most 32"),
        (&"#".repeat(MAX_IDENTITY_BYTES + 1), "larger than 64 KiB"),
    ] {
        let Err(error) = Identities::parse(wrong) else { panic!("{reason}: accepted") };
        assert!(error.contains(reason), "{error}");
        assert!(!error.contains(&secret[20..40]), "{error}");
    }
}

#[test]
fn decrypts_age_files() {
    let keys = keys("key.txt");
    assert_eq!(text(decrypt_age(&file("whole.age"), &keys)).unwrap(), "opened with age\n");
    let armored = file("whole.armored.age");
    assert_eq!(text(decrypt_age(&armored, &keys)).unwrap(), "opened with age\n");
    let windows = [b"\r\n\n".to_vec(), String::from_utf8(armored).unwrap().replace('\n', "\r\n").into_bytes()].concat();
    assert_eq!(text(decrypt_age(&windows, &keys)).unwrap(), "opened with age\n");
}

#[test]
fn names_the_cause_when_an_age_file_cannot_be_decrypted() {
    let keys = keys("key.txt");
    let others = self::keys("other.txt");
    let large = [b"age-encryption.org/v1\n".to_vec(), vec![b'x'; MAX_ENCRYPTED_BYTES]].concat();
    let cases: [(&[u8], &Identities, &str); 7] = [
        (&file("whole.age"), &others, "for other age keys"),
        (b"password", &keys, "not encrypted with age"),
        (b"", &keys, "not encrypted with age"),
        (b"age-encryption.org/v1", &keys, "damaged"),
        (b"age-encryption.org/v9\n-> X25519 a\nb\n--- c\n", &keys, "newer version of age"),
        (b"-----BEGIN AGE ENCRYPTED FILE-----\n!!!!\n", &keys, "damaged"),
        (&large, &keys, "larger than 1 MiB"),
    ];
    for (bytes, keys, reason) in cases {
        let error = decrypt_age(bytes, keys).unwrap_err();
        assert!(error.contains(reason), "{error}, not {reason}");
    }
}

#[test]
fn detects_a_change_of_any_byte_of_an_age_file() {
    let keys = keys("key.txt");
    let whole = file("whole.age");
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        assert!(decrypt_age(&bytes, &keys).is_err(), "byte {at}");
        assert!(decrypt_age(&whole[..at], &keys).is_err(), "cut at {at}");
    }
}

#[test]
fn one_value_of_an_age_file() {
    let keys = keys("key.txt");
    let value =
        |key| text(decrypt_age_value(&file("inner.yaml.age"), EncryptedFormat::of("inner.yaml.age"), key, &keys));
    assert_eq!(value(Some("database.password")).unwrap(), "pa$$w0rd");
    assert!(value(None).unwrap().starts_with("# A comment"));
    assert!(value(Some("database.nothing")).unwrap_err().contains("no value at `database.nothing`"));
    let error = decrypt_age_value(&file("whole.age"), EncryptedFormat::Json, Some("a"), &keys).unwrap_err();
    assert!(error.starts_with("line 1 of it cannot be read"), "{error}");
    assert!(!error.contains("opened"), "{error}");
}

#[test]
fn values_of_sops_files_are_found_by_their_path() {
    let cases = [
        ("values.yaml", "text", "top secret"),
        ("values.yaml", "empty", ""),
        ("values.yaml", "number", "42"),
        ("values.yaml", "negative", "-7"),
        ("values.yaml", "fraction", "1.5"),
        ("values.yaml", "large", "1000000000000000000000"),
        ("values.yaml", "yes", "true"),
        ("values.yaml", "no", "false"),
        ("values.yaml", "unicode", "grüße \0 \n end"),
        ("values.yaml", "database.password", "pa$$w0rd"),
        ("values.yaml", "database.hosts.1", "two"),
        ("values.yaml", "database.hosts.2.name", "three"),
        ("values.yaml", "database.hosts", r#"["one","two",{"name":"three"}]"#),
        ("values.yaml", "tls.crt", "dotted"),
        ("values.yaml", "plain_unencrypted.text", "in the clear"),
        ("values.yaml", "plain_unencrypted.flag", "true"),
        ("values.json", "big", "9007199254740993"),
        ("values.json", "list.0", "a"),
        ("values.json", "list", r#"["a",{"b":null}]"#),
        ("values.env", "TOKEN", "top secret"),
        ("values.env", "LINES", "one\ntwo"),
        ("values.env", "EMPTY", ""),
        ("values.env", "SHOWN_unencrypted", "1"),
        ("times.yaml", "day", "2024-02-29T00:00:00Z"),
        ("times.yaml", "list", r#"["a",2]"#),
        ("times.yaml", "shown_unencrypted.octal", "15"),
        ("regex.yaml", "text", "top secret"),
        ("regex.yaml", "database.password", "pa$$w0rd"),
        ("regex.yaml", "database.port", "5432"),
        ("only.yaml", "key_secret", "hidden"),
        ("only.yaml", "shown", "1"),
        ("several.yaml", "key_secret", "hidden"),
    ];
    for (name, key, value) in cases {
        assert_eq!(sops(name, Some(key)).as_deref(), Ok(value), "{name} {key}");
    }
    assert_eq!(
        decrypt_sops(&file("whole.bin"), EncryptedFormat::of("whole.bin"), None, &keys("key.txt")).unwrap().as_slice(),
        b"bytes \xff\x00 end\n"
    );
    let whole: serde_json::Value = serde_json::from_str(&sops("values.yaml", None).unwrap()).unwrap();
    assert_eq!(whole["database"]["hosts"][2]["name"], "three");
    assert_eq!(whole["nothing"], serde_json::Value::Null);
    assert_eq!(whole.get("sops"), None);
}

#[test]
fn names_the_path_that_has_no_value() {
    for key in [
        "nope",
        "database.nope",
        "text.nope",
        "database.hosts.3",
        "database.hosts.-1",
        "",
        ".",
        "database.",
        "sops",
        "sops.mac",
    ] {
        let error = sops("values.yaml", Some(key)).unwrap_err();
        assert!(error.starts_with(&format!("it has no value at `{key}`")), "{error}");
    }
    assert!(sops("values.yaml", Some("nothing")).unwrap_err().contains("is null"));
    assert!(sops("values.env", Some("sops_mac")).unwrap_err().contains("no value at"));
    let dots = "a.".repeat(10_000);
    assert!(sops("values.yaml", Some(&dots)).unwrap_err().contains("no value at"));
}

#[test]
fn names_the_cause_when_a_sops_file_cannot_be_decrypted() {
    let large = vec![b' '; MAX_ENCRYPTED_BYTES + 1];
    let bomb = format!("a: &a [{}]\nb: &b [{}]\nc: [{}]\n", "x,".repeat(500), "*a,".repeat(500), "*b,".repeat(500));
    let cases: [(&[u8], EncryptedFormat, &str); 12] = [
        (&file("others.yaml"), EncryptedFormat::Yaml, "for other age keys"),
        (&file("groups.yaml"), EncryptedFormat::Yaml, "keys of several groups"),
        (b"password: clear", EncryptedFormat::Yaml, "not encrypted with SOPS"),
        (b"sops: {mac: 1}", EncryptedFormat::Yaml, "not encrypted with SOPS"),
        (b"PASSWORD=clear", EncryptedFormat::Dotenv, "not encrypted with SOPS"),
        (b"sops: {mac: a, lastmodified: b, pgp: [{enc: x}]}", EncryptedFormat::Yaml, "for other keys than age's"),
        (b"{\"a\": ", EncryptedFormat::Json, "line 1 of it cannot be read"),
        (b"- a", EncryptedFormat::Yaml, "no map"),
        (b"", EncryptedFormat::Yaml, "is empty"),
        (b"a: 1\n---\nb: 2\n", EncryptedFormat::Yaml, "more than one document"),
        (&large, EncryptedFormat::Yaml, "larger than 1 MiB"),
        (bomb.as_bytes(), EncryptedFormat::Yaml, "cannot be read"),
    ];
    for (bytes, format, reason) in cases {
        let error = sops_of(bytes, format, Some("password")).unwrap_err();
        assert!(error.contains(reason), "{error}, not {reason}");
        assert!(!error.contains("clear"), "{error}");
    }
    for (line, reason) in [("NAME", "line 1 of it is not written"), ("A=1\nA=2", "given twice"), ("\u{0}", "line 1")] {
        assert!(sops_of(line.as_bytes(), EncryptedFormat::Dotenv, None).unwrap_err().contains(reason));
    }
}

#[test]
fn detects_a_change_of_any_part_of_a_sops_file() {
    let password = line("values.yaml", "password:").replace("password: ", "");
    let port = line("values.yaml", "port:").replace("port: ", "");
    let text = line("values.yaml", "text:").replace("text: ", "");
    let part = |of: &str, name: &str| {
        let start = of.find(&format!("{name}:")).unwrap() + name.len() + 1;
        of[start..].split([',', ']']).next().unwrap().to_owned()
    };
    let flip =
        |of: &str| if let Some(rest) = of.strip_prefix('A') { format!("B{rest}") } else { format!("A{}", &of[1..]) };
    let mut changes: Vec<(String, String)> =
        ["data", "iv", "tag"].iter().map(|name| (part(&password, name), flip(&part(&password, name)))).collect();
    let mac = line("values.yaml", "mac:");
    let modified = line("values.yaml", "lastmodified:");
    changes.extend([
        // A value that is moved to another name, its type, a value in the clear, one more, one less, another order.
        (password.clone(), text.clone()),
        (port.clone(), port.replace("type:int", "type:comment")),
        (port.clone(), port.replace("type:int", "type:bool")),
        (port.clone(), port.replace("type:int", "type:")),
        (port.clone(), "5432".into()),
        (port.clone(), "\"5432\"".into()),
        (port.clone(), "\"\"".into()),
        (port.clone(), "null".into()),
        (port.clone(), "ENC[AES256_GCM,data:,iv:,tag:,type:str]".into()),
        (text.clone(), "\"\"".into()),
        ("in the clear".into(), "in the cleaR".into()),
        ("flag: true".into(), "flag: false".into()),
        ("    flag: true\n".into(), String::new()),
        ("number: 7".into(), "number: 8".into()),
        ("plain_unencrypted".into(), "plain".into()),
        ("tls.crt".into(), "tls.key".into()),
        ("\nempty: \"\"".into(), "\nempty: \"\"\nmore_unencrypted: more".into()),
        (part(&mac, "tag"), flip(&part(&mac, "tag"))),
        (mac.clone(), "mac: \"\"".into()),
        (mac.clone(), format!("mac: {text}")),
        (modified.clone(), "lastmodified: \"2026-01-01T00:00:00Z\"".into()),
        ("unencrypted_suffix: _unencrypted".into(), "encrypted_suffix: _unencrypted".into()),
        ("unencrypted_suffix: _unencrypted".into(), "unencrypted_suffix: e".into()),
        ("unencrypted_suffix: _unencrypted".into(), "mac_only_encrypted: true".into()),
    ]);
    for (from, to) in &changes {
        let error = sops_of(&changed("values.yaml", from, to), EncryptedFormat::Yaml, Some("fraction")).unwrap_err();
        assert!(error.contains("damaged"), "{from} to {to}: {error}");
        assert!(!error.contains("ENC["), "{error}");
    }
    // The other formats behave the same.
    let shown = changed("values.env", "SHOWN_unencrypted=1", "SHOWN_unencrypted=2");
    assert!(sops_of(&shown, EncryptedFormat::Dotenv, Some("TOKEN")).unwrap_err().contains("damaged"));
    // Unencrypted values are not under the MAC if the file says `mac_only_encrypted`.
    let shown = changed("only.yaml", "shown: 1", "shown: 2");
    assert_eq!(sops_of(&shown, EncryptedFormat::Yaml, Some("shown")).unwrap(), "2");
    let without = changed("only.yaml", "mac_only_encrypted: true", "mac_only_encrypted: false");
    assert!(sops_of(&without, EncryptedFormat::Yaml, Some("shown")).unwrap_err().contains("damaged"));
}

#[test]
fn rejects_unsupported_rules() {
    let rule = "unencrypted_suffix: _unencrypted";
    for (to, reason) in [
        ("encrypted_comment_regex: x", "by comments"),
        ("unencrypted_comment_regex: x", "by comments"),
        ("encrypted_regex: '('", "cannot be used"),
        ("encrypted_regex: '(a{1000}){1000}{1000}'", "cannot be used"),
        ("encrypted_suffix: a\n    encrypted_regex: b", "more than one rule"),
    ] {
        let error = sops_of(&changed("values.yaml", rule, to), EncryptedFormat::Yaml, None).unwrap_err();
        assert!(error.contains(reason), "{to}: {error}");
    }
    // The default of SOPS without a rule.
    let without = changed("values.yaml", &format!("    {rule}\n"), "");
    assert_eq!(sops_of(&without, EncryptedFormat::Yaml, Some("text")).unwrap(), "top secret");
}
