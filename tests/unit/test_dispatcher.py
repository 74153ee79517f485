"""Messages that wait for files: put back by the worker that finishes last, or failed."""

import json
import threading
from collections.abc import Callable
from typing import Any
from unittest.mock import MagicMock

import pytest
from aws_lambda_powertools import Metrics
from pytest_mock import MockerFixture

from handler.dispatcher import Dispatcher, Invocation
from handler.log import make_logger
from run_recorder.domain import ObjectEvent, Outcome
from run_recorder.errors import AWSCallError, UnknownEventError
from run_recorder.events import WorkItem
from run_recorder.queue import UploadsQueue
from run_recorder.recorder import Recorder
from run_recorder.verdict import MISSING_FILES, Result
from run_recorder.waiting import Look, Wait
from tests.support.names import BUCKET, key_of

INVOCATION = Invocation("request-1", 300)
BODY = '{"Records": [{"the": "body"}]}'
RECORDED = Result(Outcome.RECORDED)


def pending(age: float = 100, **look: Any) -> Result:
    looks = (Look(Wait(age, 3600 - age), **{"is_latest": True, **look}),)
    return Result(Outcome.PENDING, reason=MISSING_FILES, looks=looks)


class DispatcherBench:
    """A dispatcher between a recorder, which is told its results, and a queue.

    Attributes:
        results: for each run id the result of its event, or the exception that handling it raises.
        queue: the queue.
    """

    def __init__(self, recorder: MagicMock, queue: MagicMock) -> None:
        self.results: dict[str, Result | Exception] = {}
        self.queue = queue
        self.recorder = recorder
        recorder.handle.side_effect = self._handle
        self.dispatcher = Dispatcher(recorder, make_logger("test"), Metrics(service="test", namespace="Test"), queue)

    def send(self, *messages: WorkItem) -> list[list[str]]:
        """Return the outcomes of each message."""
        answers = self.dispatcher.handle_items(list(messages), INVOCATION)
        return [[answer["outcome"] for answer in item] for item in answers]

    @property
    def put_back(self) -> list[tuple[str, int]]:
        """The bodies and the delays of the messages that were put back."""
        return [call.args for call in self.queue.put_back.call_args_list]

    def _handle(self, event: ObjectEvent) -> Result:
        result = self.results[event.key]
        if isinstance(result, Exception):
            raise result
        return result


@pytest.fixture
def bench(mocker: MockerFixture) -> DispatcherBench:
    return DispatcherBench(
        mocker.create_autospec(Recorder, instance=True), mocker.create_autospec(UploadsQueue, instance=True)
    )


def message(*keys: str, body: str | None = BODY, item_id: str = "m") -> WorkItem:
    events = tuple(ObjectEvent(BUCKET, key, None, created=True, can_wait=True) for key in keys)
    return WorkItem(item_id, events, body)


@pytest.fixture
def log(capsys: pytest.CaptureFixture[str]) -> Callable[[], list[dict[str, Any]]]:
    """Return the lines that were logged so far, without those of metrics."""

    def read() -> list[dict[str, Any]]:
        return [line for line in map(json.loads, capsys.readouterr().out.splitlines()) if "_aws" not in line]

    return read


def test_message_of_an_upload_whose_files_are_late_is_put_back_as_it_was(bench: DispatcherBench) -> None:
    bench.results["a"] = pending()
    assert bench.send(message("a")) == [["pending"]]
    assert bench.put_back == [(BODY, 100)]


def test_each_message_of_a_batch_is_put_back_by_itself(bench: DispatcherBench) -> None:
    bench.results |= {"a": pending(20), "b": RECORDED, "c": pending(300)}
    items = [message(key, body=key, item_id=key) for key in "abc"]
    assert bench.send(*items, WorkItem("d", error=UnknownEventError("…"))) == [
        ["pending"], ["recorded"], ["pending"], ["failed"],
    ]  # fmt: skip
    assert sorted(bench.put_back) == [("a", 20), ("c", 300)]


def test_message_of_several_records_is_put_back_once_with_the_shortest_delay(bench: DispatcherBench) -> None:
    bench.results |= {"a": pending(300), "b": RECORDED, "c": pending(20)}
    assert bench.send(message("a", "b", "c")) == [["pending", "recorded", "pending"]]
    assert bench.put_back == [(BODY, 20)]


