//! Names: of files that contain scripts, and of connectors and actions in code.

/// True if the file name is one of runnable code (`.js`, `.mjs`, `.ts`). Declaration files (`.d.ts`) are not runnable.
pub fn is_script(path: &str) -> bool {
    if path.ends_with(".d.ts") {
        return false;
    }
    let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
    ["js", "mjs", "ts"].iter().any(|known| extension.eq_ignore_ascii_case(known))
}

/// Converts the name of a connector or action to its name in code: `create-contact` becomes `createContact`.
pub fn camel(name: &str) -> String {
    let mut result = String::with_capacity(name.len());
    let mut upper = false;
    for letter in name.chars() {
        match letter {
            '-' | '_' | '.' => upper = !result.is_empty(),
            letter if upper => {
                result.extend(letter.to_uppercase());
                upper = false;
            }
            letter => result.push(letter),
        }
    }
    result
}
