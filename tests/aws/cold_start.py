"""From exec to the first /next: the part of a cold start that is ours.

Each function is started in turn with the least one (`functions/src/bin/floor.rs`)
against a runtime API of this process, so that they share whatever else the
machine does.
"""

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ZIPS = {name: ROOT / "target" / "lambda" / name / "bootstrap.zip" for name in ("floor", "api", "scheduler")}
ENVIRONMENT = {
    "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_LAMBDA_FUNCTION_NAME": "f", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
    "AWS_LAMBDA_FUNCTION_VERSION": "1", "AWS_LAMBDA_LOG_GROUP_NAME": "g", "AWS_LAMBDA_LOG_STREAM_NAME": "s",
    "EZLIVE_TABLE_PREFIX": "ezlive", "EZLIVE_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/1/q",
    "EZLIVE_PLAYBACK_URL": "https://example.org", "EZLIVE_STORE": "s3://bucket",
    "EZLIVE_ECS_CLUSTER": "c", "EZLIVE_TASK_DEFINITION": "t",
}


def start(program, listener):
    """Milliseconds from exec to the request for the first event."""
    address = "%s:%d" % listener.getsockname()
    began = time.perf_counter()
    process = subprocess.Popen(
        [program], env={**ENVIRONMENT, "AWS_LAMBDA_RUNTIME_API": address},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )
    try:
        connection, _ = listener.accept()
        head = connection.recv(4096)
        took = (time.perf_counter() - began) * 1000
        assert head.startswith(b"GET /2018-06-01/runtime/invocation/next"), head
        connection.close()
        return took
    except TimeoutError:
        process.kill()
        raise AssertionError(process.stderr.read().decode()) from None
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def measure(rounds):
    """Median milliseconds of each program, the sizes of their zips, and the ratios."""
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        programs = {}
        for name, path in ZIPS.items():
            target = Path(folder) / name
            with zipfile.ZipFile(path) as zipped:
                target.write_bytes(zipped.read("bootstrap"))
            target.chmod(0o755)
            programs[name] = str(target)
            start(programs[name], listener)
        times = {name: [] for name in programs}
        for _ in range(rounds):
            for name, program in programs.items():
                times[name].append(start(program, listener))
    floor = statistics.median(times["floor"])
    return {
        name: {
            "zip_mb": round(os.path.getsize(ZIPS[name]) / 1e6, 2),
            "median_ms": round(statistics.median(values), 2),
            "least_ms": round(min(values), 2),
            "of_floor": round(statistics.median(values) / floor, 2),
        }
        for name, values in times.items()
    }


if __name__ == "__main__":
    json.dump(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 40), sys.stdout, indent=2)
    print()
