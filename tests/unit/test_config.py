"""Settings and the model config, in both environments."""

from dataclasses import FrozenInstanceError
from decimal import Decimal

import pytest

from run_recorder.config import build_model_config, is_lambda, load_settings, snapshot
from run_recorder.domain import Metadata, Model, Run
from run_recorder.errors import FieldError, InvalidMetadataError, SettingsError

PINNED = Metadata(model=Model("m", "1.0"))


def test__build_model_config_in_production_env(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEVELOPMENT", raising=False)
    assert build_model_config(run, PINNED) == {
        "environment": "production",
        "model": {"name": "m", "version": "1.0"},
        "input": "s3://run-recorder-runs/runs/acme/run-0001/",
        "output": "s3://results/results/acme/run-0001/",
        "parameters": {},
    }


def test__build_model_config_in_development_env(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVELOPMENT", "true")
    assert build_model_config(run, PINNED) == {
        "environment": "development",
        "model": {"name": "m", "version": "1.0"},
        "input": "s3://run-recorder-runs/runs/acme/run-0001/",
        "output": "s3://results/development/results/acme/run-0001/",
        "parameters": {},
    }


def test_development_falls_back_to_the_bucket_of_runs(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVELOPMENT", "true")
    monkeypatch.delenv("OUTPUT_BUCKET")
    assert build_model_config(run, PINNED)["output"] == "s3://run-recorder-runs/development/results/acme/run-0001/"


@pytest.mark.parametrize("value", ["", "false", "FALSE", "0", "no", "No", "off"])
def test_production_is_the_default_and_can_be_said(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVELOPMENT", value)
    assert not load_settings().development


@pytest.mark.parametrize("value", ["true", "True", "1", "yes", "YES", "on"])
def test_development_can_be_said_in_any_case(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVELOPMENT", value)
    assert load_settings().development


@pytest.mark.parametrize("value", ["maybe", "2", " true", "null"])
def test_development_is_never_guessed(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVELOPMENT", value)
    with pytest.raises(SettingsError, match=rf"^DEVELOPMENT is '{value}', expected true or false$"):
        load_settings()


def test_one_error_names_every_problem() -> None:
    with pytest.raises(SettingsError) as failure:
        load_settings({"MODEL_NAME": "m", "MODEL_PARAMETERS": "[]", "RUNS_TABLE": ""})
    assert str(failure.value) == (
        "RUNS_BUCKET is not set; RUNS_TABLE is not set; OUTPUT_BUCKET is not set; "
        "MODEL_VERSION is not set, expected a pinned version in production; MODEL_PARAMETERS is not a JSON object"
    )


def test_development_needs_no_output_bucket() -> None:
    settings = load_settings({"DEVELOPMENT": "1", "RUNS_BUCKET": "b", "RUNS_TABLE": "t"})
    assert settings.output_bucket == "b"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "MODEL_PARAMETERS: not JSON"),
        ('{"a": NaN}', "MODEL_PARAMETERS/a: NaN is not a JSON number"),
        ('{"a": 1, "a": 2}', "MODEL_PARAMETERS/a: the name occurs more than once"),
        ("null", "MODEL_PARAMETERS is not a JSON object"),
    ],
)
def test_bad_default_parameters_are_a_settings_error(text: str, problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_PARAMETERS", text)
    with pytest.raises(SettingsError) as failure:
        load_settings()
    assert str(failure.value).startswith(problem)


def test_parameters_of_the_metadata_replace_the_defaults_of_the_same_name(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_PARAMETERS", '{"a": {"x": 1}, "b": 0.1}')
    config = build_model_config(run, Metadata(model=Model("m", "1"), parameters={"a": {"y": 2}, "c": None}))
    assert config["parameters"] == {"a": {"y": 2}, "b": Decimal("0.1"), "c": None}


DEFAULTS = {
    "RUNS_BUCKET": "b",
    "RUNS_TABLE": "t",
    "OUTPUT_BUCKET": "o",
    "MODEL_NAME": "default",
    "MODEL_VERSION": "7",
    "MODEL_PARAMETERS": '{"a": 1, "b": 2}',
}


@pytest.mark.parametrize(
    "model", [None, Model("default", "7"), Model("default", "8")], ids=["no model", "the default", "another version"]
)
def test_default_parameters_are_those_of_the_default_model_in_any_version(run: Run, model: Model | None) -> None:
    config = build_model_config(run, Metadata(model=model, parameters={"b": 3}), DEFAULTS)
    assert config["parameters"] == {"a": 1, "b": 3}


@pytest.mark.parametrize("name", ["other", "Default", "default "])
def test_another_model_never_gets_the_default_parameters(run: Run, name: str) -> None:
    config = build_model_config(run, Metadata(model=Model(name, "7"), parameters={"b": 3}), DEFAULTS)
    assert config["parameters"] == {"b": 3}


def test_default_parameters_are_those_of_every_model_where_there_is_no_default_model(run: Run) -> None:
    env = {name: value for name, value in DEFAULTS.items() if not name.startswith(("MODEL_NAME", "MODEL_VERSION"))}
    config = build_model_config(run, Metadata(model=Model("any", "1"), parameters={"b": 3}), env)
    assert config["parameters"] == {"a": 1, "b": 3}


def test_default_parameters_are_never_changed(run: Run) -> None:
    build_model_config(run, Metadata(parameters={"b": 3, "c": 4}), DEFAULTS)
    assert build_model_config(run, Metadata(), DEFAULTS)["parameters"] == {"a": 1, "b": 2}


def test_default_model_serves_runs_that_name_none(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_NAME", "default")
    monkeypatch.setenv("MODEL_VERSION", "7")
    assert build_model_config(run, Metadata())["model"] == {"name": "default", "version": "7"}


def test_model_of_the_metadata_wins_as_a_whole(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default's version says nothing of another model."""
    monkeypatch.setenv("MODEL_NAME", "default")
    monkeypatch.setenv("MODEL_VERSION", "7")
    monkeypatch.setenv("DEVELOPMENT", "true")
    assert build_model_config(run, Metadata(model=Model("m")))["model"] == {"name": "m", "version": "latest"}


def test_run_without_any_model_is_rejected(run: Run) -> None:
    with pytest.raises(InvalidMetadataError) as rejection:
        build_model_config(run, Metadata())
    assert rejection.value.errors == (FieldError("/model", "required, since this deployment has no default model"),)


@pytest.mark.parametrize("version", [None, "latest"])
def test_production_rejects_an_unpinned_version(run: Run, version: str | None) -> None:
    with pytest.raises(InvalidMetadataError) as rejection:
        build_model_config(run, Metadata(model=Model("m", version)))
    assert rejection.value.errors == (
        FieldError("/model/version", "production needs a pinned version, other than 'latest'"),
    )


@pytest.mark.parametrize("version", ["", "latest"])
def test_production_refuses_an_unpinned_default(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_NAME", "m")
    monkeypatch.setenv("MODEL_VERSION", version)
    with pytest.raises(SettingsError, match=r"MODEL_VERSION is .*, expected a pinned version in production"):
        load_settings()


def test_development_reads_a_missing_default_version_as_latest(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVELOPMENT", "true")
    monkeypatch.setenv("MODEL_NAME", "m")
    assert build_model_config(run, Metadata())["model"] == {"name": "m", "version": "latest"}


def test_default_version_without_a_name_is_a_settings_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_VERSION", "1")
    with pytest.raises(SettingsError, match=r"^MODEL_VERSION is set, but MODEL_NAME is not$"):
        load_settings()


def test_config_is_a_function_of_its_arguments(run: Run) -> None:
    env = {"RUNS_BUCKET": "b", "RUNS_TABLE": "t", "OUTPUT_BUCKET": "o"}
    config = build_model_config(run, PINNED, env)
    assert (config["input"], config["output"]) == ("s3://b/runs/acme/run-0001/", "s3://o/results/acme/run-0001/")


def test_settings_cannot_be_changed() -> None:
    settings = load_settings()
    with pytest.raises(FrozenInstanceError):
        settings.runs_bucket = "other"  # type: ignore[misc]


def test_powertools_variables_mean_what_they_always_mean() -> None:
    env = {"RUNS_BUCKET": "b", "RUNS_TABLE": "t", "OUTPUT_BUCKET": "o"}
    settings = load_settings(env)
    assert (settings.service, settings.metrics_namespace) == ("run-recorder", "RunRecorder")
    settings = load_settings(env | {"POWERTOOLS_SERVICE_NAME": "s", "POWERTOOLS_METRICS_NAMESPACE": "n"})
    assert (settings.service, settings.metrics_namespace) == ("s", "n")


def test_files_are_waited_for_an_hour_and_nothing_is_put_back_by_default() -> None:
    settings = load_settings()
    assert (settings.uploads_queue_url, settings.files_wait_seconds) == (None, 3600)


@pytest.mark.parametrize(("text", "seconds"), [("", 3600), ("0", 0), ("60", 60), ("86400", 86_400)])
def test_wait_for_files_is_a_number_of_seconds(text: str, seconds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FILES_WAIT_SECONDS", text)
    assert load_settings().files_wait_seconds == seconds


@pytest.mark.parametrize("text", ["-1", "86401", "1e3", "60s", " 60", "1.5", "9" * 5000])
def test_wait_for_files_of_anything_else_is_a_settings_error(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FILES_WAIT_SECONDS", text)
    with pytest.raises(SettingsError, match=rf"^FILES_WAIT_SECONDS is '{text}', expected 0 to 86400$"):
        load_settings()


@pytest.mark.parametrize(
    "url", ["https://sqs.us-east-1.amazonaws.com/123456789012/uploads", "http://127.0.0.1:4580/123456789012/uploads"]
)
def test_queue_of_uploads_is_named_by_its_url(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPLOADS_QUEUE_URL", url)
    assert load_settings().uploads_queue_url == url


@pytest.mark.parametrize(
    "url", ["UploadsQueue", "arn:aws:sqs:us-east-1:123456789012:uploads", "https://", "https:///q"]
)
def test_queue_that_is_not_named_by_its_url_is_a_settings_error(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPLOADS_QUEUE_URL", url)
    with pytest.raises(SettingsError, match=rf"^UPLOADS_QUEUE_URL is '{url}', expected the URL of an SQS queue$"):
        load_settings()


@pytest.mark.parametrize(
    "name",
    [
        "DEVELOPMENT", "RUNS_BUCKET", "RUNS_TABLE", "OUTPUT_BUCKET", "MODEL_NAME", "MODEL_VERSION", "MODEL_PARAMETERS",
        "UPLOADS_QUEUE_URL", "FILES_WAIT_SECONDS", "AWS_ENDPOINT_URL", "POWERTOOLS_SERVICE_NAME",
    ],
)  # fmt: skip
def test_snapshot_has_every_variable_that_is_read(name: str) -> None:
    assert snapshot({name: "value", "PATH": "/bin"}) == ((name, "value"),)


def test_snapshot_tells_environments_apart() -> None:
    base = {"RUNS_TABLE": "t", "AWS_ENDPOINT_URL": "http://a", "HOME": "/"}
    assert snapshot(base) == snapshot(base | {"HOME": "/root"})
    assert snapshot(base) != snapshot(base | {"AWS_ENDPOINT_URL": "http://b"})
    assert snapshot(base) != snapshot(base | {"DEVELOPMENT": "1"})


@pytest.mark.parametrize(("env", "expected"), [({}, False), ({"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001"}, True)])
def test_lambda_is_told_by_its_runtime_api(env: dict[str, str], *, expected: bool) -> None:
    assert is_lambda(env) is expected
