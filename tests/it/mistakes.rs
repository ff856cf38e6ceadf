//! The messages of typical mistakes, made with the real binary. Each names its object, the cause and the remedy;
//! `tests/mistakes.golden.txt` shows them as people read them.

mod local;
mod servers;

use regex::Regex;

use crate::support::{Said, golden};

/// A mistake and its message.
struct Mistake {
    title: &'static str,
    /// The command as people type it.
    command: String,
    code: i32,
    /// Everything that it prints.
    output: String,
    /// Parts that the message must have: the object, the cause and the remedy.
    parts: Vec<&'static str>,
}

/// The mistakes that were made, in the order of the file.
#[derive(Default)]
struct Mistakes {
    made: Vec<Mistake>,
    /// Texts that differ from run to run, each with the text that the file has.
    replaced: Vec<(String, String)>,
}

impl Mistakes {
    fn replace(&mut self, text: impl Into<String>, with: &str) {
        self.replaced.push((text.into(), with.to_owned()));
    }

    /// Records a mistake.
    fn add(&mut self, title: &'static str, command: &str, said: &Said, parts: &[&'static str]) {
        let output = format!("{}{}", said.out, said.err);
        self.made.push(Mistake { title, command: command.to_owned(), code: said.code, output, parts: parts.to_vec() });
    }

    /// The text of the file, and the missing parts.
    fn finish(&self) -> (String, Vec<String>) {
        let mut text = String::new();
        let mut missing = Vec::new();
        for (number, mistake) in self.made.iter().enumerate() {
            let output = self.stable(&mistake.output);
            text += &format!("## {}. {}\n$ {}\n", number + 1, mistake.title, self.stable(&mistake.command));
            text += &format!("{}\n[exit status {}]\n\n", output.trim_end(), mistake.code);
            for part in mistake.parts.iter().filter(|part| !output.contains(**part)) {
                missing.push(format!("{}: `{part}` is not in\n{output}", mistake.title));
            }
        }
        (text, missing)
    }

    /// A text without the parts that differ from run to run.
    fn stable(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (from, to) in &self.replaced {
            text = text.replace(from, to);
        }
        let patterns = [
            (r"(127\.0\.0\.1|0\.0\.0\.0|localhost):[0-9]{2,5}\b", "$1:PORT"),
            (r"\b0[0-9a-hjkmnp-tv-z]{25}\b", "ULID"),
            (r"sha256:[0-9a-f]{8,64}", "sha256:DIGEST"),
            (r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]+( UTC|Z)?", "TIME"),
            (r"\b[0-9]+(\.[0-9]+)? ?(ms|s|min|h)\b( ago)?", "DURATION"),
        ];
        for (pattern, with) in patterns {
            text = Regex::new(pattern).unwrap().replace_all(&text, with).into_owned();
        }
        text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
    }
}

#[test]
fn typical_mistakes_name_the_object_the_cause_and_the_remedy() {
    let mut mistakes = Mistakes::default();
    local::make(&mut mistakes);
    servers::make(&mut mistakes);
    let (text, missing) = mistakes.finish();
    assert!(mistakes.made.len() >= 30, "{}", mistakes.made.len());
    assert!(mistakes.made.iter().all(|mistake| mistake.parts.len() >= 2), "object and remedy");
    golden("tests/mistakes.golden.txt", &text);
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}
