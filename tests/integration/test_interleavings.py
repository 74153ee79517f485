"""The record ends right under every interleaving of concurrent invocations, and after any crash."""

import functools
import json
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import pytest

from tests.conftest import SOAK
from tests.integration.conftest import plain
from tests.integration.schedules import Delivery, Explorer, Item, Scenario, handle_in_order

LATEST = ("status", "errors", "version_id", "etag", "uploaded_at", "bucket", "key")
TIMES = {"recorded_at", "first_recorded_at"}

# Uploads, how many of their events come once more, crashes, and by how much clocks differ.
SIZES = [(1, 1, 1, 0), (2, 0, 2, 1), (2, 1, 1, 1), (3, 0, 0, 1)]
if SOAK:
    SIZES += [(2, 1, 2, 0), (2, 2, 0, 1), (3, 0, 1, 0), (3, 0, 1, 1), (3, 1, 0, 1)]


def find_scenarios(uploads: int, repeated: int, crashes: int, clock_step: int) -> Iterator[Scenario]:
    """Every one of this size: documents good and bad, events with and without a sequencer, buckets with
    and without versions.
    """
    for documents in product(*[letter + letter.lower() for letter in "ABC"[:uploads]]):
        for again in product(range(uploads), repeat=repeated):
            for sequenced in product((True, False), repeat=uploads + repeated):
                deliveries = tuple(map(Delivery, (*range(uploads), *again), sequenced))
                for versioned in (True, False):
                    yield Scenario("".join(documents), deliveries, versioned, crashes, clock_step)


@functools.cache
def read(item: Item) -> dict[str, Any]:
    return plain(json.loads(item)) if item else {}


def check(scenario: Scenario, record_property: Callable[[str, object], None]) -> None:
    in_order = read(handle_in_order(scenario))
    all_sequenced = all(delivery.sequenced for delivery in scenario.deliveries)
    last = len(scenario.documents) - 1
    last_is_sequenced = any(delivery.sequenced for delivery in scenario.deliveries if delivery.upload == last)

    def check_write(before: Item, after: Item) -> None:
        old, new = read(before), read(after)
        if not old:
            return
        assert new["first_recorded_at"] == old["first_recorded_at"]
        assert without_times(new) != without_times(old)
        if "source" in old:
            assert "source" in new
            if new["status"] == "rejected" and any(new.get(name) != old.get(name) for name in LATEST):
                assert (new["config"], new["source"], new["name"]) == (old["config"], old["source"], old["name"])
        if scenario.versioned:
            assert new["version_id"] >= old["version_id"]
            if "source" in old:
                assert new["source"]["version_id"] >= old["source"]["version_id"]

    def check_end(item: Item) -> None:
        record = read(item)
        if "source" in record:
            assert record["config"]["model"]["name"] == record["name"] == record["source"]["etag"]
            assert record["name"].isupper()
        if scenario.versioned and all_sequenced:
            assert without_times(record) == without_times(in_order)
            return
        # Without versions, an event stands for whatever object is there by then. Only the last
        # upload's own sequencer tells that object from an older one that another event named.
        if scenario.versioned or last_is_sequenced or not any(delivery.sequenced for delivery in scenario.deliveries):
            assert [record.get(name) for name in LATEST] == [in_order.get(name) for name in LATEST]
            if scenario.documents[last].isupper():
                assert record["name"] == scenario.documents[last]

    explorer = Explorer(scenario, check_write, check_end)
    record_property("schedules covered", explorer.explore())
    record_property("states visited", explorer.states)


def without_times(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in TIMES}


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_every_interleaving_and_crash_ends_as_handling_in_order(
    size: tuple[int, int, int, int], record_property: Callable[[str, object], None]
) -> None:
    for scenario in find_scenarios(*size):
        check(scenario, record_property)


@pytest.mark.parametrize("documents", ["AAA", "ABA", "aBa"])
def test_object_that_comes_back_is_recorded_under_every_interleaving(documents: str) -> None:
    """The entity tag of an object without versions is no proof that nothing happened since."""
    deliveries = tuple(Delivery(upload, sequenced=False) for upload in range(3))
    ends = set()
    Explorer(Scenario(documents, deliveries, versioned=False, crashes=1), lambda *_: None, ends.add).explore()
    assert {read(item)["etag"] for item in ends} == {documents[-1]}
