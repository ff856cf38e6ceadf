//! What each namespace may do: which kinds, hosts, Secrets, other namespaces and sources its Environments may use.
//!
//! Without a file, an Environment reaches its own namespace only: its resources, its Secrets, Git, and whatever public hosts
//! it asks for. It never reads the operator's own process or disk (`env`, `file`, `directory`) unless that is allowed.

use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;

use anyhow::Context as _;

use crate::definition::Kind;
use crate::definition::environment::{EnvironmentSpec, NamedSource, SecretSource, Source};
use crate::text;

/// What namespaces may do, as the operator's file says: the first rule that matches a namespace counts.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tenancy {
    /// Rules, in order. A namespace that none matches may do nothing, where there are any.
    #[serde(default)]
    pub namespaces: Vec<Rule>,
}

/// What namespaces of some names may do.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// Names of namespaces; `*` at the end stands for any rest.
    #[serde(rename = "match")]
    pub matches: Vec<String>,
    /// Kinds that their Environments may have; all where left out.
    pub kinds: Option<Vec<Kind>>,
    /// Hosts that may be reached, such as `*.example.com`; every public one where left out.
    pub hosts: Option<Vec<String>>,
    /// Private networks that may be reached, in CIDR notation.
    #[serde(default)]
    pub private_networks: Vec<String>,
    /// Names of Secrets of the namespace that may be read; `*` at the end stands for any rest; all where left out.
    pub secrets: Option<Vec<String>>,
    /// Other namespaces whose resources may be read; `*` at the end stands for any rest.
    #[serde(default)]
    pub read_namespaces: Vec<String>,
    /// Where definitions may come from; `Cluster` and `Git` where left out.
    pub sources: Option<Vec<SourceKind>>,
    /// The service account in whose name an Environment reads that names none.
    pub service_account: Option<String>,
    /// May secrets be environment variables and files of the operator itself?
    #[serde(default)]
    pub process_secrets: bool,
}

/// Where definitions come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "the names say it")]
pub enum SourceKind {
    Cluster,
    Git,
    Directory,
}

/// What one namespace may do.
#[derive(Clone, Debug, Default)]
pub struct Allowed(Option<Arc<Rule>>);

impl Tenancy {
    /// Reads the operator's file.
    ///
    /// # Errors
    /// Where it cannot be read, or says something that nobody understands.
    pub fn read(path: &Path) -> anyhow::Result<Tenancy> {
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let tenancy: Tenancy = text::typed(&path.to_string_lossy(), &bytes).map_err(anyhow::Error::msg)?;
        for rule in &tenancy.namespaces {
            anyhow::ensure!(!rule.matches.is_empty(), "{}: a rule has no `match`", path.display());
        }
        Ok(tenancy)
    }

    /// What a namespace may do.
    ///
    /// # Errors
    /// Where there are rules and none is for it.
    pub fn of(&self, namespace: &str) -> Result<Allowed, String> {
        if self.namespaces.is_empty() {
            return Ok(Allowed::default());
        }
        let rule = self.namespaces.iter().find(|rule| any_matches(&rule.matches, namespace));
        let rule = rule.ok_or_else(|| format!("the operator serves no Environments in namespace {namespace}"))?;
        Ok(Allowed(Some(Arc::new(rule.clone()))))
    }
}

impl Allowed {
    /// May there be definitions of this kind?
    pub fn kind(&self, kind: Kind) -> bool {
        self.0.as_ref().and_then(|rule| rule.kinds.as_ref()).is_none_or(|kinds| kinds.contains(&kind))
    }

    /// May this Secret be read?
    pub fn secret(&self, name: &str) -> bool {
        self.0.as_ref().and_then(|rule| rule.secrets.as_ref()).is_none_or(|secrets| any_matches(secrets, name))
    }

    /// The service account in whose name an Environment reads.
    pub fn account(&self, spec: &EnvironmentSpec) -> Option<String> {
        let default = || self.0.as_ref().and_then(|rule| rule.service_account.clone());
        spec.service_account_name.clone().or_else(default)
    }

    /// Checks what an Environment of a namespace asks for, and narrows what it leaves open. Gives what is effective.
    ///
    /// # Errors
    /// The first thing that it may not.
    pub fn narrow(&self, namespace: &str, spec: &EnvironmentSpec) -> Result<EnvironmentSpec, String> {
        let default = Rule::default();
        let rule = self.0.as_deref().unwrap_or(&default);
        let mut spec = spec.clone();
        for wanted in sources(&spec) {
            let kind = match (&wanted.git, &wanted.directory) {
                (Some(_), _) => SourceKind::Git,
                (None, Some(_)) => SourceKind::Directory,
                (None, None) => SourceKind::Cluster,
            };
            let allowed = rule.sources.as_deref().unwrap_or(&[SourceKind::Cluster, SourceKind::Git]);
            if !allowed.contains(&kind) {
                return Err(format!(
                    "definitions of namespace {namespace} may not come from {kind:?}: ask who runs the operator"
                ));
            }
            for other in wanted.cluster.iter().flat_map(|cluster| &cluster.namespaces) {
                if other != namespace && !any_matches(&rule.read_namespaces, other) {
                    return Err(format!("an Environment of namespace {namespace} may not read namespace {other}"));
                }
            }
        }
        for (name, source) in &spec.secrets {
            self.secret_source(name, source, rule)?;
        }
        if let Some(hosts) = &rule.hosts {
            if spec.egress.hosts.is_empty() {
                spec.egress.hosts.clone_from(hosts);
            }
            if let Some(host) = spec.egress.hosts.iter().find(|host| !hosts.iter().any(|allowed| covers(allowed, host)))
            {
                return Err(format!("namespace {namespace} may not reach {host} (`egress.hosts`)"));
            }
        }
        if let Some(network) = spec.egress.private_networks.iter().find(|one| !rule.private_networks.contains(one)) {
            return Err(format!(
                "namespace {namespace} may not reach the private network {network} (`egress.privateNetworks`)"
            ));
        }
        Ok(spec)
    }

