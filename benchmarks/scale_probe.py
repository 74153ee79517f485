"""Run a command of `run-recorder` over very many runs in a process of its own, or the bare calls; print the figures.

Arguments: the name of the command, ``ours`` or ``bare``, and the number of runs. Prints to standard error, because the
command prints to standard output: the CPU seconds in a warm process, the requests, and the peak resident memory in MB.
"""

import itertools
import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import boto3

from benchmarks.many_runs import ENVIRONMENT, ORGANISATIONS, ManyRuns
from benchmarks.probe import use_one_cpu
from run_recorder.cli import main
from run_recorder.cli.stack import Stack
from run_recorder.config import load_settings

COMMANDS = {
    "reconcile": ["reconcile", "--json"],
    "list": ["list", "--all", "--json", "--full"],
    "replay": ["replay", "--yes", "--json"],
}
_BUCKET, _TABLE = ENVIRONMENT["RUNS_BUCKET"], ENVIRONMENT["RUNS_TABLE"]


def run_ours(name: str, runs: ManyRuns) -> None:
    """Run the command, which must succeed."""
    client = Stack.client
    settings = load_settings(ENVIRONMENT)
    with (
        patch.object(Stack, "client", lambda *arguments: runs.attach(client(*arguments))),
        patch.object(Stack, "_read_settings", lambda _stack: settings),
    ):
        main([*COMMANDS[name], "--bucket", _BUCKET, "--table", _TABLE], standalone_mode=False)


def run_bare(name: str, runs: ManyRuns) -> None:
    """Make the calls that the command cannot avoid, one after the other."""
    s3, dynamodb = runs.attach(boto3.client("s3")), runs.attach(boto3.client("dynamodb"))
    if name == "list":
        found = itertools.chain.from_iterable(
            _query(dynamodb, organisation, IndexName="NewestRuns") for organisation in ORGANISATIONS
        )
        while chunk := list(itertools.islice(found, 100)):
            keys = [{part: item[part] for part in ("organisation_id", "run_id")} for item in chunk]
            dynamodb.batch_get_item(RequestItems={_TABLE: {"Keys": keys}})
        return
    for organisation in ORGANISATIONS:
        for item in _query(dynamodb, organisation):
            _look(name, s3, dynamodb, organisation, item["run_id"])
        if name == "reconcile":
            pages = s3.get_paginator("list_objects_v2").paginate(
                Bucket=_BUCKET, Prefix=f"runs/{organisation}/", Delimiter="/"
            )
            sum(len(page["CommonPrefixes"]) for page in pages)


def _query(dynamodb: Any, organisation: str, **request: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401
    pages = dynamodb.get_paginator("query").paginate(
        TableName=_TABLE,
        KeyConditionExpression="organisation_id = :organisation_id",
        ExpressionAttributeValues={":organisation_id": {"S": organisation}},
        **request,
    )
    return (item for page in pages for item in page["Items"])


def _look(name: str, s3: Any, dynamodb: Any, organisation: str, run_id: dict[str, str]) -> None:  # noqa: ANN401
    """Look for the object of a run, or read its record and the object."""
    key = f"runs/{organisation}/{run_id['S']}/metadata.json"
    if name == "reconcile":
        s3.head_object(Bucket=_BUCKET, Key=key)
        return
    dynamodb.get_item(
        TableName=_TABLE, Key={"organisation_id": {"S": organisation}, "run_id": run_id}, ConsistentRead=True
    )
    s3.get_object(Bucket=_BUCKET, Key=key)["Body"].read()


if __name__ == "__main__":
    command, who, number = sys.argv[1:]
    run = {"ours": run_ours, "bare": run_bare}[who]
    use_one_cpu()
    run(command, ManyRuns(len(ORGANISATIONS)))  # whatever is loaded once
    made_up = ManyRuns(int(number))
    before = time.process_time()
    run(command, made_up)
    unit = 1 if sys.platform == "darwin" else 1024
    figures = {
        "cpu": time.process_time() - before,
        "requests": made_up.requests.total(),
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20,
    }
    print(json.dumps(figures), file=sys.stderr, flush=True)
    sys.stdout.flush()
    os._exit(0)
