"""`python -m run_recorder.cli redrive`: what is in the dead-letter queue and why, and the way back."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.stub import Stubber
from click.testing import Result
from pytest_mock import MockerFixture

from handler.app import lambda_handler
from local.stack import LocalStack
from run_recorder.cli.dead_letters import DeadLetters
from run_recorder.errors import AWSCallError
from run_recorder.s3 import S3
from tests.support.stack_fixtures import enter_environment, ops

pytestmark = pytest.mark.usefixtures("shared_stack", "no_waiting")

SOURCE, DESTINATION = "arn:aws:sqs:us-east-1:123456789012:dead", "arn:aws:sqs:us-east-1:123456789012:uploads"


def redrive(*arguments: str) -> Result:
    return ops("redrive", *arguments)


def report(*arguments: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(redrive("--json", *arguments).stdout)
    return document


@pytest.fixture
def send(shared_stack: LocalStack) -> Iterator[Callable[..., str]]:
    """Puts a message into the dead-letter queue; returns its id."""
    queue = shared_stack.outputs["DeadLetterQueue"]

    def put(body: Any, **attributes: str) -> str:
        text = body if isinstance(body, str) else json.dumps(body)
        message_attributes = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()}
        sent = shared_stack.sqs.send_message(QueueUrl=queue, MessageBody=text, MessageAttributes=message_attributes)
        message_id: str = sent["MessageId"]
        return message_id

    yield put
    for name in ("DeadLetterQueue", "UploadsQueue"):
        url = shared_stack.outputs[name]
        while left := shared_stack.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in left:
                shared_stack.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


@pytest.fixture
def notification(shared_stack: LocalStack, s3_record: Callable[..., Any]) -> Callable[..., Any]:
    """Makes an S3 notification of these keys in the bucket of runs."""

    def make(*keys: str) -> dict[str, Any]:
        return {"Records": [s3_record(key, bucket=shared_stack.outputs["RunsBucket"]) for key in keys]}

    return make


def test_empty_queue_is_fine() -> None:
    result = redrive()
    assert (result.exit_code, result.output) == (0, "0 in the dead-letter queue\n")
    assert redrive("--start").exit_code == 0
    assert report("--start") == {"messages": [], "discarded": [], "moved": None, "left": 0}


def test_reasons_are_told(
    shared_stack: LocalStack,
    send: Callable[..., str],
    notification: Callable[..., Any],
    environment: pytest.MonkeyPatch,
) -> None:
    enter_environment(environment, shared_stack)
    shared_stack.upload("runs/dead/recorded/metadata.json", b"{}")
    lambda_handler(notification("runs/dead/recorded/metadata.json"), None)
    shared_stack.upload("runs/dead/again/metadata.json", b"{}")
    lambda_handler(notification("runs/dead/again/metadata.json"), None)
    shared_stack.upload("runs/dead/again/metadata.json", b'{"name": "newer"}')
    shared_stack.upload("runs/dead/missing/metadata.json", b"{}")
    expected = {
        send("no JSON"): "the message body is not JSON: JSONDecodeError: it can never be recorded, discard it",
        send({"a": 1}): "not an S3 notification: an object with the names 'a': it can never be recorded, discard it",
        send(notification("runs/dead/missing/metadata.json")): "there is no record yet: put it back",
        send(notification("runs/dead/again/metadata.json")): "the record shows another upload: put it back",
        send(notification("runs/dead/recorded/metadata.json")): "recorded by now: put back, it changes nothing",
        send(notification("runs/dead/gone/metadata.json")): "metadata.json is gone by now: put back, it is ignored",
        send(notification("other")): "not the upload of a run's metadata.json to run-recorder-runs",
        send(
            notification("runs/dead/missing/metadata.json"), ERROR_CODE="NO_PERMISSIONS", ERROR_MESSAGE="denied"
        ): "EventBridge could not deliver it (NO_PERMISSIONS: denied): put it back",
    }
    result = redrive("--json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert document["left"] == 8
    reasons = {message["message_id"]: message["reasons"] for message in document["messages"]}
    assert reasons.keys() == expected.keys()
    for message_id, text in expected.items():
        (reason,) = reasons[message_id]
        assert text in reason

    result = redrive()
    assert result.exit_code == 1
    for message_id, text in expected.items():
        assert message_id in result.stdout
        assert text in result.stdout
    assert result.stdout.endswith("\n8 in the dead-letter queue\n")
    assert 'filter outcome = "failed"' in result.stderr


def test_each_reason_of_a_message_is_told_once(send: Callable[..., str], notification: Callable[..., Any]) -> None:
    keys = ["runs/dead/x/metadata.json", "runs/dead/y/metadata.json", "other"]
    send(notification(*keys))
    (message,) = report()["messages"]
    assert message["keys"] == keys
    assert len(message["reasons"]) == 2
    assert message["received"] == 1
    assert message["sent_at"].startswith("20")


def test_what_aws_fails_for_still_is_told_of_the_message_alone(
    send: Callable[..., str], notification: Callable[..., Any], mocker: MockerFixture
) -> None:
    send(notification("runs/dead/x/metadata.json"))
    send("no JSON")
    mocker.patch.object(S3, "head_object", side_effect=AWSCallError("looking failed: AccessDenied"))
    reasons = [reason for message in report()["messages"] for reason in message["reasons"]]
    assert reasons[0] == "AWS fails still: looking failed: AccessDenied"
    assert len(reasons) == 2


def test_looking_leaves_the_messages_to_others(shared_stack: LocalStack, send: Callable[..., str]) -> None:
    ids = {send(f"message {number}") for number in range(12)}
    assert {message["message_id"] for message in report()["messages"]} == ids
    assert {message["message_id"] for message in report()["messages"]} == ids
    assert len(report("--limit", "11")["messages"]) == 11
    assert report("--limit", "11")["left"] == 12
    received = shared_stack.sqs.receive_message(
        QueueUrl=shared_stack.outputs["DeadLetterQueue"], MaxNumberOfMessages=10, VisibilityTimeout=0
    )
    assert len(received["Messages"]) == 10


def test_messages_are_shown_again_even_if_looking_fails(
    shared_stack: LocalStack, send: Callable[..., str], mocker: MockerFixture
) -> None:
    send("one")
    queue = shared_stack.outputs["DeadLetterQueue"]
    receive = shared_stack.sqs.receive_message
    sqs = mocker.create_autospec(shared_stack.sqs, instance=True)
    sqs.receive_message.side_effect = [receive(QueueUrl=queue, VisibilityTimeout=60), KeyboardInterrupt]
    sqs.change_message_visibility.side_effect = shared_stack.sqs.change_message_visibility
    with pytest.raises(KeyboardInterrupt):
        DeadLetters(sqs, queue).peek(100)
    assert len(receive(QueueUrl=queue, VisibilityTimeout=0)["Messages"]) == 1


def test_discarded_message_is_gone_and_the_others_are_not(shared_stack: LocalStack, send: Callable[..., str]) -> None:
    bad, other = send("bad"), send("other")
    document = report("--discard", bad)
    assert (document["discarded"], document["left"]) == ([bad], 1)
    names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
    attributes = shared_stack.sqs.get_queue_attributes(
        QueueUrl=shared_stack.outputs["DeadLetterQueue"], AttributeNames=names
    )["Attributes"]
    assert attributes == {"ApproximateNumberOfMessages": "1", "ApproximateNumberOfMessagesNotVisible": "0"}
    assert [message["message_id"] for message in report()["messages"]] == [other]
    result = redrive("--discard", other)
    assert result.exit_code == 0
    assert result.stdout.endswith("\n    discarded\n0 in the dead-letter queue\n")
    assert redrive().exit_code == 0


def test_message_to_discard_that_is_not_there_is_told() -> None:
    result = redrive("--discard", "nobody")
    assert result.exit_code == 1
    assert result.stderr.endswith("not among the messages that were looked at: nobody\n")
    result = redrive("--json", "--discard", "nobody")
    assert json.loads(result.stdout)["discarded"] == []


def test_messages_that_were_put_back_are_recorded(
    shared_stack: LocalStack,
    send: Callable[..., str],
    notification: Callable[..., Any],
    environment: pytest.MonkeyPatch,
) -> None:
    for number in range(12):
        key = f"runs/back/{number}/metadata.json"
        shared_stack.upload(key, b"{}")
        send(notification(key))
    result = redrive("--start")
    assert result.exit_code == 0, result.output
    assert result.stdout.endswith("12 in the dead-letter queue\n12 put back into the queue of uploads\n")
    assert report() == {"messages": [], "discarded": [], "moved": None, "left": 0}
    enter_environment(environment, shared_stack)
    while shared_stack.deliver(lambda_handler):
        pass
    recorded = {item["run_id"]["S"] for item in shared_stack.records() if item["organisation_id"]["S"] == "back"}
    assert recorded == {str(number) for number in range(12)}


def test_second_move_is_not_taken_for_the_first(send: Callable[..., str], mocker: MockerFixture) -> None:
    mocker.patch("time.time_ns", side_effect=[1_000_000, 2_000_000])
    send("one")
    assert report("--start")["moved"] == 1
    send("two")
    send("three")
    assert report("--start")["moved"] == 2


# What the message move task of the local stack does not do: to take its time, and to fail.


@pytest.fixture
def sqs(stub_client: Callable[[str], Stubber], mocker: MockerFixture) -> Stubber:
    """The command's client of SQS, with ten messages to move."""
    mocker.patch.object(DeadLetters, "peek", autospec=True, return_value=[])
    mocker.patch.object(DeadLetters, "count", autospec=True, return_value=10)
    return stub_client("sqs")


