//! Definitions that are valid and cannot work: secrets without a value, and triggers that no event can start.

use std::collections::BTreeSet;

use super::active::Active;
use crate::connector::{Mocking, is_mocked, missing_secrets, secrets_of_connection};
use crate::net::signature;
use crate::trigger::readiness::{Surroundings, obstacles};
use crate::trigger::{Trigger, TriggerKind};

/// Maximum number of uses of a secret that are named.
const MAX_NAMED: usize = 3;

/// A definition that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Problem {
    /// A secret without a value.
    Secret {
        /// Name of the secret.
        name: String,
        /// The cause.
        cause: String,
        /// The effects on the definitions that use it.
        effect: String,
    },
    /// A trigger that cannot work for another reason.
    Trigger {
        /// Name of the trigger.
        name: String,
        /// The cause.
        cause: String,
    },
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Problem::Secret { cause, effect, .. } => write!(f, "{cause}; {effect}"),
            Problem::Trigger { name, cause } => write!(f, "trigger `{name}`: {cause}"),
        }
    }
}

/// The problems of a generation, in order.
pub fn problems(active: &Active, surroundings: Surroundings<'_>) -> Vec<Problem> {
    let (runtime, work) = (&active.runtime, &active.work);
    let mut problems: Vec<Problem> = missing_secrets(runtime)
        .into_iter()
        .filter_map(|(name, cause)| {
            let effect = effect(active, &name, surroundings.mocking)?;
            Some(Problem::Secret { name, cause, effect })
        })
        .collect();
    for trigger in work.triggers.values() {
        let found = obstacles(trigger, runtime, &work.programs, surroundings);
        // A secret is reported once, with everything that needs it.
        let causes: Vec<String> =
            found.into_iter().filter(|obstacle| obstacle.secret.is_none()).map(|obstacle| obstacle.reason).collect();
        if !causes.is_empty() {
            problems.push(Problem::Trigger { name: trigger.name.clone(), cause: causes.join("; ") });
        }
    }
    problems
}

/// The effects of a secret without a value; `None` if only calls use it that tests of the definitions answer.
fn effect(active: &Active, secret: &str, mocking: Mocking) -> Option<String> {
    let mut effects = BTreeSet::new();
    for trigger in active.work.triggers.values().filter(|trigger| trigger.spec.active) {
        effects.extend(effect_on_trigger(trigger, secret));
    }
    let (real, mocked) = uses_by_connections(active, secret, mocking);
    effects.extend(real.into_iter().map(|name| format!("calls with connection `{name}` fail")));
    for program in active.work.programs.values().filter(|program| program.spec.active) {
        if program.spec.secrets.iter().any(|name| name == secret) {
            effects.insert(format!("workflow `{}` cannot read it", program.name));
        }
    }
    let more = effects.len().saturating_sub(MAX_NAMED);
    let mut named: Vec<String> = effects.into_iter().take(MAX_NAMED).collect();
    if named.is_empty() {
        return mocked.is_empty().then(|| "calls that need it fail".to_owned());
    }
    if more > 0 {
        named.push(format!("and {more} more"));
    }
    Some(named.join(", "))
}

fn effect_on_trigger(trigger: &Trigger, secret: &str) -> Option<String> {
    let (rule, noun) = match &trigger.kind {
        TriggerKind::Webhook(webhook) => (&webhook.spec.verify, "webhook"),
        TriggerKind::AppEvent(app) => (&app.event.webhook.as_ref()?.verify, "trigger"),
        TriggerKind::Schedule(_) => return None,
    };
    let is_needed = signature::secret_of(rule) == Some(secret);
    is_needed.then(|| format!("{noun} `{}` refuses all calls", trigger.name))
}

