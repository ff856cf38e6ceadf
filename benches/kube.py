"""The operator beside a real kube-apiserver with etcd: a thousand Connectors applied at once, and ten thousand at rest."""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
AT_ONCE, AT_REST, QUIET = 1000, 10_000, 120


def folder_of_programs():
    subprocess.run([ROOT / "tests/envtest/build"], check=True)
    printed = subprocess.run([ROOT / "tests/envtest/build", "--folder"], check=True, text=True, stdout=subprocess.PIPE)
    return pathlib.Path(printed.stdout.strip())


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Cluster:
    def __init__(self, folder):
        self.folder, self.programs = folder, folder_of_programs()
        folder.mkdir(parents=True)
        port, etcd, peer = free_port(), free_port(), free_port()
        subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-out", folder / "sa.key"], check=True,
                       stderr=subprocess.DEVNULL)
        (folder / "tokens.csv").write_text("bench,admin,admin,system:masters\n", encoding="utf-8")
        (folder / "kubeconfig").write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": f"https://127.0.0.1:{port}", "insecure-skip-tls-verify": True}}],
            "users": [{"name": "u", "user": {"token": "bench"}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "default"}}],
        }), encoding="utf-8")
        url, peers = f"http://127.0.0.1:{etcd}", f"http://127.0.0.1:{peer}"
        log = open(folder / "log", "w", encoding="utf-8")  # closed with the process
        self.processes = [
            subprocess.Popen(["etcd", "--data-dir", folder / "etcd", "--listen-client-urls", url, "--advertise-client-urls", url,
                              "--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers, "--initial-cluster",
                              f"default={peers}", "--unsafe-no-fsync"], stdout=log, stderr=log),
            subprocess.Popen([self.programs / "kube-apiserver", f"--etcd-servers={url}", f"--secure-port={port}",
                              "--bind-address=127.0.0.1", f"--cert-dir={folder / 'certs'}",
                              f"--token-auth-file={folder / 'tokens.csv'}", "--authorization-mode=RBAC",
                              "--service-account-issuer=https://cluster.example",
                              f"--service-account-key-file={folder / 'sa.key'}",
                              f"--service-account-signing-key-file={folder / 'sa.key'}",
                              "--disable-admission-plugins=ServiceAccount", "--service-cluster-ip-range=10.0.0.0/24"],
                             stdout=log, stderr=log),
        ]
        self.environment = {**os.environ, "KUBECONFIG": str(folder / "kubeconfig")}
        deadline = time.monotonic() + 60
        while self.kubectl("get", "--raw", "/readyz", check=False).strip() != "ok":
            if time.monotonic() > deadline:
                raise SystemExit("the API server does not start")
            time.sleep(0.2)
        self.kubectl("apply", "--server-side", "-f", ROOT / "charts/evenkeel/files/crds")
        self.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")

    def kubectl(self, *arguments, check=True, text=""):
        done = subprocess.run([self.programs / "kubectl", *map(str, arguments)], env=self.environment, input=text, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if check and done.returncode:
            raise SystemExit(f"kubectl {' '.join(map(str, arguments))}: {done.stderr}")
        return done.stdout

    def requests(self):
        """Requests for Evenkeel's resources and for Leases so far: all except watches, and those that wrote a status."""
        all_of_them = written = 0
        for line in self.kubectl("get", "--raw", "/metrics").splitlines():
            ours = 'group="evenkeel.dev"' in line or 'resource="leases"' in line
            if line.startswith("apiserver_request_total{") and ours and 'verb="WATCH"' not in line:
                count = float(line.rsplit(" ", 1)[1])
                all_of_them += count
                written += count if 'subresource="status"' in line else 0
        return all_of_them, written

    def end(self):
        for process in reversed(self.processes):
            process.kill()
            process.wait()


class Operator:
    def __init__(self, evenkeel, cluster):
        self.process = subprocess.Popen(
            [evenkeel, "operator", "--port", "0", "--state", cluster.folder / "state", "--own-namespace", "default"],
            env={**cluster.environment, "EVENKEEL_LOG": "error"}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.address = self.process.stdout.readline().strip().removeprefix("listening on ")

    def memory(self, field):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        return int(re.search(rf"^{field}:\s+(\d+) kB", status, re.MULTILINE)[1]) / 1024

    def cpu(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def live(self):
        with urllib.request.urlopen(f"{self.address}/v1/environments") as answer:
            all_of_them = json.load(answer)["environments"]
        with urllib.request.urlopen(f"{self.address}/v1/environments/{all_of_them[0]['name']}") as answer:
            return json.load(answer)

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=30)


def connectors(start, count):
    one = """apiVersion: evenkeel.dev/v1alpha1
kind: Connector
metadata: {{ name: c{at:05} }}
spec:
  displayName: Connector {at}
  baseUrl: "https://{{{{ get_variable('region') }}}}.crm-{at}.example/v2"
  actions:
    create-contact:
      input: {{ type: object, required: [email], properties: {{ email: {{ type: string, format: email }} }} }}
      http: {{ method: POST, path: /contacts, body: {{ email: "{{{{ input.email | lower }}}}" }} }}
      response: {{ body: {{ id: "{{{{ response.json.id }}}}" }} }}
---
"""
    return "".join(one.format(at=at) for at in range(start, start + count))


def ready(cluster):
    items = json.loads(cluster.kubectl("get", "connectors", "-o", "json"))["items"]
    def is_ready(item):
        conditions = item.get("status", {}).get("conditions", [])
        return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
    return sum(map(is_ready, items))


def measure(evenkeel, log):
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(pathlib.Path(folder) / "cluster")
        try:
            return in_cluster(evenkeel, cluster, log)
        finally:
            cluster.end()


def in_cluster(evenkeel, cluster, log):
    # The baseline is measured before the operator runs, which would slow it down.
    log(f"applying {AT_ONCE} connectors without an operator …")
    start = time.perf_counter()
    cluster.kubectl("apply", "--server-side", "-f", "-", text=connectors(0, AT_ONCE))
    alone = time.perf_counter() - start
    cluster.kubectl("delete", "connectors", "--all", "--wait=true")
    operator = Operator(evenkeel, cluster)
    cluster.kubectl("apply", "-f", "-", text="apiVersion: evenkeel.dev/v1alpha1\nkind: Environment\nmetadata: { name: live }\n"
                    "spec: { interval: 1m, variables: { region: eu } }\n")
    cluster.kubectl("wait", "--for=condition=Ready", "env/live", "--timeout=30s")
    log(f"applying {AT_ONCE} connectors …")
    (all_before, written_before), start = cluster.requests(), time.perf_counter()
    cluster.kubectl("apply", "--server-side", "-f", "-", text=connectors(0, AT_ONCE))
    while ready(cluster) < AT_ONCE:
        time.sleep(0.05)
    seconds = time.perf_counter() - start
    all_after, written = cluster.requests()
    result = {
        "applied_s": alone, "ready_s": seconds, "ratio": seconds / alone, "peak_mib": operator.memory("VmHWM"),
        "status_writes_per_object": (written - written_before) / AT_ONCE,
    }
    log(f"applying {AT_REST - AT_ONCE} more …")
    for start in range(AT_ONCE, AT_REST, 1000):
        cluster.kubectl("apply", "--server-side", "-f", "-", text=connectors(start, 1000))
    deadline = time.monotonic() + 300
    while ready(cluster) < AT_REST:
        if time.monotonic() > deadline:
            raise SystemExit(f"only {ready(cluster)} of {AT_REST} are ready")
        time.sleep(1)
    result["large_peak_mib"] = operator.memory("VmHWM")
    log(f"watching {AT_REST} at rest for {QUIET} s …")
    time.sleep(10)
    (all_before, written_before), cpu, start = cluster.requests(), operator.cpu(), time.perf_counter()
    time.sleep(QUIET)
    passed = time.perf_counter() - start
    all_after, written = cluster.requests()
    result |= {
        "rest_percent": 100 * (operator.cpu() - cpu) / passed, "rest_mib": operator.memory("VmRSS"),
        "rest_requests_per_minute": (all_after - all_before) * 60 / passed, "rest_writes": written - written_before,
    }
    operator.end()
    return result
