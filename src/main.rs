//! The `evenkeel` command.

/// Gives memory back that is free, which glibc's allocator keeps; and musl's, in the static image, is slow.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    evenkeel::cli::run()
}