/// Active connections that use a secret: those with calls to applications, and those whose calls are mocked.
fn uses_by_connections<'a>(active: &'a Active, secret: &str, mocking: Mocking) -> (Vec<&'a String>, Vec<&'a String>) {
    let runtime = &active.runtime;
    let uses = runtime.connections.iter().filter(|(_, connection)| connection.active);
    let uses = uses.filter(|(_, connection)| secrets_of_connection(connection).contains(secret));
    let is_real = |(_, connector): &(&String, &str)| {
        !runtime.connectors.get(*connector).is_some_and(|connector| is_mocked(connector, mocking))
    };
    let (real, mocked): (Vec<_>, Vec<_>) =
        uses.map(|(name, connection)| (name, connection.connector.as_str())).partition(is_real);
    let names = |uses: Vec<(&'a String, &str)>| uses.into_iter().map(|(name, _)| name).collect();
    (names(real), names(mocked))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::validate::Validator;
    use crate::reconcile::watch::Source;

    /// The problems of definitions, as text.
    fn problems_of(definitions: &str, public_url: &str, mocking: Mocking) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.yaml"), definitions).unwrap();
        let source = Source { path: folder.path().to_owned(), environment: None, allow_loopback: true };
        let (validated, active, _) = source.load(&mut Validator::new()).unwrap();
        let active = active.unwrap_or_else(|| panic!("{:?}", validated.findings));
        problems(&active, Surroundings { public_url: Some(public_url), mocking, now: 0 })
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    const HEAD: &str = "apiVersion: evenkeel.dev/v1alpha1\n";

    fn document(kind: &str, name: &str, spec: &str) -> String {
        format!("---\n{HEAD}kind: {kind}\nmetadata: {{ name: {name} }}\nspec:\n{spec}")
    }

    fn environment(secrets: &str) -> String {
        document("Environment", "draft", &format!("  secrets: {{ {secrets} }}\n"))
    }

    fn workflow(name: &str, more: &str) -> String {
        document(
            "Workflow",
            name,
            &format!("  tier: Standard\n{more}  source: {{ inline: \"export default async () => 1\" }}\n"),
        )
    }

    fn webhook(name: &str, verify: &str, workflow: &str) -> String {
        let spec = format!("  webhook: {{ verify: {verify}, routes: [{{ workflow: {workflow} }}] }}\n");
        document("Trigger", name, &spec)
    }

    const UNSET: &str = "UNSET_VARIABLE_OF_A_TEST";

    #[test]
    fn a_secret_without_a_value_is_reported_once_with_its_effects() {
        let variable = UNSET;
        let definitions = environment(&format!("key: {{ env: {variable} }}, path: {{ env: PATH }}"))
            + &workflow("flow", "  secrets: [key]\n")
            + &webhook("one", "{ apiKey: { secretRef: key } }", "flow")
            + &webhook("two", "{ apiKey: { secretRef: key } }", "flow")
            + &webhook("three", "{ apiKey: { secretRef: path } }", "flow");
        let expected = format!(
            "secret `key`: the environment variable {variable} is not set; webhook `one` refuses all calls, webhook `two` \
             refuses all calls, workflow `flow` cannot read it"
        );
        assert_eq!(problems_of(&definitions, "http://127.0.0.1:7400", Mocking::None), [expected]);
    }

    #[test]
    fn a_trigger_that_nothing_can_start_is_reported() {
        let past = document(
            "Trigger",
            "past",
            "  schedule: { cron: \"0 3 * * *\", endsAt: \"1969-01-01T00:00:00Z\", routes: [{ workflow: flow }] }\n",
        );
        let rows = [
            (webhook("hook", "{ none: {} }", "flow"), Vec::new()),
            (
                webhook("hook", "{ none: {} }", "idle"),
                vec!["trigger `hook`: no workflow that it starts is active: `idle`".to_owned()],
            ),
            (past, vec!["trigger `past`: the schedule has no further time".to_owned()]),
        ];
        for (trigger, expected) in rows {
            let definitions =
                environment("") + &workflow("flow", "") + &workflow("idle", "  active: false\n") + &trigger;
            assert_eq!(problems_of(&definitions, "http://127.0.0.1:7400", Mocking::None), expected, "{trigger}");
        }
    }

    #[test]
    fn a_subscription_needs_an_address_that_the_application_reaches() {
        let connector = |host: &str| {
            let spec = format!(
                "  displayName: Shop\n  baseUrl: https://{host}/v1\n  actions: {{}}\n  events:\n    order:\n      webhook:\n        \
                 verify: {{ none: {{}} }}\n        subscribe:\n          http: {{ method: POST, path: /hooks, body: {{ url: \"{{{{ subscription.url }}}}\" }} }}\n"
            );
            document("Connector", "shop", &spec)
        };
        let trigger = document(
            "Trigger",
            "orders",
            "  appEvent: { connector: shop, event: order, routes: [{ workflow: flow }] }\n",
        );
        let local = "http://127.0.0.1:7400";
        let refused =
            format!("trigger `orders`: the application cannot reach {local}; start the server with `--public-url URL`");
        for (host, url, expected) in [
            ("api.shop.com", local, vec![refused]),
            ("api.shop.com", "https://hooks.acme.com", Vec::new()),
            ("api.shop.example", local, Vec::new()),
        ] {
            let definitions = environment("") + &connector(host) + &workflow("flow", "") + &trigger;
            assert_eq!(problems_of(&definitions, url, Mocking::None), expected, "{host} {url}");
        }
    }

    #[test]
    fn a_secret_of_a_mocked_connector_is_no_problem() {
        let connector = "  displayName: CRM\n  baseUrl: https://crm.example\n  auth: { methods: { key: { apiKey: { in: Header, name: \
                         X-Key } } } }\n  actions: { get: { http: { path: /get } } }\n";
        let definitions = environment(&format!("key: {{ env: {UNSET} }}"))
            + &document("Connector", "crm", connector)
            + &document("Connection", "own", "  connector: crm\n  credentials: { apiKey: { secretRef: key } }\n");
        let expected =
            format!("secret `key`: the environment variable {UNSET} is not set; calls with connection `own` fail");
        let url = "http://127.0.0.1:7400";
        assert_eq!(problems_of(&definitions, url, Mocking::None), [expected]);
        assert_eq!(problems_of(&definitions, url, Mocking::Examples), Vec::<String>::new());
    }
}
