//! A validator with cached results gives the same result as a new one, for every history of edits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use evenkeel::catalog::{Catalog, EnvironmentSelection, File, Input, PinnedDefinition, RawDocument, Snapshot, assets};
use evenkeel::definition::{Id, Kind};
use evenkeel::reconcile::validate::{Validated, Validator};
use evenkeel::text::render::{OutputFormat, Report, render};
use evenkeel::text::{Format, codes};
use proptest::prelude::*;

/// Possible paths of definitions, overlays of two environments, and code.
const PATHS: [&str; 14] = [
    "a.yaml",
    "b.yaml",
    "c/d.yaml",
    "c/e.json",
    "env/draft.yaml",
    "env/live.yaml",
    "env/overlays/live/1.yaml",
    "env/overlays/live/2.yaml",
    "env/overlays/draft/1.yaml",
    "env/more/x.yaml",
    "sync.ts",
    "c/sync.ts",
    "env/overlays/live/sync.ts",
    "z.yaml",
];

const HEAD: &str = "apiVersion: evenkeel.dev/v1alpha1";

/// A document with one of a few kinds, names and contents, some of them with errors.
fn document(kind: u8, name: u8, variant: u8) -> String {
    let (n, other, v) = (name % 3, (name + variant) % 3, variant % 6);
    let spec = match kind % 13 {
        0 => format!(
            "kind: Connector\nmetadata: {{ name: c{n}, labels: {{ tier: t{} }} }}\nspec:\n  displayName: C\n  baseUrl: \"https://{{{{ get_variable('v{other}') }}}}.example/v2\"\n  auth: {{ default: key, methods: {{ key: {{ apiKey: {{ in: Header, name: X-Key, value: {{ secretRef: s{other} }} }} }} }} }}\n  actions:\n    list{}: {{ title: List, http: {{ method: GET, path: /a }} }}\n    all:\n      title: All\n      steps: [{{ name: one, action: c{other}/all }}]\n",
            v % 2,
            v % 3
        ),
        1 => format!(
            "kind: Workflow\nmetadata: {{ name: w{n}, labels: {{ tier: t{} }} }}\nspec: {{ tier: Standard, source: {{ file: {} }}, onFailure: w{other}, secrets: [s{n}], active: {} }}\n",
            v % 2,
            ["sync.ts", "../sync.ts", "nothing.ts", "c/sync.ts", "../../../x.ts", "sync.tsx"][v as usize],
            v != 1
        ),
        2 => format!(
            "kind: Trigger\nmetadata: {{ name: t{n} }}\nspec: {{ schedule: {{ cron: \"{} 6 * * *\", routes: [{{ workflow: w{other} }}] }} }}\n",
            v * 12
        ),
        3 => format!(
            "kind: Connection\nmetadata: {{ name: k{n} }}\nspec: {{ connector: c{other}, scope: {}, tenant: n{other}, variables: {{ v{v}: x, s1: y }} }}\n",
            ["Tenant", "Organization"][v as usize % 2]
        ),
        4 => format!(
            "kind: Tenant\nmetadata: {{ name: n{n} }}\nspec: {{ displayName: N, variables: {{ v{other}: x }} }}\n"
        ),
        5 => format!("kind: Role\nmetadata: {{ name: r{n} }}\nspec: {{ extends: r{other}, environments: [draft] }}\n"),
        6 => format!(
            "kind: Entity\nmetadata: {{ name: e{n} }}\nspec: {{ {} , fields: {{ f{v}: {{ type: string }} }} }}\n",
            ["extends: Contact", "canonicalName: Special"][v as usize % 2]
        ),
        7 => format!(
            "kind: Connector\nmetadata: {{ name: c{n} }}\nspec: {{ displayNam: C, entities: {{ x: {{ canonical: Special, fields: {{ a: {{ type: string, canonical: f{v} }} }} }} }} }}\n"
        ),
        8 => environment(n, v),
        9 => patch(n, v),
        10 => callee(n, v),
        11 => caller(n, other, v),
        _ => match v {
            0 => "kind: Nothing\nmetadata: { name: c0 }\n".into(),
            1 => "kind: Connector\nmetadata: { name: c1 }\nspec: { displayName: A, displayName: B }\n".into(),
            2 => "kind: [\n".into(),
            3 => "spec: {}\n".into(),
            _ => format!(
                "kind: Workflow\nmetadata: {{ name: w{n} }}\nspec: {{ tier: Standard, source: {{ inline: x }} }}\n"
            ),
        },
    };
    format!("{HEAD}\n{spec}")
}

