//! A repository with several environments that a seeded generator edits.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Numbers from a seed (SplitMix64).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}

const HEAD: &str = "apiVersion: evenkeel.dev/v1alpha1\n";
const FOLDERS: [&str; 3] = ["a", "b", "teams/a"];
const OVERLAYS: [&str; 3] = ["overlays/common", "overlays/live", "overlays/eu"];
const TIERS: [&str; 3] = ["live", "live", "dev"];

/// Files of the repository, and the documents that operators keep elsewhere.
pub(super) struct Repository {
    pub(super) files: BTreeMap<String, String>,
    /// Documents by the name of their environment.
    pub(super) operators: BTreeMap<&'static str, String>,
    random: Random,
    edits: u64,
}

impl Repository {
    pub(super) fn new(seed: u64) -> Repository {
        let mut repository =
            Repository { files: BTreeMap::new(), operators: BTreeMap::new(), random: Random(seed), edits: 0 };
        for folder in OVERLAYS {
            repository.files.insert(format!("{folder}/README.md"), "patches\n".into());
        }
        // Never removed, so that no environment becomes empty.
        repository.files.insert("root.yaml".into(), tenant("root", "Root", "live"));
        repository.set_draft();
        repository.set_operator("live");
        repository.set_operator("eu");
        for number in 0..4 {
            repository.set_connector(number);
            repository.set_workflow(number % 2);
        }
        repository
    }

    /// Makes one random edit; returns its description.
    pub(super) fn edit(&mut self) -> String {
        self.edits += 1;
        let number = self.random.below(4);
        match self.random.below(20) {
            0..4 => self.set_tenant(number),
            4 => self.remove("tenant-"),
            5 => self.rename(),
            6..9 => self.set_connector(number),
            9..12 => self.set_patch(number),
            12 => self.remove("patch-"),
            13 => self.set_code(number % 2),
            14 => self.set_workflow(number % 2),
            15 => self.set_draft(),
            16 => self.set_live(),
            17 => {
                let name = self.random.of(&["live", "eu"]);
                self.set_operator(name)
            }
            18 => self.comment(),
            _ => self.break_or_repair(),
        }
    }

    fn write(&mut self, path: String, text: String) -> String {
        let description = format!("write {path}:\n{text}");
        self.files.insert(path, text);
        description
    }

    /// The present path of a file of this name, or a new one.
    fn path_of(&mut self, name: &str) -> String {
        let known = self.files.keys().find(|path| path.ends_with(&format!("/{name}"))).cloned();
        known.unwrap_or_else(|| format!("{}/{name}", self.random.of(&FOLDERS)))
    }

    fn set_tenant(&mut self, number: u64) -> String {
        let path = self.path_of(&format!("tenant-{number}.yaml"));
        let (text, tier) = (format!("Tenant {}", self.random.below(5)), self.random.of(&TIERS));
        self.write(path, tenant(&format!("t{number}"), &text, tier))
    }

    fn set_connector(&mut self, number: u64) -> String {
        let path = self.path_of(&format!("connector-{number}.yaml"));
        let (seconds, tier) = (self.random.below(5) + 1, self.random.of(&TIERS));
        let spec = format!(
            "spec:\n  displayName: C{number}\n  baseUrl: \"https://{{{{ get_variable('region') }}}}.example.com\"\n  defaults: {{ \
             timeout: {seconds}s, headers: {{ X-Base: base }} }}\n  actions:\n    say: {{ title: Say, http: {{ method: GET, \
             path: /say }} }}\n"
        );
        self.write(path, document("Connector", &format!("c{number}"), tier, &spec))
    }

    /// A workflow of steps that needs connectors, or one of code.
    fn set_workflow(&mut self, number: u64) -> String {
        let path = self.path_of(&format!("workflow-{number}.yaml"));
        let (connector, tier) = (self.random.below(4), self.random.of(&TIERS));
        let spec = if self.random.below(2) == 0 {
            format!(
                "spec: {{ tier: Standard, steps: [{{ name: one, action: c{connector}/say }}, {{ name: two, action: \
                 c{number}/say }}] }}\n"
            )
        } else {
            let code = path.replace(".yaml", ".ts");
            self.files.entry(code).or_insert_with(|| "export default async () => 0\n".into());
            format!("spec: {{ tier: Standard, source: {{ file: workflow-{number}.ts }} }}\n")
        };
        self.write(path, document("Workflow", &format!("w{number}"), tier, &spec))
    }

    fn set_code(&mut self, number: u64) -> String {
        let path = self.path_of(&format!("workflow-{number}.ts"));
        let text = format!("export default async () => {}\n", self.random.below(9));
        self.write(path, text)
    }

