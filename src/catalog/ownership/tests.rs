//! The table of documents: definitions, near misses, and documents of other tools.

use super::*;
use crate::catalog::{Snapshot, load};

/// The codes of the findings of one file beside a definition in another file, or `silent`.
fn verdict(path: &str, text: &str) -> String {
    let tenant =
        format!("apiVersion: {API_VERSION}\nkind: Tenant\nmetadata: {{ name: a }}\nspec: {{ displayName: A }}\n");
    let (catalog, findings) = load(&Snapshot::of([("a.yaml", tenant.as_bytes()), (path, text.as_bytes())]));
    let mut codes: Vec<&str> = findings.iter().map(|finding| finding.code.id).collect();
    codes.dedup();
    if codes.is_empty() && catalog.entries.len() == 1 { "silent".to_owned() } else { codes.join(" ") }
}

#[test]
fn passes_over_documents_of_other_tools() {
    for (path, text) in [
        ("docker-compose.yaml", "services:\n  db:\n    image: postgres:17\n"),
        ("docker-compose.yml", "version: \"3\"\nservices: { e: { image: \"ghcr.io/evenkeel/evenkeel:1\" } }\n"),
        (
            "workflow.yaml",
            "name: ci\non: [push]\njobs: { test: { runs-on: ubuntu-latest, steps: [{ run: evenkeel test }] } }\n",
        ),
        ("chart/Chart.yaml", "apiVersion: v2\nname: shop\nversion: 1.0.0\n"),
        ("chart/values.yaml", "kind: Deployment\nreplicas: 2\n"),
        ("chart/templates/x.yaml", "{{- if .Values.on }}\napiVersion: apps/v1\nkind: Deployment\n{{- end }}\n"),
        (
            "chart/templates/role.yaml",
            "{{ if .Values.on }}\napiVersion: rbac.authorization.k8s.io/v1\nkind: Role\n{{ end }}\n",
        ),
        ("chart/templates/y.yaml", "apiVersion: {{ include \"version\" . }}\nkind: Deployment\n"),
        ("kustomization.yaml", "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: []\n"),
        ("role.yaml", "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: { name: r }\n"),
        ("catalog-info.yaml", "apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata: { name: c }\nspec: {}\n"),
        ("openapi.yaml", "openapi: 3.1.0\ninfo: { title: Orbit }\npaths: { \"/a\": {} }\n"),
        (
            "schema.json",
            "{\"$id\": \"https://evenkeel.dev/schemas/v1alpha1/x.json\", \"properties\": {\"apiVersion\": {\"const\": \"evenkeel.dev/v1alpha1\"}}}",
        ),
        ("data.json", "[1, 2, 3]"),
        ("comments.json", "{\n  // a comment\n  \"a\": 1\n}\n"),
        ("trailing.json", "{\"compilerOptions\": {},}\n"),
        ("list.yaml", "- a\n- b\n"),
        ("notes.yaml", "just text\n"),
        ("tags.yaml", "Resources: { Bucket: !Ref other }\n"),
        ("twice.yaml", "a: 1\na: 2\n"),
        ("secrets.yaml", "kind: \"ENC[x]\"\nsops: { mac: \"ENC[y]\" }\n"),
        ("two.yaml", "a: 1\n---\nb: 2\n"),
    ] {
        assert_eq!(verdict(path, text), "silent", "{path}: {text}");
    }
}

