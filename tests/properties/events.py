"""Properties of any event: keys are decoded once, runs follow the grammar, and only expected errors occur."""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote_plus

from run_recorder.domain import ObjectEvent, Run
from run_recorder.errors import UnknownEventError
from run_recorder.events import WorkItem, is_from_sqs, parse_messages, parse_object_events, parse_tasks
from tests.support.events import (
    Event,
    batch_event,
    batch_task,
    eventbridge_event,
    notification,
    s3_record,
    sns_body,
    sns_event,
    sqs_event,
)

_LETTERS_AND_DIGITS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")


def check_event(event: Any) -> list[ObjectEvent]:
    """Check both entry points with an event; return the object events in it."""
    messages: list[WorkItem] = []
    for parse in (parse_messages if is_from_sqs(event) else _parse_directly, parse_tasks):
        try:
            messages += parse(event)
        except UnknownEventError as error:
            _check_error(error)
    texts = list(_find_texts(event))
    encoded = {text for name, text in texts if name in {"key", "s3Key"}}
    keys = encoded | set(map(form_decode, encoded))
    for message in messages:
        assert not (message.error and message.object_events)
        assert message.error or message.object_events or ("Event", "s3:TestEvent") in texts
        if message.error:
            _check_error(message.error)
        for object_event in message.object_events:
            _check_object_event(object_event, keys)
    return [object_event for message in messages for object_event in message.object_events]


def check_text(text: str) -> None:
    """Check a text as an event, if it is JSON, and as the body of a message."""
    _check_body(text)
    try:
        event = json.loads(text)
    except (ValueError, RecursionError):
        return
    check_event(event)


def _check_body(body: str) -> None:
    """Check that a message does not affect another message of its batch."""
    event = sqs_event(body, notification(s3_record("runs/a/b/metadata.json", "b")))
    check_event(event)
    bad, good = parse_messages(event)
    assert (bad.item_id, good.item_id) == ("0", "1")
    assert [object_event.run for object_event in good.object_events] == [Run("a", "b")]
    check_event(sns_event(body))


def check_key(key: str) -> None:
    """Check that every envelope gives the key that is in S3, also if the key looks as if it were encoded twice."""
    _check_keys(notification(s3_record(quote_plus(key), "b")), key)
    _check_keys(notification(s3_record(key, "b")), form_decode(key))
    _check_keys(eventbridge_event(key, "b"), key)
    for encoded, decoded in ((quote_plus(key), key), (key, form_decode(key))):
        ((object_event,),) = [message.object_events for message in parse_tasks(batch_event(batch_task(encoded, "b")))]
        assert (object_event.key, object_event.run) == (decoded, run_of(decoded))


def _check_keys(alone: Event, key: str) -> None:
    events = [alone, sqs_event(alone)]
    if "Records" in alone:
        events += [sns_event(alone), sqs_event(sns_body(alone))]
    for event in events:
        (object_event,) = check_event(event)
        assert (object_event.key, object_event.run) == (key, run_of(key))


def run_of(key: str) -> Run | None:
    """Return the run of a key by the grammar, without a regular expression."""
    match key.split("/"):
        case ["runs", organisation_id, run_id, "metadata.json"] if _is_id(organisation_id) and _is_id(run_id):
            return Run(organisation_id, run_id)
    return None


def form_decode(text: str) -> str:
    """Return a form-encoded text, decoded once, byte by byte."""
    encoded = text.replace("+", " ").encode("utf-8", "surrogatepass")
    decoded = re.sub(rb"%([0-9A-Fa-f]{2})", lambda match: bytes.fromhex(match[1].decode()), encoded)
    return decoded.decode("utf-8", "replace")


def _parse_directly(event: Any) -> list[WorkItem]:
    return [WorkItem("", tuple(parse_object_events(event)))]


def _check_error(error: UnknownEventError) -> None:
    assert 1 <= len(str(error).encode()) < 1_000


def _check_object_event(object_event: ObjectEvent, keys: set[str]) -> None:
    assert object_event.key in keys
    assert object_event.run == run_of(object_event.key)
    for text in (object_event.bucket, object_event.key, object_event.version_id or ""):
        text.encode()
    if object_event.sequencer is not None:
        assert re.fullmatch("[0-9A-F]{32}", object_event.sequencer)


def _is_id(text: str) -> bool:
    return text[:1] in _LETTERS_AND_DIGITS and len(text) <= 128 and set(text) <= _LETTERS_AND_DIGITS | set("._:=@+~-")


def _find_texts(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield the name and the value of each string in an event, also in strings that contain JSON."""
    if isinstance(value, str):
        yield name, value
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return
    members = (
        value.items()
        if isinstance(value, dict)
        else ((name, member) for member in value)
        if isinstance(value, list)
        else ()
    )
    for name_within, member in members:
        yield from _find_texts(member, name_within)
