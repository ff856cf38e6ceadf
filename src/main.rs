//! The `evenkeel` command.

/// Returns free memory to the system, which glibc's allocator does not, and is faster than musl's in the static image.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    evenkeel::cli::run()
}
