//! The certificate of the admission port: made here, kept in a Secret, renewed in time, and told to the API server.
//!
//! Whoever leads makes and renews; all processes serve what the Secret holds. An authority is replaced with overlap: the API
//! server trusts the old one and the new one before anybody serves by the new.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use serde_json::json;
use tokio::sync::watch;

use super::super::status_writer::MANAGER;
use crate::server::admission::Pem;

/// Days that an authority counts.
const AUTHORITY_DAYS: i64 = 3650;
/// Days that a certificate counts.
const SERVING_DAYS: i64 = 365;
/// Time between looks.
const EVERY: Duration = Duration::from_mins(1);
const DAY: i64 = 24 * 3600;
const AUTHORITY_SINCE: &str = "evenkeel.dev/authority-since";
const SERVING_SINCE: &str = "evenkeel.dev/serving-since";
const SERVING_NAMES: &str = "evenkeel.dev/serving-names";

/// Whose certificate, and where it is kept and told.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The operator's own namespace.
    pub namespace: String,
    /// The Service by whose names it is asked.
    pub service: String,
    /// The Secret that holds it.
    pub secret: String,
    /// The ValidatingWebhookConfiguration that names the authority.
    pub configuration: String,
}

/// What the Secret holds.
#[derive(Clone, PartialEq, Eq)]
pub struct Held {
    /// Authorities to trust, the present one first, as PEM.
    pub authorities: String,
    /// The present authority's key.
    authority_key: String,
    /// When it was made, in unix seconds.
    authority_since: i64,
    /// The certificate and key that are served.
    pub serving: Pem,
    /// When it was made.
    serving_since: i64,
}

impl Certificate {
    fn names(&self) -> Vec<String> {
        let Certificate { namespace, service, .. } = self;
        let short = format!("{service}.{namespace}");
        vec![
            format!("{short}.svc"),
            format!("{short}.svc.cluster.local"),
            short,
            "localhost".into(),
            "127.0.0.1".into(),
        ]
    }

