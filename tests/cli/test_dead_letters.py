"""`run-recorder dead-letters`: messages listed with their reasons, put back, and deleted."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click.testing import Result
from pytest_mock import MockerFixture

from handler.app import lambda_handler
from local.stack import LocalStack
from run_recorder.cli.dead_letter_queue import DeadLetterQueue
from run_recorder.errors import AWSCallError
from run_recorder.s3 import S3
from tests.support.fake_s3 import failed_call
from tests.support.stack_fixtures import empty_queue, enter_environment, run_command

pytestmark = pytest.mark.usefixtures("shared_stack", "no_waiting")

EMPTY = "0 in the dead-letter queue\n0 in the queue of undelivered events\n"


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


@pytest.fixture
def upload(shared_stack: LocalStack, notification: Callable[..., Any]) -> Callable[..., Any]:
    """A function that uploads a run, and returns the notification of it, which names its version."""

    def put(run: str, body: bytes = b"{}", sequencer: str = "0A") -> dict[str, Any]:
        key = f"runs/dead/{run}/metadata.json"
        version = shared_stack.upload(key, body)
        message: dict[str, Any] = notification(key)
        message["Records"][0]["s3"]["object"] |= {"versionId": version, "sequencer": sequencer}
        return message

    return put


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
        send({"Event": "s3:TestEvent", "Service": "Amazon S3"}): "it names no object: put back, it changes nothing",
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
    assert result.stderr.startswith("9 in the dead-letter queue\n")
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
    sqs.change_message_visibility_batch.side_effect = shared_stack.sqs.change_message_visibility_batch
    with pytest.raises(KeyboardInterrupt), DeadLetterQueue(sqs, queue).hold() as held:
        list(held.receive())
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
    assert (result.exit_code, result.stdout) == (1, "0 deleted\n")
    reason = "it is deleted already, another reader has it, or --limit ended the search"
    assert result.stderr == f"not deleted: nobody: {reason}\n"
    assert dead_letters("discard", "nobody").stderr == result.stderr
    result = dead_letters("discard", "--yes", "--json", "nobody", known)
    assert (result.exit_code, json.loads(result.stdout)) == (1, {"discarded": [known]})


@pytest.mark.parametrize("answer", [None, "n\n", "y\n"], ids=["no terminal", "no", "yes"])
@pytest.mark.parametrize("command", ["discard", "discard --unrecordable", "redrive"])
def test_messages_are_moved_and_deleted_only_after_a_confirmation(
    send: Callable[..., str], upload: Callable[..., Any], mocker: MockerFixture, command: str, answer: str | None
) -> None:
    mocker.patch("click.testing._NamedTextIOWrapper.isatty", create=True, return_value=answer is not None)
    message_id = send(upload("confirmed") if command == "redrive" else "no JSON")
    words = [*command.split(), *([message_id] if command == "discard" else [])]
    result = run_command("dead-letters", *words, stdin=answer.encode() if answer else None)
    done = answer == "y\n"
    assert result.exit_code == (0 if done else 1)
    action = "Put 1 message back into the queue of uploads" if command == "redrive" else "Delete 1 message for good"
    assert (f"{action}? [y/N]: " if answer else "nothing was changed; --yes does it") in result.stderr
    assert len(listed()) == (0 if done else 1)


def test_question_counts_several_messages_in_the_plural(
    send: Callable[..., str], upload: Callable[..., Any], mocker: MockerFixture
) -> None:
    mocker.patch("click.testing._NamedTextIOWrapper.isatty", create=True, return_value=True)
    one, two = send(upload("one")), send(upload("two"))
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


@pytest.fixture
def hopeless(
    shared_stack: LocalStack, send: Callable[..., str], upload: Callable[..., Any], notification: Callable[..., Any]
) -> dict[str, str]:
    """Messages that cannot succeed; their reasons by their ids."""
    replaced = upload("replaced")
    upload("replaced", b'{"name": "newer"}')
    gone = replaced["Records"][0]["s3"]["object"]
    shared_stack.s3.delete_object(
        Bucket=shared_stack.outputs["RunsBucket"], Key=gone["key"], VersionId=gone["versionId"]
    )
    return {
        send("no JSON"): "the message body is not JSON",
        send({"a": 1}): "not an S3 notification",
        send(notification("runs/dead/bad id/metadata.json")): "not the upload of a run's metadata.json",
        send(notification("runs/dead/gone/metadata.json")): "metadata.json is no longer there",
        send(replaced): "metadata.json is no longer there",
    }


@pytest.fixture
def hidden(shared_stack: LocalStack, upload: Callable[..., Any]) -> dict[str, Any]:
    """The notification of an upload that a delete marker hides: the recorder reads its version."""
    message: dict[str, Any] = upload("hidden")
    key = message["Records"][0]["s3"]["object"]["key"]
    shared_stack.s3.delete_object(Bucket=shared_stack.outputs["RunsBucket"], Key=key)
    return message


def test_redrive_leaves_what_cannot_succeed_with_the_reason(
    shared_stack: LocalStack,
    send: Callable[..., str],
    upload: Callable[..., Any],
    notification: Callable[..., Any],
    hopeless: dict[str, str],
    hidden: dict[str, Any],
    environment: pytest.MonkeyPatch,
) -> None:
    both = notification("runs/dead/gone/metadata.json", "runs/dead/mixed/metadata.json")
    upload("mixed")
    for message in (upload("good"), hidden, both):
        send(message)
    send(upload("undelivered"), ERROR_CODE="NO_PERMISSIONS")
    planned = dead_letters("redrive")
    assert planned.exit_code == 1
    assert planned.stderr == "4 can succeed, 5 cannot, or not yet\nnothing was changed; --yes does it\n"
    result = dead_letters("redrive", "--yes")
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (1, "4 put back into the queue of uploads; 5 left")
    for text in (planned.stdout, result.stdout):
        for message_id, reason in hopeless.items():
            assert reason in text.partition(message_id)[2]
    assert {message["message_id"] for message in listed()} == hopeless.keys()

    enter_environment(environment, shared_stack)
    while shared_stack.deliver(lambda_handler):
        pass
    recorded = {item["run_id"]["S"] for item in shared_stack.records()}
    assert {"good", "hidden", "mixed", "undelivered"} <= recorded
    again = json.loads(dead_letters("redrive", "--yes", "--json").stdout)
    assert again["moved"] == 0
    assert {letter["message_id"] for letter in again["left"]} == hopeless.keys()
    assert {letter["recordable"] for letter in again["left"]} == {False}


def test_unrecordable_messages_are_discarded_and_no_others(
    send: Callable[..., str], upload: Callable[..., Any], hopeless: dict[str, str], hidden: dict[str, Any]
) -> None:
    kept = {send(upload("kept")), send(hidden)}
    result = dead_letters("discard", "--unrecordable", "--yes")
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, "5 deleted")
    for message_id, reason in hopeless.items():
        assert reason in result.stdout.partition(message_id)[2]
    assert {message["message_id"] for message in listed()} == kept
    assert json.loads(dead_letters("discard", "--unrecordable", "--json").stdout) == {"discarded": []}


def test_message_is_left_while_aws_fails_for_its_object(
    send: Callable[..., str], upload: Callable[..., Any], mocker: MockerFixture
) -> None:
    send(upload("refused"))
    refusal = failed_call("HeadObject", "403")
    mocker.patch.object(S3, "head_object", side_effect=refusal)
    mocker.patch.object(S3, "read_object", side_effect=failed_call("GetObject", "AccessDenied", "no grant"))
    (letter,) = json.loads(dead_letters("redrive", "--yes", "--json").stdout)["left"]
    assert (letter["recordable"], letter["reasons"]) == (None, ["AWS still fails: it failed: AccessDenied: no grant"])
    assert dead_letters("discard", "--unrecordable", "--yes").stdout == "0 deleted\n"


@pytest.mark.parametrize("command", [["redrive", "--yes"], ["redrive"], ["discard", "--unrecordable", "--yes"]])
def test_failure_of_aws_for_all_objects_ends_the_command(
    send: Callable[..., str], upload: Callable[..., Any], mocker: MockerFixture, command: list[str]
) -> None:
    send(upload("unknown"))
    failure = mocker.patch.object(S3, "head_object", side_effect=failed_call("HeadObject", "503"))
    result = dead_letters(*command)
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (3, "Error: it failed: 503: …")
    mocker.stop(failure)
    assert len(listed()) == 1


@pytest.mark.parametrize("arguments", [[], ["id", "--unrecordable"]])
def test_discard_takes_either_ids_or_the_option(arguments: list[str]) -> None:
    assert dead_letters("discard", *arguments).exit_code == 2
