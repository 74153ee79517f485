"""`run-recorder dead-letters`: messages listed with their reasons, put back, and deleted."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.stub import Stubber
from click.testing import Result
from pytest_mock import MockerFixture

from handler.app import lambda_handler
from local.stack import LocalStack
from run_recorder.cli.dead_letter_queue import DeadLetterQueue
from run_recorder.errors import AWSCallError
from run_recorder.s3 import S3
from tests.support.stack_fixtures import empty_queue, enter_environment, run_command

pytestmark = pytest.mark.usefixtures("shared_stack", "no_waiting")

EMPTY = "0 in the dead-letter queue\n0 in the queue of undelivered events\n"
SOURCE, DESTINATION = "arn:aws:sqs:us-east-1:123456789012:dead", "arn:aws:sqs:us-east-1:123456789012:uploads"


def dead_letters(*arguments: str) -> Result:
    return run_command("dead-letters", *arguments)


def listed(*arguments: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in dead_letters("list", "--json", *arguments).stdout.splitlines()]


def moved(*arguments: str) -> int:
    document: dict[str, int] = json.loads(dead_letters("redrive", "--yes", "--json", *arguments).stdout)
    return document["moved"]


@pytest.fixture
def send(shared_stack: LocalStack) -> Iterator[Callable[..., str]]:
    """A function that puts a message into the dead-letter queue and returns its id."""
    queue = shared_stack.outputs["DeadLetterQueue"]

    def put(body: Any, **attributes: str) -> str:
        text = body if isinstance(body, str) else json.dumps(body)
        message_attributes = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()}
        sent = shared_stack.sqs.send_message(QueueUrl=queue, MessageBody=text, MessageAttributes=message_attributes)
        message_id: str = sent["MessageId"]
        return message_id

    yield put
    for name in ("DeadLetterQueue", "UploadsQueue"):
        empty_queue(shared_stack, name)


@pytest.fixture
def notification(shared_stack: LocalStack, s3_record: Callable[..., Any]) -> Callable[..., Any]:
    """A function that returns an S3 notification of these keys in the bucket of runs."""

    def make(*keys: str) -> dict[str, Any]:
        return {"Records": [s3_record(key, bucket=shared_stack.outputs["RunsBucket"]) for key in keys]}

    return make


def test_empty_queue_needs_no_attention() -> None:
    result = dead_letters("list")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", EMPTY)
    assert listed() == []
    result = dead_letters("redrive")
    assert (result.exit_code, result.output) == (0, "0 put back into the queue of uploads\n")
    assert moved() == 0


def test_each_message_has_its_reason(
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
        send("no JSON"): "the message body is not JSON: JSONDecodeError: no upload can come of the message, discard it",
        send(
            {"a": 1}
        ): "not an S3 notification: an object with the names 'a': no upload can come of the message, discard it",
        send(notification("runs/dead/missing/metadata.json")): "there is no record yet: put it back",
        send(notification("runs/dead/again/metadata.json")): "the record shows another upload: put it back",
        send(notification("runs/dead/recorded/metadata.json")): "recorded now: put back, it changes nothing",
        send(notification("runs/dead/gone/metadata.json")): "metadata.json is no longer there: put back, it is ignored",
        send(notification("other")): "not the upload of a run's metadata.json to run-recorder-runs",
        send(
            notification("runs/dead/missing/metadata.json"), ERROR_CODE="NO_PERMISSIONS", ERROR_MESSAGE="denied"
        ): "EventBridge could not deliver it (NO_PERMISSIONS: denied): put it back",
    }
    reasons = {message["message_id"]: message["reasons"] for message in listed()}
    assert reasons.keys() == expected.keys()
    for message_id, text in expected.items():
        (reason,) = reasons[message_id]
        assert text in reason

    result = dead_letters("list")
    assert result.exit_code == 1
    for message_id, text in expected.items():
        assert message_id in result.stdout
        assert text in result.stdout
    assert result.stderr.startswith("8 in the dead-letter queue\n")
    assert 'filter outcome = "failed"' in result.stderr


def test_each_reason_of_a_message_is_listed_once(send: Callable[..., str], notification: Callable[..., Any]) -> None:
    keys = ["runs/dead/x/metadata.json", "runs/dead/y/metadata.json", "other"]
    send(notification(*keys))
    (message,) = listed()
    assert message["keys"] == keys
    assert len(message["reasons"]) == 2
    assert message["received"] == 1
    assert message["sent_at"].startswith("20")


def test_failure_of_aws_is_the_reason_of_its_message_alone(
    send: Callable[..., str], notification: Callable[..., Any], mocker: MockerFixture
) -> None:
    send(notification("runs/dead/x/metadata.json"))
    send("no JSON")
    mocker.patch.object(S3, "head_object", side_effect=AWSCallError("looking failed: AccessDenied"))
    reasons = [reason for message in listed() for reason in message["reasons"]]
    assert reasons[0] == "AWS still fails: looking failed: AccessDenied"
    assert len(reasons) == 2


def test_listed_messages_stay_visible_to_others(shared_stack: LocalStack, send: Callable[..., str]) -> None:
    ids = {send(f"message {number}") for number in range(12)}
    assert {message["message_id"] for message in listed()} == ids
    assert {message["message_id"] for message in listed()} == ids
    assert len(listed("--limit", "11")) == 11
    assert "12 in the dead-letter queue, 11 of them listed" in dead_letters("list", "--limit", "11").stderr
    received = shared_stack.sqs.receive_message(
        QueueUrl=shared_stack.outputs["DeadLetterQueue"], MaxNumberOfMessages=10, VisibilityTimeout=0
    )
    assert len(received["Messages"]) == 10


def test_messages_become_visible_again_after_a_failure(
    shared_stack: LocalStack, send: Callable[..., str], mocker: MockerFixture
) -> None:
    send("one")
    queue = shared_stack.outputs["DeadLetterQueue"]
    receive = shared_stack.sqs.receive_message
    sqs = mocker.create_autospec(shared_stack.sqs, instance=True)
    sqs.receive_message.side_effect = [receive(QueueUrl=queue, VisibilityTimeout=60), KeyboardInterrupt]
    sqs.change_message_visibility.side_effect = shared_stack.sqs.change_message_visibility
    with pytest.raises(KeyboardInterrupt):
        DeadLetterQueue(sqs, queue).peek(100)
    assert len(receive(QueueUrl=queue, VisibilityTimeout=0)["Messages"]) == 1


def test_discarded_message_is_deleted_and_the_others_are_not(
    shared_stack: LocalStack, send: Callable[..., str]
) -> None:
    bad, other = send("bad"), send("other")
    result = dead_letters("discard", "--yes", "--json", bad)
    assert (result.exit_code, json.loads(result.stdout)) == (0, {"discarded": [bad]})
    names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
    attributes = shared_stack.sqs.get_queue_attributes(
        QueueUrl=shared_stack.outputs["DeadLetterQueue"], AttributeNames=names
    )["Attributes"]
    assert attributes == {"ApproximateNumberOfMessages": "1", "ApproximateNumberOfMessagesNotVisible": "0"}
    assert [message["message_id"] for message in listed()] == [other]
    result = dead_letters("discard", "--yes", other)
    assert result.exit_code == 0
    assert result.stdout.startswith(f"{other}  sent ")
    assert result.stdout.endswith("\n1 deleted\n")
    assert dead_letters("list").exit_code == 0


def test_unknown_message_to_discard_is_reported(send: Callable[..., str]) -> None:
    known = send("known")
    result = dead_letters("discard", "--yes", "nobody")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "not among the 100 messages that were received at most: nobody\n"
    result = dead_letters("discard", "--yes", "--limit", "1", "nobody")
    assert result.stderr == "not among the 1 message that was received at most: nobody\n"
    result = dead_letters("discard", "--yes", "--json", "nobody", known)
    assert (result.exit_code, json.loads(result.stdout)) == (1, {"discarded": [known]})


@pytest.mark.parametrize("answer", [None, "n\n", "y\n"], ids=["no terminal", "no", "yes"])
def test_messages_are_moved_and_deleted_only_after_a_confirmation(
    send: Callable[..., str], mocker: MockerFixture, answer: str | None
) -> None:
    mocker.patch("click.testing._NamedTextIOWrapper.isatty", create=True, return_value=answer is not None)
    stdin = answer.encode() if answer else None
    one = send("one")
    done = answer == "y\n"
    result = run_command("dead-letters", "discard", one, stdin=stdin)
    assert result.exit_code == (0 if done else 1)
    question = "Delete 1 message for good? [y/N]: " if answer else "nothing was changed; --yes does it"
    assert question in result.stderr
    assert len(listed()) == (0 if done else 1)
    if done:
        send("two")
    result = run_command("dead-letters", "redrive", stdin=stdin)
    assert result.exit_code == (0 if done else 1)
    question = "Put 1 message back into the queue of uploads? [y/N]: " if answer else "--yes does it"
    assert question in result.stderr
    assert len(listed()) == (0 if done else 1)


def test_question_counts_several_messages_in_the_plural(send: Callable[..., str], mocker: MockerFixture) -> None:
    mocker.patch("click.testing._NamedTextIOWrapper.isatty", create=True, return_value=True)
    one, two = send("one"), send("two")
    assert (
        "Delete 2 messages for good? [y/N]: " in run_command("dead-letters", "discard", one, two, stdin=b"n\n").stderr
    )
    assert "Put 2 messages back into the queue" in run_command("dead-letters", "redrive", stdin=b"n\n").stderr


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
    result = dead_letters("redrive", "--yes")
    assert result.exit_code == 0, result.output
    assert result.stdout == "12 put back into the queue of uploads\n"
    assert listed() == []
    enter_environment(environment, shared_stack)
    while shared_stack.deliver(lambda_handler):
        pass
    recorded = {item["run_id"]["S"] for item in shared_stack.records() if item["organisation_id"]["S"] == "back"}
    assert recorded == {str(number) for number in range(12)}


def test_second_move_is_distinguished_from_the_first(send: Callable[..., str], mocker: MockerFixture) -> None:
    mocker.patch("time.time_ns", side_effect=[1_000_000, 2_000_000])
    send("one")
    assert moved() == 1
    send("two")
    send("three")
    assert moved() == 2


# The message move task of the local stack neither takes time nor fails.


@pytest.fixture
def sqs(stub_client: Callable[[str], Stubber], mocker: MockerFixture) -> Stubber:
    """The command's client of SQS, with ten messages to move."""
    mocker.patch.object(DeadLetterQueue, "peek", autospec=True, return_value=[])
    mocker.patch.object(DeadLetterQueue, "count", autospec=True, return_value=10)
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
    """An older task is skipped, and the new one may appear in the listing late."""
    old = task("COMPLETED", 99, started=1)
    expect_start(sqs, [old], MaxNumberOfMessagesPerSecond=5)
    expect_tasks(sqs, old, task("RUNNING", 0), task("RUNNING", 4), task("COMPLETED", 10))
    result = dead_letters("redrive", "--yes", "--rate", "5")
    assert result.exit_code == 0, result.output
    assert result.stdout.endswith("10 put back into the queue of uploads\n")
    sqs.assert_no_pending_responses()