    fn secret_source(&self, name: &str, source: &SecretSource, rule: &Rule) -> Result<(), String> {
        if (source.env.is_some() || source.file.is_some()) && !rule.process_secrets {
            return Err(format!("secret `{name}`: `env` and `file` are the operator's own; use `kubernetes`"));
        }
        match &source.kubernetes {
            Some(wanted) if !self.secret(&wanted.name) => {
                Err(format!("secret `{name}`: the Secret {} may not be read", wanted.name))
            }
            _ => Ok(()),
        }
    }
}

/// The sources of an environment, whichever way they are written.
pub(super) fn sources(spec: &EnvironmentSpec) -> Vec<NamedSource> {
    if !spec.sources.is_empty() {
        return spec.sources.clone();
    }
    let Source { git, directory, cluster } =
        spec.source.clone().unwrap_or(Source { git: None, directory: None, cluster: None });
    vec![NamedSource { name: crate::reconcile::sources::ONLY.into(), git, directory, cluster }]
}

fn any_matches(patterns: &[String], name: &str) -> bool {
    patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => pattern == name,
    })
}

/// Does an allowed host pattern hold everything that another one does? `*.example.com` does not hold `example.com`.
fn covers(allowed: &str, wanted: &str) -> bool {
    let (allowed, wanted) = (allowed.to_ascii_lowercase(), wanted.to_ascii_lowercase());
    match allowed.strip_prefix('*') {
        Some(domain) => wanted.trim_start_matches('*').ends_with(domain),
        None => allowed == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenancy(text: &str) -> Tenancy {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tenancy.yaml");
        std::fs::write(&path, text).unwrap();
        Tenancy::read(&path).unwrap()
    }

    fn spec(text: &str) -> EnvironmentSpec {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn without_rules_an_environment_reaches_its_own_namespace_only() {
        let allowed = Tenancy::default().of("team").unwrap();
        for (wanted, refused) in [
            (r#"{"source": {"cluster": {}}}"#, None),
            (r#"{"source": {"git": {"url": "https://git.example/a.git"}}}"#, None),
            (r#"{"source": {"cluster": {"namespaces": ["team"]}}}"#, None),
            (r#"{"source": {"cluster": {"namespaces": ["other"]}}}"#, Some("may not read namespace other")),
            (r#"{"source": {"directory": {"path": "/etc"}}}"#, Some("may not come from Directory")),
            (r#"{"sources": [{"name": "a", "directory": {"path": "/"}}]}"#, Some("may not come from Directory")),
            (r#"{"secrets": {"a": {"env": "EVENKEEL_MASTER_KEY"}}}"#, Some("operator's own")),
            (r#"{"secrets": {"a": {"file": "/etc/shadow"}}}"#, Some("operator's own")),
            (r#"{"secrets": {"a": {"kubernetes": {"name": "a", "key": "b"}}}}"#, None),
            (r#"{"egress": {"privateNetworks": ["10.0.0.0/8"]}}"#, Some("private network 10.0.0.0/8")),
        ] {
            match (allowed.narrow("team", &spec(wanted)), refused) {
                (Ok(_), None) => {}
                (Err(error), Some(refused)) => assert!(error.contains(refused), "{wanted}: {error}"),
                (got, _) => panic!("{wanted}: {got:?}"),
            }
        }
    }

    #[test]
    fn the_first_rule_that_matches_counts() {
        let tenancy = tenancy(
            "namespaces:\n  - match: [team-a]\n    kinds: [Connector]\n    hosts: ['*.example.com']\n    secrets: ['evenkeel-*']\n  \
             - match: ['team-*']\n    readNamespaces: [shared]\n    sources: [Cluster]\n",
        );
        let a = tenancy.of("team-a").unwrap();
        assert!(a.kind(Kind::Connector) && !a.kind(Kind::Workflow));
        assert!(a.secret("evenkeel-crm") && !a.secret("database"));
        assert_eq!(a.narrow("team-a", &spec("{}")).unwrap().egress.hosts, ["*.example.com"]);
        let hosts = |hosts: &str| a.narrow("team-a", &spec(&format!(r#"{{"egress": {{"hosts": [{hosts}]}}}}"#)));
        assert!(hosts(r#""api.example.com", "*.eu.example.com""#).is_ok());
        for beyond in [r#""example.com""#, r#""api.example.org""#, r#""badexample.com""#, r#""*""#, r#""*.com""#] {
            assert!(hosts(beyond).is_err(), "{beyond}");
        }
        let b = tenancy.of("team-b").unwrap();
        assert!(b.narrow("team-b", &spec(r#"{"source": {"cluster": {"namespaces": ["shared"]}}}"#)).is_ok());
        assert!(b.narrow("team-b", &spec(r#"{"source": {"git": {"url": "https://git.example/a.git"}}}"#)).is_err());
        assert!(tenancy.of("elsewhere").is_err());
    }
}
