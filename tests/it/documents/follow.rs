//! A test for each page with commands.

use super::blocks::{Page, pages};
use super::session::follow;

macro_rules! followed {
    ($($name:ident: $path:literal)*) => {
        const FOLLOWED: &[&str] = &[$($path),*];
        $(
            #[test]
            fn $name() {
                let ran = follow($path);
                assert!(ran > 0, "{} has no commands", $path);
            }
        )*
    };
}

followed! {
    readme: "README.md"
    install: "docs/install.md"
    quickstart: "docs/quickstart.md"
    definitions: "docs/concepts/definitions.md"
    calls: "docs/guides/calls.md"
    testing: "docs/guides/testing.md"
    workflows: "docs/guides/workflows.md"
    webhooks: "docs/guides/webhooks.md"
    schedules: "docs/guides/schedules.md"
    polling: "docs/guides/polling.md"
    git: "docs/guides/git.md"
    environments: "docs/guides/environments.md"
    pull_requests: "docs/guides/pull-requests.md"
    kubernetes: "docs/guides/kubernetes.md"
    migration: "docs/guides/migration.md"
    monitoring: "docs/operations/monitoring.md"
    backup: "docs/operations/backup.md"
    upgrade: "docs/operations/upgrade.md"
    keys: "docs/operations/keys.md"
}

#[test]
fn every_page_with_commands_is_followed() {
    let has_commands =
        |page: &Page| page.blocks.iter().any(|block| block.language == "console" && block.option("not-run").is_none());
    let pages: Vec<String> = pages().into_iter().filter(has_commands).map(|page| page.path).collect();
    let missing: Vec<&String> = pages.iter().filter(|path| !FOLLOWED.contains(&path.as_str())).collect();
    assert!(missing.is_empty(), "no test follows {missing:?}");
    assert_eq!(pages.len(), FOLLOWED.len());
}
