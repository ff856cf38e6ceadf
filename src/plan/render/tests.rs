//! Rendering of hostile and of large plans.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::definition::Kind;
use crate::plan::tests::object;
use crate::plan::{FileDiff, Inventory, Object, Plan, PlanOptions, SourceLocation, plan};
use crate::text::Severity;
use crate::text::render::ReportedFinding;

fn review() -> Review {
    Review::from(&Revisions { from: "main`</code>@team", to: "sha\u{202E}1", folder: "" })
}

fn planned(before: &[(&str, serde_json::Value)], after: &[(&str, serde_json::Value)]) -> Plan {
    let inventory = |definitions: &[(&str, serde_json::Value)]| -> Inventory {
        let entry = |(name, value): &(&str, serde_json::Value)| {
            let object = object(Kind::Workflow, name, value.clone(), "a</summary>`@x`\u{1b}[31m.yaml", &[]);
            (object.id.clone(), Arc::new(object))
        };
        definitions.iter().map(entry).collect()
    };
    plan(&inventory(before), &inventory(after), &PlanOptions { environment: "live--><img src=x>" })
}

/// The text without fences and code spans: the part that is interpreted as Markdown and HTML.
fn outside_of_code(markdown: &str) -> String {
    let mut text = String::new();
    let mut fence: Option<String> = None;
    for line in markdown.lines() {
        let ticks: String = line.chars().take_while(|c| *c == '`').collect();
        match &fence {
            Some(open) if ticks.len() >= open.len() && line.trim_end() == ticks => fence = None,
            Some(_) => {}
            None if ticks.len() >= 3 => fence = Some(ticks),
            None => {
                text += &line.split('`').step_by(2).collect::<Vec<_>>().join(" ");
                text += "\n";
            }
        }
    }
    assert!(fence.is_none(), "a fence is not closed:\n{markdown}");
    text
}

/// Row 72: `</details>`, mentions, images, escape sequences and directional marks.
#[test]
fn row_72_hostile_text_cannot_leave_its_code_span() {
    let evil = "</details>\n```\n````\n@everyone ![](http://track.example/x.png) <img src=x> \u{1b}[2J\u{202E}\u{200B}";
    let plan = planned(
        &[("w", json!({"a": evil, "k": 1, "`</details>@all`": 1}))],
        &[("w", json!({"a": format!("{evil}\nmore"), "k": evil})), ("new", json!(evil))],
    );
    let markdown = markdown(&plan, &review());
    let outside = outside_of_code(&markdown);
    for bad in ["@everyone", "@all", "@x", "@team", "track.example", "<img", "]("] {
        assert!(!outside.contains(bad), "{bad}:\n{outside}");
    }
    assert_eq!(outside.matches("<details>").count(), 2, "{outside}");
    assert_eq!(outside.matches("</details>").count(), 2, "{outside}");
    assert_eq!(outside.matches("<!--").count(), 1);
    assert!(markdown.starts_with("<!-- evenkeel:plan:live----img-src-x- -->\n"), "{markdown}");
    let human = human(&plan, &review(), false);
    for text in [&markdown, &human] {
        let bad = |c: char| c.is_control() && c != '\n' || "\u{202E}\u{200B}".contains(c);
        assert!(!text.contains(bad), "{text:?}");
    }
}

/// Row 73: a comment that would be too long is shortened by whole definitions and states so.
#[test]
fn row_73_a_comment_is_never_cut_within_a_fence() {
    let names: Vec<String> = (0..3000).map(|n| format!("w{n}")).collect();
    let long = |text: &str| {
        json!((0..400).map(|n| (format!("k{n}"), json!(format!("{text}{n}")))).collect::<serde_json::Map<_, _>>())
    };
    for count in [1, 3, 10, 400, 3000] {
        let definitions =
            |text: &str| names.iter().take(count).map(|name| (name.as_str(), long(text))).collect::<Vec<_>>();
        let plan = planned(&definitions("before ```` "), &definitions("after "));
        let markdown = markdown(&plan, &review());
        assert!(markdown.len() <= MAX_COMMENT, "{count}: {}", markdown.len());
        let outside = outside_of_code(&markdown);
        assert_eq!(outside.matches("<details>").count(), outside.matches("</details>").count());
        assert_eq!(count > 20, outside.contains("are shown without details or not at all"), "{count}");
        assert!(markdown.contains(&format!("{count} to change")) && markdown.ends_with("`\n"));
    }
}

#[test]
fn an_empty_plan_is_one_line() {
    let plan = planned(&[("w", json!(1))], &[("w", json!(1))]);
    assert_eq!(human(&plan, &review(), true), "No changes.\n");
    assert_eq!(markdown(&plan, &review()).lines().count(), 2);
}

#[test]
fn colours_are_optional() {
    let plan = planned(&[], &[("w", json!(1))]);
    assert!(human(&plan, &review(), true).contains("\u{1b}[") && !human(&plan, &review(), false).contains("\u{1b}["));
}

