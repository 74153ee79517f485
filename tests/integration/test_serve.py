"""`python -m local serve`: what it shows, records, and how it ends."""

import io
import json
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from minio import Minio

from local.sam import ROOT
from local.show import plain
from local.stack import TABLE
from tests.support.documents import GOOD
from tests.support.serving import COMMAND, VARIABLES, run_local, serving, shell_environment

BUCKET = VARIABLES["RUNS_BUCKET"]
BURST = 60


@pytest.fixture
def server() -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The URL that a serving process serves, and the process."""
    with serving() as served:
        yield served


def wait_for_record(url: str, run_id: str) -> dict[str, Any]:
    dynamodb = boto3.client("dynamodb", endpoint_url=url)
    key = {"organisation_id": {"S": "acme"}, "run_id": {"S": run_id}}
    return plain(wait_for(lambda: dynamodb.get_item(TableName=TABLE, Key=key).get("Item")))


def wait_for(find: Callable[[], Any]) -> Any:
    """Ask until there is an answer; the deadline is generous, since the machine may be busy."""
    deadline = time.monotonic() + 120
    while not (found := find()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found


def test_serve_records_what_real_clients_upload(server: tuple[str, subprocess.Popen[str]]) -> None:
    url, process = server
    data = bytes(6 * 1024 * 1024)
    document = {"model": {"name": "m", "version": "1"}, "files": [{"path": "data.bin", "size": len(data)}]}
    body = json.dumps(document).encode()

    s3 = boto3.client("s3", endpoint_url=url)
    multipart = TransferConfig(multipart_threshold=5 * 1024 * 1024, multipart_chunksize=5 * 1024 * 1024)
    s3.upload_fileobj(io.BytesIO(data), BUCKET, "runs/acme/by-boto3/data.bin", Config=multipart)
    s3.upload_fileobj(io.BytesIO(body), BUCKET, "runs/acme/by-boto3/metadata.json")
    assert wait_for_record(url, "by-boto3")["status"] == "recorded"

    minio = Minio(url.removeprefix("http://"), "testing", "testing", secure=False, region="us-east-1")
    for name, content in (("data.bin", data), ("metadata.json", body)):
        key = f"runs/acme/by-minio:a+b@c/{name}"
        minio.put_object(BUCKET, key, io.BytesIO(content), len(content), part_size=5 * 1024 * 1024)
    assert wait_for_record(url, "by-minio:a+b@c")["status"] == "recorded"

    assert process.stdout is not None
    for run in ("by-boto3", "by-minio:a+b@c"):
        line = process.stdout.readline()
        assert re.fullmatch(rf"→ \d\d:\d\d:\d\d recorded runs/acme/{re.escape(run)}/metadata.json\n", line)


def test_serve_shows_why_a_document_is_rejected(server: tuple[str, subprocess.Popen[str]]) -> None:
    url, process = server
    errors = b'{"name": "", "tags": 1, "parameters": 2, "created_by": 3, "created_at": 4}'
    boto3.client("s3", endpoint_url=url).put_object(Bucket=BUCKET, Key="runs/acme/bad/metadata.json", Body=errors)
    assert process.stdout is not None
    shown = [process.stdout.readline() for _ in range(5)]
    assert shown[0].endswith("rejected runs/acme/bad/metadata.json\n")
    assert shown[1] == "  /name: expected at least 1 character\n"
    assert shown[4] == "  … and 2 more\n"


def test_serve_records_no_sample_object_by_itself(server: tuple[str, subprocess.Popen[str]]) -> None:
    """Sample events find an empty table."""
    url, _ = server
    boto3.client("s3", endpoint_url=url).put_object(Bucket=BUCKET, Key="runs/acme/mine/metadata.json", Body=GOOD)
    wait_for_record(url, "mine")
    items = boto3.client("dynamodb", endpoint_url=url).scan(TableName=TABLE)["Items"]
    assert [item["run_id"]["S"] for item in items] == ["mine"]


def test_concurrent_pollers_lose_and_double_nothing(server: tuple[str, subprocess.Popen[str]]) -> None:
    url, process = server
    s3 = boto3.client("s3", endpoint_url=url)
    for number in range(BURST):
        s3.put_object(Bucket=BUCKET, Key=f"runs/acme/run-{number:03}/metadata.json", Body=GOOD)
    assert process.stdout is not None
    shown = sorted(process.stdout.readline()[len("→ 00:00:00 ") :] for _ in range(BURST))
    assert shown == [f"recorded runs/acme/run-{number:03}/metadata.json\n" for number in range(BURST)]


def test_serve_fails_with_one_line_if_the_port_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = run_local("serve", "--port", str(port))
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr == (f"error: port {port} of 127.0.0.1 is taken; choose another one: make serve PORT={port + 1}\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_serve_and_its_pollers_while_they_work(
    server: tuple[str, subprocess.Popen[str]], number: signal.Signals
) -> None:
    url, process = server
    pollers = wait_for(lambda: len(found := children(process.pid)) == 3 and found)
    s3 = boto3.client("s3", endpoint_url=url)
    for run in range(20):
        s3.put_object(Bucket=BUCKET, Key=f"runs/acme/run-{run}/metadata.json", Body=GOOD)
    process.send_signal(number)
    assert process.wait(timeout=120) == 0
    wait_for(lambda: not any(map(is_running, pollers)))
    assert process.stderr is not None
    assert process.stderr.read() == ""


def test_signal_that_interrupts_another_thread_ends_serve(tmp_path: Path) -> None:
    """The operating system chooses the thread."""
    (tmp_path / "sitecustomize.py").write_text(
        "import pathlib, signal, threading, time\n"
        "def interrupt():\n"
        f"    while not pathlib.Path({str(tmp_path / 'now')!r}).exists(): time.sleep(0.1)\n"
        "    signal.pthread_kill(threading.get_ident(), signal.SIGINT)\n"
        "threading.Thread(target=interrupt, daemon=True).start()\n"
    )
    with serving("--pollers", "0", site=tmp_path) as (_, process):
        (tmp_path / "now").touch()
        assert process.wait(timeout=120) == 0


@pytest.mark.parametrize(
    "module", ["run_recorder.errors", "moto.moto_server.werkzeug_app", "samtranslator.parser.parser", "local.stack"]
)
def test_signal_ends_serve_while_it_imports_a_module(module: str, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os, signal, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path, target=None):\n"
        f"        if name == {module!r}: os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder())\n"
    )
    command = [*COMMAND, "serve", "--port", "0"]
    run = subprocess.run(  # noqa: S603
        command, cwd=ROOT, env=shell_environment(tmp_path), capture_output=True, text=True, check=False, timeout=120
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def children(parent: int) -> list[int]:
    listed = subprocess.run(["ps", "-A", "-o", "ppid=,pid="], capture_output=True, text=True, check=True)  # noqa: S607
    pairs = (map(int, line.split()) for line in listed.stdout.splitlines())
    return [child for ppid, child in pairs if ppid == parent]


def is_running(pid: int) -> bool:
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)  # noqa: S603, S607
    return found.stdout.strip()[:1] not in {"", "Z"}