@pytest.mark.parametrize("error", [AWSCallError("…"), ZeroDivisionError()])
def test_message_of_which_another_record_failed_is_left_to_sqs(bench: DispatcherBench, error: Exception) -> None:
    bench.results |= {"a": pending(), "b": error}
    assert bench.send(message("a", "b")) == [["pending", "failed"]]
    assert bench.put_back == []


def test_message_is_put_back_after_all_its_records_are_handled(bench: DispatcherBench) -> None:
    bench.results["a"] = pending()
    is_put_back = threading.Event()
    bench.queue.put_back.side_effect = lambda *_: is_put_back.set()
    handle = bench.recorder.handle.side_effect

    def handle_slowly(event: ObjectEvent) -> Result:
        if event.key == "slow":
            assert not is_put_back.wait(0.2)
            return RECORDED
        result: Result = handle(event)
        return result

    bench.recorder.handle.side_effect = handle_slowly
    assert bench.send(message("a", "slow")) == [["pending", "recorded"]]
    assert is_put_back.is_set()


@pytest.mark.parametrize(
    "result",
    [
        RECORDED,
        Result(Outcome.REJECTED, looks=(Look(Wait(3600, 0), is_latest=True),)),
        Result(Outcome.STALE, looks=(Look(Wait(100, 3500), is_latest=False, is_newer_accepted=True),)),
    ],
    ids=["complete", "wait is over", "a newer one is accepted"],
)
def test_message_that_waits_for_nothing_is_not_put_back(bench: DispatcherBench, result: Result) -> None:
    bench.results["a"] = result
    assert bench.send(message("a")) == [[result.outcome]]
    assert bench.put_back == []


def test_stale_upload_that_may_still_be_accepted_is_put_back(bench: DispatcherBench) -> None:
    bench.results["a"] = Result(Outcome.STALE, looks=(Look(Wait(100, 3500), is_latest=False),))
    assert bench.send(message("a")) == [["stale"]]
    assert bench.put_back == [(BODY, 100)]


def test_event_that_is_no_message_is_not_put_back(bench: DispatcherBench) -> None:
    bench.results["a"] = pending()
    assert bench.send(message("a", body=None)) == [["pending"]]
    (answer,) = bench.dispatcher.handle_object_events(list(message("a").object_events), INVOCATION)
    assert answer["outcome"] == "pending"
    assert bench.put_back == []


def test_function_without_a_queue_puts_nothing_back(bench: DispatcherBench) -> None:
    bench.results["a"] = pending()
    bench.dispatcher.queue = None
    assert bench.send(message("a")) == [["pending"]]


def test_message_that_cannot_be_put_back_has_failed_alone(
    bench: DispatcherBench, log: Callable[[], list[dict[str, Any]]]
) -> None:
    bench.results |= {"a": pending(), "b": RECORDED, "c": pending()}

    def put_back(body: str, _delay: int) -> None:
        if body == "1":
            raise AWSCallError("putting the message back failed")

    bench.queue.put_back.side_effect = put_back
    items = [message("a", "b", body="1", item_id="1"), message("c", body="2", item_id="2")]
    assert bench.send(*items) == [["failed", "recorded"], ["pending"]]
    (line,) = [line for line in log() if line["outcome"] == "failed"]
    assert (line["level"], line["reason"]) == ("ERROR", "putting the message back failed")


def test_defect_while_a_message_is_put_back_is_logged_with_its_traceback(
    bench: DispatcherBench, log: Callable[[], list[dict[str, Any]]]
) -> None:
    bench.results["a"] = pending()
    bench.queue.put_back.side_effect = ZeroDivisionError
    assert bench.send(message("a")) == [["failed"]]
    (line,) = log()
    assert line["reason"] == "ZeroDivisionError"
    assert "Traceback" in line["exception"]


@pytest.mark.usefixtures("time_runs_out_last")
def test_message_that_is_not_put_back_in_time_has_failed(bench: DispatcherBench) -> None:
    bench.results |= {"a": pending(), "b": RECORDED}
    is_over = threading.Event()
    bench.queue.put_back.side_effect = lambda *_: is_over.wait()
    assert bench.send(message("a", item_id="1"), message("b", item_id="2")) == [["failed"], ["recorded"]]
    is_over.set()


def test_pending_upload_is_logged_and_counted_as_such(
    bench: DispatcherBench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.results |= {key_of("late"): pending()}
    bench.send(message(key_of("late")))
    line, metrics = map(json.loads, capsys.readouterr().out.splitlines())
    assert (line["level"], line["outcome"], line["reason"]) == ("INFO", "pending", MISSING_FILES)
    assert metrics["RunsPending"] == [1]
