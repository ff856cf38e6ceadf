//! The rules that decide which changes are breaking.

use crate::definition::Kind::{
    self, Connection, Connector, Entity, Environment, Role, Tenant, Trigger, Widget, Workflow,
};

/// A field that users rely on, and the change of it that breaks them.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) kind: Kind,
    /// The location of the field (`plan::pattern`).
    pub(super) pattern: &'static str,
    /// The breaking change.
    pub(super) test: Test,
    /// The name of the field in a reason.
    pub(super) what: &'static str,
}

/// A change that breaks users of a field.
#[derive(Clone, Copy, Debug)]
pub(super) enum Test {
    /// A key of the map is removed.
    Keys,
    /// An item of the list of strings is removed.
    Items,
    /// An item of the list of strings is added.
    NewItems,
    /// An item of the list of maps that are identified by this key is removed.
    Named(&'static str),
    /// The value changes, is added or is removed.
    Changed,
    /// The value changes or is removed.
    ChangedFrom,
    /// The value is added.
    New,
    /// The value was `true` and becomes `false` or absent.
    NoLonger,
    /// The value moves to the right in this list.
    Order(&'static [&'static str]),
    /// The present key of these keys changes.
    Variant(&'static [&'static str]),
    /// An entry of the map becomes required.
    Required,
    /// An item of the list of named maps becomes required.
    RequiredNamed,
    /// An entry of the map without a default is added.
    NoDefault,
    /// The list, which allows everything if it is empty, allows less.
    Allowed,
    /// The JSON Schema of an input refuses values that it accepted.
    Input,
    /// The JSON Schema of an output allows values that it did not.
    Output,
}

impl Test {
    pub(super) fn is_schema(self) -> bool {
        matches!(self, Input | Output)
    }
}

const fn rule(kind: Kind, pattern: &'static str, test: Test, what: &'static str) -> Rule {
    Rule { kind, pattern, test, what }
}

use Test::{
    Allowed, Changed, ChangedFrom, Input, Items, Keys, Named, New, NewItems, NoDefault, NoLonger, Order, Output,
    Required, RequiredNamed, Variant,
};

/// A change from `true` to `false` is breaking.
const STAYS_ON: Test = Order(&["true", "false"]);
/// A change from `false` to `true` is breaking.
const STAYS_OFF: Test = Order(&["false", "true"]);
const METHODS: Test = Variant(&["none", "basic", "bearerToken", "apiKey", "oauth2", "jwt", "custom"]);

