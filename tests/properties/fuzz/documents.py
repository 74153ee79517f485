"""Fuzzes documents: any bytes that are uploaded as metadata.json."""

import sys

import atheris

with atheris.instrument_imports(include=["handler", "run_recorder"]):
    from tests.properties.documents import check_document
    from tests.properties.mutation import mutate_json


def check(data: bytes) -> None:
    check_document(data)


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    return mutate_json(data, max_size, seed, atheris.Mutate)


if __name__ == "__main__":
    atheris.Setup(sys.argv, check, custom_mutator=mutate)
    atheris.Fuzz()