#[test]
fn reports_definitions_that_lost_their_head() {
    let body = "metadata: { name: b }\nspec: { displayName: B }\n";
    for (head, code) in [
        ("apiVersion: evenkeel.dev/v1\nkind: Tenant\n", "EK0108"),
        ("apiVersion: evenkeel.dev\nkind: Tenant\n", "EK0108"),
        ("apiVersion: evenkeel.io/v1alpha1\nkind: Tenant\n", "EK0108"),
        ("apiVersion: evenkel.dev/v1alpha1\nkind: Tenant\n", "EK0108"),
        ("apiVersion: Evenkeel.dev/v1alpha1\nkind: Tenant\n", "EK0108"),
        ("apiVersion: v1alpha1\nkind: Tenant\n", "EK0108"),
        ("apiVersion: [evenkeel.dev/v1alpha1]\nkind: Tenant\n", "EK0108"),
        ("apiVersion:\nkind: Tenant\n", "EK0108"),
        ("kind: Tenant\n", "EK0111"),
        ("kind: Tennant\n", "EK0111"),
        ("kind: SomethingElse\n", "EK0111"),
        ("", "EK0111"),
        ("apiversion: evenkeel.dev/v1alpha1\nkind: Tenant\n", "EK0111"),
        ("api_version: evenkeel.dev/v1alpha1\nextra: true\n", "EK0111"),
        ("apiVersoin: evenkeel.dev/v1alpha1\nKind: Tenant\n", "EK0111"),
    ] {
        assert_eq!(verdict("b.yaml", &format!("{head}{body}")), code, "{head}");
    }
    for (text, code) in [
        ("kind: Connector\n", "EK0111"),
        ("spec: { displayName: B }\n", "EK0111"),
        ("metadata: { labels: {} }\nkind: Other\n", "EK0111"),
        ("apiVersion: evenkeel.dev/v1alpha1\nkind: [\n", "EK0004"),
        ("apiVersion: evenkel.dev/v1alpha1\nkind: [\n", "EK0004"),
        ("{\"apiVersion\": \"evenkeel.io/v1\",,}\n", "EK0004"),
        ("kind: Connector\nmetadata: { name: [\n", "EK0004"),
        ("# a definition of evenkeel.dev\nspec: [\n", "EK0004"),
        ("# evenkeel.dev/v1alpha1\na: 1\na: 2\n", "EK0005"),
        (
            "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n",
            "EK0010",
        ),
        ("", "EK0011"),
        ("# nothing yet\n", "EK0011"),
    ] {
        assert_eq!(verdict("b.yaml", text), code, "{text}");
    }
}

#[test]
fn a_document_between_definitions_is_one_of_them() {
    let tenant = "apiVersion: evenkeel.dev/v1alpha1\nkind: Tenant\nmetadata: { name: b }\nspec: { displayName: B }\n";
    let beside = |text: &str| {
        let both = format!("{tenant}---\n{text}");
        let findings = load(&Snapshot::of([("b.yaml", both.as_bytes())])).1;
        findings.iter().map(|finding| finding.code.id).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(beside("services: {}\n"), "EK0111");
    assert_eq!(beside("- a list\n"), "EK0111");
    assert_eq!(beside("apiVersion: v1\nkind: ConfigMap\n"), "");
    assert_eq!(beside("a: 1\nsops: { mac: \"ENC[y]\" }\n"), "");
    assert_eq!(beside("apiVersion: v1\nkind: Connector\n"), "EK0108");
}

#[test]
fn counts_documents_of_other_tools() {
    let count = |text: &str| foreign_documents(&File { path: "a.yaml".into(), bytes: text.as_bytes().into() });
    assert_eq!(count("apiVersion: evenkeel.dev/v1alpha1\nkind: Tenant\n---\napiVersion: v1\nkind: ConfigMap\n"), 1);
    assert_eq!(count("a: 1\n---\nb: 2\n"), 2);
    assert_eq!(count("a: [\n"), 1, "cannot be read, and mentions nothing of ours");
    assert_eq!(count("apiVersion: evenkeel.dev/v1alpha1\nkind: [\n"), 0, "an error of its own");
    assert_eq!((count(""), count(" \n\n"), count("# commented out\n")), (1, 1, 0));
    let latin = |text: &str| {
        let bytes: Vec<u8> = text.chars().map(|character| character as u8).collect();
        foreign_documents(&File { path: "a.yaml".into(), bytes: bytes.into() })
    };
    assert_eq!((latin("# größe\na: 1\n"), latin("# größe\napiVersion: evenkeel.dev/v1alpha1\n")), (1, 0));
    assert!(is_foreign("a/package.json") && is_foreign("tsconfig.base.json") && !is_foreign("a.yaml"));
}

#[test]
fn the_path_alone_makes_a_patch() {
    for patch in
        ["overlays/live/a.yaml", "overlays/a.yaml", "teams/a/overlays/live/deep/a.json", "overlays/overlays.yaml"]
    {
        assert!(is_patch(patch), "{patch}");
    }
    for definition in
        ["a.yaml", "overlays.yaml", "live/overlays.yaml", "my-overlays/a.yaml", "Overlays/a.yaml", "env/overlay/a.yaml"]
    {
        assert!(!is_patch(definition), "{definition}");
    }
}