/// Fields that users rely on.
pub(super) static RULES: &[Rule] = &[
    rule(Connector, "spec/actions", Keys, "action"),
    rule(Connector, "spec/actions/*", Variant(&["http", "grpc", "sql", "function", "steps"]), "action"),
    rule(Connector, "spec/actions/*/input", Input, "the input of action"),
    rule(Connector, "spec/actions/*/output", Output, "the output of action"),
    rule(Connector, "spec/actions/*/auth", Allowed, "authentication method of action"),
    rule(Connector, "spec/actions/*/requiresUser", STAYS_OFF, "`requiresUser` of action"),
    rule(Connector, "spec/actions/*/http/pathParams", Keys, "path parameter of action"),
    rule(Connector, "spec/actions/*/http/pathParams", NoDefault, "path parameter of action"),
    rule(Connector, "spec/actions/*/http/headers/*/overridable", NoLonger, "`overridable` of a header of action"),
    rule(
        Connector,
        "spec/actions/*/http/query/*/overridable",
        NoLonger,
        "`overridable` of a query parameter of action",
    ),
    rule(Connector, "spec/entities", Keys, "entity"),
    rule(Connector, "spec/entities/*/key", Changed, "the key of entity"),
    rule(Connector, "spec/entities/*/canonical", ChangedFrom, "the canonical entity of"),
    rule(Connector, "spec/entities/*/fields", Keys, "field of entity"),
    rule(Connector, "spec/entities/*/fields/*/type", Changed, "the type of field"),
    rule(Connector, "spec/entities/*/fields/*/canonical", ChangedFrom, "the canonical field of"),
    rule(Connector, "spec/entities/*/fields/*/nullable", STAYS_OFF, "`nullable` of field"),
    rule(Connector, "spec/entities/*/fields/*/required", STAYS_ON, "`required` of field"),
    rule(Connector, "spec/entities/*/fields/*/enum", Items, "value of field"),
    rule(Connector, "spec/entities/*/fields/*/schema", Output, "the schema of field"),
    rule(Connector, "spec/events", Keys, "event"),
    rule(Connector, "spec/events/*", Variant(&["webhook", "poll"]), "event"),
    rule(Connector, "spec/events/*/payload", Output, "the payload of event"),
    rule(Connector, "spec/events/*/webhook/verify", Changed, "the verification of event"),
    rule(Connector, "spec/auth", New, "authentication"),
    rule(Connector, "spec/auth/methods", Keys, "authentication method"),
    rule(Connector, "spec/auth/methods/*", METHODS, "authentication method"),
    rule(Connector, "spec/auth/methods/*/custom/fields", Required, "field of authentication method"),
    rule(Connector, "spec/auth/methods/*/oauth2/grant", Changed, "the grant of authentication method"),
    rule(Connector, "spec/auth/methods/*/oauth2/scopes", NewItems, "scope of authentication method"),
    rule(Connector, "spec/auth/default", Changed, "the default authentication method"),
    rule(Connector, "spec/auth/allowSwitching", STAYS_ON, "`allowSwitching`"),
    rule(Connector, "spec/baseUrl", Changed, "`baseUrl`, where connections send their credentials,"),
    rule(Connector, "spec/settings", Input, "the settings of connections"),
    rule(Connector, "spec/scope", Order(&["Community", "Organization", "Workspace"]), "`scope`"),
    rule(Connector, "spec/visibility", Order(&["Public", "Private"]), "`visibility`"),
    rule(Connector, "spec/activation", STAYS_ON, "`activation`"),
    rule(Workflow, "spec/input", Input, "the input"),
    rule(Workflow, "spec/output", Output, "the output"),
    rule(Workflow, "spec/tier", Changed, "`tier`"),
    rule(Workflow, "spec/active", STAYS_ON, "`active`"),
    rule(Workflow, "spec/requiresTenant", STAYS_OFF, "`requiresTenant`"),
    rule(Trigger, "spec", Variant(&["webhook", "schedule", "appEvent"]), "trigger"),
    rule(Trigger, "spec/active", STAYS_ON, "`active`"),
    rule(Trigger, "spec/webhook/verify", Changed, "the verification of calls"),
    rule(Trigger, "spec/webhook/webhookId", Changed, "the address"),
    rule(Widget, "spec/forms", Keys, "form"),
    rule(Widget, "spec/forms/*/fields", Named("name"), "field of form"),
    rule(Widget, "spec/forms/*/fields", RequiredNamed, "field of form"),
    rule(Widget, "spec/actions", Named("name"), "action"),
    rule(Widget, "spec/connectors", Named("connector"), "connector"),
    rule(Widget, "spec/settings/disabled", STAYS_OFF, "`disabled`"),
    rule(Widget, "spec/settings/multiConnection", STAYS_ON, "`multiConnection`"),
    rule(Widget, "spec/settings/tenants/only", Allowed, "tenant"),
    rule(Widget, "spec/settings/tenants/except", NewItems, "excluded tenant"),
    rule(Environment, "spec/variables", Keys, "variable"),
    rule(Environment, "spec/secrets", Keys, "secret"),
    rule(Environment, "spec/egress/hosts", Allowed, "host"),
    rule(Environment, "spec/egress/privateNetworks", Items, "private network"),
    rule(Environment, "spec/suspend", STAYS_OFF, "`suspend`"),
    rule(Tenant, "spec/variables", Keys, "variable"),
    rule(Tenant, "spec/externalId", Changed, "`externalId`"),
    rule(Tenant, "spec/region", ChangedFrom, "`region`"),
    rule(Tenant, "spec/status", Order(&["Active", "Pending", "Suspended"]), "`status`"),
    rule(Connection, "spec/connector", Changed, "`connector`"),
    rule(Connection, "spec/method", Changed, "`method`"),
    rule(Connection, "spec/scope", Order(&["Organization", "Tenant", "User"]), "`scope`"),
    rule(Connection, "spec/tenant", ChangedFrom, "`tenant`"),
    rule(Connection, "spec/user", ChangedFrom, "`user`"),
    rule(Connection, "spec/credentials", Keys, "credential"),
    rule(Connection, "spec/variables", Keys, "variable"),
    rule(Connection, "spec/active", STAYS_ON, "`active`"),
    rule(Entity, "spec/extends", Changed, "`extends`"),
    rule(Entity, "spec/canonicalName", Changed, "`canonicalName`"),
    rule(Entity, "spec/fields", Keys, "field"),
    rule(Entity, "spec/fields", Required, "field"),
    rule(Entity, "spec/fields/*/type", Changed, "the type of field"),
    rule(Entity, "spec/fields/*/entity", ChangedFrom, "the entity of field"),
    rule(Entity, "spec/fields/*/enum", Items, "value of field"),
    rule(Role, "spec/permissions", Keys, "resource"),
    rule(Role, "spec/permissions/*", Items, "permission of resource"),
    rule(Role, "spec/extends", ChangedFrom, "`extends`"),
    rule(Role, "spec/environments", Allowed, "environment"),
];

