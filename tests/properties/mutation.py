"""Malformed JSON: valid texts with random changes.

Property tests and fuzzing share this module, so that the caller supplies the random numbers.
"""

import copy
import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any


class Token(str):
    """JSON text that is written unchanged, because no Python value stands for it."""

    __slots__ = ()


class Object(list[list[Any]]):
    """``[name, value]`` pairs, which can have the same name twice."""


class Text(list[Any]):
    """One value that is written as a string of JSON, like the body of a message."""


def read(text: str) -> Any:
    """Return JSON as a tree of lists, which can be changed."""
    return _read_inside(
        json.loads(text, parse_int=Token, parse_float=Token, object_pairs_hook=lambda pairs: Object(map(list, pairs)))
    )


def _read_inside(value: Any) -> Any:
    if isinstance(value, Object):
        return Object([name, _read_inside(member)] for name, member in value)
    if isinstance(value, list):
        return [_read_inside(member) for member in value]
    if isinstance(value, str) and value.startswith("{"):
        return Text([read(value)])
    return value


def write(value: Any) -> str:
    """Return the JSON text of a tree, which need not be valid."""
    match value:
        case Token():
            return str(value)
        case Text():
            return json.dumps(write(value[0]), ensure_ascii=False)
        case Object():
            return "{" + ",".join(f"{json.dumps(name)}:{write(member)}" for name, member in value) + "}"
        case list():
            return "[" + ",".join(map(write, value)) + "]"
    return json.dumps(value)


def spoil(text: str, random: Random) -> bytes:
    """Return a valid JSON text, usually with random changes of its values, its syntax or its encoding."""
    return random.choice(_ENCODINGS)(spoil_values(text, random), random)


def spoil_values(text: str, random: Random) -> str:
    """Return a valid JSON text, usually with random changes of its values."""
    tree = [read(text)]
    for _ in range(random.randrange(5)):
        random.choice(_CHANGES)(tree, random)
    return write(tree[0])


def replace_each(text: str) -> Iterator[str]:
    """Yield a valid JSON text with each hostile value in each place."""
    for number in range(len(list(_places([read(text)])))):
        tree = [read(text)]
        holder, place = list(_places(tree))[number]
        for holder[place] in VALUES:
            yield write(tree[0])


def mutate_json(data: bytes, max_size: int, seed: int, mutate_bytes: Callable[[bytes, int], bytes]) -> bytes:
    """Change JSON as JSON in half of the calls; otherwise apply the mutations of the fuzzer."""
    random = Random(seed)  # noqa: S311 - chance, not secrets
    if random.random() < 0.5:
        try:
            return spoil(data.decode(), random)[:max_size]
        except (ValueError, RecursionError):
            pass
    return mutate_bytes(data, max_size)


def _places(node: list[Any]) -> Iterator[tuple[list[Any], int]]:
    """Yield each list and index that has a value."""
    for index, child in enumerate(node):
        holder, place = (child, 1) if isinstance(node, Object) else (node, index)
        yield holder, place
        if isinstance(holder[place], list):
            yield from _places(holder[place])


def _replace(tree: list[Any], random: Random) -> None:
    holder, place = random.choice(list(_places(tree)))
    holder[place] = copy.deepcopy(random.choice(VALUES))


def _insert_inside(tree: list[Any], random: Random) -> None:
    texts = [(holder, place) for holder, place in _places(tree) if type(holder[place]) is str]
    if texts:
        holder, place = random.choice(texts)
        cut = random.randrange(len(holder[place]) + 1)
        holder[place] = holder[place][:cut] + random.choice(PIECES) + holder[place][cut:]


def _transplant(tree: list[Any], random: Random) -> None:
    places = list(_places(tree))
    holder, place = random.choice(places)
    donor, origin = random.choice(places)
    holder[place] = copy.deepcopy(donor[origin])


def _wrap(tree: list[Any], random: Random) -> None:
    holder, place = random.choice(list(_places(tree)))
    for _ in range(random.choice([1, 1, 2, 3, 29, 30, 31, 32])):
        holder[place] = random.choice(_WRAPPINGS)(holder[place])


def _encode_again(tree: list[Any], random: Random) -> None:
    holder, place = random.choice(list(_places(tree)))
    holder[place] = Text([holder[place]])


def _change_members(tree: list[Any], random: Random) -> None:
    lists = [tree, *(holder[place] for holder, place in _places(tree) if isinstance(holder[place], list))]
    members = random.choice(lists[1:] or lists)
    if not members or isinstance(members, Text):
        return
    index = random.randrange(len(members))
    match random.randrange(4):
        case 0 if members is not tree:
            del members[index]
        case 1 if isinstance(members, Object):
            members[index][0] = random.choice(NAMES)
        case 2:
            members.extend(copy.deepcopy(members[index : index + 1]) * random.choice([1, 2, 25, 60]))
        case _:
            members.reverse()


_WRAPPINGS: list[Callable[[Any], Any]] = [lambda value: [value], lambda value: Object([["a", value]])]

_CHANGES: list[Callable[[list[Any], Random], None]] = [
    _replace, _replace, _replace, _insert_inside, _insert_inside, _transplant, _wrap, _encode_again,
    _change_members, _change_members,
]  # fmt: skip


def _cut(text: str, random: Random) -> bytes:
    encoded = text.encode()
    return encoded[: random.randrange(len(encoded) + 1)]


def _overwrite(text: str, random: Random) -> bytes:
    encoded = bytearray(text.encode() or b" ")
    encoded[random.randrange(len(encoded))] = random.randrange(256)
    return bytes(encoded)


