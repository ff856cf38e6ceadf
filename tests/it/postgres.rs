//! A PostgreSQL of our own: one server for all tests of this binary, one database for each test. It ends with the
//! test process, however that ends.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::Connection as _;
use sqlx::postgres::PgConnection;

/// Makes a cluster in a temporary folder, serves it, and takes everything away when its input ends, which it does when
/// the test process is gone: also when that was killed.
const SCRIPT: &str = r#"
set -eu
bin=$1 port=$2
dir=$(mktemp -d)
end() {
    "$bin/pg_ctl" -D "$dir/data" -m immediate stop >/dev/null 2>&1 || true
    rm -rf "$dir"
}
trap end EXIT
trap 'exit 1' HUP INT TERM
echo evenkeel > "$dir/password"
"$bin/initdb" -D "$dir/data" -U evenkeel -A scram-sha-256 --pwfile="$dir/password" -E UTF8 --locale=C --no-sync \
    >"$dir/initdb.log" 2>&1 || { cat "$dir/initdb.log" >&2; exit 1; }
"$bin/pg_ctl" -D "$dir/data" -l "$dir/log" -w -t 60 \
    -o "-c listen_addresses=127.0.0.1 -c port=$port -c unix_socket_directories= -c fsync=off -c max_connections=400" \
    start >/dev/null 2>&1 || { cat "$dir/log" >&2; exit 1; }
echo ready
cat >/dev/null
"#;

struct Server {
    port: u16,
    /// Holds the script's input open.
    _child: Child,
}

/// The URL of a new, empty database. `None` if PostgreSQL is not installed, which is a failure if `CI` is set.
pub async fn database() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let server = tokio::task::spawn_blocking(server).await.unwrap();
    let name = format!("t{}", COUNT.fetch_add(1, Ordering::Relaxed));
    let mut admin = PgConnection::connect(&url(server, "postgres")).await.unwrap();
    sqlx::query(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut admin).await.unwrap();
    admin.close().await.unwrap();
    url(server, &name)
}

fn url(server: &Server, database: &str) -> String {
    format!("postgres://evenkeel:evenkeel@127.0.0.1:{}/{database}?sslmode=disable", server.port)
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let programs = programs().expect("PostgreSQL is missing; `tests/run` installs it");
        // A port that was free a moment ago may be taken by another test.
        (0..5).find_map(|_| start(&programs)).expect("PostgreSQL did not start")
    })
}

fn start(programs: &PathBuf) -> Option<Server> {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    // It refuses to run as root.
    let mut command = Command::new(if is_root { "setpriv" } else { "sh" });
    if is_root {
        command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "sh"]);
    }
    command.args(["-c", SCRIPT, "postgres"]).arg(programs).arg(port.to_string());
    command.current_dir("/").env_remove("TMPDIR").env("LC_ALL", "C").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    if line == "ready\n" {
        return Some(Server { port, _child: child });
    }
    child.wait().unwrap();
    None
}

/// The folder of its programs, the newest version's.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let version = |entry: &std::fs::DirEntry| entry.file_name().to_string_lossy().parse::<u32>().unwrap_or(0);
    let installed = versions.filter(|entry| entry.path().join("bin/initdb").is_file());
    let newest = installed.max_by_key(version).map(|entry| entry.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    newest.or_else(|| std::env::split_paths(&path).find(|folder| folder.join("initdb").is_file()))
}
