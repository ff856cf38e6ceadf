use super::location::is_unsafe;
use super::*;
use crate::text::{Finding, ReadLimits, Severity, SourceMap, codes, read, sort};

/// A report about two files with several kinds of errors.
fn report(output: OutputFormat) -> String {
    let (mut sources, mut findings) = (SourceMap::default(), Vec::new());
    let limits = ReadLimits::default();
    read(&mut sources, "a b/ü.yaml", b"k: 1\nurl: {{ x }}\nk: 0123\n", &limits, &mut findings);
    read(&mut sources, "c.yaml", "t: ü !x # \u{202E}\n\u{9b}31m: !y 1\n".as_bytes(), &limits, &mut findings);
    let span = findings[0].span().unwrap();
    findings.push(Finding::new(&codes::UNUSED, span, "nothing <uses> it,\nnot: 100%").severity(Severity::Warning));
    findings.push(Finding {
        labels: Vec::new(),
        ..Finding::new(&codes::EMPTY, span, "no definitions here").help("check the path")
    });
    sort(&mut findings, &sources);
    render(&Report { findings: &findings, sources: &sources, definitions: 2 }, output, false, 100)
}

fn empty_report(output: OutputFormat) -> String {
    render(&Report { findings: &[], sources: &SourceMap::default(), definitions: 12 }, output, false, 100)
}

#[test]
fn formats_are_found_by_name() {
    for output in OutputFormat::ALL {
        assert_eq!(output.name().parse(), Ok(output));
    }
    assert_eq!(
        "JSON".parse::<OutputFormat>(),
        Err("expected one of human, json, sarif, junit, github, gitlab".to_owned())
    );
}

