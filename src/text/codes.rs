//! All codes of findings, with the texts of `evenkeel explain`.
//!
//! A code is never reused with another meaning. A retired code stays in the table and is marked as retired.

mod examples;

use super::severity::Severity;

pub use examples::CodeExample;

/// A kind of finding.
#[derive(Debug)]
pub struct Code {
    /// `EK` and four digits; the first two name the family.
    pub id: &'static str,
    /// Default severity; a finding may override it.
    pub severity: Severity,
    /// A short title.
    pub title: &'static str,
    /// Reason and remedy, for `evenkeel explain`. Markdown.
    pub explanation: &'static str,
}

impl Code {
    /// An example of wrong and right; the frequent codes have one.
    pub fn example(&self) -> Option<&'static CodeExample> {
        examples::EXAMPLES.iter().find(|example| example.code == self.id)
    }

    /// The family of the code in words, such as `templates`.
    pub fn family(&self) -> &'static str {
        match &self.id[..4] {
            "EK00" => "files and bytes",
            "EK01" => "the shape of a document",
            "EK02" => "identity and references",
            "EK03" => "templates",
            "EK04" => "connectors",
            "EK05" => "widgets",
            "EK06" => "triggers and workflows",
            "EK07" => "JSON Schema and tests",
            _ => "secrets and environments",
        }
    }
}

impl PartialEq for Code {
    fn eq(&self, other: &Code) -> bool {
        self.id == other.id
    }
}

/// Finds a code by its id, such as `EK0101`; letter case is ignored.
pub fn find(id: &str) -> Option<&'static Code> {
    ALL.iter().copied().find(|code| code.id.eq_ignore_ascii_case(id))
}

macro_rules! codes {
    ($($id:ident $name:ident $severity:ident $title:literal $explanation:literal)*) => {
        $(
            #[doc = $title]
            pub static $name: Code =
                Code { id: stringify!($id), severity: Severity::$severity, title: $title, explanation: $explanation };
        )*
        /// Every code, in the order of this file.
        pub static ALL: &[&Code] = &[$(&$name),*];
    };
}

