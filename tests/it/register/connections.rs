//! The effects of fields on which connection a call uses, and what it sends.

use serde_json::{Value, json};

use crate::support::{Dev, folder};

const DEFINITIONS: &str = "\
apiVersion: evenkeel.dev/v1alpha1
kind: Environment
metadata: { name: test }
spec: { variables: { v: environment }, secrets: { one: { env: ONE }, two: { env: TWO } } }
---
apiVersion: evenkeel.dev/v1alpha1
kind: Tenant
metadata: { name: acme }
spec: { displayName: Acme }
---
apiVersion: evenkeel.dev/v1alpha1
kind: Tenant
metadata: { name: bolt }
spec: { displayName: Bolt }
---
apiVersion: evenkeel.dev/v1alpha1
kind: Connector
metadata: { name: c }
spec:
  displayName: C
  baseUrl: https://c.example
  settings: { type: object, properties: { region: { type: string } } }
  auth: { default: key, methods: { key: { apiKey: { name: X-Key } }, bearer: { bearerToken: {} } } }
  actions:
    a:
      http: { path: \"/{{ connection.settings.region }}/{{ get_variable('v') }}\" }
      tests: [{ name: t, settings: { region: eu } }]
---
apiVersion: evenkeel.dev/v1alpha1
kind: Connection
metadata: { name: shared }
spec: { connector: c, settings: { region: eu }, variables: { v: shared }, credentials: { apiKey: { secretRef: one } } }
---
apiVersion: evenkeel.dev/v1alpha1
kind: Connection
metadata: { name: of-acme }
spec:
  connector: c
  method: bearer
  scope: Tenant
  tenant: acme
  settings: { region: us }
  credentials: { token: { secretRef: two } }
---
apiVersion: evenkeel.dev/v1alpha1
kind: Connection
metadata: { name: of-user }
spec:
  connector: c
  scope: User
  tenant: acme
  user: u1
  settings: { region: ap }
  credentials: { apiKey: { secretRef: one } }
---
apiVersion: evenkeel.dev/v1alpha1
kind: Connection
metadata: { name: inactive }
spec:
  connector: c
  scope: Tenant
  tenant: bolt
  active: false
  settings: { region: sa }
  credentials: { apiKey: { secretRef: one } }
";

#[test]
fn a_call_uses_the_connection_of_its_caller() {
    let folder = folder(&[("a.yaml", DEFINITIONS)]);
    let dev = Dev::start(folder.path(), &[]);
    let render = |headers: &[(&str, &str)]| -> (u16, Value) {
        let answer = dev.post("/v1/connectors/c/actions/a/render", headers, "{}");
        (answer.status, answer.json())
    };
    let sends = |headers: &[(&str, &str)], url: &str, header: &str, value: &str| {
        let (status, request) = render(headers);
        assert_eq!(status, 200, "{request:#}");
        assert_eq!((&request["url"], &request["headers"][header]), (&json!(url), &json!(value)), "{request:#}");
    };
    let (tenant, user, connection) = ("x-evenkeel-tenant", "x-evenkeel-user", "x-evenkeel-connection");
    sends(&[], "https://c.example/eu/shared", "x-key", "[secret one]");
    sends(&[(tenant, "acme")], "https://c.example/us/environment", "authorization", "Bearer [secret two]");
    sends(&[(tenant, "acme"), (connection, "shared")], "https://c.example/eu/shared", "x-key", "[secret one]");
    let user_of = |id: &str| json!({ "id": id }).to_string();
    sends(&[(tenant, "acme"), (user, &user_of("u1"))], "https://c.example/ap/environment", "x-key", "[secret one]");
    // A connection that is not active is not there.
    sends(&[(tenant, "bolt")], "https://c.example/eu/shared", "x-key", "[secret one]");
}
