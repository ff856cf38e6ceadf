//! The certificate of the admission port: generated here, stored in a Secret, renewed in time, and registered with the API
//! server.
//!
//! The leader generates and renews; every process serves the certificate of the Secret. Authorities overlap: the API server
//! trusts the old and the new one before any process serves a certificate of the new one.

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

/// Validity of an authority, in days.
const AUTHORITY_DAYS: i64 = 3650;
/// Validity of a certificate, in days.
const SERVING_DAYS: i64 = 365;
/// Interval between checks.
const CHECK_INTERVAL: Duration = Duration::from_mins(1);
const DAY: i64 = 24 * 3600;
const AUTHORITY_SINCE: &str = "evenkeel.dev/authority-since";
const SERVING_SINCE: &str = "evenkeel.dev/serving-since";
const SERVING_NAMES: &str = "evenkeel.dev/serving-names";

/// Manages the certificate of a Service.
#[derive(Clone, Debug)]
pub struct CertificateManager {
    /// Namespace of the operator.
    pub namespace: String,
    /// Service in front of the admission port.
    pub service: String,
    /// Secret that stores the certificate.
    pub secret: String,
    /// ValidatingWebhookConfiguration that contains the authority.
    pub configuration: String,
}

/// The content of the Secret.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredCertificate {
    /// Authorities to trust as PEM, the current one first.
    pub authorities: String,
    /// Key of the current authority.
    authority_key: String,
    /// Creation time of the current authority, in Unix seconds.
    authority_since: i64,
    /// Certificate and key to serve.
    pub serving: Pem,
    /// Creation time of the certificate, in Unix seconds.
    serving_since: i64,
}

impl CertificateManager {
    fn names(&self) -> Vec<String> {
        let CertificateManager { namespace, service, .. } = self;
        let short = format!("{service}.{namespace}");
        vec![
            format!("{short}.svc"),
            format!("{short}.svc.cluster.local"),
            short,
            "localhost".into(),
            "127.0.0.1".into(),
        ]
    }

