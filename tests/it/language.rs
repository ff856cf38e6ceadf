//! The words of the repository: each banned phrase, with the word that takes its place, is refused in sources, comments,
//! strings, documents, examples, the chart, help and error texts. `docs/glossary.md` explains the words.

use std::path::Path;

use regex::Regex;

use crate::support::root;

/// A phrase that the repository does not use: a pattern, and what to write.
type Rule = (&'static str, &'static str);

const RULES: &[Rule] = &[
    ("where left out|left out", "if omitted, default: X"),
    ("somebody|nobody|whoever|whatever|whomever", "the subject: user, caller, operator, process"),
    ("who tells", "the subject: user, caller, operator, process"),
    ("told", "notified, reported, shown"),
    ("tells? (people|others)", "notifies"),
    ("asked", "requested, required, called"),
    ("cannot be asked", "unknown operation; expected one of …"),
    (
        "what (is|was|were|are|comes|came|serves|served|becomes|became|goes|went|does|did|has|had)",
        "a noun: the active generation, the result, the removed definitions",
    ),
    ("given back|gives back|give back", "released, returned"),
    ("rooms?", "module, layer"),
    ("patience|patient", "backoff, timeout"),
    ("desks?", "dispatcher"),
    ("graves?|buried|bury|buries", "tombstone"),
    ("risen", "restored"),
    ("seats?", "permit"),
    ("lanes?", "ordering key"),
    ("gates?", "concurrency group"),
    ("by hand", "manually, override"),
    ("beats?", "heartbeat, renewal"),
    ("fights?|fighting", "conflict loop, backoff"),
    ("sealed|unsealed", "encrypted"),
    ("ground", "active generation, live environments"),
    ("examines?|examined|examiner", "validate, validator"),
    ("in the same stroke|stroke", "in the same transaction"),
    ("anew", "again"),
    ("by chance", "random"),
    ("of no use", "useless, invalid"),
    ("(none|empty|null|nothing|0|false|true) where", "`None` if …"),
    ("where (there|none|nothing|one is|it is none|they are none)", "if …"),
    ("is none", "is `None`, is absent, is not a …"),
    ("look for work", "claim"),
    ("looked for", "searched, expected"),
    ("told apart", "distinguished"),
    ("left alone", "kept, ignored"),
    ("inquiry", "list, request"),
    ("salvage", "error recovery"),
    ("hearsay", "notification"),
    ("says so", "reports it, states it"),
    ("said so", "reported it, configured it"),
    ("says that it", "reports that it"),
    ("where it is not", "if it is not"),
];

/// A doc comment that opens like this is a question or a riddle: it names its subject instead.
const QUESTION: &str = r"^(Is|Does|Do|Are|May|Has|Have|Can|Could|Was|Were|Must|Should|Will|Would|How|What|Why|Which|Who|Whose|Where|Whether|When|If)\b|\?$";
const NOT_A_QUESTION: &str = "a noun phrase or a third-person verb: \"True if …\", \"Number of …\", \"Renews …\"";

/// Phrases that are right where they stand: a file, the phrase in lower case, and the reason. An entry that is no longer
/// needed fails the test.
const ALLOWED: &[(&str, &str, &str)] = &[
    ("benches/generate.py", "gate", "a step of the definition language"),
    ("charts/evenkeel/files/crds/workflows.yaml", "gate", "a step of the definition language"),
    ("charts/plain/evenkeel.yaml", "gate", "a step of the definition language"),
    ("docs/reference/workflow.md", "gate", "a step of the definition language"),
    ("docs/reference/templates.md", "gate", "a step of the definition language"),
    ("docs/reference/templates.md", "is none", "a test of the template language"),
    ("src/definition/examples/workflow.yaml", "gate", "a step of the definition language"),
    ("src/definition/workflow.rs", "gate", "a step of the definition language"),
    ("src/template/reference/predicates.rs", "is none", "a test of the template language"),
    ("src/template/tests/filters.rs", "is none", "a test of the template language"),
    ("src/template/tests/rendering.rs", "is none", "a test of the template language"),
    ("tests/it/hostile/responses.rs", "is none", "a test of the template language"),
    ("tests/it/hostile/templates.rs", "is none", "a test of the template language"),
    ("tests/register/workflow.yaml", "gate", "a step of the definition language"),
    ("tests/planted.golden.txt", "gate", "a step of the definition language"),
    ("tests/planted/workflows/steps.yaml", "gate", "a step of the definition language"),
    ("src/workflow/steps.rs", "gate", "a step of the definition language"),
    ("tests/it/work/lasting.rs", "gate", "a step of the definition language"),
    ("src/net/signature/tests.rs", "nobody", "the secret of a published test vector"),
    ("tests/it/postgres.rs", "nobody", "the user of the operating system"),
];

