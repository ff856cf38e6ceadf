//! JSON whose strings are templates.

use super::{Context, Limits, Problem, RenderError, RenderErrorKind, Template};

/// Maximum nesting of a tree, equal to the limit of `serde_json`.
const MAX_DEPTH: usize = 128;

/// A JSON tree whose string leaves are templates.  The keys of maps are
/// literal.
#[derive(Debug)]
pub enum Tree {
    /// A leaf or a branch without templates.
    Literal(serde_json::Value),
    /// A string that contains Jinja.
    Leaf(Template),
    /// An array.
    Array(Vec<Tree>),
    /// An object.
    Object(Vec<(String, Tree)>),
}

impl Tree {
    /// Compiles all strings of a value.
    ///
    /// # Errors
    /// The JSON pointer of the first invalid leaf, and its problem.
    pub fn compile(value: &serde_json::Value) -> Result<Tree, (String, Problem)> {
        Tree::compile_at(value, 0).map_err(|(mut path, problem)| {
            path.reverse();
            (pointer(&path), problem)
        })
    }

    /// Renders all leaves.  The output limit applies to the whole tree, all other
    /// limits to each leaf.
    pub fn render(&self, ctx: &Context, limits: &Limits) -> Result<serde_json::Value, RenderError> {
        let mut left = *limits;
        self.render_at(ctx, &mut left).map_err(|(mut path, error)| {
            path.reverse();
            RenderError { pointer: Some(pointer(&path)), ..error }
        })
    }

    fn compile_at(value: &serde_json::Value, depth: usize) -> Result<Tree, (Vec<String>, Problem)> {
        use serde_json::Value as Json;
        if depth > MAX_DEPTH {
            let problem = Problem::new(super::ProblemKind::TooLarge, "the value is nested too deeply", 0..0);
            return Err((Vec::new(), problem));
        }
        let tree = match value {
            Json::String(source) => {
                let template = Template::compile(source).map_err(|p| (Vec::new(), p))?;
                if template.is_plain() { Tree::Literal(value.clone()) } else { Tree::Leaf(template) }
            }
            Json::Array(items) => {
                let items = items
                    .iter()
                    .enumerate()
                    .map(|(at, item)| Tree::compile_at(item, depth + 1).map_err(|e| inside(e, at.to_string())))
                    .collect::<Result<Vec<_>, _>>()?;
                if items.iter().all(Tree::is_literal) { Tree::Literal(value.clone()) } else { Tree::Array(items) }
            }
            Json::Object(map) => {
                let entries = map
                    .iter()
                    .map(|(key, item)| {
                        Tree::compile_at(item, depth + 1)
                            .map(|tree| (key.clone(), tree))
                            .map_err(|e| inside(e, key.clone()))
                    })
                    .collect::<Result<Vec<_>, _>>()?;
                if entries.iter().all(|(_, tree)| tree.is_literal()) {
                    Tree::Literal(value.clone())
                } else {
                    Tree::Object(entries)
                }
            }
            other => Tree::Literal(other.clone()),
        };
        Ok(tree)
    }

    fn is_literal(&self) -> bool {
        matches!(self, Tree::Literal(_))
    }

    fn render_at(&self, ctx: &Context, left: &mut Limits) -> Result<serde_json::Value, (Vec<String>, RenderError)> {
        match self {
            Tree::Literal(value) => Ok(value.clone()),
            Tree::Leaf(template) => {
                let value = template.render_value(ctx, left).map_err(|error| (Vec::new(), error))?;
                // The output limit is shared, so that many leaves cannot multiply it.
                left.output_bytes =
                    left.output_bytes.checked_sub(size_of_json(&value)).ok_or_else(|| (Vec::new(), too_large()))?;
                Ok(value)
            }
            Tree::Array(items) => items
                .iter()
                .enumerate()
                .map(|(at, item)| item.render_at(ctx, left).map_err(|e| inside(e, at.to_string())))
                .collect::<Result<Vec<_>, _>>()
                .map(serde_json::Value::Array),
            Tree::Object(entries) => entries
                .iter()
                .map(|(key, item)| {
                    item.render_at(ctx, left).map(|value| (key.clone(), value)).map_err(|e| inside(e, key.clone()))
                })
                .collect::<Result<serde_json::Map<_, _>, _>>()
                .map(serde_json::Value::Object),
        }
    }
}

/// Adds a step to the path of an error; the innermost step comes first.
fn inside<E>((mut path, error): (Vec<String>, E), step: String) -> (Vec<String>, E) {
    path.push(step);
    (path, error)
}

fn pointer(path: &[String]) -> String {
    path.iter().map(|step| format!("/{}", crate::text::escaped(step))).collect()
}

fn too_large() -> RenderError {
    RenderError {
        kind: RenderErrorKind::OutputTooLarge,
        message: "the rendered value is too large".to_owned(),
        line: 1,
        range: None,
        pointer: None,
    }
}

fn size_of_json(value: &serde_json::Value) -> usize {
    use serde_json::Value as Json;
    match value {
        Json::Null | Json::Bool(_) | Json::Number(_) => 8,
        Json::String(text) => text.len() + 2,
        Json::Array(items) => items.iter().map(size_of_json).sum::<usize>() + 2,
        Json::Object(map) => {
            let entries = map.iter();
            entries.map(|(key, item)| key.len() + 4 + size_of_json(item)).sum::<usize>() + 2
        }
    }
}