def task(status: str, moved: int, started: int = 2, **fields: Any) -> dict[str, Any]:
    return {
        "Status": status,
        "StartedTimestamp": started,
        "ApproximateNumberOfMessagesMoved": moved,
        "ApproximateNumberOfMessagesToMove": 10,
        **fields,
    }


def expect_start(sqs: Stubber, before: list[dict[str, Any]], **limits: int) -> None:
    sqs.add_response("get_queue_attributes", {"Attributes": {"QueueArn": SOURCE}})
    expect_tasks(sqs, *before)
    sqs.add_response("get_queue_attributes", {"Attributes": {"QueueArn": DESTINATION}})
    expected = {"SourceArn": SOURCE, "DestinationArn": DESTINATION, **limits}
    sqs.add_response("start_message_move_task", {"TaskHandle": "handle"}, expected)


def expect_tasks(sqs: Stubber, *tasks: dict[str, Any]) -> None:
    for listed in tasks:
        sqs.add_response(
            "list_message_move_tasks",
            {"Results": [listed] if listed else []},
            {"SourceArn": SOURCE, "MaxResults": 1},
        )


def test_move_is_followed_to_its_end(sqs: Stubber) -> None:
    """An older task is not it, and the listing may know the new one late."""
    old = task("COMPLETED", 99, started=1)
    expect_start(sqs, [old], MaxNumberOfMessagesPerSecond=5)
    expect_tasks(sqs, old, task("RUNNING", 0), task("RUNNING", 4), task("COMPLETED", 10))
    result = redrive("--start", "--rate", "5")
    assert result.exit_code == 0, result.output
    assert result.stdout.endswith("10 put back into the queue of uploads\n")
    sqs.assert_no_pending_responses()


