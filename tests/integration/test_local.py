"""The commands of `python -m local`, each in a process of its own."""

import itertools
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from moto.sqs.models import Message
from pytest_mock import MockerFixture

from handler.app import lambda_handler
from local.invoke import invoke
from local.show import COLOURS
from local.stack import LocalStack
from local.template import translate
from run_recorder.domain import Outcome
from tests.support.documents import GOOD
from tests.support.serving import VARIABLES, run_local


def test_run_shows_one_record_in_full_and_then_what_changes() -> None:
    run = run_local("run")
    assert (run.returncode, run.stderr) == (0, "")
    assert len(run.stdout.splitlines()) < 60
    assert re.findall(r"lambda_handler → (\w+)", run.stdout) == ["recorded", "rejected", "recorded", "recorded"]
    assert run.stdout.count("the record in DynamoDB") == 1
    assert re.findall(r'"environment": "(\w+)"', run.stdout) == ["production"]
    assert re.findall(r'config.environment: "(\w+)"', run.stdout) == ["development"]
    assert re.findall(r'status: "(\w+)"', run.stdout) == ["rejected", "recorded"]
    assert run.stdout.count("/parameters/threshold: NaN is not a JSON number") == 1


def test_every_outcome_has_a_colour() -> None:
    assert COLOURS.keys() == set(Outcome)


def test_invoke_shows_answer_and_records() -> None:
    run = run_local("invoke", "events/s3-put.json")
    assert run.returncode == 0
    assert '"outcome": "recorded"' in run.stdout
    assert "the record in DynamoDB: recorded" in run.stdout


def test_invoke_fails_when_the_function_raises() -> None:
    run = run_local("invoke", "events/not-an-s3-event.json")
    assert run.returncode == 1
    assert '"errorType": "UnknownEventError"' in run.stdout


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nosuch.json", "cannot read nosuch.json: No such file or directory"),
        ("events", "cannot read events: Is a directory"),
        ("README.md", "README.md is not JSON: Expecting value: line 1 column 1 (char 0)"),
        (".vscode-like.json", "is not an event: expected a JSON object"),
    ],
)
def test_invoke_of_a_file_that_is_no_event_fails_with_one_line(
    name: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if name.startswith("."):
        name = str(tmp_path / name)
        Path(name).write_text("[]")
    assert invoke(Path(name)) == 1
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert message in printed.err


def test_invoke_of_a_file_that_is_not_there_ends_the_process_with_its_status() -> None:
    run = run_local("invoke", "nosuch.json")
    assert (run.returncode, run.stdout) == (1, "")


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


def interrupt(mocker: MockerFixture, method: str, run: Callable[[], object], call: int = 1) -> threading.Thread:
    """Run something in another thread when this method of a message is called the first time, or a later one.

    The caller goes on after a second even if the other thread does not, since that one may have to wait for it.
    """
    other = threading.Thread(target=run)
    original = getattr(Message, method)
    calls = itertools.count(1)

    def interrupted(*arguments: Any, **named: Any) -> Any:
        if next(calls) == call:
            other.start()
            other.join(timeout=1)
        return original(*arguments, **named)

    mocker.patch.object(Message, method, interrupted)
    return other


def test_concurrent_receivers_get_different_messages(stack: LocalStack, mocker: MockerFixture) -> None:
    while stack.deliver(lambda_handler):
        pass
    queue = stack.outputs["UploadsQueue"]
    for body in ("first", "second"):
        stack.sqs.send_message(QueueUrl=queue, MessageBody=body)
    received: list[str] = []

    def receive() -> None:
        received.extend(message["Body"] for message in stack.sqs.receive_message(QueueUrl=queue)["Messages"])

    other = interrupt(mocker, "mark_received", receive)
    receive()
    other.join()
    assert sorted(received) == ["first", "second"]


def test_concurrent_deletions_delete_both_messages(stack: LocalStack, mocker: MockerFixture) -> None:
    queue = stack.outputs["UploadsQueue"]
    stack.sqs.send_message(QueueUrl=queue, MessageBody="beside the test event of S3")
    first, second = stack.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]

    def delete(message: dict[str, str]) -> None:
        stack.sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])

    # moto calls it once to look for the message, and then while it makes the list of the others.
    other = interrupt(mocker, "had_receipt_handle", lambda: delete(second), call=2)
    delete(first)
    other.join()
    counts = stack.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["ApproximateNumberOfMessagesNotVisible"])
    assert counts["Attributes"] == {"ApproximateNumberOfMessagesNotVisible": "0"}


def test_variables_for_sam_local_are_those_of_the_function() -> None:
    """`sam local` drops a variable that the template does not declare."""
    declared = translate({})["Resources"]["RecorderFunction"]["Properties"]["Environment"]["Variables"]
    assert VARIABLES.keys() == declared.keys()
