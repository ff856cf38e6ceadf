//! The code of workflows, compiled by the engine that runs it.

use std::sync::Arc;

use super::program::{Program, Programs};
use super::quickjs;

/// Code that the engine cannot compile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeError {
    /// The workflow.
    pub workflow: String,
    /// `file:line:column` of the error.
    pub place: String,
    /// The message of the engine.
    pub message: String,
}

/// Compiles the code of workflows with QuickJS, which refuses some code that the reader of scripts accepts. Programs of
/// `before` are not compiled again, and neither are inactive ones.
pub fn code_errors(programs: &Programs, before: Option<&Programs>) -> Vec<CodeError> {
    let is_known = |program: &Arc<Program>| {
        before.and_then(|before| before.get(&program.name)).is_some_and(|known| Arc::ptr_eq(known, program))
    };
    let new = programs.values().filter(|program| program.spec.active && !is_known(program));
    let new: Vec<(&Program, &str)> = new.filter_map(|program| Some((&**program, program.code.as_deref()?))).collect();
    let scripts: Vec<(&str, &str)> = new.iter().map(|(program, code)| (program.file.as_str(), *code)).collect();
    let errors = quickjs::compile_errors(&scripts).into_iter();
    let error = |(at, error): (usize, super::engine::ScriptException)| {
        let program = new[at].0;
        // The engine gives no line for some errors, such as those in regular expressions.
        let is_file = !program.source_location.starts_with(&format!("{}:", program.file));
        let place = match error.line {
            0 if is_file => program.file.clone(),
            0 => program.source_location.clone(),
            line => format!("{}:{}:{}", program.file, line + program.line, error.column.max(1)),
        };
        CodeError { workflow: program.name.clone(), place, message: error.message }
    };
    errors.map(error).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Snapshot;

    fn programs(code: &str) -> Programs {
        let text = format!(
            "apiVersion: evenkeel.dev/v1alpha1\nkind: Workflow\nmetadata: {{ name: flow }}\nspec:\n  tier: Standard\n  source:\n    \
             inline: |\n      export default async () => 1\n      {code}\n"
        );
        let (catalog, findings) = crate::catalog::load(&Snapshot::of([("flow.yaml", text.as_bytes())]));
        assert!(findings.is_empty(), "{findings:?}");
        super::super::compile(&catalog, &|_| None, None).unwrap()
    }

    #[test]
    fn code_that_only_the_reader_of_scripts_accepts_is_an_error_at_its_place() {
        let broken = programs("export const pattern = /(?<=a/v;");
        let errors = code_errors(&broken, None);
        let [error] = errors.as_slice() else { panic!("{errors:?}") };
        assert_eq!((error.workflow.as_str(), error.place.as_str()), ("flow", "flow.yaml:3"));
        assert!(error.message.starts_with("SyntaxError"), "{error:?}");
        assert_eq!(code_errors(&broken, Some(&broken)), [], "known programs are not compiled again");
        assert_eq!(code_errors(&programs("export const pattern = /(?<=a)b/u;"), None), []);
    }
}
