//! Credentials: encrypted at rest, bound to their names, with rotating keys.

use evenkeel::store::{CredentialId, Keys, StoreError};

use super::{Fixture, credential, secret};

super::on_both!(
    stores_credentials_by_their_full_name,
    stores_no_plain_text,
    a_renamed_row_cannot_be_decrypted,
    rotates_keys,
    rotates_many_credentials_in_pages,
    refuses_credentials_without_keys,
);

async fn keyed(fixture: Fixture, lines: &[&str]) -> Fixture {
    fixture.reopened(Keys::parse(&lines.join("\n")).unwrap()).await
}

async fn stores_credentials_by_their_full_name(fixture: Fixture) {
    let fixture = keyed(fixture, &[&Keys::generate().unwrap()]).await;
    let store = &*fixture.store;
    let id = credential("token");
    assert!(store.credential(&id).await.unwrap().is_none());
    store.put_credential(&id, &secret("one")).await.unwrap();
    store.put_credential(&id, &secret("two")).await.unwrap();
    assert_eq!(*store.credential(&id).await.unwrap().unwrap().0, b"two");
    for other in [
        CredentialId { tenant: String::new(), ..id.clone() },
        CredentialId { environment: "draft".to_owned(), ..id.clone() },
    ] {
        assert!(store.credential(&other).await.unwrap().is_none());
        assert!(!store.remove_credential(&other).await.unwrap());
    }
    assert!(store.remove_credential(&id).await.unwrap());
    assert!(!store.remove_credential(&id).await.unwrap());
    assert!(store.credential(&id).await.unwrap().is_none());
    let big = secret(&"x".repeat(1 << 20));
    assert!(matches!(store.put_credential(&id, &big).await, Err(StoreError::Refused(_))));
}

async fn stores_no_plain_text(fixture: Fixture) {
    let key = Keys::generate().unwrap();
    let fixture = keyed(fixture, &[&key]).await;
    fixture.store.put_credential(&credential("visible-name"), &secret("planted-secret-value")).await.unwrap();
    let stored = fixture.stored_bytes().await;
    let holds = |text: &[u8]| stored.windows(text.len()).any(|window| window == text);
    assert!(holds(b"visible-name"), "the search finds visible names");
    assert!(!holds(b"planted-secret-value"));
    assert!(!holds(key.split_once(':').unwrap().1.as_bytes()));
    assert!(!format!("{:?}", fixture.store).contains(&key.split_once(':').unwrap().1[..8]));
}

async fn a_renamed_row_cannot_be_decrypted(fixture: Fixture) {
    let fixture = keyed(fixture, &[&Keys::generate().unwrap()]).await;
    fixture.store.put_credential(&credential("mine"), &secret("one")).await.unwrap();
    assert_eq!(fixture.sql("UPDATE credentials SET name = 'yours'").await, 1);
    let error = fixture.store.credential(&credential("yours")).await.unwrap_err();
    assert!(matches!(error, StoreError::Key(_)), "{error}");
}

async fn rotates_keys(fixture: Fixture) {
    let (old, new) = (Keys::generate().unwrap(), Keys::generate().unwrap());
    let fixture = keyed(fixture, &[&old]).await;
    fixture.store.put_credential(&credential("one"), &secret("first")).await.unwrap();
    assert_eq!(fixture.store.rotate_credentials().await.unwrap(), 0);

    let fixture = keyed(fixture, &[&new, &old]).await;
    fixture.store.put_credential(&credential("two"), &secret("second")).await.unwrap();
    assert_eq!(*fixture.store.credential(&credential("one")).await.unwrap().unwrap().0, b"first");
    assert_eq!(fixture.store.rotate_credentials().await.unwrap(), 1);
    assert_eq!(fixture.store.rotate_credentials().await.unwrap(), 0);

    let fixture = keyed(fixture, &[&new]).await;
    assert_eq!(*fixture.store.credential(&credential("one")).await.unwrap().unwrap().0, b"first");
    assert_eq!(*fixture.store.credential(&credential("two")).await.unwrap().unwrap().0, b"second");

    let fixture = keyed(fixture, &[&old]).await;
    let error = fixture.store.credential(&credential("one")).await.unwrap_err().to_string();
    assert!(error.contains(new.split(':').next().unwrap()), "{error}");
    assert!(matches!(fixture.store.rotate_credentials().await, Err(StoreError::Key(_))));
}

async fn rotates_many_credentials_in_pages(fixture: Fixture) {
    let (old, new) = (Keys::generate().unwrap(), Keys::generate().unwrap());
    let fixture = keyed(fixture, &[&old]).await;
    for tenant in 0..1_010 {
        let id = CredentialId { tenant: tenant.to_string(), ..credential("token") };
        fixture.store.put_credential(&id, &secret("x")).await.unwrap();
    }
    let fixture = keyed(fixture, &[&new, &old]).await;
    assert_eq!(fixture.store.rotate_credentials().await.unwrap(), 1_010);
    let fixture = keyed(fixture, &[&new]).await;
    let id = CredentialId { tenant: "1009".to_owned(), ..credential("token") };
    assert_eq!(*fixture.store.credential(&id).await.unwrap().unwrap().0, b"x");
}

async fn refuses_credentials_without_keys(fixture: Fixture) {
    let store = &*fixture.store;
    let id = credential("token");
    for error in [
        store.put_credential(&id, &secret("one")).await.unwrap_err(),
        store.credential(&id).await.unwrap_err(),
        store.rotate_credentials().await.unwrap_err(),
    ] {
        assert!(matches!(&error, StoreError::Key(text) if text.contains("EVENKEEL_MASTER_KEY")), "{error}");
    }
    assert!(!store.remove_credential(&id).await.unwrap());
    assert_eq!(store.writes(), 0);
}
