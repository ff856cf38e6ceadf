//! Permissions of namespaces: the kinds, hosts, Secrets, other namespaces and sources that their Environments may use.
//!
//! Without a file, an Environment reaches the resources and Secrets of its own namespace, Git, and public hosts. It never
//! reads the operator's own process or disk (`env`, `file`, `directory`) unless a rule allows it.

use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;

use anyhow::Context as _;

use crate::definition::Kind;
use crate::definition::environment::{EnvironmentSpec, NamedSource, SecretSource, Source};
use crate::text;

/// The operator's file of rules: the first rule that matches a namespace applies.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tenancy {
    /// Rules, in order. If there are rules, a namespace that none matches has no permissions.
    #[serde(default)]
    pub namespaces: Vec<Rule>,
}

/// Permissions of the namespaces that match.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// Names of namespaces; a trailing `*` matches any suffix.
    #[serde(rename = "match")]
    pub matches: Vec<String>,
    /// Permissions kinds (default: all).
    pub kinds: Option<Vec<Kind>>,
    /// Permissions hosts, such as `*.example.com` (default: every public host).
    pub hosts: Option<Vec<String>>,
    /// Permissions private networks, in CIDR notation.
    #[serde(default)]
    pub private_networks: Vec<String>,
    /// Readable Secrets of the namespace; a trailing `*` matches any suffix (default: all).
    pub secrets: Option<Vec<String>>,
    /// Other namespaces that may be read; a trailing `*` matches any suffix.
    #[serde(default)]
    pub read_namespaces: Vec<String>,
    /// Permissions sources (default: `Cluster` and `Git`).
    pub sources: Option<Vec<SourceKind>>,
    /// Service account of Environments that name none.
    pub service_account: Option<String>,
    /// True if secrets may come from environment variables and files of the operator.
    #[serde(default)]
    pub process_secrets: bool,
}

/// Kind of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "the names are the kinds of sources")]
pub enum SourceKind {
    Cluster,
    Git,
    Directory,
}

/// Permissions of one namespace.
#[derive(Clone, Debug, Default)]
pub struct Permissions(Option<Arc<Rule>>);

impl Tenancy {
    /// Reads the operator's file.
    ///
    /// # Errors
    /// Fails if the file cannot be read or has another form.
    pub fn read(path: &Path) -> anyhow::Result<Tenancy> {
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let tenancy: Tenancy = text::typed(&path.to_string_lossy(), &bytes).map_err(anyhow::Error::msg)?;
        for rule in &tenancy.namespaces {
            anyhow::ensure!(!rule.matches.is_empty(), "{}: a rule has no `match`", path.display());
        }
        Ok(tenancy)
    }

    /// Permissions of a namespace.
    ///
    /// # Errors
    /// Fails if there are rules and none matches.
    pub fn permissions(&self, namespace: &str) -> Result<Permissions, String> {
        if self.namespaces.is_empty() {
            return Ok(Permissions::default());
        }
        let rule = self.namespaces.iter().find(|rule| any_matches(&rule.matches, namespace));
        let rule = rule.ok_or_else(|| format!("the operator serves no Environments in namespace {namespace}"))?;
        Ok(Permissions(Some(Arc::new(rule.clone()))))
    }
}

impl Permissions {
    /// True if definitions of the kind are allowed.
    pub fn allows_kind(&self, kind: Kind) -> bool {
        self.0.as_ref().and_then(|rule| rule.kinds.as_ref()).is_none_or(|kinds| kinds.contains(&kind))
    }

    /// True if the Secret may be read.
    pub fn allows_secret(&self, name: &str) -> bool {
        self.0.as_ref().and_then(|rule| rule.secrets.as_ref()).is_none_or(|secrets| any_matches(secrets, name))
    }

    /// Service account that an Environment uses.
    pub fn account(&self, spec: &EnvironmentSpec) -> Option<String> {
        let default = || self.0.as_ref().and_then(|rule| rule.service_account.clone());
        spec.service_account_name.clone().or_else(default)
    }