def _insert(text: str, random: Random) -> bytes:
    place = random.randrange(len(text) + 1)
    return (text[:place] + random.choice(PIECES) + text[place:]).encode("utf-8", "surrogatepass")


_ENCODINGS: list[Callable[[str, Random], bytes]] = [
    *[lambda text, _: text.encode()] * 12,
    lambda text, _: b"\xef\xbb\xbf" + text.encode(),
    lambda text, random: text.encode(random.choice(["utf-16", "utf-16-le", "utf-32", "utf-7", "cp037"])),
    lambda text, _: text.encode("latin-1", "replace"),
    lambda text, _: json.dumps(text).encode(),
    _cut, _overwrite, _insert,
]  # fmt: skip

PIECES = [
    '"', "\\", "{", "}", "[", "]", ",", ":", "0", "-", ".", "e", "\0", "\n", " ", "\x7f", "\ufeff", "\ufeff\ufeff", "é",
    "\ud800", "\u2028", "\U0010ffff", "\\u0000", "\\ud83d", "\\ude00", "\\uD83D\\uDE00", "//", "/*", "NaN", "%", "%25",
    "%2F", "%2B", "+", "%00", "%ff", "%C3%A9", "%ED%A0%80", "../",
]  # fmt: skip

NAMES = [
    "", "a", "a/b~c", "é", "\ud800", "\0", "😀", "x" * 300, "y" * 65_535, "y" * 65_536, "#config", ":config", "model",
    "parameters", "tags", "files", "path", "size", "sha256", "schema_version", "organisation_id", "run_id", "name",
    "version", "created_at", "created_by", "__proto__", "Records", "source", "detail-type", "detail", "Type", "Message",
    "s3", "object", "bucket", "key", "eventSource", "EventSource", "messageId", "body", "Sns", "tasks", "taskId",
    "s3Key", "s3Bucket", "s3BucketArn", "versionId", "sequencer", "eventVersion", "Service", "Event",
]  # fmt: skip

_NUMBERS = [
    "0", "-0", "-0.0", "1", "2", "-1", "96", "1.0", "1.5", "10e-1", "0.1", "1e3", "1E+3", "1e37", "1e38", "1e400",
    "-1e400", "1e-400", "1E125", "1E126", "1E-130", "1E-131", "9.9999999999999999999999999999999999999E+125",
    "9.99999999999999999999999999999999999999E+125", "9" * 38, "9" * 39, "-" + "9" * 38, "0." + "1" * 38,
    "0." + "1" * 39, "1" + "0" * 37, "1" + "0" * 500, "0." + "0" * 129 + "1", "1." + "0" * 60, "7" * 5_000,
    "1e0000000000001", "1e-0000000000001", "1e+00000000000000000000", "0e999999999999", "1e" + "9" * 400,
    "0." + "0" * 200 + "1e200", "1" + "0" * 200 + "e-200", "NaN", "Infinity", "-Infinity",
]  # fmt: skip

VALUES: list[Any] = [
    *map(Token, _NUMBERS),
    *map(Token, ["01", "1.", "+1", ".5", "0x10", "1_0", "'a'", "nul", "True", "undefined", ""]),
    *map(Token, ['"\\ud800"', '"\\udc00\\ud800"', '"\\ud83d\\ude00"', '"\\u0000"', '"\\x"', '"\t"', '"\\u12"']),
    *map(Token, ["[" * 31 + "]" * 31, "[" * 33 + "]" * 33, "[" * 60_000, '{"a":' * 31 + "1" + "}" * 31]),
    None, True, False, "", "é", "\ud800", "\0", "x" * 128, "x" * 129, "x" * 256, "x" * 257, [], Object(), [[]],
    Object([["", Token("1")]]), Object([["a", "1"], ["a", "1"]]), [Object()] * 25, Object([["name", "m"]]),
    Object([["path", "a"]]), Object([["path", "a"], ["size", Token("1e1")]]), "null", "{}", "[", "latest", "m",
    ".", "..", "...", "a/../b", "a//b", "/a", "a/", "./a", "a/.", "..\n", "a\n", "\n/a", "0" * 64, "0" * 64 + "\n",
    "2026-11-20T08:30:00Z", "2026-11-20t08:30:00.123456789012+23:59", "2026-02-30T08:30:00Z", "0000-01-01T00:00:00Z",
    "2026-12-31T23:59:60Z", "2026-11-20T08:30:00Z\n", "2026-11-20T08:30:00", "acme", "run-0001", "globex", "ACME",
    "2.1", "2.", "3.0", "b", "arn:aws:s3:::b", "aws:s3", "aws:sqs", "aws:sns", "aws.s3", "Object Created",
    "Object Deleted", "ObjectCreated:Put", "s3:ObjectCreated:Put", "ObjectRemoved:Delete", "s3:TestEvent", "Amazon S3",
    "Notification", "1.0", "2.0", "0055AED6DCD90281E5", "f" * 32, "f" * 33, "0x1", "١",
    "runs/acme/run-0001/metadata.json", "runs%2Facme%2Frun-0001%2Fmetadata.json",
    "runs%252Facme%252Frun-0001%252Fmetadata.json", "runs/globex/run-0001/metadata.json",
    "runs/acme/run-0001/metadata.json%0A", "runs/../acme/metadata.json", "runs/acme%2F..%2Fglobex/metadata.json",
    "runs/acme/a+b/metadata.json", "runs/acme/a%2Bb/metadata.json", "runs/acme/%EF%BC%A1/metadata.json",
    "runs/acme//metadata.json", "RUNS/acme/run-0001/metadata.json", "runs/acme/run-0001\\metadata.json", "%", "%ff",
    "runs/acme/" + "x" * 129 + "/metadata.json",
]  # fmt: skip
