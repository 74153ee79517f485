"""The commands of `python -m local`, each in a process of its own."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from minio import Minio

from handler.app import lambda_handler
from local.stack import LocalStack
from local.template import translate
from tests.integration.conftest import EVENTS, GOOD, plain

ROOT = EVENTS.parent
COMMAND = [sys.executable, "-m", "local"]


@pytest.fixture
def environ() -> dict[str, str]:
    """An environment that knows nothing of AWS."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RUNS_", "OUTPUT_"))}
    return kept | {"PYTHONPATH": "src", "COLUMNS": "200", "NO_COLOR": "1"}


def test_run_tells_the_story_of_a_run(environ: dict[str, str]) -> None:
    run = subprocess.run([*COMMAND, "run"], cwd=ROOT, env=environ, capture_output=True, text=True, check=True)  # noqa: S603
    assert run.stderr == ""
    statuses = re.findall(r"the record in DynamoDB: (\w+)", run.stdout)
    assert statuses == ["recorded", "rejected", "recorded", "recorded"]
    assert re.findall(r'"environment": "(\w+)"', run.stdout) == ["production"] * 3 + ["development"]
    assert run.stdout.count('"message": "NaN is not a JSON number"') == 1


def test_invoke_shows_answer_and_records(environ: dict[str, str]) -> None:
    command = [*COMMAND, "invoke", "events/s3-put.json"]
    run = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=True)  # noqa: S603
    assert '"outcome": "recorded"' in run.stdout
    assert "the record in DynamoDB: recorded" in run.stdout


def test_invoke_fails_when_the_function_raises(environ: dict[str, str]) -> None:
    command = [*COMMAND, "invoke", "events/not-an-s3-event.json"]
    run = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)  # noqa: S603
    assert run.returncode == 1
    assert '"errorType": "UnknownEventError"' in run.stdout


@pytest.fixture
def server(environ: dict[str, str]) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A serving process and the URL that it serves."""
    command = [*COMMAND, "serve", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stdout is not None
        (url,) = next(found for line in process.stdout if (found := re.findall(r"serving AWS on (\S+);", line)))
        yield url, process
        process.kill()


def wait_for_record(url: str, table: str, run_id: str) -> dict[str, Any]:
    dynamodb = boto3.client("dynamodb", endpoint_url=url)
    for _ in range(100):
        item = dynamodb.get_item(TableName=table, Key={"organisation_id": {"S": "acme"}, "run_id": {"S": run_id}}).get(
            "Item"
        )
        if item:
            return plain(item)
        time.sleep(0.1)
    raise TimeoutError(run_id)


def test_serve_records_what_real_clients_upload(server: tuple[str, subprocess.Popen[str]]) -> None:
    url, process = server
    variables = json.loads((ROOT / "local/sam-env-vars.json").read_text())["Parameters"]
    bucket, table = variables["RUNS_BUCKET"], variables["RUNS_TABLE"]
    data = bytes(6 * 1024 * 1024)
    document = {"model": {"name": "m", "version": "1"}, "files": [{"path": "data.bin", "size": len(data)}]}
    body = json.dumps(document).encode()

    s3 = boto3.client("s3", endpoint_url=url)
    multipart = TransferConfig(multipart_threshold=5 * 1024 * 1024, multipart_chunksize=5 * 1024 * 1024)
    s3.upload_fileobj(io.BytesIO(data), bucket, "runs/acme/by-boto3/data.bin", Config=multipart)
    s3.upload_fileobj(io.BytesIO(body), bucket, "runs/acme/by-boto3/metadata.json")
    assert wait_for_record(url, table, "by-boto3")["status"] == "recorded"

    minio = Minio(url.removeprefix("http://"), "testing", "testing", secure=False, region="us-east-1")
    for name, content in (("data.bin", data), ("metadata.json", body)):
        key = f"runs/acme/by-minio:a+b@c/{name}"
        minio.put_object(bucket, key, io.BytesIO(content), len(content), part_size=5 * 1024 * 1024)
    assert wait_for_record(url, table, "by-minio:a+b@c")["status"] == "recorded"

    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 0
    assert process.stdout is not None
    shown = process.stdout.read()
    for run in ("by-boto3", "by-minio:a+b@c"):
        assert f"recorded runs/acme/{run}/metadata.json" in shown


def test_message_that_keeps_failing_ends_in_the_dead_letter_queue(stack: LocalStack) -> None:
    queue, dead_letters = stack.outputs["UploadsQueue"], stack.outputs["DeadLetterQueue"]
    while stack.deliver(lambda_handler):
        pass
    stack.sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "0"})
    stack.sqs.send_message(QueueUrl=queue, MessageBody="not an S3 event")
    deliveries = [len(stack.deliver(lambda_handler)) for _ in range(6)]
    assert deliveries == [1, 1, 1, 1, 1, 0]
    (message,) = stack.sqs.receive_message(QueueUrl=dead_letters)["Messages"]
    assert message["Body"] == "not an S3 event"


def test_message_that_fails_stays_hidden_as_long_as_the_queue_says(stack: LocalStack) -> None:
    stack.sqs.send_message(QueueUrl=stack.outputs["UploadsQueue"], MessageBody="not an S3 event")
    assert len(stack.deliver(lambda_handler)) == 2  # with the test event of S3
    assert stack.deliver(lambda_handler) == []


def test_batch_is_as_large_as_the_event_source_says(stack: LocalStack) -> None:
    for number in range(25):
        stack.upload(f"runs/acme/run-{number}/metadata.json", GOOD)
    batches = []
    while records := stack.deliver(lambda_handler):
        batches.append(len(records))
    assert max(batches) == 10
    assert sum(batches) == 26
    assert len(stack.records()) == 25


def test_variables_for_sam_local_are_those_of_the_function() -> None:
    """`sam local` drops a variable that the template does not declare."""
    variables = json.loads((ROOT / "local/sam-env-vars.json").read_text())["Parameters"]
    declared = translate({})["Resources"]["RecorderFunction"]["Properties"]["Environment"]["Variables"]
    assert variables.keys() == declared.keys()
