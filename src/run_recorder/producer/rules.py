"""The rules by which a deployment judges documents, as far as they are known before an upload."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from run_recorder.config import ModelConfig, build_model_config
from run_recorder.domain import Metadata, Run
from run_recorder.errors import FieldError, InvalidMetadataError

_NAMES = dict.fromkeys(("RUNS_BUCKET", "RUNS_TABLE", "OUTPUT_BUCKET"), "unknown")
_ANY_MODEL = {"MODEL_NAME": "unknown", "MODEL_VERSION": "unknown"}
_ANY_RUN = Run("unknown", "unknown")


@dataclass(frozen=True, slots=True)
class DeploymentRules:
    """The environment variables of the function, as far as a producer knows them.

    Attributes:
        env: the variables, with stand-ins for those that are unknown.
        knows_default_model: whether the deployment's default model, or its absence, is known.
        knows_stage: whether it is known that the deployment is for production, or for development.
    """

    env: Mapping[str, str] = field(default_factory=lambda: {**_NAMES, **_ANY_MODEL})
    knows_default_model: bool = False
    knows_stage: bool = True

    @classmethod
    def of_stage(cls, *, development: bool) -> Self:
        """Return the rules of production or of development, with an unknown default model."""
        return cls({**_NAMES, **_ANY_MODEL, "DEVELOPMENT": str(development)})

    @classmethod
    def of_any_stage(cls) -> Self:
        """Return the rules of development, which accepts more; `find_unknowns` then returns those of production."""
        return replace(cls.of_stage(development=True), knows_stage=False)

    @classmethod
    def of_stack(cls, parameters: Mapping[str, str], bucket: str) -> Self:
        """Return the rules of a stack, from the parameters of its template and the name of its bucket of runs."""
        models = {"MODEL_NAME": "ModelName", "MODEL_VERSION": "ModelVersion", "MODEL_PARAMETERS": "ModelParameters"}
        env = {
            **_NAMES,
            **{variable: parameters.get(parameter, "") for variable, parameter in models.items()},
            "RUNS_BUCKET": bucket,
            "DEVELOPMENT": str(parameters.get("Stage") == "development"),
        }
        return cls(env, knows_default_model=True)

    def build_config(self, run: Run | None, metadata: Metadata) -> ModelConfig:
        """Return the config of a run, with stand-ins for what is unknown.

        Raises:
            InvalidMetadataError: as `build_model_config`.
        """
        return build_model_config(run or _ANY_RUN, metadata, self.env)

    def find_unknowns(self, metadata: Metadata) -> list[FieldError]:
        """Return why a deployment might reject the model of a document that these rules accept."""
        if metadata.model is None:
            is_known = self.knows_default_model
            return [] if is_known else [FieldError("/model", "rejected if the deployment has no default model")]
        if self.knows_stage:
            return []
        try:
            build_model_config(_ANY_RUN, metadata, {**_NAMES, **_ANY_MODEL})
        except InvalidMetadataError as error:
            return list(error.errors)
        return []