def test_first_move_of_a_queue_is_followed(sqs: Stubber) -> None:
    expect_start(sqs, [{}])
    expect_tasks(sqs, {}, task("COMPLETED", 10))
    assert report("--start")["moved"] == 10
    sqs.assert_no_pending_responses()


def test_move_that_runs_already_is_followed_and_no_other_started(sqs: Stubber) -> None:
    sqs.add_response("get_queue_attributes", {"Attributes": {"QueueArn": SOURCE}})
    expect_tasks(sqs, task("RUNNING", 3), task("COMPLETED", 10))
    assert report("--start")["moved"] == 10
    sqs.assert_no_pending_responses()


def test_move_goes_on_when_nobody_follows_it(sqs: Stubber, mocker: MockerFixture) -> None:
    expect_start(sqs, [{}])
    expect_tasks(sqs, task("RUNNING", 0))
    mocker.patch("run_recorder.cli.dead_letters.time.sleep", side_effect=KeyboardInterrupt)
    result = redrive("--start")
    assert result.exit_code == 130
    assert result.stderr.splitlines()[-2:] == ["SQS goes on without you; `redrive --start` follows it", "interrupted"]


def test_move_that_fails_is_told(sqs: Stubber) -> None:
    expect_start(sqs, [{}])
    expect_tasks(sqs, task("FAILED", 2, FailureReason="CouldNotDetermineMessageSource"))
    result = redrive("--start")
    assert result.exit_code == 3
    assert result.stderr.endswith("Error: the move ended as FAILED: CouldNotDetermineMessageSource\n")


def test_refused_move_is_told(sqs: Stubber) -> None:
    sqs.add_response("get_queue_attributes", {"Attributes": {"QueueArn": SOURCE}})
    expect_tasks(sqs, {})
    sqs.add_response("get_queue_attributes", {"Attributes": {"QueueArn": DESTINATION}})
    sqs.add_client_error("start_message_move_task", "AccessDenied")
    result = redrive("--start")
    assert (result.exit_code, result.stderr.splitlines()[-1].count("AccessDenied")) == (3, 1)
