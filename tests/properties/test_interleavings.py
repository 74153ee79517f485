"""The record ends as a view of the bucket under every interleaving of concurrent invocations, and after any crash.

A scenario says what happens, and nothing of the order. ``"Ab"`` with the events of both uploads, for
example: a good document is uploaded, then a bad one, and each event is handled some time after its
upload. Between any two calls of one invocation, the other upload, or calls of the other invocation,
may come. Whatever the order, the record must end rejected, with the config of the first document.
The explorer goes through all of these orders; `View` is what must come out, from the uploads alone.
"""

import functools
import json
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, combinations, product
from typing import Any

import pytest

from local.show import plain
from tests.properties.schedules import SEQUENCERS, Delivery, Explorer, Item, Scenario


@functools.cache
def read(item: Item) -> dict[str, Any]:
    return plain(json.loads(item)) if item else {}


@dataclass(frozen=True)
class View:
    """What a record says: its latest upload and its last accepted one, each by its number; None for none."""

    latest: int | None = None
    source: int | None = None
    is_accepted: bool = False

    @classmethod
    def of_uploads(cls, documents: str, uploads: list[int], incomplete: Collection[int] = ()) -> "View":
        """The rule: uploads are taken one after the other, in the order in which S3 stored them."""
        view = cls()
        for upload in sorted(uploads):
            is_accepted = documents[upload].isupper() and upload not in incomplete
            view = cls(upload, upload if is_accepted else view.source, is_accepted)
        return view

    @classmethod
    def of_record(cls, scenario: Scenario, record: dict[str, Any]) -> "View":
        """Read a record whose every attribute must be that of the uploads that it shows."""
        if not record:
            return cls()
        latest = find_upload(scenario, record)
        is_good = scenario.documents[latest].isupper()
        is_accepted = record["status"] == "recorded"
        assert is_accepted is is_good or latest in scenario.late
        assert ("errors" in record) is not is_accepted
        if scenario.versioned:
            assert record.get("sequencer") in (None, SEQUENCERS[latest].upper().zfill(32))
        if "source" not in record:
            assert record.keys().isdisjoint({"config", "config_sha256", "name"})
            return cls(latest)
        source = find_upload(scenario, record["source"])
        assert record["name"] == record["config"]["model"]["name"] == scenario.documents[source]
        assert record["name"].isupper()
        if scenario.versioned:
            assert record["source"].get("sequencer") in (None, SEQUENCERS[source].upper().zfill(32))
        return cls(latest, source, is_accepted)


def find_upload(scenario: Scenario, attributes: dict[str, Any]) -> int:
    """The upload that attributes name; the last of those with the same document where there are no versions."""
    if "uploaded_at" in attributes:
        return int(attributes["uploaded_at"][14:16]) - 30
    version_id = attributes.get("version_id", "null")
    uploads = range(len(scenario.documents))
    return max(
        upload
        for upload in uploads
        if scenario.upload(upload).version_id == version_id and scenario.documents[upload] == attributes["etag"]
    )


def explore(scenario: Scenario, check_end: Callable[[View, tuple[int, ...], tuple[int, ...]], None]) -> Explorer:
    def check_write(before: Item, after: Item, over: tuple[int, ...]) -> None:
        old, new = read(before), read(after)
        assert new["first_recorded_at"] == old.get("first_recorded_at", new["first_recorded_at"])
        assert without_times(new) != without_times(old)
        shown, shows = View.of_record(scenario, old), View.of_record(scenario, new)
        assert shown.source is None or shows.source is not None
        if scenario.versioned and not scenario.deletable:
            assert (shown.latest or 0) <= (shows.latest or 0)
            assert (shown.source or 0) <= (shows.source or 0)
        if shown.latest == shows.latest:
            assert shows.is_accepted or not shown.is_accepted
            if (old["status"], new["status"]) == ("pending", "rejected"):
                assert shown.latest in over

    def check_record(item: Item, arrived: tuple[int, ...], given_up: tuple[int, ...]) -> None:
        record = read(item)
        assert record.get("status") != "pending"
        check_end(View.of_record(scenario, record), arrived, given_up)

    explorer = Explorer(scenario, check_write, check_record)
    explorer.explore()
    return explorer


