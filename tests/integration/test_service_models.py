"""The data of botocore, cut down to the operations that are called."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from service_models import find_called, keep_called

DOCUMENTED = {"documentation": "<p>For people.</p>"}
MODEL = {
    "version": "2.0",
    "metadata": {"serviceId": "Shop"},
    "clientContextParams": {"Accelerate": {"type": "boolean", **DOCUMENTED}},  # botocore reads this documentation
    "operations": {
        "GetItemV2": {"name": "GetItemV2", "input": {"shape": "Get"}, "output": {"shape": "Got"}, **DOCUMENTED},
        "HeadItem": {"name": "HeadItem", "input": {"shape": "Head"}},
        "ListItems": {"name": "ListItems", "input": {"shape": "List"}},
        "DeleteItem": {"name": "DeleteItem", "input": {"shape": "Delete"}},
    },
    "shapes": {
        "Get": {"type": "structure", "required": ["shape"], "members": {"shape": {"shape": "Name", **DOCUMENTED}}},
        "Got": {"type": "structure", "members": {"documentation": {"shape": "Pages"}, "Tags": {"shape": "Tags"}}},
        "Pages": {"type": "list", "member": {"shape": "Page"}},
        "Page": {"type": "structure", "members": {"Pages": {"shape": "Pages"}}, **DOCUMENTED},
        "Tags": {"type": "map", "key": {"shape": "Name"}, "value": {"shape": "Tag"}},
        "Tag": {"type": "string"},
        "Name": {"type": "string", "min": 1},
        "Head": {"type": "structure", "members": {}},
        "List": {"type": "structure", "members": {"Name": {"shape": "Name"}}},
        "Delete": {"type": "structure", "members": {"Token": {"shape": "Token"}}},
        "Token": {"type": "string"},
        "SoldOut": {"type": "structure", "members": {"Reason": {"shape": "Reason"}}, "exception": True},
        "Reason": {"type": "string"},
    },
}
WAITERS = {"version": 2, "waiters": {"ItemExists": {"operation": "HeadItem"}, "Gone": {"operation": "DeleteItem"}}}
PAGINATORS = {"pagination": {"ListItems": {"input_token": "Next"}, "GetItemV2": {"input_token": "Next"}}}
ENDPOINTS = {"partitions": [{"partition": "aws", "services": {"shop": {"endpoints": {}}, "mail": {"endpoints": {}}}}]}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder like botocore's, with the services "shop" and "mail"."""
    folder = tmp_path / "data"
    for service in ("shop", "mail"):
        version = folder / service / "2026-11-20"
        version.mkdir(parents=True)
        (version / "service-2.json.gz").write_bytes(gzip.compress(json.dumps(MODEL).encode()))
        (version / "waiters-2.json").write_text(json.dumps(WAITERS))
        (version / "paginators-1.json").write_text(json.dumps(PAGINATORS))
        (version / "examples-1.json").write_text("{}")
        (version / "endpoint-rule-set-1.json.gz").write_bytes(gzip.compress(b'{"rules": []}'))
    (folder / "endpoints.json").write_text(json.dumps(ENDPOINTS))
    return folder


def find(data: Path, code: str, sdk: str = "") -> dict[str, set[str]]:
    """Return the operations that modules with this code call."""
    caller, botocore = data.parent / "caller.py", data.parent / "botocore.py"
    caller.write_text(code)
    botocore.write_text(sdk)
    return find_called(data, [caller], [botocore])


def read(data: Path, name: str) -> Any:
    return json.loads((data / "shop" / "2026-11-20" / f"{name}.json").read_text())


@pytest.mark.parametrize(
    "call",
    [
        "shop.get_item_v2(Name=name)",
        "shop.get_paginator('get_item_v2')",
        "page('get_item_v2')",
        "method = shop.get_item_v2",
    ],
)
def test_operation_is_called_whose_method_is_named(data: Path, call: str) -> None:
    assert find(data, f"shop = boto3.client('shop', config=config)\n{call}") == {"shop": {"GetItemV2"}}


def test_operation_is_called_for_which_a_waiter_waits(data: Path) -> None:
    assert find(data, "boto3.client('shop').get_waiter('item_exists')") == {"shop": {"HeadItem"}}


def test_operation_is_called_that_botocore_calls(data: Path) -> None:
    called = find(data, "boto3.client('shop').get_item_v2()", sdk="self._client.head_item()\nsession.client('mail')")
    assert called == {"shop": {"GetItemV2", "HeadItem"}}


@pytest.mark.parametrize("code", ["boto3.client('shop').sell()", "boto3.client('unknown').get_item_v2()"])
def test_service_without_a_called_operation_stops_the_build(data: Path, code: str) -> None:
    with pytest.raises(SystemExit, match=r"has no model in .*, or the code calls none of its operations"):
        find(data, code)


def test_model_keeps_the_called_operations_the_shapes_that_they_reach_and_all_errors(data: Path) -> None:
    keep_called(data, {"shop": {"GetItemV2"}})
    model = read(data, "service-2")
    assert list(model["operations"]) == ["GetItemV2"]
    assert list(model["shapes"]) == ["Get", "Got", "Pages", "Page", "Tags", "Tag", "Name", "SoldOut", "Reason"]
    assert model["shapes"]["Get"] == {
        "type": "structure",
        "required": ["shape"],
        "members": {"shape": {"shape": "Name"}},
    }
    assert model["shapes"]["Got"]["members"]["documentation"] == {"shape": "Pages"}
    for name in ("version", "metadata", "clientContextParams"):
        assert model[name] == MODEL[name]
    assert DOCUMENTED["documentation"] not in json.dumps([model["operations"], model["shapes"]])


def test_other_files_keep_what_belongs_to_the_called_operations(data: Path) -> None:
    keep_called(data, {"shop": {"GetItemV2", "HeadItem"}})
    assert read(data, "waiters-2") == {"version": 2, "waiters": {"ItemExists": {"operation": "HeadItem"}}}
    assert read(data, "paginators-1") == {"pagination": {"GetItemV2": {"input_token": "Next"}}}
    assert read(data, "endpoint-rule-set-1") == {"rules": []}
    assert {path.name for path in data.rglob("*") if path.is_file()} == {
        "service-2.json",
        "waiters-2.json",
        "paginators-1.json",
        "endpoint-rule-set-1.json",
        "endpoints.json",
    }


def test_services_that_are_not_called_are_dropped(data: Path) -> None:
    keep_called(data, {"shop": {"GetItemV2"}})
    assert [path.name for path in data.iterdir() if path.is_dir()] == ["shop"]
    (partition,) = json.loads((data / "endpoints.json").read_text())["partitions"]
    assert partition == {"partition": "aws", "services": {"shop": {"endpoints": {}}}}
