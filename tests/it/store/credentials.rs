//! Credentials: encrypted at rest, bound to their names, with keys that change.

use evenkeel::store::{CredentialId, Keys, StoreError};

use super::{Fixture, credential, secret};

super::on_both!(
    they_come_back_and_stay_apart,
    no_plain_text_is_stored,
    a_row_under_another_name_is_unreadable,
    keys_are_rotated,
    many_are_rotated_in_pages,
    without_keys_nothing_is_stored,
);

async fn keyed(fixture: Fixture, lines: &[&str]) -> Fixture {
    fixture.reopened(Keys::parse(&lines.join("\n")).unwrap()).await
}

async fn they_come_back_and_stay_apart(fixture: Fixture) {
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

async fn no_plain_text_is_stored(fixture: Fixture) {
    let key = Keys::generate().unwrap();
    let fixture = keyed(fixture, &[&key]).await;
    fixture.store.put_credential(&credential("visible-name"), &secret("planted-secret-value")).await.unwrap();
    let stored = fixture.stored_bytes().await;
    let holds = |text: &[u8]| stored.windows(text.len()).any(|window| window == text);
    assert!(holds(b"visible-name"), "the search must be able to find something");
    assert!(!holds(b"planted-secret-value"));
    assert!(!holds(key.split_once(':').unwrap().1.as_bytes()));
    assert!(!format!("{:?}", fixture.store).contains(&key.split_once(':').unwrap().1[..8]));
}

async fn a_row_under_another_name_is_unreadable(fixture: Fixture) {
    let fixture = keyed(fixture, &[&Keys::generate().unwrap()]).await;
    fixture.store.put_credential(&credential("mine"), &secret("one")).await.unwrap();
    assert_eq!(fixture.sql("UPDATE credentials SET name = 'yours'").await, 1);
    let error = fixture.store.credential(&credential("yours")).await.unwrap_err();
    assert!(matches!(error, StoreError::Key(_)), "{error}");
}

async fn keys_are_rotated(fixture: Fixture) {
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

async fn many_are_rotated_in_pages(fixture: Fixture) {
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

async fn without_keys_nothing_is_stored(fixture: Fixture) {
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