    /// Checks an Environment against the permissions, and returns its spec with hosts narrowed to the allowed ones.
    ///
    /// # Errors
    /// Fails at the first setting that is not allowed.
    pub fn narrow(&self, namespace: &str, spec: &EnvironmentSpec) -> Result<EnvironmentSpec, String> {
        let default = Rule::default();
        let rule = self.0.as_deref().unwrap_or(&default);
        let mut spec = spec.clone();
        for source in sources(&spec) {
            let kind = match (&source.git, &source.directory) {
                (Some(_), _) => SourceKind::Git,
                (None, Some(_)) => SourceKind::Directory,
                (None, None) => SourceKind::Cluster,
            };
            let allowed = rule.sources.as_deref().unwrap_or(&[SourceKind::Cluster, SourceKind::Git]);
            if !allowed.contains(&kind) {
                return Err(format!(
                    "definitions of namespace {namespace} may not come from {kind:?}; the operator's tenancy file does not allow it"
                ));
            }
            for other in source.cluster.iter().flat_map(|cluster| &cluster.namespaces) {
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
        if let Some(network) =
            spec.egress.private_networks.iter().find(|network| !rule.private_networks.contains(network))
        {
            return Err(format!(
                "namespace {namespace} may not reach the private network {network} (`egress.privateNetworks`)"
            ));
        }
        Ok(spec)
    }

    fn secret_source(&self, name: &str, source: &SecretSource, rule: &Rule) -> Result<(), String> {
        if (source.env.is_some() || source.file.is_some()) && !rule.process_secrets {
            return Err(format!("secret `{name}`: `env` and `file` read the operator's own process; use `kubernetes`"));
        }
        match &source.kubernetes {
            Some(secret) if !self.allows_secret(&secret.name) => {
                Err(format!("secret `{name}`: the Secret {} may not be read", secret.name))
            }
            _ => Ok(()),
        }
    }
}

/// The sources of an environment, from `source` or `sources`.
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

/// True if an allowed host pattern covers another pattern. `*.example.com` does not cover `example.com`.
fn covers(allowed: &str, host: &str) -> bool {
    let (allowed, host) = (allowed.to_ascii_lowercase(), host.to_ascii_lowercase());
    match allowed.strip_prefix('*') {
        Some(domain) => host.trim_start_matches('*').ends_with(domain),
        None => allowed == host,
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
        let permissions = Tenancy::default().permissions("team").unwrap();
        for (text, refused) in [
            (r#"{"source": {"cluster": {}}}"#, None),
            (r#"{"source": {"git": {"url": "https://git.example/a.git"}}}"#, None),
            (r#"{"source": {"cluster": {"namespaces": ["team"]}}}"#, None),
            (r#"{"source": {"cluster": {"namespaces": ["other"]}}}"#, Some("may not read namespace other")),
            (r#"{"source": {"directory": {"path": "/etc"}}}"#, Some("may not come from Directory")),
            (r#"{"sources": [{"name": "a", "directory": {"path": "/"}}]}"#, Some("may not come from Directory")),
            (r#"{"secrets": {"a": {"env": "EVENKEEL_MASTER_KEY"}}}"#, Some("operator's own process")),
            (r#"{"secrets": {"a": {"file": "/etc/shadow"}}}"#, Some("operator's own process")),
            (r#"{"secrets": {"a": {"kubernetes": {"name": "a", "key": "b"}}}}"#, None),
            (r#"{"egress": {"privateNetworks": ["10.0.0.0/8"]}}"#, Some("private network 10.0.0.0/8")),
        ] {
            match (permissions.narrow("team", &spec(text)), refused) {
                (Ok(_), None) => {}
                (Err(error), Some(refused)) => assert!(error.contains(refused), "{text}: {error}"),
                (got, _) => panic!("{text}: {got:?}"),
            }
        }
    }

    #[test]
    fn the_first_matching_rule_applies() {
        let tenancy = tenancy(
            "namespaces:\n  - match: [team-a]\n    kinds: [Connector]\n    hosts: ['*.example.com']\n    secrets: ['evenkeel-*']\n  \
             - match: ['team-*']\n    readNamespaces: [shared]\n    sources: [Cluster]\n",
        );
        let a = tenancy.permissions("team-a").unwrap();
        assert!(a.allows_kind(Kind::Connector) && !a.allows_kind(Kind::Workflow));
        assert!(a.allows_secret("evenkeel-crm") && !a.allows_secret("database"));
        assert_eq!(a.narrow("team-a", &spec("{}")).unwrap().egress.hosts, ["*.example.com"]);
        let hosts = |hosts: &str| a.narrow("team-a", &spec(&format!(r#"{{"egress": {{"hosts": [{hosts}]}}}}"#)));
        assert!(hosts(r#""api.example.com", "*.eu.example.com""#).is_ok());
        for beyond in [r#""example.com""#, r#""api.example.org""#, r#""badexample.com""#, r#""*""#, r#""*.com""#] {
            assert!(hosts(beyond).is_err(), "{beyond}");
        }
        let b = tenancy.permissions("team-b").unwrap();
        assert!(b.narrow("team-b", &spec(r#"{"source": {"cluster": {"namespaces": ["shared"]}}}"#)).is_ok());
        assert!(b.narrow("team-b", &spec(r#"{"source": {"git": {"url": "https://git.example/a.git"}}}"#)).is_err());
        assert!(tenancy.permissions("elsewhere").is_err());
    }
}
