"""Keys of runs, and sequencers."""

import pytest

from run_recorder.domain import Run
from run_recorder.keys import parse_key, parse_name, parse_sequencer


@pytest.mark.parametrize("identifier", ["a", "0", "A.b_c:d=e@f+g~h-i", "x" * 128, "9..", "a--"])
def test_key_of_a_run_gives_its_ids(identifier: str) -> None:
    assert parse_key(f"runs/{identifier}/r/metadata.json") == Run(identifier, "r")
    assert parse_key(f"runs/o/{identifier}/metadata.json") == Run("o", identifier)


@pytest.mark.parametrize("identifier", ["", ".a", "-a", "_", "a b", "a/b", "é", "x" * 129, "a\n", "a%41", "..", "a\\b"])
def test_key_with_an_id_outside_the_grammar_names_no_run(identifier: str) -> None:
    assert parse_key(f"runs/{identifier}/r/metadata.json") is None
    assert parse_key(f"runs/o/{identifier}/metadata.json") is None


@pytest.mark.parametrize(
    "key",
    [
        "",
        "metadata.json",
        "/runs/o/r/metadata.json",
        "runs/o/metadata.json",
        "runs/o/r/s/metadata.json",
        "runs/o/r/metadata.json\n",
        "runs/o/r/metadata.json/",
        "runs/o/r/metadataXjson",
        "runs/o/r/data.csv",
        "Runs/o/r/metadata.json",
        "results/o/r/metadata.json",
    ],
)
def test_any_other_key_names_no_run(key: str) -> None:
    assert parse_key(key) is None


@pytest.mark.parametrize("run", [Run("acme", "run-0001"), Run("a", "A.b_c:d=e@f+g~h-i")], ids=str)
def test_name_and_key_of_a_document_give_the_run(run: Run) -> None:
    assert parse_name(f"{run.organisation_id}/{run.run_id}") == run
    assert parse_key(run.document_key) == run


@pytest.mark.parametrize("name", ["", "acme", "acme/", "/run-1", "acme/run-1/", "a/b/c", "acme/run 1"])
def test_any_other_name_names_no_run(name: str) -> None:
    assert parse_name(name) is None


@pytest.mark.parametrize(
    ("lower", "higher"),
    [
        ("0055AED6DCD90281E5", "0055AED6DCD90281E6"),
        ("55AED6DCD90281E5", "0055AED6DCD90281E6"),
        ("9", "10"),
        ("ff", "0100"),
        ("0a", "0B"),
        ("FF", "f" * 32),
    ],
)
def test_sequencers_compare_as_integers_whatever_their_spelling(lower: str, higher: str) -> None:
    first, second = parse_sequencer(lower), parse_sequencer(higher)
    assert first is not None
    assert second is not None
    assert first < second


def test_sequencer_is_upper_case_and_padded_to_32_digits() -> None:
    assert parse_sequencer("617f08299329d189") == "0000000000000000617F08299329D189"


@pytest.mark.parametrize("value", [None, "", "xyz", "0x1", " 1", "1\n", "1_0", "-1", "1" * 33, 5, "١"])
def test_sequencer_that_is_not_1_to_32_hexadecimal_digits_counts_as_missing(value: object) -> None:
    assert parse_sequencer(value) is None
