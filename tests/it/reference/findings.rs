//! The page about findings.

use evenkeel::text::{Severity, codes};

use super::markdown::{anchor, block, head};

/// The page.
pub fn page() -> String {
    let mut text = head(
        "Findings",
        "Every problem that `evenkeel validate`, `plan`, `dev` and the reconciler report has a code. Codes are stable and never \
         reused. `evenkeel explain CODE` prints the same on the command line.",
    );
    text += "An error keeps a definition from going live; a warning does not, unless `--strict` is given.\n\n";
    let mut family = "";
    for code in codes::ALL {
        if code.family() != family {
            family = code.family();
            text += &format!("## {}{}: {family}\n\n", &code.id[..4], "xx");
        }
        let severity = match code.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        text += &anchor(code.id);
        text += &format!("### {}: {}\n\nSeverity: {severity}. {}\n\n", code.id, code.title, code.explanation);
        if let Some(example) = code.example() {
            text += &format!("Wrong, in {}:\n\n{}", example.place(), block("yaml", example.wrong));
            text += &format!("Right:\n\n{}", block("yaml", example.right));
        }
    }
    text.trim_end().to_owned() + "\n"
}

#[test]
fn every_code_is_explained_in_full() {
    for code in codes::ALL {
        let is_retired = code.title.ends_with("(retired)");
        assert!(
            is_retired || code.explanation.len() >= 60 && code.explanation.ends_with('.'),
            "{}: {}",
            code.id,
            code.explanation
        );
    }
    let with_example = codes::ALL.iter().filter(|code| code.example().is_some()).count();
    assert!(with_example >= 40, "{with_example}");
}
