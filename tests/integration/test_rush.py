"""The computed rush of docs/scale.md."""

import re
from typing import Any

import pytest

from benchmarks import rush_inputs as given
from benchmarks.rush import BATCH_SECONDS, CASES, RUNS, Case, compute_cost, format_cases, format_inputs, simulate
from handler import app
from local.sam import ROOT
from local.template import translate

PAGE = (ROOT / "docs" / "scale.md").read_text()
ENOUGH = 1e9  # runs a second


def find_row(first_cell: str) -> str:
    (row,) = re.findall(rf"^\| {re.escape(first_cell)} \|.*$", PAGE, re.MULTILINE)
    return str(row)


def test_page_has_the_computed_tables() -> None:
    assert format_cases() in PAGE
    assert format_inputs() in PAGE


def test_inputs_are_the_values_of_the_page() -> None:
    assert f"| {given.CPU.text} for each run" in find_row("`cpu`")
    assert f"| {given.WAIT.text} for each invocation" in find_row("`wait`")
    assert f"= {given.CORES.text} of a CPU core" in find_row("`memory`")
    assert f"| {given.UNITS.value + given.INDEX_UNITS.value:g} for each run" in find_row("`write units`")
    assert f"| {given.MEMORY.text}," in find_row("`memory`")
    assert f"| {given.LOG.text} in a batch" in find_row("`log`")
    prices = {
        (name, unit): float(dollars)
        for name, cell in re.findall(r"^\| (price of \w+) \| (.*?) \|", PAGE, re.MULTILINE)
        for dollars, unit in re.findall(r"\$([0-9.]+) ([^,]+)", cell)
    }
    assert prices == {(price.name, price.unit): price.value for price in given.PRICES}


def test_inputs_are_the_values_of_the_template_and_of_the_clients() -> None:
    template = translate({})
    resources: dict[str, Any] = template["Resources"]
    queue = resources["UploadsQueue"]["Properties"]
    assert resources["RecorderFunctionUploads"]["Properties"]["BatchSize"] == given.BATCH.value
    assert template["Parameters"]["MaximumConcurrency"]["Default"] == given.CONCURRENCY.value
    assert queue["VisibilityTimeout"] == given.REDELIVERY.value
    assert queue["RedrivePolicy"]["maxReceiveCount"] == given.DELIVERIES.value
    config: Any = app._CLIENT_CONFIG  # noqa: SLF001
    assert config.retries["mode"] == "standard"
    assert sum(2**retry for retry in range(config.retries["total_max_attempts"] - 1)) == given.RETRY_WAIT.value


def test_rush_that_dynamodb_writes_waits_only_until_lambda_has_scaled() -> None:
    effect = simulate(Case("", ENOUGH))
    assert effect.late_by(0.5) == 0
    assert effect.late_by(1) == effect.first_delivery == 2
    assert effect.deliveries == pytest.approx(RUNS)
    assert effect.busy == pytest.approx(RUNS / 10 * BATCH_SECONDS)


def test_queue_grows_while_batches_wait_for_throttled_writes() -> None:
    effect = simulate(Case("", 500))
    # The last run is behind 600 s × (1,000 - 500) messages, of which 500 are written each second.
    assert effect.late_by(1) == effect.first_delivery == pytest.approx(600, abs=2)
    assert effect.late_by(0.5) == pytest.approx(300, abs=2)


def test_throttled_messages_are_redelivered_after_the_visibility_timeout() -> None:
    effect = simulate(Case("", 950, retry_wait=0))
    assert effect.first_delivery == 2
    assert effect.late_by(0.9) <= 2
    assert 360 <= effect.late_by(1) < 5 * 360
    assert sum(count for seconds, count in effect.late.items() if 2 < seconds < 360) == 0


def test_messages_in_flight_block_the_queue() -> None:
    # 700 of 1,000 messages fail each second, so that 120,000 are in flight after 172 s; the first come back at 360 s.
    effect = simulate(Case("", 300, retry_wait=0))
    assert effect.first_delivery > 360 - 172


def test_message_that_fails_five_times_is_dead_lettered() -> None:
    effect = simulate(Case("", 1, retry_wait=0))
    assert effect.dead > 0.9 * RUNS
    assert effect.deliveries < 5 * RUNS


def test_no_message_of_the_table_is_dead_lettered() -> None:
    assert {simulate(case).dead for case in CASES} == {0}


@pytest.mark.parametrize("case", [*CASES, Case("", 1, retry_wait=0)], ids=lambda case: case.name)
def test_no_message_is_lost(case: Case) -> None:
    effect = simulate(case)
    assert sum(effect.late.values()) + effect.dead == pytest.approx(RUNS, abs=1)


def test_rush_that_is_not_throttled_costs_as_much_as_other_runs() -> None:
    (million,) = re.findall(r"\*\*sum\*\* \|.*\*\*\$([0-9.]+)\*\* \|$", PAGE, re.MULTILINE)[:1]
    assert compute_cost(simulate(CASES[0])) == pytest.approx(float(million) * RUNS / 1e6, abs=0.01)
