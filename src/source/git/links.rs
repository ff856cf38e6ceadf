//! Symbolic links of a revision: followed inside the folder that is read, as in folders on disk.

use git2::{ObjectType, Repository, Tree};

/// The mode of a link (gitformat-index(5)).
pub(super) const LINK: i32 = 0o120000;
/// Maximum number of links that the path of one file leads through.
const MAX_HOPS: usize = 16;
/// Maximum length of the target of a link in bytes; longer ones lead nowhere.
const MAX_TARGET_BYTES: usize = 4096;

/// The path that a path leads to, without links; `link` is the target of a link at a path.
///
/// # Errors
/// The reason why it leads nowhere: it completes the sentence "the link leads to `target`, …".
pub(super) fn resolve(path: &str, link: impl Fn(&str) -> Option<String>) -> Result<String, &'static str> {
    let outside = "which is outside of the folder";
    let mut rest: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
    let mut done: Vec<String> = Vec::new();
    let mut hops = 0;
    while let Some(part) = rest.pop() {
        match part.as_str() {
            "" | "." => continue,
            ".." => {
                done.pop().ok_or(outside)?;
                continue;
            }
            _ => done.push(part),
        }
        let Some(target) = link(&done.join("/")) else { continue };
        hops += 1;
        if hops > MAX_HOPS {
            return Err("which leads back to it");
        }
        if target.starts_with('/') {
            return Err(outside);
        }
        done.pop();
        rest.extend(target.split('/').rev().map(str::to_owned));
    }
    Ok(done.join("/"))
}

/// The target of a link in a tree; `None` if there is no link at this path.
pub(super) fn target_in(repository: &Repository, root: &Tree<'_>, path: &str) -> Option<String> {
    let entry = root.get_path(std::path::Path::new(path)).ok()?;
    if entry.filemode() != LINK || entry.kind() != Some(ObjectType::Blob) {
        return None;
    }
    Some(target(repository, entry.id()))
}

/// The target of a link; empty if it is too long or no text, so that it leads to the folder itself.
pub(super) fn target(repository: &Repository, id: git2::Oid) -> String {
    let Ok(odb) = repository.odb() else { return String::new() };
    match odb.read_header(id) {
        Ok((size, _)) if size <= MAX_TARGET_BYTES => {}
        _ => return String::new(),
    }
    let target = odb.read(id).ok().and_then(|object| String::from_utf8(object.data().to_vec()).ok());
    target.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_a_path_inside_of_the_folder_or_nowhere() {
        let link = |path: &str| {
            let links = [
                ("a.yaml", "b/a.yaml"),
                ("b", "real"),
                ("real/up", ".."),
                ("real/c.yaml", "../d.yaml"),
                ("out", "../x"),
                ("deep/out", "../../x"),
                ("absolute", "/etc/passwd"),
                ("self", "self"),
                ("one", "two"),
                ("two", "one"),
            ];
            links.iter().find(|(known, _)| *known == path).map(|(_, target)| (*target).to_owned())
        };
        for (path, expected) in [
            ("d.yaml", Ok("d.yaml")),
            ("a.yaml", Ok("real/a.yaml")),
            ("b/c.yaml", Ok("d.yaml")),
            ("b/up/d.yaml", Ok("d.yaml")),
            ("real/up", Ok("")),
            ("out", Err("which is outside of the folder")),
            ("deep/out", Err("which is outside of the folder")),
            ("absolute", Err("which is outside of the folder")),
            ("self", Err("which leads back to it")),
            ("two/x", Err("which leads back to it")),
        ] {
            assert_eq!(resolve(path, link), expected.map(str::to_owned), "{path}");
        }
    }
}
