"""The rules of a deployment, as a producer knows them."""

import pytest

from run_recorder.domain import Metadata, Model
from run_recorder.errors import InvalidMetadataError
from run_recorder.producer.rules import DeploymentRules
from tests.support.names import RUN

PRODUCTION = DeploymentRules.of_stage(development=False)
DEVELOPMENT = DeploymentRules.of_stage(development=True)
ANY_STAGE = DeploymentRules.of_any_stage()
PINNED = Metadata(model=Model("m", "1"))
UNPINNED = Metadata(model=Model("m"))
NO_MODEL = Metadata()


def stack(**parameters: str) -> DeploymentRules:
    return DeploymentRules.of_stack({"Stage": "production", "ModelParameters": "{}", **parameters}, "bucket")


DEFAULT_MODEL = stack(ModelName="d", ModelVersion="2", ModelParameters='{"x": 1}')


@pytest.mark.parametrize("rules", [PRODUCTION, DEVELOPMENT, ANY_STAGE, stack(), DEFAULT_MODEL])
def test_pinned_model_is_accepted_by_all(rules: DeploymentRules) -> None:
    assert rules.build_config(None, PINNED)["model"] == {"name": "m", "version": "1"}
    assert rules.find_unknowns(PINNED) == []


@pytest.mark.parametrize("rules", [PRODUCTION, stack(), DeploymentRules()])
def test_production_refuses_an_unpinned_model(rules: DeploymentRules) -> None:
    with pytest.raises(InvalidMetadataError, match="production needs a pinned version"):
        rules.build_config(RUN, UNPINNED)


@pytest.mark.parametrize("rules", [DEVELOPMENT, stack(Stage="development")])
def test_development_accepts_an_unpinned_model(rules: DeploymentRules) -> None:
    assert rules.build_config(RUN, UNPINNED)["model"]["version"] == "latest"
    assert rules.find_unknowns(UNPINNED) == []


def test_unknown_stage_accepts_an_unpinned_model_which_production_might_reject() -> None:
    assert ANY_STAGE.build_config(RUN, UNPINNED)["model"]["version"] == "latest"
    assert [error.path for error in ANY_STAGE.find_unknowns(UNPINNED)] == ["/model/version"]


@pytest.mark.parametrize("rules", [PRODUCTION, DEVELOPMENT, ANY_STAGE])
def test_missing_model_is_accepted_but_might_be_rejected_if_the_default_is_unknown(rules: DeploymentRules) -> None:
    rules.build_config(RUN, NO_MODEL)
    (warning,) = rules.find_unknowns(NO_MODEL)
    assert (warning.path, warning.message) == ("/model", "rejected if the deployment has no default model")


def test_stack_decides_on_a_missing_model() -> None:
    config = DEFAULT_MODEL.build_config(RUN, NO_MODEL)
    assert (config["model"], config["parameters"]) == ({"name": "d", "version": "2"}, {"x": 1})
    assert config["input"] == "s3://bucket/runs/acme/run-0001/"
    assert DEFAULT_MODEL.find_unknowns(NO_MODEL) == []
    with pytest.raises(InvalidMetadataError, match="this deployment has no default model"):
        stack().build_config(RUN, NO_MODEL)
