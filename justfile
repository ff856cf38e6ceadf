# Everyday commands; `just` lists them.

default:
    @just --list --unsorted

# Run the quickstart on http://127.0.0.1:7400
dev folder="examples/quickstart":
    cargo run -- dev {{ folder }}

# Run unit tests of a module: just unit plan::
unit filter="":
    cargo test --lib {{ filter }}

# Run integration tests of a subject: just it git::
it filter="":
    cargo test --test it {{ filter }}

# Rewrite golden files, schemas and docs/faults.md after an intended change
update filter="":
    UPDATE=1 cargo test --test it {{ filter }}

# Format and lint
lint:
    cargo fmt
    cargo clippy --all-targets -- -D warnings

# Run all tests, installing and building the programs they need
test:
    tests/run

# Run everything that must hold before a merge
ci:
    .ci/run

# Build the binary of releases and images
dist:
    cargo build --locked --profile dist

# Measure, beside other tools
bench:
    benches/run
