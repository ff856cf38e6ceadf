//! The database file: readable by its owner only, and locked against other processes.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::time::Duration;

use super::super::StoreError;

/// Creates the folder and the file, and locks out other processes as long as the returned value lives.
pub(super) fn prepare(file: &Path) -> Result<File, StoreError> {
    let refused = |what: &str, error: &std::io::Error| {
        StoreError::Refused(format!("cannot {what}: {}; check the path and its permissions", error.kind()))
    };
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        private_folder(folder).map_err(|error| refused("create the folder of the database file", &error))?;
    }
    let mut name = file.as_os_str().to_owned();
    name.push(".lock");
    let lock =
        private_file(Path::new(&name)).map_err(|error| refused("write the lock of the database file", &error))?;
    match lock_with_retry(&lock) {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let text = "the database file is in use by another process; use PostgreSQL for several processes";
            return Err(StoreError::Refused(text.to_owned()));
        }
        Err(TryLockError::Error(error)) => return Err(refused("lock the database file", &error)),
    }
    // SQLite gives its other files (`-wal`, `-shm`) the permissions of this one.
    private_file(file).map_err(|error| refused("write the database file", &error))?;
    Ok(lock)
}

/// Takes a lock, with a retry for 2 seconds: a process that is shutting down may still hold it.
fn lock_with_retry(lock: &File) -> Result<(), TryLockError> {
    for _ in 0..40 {
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(50)),
            result => return result,
        }
    }
    lock.try_lock()
}

#[cfg(unix)]
fn private_folder(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(not(unix))]
fn private_folder(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)
}

/// Opens a file for reading and writing; creates it if it is missing. In any case only its owner may read it.
fn private_file(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
        let file = options.mode(0o600).open(path)?;
        if file.metadata()?.permissions().mode() & 0o077 != 0 {
            file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
        }
        Ok(file)
    }
    #[cfg(not(unix))]
    options.open(path)
}
