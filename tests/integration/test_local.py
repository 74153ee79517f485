"""The commands of `python -m local`, each in a process of its own."""

import json
import os
import re
import signal
import subprocess
import sys

import boto3
import pytest

from local.template import translate
from tests.integration.conftest import EVENTS

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


def test_serve_keeps_the_stack_until_it_is_interrupted(environ: dict[str, str]) -> None:
    command = [*COMMAND, "serve", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603
        assert server.stdout is not None
        (endpoint_url,) = next(found for line in server.stdout if (found := re.findall(r"serving AWS on (\S+);", line)))
        variables = json.loads((ROOT / "local/sam-env-vars.json").read_text())["Parameters"]
        s3 = boto3.client("s3", endpoint_url=endpoint_url)
        objects = s3.list_objects_v2(Bucket=variables["RUNS_BUCKET"])["Contents"]
        assert "runs/acme/run-0001/metadata.json" in [listed["Key"] for listed in objects]
        dynamodb = boto3.client("dynamodb", endpoint_url=endpoint_url)
        assert dynamodb.describe_table(TableName=variables["RUNS_TABLE"])["Table"]["TableStatus"] == "ACTIVE"
        server.send_signal(signal.SIGINT)
        assert server.wait(timeout=20) == 0


def test_variables_for_sam_local_are_those_of_the_function() -> None:
    """`sam local` drops a variable that the template does not declare."""
    variables = json.loads((ROOT / "local/sam-env-vars.json").read_text())["Parameters"]
    declared = translate({})["Resources"]["RecorderFunction"]["Properties"]["Environment"]["Variables"]
    assert variables.keys() == declared.keys()
