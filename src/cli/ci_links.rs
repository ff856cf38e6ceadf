//! Addresses of files on the Git host of a CI job, from the variables that the job has.

use url::Url;

/// The repository of the job, and the commit that it checked out.
pub(super) struct GitHost {
    /// Address of the files of a commit, up to the commit.
    files: String,
    head: String,
}

impl GitHost {
    /// The host of this process's job; `None` outside of GitHub Actions and GitLab CI.
    pub(super) fn of_job() -> Option<GitHost> {
        GitHost::of(&|name| std::env::var(name).ok())
    }

    fn of(variable: &dyn Fn(&str) -> Option<String>) -> Option<GitHost> {
        let github = || {
            let (server, repository) = (variable("GITHUB_SERVER_URL")?, variable("GITHUB_REPOSITORY")?);
            let address = format!("{}/{repository}", server.trim_end_matches('/'));
            Some((address, "blob", variable("GITHUB_SHA")?))
        };
        let gitlab = || Some((variable("CI_PROJECT_URL")?, "-/blob", variable("CI_COMMIT_SHA")?));
        let (address, files, head) = github().or_else(gitlab)?;
        let url = Url::parse(&address).ok().filter(is_plain)?;
        let is_commit = (40..=64).contains(&head.len()) && head.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_commit.then(|| GitHost { files: format!("{}/{files}", url.as_str().trim_end_matches('/')), head })
    }

    /// Address of the root of the repository at a commit; default: the commit that the job checked out.
    pub(super) fn files_at(&self, commit: Option<&str>) -> String {
        format!("{}/{}", self.files, commit.unwrap_or(&self.head))
    }
}

/// True for an address of a web server without credentials.
fn is_plain(url: &Url) -> bool {
    let is_web = matches!(url.scheme(), "http" | "https") && url.has_host();
    is_web && url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "4f0c2d1a3b5e6f70819243546576879809a0b1c2";

    fn files(variables: &[(&str, &str)], commit: Option<&str>) -> Option<String> {
        let find =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        GitHost::of(&find).map(|host| host.files_at(commit))
    }

    #[test]
    fn addresses_come_from_the_variables_of_a_job() {
        let github =
            |server| [("GITHUB_SERVER_URL", server), ("GITHUB_REPOSITORY", "acme/defs"), ("GITHUB_SHA", COMMIT)];
        let expected = format!("https://github.com/acme/defs/blob/{COMMIT}");
        assert_eq!(files(&github("https://github.com"), None), Some(expected));
        let expected = "https://git.example/acme/defs/blob/abc";
        assert_eq!(files(&github("https://git.example/"), Some("abc")).as_deref(), Some(expected));
        let gitlab = [("CI_PROJECT_URL", "https://gitlab.example/a/b"), ("CI_COMMIT_SHA", COMMIT)];
        assert_eq!(files(&gitlab, None), Some(format!("https://gitlab.example/a/b/-/blob/{COMMIT}")));
    }

    #[test]
    fn addresses_that_are_no_plain_web_addresses_are_not_used() {
        assert_eq!(files(&[], None), None);
        for address in ["javascript:alert(1)//", "https://user:secret@git.example/a", "https://git.example/a?x=1", "x"]
        {
            assert_eq!(files(&[("CI_PROJECT_URL", address), ("CI_COMMIT_SHA", COMMIT)], None), None, "{address}");
        }
        let wrong = [("CI_PROJECT_URL", "https://git.example/a"), ("CI_COMMIT_SHA", "main) <b>")];
        assert_eq!(files(&wrong, None), None);
    }
}