/// A connector or workflow whose input and output depend on the variant.
fn callee(name: u8, variant: u8) -> String {
    let v = variant as usize % 6;
    let input = [
        "{ type: object, required: [a], properties: { a: { type: string } } }",
        "{ type: object, additionalProperties: false, properties: { a: { type: integer } } }",
        "{ type: object, properties: { bee: { enum: [x, y] } } }",
        "{ type: object, required: [b], properties: { b: { default: 1 } } }",
        "{ type: strng }",
        "true",
    ][v];
    let output =
        ["{ properties: { x: {} }, additionalProperties: false }", "true", "{ properties: { xx: {} } }"][v % 3];
    match variant % 2 {
        0 => format!(
            "kind: Connector\nmetadata: {{ name: c{name} }}\nspec: {{ displayName: C, baseUrl: \"https://c.example\", actions: {{ all: {{ title: A, http: {{ method: GET, path: /a }}, input: {input}, output: {output} }} }} }}\n"
        ),
        _ => format!(
            "kind: Workflow\nmetadata: {{ name: w{name} }}\nspec: {{ tier: Standard, input: {input}, output: {output}, steps: [{{ name: s, set: 1 }}] }}\n"
        ),
    }
}

/// A definition that calls another with an input that depends on the variant.
fn caller(name: u8, other: u8, variant: u8) -> String {
    let input = ["{ a: x }", "{ a: 1 }", "{ b: x, be: y }", "{}", "{ a: \"{{ input.q }}\" }", "{ bee: z }"]
        [variant as usize % 6];
    match variant % 4 {
        0 => format!(
            "kind: Workflow\nmetadata: {{ name: w{name} }}\nspec: {{ tier: Standard, steps: [{{ name: s, action: c{other}/all, input: {input} }}, {{ name: t, workflow: w{other}, input: {input} }}, {{ name: r, set: \"{{{{ steps.s.output.x }}}} {{{{ steps.t.output.y }}}}\" }}], tests: [{{ name: a, actions: {{ c{other}/all: [{input}] }}, expectCalls: [{{ action: c{other}/all, input: {input} }}] }}] }}\n"
        ),
        1 => format!(
            "kind: Workflow\nmetadata: {{ name: w{name} }}\nspec: {{ tier: Standard, source: {{ inline: \"export default async (ctx) => {{ const r = await ctx.connectors.c{other}.all({{ a: 1 }}); await ctx.workflows.w{other}({{ be: 'x' }}); return r.x + r.y }}\" }} }}\n"
        ),
        2 => format!(
            "kind: Trigger\nmetadata: {{ name: t{name} }}\nspec: {{ schedule: {{ cron: \"0 6 * * *\", payload: {input}, routes: [{{ workflow: w{other} }}] }} }}\n"
        ),
        _ => format!(
            "kind: Widget\nmetadata: {{ name: g{name} }}\nspec: {{ displayName: W, actions: [{{ name: A, workflow: w{other}, payload: {input} }}, {{ name: B, action: c{other}/all, payload: {input} }}] }}\n"
        ),
    }
}

fn environment(name: u8, variant: u8) -> String {
    let name = ["draft", "live", "spare"][name as usize % 3];
    let overlays = ["[overlays/live]", "[]", "[overlays/draft, overlays/live]", "[overlays/draft]", "[more]", "[../x]"];
    let selector = ["{}", "{}", "{ tier: t0 }", "{}", "{ tier: t1 }", "{}"];
    let v = variant as usize % 6;
    format!(
        "kind: Environment\nmetadata: {{ name: {name} }}\nspec:\n  overlays: {}\n  selector: {}\n  promoteFrom: {}\n  variables: {{ v0: x, v{}: y, s2: z }}\n  secrets: {{ s0: {{ env: A }}, s{}: {{ file: /x }} }}\n",
        overlays[v],
        selector[v],
        ["draft", "live", "spare"][(v + 1) % 3],
        v % 3,
        v % 2
    )
}