/// What is read, below the root of the repository.
const FOLDERS: [&str; 11] =
    [".ci", ".github", ".gitlab", "benches", "charts", "ci", "docs", "examples", "schemas", "src", "tests"];
const EXTENSIONS: [&str; 15] =
    ["rs", "md", "yaml", "yml", "tpl", "txt", "toml", "sql", "sh", "mjs", "html", "ts", "js", "css", "py"];
const NAMES: [&str; 5] = ["Dockerfile", "justfile", "run", "render", "build"];

/// This file: it holds the list.
const LIST: &str = "tests/it/language.rs";

/// A phrase found in a file.
#[derive(Debug, PartialEq, Eq)]
struct Hit {
    file: String,
    line: usize,
    phrase: String,
    instead: &'static str,
    text: String,
}

impl std::fmt::Display for Hit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Hit { file, line, phrase, instead, text } = self;
        let text: String = text.chars().take(150).collect();
        write!(f, "{file}:{line}: `{phrase}`; write: {instead}\n    {text}")
    }
}

/// The compiled rules.
struct Language {
    phrases: Regex,
    question: Regex,
    words: Regex,
    code: Regex,
}

impl Language {
    fn new() -> Language {
        // One group for each rule.
        let groups: Vec<String> =
            RULES.iter().map(|(pattern, _)| format!("({})", pattern.replace('(', "(?:"))).collect();
        Language {
            phrases: Regex::new(&format!("(?i)(?:^|[^a-z])(?:{})(?:[^a-z]|$)", groups.join("|"))).unwrap(),
            question: Regex::new(QUESTION).unwrap(),
            words: Regex::new("([a-z])([A-Z])").unwrap(),
            code: Regex::new(r"(\.|::)is_none(_or)?\b|\bWHERE\b").unwrap(),
        }
    }

    /// The banned phrases of a text, in names as well: `lookedFor` and `looked_for` are read as words.
    fn check(&self, file: &str, text: &str) -> Vec<Hit> {
        let mut hits = Vec::new();
        let mut is_in_doc = false;
        for (number, line) in text.lines().enumerate() {
            let mut add = |phrase: &str, instead| {
                hits.push(Hit {
                    file: file.to_owned(),
                    line: number + 1,
                    phrase: phrase.to_lowercase(),
                    instead,
                    text: line.trim().to_owned(),
                });
            };
            // The method of `Option` and the keyword of SQL are no prose.
            let flat = self.code.replace_all(line, "").replace('_', " ").replace(['`', '*'], "");
            let flat = self.words.replace_all(&flat, "$1 $2");
            let mut from = 0;
            while let Some(found) = self.phrases.captures_at(&flat, from) {
                let (rule, phrase) = (1..found.len()).find_map(|group| Some((group - 1, found.get(group)?))).unwrap();
                add(phrase.as_str(), RULES[rule].1);
                from = phrase.end();
            }
            let doc = line.trim().strip_prefix("///").or_else(|| line.trim().strip_prefix("//!"));
            if let (true, false, Some(doc)) = (file.ends_with(".rs"), is_in_doc, doc)
                && let Some(word) = self.question.find(doc.trim())
            {
                add(word.as_str(), NOT_A_QUESTION);
            }
            is_in_doc = doc.is_some();
        }
        hits
    }
}

