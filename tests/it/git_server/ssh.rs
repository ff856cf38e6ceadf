//! A real `sshd` on loopback. It ends when dropped.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A real `sshd` that lets several keys run `git-upload-pack`.
pub struct GitSsh {
    child: Child,
    folder: tempfile::TempDir,
    port: u16,
    user: String,
    forced: AtomicUsize,
}

impl GitSsh {
    /// Starts the server.
    pub fn start() -> GitSsh {
        GitSsh::start_with("")
    }

    /// Starts the server with more lines of `sshd_config`.
    pub fn start_with(settings: &str) -> GitSsh {
        let sshd = ["/usr/sbin/sshd", "/usr/local/sbin/sshd"].map(Path::new).into_iter().find(|path| path.exists());
        let sshd = sshd.expect("sshd is installed, or the test is ignored");
        let folder = tempfile::tempdir().unwrap();
        for (name, kind, bits) in [
            ("host", "ed25519", ""),
            ("host_rsa", "rsa", "2048"),
            ("other", "ed25519", ""),
            ("login", "ed25519", ""),
            ("rsa", "rsa", "2048"),
            ("ecdsa", "ecdsa", "256"),
        ] {
            keygen(&folder.path().join(name), kind, bits);
        }
        // `sshd` requires this folder to separate privileges.
        let _ = std::fs::create_dir_all("/run/sshd");
        let user = String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap().trim().to_owned();
        let keys = ["login.pub", "rsa.pub", "ecdsa.pub"];
        let keys = keys.map(|name| std::fs::read_to_string(folder.path().join(name)).unwrap());
        std::fs::write(folder.path().join("authorized"), keys.concat()).unwrap();
        // Another test may have taken the port in the meantime.
        let started = (0..5).find_map(|_| GitSsh::listen(sshd, folder.path(), settings));
        let (child, port) = started.expect("sshd did not start");
        GitSsh { child, folder, port, user, forced: AtomicUsize::new(0) }
    }

    /// Starts `sshd` on a port that was free a moment ago; `None` if it is taken.
    fn listen(sshd: &Path, folder: &Path, settings: &str) -> Option<(Child, u16)> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let path = |name: &str| folder.join(name).display().to_string();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\n\
             UsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             PermitRootLogin prohibit-password\nPidFile none\nAllowTcpForwarding no\nX11Forwarding no\n{settings}\n",
            path("host"),
            path("host_rsa"),
            path("authorized"),
        );
        std::fs::write(folder.join("config"), config).unwrap();
        let mut child = Command::new(sshd)
            .args(["-D", "-e", "-f"])
            .arg(folder.join("config"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("Server listening") {
            line.clear();
            if log.read_line(&mut line).unwrap() == 0 {
                child.wait().unwrap();
                return None;
            }
        }
        // The rest of the log must be read, or `sshd` stops when the pipe is full.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Some((child, port))
    }

    /// The address of a repository on this disk.
    pub fn url(&self, path: &Path) -> String {
        format!("ssh://{}@127.0.0.1:{}{}", self.user, self.port, path.display())
    }

    /// The private key `login` (Ed25519), `rsa` or `ecdsa`, or `other`, which may not log in. In OpenSSH's format.
    pub fn private_key(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap()
    }

    /// A private key in another format (`PEM` or `PKCS8`), or with a passphrase.
    pub fn private_key_as(&self, name: &str, format: &str, passphrase: &str) -> String {
        let copy = self.folder.path().join(format!("{name}-{format}-{passphrase}"));
        std::fs::copy(self.folder.path().join(name), &copy).unwrap();
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-p", "-P", "", "-N", passphrase, "-m", format, "-f"]).arg(&copy);
        assert!(command.stdin(Stdio::null()).stdout(Stdio::null()).status().unwrap().success());
        std::fs::read_to_string(copy).unwrap()
    }

    /// A new private key for which `sshd` runs this shell command instead of the requested one, which is in
    /// `$SSH_ORIGINAL_COMMAND`.
    pub fn private_key_with_command(&self, command: &str) -> String {
        let path = self.folder.path().join(format!("forced-{}", self.forced.fetch_add(1, Ordering::SeqCst)));
        keygen(&path, "ed25519", "");
        let public = std::fs::read_to_string(path.with_extension("pub")).unwrap();
        let authorized = self.folder.path().join("authorized");
        let mut lines = std::fs::read_to_string(&authorized).unwrap();
        lines += &format!("command=\"{}\" {public}", command.replace('"', "\\\""));
        std::fs::write(authorized, lines).unwrap();
        std::fs::read_to_string(path).unwrap()
    }

    /// A line of `known_hosts` with the host key `host` (Ed25519) or `host_rsa`, or with another key.
    pub fn known_host(&self, name: &str) -> String {
        let public = std::fs::read_to_string(self.folder.path().join(format!("{name}.pub"))).unwrap();
        format!("[127.0.0.1]:{} {}", self.port, public.trim())
    }
}

impl Drop for GitSsh {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes an SSH key without passphrase.
pub fn keygen(path: &Path, kind: &str, bits: &str) {
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-t", kind, "-N", "", "-C", "test", "-f"]).arg(path);
    if !bits.is_empty() {
        command.args(["-b", bits]);
    }
    assert!(command.stdin(Stdio::null()).status().unwrap().success());
}