fn patch(name: u8, variant: u8) -> String {
    match variant % 6 {
        0 => format!(
            "kind: Connector\nmetadata: {{ name: c{name}, labels: {{ tier: t1 }} }}\nspec: {{ actions: {{ all: null }} }}\n"
        ),
        1 => format!(
            "kind: Workflow\nmetadata: {{ name: w{name} }}\nspec: {{ source: {{ file: ./sync.ts }}, onFailure: null }}\n"
        ),
        2 => format!(
            "kind: Connector\nmetadata: {{ name: c{name} }}\nspec: {{ baseUrl: \"https://{{{{ get_variable('v9') }}}}.example\", unknown: 1 }}\n"
        ),
        3 => format!(
            "kind: Environment\nmetadata: {{ name: live }}\nspec: {{ variables: {{ v{name}: patched }}, secrets: {{ s1: null }} }}\n"
        ),
        4 => format!(
            "kind: Trigger\nmetadata: {{ name: t{name} }}\nspec: {{ schedule: {{ routes: [{{ workflow: w9 }}] }} }}\n"
        ),
        _ => "kind: Workflow\nmetadata: { labels: {} }\n".into(),
    }
}

#[derive(Clone, Debug)]
enum Edit {
    Write(usize, Vec<(u8, u8, u8)>),
    Append(usize, (u8, u8, u8)),
    Remove(usize),
    Move(usize, usize),
    Choose(u8),
    Without(u8, u8),
    Keep(u8),
    Alone(bool),
    Nothing,
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let path = || 0..PATHS.len();
    let content = || (any::<u8>(), 0..3u8, 0..6u8);
    let edit = prop_oneof![
        8 => (path(), prop::collection::vec(content(), 1..5)).prop_map(|(path, content)| Edit::Write(path, content)),
        3 => (path(), content()).prop_map(|(path, content)| Edit::Append(path, content)),
        2 => path().prop_map(Edit::Remove),
        2 => (path(), path()).prop_map(|(from, to)| Edit::Move(from, to)),
        2 => (0..6u8).prop_map(Edit::Choose),
        1 => (any::<u8>(), 0..3u8).prop_map(|(kind, name)| Edit::Without(kind, name)),
        1 => any::<u8>().prop_map(Edit::Keep),
        1 => prop::bool::weighted(0.2).prop_map(Edit::Alone),
        1 => Just(Edit::Nothing),
    ];
    prop::collection::vec(edit, 1..25)
}

/// A source and an operator's document that are edited.
#[derive(Default)]
struct World {
    files: BTreeMap<&'static str, Arc<[u8]>>,
    input: Input,
}

impl World {
    fn start() -> World {
        let mut world = World::default();
        let all: Vec<String> = (0..3).flat_map(|name| (0..7).map(move |kind| document(kind, name, 1))).collect();
        for (path, documents) in ["a.yaml", "b.yaml", "c/d.yaml"].iter().zip(all.chunks(7)) {
            world.write(path, &documents.join("---\n"));
        }
        world.write("env/draft.yaml", &format!("{HEAD}\n{}", environment(0, 1)));
        world.write("env/live.yaml", &format!("{HEAD}\n{}", environment(1, 0)));
        world.write("env/overlays/live/1.yaml", &format!("{HEAD}\n{}", patch(0, 2)));
        world.write("sync.ts", "");
        world
    }

    fn write(&mut self, path: &'static str, text: &str) {
        self.files.insert(path, Arc::from(text.as_bytes()));
    }

    fn edit(&mut self, edit: &Edit, last: Option<&Validated>) {
        let joined = |all: &[(u8, u8, u8)]| -> String {
            let all: Vec<String> = all.iter().map(|(kind, name, variant)| document(*kind, *name, *variant)).collect();
            all.join("---\n")
        };
        match edit {
            Edit::Write(path, content) => self.write(PATHS[*path], &joined(content)),
            Edit::Append(path, content) => {
                let mut text = self.files.get(PATHS[*path]).map_or(Vec::new(), |bytes| bytes.to_vec());
                text.extend(format!("\n---\n{}", joined(&[*content])).bytes());
                self.files.insert(PATHS[*path], text.into());
            }
            Edit::Remove(path) => {
                self.files.remove(PATHS[*path]);
            }
            Edit::Move(from, to) => {
                if let Some(bytes) = self.files.remove(PATHS[*from]) {
                    self.files.insert(PATHS[*to], bytes);
                }
            }
            Edit::Choose(which) => self.input.environment = chosen(*which, self.files.get("env/live.yaml")),
            Edit::Without(kind, name) => {
                let id = |kind, name: String| Id { kind, name };
                let all = [id(Kind::Connector, format!("c{name}")), id(Kind::Workflow, format!("w{name}"))];
                self.input.excluded = BTreeSet::from([all[*kind as usize % 2].clone()]);
            }
            Edit::Keep(which) => {
                self.input.excluded.clear();
                self.input.pinned.clear();
                let entries = last.map_or(&[][..], |last| &last.catalog.entries);
                if let Some(entry) = entries.get(*which as usize % entries.len().max(1)) {
                    let origin = entry.origin.clone();
                    let pinned = PinnedDefinition { id: entry.id.clone(), base: origin.base, patches: origin.patches };
                    self.input.excluded.insert(pinned.id.clone());
                    self.input.pinned.push(pinned);
                }
            }
            Edit::Alone(alone) => self.input.snapshot.alone = *alone,
            Edit::Nothing => {}
        }
        let snapshot = &mut self.input.snapshot;
        let is_definition = |path: &&&str| Format::of(path).is_some();
        let files = self.files.keys().filter(is_definition);
        snapshot.files =
            files.map(|path| File { path: (*path).into(), bytes: Arc::clone(&self.files[path]) }).collect();
        snapshot.names = Arc::new(self.files.keys().map(ToString::to_string).collect());
        snapshot.code.clear();
        snapshot.with_code(self.files.iter().map(|(path, bytes)| (*path, bytes)));
    }
}