def test_first_move_of_a_queue_is_followed(sqs: Stubber) -> None:
    expect_start(sqs, [{}])
    expect_tasks(sqs, {}, task("COMPLETED", 10))
    assert moved() == 10
    sqs.assert_no_pending_responses()


def test_move_in_progress_is_followed_instead_of_starting_another(sqs: Stubber) -> None:
    sqs.add_response("get_queue_attributes", {"Attributes": {"QueueArn": SOURCE}})
    expect_tasks(sqs, task("RUNNING", 3), task("COMPLETED", 10))
    assert moved() == 10
    sqs.assert_no_pending_responses()


def test_move_continues_after_ctrl_c(sqs: Stubber, mocker: MockerFixture) -> None:
    expect_start(sqs, [{}])
    expect_tasks(sqs, task("RUNNING", 0))
    mocker.patch("run_recorder.cli.dead_letter_queue.time.sleep", side_effect=KeyboardInterrupt)
    result = dead_letters("redrive", "--yes")
    assert result.exit_code == 130
    assert result.stderr.splitlines()[-2:] == [
        "SQS goes on moving the messages; `dead-letters redrive --yes` follows it",
        "interrupted",
    ]


def test_failed_move_is_reported(sqs: Stubber) -> None:
    expect_start(sqs, [{}])
    expect_tasks(sqs, task("FAILED", 2, FailureReason="CouldNotDetermineMessageSource"))
    result = dead_letters("redrive", "--yes")
    assert result.exit_code == 3
    assert result.stderr.endswith("Error: the move ended as FAILED: CouldNotDetermineMessageSource\n")


def test_refused_move_is_reported(sqs: Stubber) -> None:
    sqs.add_response("get_queue_attributes", {"Attributes": {"QueueArn": SOURCE}})
    expect_tasks(sqs, {})
    sqs.add_response("get_queue_attributes", {"Attributes": {"QueueArn": DESTINATION}})
    sqs.add_client_error("start_message_move_task", "AccessDenied")
    result = dead_letters("redrive", "--yes")
    assert (result.exit_code, result.stderr.splitlines()[-1].count("AccessDenied")) == (3, 1)