/// Findings, remarks, files and links hold text of others too.
#[test]
fn hostile_findings_files_and_links_stay_text() {
    let evil = "</details>\n```\n@everyone ![](http://track.example/x.png) <img src=x> `</code>@x` [a](b) \u{202E}";
    let finding = |severity| ReportedFinding {
        code: "EK0001".into(),
        severity,
        message: evil.into(),
        file: Some(format!("a)](http://track.example \"{evil}.yaml")),
        line: Some(3),
        column: Some(5),
        help: Some(evil.into()),
        end_line: None,
        end_column: None,
    };
    let host = "https://git.example/team/repo/blob/4f0c";
    let side = ReviewSide {
        name: evil.into(),
        folder: format!("d)({evil}"),
        url: Some(host.into()),
        findings: vec![finding(Severity::Warning), finding(Severity::Error)],
        ..ReviewSide::default()
    };
    let review = Review {
        environment: "live--><img src=x>".into(),
        before: side.clone(),
        after: side,
        notes: vec![evil.into()],
        error: Some(evil.into()),
    };
    let mut plan = planned(&[("w", json!({"a": 1}))], &[("w", json!({"a": 2}))]);
    plan.actions[0].files = vec![FileDiff {
        path: format!("w/{evil}.ts"),
        lines: vec!["@@ -1,1 +1,1 @@".into(), "-````".into(), format!("+{evil}")],
        omitted: 3,
        note: None,
    }];
    for text in [markdown(&plan, &review), markdown_without_plan(&review)] {
        let outside = outside_of_code(&text);
        for bad in ["@everyone", "@x", "://track.example", "<img", "</code>@"] {
            assert!(!outside.contains(bad), "{bad}:\n{outside}");
        }
        assert_eq!(outside.matches("<details>").count(), outside.matches("</details>").count(), "{outside}");
        assert!(outside.contains("]("), "{outside}");
        for link in outside.split("](").skip(1) {
            let url = link.split(')').next().unwrap();
            assert!(url.starts_with(host) && !url.contains([' ', '<', '"', '@', '\\', '`']), "{url}");
        }
        assert!(!text.contains('\u{202E}'));
        assert!(text.starts_with("<!-- evenkeel:plan:live----img-src-x- -->\n"), "{text}");
    }
    assert!(markdown_without_plan(&review).contains("### No plan: 1 error\n"));
    let document: serde_json::Value = serde_json::from_str(&document(None, &review)).unwrap();
    assert_eq!((&document["plan"], document["findings"].as_array().map(Vec::len)), (&json!(null), Some(2)));
}

#[test]
fn many_findings_fit_a_comment_with_the_errors_first() {
    let finding = |number: u32, severity| ReportedFinding {
        code: "EK0203".into(),
        severity,
        message: format!("finding {number}"),
        file: Some("defs/a.yaml".into()),
        line: Some(number),
        column: Some(1),
        help: Some("rename it".into()),
        end_line: None,
        end_column: None,
    };
    let mut findings: Vec<ReportedFinding> = (0..5000).map(|number| finding(number, Severity::Warning)).collect();
    findings.push(finding(9999, Severity::Error));
    let review = Review { after: ReviewSide { findings, ..ReviewSide::default() }, ..Review::default() };
    let text = markdown_without_plan(&review);
    assert!(text.len() <= MAX_COMMENT, "{}", text.len());
    assert!(text.contains("### No plan: 1 error, 5000 warnings\n"), "{text}");
    let first = text.lines().find(|line| line.starts_with("- ")).unwrap();
    assert_eq!(first, "- **error** `EK0203` `defs/a.yaml:9999:1`: finding 9999");
    assert!(text.contains("more; `evenkeel validate` shows all"), "{text}");
}

#[test]
fn new_values_are_blocks_of_yaml_and_tests_are_apart() {
    let object = |spec: serde_json::Value| -> Inventory {
        let document = json!({"kind": "Connector", "metadata": {"name": "c"}, "spec": spec});
        let id = crate::plan::tests::id(Kind::Connector, "c");
        Inventory::from([(
            id.clone(),
            Arc::new(Object::new(id, document, SourceLocation::default(), BTreeSet::default())),
        )])
    };
    let options = PlanOptions { environment: "live" };
    let action = json!({"http": {"method": "GET", "path": "/contacts/{{ pathParams.id }}", "query": {"full": true}}});
    let mut with_test = action.clone();
    with_test["tests"] = json!([{"name": "full", "expectRequest": {"path": "/contacts/1"}}]);
    let before = object(json!({"baseUrl": "https://a.example", "actions": {"get": action}}));
    let after = object(json!({"baseUrl": "https://b.example", "actions": {"get": with_test, "put": with_test}}));
    let text = markdown(&plan(&before, &after, &options), &Review::default());
    assert!(text.contains("+ spec.actions.put:\n+   http:\n+     method: GET\n"), "{text}");
    let (effects, tests) = text.split_once("<summary>tests</summary>").unwrap();
    assert!(!effects.contains("expectRequest") && tests.contains("expectRequest"), "{text}");
    assert!(tests.contains("+ spec.actions.put.tests: full\n"), "{text}");
    assert!(effects.contains("2 fields differ from the declaration, and its tests change"), "{text}");
    // Only tests: no effect.
    let only = object(json!({"baseUrl": "https://a.example", "actions": {"get": with_test}}));
    let text = markdown(&plan(&before, &only, &options), &Review::default());
    assert!(text.contains("</code> · tests only</summary>"), "{text}");
    assert!(text.contains("only its tests differ from the declaration"), "{text}");
    let created = markdown(&plan(&Inventory::new(), &after, &options), &Review::default());
    assert!(created.contains("+ actions:\n+   get:\n+     http:\n"), "{created}");
}
