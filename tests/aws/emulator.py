"""AWS on this machine: ministack for the services, podman for ECS's containers."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

ROOT = Path(__file__).resolve().parents[2]
REGION = "us-east-1"
ACCOUNT = "000000000000"

# What podman's own defaults ask for is more than a container in a container
# is granted.
CONTAINERS_CONF = """
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=30000:30000"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
"""


def wait_for(what, look, seconds=60, every=0.2):
    """Waits until `look` gives something, and returns that."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds} s (last: {found!r})")
        time.sleep(every)


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Emulator:
    """One ministack and one podman service, in a folder of their own."""

    def __init__(self, auth=False):
        self.auth = auth
        self._stack = contextlib.ExitStack()
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="ezlive-aws-")))
        conf = self.folder / "containers.conf"
        conf.write_text(CONTAINERS_CONF)
        self.podman_env = {**os.environ, "CONTAINERS_CONF": str(conf)}
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        podman = self.folder / "podman.sock"
        self._start("podman", ["podman", "system", "service", "--time=0", f"unix://{podman}"], self.podman_env)
        wait_for("podman", podman.exists)
        environment = {
            **os.environ,
            "GATEWAY_PORT": str(self.port),
            # Containers reach it by their host's address on their network.
            "BIND_HOST": "0.0.0.0",
            "AWS_ENDPOINT_URL": self.url,
            "DOCKER_HOST": f"unix://{podman}",
            "AUTH": str(self.auth).lower(),
            "LOG_LEVEL": os.environ.get("MINISTACK_LOG", "INFO"),
            "AWS_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            # It unpacks functions into the temporary folder and leaves them.
            "TMPDIR": str(self.folder),
        }
        ministack = Path(sys.executable).parent / "ministack"
        self._start("ministack", [str(ministack)], environment)
        wait_for("ministack", self._ready)
        return self

    def __exit__(self, *exc):
        self._stack.close()

    def _start(self, name, command, environment):
        log = (self.folder / f"{name}.log").open("wb")
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)

        def end():
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            log.close()
            if keep := os.environ.get("EZLIVE_KEEP_LOGS"):
                (Path(keep) / f"{name}.log").write_bytes((self.folder / f"{name}.log").read_bytes())

        self._stack.callback(end)

    def _ready(self):
        try:
            with urllib.request.urlopen(f"{self.url}/_ministack/health", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def client(self, service, **credentials):
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", **credentials}
        return boto3.client(
            service, endpoint_url=self.url, region_name=REGION,
            config=Config(retries={"max_attempts": 1}, connect_timeout=5, read_timeout=60), **keys,
        )

    def podman(self, *arguments):
        done = subprocess.run(["podman", *arguments], env=self.podman_env, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"podman {' '.join(arguments)}: {done.stderr}")
        return done.stdout.strip()


class Api:
    """The deployed API, called over HTTP as any client does."""

    def __init__(self, emulator, api_id, credentials=Credentials("test", "test")):
        self.credentials = credentials
        self.base = f"{emulator.url}/_aws/execute-api/{api_id}/$default"

    def call(self, method, path, body=None, headers=None, signed=True):
        signable = AWSRequest(
            method, self.base + path, data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", **(headers or {})},
        )
        if signed:
            SigV4Auth(self.credentials, "execute-api", REGION).add_auth(signable)
        request = urllib.request.Request(
            self.base + path, method=method, data=signable.body, headers=dict(signable.headers),
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                text = answer.read()
                return answer.status, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            text = error.read()
            try:
                return error.code, json.loads(text)
            except ValueError:
                return error.code, text.decode(errors="replace")