    fn set_patch(&mut self, number: u64) -> String {
        let folder = self.random.of(&OVERLAYS);
        let path = format!("{folder}/patch-{number}.yaml");
        let value = self.random.below(5);
        let (kind, name, spec) = match self.random.below(12) {
            0..6 => (
                "Connector",
                format!("c{number}"),
                format!(
                    "spec: {{ defaults: {{ timeout: 1{value}s, headers: {{ X-Base: null, X-Over: v{value} }} }} }}\n"
                ),
            ),
            6..9 => ("Tenant", "root".to_owned(), format!("spec: {{ displayName: Patched {value} }}\n")),
            9 => ("Tenant", format!("t{number}"), format!("spec: {{ displayName: Patched {value} }}\n")),
            10 => ("Connector", format!("c{number}"), "spec: { actions: { say: { title: Patched } } }\n".to_owned()),
            _ => ("Environment", "draft".to_owned(), format!("spec: {{ variables: {{ size: s{value} }} }}\n")),
        };
        // No patch takes the one definition out of an environment that must stay.
        let tier = if name == "root" { "" } else { self.random.of(&["", "", "live", "dev"]) };
        self.write(path, document(kind, &name, tier, &spec))
    }

    fn selector(&mut self) -> &'static str {
        self.random.of(&["", "  selector: { tier: live }\n"])
    }

    fn overlays(&mut self, from: &str) -> String {
        let prefix = if from.contains('/') { "../" } else { "" };
        let chosen: Vec<String> =
            OVERLAYS.iter().filter(|_| self.random.below(2) == 0).map(|folder| format!("{prefix}{folder}")).collect();
        format!("  overlays: [{}]\n", chosen.join(", "))
    }

    /// The Environment that is served from the repository itself.
    fn set_draft(&mut self) -> String {
        let (selector, overlays) = (self.selector(), self.overlays("env/draft.yaml"));
        let variable = format!("  variables: {{ region: r{} }}\n", self.random.below(4));
        let spec =
            format!("spec:\n  sync: {{ mode: Manual, prune: {{ budget: 100% }} }}\n{selector}{overlays}{variable}");
        self.write("env/draft.yaml".into(), document("Environment", "draft", "", &spec))
    }

    /// The part of an operator's environment that the repository holds.
    fn set_live(&mut self) -> String {
        if self.random.below(3) == 0 {
            self.files.remove("env/live.yaml");
            return "remove env/live.yaml".into();
        }
        let selector = self.selector();
        let variables = format!("  variables: {{ region: l{}, size: large }}\n", self.random.below(4));
        self.write(
            "env/live.yaml".into(),
            document("Environment", "live", "", &format!("spec:\n{selector}{variables}")),
        )
    }

    fn set_operator(&mut self, name: &'static str) -> String {
        let (selector, overlays) = (self.selector(), self.overlays(""));
        let spec = format!(
            "spec:\n  sync: {{ mode: Manual, prune: {{ budget: 100% }} }}\n{selector}{overlays}  variables: {{ region: eu }}\n"
        );
        let text = document("Environment", name, "", &spec);
        let description = format!("the operator's document:\n{text}");
        self.operators.insert(name, text);
        description
    }

    fn remove(&mut self, part: &str) -> String {
        let found: Vec<String> = self.files.keys().filter(|path| path.contains(part)).cloned().collect();
        if found.is_empty() {
            return "nothing".into();
        }
        let path = found[self.random.below(found.len() as u64) as usize].clone();
        self.files.remove(&path);
        format!("remove {path}")
    }

    /// Moves a definition to another folder.
    fn rename(&mut self) -> String {
        let found: Vec<String> =
            self.files.keys().filter(|path| path.contains("tenant-") || path.contains("connector-")).cloned().collect();
        if found.is_empty() {
            return "nothing".into();
        }
        let path = found[self.random.below(found.len() as u64) as usize].clone();
        let name = path.rsplit('/').next().unwrap_or_default().to_owned();
        let target = format!("{}/{name}", self.random.of(&FOLDERS));
        let text = self.files.remove(&path).unwrap_or_default();
        self.files.insert(target.clone(), text);
        format!("move {path} to {target}")
    }

    /// Moves the lines of a file.
    fn comment(&mut self) -> String {
        let found: Vec<String> = self.files.keys().filter(|path| path.ends_with(".yaml")).cloned().collect();
        let path = found[self.random.below(found.len() as u64) as usize].clone();
        let edits = self.edits;
        let text = self.files.entry(path.clone()).or_default();
        *text = format!("# edit {edits}\n{text}");
        format!("comment in {path}")
    }

    fn break_or_repair(&mut self) -> String {
        if self.files.remove("broken.yaml").is_some() {
            return "repair".into();
        }
        let text = self.random.of(&[
            "apiVersion: evenkeel.dev/v1alpha1\nkind: [\n",
            "apiVersion: evenkeel.dev/v1alpha1\nkind: Tenant\nmetadata: { name: broken }\nspec: { nonsense: 1 }\n",
        ]);
        self.write("broken.yaml".into(), text.into())
    }
}

fn document(kind: &str, name: &str, tier: &str, spec: &str) -> String {
    let mut text = format!("{HEAD}kind: {kind}\nmetadata:\n  name: {name}\n");
    if !tier.is_empty() {
        let _ = writeln!(text, "  labels: {{ tier: {tier} }}");
    }
    text + spec
}

fn tenant(name: &str, text: &str, tier: &str) -> String {
    document("Tenant", name, tier, &format!("spec: {{ displayName: {text} }}\n"))
}
