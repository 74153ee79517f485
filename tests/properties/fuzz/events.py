"""Fuzzes events: any text as an event, as the body of a message within one, and as a key."""

import sys

import atheris

with atheris.instrument_imports(include=["handler", "run_recorder"]):
    from tests.properties.events import check_key, check_text
    from tests.properties.mutation import mutate_json


def check(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    check_text(text)
    check_key(text[:400])  # longer than the longest key of a run


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    return mutate_json(data, max_size, seed, atheris.Mutate)


if __name__ == "__main__":
    atheris.Setup(sys.argv, check, custom_mutator=mutate)
    atheris.Fuzz()