#[test]
fn renders_text_for_a_terminal() {
    insta::assert_snapshot!(report(OutputFormat::Human), @r#"
    warning[EK0011]: no definitions here
     |
     = help: check the path

    error[EK0004]: a value that starts with a template needs quotes around it
     --> a b/ü.yaml:2:6
      |
    2 | url: {{ x }}
      |      ^^^^^^^
      |
      = help: write `"{{ x }}"`

    warning[EK0209]: nothing <uses> it, not: 100%
     --> a b/ü.yaml:2:6
      |
    2 | url: {{ x }}
      |      ^^^^^^^

    error[EK0005]: the key `k` occurs twice in one map
     --> a b/ü.yaml:3:1
      |
    1 | k: 1
      | - first here
    2 | url: {{ x }}
    3 | k: 0123
      | ^ again here
      |
      = help: remove one of the two

    error[EK0006]: `0123` is read as different numbers by different YAML readers
     --> a b/ü.yaml:3:4
      |
    3 | k: 0123
      |    ^^^^
      |
      = help: quote it if it is text: `"0123"`; drop the leading zero if it is a number

    error[EK0004]: the control character U+009B is not allowed here
     --> c.yaml:2:1
      |
    2 | �31m: !y 1
      | ^
      |
      = help: put the whole value in quotes

    4 errors, 2 warnings in 2 definitions
    run `evenkeel explain EK0004` for details
    "#);
    insta::assert_snapshot!(empty_report(OutputFormat::Human), @"12 definitions, no findings");
}

#[test]
fn renders_json() {
    insta::assert_snapshot!(report(OutputFormat::Json), @r#"
    {
      "findings": [
        {
          "code": "EK0011",
          "severity": "warning",
          "message": "no definitions here",
          "file": null,
          "line": null,
          "column": null,
          "help": "check the path",
          "endLine": null,
          "endColumn": null
        },
        {
          "code": "EK0004",
          "severity": "error",
          "message": "a value that starts with a template needs quotes around it",
          "file": "a b/ü.yaml",
          "line": 2,
          "column": 6,
          "help": "write `\"{{ x }}\"`",
          "endLine": 2,
          "endColumn": 13
        },
        {
          "code": "EK0209",
          "severity": "warning",
          "message": "nothing <uses> it,\nnot: 100%",
          "file": "a b/ü.yaml",
          "line": 2,
          "column": 6,
          "help": null,
          "endLine": 2,
          "endColumn": 13
        },
        {
          "code": "EK0005",
          "severity": "error",
          "message": "the key `k` occurs twice in one map",
          "file": "a b/ü.yaml",
          "line": 3,
          "column": 1,
          "help": "remove one of the two",
          "endLine": 3,
          "endColumn": 2
        },
        {
          "code": "EK0006",
          "severity": "error",
          "message": "`0123` is read as different numbers by different YAML readers",
          "file": "a b/ü.yaml",
          "line": 3,
          "column": 4,
          "help": "quote it if it is text: `\"0123\"`; drop the leading zero if it is a number",
          "endLine": 3,
          "endColumn": 8
        },
        {
          "code": "EK0004",
          "severity": "error",
          "message": "the control character U+009B is not allowed here",
          "file": "c.yaml",
          "line": 2,
          "column": 1,
          "help": "put the whole value in quotes",
          "endLine": 2,
          "endColumn": 2
        }
      ],
      "summary": {
        "definitions": 2,
        "errors": 4,
        "warnings": 2
      }
    }
    "#);
    insta::assert_snapshot!(empty_report(OutputFormat::Json), @r#"
    {
      "findings": [],
      "summary": {
        "definitions": 12,
        "errors": 0,
        "warnings": 0
      }
    }
    "#);
}

#[test]
#[allow(clippy::too_many_lines, reason = "one long snapshot")]
fn renders_sarif() {
    let version = format!("\"semanticVersion\": \"{}\"", env!("CARGO_PKG_VERSION"));
    let sarif = report(OutputFormat::Sarif).replace(&version, "\"semanticVersion\": \"VERSION\"");
    insta::assert_snapshot!(sarif, @r#"
    {
      "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
      "version": "2.1.0",
      "runs": [
        {
          "tool": {
            "driver": {
              "name": "evenkeel",
              "semanticVersion": "VERSION",
              "rules": [
                {
                  "id": "EK0004",
                  "shortDescription": {
                    "text": "a file is not valid YAML or JSON"
                  },
                  "fullDescription": {
                    "text": "The text could not be understood. Frequent causes: a tab used for indentation, a missing space after `:`, a value that starts with `{`, `[`, `*`, `&`, `!`, `%` or `@` and needs quotes, and text that contains `: ` without quotes. Templates must be quoted: `url: \"{{ input.url }}\"`."
                  },
                  "help": {
                    "text": "The text could not be understood. Frequent causes: a tab used for indentation, a missing space after `:`, a value that starts with `{`, `[`, `*`, `&`, `!`, `%` or `@` and needs quotes, and text that contains `: ` without quotes. Templates must be quoted: `url: \"{{ input.url }}\"`.",
                    "markdown": "The text could not be understood. Frequent causes: a tab used for indentation, a missing space after `:`, a value that starts with `{`, `[`, `*`, `&`, `!`, `%` or `@` and needs quotes, and text that contains `: ` without quotes. Templates must be quoted: `url: \"{{ input.url }}\"`."
                  },
                  "defaultConfiguration": {
                    "level": "error"
                  }
                },
                {
                  "id": "EK0005",
                  "shortDescription": {
                    "text": "a key occurs twice in one map"
                  },
                  "fullDescription": {
                    "text": "YAML and JSON readers disagree on which of two equal keys wins, so this is refused. Remove one."
                  },
                  "help": {
                    "text": "YAML and JSON readers disagree on which of two equal keys wins, so this is refused. Remove one.",
                    "markdown": "YAML and JSON readers disagree on which of two equal keys wins, so this is refused. Remove one."
                  },
                  "defaultConfiguration": {
                    "level": "error"
                  }
                },
                {
                  "id": "EK0006",
                  "shortDescription": {
                    "text": "a number that readers disagree on"
                  },
                  "fullDescription": {
                    "text": "`0123` is 123 to one YAML reader, 83 (octal) to another, and text to a third. Quote it if it is text (`\"0123\"`); drop the zero if it is a number."
                  },
                  "help": {
                    "text": "`0123` is 123 to one YAML reader, 83 (octal) to another, and text to a third. Quote it if it is text (`\"0123\"`); drop the zero if it is a number.",
                    "markdown": "`0123` is 123 to one YAML reader, 83 (octal) to another, and text to a third. Quote it if it is text (`\"0123\"`); drop the zero if it is a number."
                  },
                  "defaultConfiguration": {
                    "level": "error"
                  }
                },
                {
                  "id": "EK0011",
                  "shortDescription": {
                    "text": "no definitions here"
                  },
                  "fullDescription": {
                    "text": "The folder or file contains no document with `apiVersion: evenkeel.dev/…`. Check the path. A file without definitions beside others is a warning; a folder without any is an error."
                  },
                  "help": {
                    "text": "The folder or file contains no document with `apiVersion: evenkeel.dev/…`. Check the path. A file without definitions beside others is a warning; a folder without any is an error.",
                    "markdown": "The folder or file contains no document with `apiVersion: evenkeel.dev/…`. Check the path. A file without definitions beside others is a warning; a folder without any is an error."
                  },
                  "defaultConfiguration": {
                    "level": "warning"
                  }
                },
                {
                  "id": "EK0209",
                  "shortDescription": {
                    "text": "something declared that nothing uses"
                  },
                  "fullDescription": {
                    "text": "Nothing refers to it, so it has no effect and misleads its readers. Remove it, or use it."
                  },
                  "help": {
                    "text": "Nothing refers to it, so it has no effect and misleads its readers. Remove it, or use it.",
                    "markdown": "Nothing refers to it, so it has no effect and misleads its readers. Remove it, or use it."
                  },
                  "defaultConfiguration": {
                    "level": "warning"
                  }
                }
              ]
            }
          },
          "columnKind": "unicodeCodePoints",
          "results": [
            {
              "ruleId": "EK0011",
              "ruleIndex": 3,
              "level": "warning",
              "message": {
                "text": "no definitions here. Help: check the path."
              },
              "locations": []
            },
            {
              "ruleId": "EK0004",
              "ruleIndex": 0,
              "level": "error",
              "message": {
                "text": "a value that starts with a template needs quotes around it. Help: write `\"{{ x }}\"`."
              },
              "locations": [
                {
                  "physicalLocation": {
                    "artifactLocation": {
                      "uri": "a%20b/%C3%BC.yaml",
                      "uriBaseId": "%SRCROOT%"
                    },
                    "region": {
                      "startLine": 2,
                      "startColumn": 6,
                      "endLine": 2,
                      "endColumn": 13
                    }
                  }
                }
              ]
            },
            {
              "ruleId": "EK0209",
              "ruleIndex": 4,
              "level": "warning",
              "message": {
                "text": "nothing <uses> it,\nnot: 100%."
              },
              "locations": [
                {
                  "physicalLocation": {
                    "artifactLocation": {
                      "uri": "a%20b/%C3%BC.yaml",
                      "uriBaseId": "%SRCROOT%"
                    },
                    "region": {
                      "startLine": 2,
                      "startColumn": 6,
                      "endLine": 2,
                      "endColumn": 13
                    }
                  }
                }
              ]
            },
            {
              "ruleId": "EK0005",
              "ruleIndex": 1,
              "level": "error",
              "message": {
                "text": "the key `k` occurs twice in one map. Help: remove one of the two."
              },
              "locations": [
                {
                  "physicalLocation": {
                    "artifactLocation": {
                      "uri": "a%20b/%C3%BC.yaml",
                      "uriBaseId": "%SRCROOT%"
                    },
                    "region": {
                      "startLine": 3,
                      "startColumn": 1,
                      "endLine": 3,
                      "endColumn": 2
                    }
                  }
                }
              ],
              "relatedLocations": [
                {
                  "physicalLocation": {
                    "artifactLocation": {
                      "uri": "a%20b/%C3%BC.yaml",
                      "uriBaseId": "%SRCROOT%"
                    },
                    "region": {
                      "startLine": 1,
                      "startColumn": 1,
                      "endLine": 1,
                      "endColumn": 2
                    }
                  },
                  "message": {
                    "text": "first here"
                  }
                }
              ]
            },
            {
              "ruleId": "EK0006",
              "ruleIndex": 2,
              "level": "error",
              "message": {
                "text": "`0123` is read as different numbers by different YAML readers. Help: quote it if it is text: `\"0123\"`; drop the leading zero if it is a number."
              },
              "locations": [
                {
                  "physicalLocation": {
                    "artifactLocation": {
                      "uri": "a%20b/%C3%BC.yaml",
                      "uriBaseId": "%SRCROOT%"
                    },
                    "region": {
                      "startLine": 3,
                      "startColumn": 4,
                      "endLine": 3,
                      "endColumn": 8
                    }
                  }
                }
              ]
            },
            {
              "ruleId": "EK0004",
              "ruleIndex": 0,
              "level": "error",
              "message": {
                "text": "the control character U+009B is not allowed here. Help: put the whole value in quotes."
              },
              "locations": [
                {
                  "physicalLocation": {
                    "artifactLocation": {
                      "uri": "c.yaml",
                      "uriBaseId": "%SRCROOT%"
                    },
                    "region": {
                      "startLine": 2,
                      "startColumn": 1,
                      "endLine": 2,
                      "endColumn": 2
                    }
                  }
                }
              ]
            }
          ]
        }
      ]
    }
    "#);
}

#[test]
fn renders_junit() {
    insta::assert_snapshot!(report(OutputFormat::Junit), @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <testsuites name="evenkeel validate" tests="6" failures="4" errors="0">
      <testsuite name="evenkeel validate" tests="6" failures="4" errors="0" skipped="0">
        <testcase classname="evenkeel validate" name="EK0011 evenkeel validate">
          <system-out>warning[EK0011]: evenkeel validate: no definitions here
    help: check the path</system-out>
        </testcase>
        <testcase classname="a b/ü.yaml" name="EK0004 a b/ü.yaml:2:6">
          <failure type="EK0004" message="a value that starts with a template needs quotes around it">a b/ü.yaml:2:6: a value that starts with a template needs quotes around it
    help: write `&quot;{{ x }}&quot;`</failure>
        </testcase>
        <testcase classname="a b/ü.yaml" name="EK0209 a b/ü.yaml:2:6">
          <system-out>warning[EK0209]: a b/ü.yaml:2:6: nothing &lt;uses&gt; it,&#10;not: 100%</system-out>
        </testcase>
        <testcase classname="a b/ü.yaml" name="EK0005 a b/ü.yaml:3:1">
          <failure type="EK0005" message="the key `k` occurs twice in one map">a b/ü.yaml:3:1: the key `k` occurs twice in one map
    help: remove one of the two</failure>
        </testcase>
        <testcase classname="a b/ü.yaml" name="EK0006 a b/ü.yaml:3:4">
          <failure type="EK0006" message="`0123` is read as different numbers by different YAML readers">a b/ü.yaml:3:4: `0123` is read as different numbers by different YAML readers
    help: quote it if it is text: `&quot;0123&quot;`; drop the leading zero if it is a number</failure>
        </testcase>
        <testcase classname="c.yaml" name="EK0004 c.yaml:2:1">
          <failure type="EK0004" message="the control character U+009B is not allowed here">c.yaml:2:1: the control character U+009B is not allowed here
    help: put the whole value in quotes</failure>
        </testcase>
      </testsuite>
    </testsuites>
    "#);
    insta::assert_snapshot!(empty_report(OutputFormat::Junit), @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <testsuites name="evenkeel validate" tests="1" failures="0" errors="0">
      <testsuite name="evenkeel validate" tests="1" failures="0" errors="0" skipped="0">
        <testcase classname="evenkeel validate" name="12 definitions"/>
      </testsuite>
    </testsuites>
    "#);
}

#[test]
fn renders_github_commands() {
    insta::assert_snapshot!(report(OutputFormat::Github), @r#"
    ::warning title=EK0011::no definitions here%0Acheck the path
    ::error file=a b/ü.yaml,line=2,col=6,endLine=2,endColumn=13,title=EK0004::a value that starts with a template needs quotes around it%0Awrite `"{{ x }}"`
    ::warning file=a b/ü.yaml,line=2,col=6,endLine=2,endColumn=13,title=EK0209::nothing <uses> it,%0Anot: 100%25
    ::error file=a b/ü.yaml,line=3,col=1,endLine=3,endColumn=2,title=EK0005::the key `k` occurs twice in one map%0Aremove one of the two
    ::error file=a b/ü.yaml,line=3,col=4,endLine=3,endColumn=8,title=EK0006::`0123` is read as different numbers by different YAML readers%0Aquote it if it is text: `"0123"`; drop the leading zero if it is a number
    ::error file=c.yaml,line=2,col=1,endLine=2,endColumn=2,title=EK0004::the control character U+009B is not allowed here%0Aput the whole value in quotes
    "#);
    insta::assert_snapshot!(empty_report(OutputFormat::Github), @"");
}

#[test]
fn renders_a_code_quality_report_of_gitlab() {
    let items = |text: &[u8]| -> Vec<serde_json::Value> {
        let (mut sources, mut findings) = (SourceMap::default().with_path_prefix("defs"), Vec::new());
        read(&mut sources, "a.yaml", text, &ReadLimits::default(), &mut findings);
        let report = Report { findings: &findings, sources: &sources, definitions: 0 };
        serde_json::from_str(&render(&report, OutputFormat::Gitlab, false, 100)).unwrap()
    };
    let found = items(b"k: 0123\nl: 0123\n");
    assert_eq!(found.len(), 2);
    assert_eq!((&found[0]["check_name"], &found[0]["severity"]), (&"EK0006".into(), &"major".into()));
    assert_eq!(found[0]["location"], serde_json::json!({"path": "defs/a.yaml", "lines": {"begin": 1}}));
    let fingerprints = |found: &[serde_json::Value]| -> Vec<String> {
        found.iter().map(|item| item["fingerprint"].as_str().unwrap().to_owned()).collect()
    };
    let first = fingerprints(&found);
    assert_ne!(first[0], first[1], "equal findings of one file are numbered");
    let moved = items(b"# A comment.\n\nk: 0123\nl: 0123\n");
    assert_eq!(fingerprints(&moved), first, "an edit above changes no fingerprint");
    assert_eq!(moved[0]["location"]["lines"]["begin"], 3);
    assert_eq!(empty_report(OutputFormat::Gitlab), "[]\n");
    // Every entry has a path and a line, also a finding without a file.
    let all: Vec<serde_json::Value> = serde_json::from_str(&report(OutputFormat::Gitlab)).unwrap();
    assert!(all.iter().all(|item| item["location"]["path"].is_string() && item["location"]["lines"]["begin"].is_u64()));
}

#[test]
fn renders_labels_in_several_files_and_long_lines() {
    let (mut sources, mut findings) = (SourceMap::default(), Vec::new());
    let limits = ReadLimits::default();
    let long = format!("a: {}\n", "ä".repeat(5000));
    let one = read(&mut sources, "one.yaml", long.as_bytes(), &limits, &mut findings);
    let two = read(&mut sources, "two.yaml", b"b:\n  c: 1\n  d: 2\ne: 3\n", &limits, &mut findings);
    let (one, two) = (&one[0], &two[0]);
    let middle = crate::text::Range { start: 4003, end: 4103 }.within(one.source);
    let finding = Finding::new(&codes::CYCLE, middle, "a circle")
        .label("starts here")
        .also(two.root.get("b").unwrap().span.within(two.source), "goes on here")
        .also(two.root.get("e").unwrap().span.within(two.source), "and here");
    let out =
        render(&Report { findings: &[finding], sources: &sources, definitions: 1 }, OutputFormat::Human, false, 100);
    assert!(out.lines().all(|line| line.chars().count() <= LINE_AND_MARGIN), "{out}");
    insta::assert_snapshot!(out, @r#"
    error[EK0206]: a circle
     --> one.yaml:1:2004
      |
     ::: 
    1 | ...ääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääää...
      |                  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ starts here
      |
     ::: two.yaml:2:3
      |
    2 |   c: 1
      |   ---- goes on here
    3 |   d: 2
    4 | e: 3
      |    - and here

    1 error in 1 definition
    run `evenkeel explain EK0206` for details
    "#);
}

const LINE_AND_MARGIN: usize = 420;

#[test]
fn emits_no_escapes_except_colours() {
    let (mut sources, mut findings) = (SourceMap::default(), Vec::new());
    let text = "\u{9b}31m: !y \"\u{202E}\u{2066}\u{200F}\"\n".as_bytes();
    read(&mut sources, "x\u{1b}[31m.yaml", text, &ReadLimits::default(), &mut findings);
    assert!(!findings.is_empty());
    let report = Report { findings: &findings, sources: &sources, definitions: 1 };
    assert!(
        !render(&report, OutputFormat::Human, false, 80)
            .chars()
            .any(|character| character != '\n' && is_unsafe(character))
    );
    assert!(render(&report, OutputFormat::Human, true, 80).contains("\u{1b}[1m"));
}
