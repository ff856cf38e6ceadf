//! Runs every command of the README on a copy of a clone, and compares its output with the README.

use crate::support::{Dev, copy, evenkeel, request, root, said};

/// A command and its expected output; `…` stands for any text.
struct Step {
    command: String,
    output: Vec<String>,
}

fn steps() -> Vec<Step> {
    let text = std::fs::read_to_string(root().join("README.md")).unwrap();
    let mut steps: Vec<Step> = Vec::new();
    let mut console = false;
    for line in text.lines() {
        match line.strip_prefix("$ ") {
            _ if line.starts_with("```") => console = line == "```console",
            Some(command) if console => steps.push(Step { command: command.to_owned(), output: Vec::new() }),
            None if console => steps.last_mut().expect("output before any command").output.push(line.to_owned()),
            _ => {}
        }
    }
    steps
}

/// Checks that the lines appear in this order. `…` as a line stands for any lines, and at the end of a line for any text.
fn shows(actual: &str, expected: &[String]) -> Result<(), String> {
    let mut rest = actual.lines();
    for line in expected.iter().filter(|line| *line != "…" && !line.is_empty()) {
        let wanted = line.split('…').next().unwrap_or(line);
        let exact = wanted == line.as_str();
        let fits = |actual: &str| if exact { actual == wanted } else { actual.starts_with(wanted) };
        if !rest.any(fits) {
            return Err(format!("`{line}` is not in:\n{actual}"));
        }
    }
    Ok(())
}

/// The words of a command line, with quotes as in a shell.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for character in command.chars() {
        match (quote, character) {
            (None, ' ') => words.push(String::new()),
            (None, '\'' | '"') => quote = Some(character),
            (Some(open), close) if open == close => quote = None,
            (_, other) => words.last_mut().unwrap().push(other),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn every_command_prints_its_documented_output() {
    let folder = tempfile::tempdir().unwrap();
    let examples = copy("examples");
    std::fs::rename(examples.path(), folder.path().join("examples")).unwrap();
    let mut dev: Option<Dev> = None;
    let mut servers: Vec<Dev> = Vec::new();
    let mut address = "http://127.0.0.1:1".to_owned();
    let mut ran = 0;
    for Step { command, output } in steps() {
        let words = words(&command.replace("$PWD", &folder.path().display().to_string()));
        let word = |at: usize| words.get(at).map_or("", String::as_str);
        let actual = match (word(0), word(1)) {
            ("cargo", "run") => {
                assert_eq!(&words[..4], ["cargo", "run", "--release", "--"]);
                let (path, rest) = (folder.path(), &words[5..]);
                let mut started = Dev::start_in(path, &rest[0], &[]);
                let said = started.wait_for("edits go live");
                let text = format!("listening on {}\n{said}", started.address);
                let text = text.replace(&started.address, "http://127.0.0.1:7400");
                dev = Some(started);
                text
            }
            ("curl", url) => {
                let dev = dev.as_ref().expect("a server is started before the first request");
                let path = url.strip_prefix("http://127.0.0.1:7400").unwrap();
                let after = |flag: &str| words.iter().position(|word| word == flag).and_then(|at| words.get(at + 1));
                let header = after("-H").and_then(|header| header.split_once(": "));
                let headers: Vec<(&str, &str)> = header.into_iter().collect();
                let answer = request(&dev.address, "POST", path, &headers, after("-d").unwrap());
                assert!(answer.status < 300, "{command}: {answer:?}");
                answer.body
            }
            ("sed", _) => {
                let edited = std::process::Command::new("sed").args(&words[1..]).current_dir(folder.path()).status();
                assert!(edited.unwrap().success(), "{command}");
                if output.is_empty() {
                    ran += 1;
                    continue;
                }
                let last = output.last().unwrap().split('…').next().unwrap();
                dev.as_mut().expect("the server is started before it follows an edit").wait_for(last)
            }
            ("tests/run", _) => {
                // This test is part of it.
                let ci = std::fs::read_to_string(root().join(".ci/run")).unwrap();
                assert!(ci.contains("tests/run"), "CI does not run the tests of the README");
                continue;
            }
            ("git", _) => {
                let mut git = std::process::Command::new("git");
                crate::git_server::isolated(git.args(&words[1..])).current_dir(folder.path());
                let done = git.output().unwrap();
                assert!(done.status.success(), "{command}: {done:?}");
                String::new()
            }
            (variable, "evenkeel") if variable.starts_with("HOOK_KEY=") => {
                let (name, value) = variable.split_once('=').unwrap();
                let mut run = evenkeel();
                run.args(&words[2..]).args(["--port", "0"]).env(name, value).current_dir(folder.path());
                let started = Dev::spawn(&mut run);
                // The following commands use this server.
                address = started.address.clone();
                dev = Some(started);
                "listening on http://127.0.0.1:7400\n".to_owned()
            }
            ("evenkeel", "serve") => {
                let mut serve = evenkeel();
                serve.args(&words[1..]).args(["--port", "0"]).current_dir(folder.path());
                let started = Dev::spawn(&mut serve);
                crate::serve::wait(&started, "live", crate::serve::is_ready, "the first commit");
                address = started.address.clone();
                servers.push(started);
                "listening on http://127.0.0.1:7400\n".to_owned()
            }
            ("evenkeel", _) => {
                let mut run = evenkeel();
                let own = |word: &String| word.replace("http://127.0.0.1:7400", &address);
                let run = run.args(words[1..].iter().map(own)).env("EVENKEEL_SERVER", &address);
                let run = said(&run.current_dir(folder.path()).output().unwrap());
                let refused = output.iter().any(|line| line.contains("not ready"));
                assert_eq!(run.code, i32::from(refused), "{command}: {}{}", run.out, run.err);
                run.out.replace(&address, "http://127.0.0.1:7400")
            }
            _ => panic!("the README shows a command that this test does not know: {command}"),
        };
        shows(&actual, &output).unwrap_or_else(|missing| panic!("{command}: {missing}"));
        ran += 1;
    }
    assert!(ran >= 12, "only {ran} commands were found");
}

/// The YAML in the README is right too.
#[test]
fn its_definitions_are_right() {
    let text = std::fs::read_to_string(root().join("README.md")).unwrap();
    let block = text
        .split("```yaml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .find(|block| block.contains("kind:"));
    let environment = "---\napiVersion: evenkeel.dev/v1alpha1\nkind: Environment\nmetadata: { name: draft }\nspec: { variables: { region: eu } }\n";
    let folder = crate::support::folder(&[("a.yaml", &format!("{}{environment}", block.unwrap()))]);
    let checked = crate::support::run(["validate".as_ref(), folder.path().as_os_str()]);
    assert_eq!(checked.code, 0, "{}", checked.out);
    let tested = crate::support::run(["test".as_ref(), folder.path().as_os_str()]);
    assert_eq!(tested.code, 0, "{}", tested.out);
}

#[test]
fn every_command_is_in_the_table() {
    let text = std::fs::read_to_string(root().join("README.md")).unwrap();
    let help = crate::support::run(["--help"]).out;
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let own = |line: &&str| line.starts_with("  ") && !line.starts_with("   ");
    for command in commands.filter(own).filter_map(|line| line.split_whitespace().next()) {
        assert!(text.contains(&format!("| `{command}` |")), "{command} is not in the README");
    }
}