fn chosen(which: u8, live: Option<&Arc<[u8]>>) -> Option<EnvironmentSelection> {
    let document = |path: &str, bytes: Arc<[u8]>| Some(RawDocument { path: path.into(), bytes, index: 0 });
    let operators = |variant| Arc::from(format!("{HEAD}\n{}", environment(1, variant)).into_bytes());
    let selected = match which {
        0 => return None,
        1 => return Some(EnvironmentSelection { name: "draft".into(), document: None }),
        2 => None,
        3 => document("operator/live.yaml", operators(1)),
        4 => document("operator/live.yaml", operators(2)),
        _ => live.and_then(|bytes| document("env/live.yaml", Arc::clone(bytes))),
    };
    Some(EnvironmentSelection { name: "live".into(), document: selected })
}

/// All visible properties of a catalog.
fn visible(catalog: &Catalog) -> String {
    let mut text = format!("{:?} {:?} {:?}\n", catalog.nameless, catalog.incomplete, catalog.environment);
    for entry in &catalog.entries {
        let twin = catalog.find(entry.id.kind, &entry.id.name).map(|first| first.stamp() == entry.stamp());
        let origin: Vec<_> = std::iter::once(&entry.origin.base)
            .chain(&entry.origin.patches)
            .map(|written| (&written.path, written.index, written.bytes.len()))
            .collect();
        let references: Vec<String> = entry
            .facts
            .references
            .iter()
            .map(|reference| {
                format!("{} {}", reference.name, catalog.sources.display_position(entry.span(reference.span)))
            })
            .collect();
        let definition = entry.definition.is_some();
        text += &format!(
            "{} {:?} {twin:?} {definition} {} {origin:?} {references:?} {}\n",
            entry.id,
            entry.place(),
            entry.partial,
            entry.document.root.to_json(),
        );
    }
    text + &format!("{:?}\n", assets(catalog))
}

fn everything(validated: &Validated) -> String {
    let definitions = validated.catalog.entries.len();
    let report = Report { findings: &validated.findings, sources: &validated.catalog.sources, definitions };
    let mut text = render(&report, OutputFormat::Human, false, 200);
    text += &render(&report, OutputFormat::Json, false, 0);
    text += &format!("{:?} {}\n", validated.broken(), validated.unattributed());
    for environment in [None, Some("draft"), Some("live"), Some("spare")] {
        text += &visible(validated.catalog_of(environment));
    }
    text + &visible(&validated.catalog)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn history_makes_no_difference(edits in edits()) {
        let mut world = World::start();
        let mut validator = Validator::new();
        let mut last: Option<Validated> = None;
        for edit in std::iter::once(&Edit::Nothing).chain(&edits) {
            world.edit(edit, last.as_ref());
            let cached = validator.validate(&world.input, &[]);
            let fresh = Validator::new().validate(&world.input, &[]);
            let (cached_text, fresh_text) = (everything(&cached), everything(&fresh));
            if cached_text != fresh_text {
                let diff = similar::TextDiff::from_lines(&fresh_text, &cached_text);
                let diff = diff.unified_diff().context_radius(1).to_string();
                prop_assert!(false, "after {edit:?}, - fresh + cached:\n{}", diff.chars().take(6000).collect::<String>());
            }
            last = Some(cached);
        }
    }
}