    /// The stored certificate if it is valid for long enough, or a renewed one.
    ///
    /// # Errors
    /// Fails if a certificate cannot be generated.
    pub fn due(&self, held: Option<&StoredCertificate>, now: i64) -> Result<StoredCertificate, String> {
        let is_old = |since: i64, days: i64| now.saturating_sub(since) >= days * DAY * 2 / 3 || since > now + DAY;
        let failed = |error: rcgen::Error| format!("cannot generate a certificate: {error}");
        let good = held.filter(|held| !is_old(held.authority_since, AUTHORITY_DAYS));
        let (authorities, authority_key, authority_since) = if let Some(held) = good {
            (held.authorities.clone(), held.authority_key.clone(), held.authority_since)
        } else {
            let key = KeyPair::generate().map_err(failed)?;
            let own = authority(now).self_signed(&key).map_err(failed)?.pem();
            // The previous authority stays trusted until no process serves its certificate.
            let previous = held.and_then(|held| first_pem(&held.authorities)).unwrap_or_default();
            (own + &previous, key.serialize_pem(), now)
        };
        let same_authority = held.is_some_and(|held| held.authority_since == authority_since);
        if let Some(held) = held.filter(|held| same_authority && !is_old(held.serving_since, SERVING_DAYS)) {
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
        Ok(StoredCertificate { authorities, authority_key, authority_since, serving, serving_since: now })
    }

    /// Checks and renews until the process ends; sends the certificate to serve.
    pub async fn run(self, client: Client, leads: watch::Receiver<bool>, serving: watch::Sender<Option<Pem>>) {
        let mut leads = leads;
        let mut reported = String::new();
        loop {
            let now = crate::reconcile::clock::now() / 1_000_000;
            let is_leader = *leads.borrow();
            let mut registered = false;
            let problem = match self.check(&client, is_leader, now).await {
                Ok((is_registered, current)) => {
                    registered = is_registered;
                    serving.send_if_modified(|served| {
                        let changed = current.is_some() && *served != current;
                        if changed {
                            *served = current;
                        }
                        changed
                    });
                    String::new()
                }
                Err(problem) => problem,
            };
            if problem != reported && !problem.is_empty() {
                tracing::warn!(secret = self.secret, problem, "failed to maintain the admission certificate");
            }
            let delay = if registered && serving.borrow().is_some() { CHECK_INTERVAL } else { Duration::from_secs(2) };
            reported = problem;
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                changed = leads.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Checks once. Returns the certificate to serve, and true if the API server has the authority.
    async fn check(&self, client: &Client, leads: bool, now: i64) -> Result<(bool, Option<Pem>), String> {
        let secrets: Api<Secret> = Api::namespaced(client.clone(), &self.namespace);
        let describe = |error: kube::Error| match &error {
            kube::Error::Api(response) if response.code == 403 => response.message.clone(),
            _ => error.to_string(),
        };
        let found = secrets.get_opt(&self.secret).await.map_err(describe)?;
        let held = found.as_ref().and_then(|found| self.read(found));
        if !leads {
            return Ok((held.is_some(), held.map(|held| held.serving)));
        }
        let due = self.due(held.as_ref(), now)?;
        // The API server must trust a new authority before a process serves its certificate.
        let registered = self.register_authority(client, &due.authorities).await?;
        if held.as_ref() != Some(&due) {
            let secret = self.secret(&due, found.as_ref());
            let written = match found {
                Some(_) => secrets.replace(&self.secret, &PostParams::default(), &secret).await,
                None => secrets.create(&PostParams::default(), &secret).await,
            };
            written.map_err(describe)?;
            tracing::info!(secret = self.secret, "renewed the admission certificate");
        }
        Ok((registered, Some(due.serving)))
    }

    /// Writes the authority into the webhook configuration. Returns false if the configuration, which the chart creates, does
    /// not exist.
    async fn register_authority(&self, client: &Client, authorities: &str) -> Result<bool, String> {
        let api: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
        let found = api.get_opt(&self.configuration).await.map_err(|error| error.to_string())?;
        let Some(found) = found else {
            tracing::debug!(configuration = self.configuration, "the ValidatingWebhookConfiguration does not exist");
            return Ok(false);
        };
        let bundle = ByteString(authorities.as_bytes().to_vec());
        let webhooks = found.webhooks.unwrap_or_default();
        let is_own = |service: &Option<k8s_openapi::api::admissionregistration::v1::ServiceReference>| {
            service.as_ref().is_some_and(|service| service.name == self.service && service.namespace == self.namespace)
        };
        let stale = webhooks.iter().enumerate().filter(|(_, webhook)| {
            let client = &webhook.client_config;
            // A webhook with a URL is for development on the author's machine.
            (is_own(&client.service) || client.url.is_some()) && client.ca_bundle.as_ref() != Some(&bundle)
        });
        let mut patch = vec![];
        for (at, webhook) in stale {
            // The test fails if the webhooks were reordered meanwhile.
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

    fn secret(&self, held: &StoredCertificate, before: Option<&Secret>) -> Secret {
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

    /// The certificate of a Secret; `None` if it is incomplete or inconsistent, and must be regenerated.
    fn read(&self, secret: &Secret) -> Option<StoredCertificate> {
        let data: &BTreeMap<String, ByteString> = secret.data.as_ref()?;
        let text = |name: &str| String::from_utf8(data.get(name)?.0.clone()).ok();
        let annotation = |name: &str| secret.metadata.annotations.as_ref()?.get(name);
        let time = |name: &str| annotation(name)?.parse().ok();
        let serving = Pem { certificate: text("tls.crt")?, key: text("tls.key")? };
        let authority_key = text("ca.key")?;
        if KeyPair::from_pem(&authority_key).is_err() || !serving.is_usable() {
            return None;
        }
        // A certificate of another Service is due for renewal.
        let names = annotation(SERVING_NAMES).is_some_and(|names| *names == self.names().join(","));
        let serving_since = time(SERVING_SINCE)?;
        Some(StoredCertificate {
            authorities: text("ca.crt")?,
            authority_key,
            authority_since: time(AUTHORITY_SINCE)?,
            serving,
            serving_since: if names { serving_since } else { 0 },
        })
    }
}

/// Parameters of an authority. They depend on the creation time only, so that its key can sign again later.
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

    fn manager() -> CertificateManager {
        let text = |text: &str| text.to_owned();
        CertificateManager { namespace: text("ek"), service: text("hook"), secret: text("s"), configuration: text("c") }
    }

    #[test]
    fn keeps_a_valid_certificate_and_renews_it_in_time() {
        let (manager, start) = (manager(), 1_700_000_000);
        let first = manager.due(None, start).unwrap();
        assert!(manager.due(Some(&first), start + 200 * DAY).unwrap() == first);
        let second = manager.due(Some(&first), start + 250 * DAY).unwrap();
        assert!(second.serving != first.serving && second.authorities == first.authorities);
        // Authorities overlap: both are trusted, the new one first.
        let later = start + 2500 * DAY;
        let third = manager.due(Some(&second), later).unwrap();
        assert_eq!(third.authorities.matches("BEGIN").count(), 2);
        assert!(third.authorities.ends_with(&first.authorities) && third.serving != second.serving);
        let fourth = manager.due(Some(&third), later + 2500 * DAY).unwrap();
        assert_eq!(fourth.authorities.matches("BEGIN").count(), 2);
        assert!(!fourth.authorities.contains(&first.authorities));
        // After a clock went far back, a certificate from the future is renewed.
        assert!(manager.due(Some(&fourth), start).unwrap() != fourth);
    }

    #[test]
    fn reads_a_stored_certificate_and_rejects_a_broken_one() {
        let (manager, now) = (manager(), 1_700_000_000);
        let held = manager.due(None, now).unwrap();
        let secret = manager.secret(&held, None);
        assert!(manager.read(&secret).as_ref() == Some(&held));
        let mut missing = secret.clone();
        missing.data.as_mut().unwrap().remove("ca.key");
        assert!(manager.read(&missing).is_none());
        // A broken certificate is regenerated at once.
        for name in ["ca.key", "tls.crt", "tls.key"] {
            let mut broken = secret.clone();
            broken.data.as_mut().unwrap().insert(name.into(), ByteString(b"not a key".to_vec()));
            assert!(manager.read(&broken).is_none(), "{name}");
        }
        let other = manager.secret(&manager.due(None, now).unwrap(), None);
        let mut mixed = secret.clone();
        mixed.data.as_mut().unwrap().insert("tls.key".into(), other.data.unwrap()["tls.key"].clone());
        assert!(manager.read(&mixed).is_none(), "a key of another certificate");
    }

    #[test]
    fn a_renamed_service_gets_a_certificate_of_the_same_authority_at_once() {
        let (manager, now) = (manager(), 1_700_000_000);
        let held = manager.due(None, now).unwrap();
        let secret = manager.secret(&held, None);
        let renamed = CertificateManager { service: "other".into(), ..manager.clone() };
        let read = renamed.read(&secret).unwrap();
        let due = renamed.due(Some(&read), now).unwrap();
        assert!(due.serving != held.serving && due.authorities == held.authorities);
        let again = renamed.read(&renamed.secret(&due, Some(&secret))).unwrap();
        assert!(renamed.due(Some(&again), now).unwrap() == due);
    }
}
