//! The `evenkeel` command.

fn main() -> std::process::ExitCode {
    evenkeel::cli::run()
}