/// Fields that only people, tests and tools that list definitions read.
pub(super) static TEXTS: &[(Option<Kind>, &str)] = &[
    (None, "metadata/labels"),
    (None, "spec/displayName"),
    (None, "spec/description"),
    (Some(Connector), "spec/images"),
    (Some(Connector), "spec/documentationUrl"),
    (Some(Connector), "spec/localization"),
    (Some(Connector), "spec/actions/*/title"),
    (Some(Connector), "spec/actions/*/description"),
    (Some(Connector), "spec/actions/*/deprecated"),
    (Some(Connector), "spec/actions/*/tests"),
    (Some(Connector), "spec/actions/*/http/pathParams/*/description"),
    (Some(Connector), "spec/auth/methods/*/displayName"),
    (Some(Connector), "spec/auth/methods/*/custom/fields/*/label"),
    (Some(Connector), "spec/auth/methods/*/custom/fields/*/description"),
    (Some(Connector), "spec/entities/*/title"),
    (Some(Connector), "spec/entities/*/description"),
    (Some(Connector), "spec/entities/*/fields/*/description"),
    (Some(Connector), "spec/events/*/title"),
    (Some(Connector), "spec/events/*/description"),
    (Some(Widget), "spec/images"),
    (Some(Widget), "spec/localization"),
    (Some(Widget), "spec/connectors/*/displayName"),
    (Some(Widget), "spec/connectors/*/description"),
    (Some(Widget), "spec/connectors/*/imageUrl"),
    (Some(Widget), "spec/actions/*/messages"),
    (Some(Widget), "spec/forms/*/title"),
    (Some(Widget), "spec/forms/*/description"),
    (Some(Widget), "spec/forms/*/fields/*/label"),
    (Some(Widget), "spec/forms/*/fields/*/description"),
    (Some(Widget), "spec/forms/*/fields/*/placeholder"),
    (Some(Widget), "spec/forms/*/fields/*/validation/message"),
    (Some(Widget), "spec/metrics/*/label"),
    (Some(Workflow), "spec/tests"),
    (Some(Workflow), "spec/steps/*/description"),
    (Some(Entity), "spec/fields/*/description"),
];
