"""Back-fill of a bucket full of old runs, beside live events."""

import json
import random
from collections.abc import Callable

import pytest

from handler.app import backfill_handler, lambda_handler
from local.show import plain
from local.stack import LocalStack
from run_recorder.s3 import S3
from tests.support.documents import BAD, good
from tests.support.events import Event, batch_event, batch_task, notification, s3_record
from tests.support.names import key_of


def run_job(stack: LocalStack, after_each: Callable[[list[str]], None] = lambda _: None) -> list[str]:
    """Run the job as S3 Batch Operations does, ten tasks an invocation; return the outcomes."""
    keys = [listed.key for listed in S3(stack.s3).list_objects(stack.outputs["RunsBucket"], "runs/")]
    keys = [key for key in keys if key.endswith("/metadata.json")]
    outcomes = []
    for start in range(0, len(keys), 10):
        tasks = [batch_task(key, task_id=key, schema="1.0") for key in keys[start : start + 10]]
        results = backfill_handler(batch_event(*tasks, schema="1.0"), None)["results"]
        assert [result["taskId"] for result in results] == [task["taskId"] for task in tasks]
        assert {result["resultCode"] for result in results} == {"Succeeded"}
        outcomes += [result["resultString"] for result in results]
        after_each([key.split("/")[2] for key in keys[start : start + 10]])
    return outcomes


@pytest.mark.parametrize("runs", [100, pytest.param(1_000, marks=pytest.mark.slow)])
def test_old_runs_end_in_exactly_the_right_table(stack: LocalStack, runs: int) -> None:
    """Some are bad, some are uploaded again meanwhile, and those events come early, late or twice."""
    choose = random.Random(1)  # noqa: S311
    history: dict[str, list[bytes]] = {}
    late: list[Event] = []
    waiting: set[str] = set()
    versions: dict[str, str] = {}

    def upload(run_id: str, body: bytes) -> Event:
        history.setdefault(run_id, []).append(body)
        key = key_of(run_id)
        response = stack.s3.put_object(Bucket=stack.outputs["RunsBucket"], Key=key, Body=body)
        versions[run_id] = response["VersionId"]
        sequencer = f"{sum(map(len, history.values())):x}"
        etag = response["ETag"].strip('"')
        return notification(s3_record(key, versionId=response["VersionId"], eTag=etag, sequencer=sequencer))

    # The runs are older than the stack, and the others' events are this test's to deliver.
    bucket = stack.outputs["RunsBucket"]
    stack.s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
    for number in range(runs):
        upload(f"run-{number}", BAD if choose.random() < 0.2 else good("old"))
    stack.upload("runs/acme/run-1/data/metadata.json", b"another file")
    done: set[str] = set()

    def upload_meanwhile(run_ids: list[str]) -> None:
        done.update(run_ids)
        for _ in range(3):
            run_id = f"run-{choose.randrange(runs)}"
            # A bad upload over one that nobody recorded would hide it for ever.
            may_be_bad = run_id in done and run_id not in waiting
            event = upload(run_id, BAD if may_be_bad and choose.random() < 0.5 else good(f"new-{len(late)}"))
            comes_late = choose.random() < 0.5
            if comes_late:
                late.append(event)
                waiting.add(run_id)
            if not comes_late or choose.random() < 0.3:
                lambda_handler(event, None)

    outcomes = run_job(stack, upload_meanwhile)
    assert len(outcomes) == runs + 1
    assert set(outcomes) == {"recorded", "rejected", "ignored", "duplicate"}
    choose.shuffle(late)
    for event in late:
        lambda_handler(event, None)

    items = stack.records()
    records = {item["run_id"]["S"]: plain(item) for item in items}
    assert records.keys() == history.keys()
    for run_id, bodies in history.items():
        record = records[run_id]
        assert record["status"] == ("rejected" if bodies[-1] == BAD else "recorded"), run_id
        assert record["version_id"] == versions[run_id], run_id
        accepted = [json.loads(body)["model"]["name"] for body in bodies if body != BAD]
        assert record.get("config", {}).get("model", {}).get("name") == (accepted[-1] if accepted else None), run_id

    assert set(run_job(stack)) == {"duplicate", "ignored"}
    assert stack.records() == items
