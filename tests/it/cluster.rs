//! A Kubernetes cluster for tests: a real kube-apiserver with etcd, on free ports, in a temporary folder. It ends with the
//! test process, also after a kill.
//!
//! No controllers run, so nothing deletes the content of a deleted namespace; [`Cluster::delete_namespace`] does.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::fault_proxy::FaultProxy;
use crate::support::{Dev, Said, evenkeel, root, said};

/// Runs a program, and kills it when the input ends, which happens when the test process ends. Then it deletes the folder,
/// if it gets one: a killed test process, or one that ends with its statics, does not.
const SUPERVISE: &str = r#"
folder=$1 log=$2
shift 2
"$@" >>"$log" 2>&1 &
pid=$!
echo $pid
cat >/dev/null
kill -CONT $pid 2>/dev/null
kill -9 $pid 2>/dev/null
wait $pid 2>/dev/null
[ -z "$folder" ] || rm -rf "$folder"
"#;

/// Users of the cluster: `admin` has all rights, the others have the rights that tests grant.
const USERS: [&str; 4] = ["admin", "operator", "tenant", "flux"];

struct Supervised {
    child: Child,
}

impl Supervised {
    fn start(folder: Option<&Path>, log: &Path, command: &[String]) -> Supervised {
        let mut child = Command::new("sh")
            .args(["-c", SUPERVISE, "supervise"])
            .arg(folder.unwrap_or(Path::new("")))
            .arg(log)
            .args(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // The first line arrives once the program runs.
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
        Supervised { child }
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

pub struct Cluster {
    port: u16,
    etcd_port: u16,
    // Dropped in this order: the programs end before their folder is deleted.
    api: Option<Supervised>,
    _etcd: Supervised,
    folder: TempDir,
}

impl Cluster {
    /// The cluster that tests share, each in its own namespace. `None` if a program is missing; a failure if `CI` is set.
    pub fn shared() -> &'static Cluster {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(Cluster::start)
    }

    /// A cluster that a test may stop and break.
    pub fn start() -> Cluster {
        let programs = programs().expect("kube-apiserver or etcd is missing; `tests/run` installs them");
        // Another test may have taken a port that was free a moment ago.
        let cluster = (0..3).find_map(|_| Cluster::try_start(&programs)).expect("cannot start a cluster");
        let crds = root().join("charts/evenkeel/files/crds");
        let applied = cluster.kubectl(&["apply", "--server-side", "-f", crds.to_str().unwrap()]);
        assert_eq!(applied.code, 0, "{}", applied.err);
        let established = cluster.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=120s"]);
        assert_eq!(established.code, 0, "{}", established.err);
        cluster
    }

    fn try_start(programs: &Path) -> Option<Cluster> {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let [port, etcd_port, peer] = free_ports();
        let key = Command::new("openssl")
            .args(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", &path("sa.key")])
            .output()
            .unwrap();
        assert!(key.status.success(), "openssl is missing; `tests/run` installs it");
        let tokens: String = USERS
            .iter()
            .map(|user| match *user {
                "admin" => "token-admin,admin,admin,system:masters\n".to_owned(),
                user => format!("token-{user},{user},{user}\n"),
            })
            .collect();
        std::fs::write(path("tokens.csv"), tokens).unwrap();
        let url = format!("http://127.0.0.1:{etcd_port}");
        let peers = format!("http://127.0.0.1:{peer}");
        let etcd = [
            "etcd",
            "--data-dir",
            &path("etcd"),
            "--listen-client-urls",
            &url,
            "--advertise-client-urls",
            &url,
            "--listen-peer-urls",
            &peers,
            "--initial-advertise-peer-urls",
            &peers,
            "--initial-cluster",
            &format!("default={peers}"),
            "--unsafe-no-fsync",
        ];
        let etcd = Supervised::start(Some(folder.path()), &folder.path().join("etcd.log"), &etcd.map(str::to_owned));
        let mut cluster = Cluster { port, etcd_port, api: None, _etcd: etcd, folder };
        for user in USERS {
            cluster.write_kubeconfig(user);
        }
        cluster.spawn_api(programs);
        cluster.is_ready(Duration::from_mins(2)).then_some(cluster)
    }

    fn spawn_api(&mut self, programs: &Path) {
        let path = |name: &str| self.folder.path().join(name).to_str().unwrap().to_owned();
        let command = [
            programs.join("kube-apiserver").to_str().unwrap().to_owned(),
            format!("--etcd-servers=http://127.0.0.1:{}", self.etcd_port),
            format!("--secure-port={}", self.port),
            "--bind-address=127.0.0.1".into(),
            format!("--cert-dir={}", path("certs")),
            format!("--token-auth-file={}", path("tokens.csv")),
            "--authorization-mode=RBAC".into(),
            "--service-account-issuer=https://cluster.example".into(),
            format!("--service-account-key-file={}", path("sa.key")),
            format!("--service-account-signing-key-file={}", path("sa.key")),
            "--disable-admission-plugins=ServiceAccount".into(),
            "--service-cluster-ip-range=10.0.0.0/24".into(),
            // Watches end now and then, as in production.
            "--min-request-timeout=60".into(),
        ];
        self.api = Some(Supervised::start(None, &self.folder.path().join("api.log"), &command));
    }

    /// Stops the API server; its store stays.
    pub fn stop_api(&mut self) {
        self.api = None;
    }

    /// Starts the API server again, on the same port.
    pub fn start_api(&mut self) {
        self.spawn_api(&programs().unwrap());
        assert!(self.is_ready(Duration::from_mins(2)), "the API server did not restart");
    }

    fn is_ready(&self, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        while Instant::now() < deadline {
            if self.kubectl(&["get", "--raw", "/readyz"]).out == "ok" {
                return true;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        false
    }

    fn write_kubeconfig(&self, user: &str) {
        Cluster::write_kubeconfig_for(user, &format!("https://127.0.0.1:{}", self.port), &self.kubeconfig(user));
    }

    fn write_kubeconfig_for(user: &str, server: &str, path: &Path) {
        let text = format!(
            "apiVersion: v1\nkind: Config\nclusters: [{{name: c, cluster: {{server: \"{server}\", \
             insecure-skip-tls-verify: true}}}}]\nusers: [{{name: u, user: {{token: token-{user}}}}}]\ncontexts: [{{name: c, \
             context: {{cluster: c, user: u, namespace: default}}}}]\ncurrent-context: c\n"
        );
        std::fs::write(path, text).unwrap();
    }

    /// The kubeconfig of a user.
    pub fn kubeconfig(&self, user: &str) -> PathBuf {
        assert!(USERS.contains(&user));
        self.folder.path().join(format!("{user}.kubeconfig"))
    }

    /// A proxy in front of the API server, for operators that [`operator_through`] starts.
    pub fn proxy(&self) -> FaultProxy {
        FaultProxy::start(self.port)
    }

    /// Runs `kubectl` as the admin.
    pub fn kubectl(&self, args: &[&str]) -> Said {
        self.kubectl_as("admin", args, "")
    }

    /// Runs `kubectl apply -f -` with a document; panics if it fails.
    pub fn apply(&self, namespace: &str, document: &str) {
        let applied = self.kubectl_as("admin", &["apply", "-n", namespace, "-f", "-"], document);
        assert_eq!(applied.code, 0, "{}{}", applied.out, applied.err);
    }

    /// Runs `kubectl` as a user, with text on its input.
    pub fn kubectl_as(&self, user: &str, args: &[&str], input: &str) -> Said {
        let mut child = Command::new(programs().unwrap().join("kubectl"))
            .args(args)
            .env("KUBECONFIG", self.kubeconfig(user))
            .env("HOME", self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_owned();
        let writing = std::thread::spawn(move || {
            let _ = stdin.write_all(input.as_bytes());
        });
        let output = child.wait_with_output().unwrap();
        writing.join().unwrap();
        said(&output)
    }

    /// Runs a shell command as the admin, with `kubectl` and `evenkeel` on its path.
    pub fn shell(&self, line: &str) -> Said {
        let binary = Path::new(evenkeel().get_program()).parent().unwrap().to_owned();
        let path = format!("{}:{}:/usr/bin:/bin", programs().unwrap().display(), binary.display());
        let mut command = Command::new("sh");
        command.args(["-c", line]).current_dir(root()).env("PATH", path).env("HOME", self.folder.path());
        said(&command.env("KUBECONFIG", self.kubeconfig("admin")).stdin(Stdio::null()).output().unwrap())
    }

    /// A resource as JSON; null if it does not exist.
    pub fn get(&self, namespace: &str, kind: &str, name: &str) -> Value {
        let said = self.kubectl(&["get", "-n", namespace, kind, name, "-o", "json", "--ignore-not-found"]);
        serde_json::from_str(&said.out).unwrap_or_default()
    }

    /// Waits until a condition of a resource holds.
    pub fn wait(&self, namespace: &str, kind: &str, name: &str, until: impl Fn(&Value) -> bool, what: &str) -> Value {
        let deadline = Instant::now() + Duration::from_mins(2);
        loop {
            let found = self.get(namespace, kind, name);
            if until(&found) {
                return found;
            }
            assert!(Instant::now() < deadline, "timed out waiting for {what}: {found:#}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Creates a namespace.
    pub fn namespace(&self) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("ns-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let made = self.kubectl(&["create", "namespace", &name]);
        assert_eq!(made.code, 0, "{}", made.err);
        name
    }

    /// Deletes a namespace as the controllers of a complete cluster do: marks it, deletes its content, finalizes it.
    pub fn delete_namespace(&self, name: &str) {
        self.kubectl(&["delete", "namespace", name, "--wait=false"]);
        let kinds =
            "connectors,widgets,triggers,workflows,environments,tenants,connections,entities,roles.evenkeel.dev,alerts";
        self.kubectl(&["delete", "-n", name, kinds, "--all", "--wait=false"]);
        let deadline = Instant::now() + Duration::from_mins(2);
        while self.kubectl(&["get", "-n", name, kinds, "-o", "name"]).out.trim() != "" {
            assert!(Instant::now() < deadline, "namespace {name} still has resources");
            std::thread::sleep(Duration::from_millis(100));
        }
        let body = format!(
            r#"{{"apiVersion":"v1","kind":"Namespace","metadata":{{"name":"{name}"}},"spec":{{"finalizers":[]}}}}"#
        );
        let path = format!("/api/v1/namespaces/{name}/finalize");
        self.kubectl_as("admin", &["replace", "--raw", &path, "-f", "-"], &body);
    }

    /// Writes an object directly to etcd, past the validation of the API server.
    pub fn plant(&self, plural: &str, namespace: &str, name: &str, object: &Value) {
        let key = format!("/registry/evenkeel.dev/{plural}/{namespace}/{name}");
        self.etcd("put", &serde_json::json!({"key": base64(&key), "value": base64(&object.to_string())}));
    }

    /// Compacts the history: watches that need it get 410 (Gone).
    pub fn compact(&self) {
        let answer = self.etcd("range", &serde_json::json!({"key": base64("a"), "limit": 1}));
        let revision: u64 = answer["header"]["revision"].as_str().unwrap().parse().unwrap();
        self.etcd("compaction", &serde_json::json!({"revision": revision.to_string(), "physical": true}));
    }

    fn etcd(&self, call: &str, body: &Value) -> Value {
        let address = format!("http://127.0.0.1:{}", self.etcd_port);
        let path = format!("/v3/kv/{call}");
        let answer = crate::support::request(
            &address,
            "POST",
            &path,
            &[("content-type", "application/json")],
            &body.to_string(),
        );
        assert_eq!(answer.status, 200, "{answer:?}");
        // A response may be chunked: the JSON is between the first and the last brace.
        let text = &answer.body[answer.body.find('{').unwrap()..=answer.body.rfind('}').unwrap()];
        serde_json::from_str(text).unwrap()
    }

    /// Number of successful writes to a subresource of `evenkeel.dev` (`PATCH`, `PUT`, `POST`, `APPLY`), as the API server
    /// counts them. Rejected writes, such as conflicts, do not count.
    pub fn writes(&self, subresource: &str) -> u64 {
        let metrics = self.kubectl(&["get", "--raw", "/metrics"]).out;
        let is_write = |line: &&str| {
            line.starts_with("apiserver_request_total{")
                && line.contains("group=\"evenkeel.dev\"")
                && line.contains(&format!("subresource=\"{subresource}\""))
                && line.contains("code=\"2")
                && ["APPLY", "PATCH", "PUT", "POST"].iter().any(|verb| line.contains(&format!("verb=\"{verb}\"")))
        };
        let count = |line: &str| line.rsplit(' ').next().and_then(|count| count.parse::<f64>().ok()).unwrap_or(0.0);
        metrics.lines().filter(is_write).map(count).sum::<f64>() as u64
    }
}

/// Starts `evenkeel operator` as a user of a cluster.
pub fn operator(cluster: &Cluster, user: &str, args: &[&str], state: &Path) -> Dev {
    start_operator(&cluster.kubeconfig(user), args, state)
}

/// Starts `evenkeel operator` as the admin, with a proxy between it and the API server.
pub fn operator_through(cluster: &Cluster, proxy: &FaultProxy, args: &[&str], state: &Path) -> Dev {
    let path = cluster.folder.path().join(format!("proxy-{}.kubeconfig", proxy.port));
    Cluster::write_kubeconfig_for("admin", &format!("http://127.0.0.1:{}", proxy.port), &path);
    start_operator(&path, args, state)
}

fn start_operator(kubeconfig: &Path, args: &[&str], state: &Path) -> Dev {
    let mut command = evenkeel();
    command
        .arg("operator")
        .args(["--port", "0", "--allow-loopback", "--allow-local-repositories"])
        .args(if args.contains(&"--own-namespace") { &[][..] } else { &["--own-namespace", "default"] })
        .args(args)
        .arg("--state")
        .arg(state)
        .env("KUBECONFIG", kubeconfig)
        // The secrets of the examples.
        .env("ORBIT_KEY", "orbit-key")
        .env("HOOK_KEY", "hook-key")
        .env("EVENKEEL_LOG", std::env::var("EVENKEEL_LOG").unwrap_or("info,sqlx=warn,kube_client=error".into()));
    Dev::spawn(&mut command)
}

fn base64(text: &str) -> String {
    let output = Command::new("openssl").args(["base64", "-A"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = output.unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

/// Free ports below the ephemeral ones, so that no connection takes the port of a server that is stopped for a while.
fn free_ports<const N: usize>() -> [u16; N] {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id() % 12_000 * 97;
    let port = || 20_000 + ((first + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000) as u16;
    let is_free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    [(); N].map(|()| (0..12_000).map(|_| port()).find(is_free).expect("no port is free"))
}

/// The folder of kube-apiserver and kubectl; `None` if one of them or etcd is missing.
fn programs() -> Option<PathBuf> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    let find = || {
        let output = Command::new("sh").arg(root().join("tests/envtest/build")).arg("--folder").output().ok()?;
        let folder = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
        let has_etcd = Command::new("etcd").arg("--version").output().is_ok();
        let has = |name: &str| folder.join(name).is_file();
        (has("kube-apiserver") && has("kubectl") && has_etcd).then_some(folder)
    };
    FOLDER.get_or_init(find).clone()
}