/// The files of the repository that people read.
fn files() -> Vec<(String, String)> {
    fn walk(folder: &Path, is_root: bool, files: &mut Vec<(String, String)>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let inside = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_symlink() || inside == "tests/envtest" {
                continue;
            }
            if path.is_dir() {
                if !is_root || FOLDERS.contains(&name.as_str()) {
                    walk(&path, false, files);
                }
                continue;
            }
            let extension = path.extension().unwrap_or_default().to_string_lossy().into_owned();
            let is_read = EXTENSIONS.contains(&extension.as_str()) || NAMES.contains(&name.as_str());
            if is_read && inside != LIST {
                // Test data may hold bytes that are no text.
                let bytes = std::fs::read(&path).unwrap();
                files.push((inside, String::from_utf8_lossy(&bytes).into_owned()));
            }
        }
    }
    let mut files = Vec::new();
    walk(root(), true, &mut files);
    files.sort();
    assert!(files.len() > 300, "the repository was not found");
    files
}

#[test]
fn the_repository_uses_its_own_words() {
    let language = Language::new();
    let mut used = vec![false; ALLOWED.len()];
    let mut wrong = Vec::new();
    for (file, text) in files() {
        for hit in language.check(&file, &text) {
            let allowed = ALLOWED.iter().position(|(place, phrase, _)| *place == file && *phrase == hit.phrase);
            match allowed {
                Some(position) => used[position] = true,
                None => wrong.push(hit.to_string()),
            }
        }
    }
    let count = wrong.len();
    wrong.truncate(60);
    assert!(wrong.is_empty(), "{count} banned phrases\n{}", wrong.join("\n"));
    for ((file, phrase, reason), used) in ALLOWED.iter().zip(used) {
        assert!(!reason.is_empty(), "the exception for `{phrase}` in {file} has no reason");
        assert!(used, "{file} does not hold `{phrase}` any more: remove it from ALLOWED");
    }
}

#[test]
fn a_planted_phrase_is_refused_with_its_place_and_the_word_to_write() {
    let language = Language::new();
    for (file, text, line, phrase, instead) in [
        ("src/a.rs", "\n/// The limit of a lane.\nfn f() {}", 2, "lane", "ordering key"),
        ("src/cli/a.rs", "    /// The Environment; the first one where left out.", 1, "where left out", "default: X"),
        ("tests/help.golden.txt", "Usage: x\n\n  --force  Whatever was there", 3, "whatever", "subject"),
        ("src/a.rs", "bail!(\"{name} cannot be asked\")", 1, "cannot be asked", "unknown operation"),
        ("charts/evenkeel/values.yaml", "replicas: 1\n# What is live stays so.", 2, "what is", "a noun"),
        ("src/store/migrations/a.sql", "-- the graves\n", 1, "graves", "tombstone"),
        ("README.md", "a fight is slowed", 1, "fight", "conflict loop"),
        ("examples/a.yaml", "# made by hand\n", 1, "by hand", "manually"),
        ("src/a.rs", "fn looked_for() {}", 1, "looked for", "searched"),
        ("src/a.rs", "struct OpenDesk;", 1, "desk", "dispatcher"),
        ("src/a.rs", "/// Is it ready?\nfn f() {}", 1, "is", "True if"),
        ("src/a.rs", "/// The answer, is it?\nfn f() {}", 1, "?", "True if"),
        ("src/a.rs", "//! What happens here.", 1, "what", "noun phrase"),
    ] {
        let hits = language.check(file, text);
        assert_eq!(hits.len(), 1, "{text}: {hits:?}");
        assert_eq!((hits[0].line, hits[0].phrase.as_str()), (line, phrase), "{text}");
        let message = hits[0].to_string();
        assert!(message.starts_with(&format!("{file}:{line}: `{phrase}`; write: ")), "{message}");
        assert!(message.contains(instead), "{message}");
    }
}

#[test]
fn ordinary_words_are_accepted() {
    let language = Language::new();
    for text in [
        "/// The lease of an environment.\n/// When it ends, another process may take it.",
        "let background = aggregate(delegates, planet);",
        "// A gateway; heartbeats; a roommate.",
        "if value.is_none() { sql(\"UPDATE executions SET worker = NULL WHERE id = $1\") }",
    ] {
        let hits = language.check("src/a.rs", text);
        assert!(hits.is_empty(), "{hits:?}");
    }
}