def without_times(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in {"recorded_at", "first_recorded_at"}}


def check(scenario: Scenario, record_property: Callable[[str, object], None]) -> None:
    """The sentence of versioned buckets, in full."""
    uploads = list(range(len(scenario.documents)))

    def check_end(view: View, arrived: tuple[int, ...], given_up: tuple[int, ...]) -> None:
        missing = {*scenario.late}.difference(arrived)
        # Files that arrived after the last look may be overlooked or not.
        overlooked = (
            missing.union(some) for count in range(len(given_up) + 1) for some in combinations(given_up, count)
        )
        assert view in [View.of_uploads(scenario.documents, uploads, incomplete) for incomplete in overlooked]

    explorer = explore(scenario, check_end)
    record_property("schedules covered", explorer.schedules)
    record_property("states visited", explorer.states)


def documents(uploads: int) -> Iterator[str]:
    """Every mixture of good and bad documents."""
    return map("".join, product(*[letter + letter.lower() for letter in "ABCD"[:uploads]]))


def own_events(*sequenced: bool) -> tuple[Delivery, ...]:
    return tuple(Delivery.of(upload, sequenced=is_sequenced) for upload, is_sequenced in enumerate(sequenced))


def slow(case: Any) -> Any:
    """Return a case that only `make soak` runs."""
    return pytest.param(case, marks=pytest.mark.slow)


# Uploads, how many of their events come once more, crashes, and by how much clocks differ.
SIZES = [(1, 1, 1, 0), (2, 0, 2, 1), (2, 1, 1, 1), (3, 0, 0, 1)]
LARGE_SIZES = [(2, 1, 2, 0), (2, 2, 0, 1), (3, 0, 1, 0), (3, 0, 1, 1), (3, 1, 0, 1)]


def find_scenarios(uploads: int, repeated: int, crashes: int, clock_step: int, **kind: Any) -> Iterator[Scenario]:
    """Every mixture of documents good and bad, and of events with and without a sequencer, of this size."""
    for names in documents(uploads):
        for again in product(range(uploads), repeat=repeated):
            for sequenced in product((True, False), repeat=uploads + repeated):
                events = zip((*range(uploads), *again), sequenced, strict=True)
                deliveries = tuple(Delivery.of(upload, sequenced=is_sequenced) for upload, is_sequenced in events)
                yield Scenario(names, deliveries, crashes=crashes, clock_step=clock_step, **kind)


@pytest.mark.parametrize("size", [*SIZES, *map(slow, LARGE_SIZES)], ids=str)
def test_every_interleaving_of_events_and_crashes_ends_as_a_view_of_the_bucket(
    size: tuple[int, int, int, int], record_property: Callable[[str, object], None]
) -> None:
    for scenario in find_scenarios(*size):
        check(scenario, record_property)


def find_backfills(uploads: int, tasks: int, **kind: Any) -> Iterator[Scenario]:
    """The events of all uploads, of every mixture, beside the tasks of back-fills that may come at any time."""
    for names in documents(uploads):
        for sequenced in product((True, False), repeat=uploads):
            yield Scenario(names, (*own_events(*sequenced), *[Delivery.task(after=1)] * tasks), **kind)


def find_sequenced_backfills(uploads: int, tasks: int, **kind: Any) -> Iterator[Scenario]:
    """S3's own events beside the tasks of back-fills that may come at any time."""
    for names in documents(uploads):
        yield Scenario(names, (*own_events(*[True] * uploads), *[Delivery.task(after=1)] * tasks), **kind)


def find_lost_events(uploads: int, **kind: Any) -> Iterator[Scenario]:
    """The event of one upload never comes; a task of a back-fill comes at any time after that upload."""
    for names in documents(uploads):
        for lost in range(uploads):
            events = [Delivery.of(upload, sequenced=True) for upload in range(uploads) if upload != lost]
            yield Scenario(names, (*events, Delivery.task(after=lost + 1)), **kind)


