//! Rendering of hostile and of large plans.

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::definition::Kind;
use crate::plan::tests::object;
use crate::plan::{Inventory, Plan, PlanOptions, plan};

const REVISIONS: Revisions<'_> = Revisions { from: "main`</code>@team", to: "sha\u{202E}1" };

fn planned(before: &[(&str, serde_json::Value)], after: &[(&str, serde_json::Value)]) -> Plan {
    let inventory = |definitions: &[(&str, serde_json::Value)]| -> Inventory {
        let entry = |(name, value): &(&str, serde_json::Value)| {
            let object = object(Kind::Workflow, name, value.clone(), "a</summary>`@x`\u{1b}[31m.yaml", &[]);
            (object.id.clone(), Arc::new(object))
        };
        definitions.iter().map(entry).collect()
    };
    plan(&inventory(before), &inventory(after), &PlanOptions { environment: "live--><img src=x>", fingerprint: None })
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
    let markdown = markdown(&plan, &REVISIONS);
    let outside = outside_of_code(&markdown);
    for bad in ["@everyone", "@all", "@x", "@team", "track.example", "<img", "]("] {
        assert!(!outside.contains(bad), "{bad}:\n{outside}");
    }
    assert_eq!(outside.matches("<details>").count(), 2, "{outside}");
    assert_eq!(outside.matches("</details>").count(), 2, "{outside}");
    assert_eq!(outside.matches("<!--").count(), 1);
    assert!(markdown.starts_with("<!-- evenkeel:plan:live----img-src-x- -->\n"), "{markdown}");
    let human = human(&plan, false);
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
        let markdown = markdown(&plan, &REVISIONS);
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
    assert_eq!(human(&plan, true), "No changes.\n");
    assert_eq!(markdown(&plan, &REVISIONS).lines().count(), 2);
}

#[test]
fn colours_are_optional() {
    let plan = planned(&[], &[("w", json!(1))]);
    assert!(human(&plan, true).contains("\u{1b}[") && !human(&plan, false).contains("\u{1b}["));
}
