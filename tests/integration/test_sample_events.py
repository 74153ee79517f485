"""Every file of events/ gets the answer that lies beside it."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from handler.app import lambda_handler
from local.invoke import choose_handler
from local.samples import EVENTS, SAMPLES, expected_answer
from local.show import plain
from local.stack import LocalStack
from run_recorder.domain import RECORDED_FIELDS
from run_recorder.errors import RunRecorderError


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.stem)
def test_sample_event_gets_its_expected_answer(stack: LocalStack, sample: Path) -> None:
    stack.upload_tree(EVENTS / "objects")
    event = json.loads(sample.read_text())
    expected = json.loads(expected_answer(sample).read_text())
    if "errorType" in expected:
        with pytest.raises(RunRecorderError) as failure:
            choose_handler(event)(event, None)
        assert {"errorType": type(failure.value).__name__} == expected
    else:
        assert choose_handler(event)(event, None) == expected


def test_sample_message_of_a_run_whose_file_is_late_is_put_back(stack: LocalStack) -> None:
    stack.upload_tree(EVENTS / "objects")
    stack.sqs.purge_queue(QueueUrl=stack.outputs["UploadsQueue"])
    event = json.loads((EVENTS / "sqs-s3-put-files-missing.json").read_text())
    lambda_handler(event, None)
    (item,) = stack.records()
    assert plain(item)["status"] == "pending"
    attributes = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed"]
    queue = stack.sqs.get_queue_attributes(QueueUrl=stack.outputs["UploadsQueue"], AttributeNames=attributes)
    assert [queue["Attributes"][name] for name in attributes] == ["0", "1"]


def test_no_expected_answer_lacks_its_event() -> None:
    assert {expected_answer(sample) for sample in SAMPLES} == set(EVENTS.glob("*.expected.json"))


def test_sample_notification_is_recorded_with_every_attribute(stack: LocalStack) -> None:
    stack.upload_tree(EVENTS / "objects")
    lambda_handler(json.loads((EVENTS / "s3-put.json").read_text()), None)
    (item,) = stack.records()
    record = plain(item)
    bucket = stack.outputs["RunsBucket"]
    document = (EVENTS / "objects/runs/acme/run-0001/metadata.json").read_bytes()
    assert record.pop("recorded_at") == record.pop("first_recorded_at")
    assert record.pop("uploaded_at").endswith("Z")
    assert len(record.pop("config_sha256")) == 64
    version_id, etag = record.pop("version_id"), record.pop("etag")
    source = record.pop("source")
    assert source["size"] == len(document)
    assert (source["version_id"], source["etag"]) == (version_id, etag)
    assert source["sequencer"] == "0055AED6DCD90281E5".rjust(32, "0")
    metadata = json.loads(document)
    assert record == {
        "organisation_id": "acme",
        "run_id": "run-0001",
        "status": "recorded",
        "sequencer": source["sequencer"],
        "bucket": bucket,
        "key": "runs/acme/run-0001/metadata.json",
        "config": {
            "environment": "production",
            "model": {"name": "amplification", "version": "2.1.0"},
            "input": f"s3://{bucket}/runs/acme/run-0001/",
            "output": f"s3://{bucket}/results/acme/run-0001/",
            "parameters": {"threshold": Decimal("0.035"), "baseline_cycles": [1, 2]},
        },
        **{name: metadata[name] for name in RECORDED_FIELDS if name in metadata},
    }