def find_first_unsequenced(uploads: int, **kind: Any) -> Iterator[Scenario]:
    for names in documents(uploads):
        for first in (Delivery.of(0, sequenced=False), Delivery.task(after=1)):
            yield Scenario(names, (first, *own_events(*[True] * uploads)[1:]), **kind)


def find_late_files(uploads: int, tasks: int, *, lost: int = 0, **kind: Any) -> Iterator[Scenario]:
    """A file of one good upload arrives late, and the event of the upload comes again after it; the first
    events may be lost.
    """
    for names in documents(uploads):
        for late in range(lost, uploads):
            if names[late].isupper():
                again = replace(Delivery.of(late, sequenced=True), after_files=True)
                events = own_events(*[True] * uploads)[lost:]
                yield Scenario(names, (*events, again, *[Delivery.task(after=1)] * tasks), late=(late,), **kind)


def find_waits(
    uploads: int, tasks: int, *, sequenced: bool = False, pattern: str = "", **kind: Any
) -> Iterator[Scenario]:
    """The messages of all uploads, some of which list a file that arrives late, at any time or never; each message
    that is put back may come again at any time. Back-fills that put nothing back may come at any time.

    Args:
        uploads: how many there are.
        tasks: how many back-fills there are.
        sequenced: whether all messages have a sequencer; else every mixture.
        pattern: the documents; every mixture if empty.
        kind: more of each scenario.
    """
    for names in [pattern] if pattern else documents(uploads):
        good = [upload for upload in range(uploads) if names[upload].isupper()]
        for late in chain.from_iterable(combinations(good, count) for count in range(1, uploads + 1)):
            for has_sequencer in product((True,) if sequenced else (True, False), repeat=uploads):
                messages = [replace(event, queued=True) for event in own_events(*has_sequencer)]
                yield Scenario(names, (*messages, *[Delivery.task(after=1)] * tasks), late=late, waits=True, **kind)


WAITS: dict[str, Iterable[Scenario]] = {
    "one upload, a task and a crash": find_waits(1, 1, crashes=1, free_looks=1, clock_step=1),
    "two uploads with sequencers": find_waits(2, 0, sequenced=True, clock_step=1),
    "the first of two, with sequencers, and a task": find_waits(2, 1, sequenced=True, pattern="Ab", clock_step=1),
    "the second of two, with sequencers, and a task": find_waits(2, 1, sequenced=True, pattern="aB", clock_step=1),
}
LARGE_WAITS: dict[str, Iterable[Scenario]] = {
    "one upload, two tasks and a crash": find_waits(1, 2, crashes=1, free_looks=1, clock_step=1),
    "two uploads": find_waits(2, 0, clock_step=1),
    "two uploads that are looked at more often": find_waits(2, 0, free_looks=1, clock_step=1),
    "two uploads with sequencers, and a crash": find_waits(2, 0, sequenced=True, crashes=1),
    "two uploads, and a task": find_waits(2, 1),
    "three uploads with sequencers": find_waits(3, 0, sequenced=True),
}


@pytest.mark.parametrize("scenarios", [*WAITS.values(), *map(slow, LARGE_WAITS.values())], ids=[*WAITS, *LARGE_WAITS])
def test_files_that_arrive_and_waits_that_end_between_any_two_calls_end_as_a_view_of_the_bucket(
    scenarios: Iterable[Scenario], record_property: Callable[[str, object], None]
) -> None:
    for scenario in scenarios:
        check(scenario, record_property)


