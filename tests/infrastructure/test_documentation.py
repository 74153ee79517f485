"""The pages of the documentation, compared with the code: they are complete, and describe only what exists."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import pytest
from pytest_mock import MockerFixture

from local.pictures import load_dashboard
from local.samples import EVENTS, SAMPLES
from local.stack import LocalStack
from local.template import translate
from run_recorder.config import build_model_config, load_settings
from run_recorder.domain import Outcome, Run
from run_recorder.metadata import load_schema, parse_metadata
from run_recorder.record_state import RECORD_ATTRIBUTES
from tests.support.events import NO_S3_EVENT, name_envelope
from tests.support.policies import actions
from tests.support.resolution import resolve, statements

ROOT = EVENTS.parent
DOCS = ROOT / "docs"
PAGES = [*(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")), *sorted(DOCS.glob("*.md"))]
PAGES += sorted(ROOT.glob("examples/*/README.md"))
READ_BY_LIBRARIES = {"AWS_ENDPOINT_URL"}

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def read(page: str) -> str:
    return (DOCS / page).read_text()


def table(page: str, heading: str) -> dict[str, list[str]]:
    """Return the further cells of each row of the table that begins with this heading, by the row's first cell."""
    (text,) = re.findall(rf"^\| {heading} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", read(page), re.MULTILINE)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    names = [row[0].strip("`") for row in rows]
    assert len(set(names)) == len(names)
    return dict(zip(names, (row[1:] for row in rows), strict=True))


