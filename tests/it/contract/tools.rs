//! Public tools check the OpenAPI document, and the server against it.

use std::path::PathBuf;
use std::process::Command;

use super::{ALICE, place};
use crate::support::root;

/// A program that `tests/contract/build` installed.
fn program(name: &str) -> PathBuf {
    let output = Command::new(root().join("tests/contract/build")).arg("--folder").output().unwrap();
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim()).join("bin").join(name)
}

fn run(command: &mut Command) -> (bool, String) {
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (output.status.success(), said)
}

#[test]
#[cfg_attr(missing_contract, ignore = "tests/contract/build has not installed its tools")]
fn a_public_validator_accepts_the_document_and_refuses_a_damaged_one() {
    let document = root().join("schemas/openapi.json");
    let (valid, said) = run(Command::new(program("openapi-spec-validator")).arg(&document));
    assert!(valid, "{said}");
    let folder = tempfile::tempdir().unwrap();
    let damaged = folder.path().join("openapi.json");
    let text = std::fs::read_to_string(&document).unwrap().replacen("\"responses\"", "\"answers\"", 1);
    std::fs::write(&damaged, text).unwrap();
    let (valid, said) = run(Command::new(program("openapi-spec-validator")).arg(&damaged));
    assert!(!valid, "{said}");
}

/// Requests made from the document, valid and invalid, get documented answers and never an error of the server.
#[test]
#[cfg_attr(missing_contract, ignore = "tests/contract/build has not installed its tools")]
fn the_server_keeps_its_contract_under_generated_requests() {
    let place = place();
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(program("schemathesis"));
    command
        .current_dir(folder.path())
        .arg("run")
        .arg(root().join("schemas/openapi.json"))
        .args(["--url", &place.server.address, "--seed", "7", "--max-examples", "10", "--max-time", "120"])
        .args(["--header", &format!("Authorization: Bearer {ALICE}")])
        .args(["--phases", "examples,coverage,fuzzing", "--request-timeout", "60", "--max-failures", "20"])
        // Its health checks measure how fast this machine makes data.
        .args(["--suppress-health-check", "all"])
        .args(["--checks", "not_a_server_error,status_code_conformance,content_type_conformance"])
        .args(["--checks", "response_schema_conformance,response_headers_conformance,allow_header_conformance"])
        .args(["--exclude-operation-id", "getReadiness"]);
    let (kept, said) = run(&mut command);
    assert!(kept, "{said}");
    assert!(said.contains("test cases") || said.contains("generated"), "{said}");
}