BACKFILLS: dict[str, Iterable[Scenario]] = {
    "one task beside all events of two": find_backfills(2, 1, crashes=1, clock_step=1),
    "two tasks beside the events of two": find_sequenced_backfills(2, 2, clock_step=1),
    "one task beside the events of three": find_sequenced_backfills(3, 1, clock_step=1),
    "a lost event of three": find_lost_events(3, clock_step=1),
    "a late file of one of two, and a task": find_late_files(2, 1, clock_step=1),
    "a late file of one of three": find_late_files(3, 0, clock_step=1),
    "a late file of one of three, a lost event, and a task": find_late_files(3, 1, lost=1),
    "an upload from before versioning, whose event has no sequencer": find_first_unsequenced(3, null_first=True),
}
LARGE_BACKFILLS: dict[str, Iterable[Scenario]] = {
    "one task beside all events of three": find_backfills(3, 1, clock_step=1),
    "two tasks beside the events of three": find_sequenced_backfills(3, 2),
    "two tasks beside the events of two, and a crash": find_sequenced_backfills(2, 2, crashes=1, clock_step=1),
    "one task beside the events of four": find_sequenced_backfills(4, 1),
    "a lost event of four": find_lost_events(4, clock_step=1),
    "a late file of one of three, and a task": find_late_files(3, 1),
}


@pytest.mark.parametrize(
    "scenarios", [*BACKFILLS.values(), *map(slow, LARGE_BACKFILLS.values())], ids=[*BACKFILLS, *LARGE_BACKFILLS]
)
def test_backfill_between_any_two_calls_ends_as_a_view_of_the_bucket(
    scenarios: Iterable[Scenario], record_property: Callable[[str, object], None]
) -> None:
    for scenario in scenarios:
        check(scenario, record_property)


# The older versions matter little behind a good one.
@pytest.mark.parametrize("last", ["c", slow("C")])
@pytest.mark.parametrize("deleted", [0, 1])
@pytest.mark.parametrize("tasks", [1, slow(2)])
def test_deleted_version_changes_no_record_and_leaves_none_behind(
    deleted: int, tasks: int, last: str, record_property: Callable[[str, object], None]
) -> None:
    """The version may be gone before its event, or after it is the source of the record.

    So it may count as an upload or not. What is not allowed is a config that is older than either.
    """
    for scenario in find_sequenced_backfills(3, tasks, deletable=(deleted,), clock_step=1):
        if not scenario.documents.endswith(last):
            continue
        views = [
            View.of_uploads(scenario.documents, uploads)
            for uploads in ([0, 1, 2], [0, 1, 2][:deleted] + [0, 1, 2][deleted + 1 :])
        ]
        # If the record has a source that is not listed any more, nothing is filled in.
        views.append(View(2, deleted))

        def check_end(view: View, *_: object, views: list[View] = views) -> None:
            assert view in views

        explorer = explore(scenario, check_end)
        record_property("schedules covered", explorer.schedules)
        record_property("states visited", explorer.states)


@pytest.mark.parametrize("size", [*SIZES[:2], *map(slow, [*SIZES[2:], *LARGE_SIZES])], ids=str)
def test_bucket_without_versions_ends_with_the_last_upload(
    size: tuple[int, int, int, int], record_property: Callable[[str, object], None]
) -> None:
    """An event names whatever object is there by then. So the last upload is known to be the last if its own
    event has a sequencer, or if none has.
    """
    for scenario in find_scenarios(*size, versioned=False):
        last = len(scenario.documents) - 1
        sequenced = {delivery.upload for delivery in scenario.deliveries if delivery.sequenced}

        def check_end(
            view: View,
            *_: object,
            scenario: Scenario = scenario,
            last: int = last,
            known: bool = last in sequenced or not sequenced,
        ) -> None:
            if known:
                assert view.latest == last
                assert view.source == last or scenario.documents[last].islower()

        explorer = explore(scenario, check_end)
        record_property("schedules covered", explorer.schedules)
        record_property("states visited", explorer.states)


@pytest.mark.parametrize("documents", ["AAA", "ABA", "aBa"])
def test_object_that_comes_back_is_recorded_under_every_interleaving(documents: str) -> None:
    """The entity tag of an object without versions is no proof that nothing happened since."""
    scenario = Scenario(documents, own_events(False, False, False), versioned=False, crashes=1)

    def check_end(view: View, *_: object) -> None:
        assert view.latest == 2

    explore(scenario, check_end)
