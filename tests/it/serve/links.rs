//! Folders with symbolic links, such as mounted ConfigMaps.

use std::os::unix::fs::symlink;
use std::path::Path;

use super::{is_ready, ready, saying, serve, wait};
use crate::support::{Dev, run, write};

/// Mounts files as Kubernetes mounts a ConfigMap, or updates the mount.
fn mount(folder: &Path, version: &str, files: &[(&str, &str)]) {
    let data = format!("..2026_11_30_{version}");
    for (name, text) in files {
        write(&folder.join(&data).join(name), text);
    }
    symlink(&data, folder.join("..data_tmp")).unwrap();
    std::fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    for (name, _) in files {
        let link = folder.join(name);
        if !link.is_symlink() {
            symlink(format!("..data/{name}"), link).unwrap();
        }
    }
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        if name.starts_with("..2026") && name != data {
            std::fs::remove_dir_all(entry.path()).unwrap();
        }
    }
}

fn document(path: &Path, interval: &str) -> String {
    format!(
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Environment\nmetadata: {{ name: live }}\nspec: {{ interval: {interval}, \
         source: {{ directory: {{ path: \"{}\" }} }} }}\n",
        path.display()
    )
}

#[test]
fn mounted_config_maps_are_followed_as_documents_and_as_sources() {
    let (home, source) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let workflow = "apiVersion: evenkeel.dev/v1alpha1\nkind: Workflow\nmetadata: { name: flow }\nspec: { tier: Instant, \
                    source: { file: flow.ts } }\n";
    let code = "export default async () => 1;\n";
    let files = |text: &str| saying("a", text);
    mount(source.path(), "1", &[("a.yaml", &files("one")), ("flow.yaml", workflow), ("flow.ts", code)]);
    mount(home.path(), "1", &[("live.yaml", &document(source.path(), "1h"))]);
    for folder in [source.path(), home.path()] {
        let said = run(["validate".as_ref(), folder.as_os_str()]);
        assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    }
    // The file itself may be named too.
    let state = home.path().join(".state");
    let server = serve(&home.path().join("live.yaml"), &["--state", state.to_str().unwrap()], |_| {});
    let status = wait(&server, "live", is_ready, "the mounted definitions");
    assert_eq!(status["definitions"], 3, "each is read once: {status:#}");
    // The atomic swap of both mounts is seen.
    mount(source.path(), "2", &[("a.yaml", &files("two")), ("flow.yaml", workflow), ("flow.ts", code)]);
    let status = super::look(&server, "live");
    assert_eq!((&status["generation"], is_ready(&status)), (&2.into(), true), "{status:#}");
    mount(home.path(), "2", &[("live.yaml", &document(source.path(), "5s"))]);
    wait(&server, "live", |status| status["generation"] == 3 && is_ready(status), "the new document");
    mount(source.path(), "3", &[("a.yaml", &files("three")), ("flow.yaml", workflow), ("flow.ts", code)]);
    wait(&server, "live", |status| status["generation"] == 4 && is_ready(status), "the new interval");
}

#[test]
fn a_swap_of_a_mounted_folder_is_seen_while_it_is_watched() {
    let folder = tempfile::tempdir().unwrap();
    mount(folder.path(), "1", &[("a.yaml", &saying("a", "one"))]);
    let mut dev = Dev::start(folder.path(), &[]);
    for (version, text) in [("2", "two"), ("3", "three")] {
        mount(folder.path(), version, &[("a.yaml", &saying("a", text))]);
        dev.wait_for("live: generation");
        assert_eq!(dev.get("/v1/findings").json()["current"], true);
    }
}

#[test]
fn links_that_leave_the_folder_are_refused_with_their_target() {
    let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(&outside.path().join("secret.yaml"), &saying("secret", "one"));
    write(&folder.path().join("a.yaml"), &saying("a", "one"));
    write(&folder.path().join("sub/b.yaml"), &saying("b", "one"));
    // Links to files and folders that are read at their own path, and links in a circle, are harmless.
    symlink("sub", folder.path().join("again")).unwrap();
    symlink("a.yaml", folder.path().join("twice.yaml")).unwrap();
    symlink("..", folder.path().join("sub/up")).unwrap();
    let said = run(["validate".as_ref(), folder.path().as_os_str()]);
    assert!(said.code == 0 && said.out.contains("in 2 definitions"), "{}{}", said.out, said.err);
    symlink(outside.path().join("secret.yaml"), folder.path().join("x.yaml")).unwrap();
    symlink(outside.path(), folder.path().join("y")).unwrap();
    symlink("nowhere.yaml", folder.path().join("z.yaml")).unwrap();
    let said = run(["validate".as_ref(), folder.path().as_os_str()]);
    let target = outside.path().display();
    for part in [
        format!("`x.yaml` leads to `{target}/secret.yaml`, which is outside of the folder"),
        format!("`y` leads to `{target}`, which is outside of the folder"),
        "`z.yaml` leads to `nowhere.yaml`, which does not exist".to_owned(),
    ] {
        assert!(said.out.contains("EK0009") && said.out.contains(&part), "{part}: {}", said.out);
    }
    assert_eq!(said.code, 1);
    // A source with such a link keeps its last good definitions.
    let home = tempfile::tempdir().unwrap();
    write(&home.path().join("live.yaml"), &document(folder.path(), "1h"));
    for link in ["x.yaml", "y", "z.yaml"] {
        std::fs::remove_file(folder.path().join(link)).unwrap();
    }
    let server = serve(home.path(), &[], |_| {});
    wait(&server, "live", is_ready, "the definitions");
    std::fs::remove_file(folder.path().join("a.yaml")).unwrap();
    symlink(outside.path().join("secret.yaml"), folder.path().join("a.yaml")).unwrap();
    std::fs::remove_file(folder.path().join("twice.yaml")).unwrap();
    let status = super::look(&server, "live");
    assert!(!is_ready(&status) && ready(&status).2.contains("EK0009"), "{status:#}");
    assert_eq!(super::connectors(&server), ["a", "b"]);
}