    /// What should be held now: what is held where it is good for long enough, or something newer.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn due(&self, held: Option<&Held>, now: i64) -> Result<Held, String> {
        let old = |since: i64, days: i64| now.saturating_sub(since) >= days * DAY * 2 / 3 || since > now + DAY;
        let failed = |error: rcgen::Error| format!("no certificate: {error}");
        let good = held.filter(|held| !old(held.authority_since, AUTHORITY_DAYS));
        let (authorities, authority_key, authority_since) = if let Some(held) = good {
            (held.authorities.clone(), held.authority_key.clone(), held.authority_since)
        } else {
            let key = KeyPair::generate().map_err(failed)?;
            let own = authority(now).self_signed(&key).map_err(failed)?.pem();
            // The one before is trusted until nobody serves by it.
            let before = held.and_then(|held| first_pem(&held.authorities)).unwrap_or_default();
            (own + &before, key.serialize_pem(), now)
        };
        let same_authority = held.is_some_and(|held| held.authority_since == authority_since);
        if let Some(held) = held.filter(|held| same_authority && !old(held.serving_since, SERVING_DAYS)) {
            return Ok(held.clone());
        }
        let signing = KeyPair::from_pem(&authority_key).map_err(failed)?;
        let issuer = Issuer::new(authority(authority_since), signing);
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = CertificateParams::new(self.names()).map_err(failed)?;
        params.distinguished_name.push(DnType::CommonName, "evenkeel-admission");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        (params.not_before, params.not_after) = (day(now - DAY), day(now + SERVING_DAYS * DAY));
        let certificate = params.signed_by(&key, &issuer).map_err(failed)?.pem();
        let serving = Pem { certificate, key: key.serialize_pem() };
        Ok(Held { authorities, authority_key, authority_since, serving, serving_since: now })
    }

    /// Keeps it, until the process ends; `told` has what is to be served.
    pub async fn keep(self, client: Client, leads: watch::Receiver<bool>, told: watch::Sender<Option<Pem>>) {
        let mut leads = leads;
        let mut said = String::new();
        loop {
            let now = crate::reconcile::clock::now() / 1_000_000;
            let leading = *leads.borrow();
            let mut settled = false;
            let problem = match self.look(&client, leading, now).await {
                Ok((known, serving)) => {
                    settled = known;
                    told.send_if_modified(|known| {
                        let changed = serving.is_some() && *known != serving;
                        if changed {
                            *known = serving;
                        }
                        changed
                    });
                    String::new()
                }
                Err(problem) => problem,
            };
            if problem != said && !problem.is_empty() {
                tracing::warn!("the certificate of the admission port: {problem}");
            }
            let wait = if settled && told.borrow().is_some() { EVERY } else { Duration::from_secs(2) };
            said = problem;
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                changed = leads.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Looks once, and gives what is to be served, and whether everything that is to be known is known everywhere.
    async fn look(&self, client: &Client, leads: bool, now: i64) -> Result<(bool, Option<Pem>), String> {
        let secrets: Api<Secret> = Api::namespaced(client.clone(), &self.namespace);
        let why = |error: kube::Error| match &error {
            kube::Error::Api(answer) if answer.code == 403 => answer.message.clone(),
            _ => error.to_string(),
        };
        let found = secrets.get_opt(&self.secret).await.map_err(why)?;
        let held = found.as_ref().and_then(|found| self.read(found));
        if !leads {
            return Ok((held.is_some(), held.map(|held| held.serving)));
        }
        let due = self.due(held.as_ref(), now)?;
        // The API server trusts a new authority before anybody serves by it.
        let told = self.tell(client, &due.authorities).await?;
        if held.as_ref() != Some(&due) {
            let secret = self.secret(&due, found.as_ref());
            let written = match found {
                Some(_) => secrets.replace(&self.secret, &PostParams::default(), &secret).await,
                None => secrets.create(&PostParams::default(), &secret).await,
            };
            written.map_err(why)?;
            tracing::info!(secret = self.secret, "the certificate of the admission port is made anew");
        }
        Ok((told, Some(due.serving)))
    }

    /// Names the authority in the configuration of the webhook; one that is not there (`false`) is the chart's to make.
    async fn tell(&self, client: &Client, authorities: &str) -> Result<bool, String> {
        let api: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
        let found = api.get_opt(&self.configuration).await.map_err(|error| error.to_string())?;
        let Some(found) = found else {
            tracing::debug!(configuration = self.configuration, "there is no such ValidatingWebhookConfiguration");
            return Ok(false);
        };
        let bundle = ByteString(authorities.as_bytes().to_vec());
        let webhooks = found.webhooks.unwrap_or_default();
        let ours = |service: &Option<k8s_openapi::api::admissionregistration::v1::ServiceReference>| {
            service.as_ref().is_some_and(|one| one.name == self.service && one.namespace == self.namespace)
        };
        let stale = webhooks.iter().enumerate().filter(|(_, webhook)| {
            let client = &webhook.client_config;
            // One that is named by its address is for whoever tries this on their own machine.
            (ours(&client.service) || client.url.is_some()) && client.ca_bundle.as_ref() != Some(&bundle)
        });
        let mut patch = vec![];
        for (at, webhook) in stale {
            // Whoever reordered them meanwhile is not overwritten.
            patch.push(json!({"op": "test", "path": format!("/webhooks/{at}/name"), "value": webhook.name}));
            patch.push(json!({"op": "add", "path": format!("/webhooks/{at}/clientConfig/caBundle"), "value": bundle}));
        }
        if patch.is_empty() {
            return Ok(true);
        }
        let patch: Patch<ValidatingWebhookConfiguration> =
            Patch::Json(serde_json::from_value(json!(patch)).map_err(|error| error.to_string())?);
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        api.patch(&self.configuration, &params, &patch).await.map(|_| true).map_err(|error| error.to_string())
    }

    fn secret(&self, held: &Held, before: Option<&Secret>) -> Secret {
        let data = [
            ("ca.crt", held.authorities.as_str()),
            ("ca.key", held.authority_key.as_str()),
            ("tls.crt", held.serving.certificate.as_str()),
            ("tls.key", held.serving.key.as_str()),
        ];
        let notes = [
            (AUTHORITY_SINCE, held.authority_since.to_string()),
            (SERVING_SINCE, held.serving_since.to_string()),
            (SERVING_NAMES, self.names().join(",")),
        ];
        let mut metadata = before.map_or_else(ObjectMeta::default, |before| before.metadata.clone());
        metadata.name = Some(self.secret.clone());
        let annotations = metadata.annotations.get_or_insert_default();
        annotations.extend(notes.map(|(name, note)| (name.to_owned(), note)));
        Secret {
            metadata,
            data: Some(data.map(|(name, text)| (name.to_owned(), ByteString(text.as_bytes().to_vec()))).into()),
            type_: Some(before.and_then(|before| before.type_.clone()).unwrap_or_else(|| "Opaque".into())),
            ..Secret::default()
        }
    }

    /// What a Secret holds; `None` where it is not whole, or is not what it says, and so is made anew.
    fn read(&self, secret: &Secret) -> Option<Held> {
        let data: &BTreeMap<String, ByteString> = secret.data.as_ref()?;
        let text = |name: &str| String::from_utf8(data.get(name)?.0.clone()).ok();
        let annotation = |name: &str| secret.metadata.annotations.as_ref()?.get(name);
        let time = |name: &str| annotation(name)?.parse().ok();
        let serving = Pem { certificate: text("tls.crt")?, key: text("tls.key")? };
        let authority_key = text("ca.key")?;
        if KeyPair::from_pem(&authority_key).is_err() || !serving.is_usable() {
            return None;
        }
        // One for another Service is as good as old.
        let names = annotation(SERVING_NAMES).is_some_and(|names| *names == self.names().join(","));
        let serving_since = time(SERVING_SINCE)?;
        Some(Held {
            authorities: text("ca.crt")?,
            authority_key,
            authority_since: time(AUTHORITY_SINCE)?,
            serving,
            serving_since: if names { serving_since } else { 0 },
        })
    }
}

/// The same for the same moment, so that whoever has the key can sign by it again.
fn authority(since: i64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, format!("evenkeel-admission-{since}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    (params.not_before, params.not_after) = (day(since - DAY), day(since + AUTHORITY_DAYS * DAY));
    params
}

fn day<T>(second: i64) -> T
where
    T: From<std::time::SystemTime>,
{
    T::from(std::time::UNIX_EPOCH + Duration::from_secs(second.max(0).unsigned_abs()))
}

fn first_pem(text: &str) -> Option<String> {
    const END: &str = "-----END CERTIFICATE-----\n";
    text.find(END).map(|at| text[..at + END.len()].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate() -> Certificate {
        let text = |text: &str| text.to_owned();
        Certificate { namespace: text("ek"), service: text("hook"), secret: text("s"), configuration: text("c") }
    }

    #[test]
    fn it_is_kept_while_it_is_good_and_renewed_in_time() {
        let (kept, start) = (certificate(), 1_700_000_000);
        let first = kept.due(None, start).unwrap();
        assert!(kept.due(Some(&first), start + 200 * DAY).unwrap() == first);
        let second = kept.due(Some(&first), start + 250 * DAY).unwrap();
        assert!(second.serving != first.serving && second.authorities == first.authorities);
        // The authority goes with overlap: both are trusted, the new one first.
        let later = start + 2500 * DAY;
        let third = kept.due(Some(&second), later).unwrap();
        assert_eq!(third.authorities.matches("BEGIN").count(), 2);
        assert!(third.authorities.ends_with(&first.authorities) && third.serving != second.serving);
        let fourth = kept.due(Some(&third), later + 2500 * DAY).unwrap();
        assert_eq!(fourth.authorities.matches("BEGIN").count(), 2);
        assert!(!fourth.authorities.contains(&first.authorities));
        // A clock that went far back does not keep what is from the future for ever.
        assert!(kept.due(Some(&fourth), start).unwrap() != fourth);
    }

    #[test]
    fn what_is_stored_is_read_back() {
        let (kept, now) = (certificate(), 1_700_000_000);
        let held = kept.due(None, now).unwrap();
        let secret = kept.secret(&held, None);
        assert!(kept.read(&secret).as_ref() == Some(&held));
        let mut missing = secret.clone();
        missing.data.as_mut().unwrap().remove("ca.key");
        assert!(kept.read(&missing).is_none());
        // What cannot be served is made anew, and not carried along for months.
        for name in ["ca.key", "tls.crt", "tls.key"] {
            let mut broken = secret.clone();
            broken.data.as_mut().unwrap().insert(name.into(), ByteString(b"not a key".to_vec()));
            assert!(kept.read(&broken).is_none(), "{name}");
        }
        let other = kept.secret(&kept.due(None, now).unwrap(), None);
        let mut mixed = secret.clone();
        mixed.data.as_mut().unwrap().insert("tls.key".into(), other.data.unwrap()["tls.key"].clone());
        assert!(kept.read(&mixed).is_none(), "a key of another certificate");
    }

    #[test]
    fn another_name_of_the_service_is_certified_at_once_by_the_same_authority() {
        let (kept, now) = (certificate(), 1_700_000_000);
        let held = kept.due(None, now).unwrap();
        let secret = kept.secret(&held, None);
        let renamed = Certificate { service: "other".into(), ..certificate() };
        let read = renamed.read(&secret).unwrap();
        let due = renamed.due(Some(&read), now).unwrap();
        assert!(due.serving != held.serving && due.authorities == held.authorities);
        let again = renamed.read(&renamed.secret(&due, Some(&secret))).unwrap();
        assert!(renamed.due(Some(&again), now).unwrap() == due);
    }
}