codes! {
    // EK00: files and bytes
    EK0001 UNREADABLE Error "a file cannot be read"
        "The file could not be opened or read to its end. Check its permissions and that it still exists."
    EK0002 ENCODING Error "a file is not UTF-8 text"
        "Definitions are UTF-8. A byte order mark is accepted and ignored, UTF-16 with a byte order mark is converted; anything else is refused, as a guess would change what you wrote. Save the file as UTF-8."
    EK0003 LIMIT Error "a limit was passed"
        "Files, documents, nesting, values and strings are limited so that one file cannot exhaust the machine that reads it: 4 MiB a file, 64 levels, 250,000 values with aliases expanded. Split the file, or generate less into one document."
    EK0004 SYNTAX Error "a file is not valid YAML or JSON"
        "The text could not be understood. Frequent causes: a tab used for indentation, a missing space after `:`, a value that starts with `{`, `[`, `*`, `&`, `!`, `%` or `@` and needs quotes, and text that contains `: ` without quotes. Templates must be quoted: `url: \"{{ input.url }}\"`."
    EK0005 DUPLICATE_KEY Error "a key occurs twice in one map"
        "YAML and JSON readers disagree on which of two equal keys wins, so this is refused. Remove one."
    EK0006 AMBIGUOUS_NUMBER Error "a number that readers disagree on"
        "`0123` is 123 to one YAML reader, 83 (octal) to another, and text to a third. Quote it if it is text (`\"0123\"`); drop the zero if it is a number."
    EK0007 UNKNOWN_TAG Error "a YAML tag that is not supported"
        "Tags such as `!!python/object` or `!Ref` ask a reader to build something other than plain data. Evenkeel reads plain data only. Remove the tag."
    EK0008 NOT_FINITE Error "a number that JSON cannot represent"
        "`.inf`, `.nan` and numbers beyond a 64-bit float cannot be sent as JSON. Quote the value if it is text."
    EK0009 SYMLINK Error "a symbolic link that leads out of the folder, or to nothing"
        "Links are followed inside the folder that is read, as in a mounted ConfigMap. What lies outside of it differs between machines and is not in the commit, so a link that leads there, to nothing or in a circle is an error. Copy the file, or remove the link. A link to a file or folder that is read at its own path is passed over, so that no definition is read twice."
    EK0010 LFS_POINTER Error "a Git LFS pointer instead of the file"
        "The file contains only a reference to large-file storage. Definitions are small: store them in Git itself (`git lfs untrack`)."
    EK0011 EMPTY Warning "no definitions here"
        "The folder or file contains no document with `apiVersion: evenkeel.dev/…`. Check the path. A file without definitions beside others is a warning; a folder without any is an error."
    EK0012 MERGE_KEY Error "a merge key that cannot be merged"
        "`<<` takes an alias to a map, or a list of such aliases. Anything else has no meaning."
    EK0013 OUTSIDE Error "a path leaves the folder"
        "A file named by a definition must lie inside the folder that is read: no absolute path, no `..` and no symbolic link that leads out. Otherwise the definition would mean something else on another machine."
    EK0014 KEY_TYPE Error "a key that is not a string"
        "Keys are strings. A list or map as a key cannot be written as JSON. Quote numbers, booleans and nulls used as keys."

    EK0015 REGISTRY_FILE Warning "a registry file that is not read"
        "`connectors_registry.json` and `extensions_registry.json` are another way to write connectors and widgets. This version does not read them; nothing in them is checked or run."

    EK0016 IGNORE_PATTERN Error "a pattern of ignored files that cannot be used"
        "`.evenkeelignore` and `exclude` of a source hold patterns as in `.gitignore`, one a line: `schemas/`, `*.tmp.yaml`, `/docker-compose.yaml`, `!keep.yaml`. A pattern that cannot be read might have excluded definitions or not, so it is an error and nothing is removed because of it. At most 64 KiB and 1,000 patterns are read. The file belongs into the folder that is read."

    EK0017 SUBMODULE Warning "a submodule is not read"
        "A commit holds only the id of a submodule and not its files, so its definitions are read neither from a commit nor from the checkout: what runs would depend on which submodules a machine has fetched. The same holds for other repositories inside a checkout. Declare the submodule's repository as a further source of the environment (`sources`), copy its definitions, or list the folder in `.evenkeelignore` if it has none."

    // EK01: the shape of a document
    EK0101 UNKNOWN_FIELD Error "a field that does not exist"
        "Fields that are not known are refused: a misspelt field would otherwise be ignored in silence. `evenkeel explain KIND` and `evenkeel explain KIND.FIELD` list the fields; an editor with the YAML language server completes them."
    EK0102 MISSING_FIELD Error "a required field is missing"
        "The document cannot mean anything without this field. Add it; `evenkeel explain KIND.FIELD` describes it with an example."
    EK0103 WRONG_TYPE Error "a value of the wrong type"
        "The field takes another type of value, so this one cannot be used. A frequent cause is a missing pair of quotes, or a list written where one value is taken. `evenkeel explain KIND.FIELD` states the type."
    EK0104 NOT_ALLOWED Error "a value that is not one of those allowed"
        "The field takes one of a fixed list of words, and any other would have no meaning. They are UpperCamelCase and case-sensitive; `evenkeel explain KIND.FIELD` lists them."
    EK0105 OUT_OF_RANGE Error "a value outside its range"
        "The value is too small, too large, too short or too long. The limits keep one definition from using up what all share. `evenkeel explain KIND.FIELD` states the range."
    EK0106 EXACTLY_ONE Error "exactly one of several fields"
        "These fields exclude each other and one of them is needed, such as `http`, `grpc`, `sql`, `function` and `steps` of an action."
    EK0107 AT_MOST_ONE Error "at most one of several fields"
        "These fields exclude each other, so the document would have two meanings. Keep one."
    EK0108 API_VERSION Error "an apiVersion that this version does not know"
        "This version of Evenkeel reads `evenkeel.dev/v1alpha1`. A document with a newer version is held, not deleted; update Evenkeel, or write the version it knows."
    EK0109 UNKNOWN_KIND Error "a kind that does not exist"
        "The kinds are Connector, Widget, Trigger, Workflow, Environment, Tenant, Connection, Entity, Role and Alert."
    EK0110 BAD_NAME Error "a name that is not a DNS label"
        "Names of definitions are identities: 1 to 63 characters, lower-case letters, digits and `-`, starting and ending with a letter or digit (RFC 1123). Show people another text with `displayName` or `title`."
    EK0111 NOT_A_DEFINITION Error "a document that is not a definition"
        "A definition is a map with `apiVersion`, `kind`, `metadata` and `spec`. A document that is clearly of another tool is passed over: it has an `apiVersion` of another group, or none and nothing else that looks like a definition, in a file that holds no definition. So a `docker-compose.yaml`, a workflow of GitHub, a chart or a JSON Schema may be stored beside definitions.\n\nA document is an error, and never taken for removed, if it looks like a definition that lost its head: `kind: Connector` without `apiVersion`; `metadata` with a name and `spec`; a misspelt key such as `apiversion`; nothing but fields of a definition; no `apiVersion` in a file with definitions. A misspelt `apiVersion` is EK0108. A file that cannot be read as YAML or JSON is an error if it mentions `evenkeel.dev`, an `apiVersion` close to it, or one of the kinds without an `apiVersion`.\n\nIn an environment, a file that held a live definition and now holds such a document of another tool, or nothing at all, is an error too. Restore the definition, or remove the file to remove it. List files that shall not be read in `.evenkeelignore`."
    EK0112 BAD_FORMAT Error "a value in the wrong format"
        "The field takes text of a certain form: a duration (`15s`, `5m`, `2h30m`, `7d`), a date and time (RFC 3339), a URL, an e-mail address, a time of day, a pattern."
    EK0113 BAD_URL Error "not a usable URL"
        "Upstream and image URLs are absolute `https://` URLs without user name or password. Credentials go into `auth`."
    EK0114 BAD_HEADER Error "not a usable header"
        "Header names are tokens (RFC 9110): letters, digits and `-` mostly. Headers that belong to the connection itself (`Host`, `Content-Length`, `Connection`, `Transfer-Encoding` …) cannot be set."
    EK0115 PLANNED Warning "accepted, not in effect yet"
        "The field or kind belongs to the language, so a definition may use it, and this version does not act on it. The finding names what happens instead and what to do until then. Each use is reported by `validate`, in the plan, when the definition goes live, and in its status; the reference lists these fields on the page \"Accepted, not in effect yet\". It is a warning: the definition goes live."
    EK0116 IMAGE_THEME Error "two images for one theme"
        "An image is chosen by its theme, so only one of them could ever be shown, and which one would depend on their order. An image without `theme` is the one for `Default`. Keep one image for each theme."
    EK0117 REFUSED_ADDRESS Warning "an address that calls do not reach"
        "Calls reach public addresses, and hosts that the environment names, so that no definition can read what only this machine or its network sees (such as the metadata service of a cloud). The address in the URL is another one: each call fails with `REFUSED_ADDRESS`. Use the public address, or open the network in `egress.privateNetworks` of the Environment; `--allow-loopback` opens this machine for development."

    // EK02: identity and references
    EK0201 DUPLICATE_DEFINITION Error "two definitions with the same kind and name"
        "Kind and name are a definition's identity. With two of them neither goes live, as which one wins would depend on the order of files. Rename or remove one."
    EK0202 UNKNOWN_REFERENCE Error "a reference to something that does not exist"
        "The name refers to a definition, action, event, form, field or step that is not in this catalog, so a call at run time would fail. Correct the name, or add what it refers to."
    EK0203 UNKNOWN_SECRET Error "a secret that no environment provides"
        "Secrets are named in an Environment's `secrets` with where they come from. Values are never written in definitions."
    EK0204 UNKNOWN_VARIABLE Error "a variable that no environment sets"
        "Variables are set in `variables` of an Environment, Tenant or Connection. Give the template a default (`get_variable('region') | default('eu', true)`), or set the variable."
    EK0205 PARTLY_PROVIDED Warning "a secret or variable that some environments lack"
        "The definition will work in some environments and fail in others. Provide it in all of them, or give a default."
    EK0206 CYCLE Error "definitions that need each other in a circle"
        "Nothing in the circle could ever start. Break it at the reference that means least."
    EK0207 UNKNOWN_FILE Error "a file that does not exist"
        "The file would be missing at run time. The path is relative to the definition's own file: correct it, or commit the file."
    EK0208 WRONG_KIND Error "a reference that fits the name but not the use"
        "Something of that name exists and cannot be used here, such as a connection of another connector. Name one that fits."
    EK0209 UNUSED Warning "something declared that nothing uses"
        "Nothing refers to it, so it has no effect and misleads its readers. Remove it, or use it."
    EK0210 OVERLAY_FOLDER Error "an overlay folder that holds definitions and no patches"
        "Documents below a folder named `overlays` are patches, and documents anywhere else are definitions, whichever Environment names their folder. So these documents would be definitions of their own in every environment. Move the folder into one named `overlays`, and correct the path in the Environment."

    EK0215 CALL_INPUT Error "an input that the called action or workflow refuses"
        "The caller omits a field that the input schema of its callee requires, passes one that the schema excludes (`additionalProperties: false`), or a value of a wrong type or outside of an `enum`. Every such call fails with `INVALID_INPUT`. Callers are steps, routes, schedules, buttons and forms of widgets, polls, tests and code. Correct the caller; or widen the schema: declare the field, give it a `default`, or do not require it. Values that are known only at run time are not reported."
    EK0216 CALL_FIELD Warning "an input that the called action or workflow does not declare"
        "The schema of the callee does not exclude the field, but its name resembles a declared one, so it is probably misspelt and without effect. Or the call fails only sometimes: with a form field that is refused whenever it is filled in, or an object in code whose type lacks a required field. Correct the name, or declare the field in the schema."
    EK0217 UNKNOWN_OUTPUT Error "a field that an output does not have"
        "The output schema of the action or workflow has no such field, so a template that reads it fails, and code reads `undefined`. It is an error if the schema excludes other fields and nothing handles the absence, else a warning for names that resemble a declared one. Correct the name, or declare the field in the output schema."
    EK0218 MOCK_OUTPUT Error "a simulated output that its action never gives"
        "A test of a workflow answers a call with a value that the output schema of the action excludes. A real call fails with `INVALID_OUTPUT` instead, so the test shows a workflow that does not exist. Correct the simulated output, or the schema."

    // EK03: templates
    EK0301 TEMPLATE_SYNTAX Error "a template that is not valid Jinja"
        "Templates are Jinja: `{{ expression }}`, `{% if … %} … {% endif %}`. Literal braces are written `{{ '{{' }}` or put into `{% raw %}`."
    EK0302 TEMPLATE_NAME Error "a name that a template cannot know"
        "A name that does not exist would fail every render. Templates see `input`, `pathParams`, `request`, `user`, `tenant`, `connection`, `steps`, and after the call `response`; the field decides which of them. `evenkeel explain templates` lists all names."
    EK0303 TEMPLATE_FUNCTION Error "a filter, test or function that does not exist"
        "The template could not be rendered. Templates have Jinja's built-in filters and tests, `from_json`, `json_encode`, `tojson`, `base64_encode`, `base64_decode`, and the functions `get_secret`, `get_variable`, `jwt_encode`, `now`, `range`, `dict` and `namespace`. `evenkeel explain templates` lists all of them, and `evenkeel explain NAME` shows one with an example."
    EK0304 TEMPLATE_NOT_HERE Error "a name that this field may not use"
        "What a template may use depends on its location: `response` exists only after the call, bodies of the request only before it. Move the value to a field that may use the name; `evenkeel explain NAME` lists those fields."
    EK0305 SECRET_NOT_ALLOWED Error "a secret that is not allowed here"
        "Secrets may be used in headers, query parameters and auth only. A URL ends up in logs, a body in recordings, a response in the caller's hands. Move the secret into a header, or into the `auth` of the connector."
    EK0306 HOST_NOT_VARIABLE Error "a host built from something other than a variable"
        "If a caller could choose the host, credentials could be sent anywhere. The host is literal text and `get_variable('name')`, with an optional `default('literal')`. Tenants and connections can set variables of their own."
    EK0307 TEMPLATE_FORBIDDEN Error "a Jinja feature that is turned off"
        "Templates cannot include, import or extend others: each is read, checked and limited by itself."
    EK0308 TEMPLATE_TOO_LARGE Error "a template that is too large"
        "A template has at most 64 KiB. Build large bodies from a tree whose leaves are templates."
    EK0309 TEMPLATE_ARGUMENTS Error "wrong arguments in a template"
        "The function takes other arguments. Names of secrets and variables must be literal strings so that they can be checked before anything runs."
    EK0310 TEMPLATE_INPUT Warning "a template reads something that its schema does not have"
        "The schema next to the template has no such field, so the value would always be missing. Correct the name, or add the field to the schema."
    EK0311 TEMPLATE_IN_LITERAL Warning "a template that is never rendered"
        "The field is taken as it is; `{{` would be sent as text. Remove the braces, or move the value to a field that is a template."
    EK0312 TEMPLATE_BRACES Error "single braces that are not a template"
        "Expressions stand in double braces: `/shipments/{{ pathParams.id }}`, not `/shipments/{id}` as in OpenAPI, `${id}` as in a shell or JavaScript, or `{ input.id }`. Single braces are text: a URL would be sent with `%7Bid%7D`. In a body, a header or a step they may be meant, so they are a warning there, and only if the name is one that a template could read. Literal braces stand in `{% raw %}{id}{% endraw %}`."
    EK0313 TEMPLATE_OPTIONAL Warning "an input that may be absent"
        "The input schema declares the field and does not require it, and the template fails if the caller omits it. Handle its absence in the template (`{{ input.note | default('') }}`, `{{ input.note | default(none) }}` with `omitEmpty`, `{% if input.note is defined %}`), give the schema a `default`, which is applied before templates run, or add the field to `required`."

    // EK04: connectors
    EK0401 ENTITY_FIELD Error "a canonical field that does not exist"
        "The entity maps to a canonical entity that has no such field. `evenkeel explain canonical` lists the canonical entities and their fields; an Entity adds fields of your own."
    EK0402 CANONICAL_MISSING Warning "a required canonical field is not mapped"
        "The canonical entity requires the field; records of this connector would be incomplete for every workflow written against it."
    EK0403 CAPABILITY Error "capabilities and actions disagree"
        "A declared capability needs an action or event that provides it, and capabilities that are declared must name everything that there is. Leave `capabilities` out and they are derived."
    EK0404 PATH_PARAMETER Error "path parameters do not fit the path"
        "Each `{{ pathParams.x }}` needs an entry in `pathParams`, and each entry must be used. Otherwise callers would have to send a value that has no effect, or could not send one that is needed."
    EK0405 BODY_NOT_SENT Error "a body on a method that sends none"
        "GET and HEAD requests carry no body; its meaning is undefined (RFC 9110, 9.3.1). Use query parameters, or another method."
    EK0406 OVERRIDABLE_IDENTITY Error "identity that a caller could override"
        "A header or query parameter that contains the user, the tenant or a secret must not be `overridable`: the caller could claim to be someone else."
    EK0407 AUTH_DEFAULT Error "the default authentication method does not exist"
        "New connections could not be authenticated. `auth.default` names one of `auth.methods`: correct the name, or add the method."
    EK0408 AUTH_SETTING Error "authentication settings that do not fit"
        "The fields given do not fit the method or grant, and would be ignored or missing. `evenkeel explain Connector.spec.auth.methods` lists the fields of each method."
    EK0409 STEP_ORDER Error "a step uses another that has not run"
        "Steps run in order; a step sees the results of those before it, and the value of a later one does not exist yet. Move the step, or correct the name."
    EK0410 ABSOLUTE_PATH Error "an action's URL is not complete"
        "An action needs either `url`, or the connector's `baseUrl` and `path`; with one half only there is no address to call."

    EK0411 SQL_PARAMS Error "placeholders and params that do not fit"
        "Each of `$1`, `$2` … in a query stands for one of `params`, in order and without gaps. The database would refuse the query."
    EK0412 CONNECTION_QUOTA Error "more connections than the quota of the tenant"
        "`quotas.connections` of the tenant, or of the environment if the tenant sets none, allows fewer connections than are declared for the tenant. Remove a connection, or raise the quota."

    // EK05: widgets
    EK0501 PRIMARY Error "not exactly one primary connector"
        "With several connectors exactly one is `primary`: it decides the first prompt."
    EK0502 UNREACHABLE Warning "an action that no user can ever see"
        "Its visibility requires a state that the widget's other actions cannot reach, such as configured without any Configuration action."
    EK0503 CONFIGURATION_FORM Error "a Configuration action without a form"
        "A Configuration action opens a form. Name one of the widget's `forms`."
    EK0504 FORM_FIELD Error "a form field that does not fit"
        "The field's type and its settings do not go together, or a condition refers to a field that is not there. The user could not fill in the form. `evenkeel explain Widget.spec.forms.fields` describes the settings of each type."
    EK0505 DEAD_END Warning "a state that the user cannot leave"
        "An Activation without a Deactivation, or the other way round, leaves the user stuck. Add the missing button."
    EK0506 WIDGET_ACTION Error "a widget action that does nothing"
        "Except for Configuration, an action runs a workflow. Name it in `workflow`."
    EK0507 PROBE_INPUT Error "a health probe of an action that needs input"
        "A probe calls its action without input and without path parameters, so every probe would fail. Probe an action that requires none, or give the required inputs a default."

    // EK06: triggers and workflows
    EK0601 CRON Error "not a cron expression"
        "The schedule could never be computed. A cron expression has five fields: minute, hour, day of month, month, day of week; for example `0 6 * * 1-5`."
    EK0602 TIMEZONE Error "not a time zone"
        "Abbreviations such as `CET` or `EST` are ambiguous or ignore clock changes. Time zones are IANA names such as `Europe/Berlin` or `UTC`."
    EK0603 TIMEOUT_RANGE Error "a timeout outside its tier's range"
        "The tier decides who waits and how an execution is recorded: Instant workflows run 1s to 2m, Standard 5s to 15m, Long 30s to 6h. Choose another timeout or another tier."
    EK0604 TIER Warning "a setting that does not suit its tier"
        "It works, and is likely not what you want: the tier decides who waits for an execution, and what survives a restart. The finding names the setting; change it, or the tier."
    EK0605 RETRY Error "a retry policy that contradicts itself"
        "The first interval must not be longer than the longest, as the delays only grow. Lower `initialInterval`, or raise `maxInterval`."
    EK0606 FILTER Error "a filter that cannot be used"
        "A condition is a value (equal) or a map of operators: eq, neq, gt, gte, lt, lte, in, notIn, contains, startsWith, endsWith, exists. Any other form would match nothing, or everything."
    EK0607 SCHEDULE Error "a schedule that never fires or fires too often"
        "Its start, end and times leave no run, or it would run more often than once a second. Check the dates and the interval."
    EK0608 INACTIVE Warning "a route to a workflow that is not active"
        "Events will be recorded and not run. Set `active: true` at the workflow, or remove the route."
    EK0609 OPEN_WEBHOOK Warning "a webhook that anyone can call"
        "Everyone who learns the address can start workflows with any data. Sign calls, ask for a key, or give the webhook a secret `webhookId`."
    EK0610 SCRIPT_SYNTAX Error "code that cannot be read"
        "The code is not valid JavaScript or TypeScript. Types are blanked, so that lines and columns stay; TypeScript that is more than types (`enum`, `namespace`, parameter properties, `import x = …`) has nothing that could run in its place: write it as JavaScript, such as `const Colour = { Red: 'red' } as const`."
    EK0611 SCRIPT_EXPORT Error "code without `export default`"
        "A workflow runs the function that its code exports: `export default async function (ctx) { … }`. What it returns is the workflow's output."
    EK0612 SCRIPT_IMPORT Error "an import in code"
        "A script is one file without modules: no packages are installed, and the same code must mean the same everywhere. `import type` is fine, as types are blanked. Bundle what you need into the file, or call another workflow (`ctx.workflows`) or an action (`ctx.connectors`)."
    EK0613 SCRIPT_ACTION Error "a call of an action that the workflow does not declare"
        "`connectors.NAME.actions` of the workflow lists the actions that its code may call, so that reviewers see them. Add the action to the list, or leave the list out to allow all."

    EK0614 EVENT_CHANGE Error "a change that no event can have"
        "The change of an event is `Created`, `Updated` or `Deleted`. An event with any other change, or an event of which nothing tells the change although `changes` lists several, becomes a dead letter; a change that `changes` does not list is not delivered. Write `change` of the webhook as one of these words, or as a template that renders to one of them."
    EK0615 ENTITY_VALUE Error "a field that its values cannot pass"
        "The fields of records are transformed wherever a connector produces them: `transforms` first, then `valuesMap`, then `coerce`. A value that one of them cannot take makes the call fail, or the event a dead letter. `upper`, `lower` and `trim` take text; `round`, `multiply` and `add` take numbers, also in texts; `valuesMap` needs an entry for each value that the application sends, and may map to the values of the canonical field only."

    // EK07: JSON Schema and tests
    EK0701 SCHEMA Error "not a valid JSON Schema"
        "Schemas follow JSON Schema 2020-12. A frequent mistake is `required: true` inside a property: `required` is a list next to `properties`. A `default` must fit the schema beside it: it takes the place of a missing value before the value is checked."
    EK0702 SCHEMA_REF Error "a $ref that leaves the document"
        "References resolve within the schema (`#/$defs/x`), or to an entity of the connector (`#/entities/x`). Nothing is ever fetched."
    EK0703 SCHEMA_PATTERN Error "a pattern that cannot be matched in linear time"
        "Patterns run on input from outside. Look-around and back references, which can take exponential time, are not supported."
    EK0704 TEST_INPUT Error "a test's input does not fit the input schema"
        "The action would refuse this input before anything is sent, so the test could never pass. Correct the input, or expect `INVALID_INPUT`."
    EK0705 TEST_OUTPUT Error "a test's expected output does not fit the output schema"
        "The action would fail with this output, so the test could never pass. Correct the expected output, or the schema."
    EK0706 DUPLICATE_TEST Error "two tests with the same name"
        "Reports name tests by their name, so two would be one. Rename one."
    EK0707 UNTESTED Warning "an action without a test"
        "Its templates have never been tried. Add one under `tests`; `evenkeel test` runs it without a network."
    EK0708 SCHEMA_UNKNOWN_KEYWORD Warning "a keyword that JSON Schema does not have"
        "Keywords that are not known are ignored by every validator, so a misspelt one checks nothing. Keywords of your own start with `x-`."

    // EK08: secrets and environments
    EK0801 LITERAL_CREDENTIAL Error "a literal that looks like a credential"
        "A committed value is known to everyone who can read the repository, for ever. Name a secret instead (`secretRef`, `get_secret('name')`) and change the credential that was exposed."
    EK0802 SECRET_SOURCE Error "a secret without exactly one source"
        "A secret comes from one provider: env, file, kubernetes, age, sops or vault. With none there is no value, with two it would depend on their order. Keep one."
    EK0803 NAME_CLASH Error "a secret and a variable of the same name"
        "Both share one namespace, so that a variable can never be taken for a secret. Rename one of them."
    EK0804 PROMOTION Error "environments that promote in a circle"
        "`promoteFrom` must lead from one environment to another without coming back: otherwise no environment is the first. Remove one of the references."
    EK0805 OVERLAYS Warning "overlays that are not applied (retired)"
        "This code is no longer reported: overlays are applied."
    EK0806 OVERLAY_TARGET Error "an overlay patches a definition that does not exist"
        "A document below a folder named `overlays` changes the definition of the same kind and name outside of such a folder. No such definition exists: correct the name, or move the document out of the folder so that it is a definition of its own."
}