/// A thousand definitions, one of which contains `edit`.
fn many(edit: &str) -> Input {
    let file = |number: u32, more: &str| {
        let text = format!(
            "{HEAD}\nkind: Workflow\nmetadata: {{ name: w{number} }}\nspec: {{ tier: Standard, source: {{ inline: \"export default 1 // x{more}\" }}, secrets: [s] }}\n"
        );
        (format!("w/{number:04}.yaml"), text.into_bytes())
    };
    let environment =
        format!("{HEAD}\nkind: Environment\nmetadata: {{ name: live }}\nspec: {{ secrets: {{ s: {{ env: S }} }} }}\n");
    let trigger = format!(
        "{HEAD}\nkind: Trigger\nmetadata: {{ name: t }}\nspec: {{ schedule: {{ cron: \"0 6 * * *\", routes: [{{ workflow: w7 }}] }} }}\n"
    );
    let mut files: Vec<(String, Vec<u8>)> =
        (0..1000).map(|number| file(number, if number == 7 { edit } else { "" })).collect();
    files.push(("env.yaml".into(), environment.into_bytes()));
    files.push(("t.yaml".into(), trigger.into_bytes()));
    Input { snapshot: Snapshot::of(files), ..Input::default() }
}

#[test]
fn work_is_proportional_to_the_change() {
    let mut validator = Validator::new();
    assert!(validator.validate(&many(""), &[]).is_valid());
    let first = validator.stats();
    assert_eq!((first.parsed.last.misses, first.checked.last.misses), (1002, 1002));

    assert!(validator.validate(&many(""), &[]).is_valid());
    let same = validator.stats();
    assert_eq!((same.parsed.last.misses, same.checked.last.misses), (0, 0), "equal content at another address");
    assert_eq!((same.parsed.last.hits, same.checked.last.hits), (1002, 1002));

    assert!(validator.validate(&many("y"), &[]).is_valid());
    let edited = validator.stats();
    assert_eq!(edited.parsed.last.misses, 1);
    assert_eq!(edited.checked.last.misses, 2, "the definition, and the one that refers to it");
    assert_eq!(edited.checked.total.misses, 1004);
}

#[test]
fn numbers_of_files_do_not_grow_with_edits() {
    let mut validator = Validator::new();
    for round in 0..200 {
        let validated = validator.validate(&many(&round.to_string()), &[]);
        let highest = validated.catalog.sources.iter().map(|(id, _)| id.0).max();
        assert!(highest.is_some_and(|highest| highest < 1010), "{highest:?}");
    }
}

#[test]
fn findings_of_two_kinds_with_one_name_have_different_subjects() {
    let twice = |kind: &str, spec: &str| format!("{HEAD}\nkind: {kind}\nmetadata: {{ name: acme }}\nspec: {spec}\n");
    let tenant = twice("Tenant", "{ displayName: Acme }");
    let role = twice("Role", "{ permissions: { workflows: [Read] } }");
    let files = [("a.yaml", &tenant), ("b.yaml", &role), ("c.yaml", &tenant), ("d.yaml", &role)];
    let snapshot = Snapshot::of(files.map(|(path, text)| (path, text.as_bytes())));
    let validated = Validator::new().validate(&Input { snapshot, ..Input::default() }, &[]);
    // Each role is reported as not in effect yet, too.
    let twice = validated.findings.iter().filter(|finding| finding.code != &codes::PLANNED);
    let subjects: Vec<_> = twice.map(|finding| *finding.subject.clone().unwrap()).collect();
    let (tenant, role): (Id, Id) = ("Tenant/acme".parse().unwrap(), "Role/acme".parse().unwrap());
    assert_eq!(subjects.len(), 2, "{:?}", validated.findings);
    assert!(tenant == subjects[0] && tenant != subjects[1], "{subjects:?}");
    assert!(role == subjects[1] && role != subjects[0], "{subjects:?}");
}

#[test]
fn every_finding_of_a_definition_names_it() {
    let text = format!("{HEAD}\nkind: Tenant\nmetadata: {{ name: acme }}\nspec: {{ displayNme: Acme }}\n");
    let snapshot = Snapshot::of([("a.yaml", text.as_bytes()), ("b.yaml", b"# evenkeel.dev\nkind: [\n".as_slice())]);
    let validated = Validator::new().validate(&Input { snapshot, ..Input::default() }, &[]);
    assert!(validated.findings.len() > 1);
    for finding in &validated.findings {
        let path = validated.catalog.sources.display_position(finding.span().unwrap());
        let tenant: Id = "Tenant/acme".parse().unwrap();
        assert_eq!(finding.subject.as_deref().is_some_and(|subject| tenant == *subject), path.starts_with("a.yaml"));
    }
}
