//! The fields that the embedding product reads from the API.

use serde_json::json;

use crate::support::{Dev, folder};

#[test]
fn connectors_are_listed_with_what_people_see_of_them() {
    let text = "\
apiVersion: evenkeel.dev/v1alpha1
kind: Connector
metadata: { name: c }
spec:
  displayName: Orbit
  description: Contacts.
  documentationUrl: https://docs.orbit.example
  domain: orbit.example
  resourceType: Internal
  images: [{ url: \"https://cdn.example/a.svg\" }, { url: \"https://cdn.example/b.svg\", theme: Dark }]
  baseUrl: https://orbit.example
  localization: { de: { displayName: Umlauf, description: Kontakte., actions: { a: Holen } } }
  entities: { contact: { fields: { id: { type: string } } } }
  actions:
    a:
      title: Get
      description: Gets a contact.
      entity: contact
      operation: Read
      http: { path: \"/{{ pathParams.p }}\", pathParams: { p: { description: Its id. } } }
      tests: [{ name: t, pathParams: { p: x } }]
";
    let folder = folder(&[("a.yaml", text)]);
    let dev = Dev::start(folder.path(), &[]);
    let listed = dev.get("/v1/connectors").json();
    let connector = &listed["items"][0];
    for (field, value) in [
        ("displayName", json!("Orbit")),
        ("description", json!("Contacts.")),
        ("documentationUrl", json!("https://docs.orbit.example")),
        ("domain", json!("orbit.example")),
        ("resourceType", json!("Internal")),
        (
            "images",
            json!([
                {"url": "https://cdn.example/a.svg", "theme": "Default"},
                {"url": "https://cdn.example/b.svg", "theme": "Dark"}
            ]),
        ),
        (
            "localization",
            json!({"de": {"displayName": "Umlauf", "description": "Kontakte.", "actions": {"a": "Holen"}}}),
        ),
    ] {
        assert_eq!(connector[field], value, "{field}: {connector:#}");
    }
    let action = &connector["actions"][0];
    for (field, value) in [
        ("title", json!("Get")),
        ("description", json!("Gets a contact.")),
        ("entity", json!("contact")),
        ("operation", json!("Read")),
        ("pathParams", json!([{"name": "p", "description": "Its id.", "required": true}])),
    ] {
        assert_eq!(action[field], value, "{field}: {action:#}");
    }
}
