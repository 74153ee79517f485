"""`run-recorder dead-letters` with thousands of messages, slow answers, refusals, and other operators at work."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result
from pytest_mock import MockerFixture

from run_recorder.cli.dead_letter_reports import DeadLetter, Judgement, Prospect
from run_recorder.cli.stack import Stack
from tests.support.fake_sqs import FakeSQS
from tests.support.stack_fixtures import run_command

DEAD, UPLOADS, UNDELIVERED = "dead", "uploads", "undelivered"
OUTPUTS = {"DeadLetterQueue": DEAD, "UploadsQueue": UPLOADS, "UndeliveredEventsQueue": UNDELIVERED}
HIDDEN_SECONDS = 300


@pytest.fixture
def sqs(mocker: MockerFixture) -> FakeSQS:
    """SQS in memory, and its clock; a message whose body begins with "good" can succeed."""
    sqs = FakeSQS()
    mocker.patch.object(Stack, "client", return_value=sqs)
    mocker.patch.object(Stack, "outputs", OUTPUTS)
    mocker.patch("run_recorder.cli.dead_letter_queue.monotonic", sqs.monotonic)
    mocker.patch("run_recorder.cli.pacing.time", sqs)

    def judge(messages: list[dict[str, Any]], _stack: Stack) -> list[DeadLetter]:
        return [DeadLetter(each, [], [_JUDGEMENTS[each["Body"].startswith("good")]]) for each in messages]

    mocker.patch("run_recorder.cli.dead_letter_actions.judge_messages", judge)
    mocker.patch(
        "run_recorder.cli.dead_letters.describe_messages",
        lambda messages, stack: [letter.report() for letter in judge(messages, stack)],
    )
    return sqs


_JUDGEMENTS = {True: Judgement(Prospect.RECORDABLE, "put back"), False: Judgement(Prospect.UNRECORDABLE, "hopeless")}


def dead_letters(*arguments: str) -> Result:
    return run_command("dead-letters", *arguments)


def document(*arguments: str) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(dead_letters(*arguments, "--json").stdout)
    return parsed


def fill(sqs: FakeSQS, number: int) -> None:
    """Put messages into the dead-letter queue, of which every tenth cannot succeed."""
    for each in range(number):
        sqs.put(DEAD, f"{'bad' if each % 10 == 9 else 'good'} {each}")


def on_request(sqs: FakeSQS, mocker: MockerFixture, operation: str, act: Callable[[int], None]) -> None:
    """Call a function before each request of an operation is answered, with the number of the request."""
    method, numbers = getattr(sqs, operation), iter(range(1_000_000))

    def call(**request: Any) -> Any:
        act(next(numbers))
        return method(**request)

    mocker.patch.object(sqs, operation, call)


def test_5000_messages_are_put_back_but_for_those_that_cannot_succeed(sqs: FakeSQS) -> None:
    fill(sqs, 5000)
    result = document("redrive", "--yes")
    assert (result["moved"], len(result["left"])) == (4500, 500)
    assert sorted(sqs.bodies(UPLOADS)) == sorted(f"good {each}" for each in range(5000) if each % 10 != 9)
    assert len(sqs.bodies(DEAD)) == 500
    assert sqs.hidden(DEAD) == []
    assert sqs.requests["SendMessageBatch"] == sqs.requests["DeleteMessageBatch"] == 450
    assert sqs.requests["ReceiveMessage"] == 501

    assert len(document("discard", "--unrecordable", "--yes")["discarded"]) == 500
    assert sqs.bodies(DEAD) == []


@pytest.mark.parametrize("seconds", [0, 20])
def test_all_messages_up_to_the_limit_are_listed_however_slow_sqs_answers(
    sqs: FakeSQS, mocker: MockerFixture, seconds: int
) -> None:
    """Also beyond the time for which the first of them are hidden."""
    fill(sqs, 270)
    on_request(sqs, mocker, "receive_message", lambda _: sqs.sleep(seconds))
    lines = dead_letters("list", "--json", "--limit", "250").stdout.splitlines()
    listed = [json.loads(line) for line in lines]
    assert len(lines) == len({letter["message_id"] for letter in listed}) == 250
    assert {letter["received"] for letter in listed} == {1}
    assert (sqs.now > 1000 + HIDDEN_SECONDS) is (seconds > 0)
    assert sqs.hidden(DEAD) == []


def test_message_that_sqs_delivers_twice_is_listed_once_and_ends_nothing(sqs: FakeSQS, mocker: MockerFixture) -> None:
    fill(sqs, 150)
    receive = sqs.receive_message
    answers: list[dict[str, Any]] = []

    def receive_first_batch_again(**request: Any) -> dict[str, Any]:
        answers.append(answers[0] if len(answers) == 10 else receive(**request))
        return answers[-1]

    mocker.patch.object(sqs, "receive_message", receive_first_batch_again)
    lines = dead_letters("list", "--json", "--limit", "150").stdout.splitlines()
    assert len(lines) == len({json.loads(line)["message_id"] for line in lines}) == 150


def test_messages_that_are_left_stay_hidden_until_the_end_of_a_slow_redrive(sqs: FakeSQS) -> None:
    fill(sqs, 600)
    sqs.seconds = 5
    result = document("redrive", "--yes")
    assert (result["moved"], len(result["left"])) == (540, 60)
    assert sqs.now > 1000 + 2 * HIDDEN_SECONDS
    assert {letter["received"] for letter in result["left"]} == {1}
    assert sqs.requests["ReceiveMessage"] == 61


@pytest.mark.parametrize("rate", [1, 3, 50])
def test_rate_limits_the_messages_per_second(sqs: FakeSQS, rate: int) -> None:
    fill(sqs, 200)
    assert document("redrive", "--yes", "--rate", str(rate))["moved"] == 180
    assert sqs.now - 1000 >= (180 - min(10, rate)) / rate
    assert len(sqs.bodies(UPLOADS)) == 180


def test_message_that_sqs_does_not_take_is_left(sqs: FakeSQS) -> None:
    fill(sqs, 20)
    sqs.refused["SendMessageBatch", "good 3"] = "InternalError"
    result = document("redrive", "--yes")
    assert result["moved"] == 17
    reasons = [reason for letter in result["left"] for reason in letter["reasons"]]
    assert sorted(reasons) == ["SQS did not take it: InternalError: sorry", "hopeless", "hopeless"]
    assert sorted(sqs.bodies(DEAD)) == ["bad 19", "bad 9", "good 3"]
    assert "good 3" not in sqs.bodies(UPLOADS)


def test_message_that_sqs_does_not_delete_is_not_reported_as_deleted(sqs: FakeSQS) -> None:
    fill(sqs, 20)
    sqs.refused["DeleteMessageBatch", "message-3"] = sqs.refused["DeleteMessageBatch", "message-9"] = "InternalError"
    result = document("redrive", "--yes")
    assert result["moved"] == 17
    assert ["put back, but SQS did not delete it here: InternalError: sorry"] in [
        letter["reasons"] for letter in result["left"]
    ]
    discarded = dead_letters("discard", "--yes", "message-9", "message-19")
    assert (discarded.exit_code, discarded.stdout.splitlines()[-1]) == (1, "1 deleted")
    assert discarded.stderr == "not deleted: message-9: InternalError: sorry\n"
    assert sorted(sqs.bodies(DEAD)) == ["bad 9", "good 3"]


def test_old_handle_is_not_used_after_a_long_pause(sqs: FakeSQS, mocker: MockerFixture) -> None:
    """The machine sleeps between the receipt of messages and their deletion, while the time of the messages ends."""
    fill(sqs, 20)
    judge = mocker.patch("run_recorder.cli.dead_letter_actions.judge_messages")
    pauses = iter([2 * HIDDEN_SECONDS])

    def fall_asleep(messages: list[dict[str, Any]], _stack: Stack) -> list[DeadLetter]:
        sqs.sleep(next(pauses, 0))
        return [DeadLetter(each, [], [_JUDGEMENTS[True]]) for each in messages]

    judge.side_effect = fall_asleep
    ids = [f"message-{each}" for each in range(20)]
    result = dead_letters("discard", "--yes", "--json", *ids)
    assert (result.exit_code, json.loads(result.stdout)) == (1, {"discarded": []})
    assert len(sqs.bodies(DEAD)) == 20
    pauses = iter([2 * HIDDEN_SECONDS])
    assert document("redrive", "--yes")["moved"] == 20
    assert len(sqs.bodies(UPLOADS)) == 20


def test_deletion_that_is_answered_after_the_time_of_the_message_is_not_reported(
    sqs: FakeSQS, mocker: MockerFixture
) -> None:
    sqs.put(DEAD, "bad")
    on_request(sqs, mocker, "delete_message_batch", lambda _: sqs.sleep(2 * HIDDEN_SECONDS))
    result = dead_letters("discard", "--yes", "message-0")
    assert (result.exit_code, result.stdout.splitlines()[-1], len(sqs.bodies(DEAD))) == (1, "0 deleted", 1)


def test_message_that_somebody_else_deletes_meanwhile_is_no_error(sqs: FakeSQS, mocker: MockerFixture) -> None:
    fill(sqs, 9)
    mocker.patch("run_recorder.cli.dead_letter_queue._RENEWED_SECONDS", HIDDEN_SECONDS)  # each is hidden anew at once

    def delete_meanwhile(number: int) -> None:
        if number == 0:
            sqs.remove(DEAD, "message-4")

    on_request(sqs, mocker, "change_message_visibility_batch", delete_meanwhile)
    result = dead_letters("redrive", "--yes")
    assert (result.exit_code, result.stdout) == (0, "8 put back into the queue of uploads\n")
    assert "good 4" not in sqs.bodies(UPLOADS)
    assert sqs.bodies(DEAD) == []


def test_messages_that_somebody_else_holds_are_not_touched(sqs: FakeSQS) -> None:
    fill(sqs, 30)
    sqs.receive_message(QueueUrl=DEAD, MaxNumberOfMessages=10, VisibilityTimeout=3600)
    assert document("redrive", "--yes")["moved"] == 18
    assert len(sqs.hidden(DEAD)) == 10
    assert dead_letters("discard", "--yes", "message-3").stderr.startswith("not deleted: message-3: it is deleted")


def test_one_message_that_cannot_be_made_visible_leaves_no_other_hidden(sqs: FakeSQS, mocker: MockerFixture) -> None:
    fill(sqs, 10)
    on_request(sqs, mocker, "change_message_visibility_batch", lambda _: sqs.remove(DEAD, "message-0"))
    assert len(dead_letters("list", "--json").stdout.splitlines()) == 10
    assert (len(sqs.bodies(DEAD)), sqs.hidden(DEAD)) == (9, [])


@pytest.mark.parametrize("operation", ["send_message_batch", "delete_message_batch"])
def test_interrupted_redrive_loses_no_message_and_continues(
    sqs: FakeSQS, mocker: MockerFixture, operation: str
) -> None:
    fill(sqs, 50)

    def press_ctrl_c(number: int) -> None:
        if number == 2:
            raise KeyboardInterrupt

    on_request(sqs, mocker, operation, press_ctrl_c)
    result = dead_letters("redrive", "--yes")
    assert result.exit_code == 130
    told = "20 put back before the end; run the command again for the others"
    assert result.stderr.splitlines() == [told, "interrupted"]
    assert sqs.hidden(DEAD) == []
    assert {*sqs.bodies(DEAD), *sqs.bodies(UPLOADS)} == {f"{'bad' if n % 10 == 9 else 'good'} {n}" for n in range(50)}
    assert document("redrive", "--yes")["moved"] == 25
    assert sqs.bodies(DEAD) == [f"bad {each}" for each in range(9, 50, 10)]


def test_interrupted_deletion_is_counted(sqs: FakeSQS, mocker: MockerFixture) -> None:
    for _ in range(300):
        sqs.put(DEAD, "bad")

    def press_ctrl_c(number: int) -> None:
        if number == 15:
            raise KeyboardInterrupt

    on_request(sqs, mocker, "delete_message_batch", press_ctrl_c)
    result = dead_letters("discard", "--unrecordable", "--yes")
    assert (result.exit_code, result.stderr.splitlines()[0][:11]) == (130, "150 deleted")
    assert len(sqs.bodies(DEAD)) == 150


def test_large_messages_are_sent_in_several_requests(sqs: FakeSQS) -> None:
    for size in (200_000, 100_000, 100_000, 262_144, 1):
        sqs.put(DEAD, "good" + "x" * (size - 4))
    assert document("redrive", "--yes")["moved"] == 5
    assert sqs.requests["SendMessageBatch"] == 4
