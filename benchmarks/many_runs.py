"""A bucket and a table with very many runs, whose answers are made up in memory as they are requested.

The answers are HTTP responses in place of the network, so that real clients sign the requests and parse the answers.
"""

import io
import json
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders

from run_recorder.config import build_model_config
from run_recorder.domain import ObjectVersion, Run
from run_recorder.dynamodb_value import serialize
from run_recorder.judgement import judge_document

ENVIRONMENT = {"RUNS_BUCKET": "uploads", "RUNS_TABLE": "runs", "OUTPUT_BUCKET": "results"}
ORGANISATIONS = [f"org-{number}" for number in range(10)]

_KEYS_A_PAGE = 1000
_MEGABYTE = 1_048_576
_DOCUMENT = b'{"model": {"name": "amplification", "version": "2.1.0"}, "parameters": {"cycles": 40}, "name": "Plate 7"}'
_VERSION = ObjectVersion("3HL4kqtJlcpXroDTDmJrmSpXd3dIbrHY", "9b2cf535f27731c974343645a3985328")
_ANY_RUN = Run("{organisation}", "{run}")


class ManyRuns:
    """A bucket and a table with the same runs, in ten organisations; all records are right.

    Attributes:
        requests: how many requests of each operation there were.
    """

    def __init__(self, number: int) -> None:
        self.requests = Counter[str]()
        self._count = number // len(ORGANISATIONS)
        self._counting = threading.Lock()
        record = _make_record()
        index = ("organisation_id", "run_id", "recorded_at", "status", "name")
        self._record = json.dumps(record)
        self._index_item = json.dumps({name: record[name] for name in index})

    def attach(self, client: Any) -> Any:  # noqa: ANN401 - the clients' types differ
        """Let this object answer the requests of a client of S3 or DynamoDB; return the client."""
        answer = {"s3": self._answer_s3, "dynamodb": self._answer_dynamodb}[client.meta.service_model.service_name]
        client.meta.events.register("before-send", answer)
        return client

    def _answer_s3(self, request: AWSPreparedRequest, **_: object) -> AWSResponse:
        url = urlsplit(request.url)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if "list-type" in query:
            self._count_request("ListObjectsV2")
            return _respond(self._list(query["prefix"], int(query.get("continuation-token", 0))))
        self._count_request("HeadObject" if request.method == "HEAD" else "GetObject")
        return _respond(b"" if request.method == "HEAD" else _DOCUMENT, size=len(_DOCUMENT))

    def _list(self, prefix: str, start: int) -> bytes:
        """Return the page of the names directly below ``runs/``, or below ``runs/ORG/``."""
        is_root = prefix == "runs/"
        end = len(ORGANISATIONS) if is_root else min(start + _KEYS_A_PAGE, self._count)
        names = ORGANISATIONS if is_root else [_run_id(number) for number in range(start, end)]
        is_last = is_root or end == self._count
        listed = "".join(f"<CommonPrefixes><Prefix>{prefix}{name}/</Prefix></CommonPrefixes>" for name in names)
        following = "" if is_last else f"<NextContinuationToken>{end}</NextContinuationToken>"
        return f"<R><IsTruncated>{str(not is_last).lower()}</IsTruncated>{following}{listed}</R>".encode()

    def _answer_dynamodb(self, request: AWSPreparedRequest, **_: object) -> AWSResponse:
        target = request.headers["X-Amz-Target"]
        operation = (target.decode() if isinstance(target, bytes) else target).rpartition(".")[2]
        self._count_request(operation)
        body = json.loads(request.body)  # type: ignore[arg-type] # which is no stream
        match operation:
            case "Scan":
                last = body.get("ExclusiveStartKey", {}).get("organisation_id", {"S": ""})["S"]
                items = [f'{{"organisation_id": {{"S": "{name}"}}}}' for name in ORGANISATIONS if name > last][:1]
                return _respond(f'{{"Items": [{",".join(items)}]}}'.encode())
            case "Query":
                return _respond(self._query(body).encode())
            case "GetItem":
                return _respond(f'{{"Item": {_item(self._record, body["Key"])}}}'.encode())
            case "BatchGetItem":
                ((table, wanted),) = body["RequestItems"].items()
                found = ",".join(_item(self._record, key) for key in wanted["Keys"])
                return _respond(f'{{"Responses": {{"{table}": [{found}]}}, "UnprocessedKeys": {{}}}}'.encode())
        raise NotImplementedError(operation)

    def _query(self, body: dict[str, Any]) -> str:
        """Return a page of the records of an organisation: of the table, or of the index, the newest first."""
        organisation = body["ExpressionAttributeValues"][":organisation_id"]
        is_of_index = "IndexName" in body
        template = self._index_item if is_of_index else self._record
        size = min(_MEGABYTE // len(self._record), body.get("Limit", _MEGABYTE))
        start = int(body["ExclusiveStartKey"]["page"]["N"]) if "ExclusiveStartKey" in body else 0
        end = min(start + size, self._count)
        numbers = (self._count - 1 - number if is_of_index else number for number in range(start, end))
        items = ",".join(
            _item(template, {"organisation_id": organisation, "run_id": {"S": _run_id(number)}}) for number in numbers
        )
        more = "" if end == self._count else f', "LastEvaluatedKey": {{"page": {{"N": "{end}"}}}}'
        return f'{{"Items": [{items}]{more}}}'

    def _count_request(self, operation: str) -> None:
        with self._counting:
            self.requests[operation] += 1


class _Body(io.BytesIO):
    def stream(self) -> Iterator[bytes]:
        """Yield the parts, as the responses of urllib3 do."""
        yield self.read()


def _make_record() -> dict[str, Any]:
    """Return a record, with places for the ids, as the function writes it for the document."""
    judgement = judge_document(
        _DOCUMENT, _ANY_RUN, _VERSION, lambda metadata: build_model_config(_ANY_RUN, metadata, ENVIRONMENT)
    )
    attributes = {
        "organisation_id": _ANY_RUN.organisation_id,
        "run_id": _ANY_RUN.run_id,
        "status": "recorded",
        "sequencer": "000000000000000055AED6DCD90281E5",
        "uploaded_at": "2026-11-20T08:30:00Z",
        **_VERSION._asdict(),
        "bucket": ENVIRONMENT["RUNS_BUCKET"],
        "key": f"{_ANY_RUN.prefix}metadata.json",
        **judgement.accepted,
        "first_recorded_at": "2026-11-20T08:30:01.400602Z",
        "recorded_at": "2026-11-20T08:30:01.{run}Z",
    }
    return {name: serialize(value) for name, value in attributes.items() if value is not None}


def _item(template: str, key: dict[str, Any]) -> str:
    organisation, run = key["organisation_id"]["S"], key["run_id"]["S"]
    return template.replace("{organisation}", organisation).replace("{run}", run)


def _run_id(number: int) -> str:
    return f"{number:06}"


def _respond(body: bytes, size: int | None = None) -> AWSResponse:
    headers = HTTPHeaders()
    headers["content-length"] = str(len(body) if size is None else size)
    headers["x-amz-request-id"] = headers["x-amzn-requestid"] = "4442587FB7D0A2F9"
    if size is not None:
        headers["last-modified"] = "Fri, 20 Nov 2026 08:30:00 GMT"
        headers["etag"], headers["x-amz-version-id"] = f'"{_VERSION.etag}"', _VERSION.version_id or ""
    return AWSResponse("https://aws", 200, headers, _Body(body))