def examples(text: str) -> list[str]:
    """Return the JSON documents in a page."""
    return re.findall(r"^```json\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def without_code(text: str) -> str:
    """Return a page without its blocks of code, in which ``#`` begins a comment."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", without_code(text), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_alarm_has_its_paragraph_and_links_to_it(alarms: dict[str, Any]) -> None:
    paragraphs = dict(re.findall(r"^### (.+?)\n(.*?)(?=^##|\Z)", read("operations.md"), re.DOTALL | re.MULTILINE))
    assert paragraphs.keys() == alarms.keys()
    for alarm, properties in alarms.items():
        assert re.findall(r"^\*\*(\w+)\.\*\* \S", paragraphs[alarm], re.MULTILINE) == ["Means", "Look", "Do"]
        assert properties["AlarmDescription"].endswith(f". docs/operations.md#{alarm.lower()}")


def test_outcomes_and_their_metrics_are_documented() -> None:
    documented = {outcome: metric for outcome, (_, metric) in table("outcomes.md", "outcome").items()}
    assert documented == {outcome.value: f"`{outcome.metric}`" for outcome in Outcome}


def test_dashboard_has_a_line_for_each_outcome() -> None:
    metrics = [metric for widget in load_dashboard()["widgets"] for metric in widget["properties"].get("metrics", [])]
    shown = {
        metric[1]: metric[-1]["label"] for metric in metrics if metric[0] == "RunRecorder" and "label" in metric[-1]
    }
    assert shown == {outcome.metric: outcome.value for outcome in Outcome}


def test_template_parameters_and_their_defaults_are_documented() -> None:
    documented = {name: default for name, (default, _) in table("configuration.md", "parameter").items()}
    assert documented == {
        name: f"`{parameter['Default']}`" if parameter["Default"] != "" else "none"
        for name, parameter in translate({})["Parameters"].items()
    }


def test_environment_variables_are_documented_and_set_by_the_template(mocker: MockerFixture) -> None:
    documented = table("configuration.md", "variable").keys()
    environment = mocker.MagicMock(wraps={"RUNS_BUCKET": "b", "RUNS_TABLE": "t", "OUTPUT_BUCKET": "o"})
    load_settings(environment)
    assert documented == {call.args[0] for call in environment.get.call_args_list} | READ_BY_LIBRARIES
    for function in ("RecorderFunction", "BackfillFunction"):
        declared = translate({})["Resources"][function]["Properties"]["Environment"]["Variables"]
        assert documented - ({"UPLOADS_QUEUE_URL"} if function == "BackfillFunction" else set()) == declared.keys()


def test_permissions_of_the_functions_are_documented() -> None:
    resources = resolve({"ExistingRunsBucket": "bucket", "ExistingRunsBucketKeyArn": "key"})
    managed = [resources[name]["Properties"] for name in ("RecordingPolicy", "DecryptionPolicy")]
    policies = [*managed, *resources["RecorderRole"]["Properties"]["Policies"]]
    granted = actions(statement for policy in policies for statement in statements(policy).values())
    (section,) = re.findall(
        r"^## What the functions may do\n(.*?)^## ", (ROOT / "SECURITY.md").read_text(), re.DOTALL | re.MULTILINE
    )
    assert set(re.findall(r"`([a-z0-9]+:\w+)`", section)) == granted


def test_attributes_of_the_record_are_documented() -> None:
    assert list(table("record.md", "attribute")) == list(RECORD_ATTRIBUTES)


def fields(schema: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the path and the schema of each field that a schema describes."""
    for name, field in schema.get("properties", {}).items():
        yield prefix + name, field
        yield from fields(field, f"{prefix}{name}.")
        yield from fields(field.get("items", {}), f"{prefix}{name}[].")


def test_fields_of_the_document_with_their_types_and_limits_are_documented() -> None:
    documented = table("metadata-format.md", "field")
    schemas = dict(fields(load_schema()))
    assert documented.keys() == schemas.keys()
    for name, (kind, rule) in documented.items():
        schema = schemas[name]
        assert kind.split()[0] == schema["type"]
        limits = [schema[limit] for limit in ("maxLength", "maxItems", "maxProperties") if limit in schema]
        assert all(f"{limit:,}" in rule for limit in limits), name


def test_make_targets_are_documented() -> None:
    targets = set(re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert table("development.md", "target").keys() == targets
    for page in PAGES:
        assert set(re.findall(r"(?:^|`)make ([a-z]+)", page.read_text(), re.MULTILINE)) <= targets


def test_envelopes_of_the_sample_events_are_documented_with_an_example() -> None:
    rows = table("outcomes.md", "envelope")
    assert rows.keys() == {name_envelope(json.loads(sample.read_text())) for sample in SAMPLES} - {NO_S3_EVENT}
    for name, (_, link) in rows.items():
        (sample,) = re.findall(r"\((.+)\)", link)
        assert name_envelope(json.loads((DOCS / sample).read_text())) == name


def test_document_of_the_readme_becomes_the_record_of_the_readme(
    stack: LocalStack,
    put_metadata: Callable[..., dict[str, str]],
    notify: Callable[..., dict[str, Any]],
    record: Callable[[], dict[str, Any]],
) -> None:
    document, expected = examples((ROOT / "README.md").read_text())
    assert notify(sequencer="0A", **put_metadata(document.encode()))["outcome"] == "recorded"
    names = re.sub("(RUNS|OUTPUT)_BUCKET", stack.outputs["RunsBucket"], expected)
    shown = json.loads(names, parse_float=Decimal)
    assert {name: value for name, value in record().items() if name in shown} == shown


def test_documented_document_is_valid_has_every_field_and_gives_the_documented_config() -> None:
    (document,) = examples(read("metadata-format.md"))
    assert json.loads(document).keys() == load_schema()["properties"].keys()
    run = Run("acme", "run-0001")
    metadata, errors = parse_metadata(document.encode(), run)
    assert errors == []
    (config,) = examples(read("configuration.md"))
    env = {name: name for name in ("RUNS_BUCKET", "RUNS_TABLE", "OUTPUT_BUCKET")}
    defaults = {"MODEL_PARAMETERS": '{"threshold": 0.05, "cycles": 40}'}
    assert build_model_config(run, metadata, env | defaults) == json.loads(config, parse_float=Decimal)


@each_page
def test_links_lead_to_files_and_headings(page: Any) -> None:
    text = page.read_text()
    links = re.findall(r"\]\(([^()\s]+)\)|<img src=\"(.+?)\"", without_code(text))
    for link in (one or other for one, other in links):
        if not link.startswith("https://"):
            path, _, anchor = link.partition("#")
            target = page.parent / path if path else page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target.read_text()), link


def test_code_names_pages_and_headings_that_there_are() -> None:
    sources = [ROOT / "template.yaml", *(file for folder in ("src", "local") for file in (ROOT / folder).rglob("*.py"))]
    named = {
        name for source in sources for name in re.findall(r"docs/[\w-]+(?:\.\w+)+(?:#[\w-]+)?", source.read_text())
    }
    assert len(named) > 10
    for name in named:
        path, _, anchor = name.partition("#")
        assert (ROOT / path).exists(), name
        assert not anchor or anchor in anchors((ROOT / path).read_text()), name


@each_page
def test_files_and_tests_that_a_page_names_are_there(page: Any) -> None:
    text = page.read_text()
    for path in re.findall(r"`((?:src|tests|local|events|docs|benchmarks|examples|\.github)/[\w./-]*)`", text):
        assert (ROOT / path).exists() or (page.parent / path).exists(), path
    tests = "".join(file.read_text() for file in (ROOT / "tests").rglob("*.py"))
    for name in re.findall(r"`(test_\w+|\w+_test|\w+_client)`", text):
        assert f"def {name}(" in tests, name
    for name in re.findall(r"`(test_\w+\.py)`", text):
        assert [*(ROOT / "tests").rglob(name)], name


def test_index_lists_every_page() -> None:
    listed = re.findall(r"\]\(([\w-]+\.md)\)", read("README.md"))
    assert sorted([*listed, "README.md"]) == sorted(page.name for page in DOCS.glob("*.md"))


def test_readme_fits_in_120_lines_of_120_columns() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 120
    assert [line for line in lines if len(line) > 120] == []
