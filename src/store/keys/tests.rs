use super::*;

fn id(name: &str) -> CredentialId {
    CredentialId { environment: "live".into(), tenant: "acme".into(), name: name.into() }
}

fn secret(text: &str) -> SecretBytes {
    SecretBytes(Zeroizing::new(text.as_bytes().to_vec()))
}

#[test]
fn a_value_is_decrypted_only_under_its_own_name() {
    let keys = Keys::parse(&Keys::generate().unwrap()).unwrap();
    let envelope = keys.encrypt(&id("token"), &secret("hunter2")).unwrap();
    assert_eq!(*keys.decrypt(&id("token"), &envelope).unwrap().0, b"hunter2");
    assert!(keys.decrypt(&id("other"), &envelope).is_err());
    // The parts of a name are separated, wherever they are split.
    let moved = CredentialId { environment: "live".into(), tenant: "acm".into(), name: "etoken".into() };
    assert!(keys.decrypt(&moved, &envelope).is_err());
    for part in 0..2 {
        let mut damaged = envelope.clone();
        let bytes = if part == 0 { &mut damaged.ciphertext } else { &mut damaged.wrapped_key };
        *bytes.last_mut().unwrap() ^= 1;
        assert!(matches!(keys.decrypt(&id("token"), &damaged), Err(StoreError::Key(_))));
        let short = Envelope { wrapped_key: vec![1], ciphertext: vec![], ..envelope.clone() };
        assert!(matches!(keys.decrypt(&id("token"), &short), Err(StoreError::Key(_))));
    }
}

#[test]
fn two_envelopes_of_one_value_differ() {
    let keys = Keys::parse(&Keys::generate().unwrap()).unwrap();
    let one = keys.encrypt(&id("token"), &secret("hunter2")).unwrap();
    let other = keys.encrypt(&id("token"), &secret("hunter2")).unwrap();
    assert_ne!(one.ciphertext, other.ciphertext);
    assert_ne!(one.wrapped_key, other.wrapped_key);
}

#[test]
fn rotation_wraps_the_key_and_keeps_the_value() {
    let (old, new) = (Keys::generate().unwrap(), Keys::generate().unwrap());
    let before = Keys::parse(&old).unwrap();
    let envelope = before.encrypt(&id("token"), &secret("hunter2")).unwrap();

    let both = Keys::parse(&format!("{}\n\n# the old one\n{}\n", *new, *old)).unwrap();
    assert_eq!(*both.decrypt(&id("token"), &envelope).unwrap().0, b"hunter2");
    let rotated = both.rewrap(&id("token"), &envelope).unwrap().unwrap();
    assert_eq!(rotated.ciphertext, envelope.ciphertext);
    assert!(both.rewrap(&id("token"), &rotated).unwrap().is_none());

    let after = Keys::parse(&new).unwrap();
    assert_eq!(*after.decrypt(&id("token"), &rotated).unwrap().0, b"hunter2");
    let missing = after.decrypt(&id("token"), &envelope).unwrap_err().to_string();
    let old_id = old.split(':').next().unwrap();
    assert!(missing.contains(old_id), "{missing}");
}

#[test]
fn malformed_keys_are_refused_and_not_shown() {
    let line = Keys::generate().unwrap();
    let key = line.split_once(':').unwrap().1.to_owned();
    let seventeen: String = (0..17).map(|number| format!("k{number}:{key}\n")).collect();
    for wrong in [
        "",
        "# nothing",
        &key,
        &format!(":{key}"),
        &format!("a b:{key}"),
        &format!("{}:{key}", "a".repeat(65)),
        &format!("a:{key}\na:{key}"),
        &format!("a:{}", &key[4..]),
        &format!("a:{key}AAAA"),
        &format!("a:{}", key.replace('=', "")),
        "a:!!!!",
        &seventeen,
    ] {
        let error = Keys::parse(wrong).unwrap_err();
        assert!(error.starts_with("master keys") && !error.contains(&key[..8]), "{error}");
    }
    let keys = Keys::parse(&line).unwrap();
    assert!(!format!("{keys:?}").contains(&key[..8]), "{keys:?}");
    assert!(Keys::none().is_empty());
    assert!(matches!(Keys::none().encrypt(&id("a"), &secret("b")), Err(StoreError::Key(_))));
}
