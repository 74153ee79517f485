"""The check that an answer is AWS's."""

from typing import Any

from run_recorder.errors import RunRecorderError


class AnswerError(RunRecorderError):
    """An answer that is not AWS's, for example the page of a proxy."""


def require_answer_of_aws(operation_model: Any, response_dict: dict[str, Any], **_: Any) -> None:  # noqa: ANN401
    """Check that an answer is AWS's: each has an id in a header, which begins with ``x-amz``.

    botocore takes the page of a proxy for an answer in which everything is absent. It repeats a call that ends with a
    server error.
    """
    status = response_dict["status_code"]
    if status < 500 and not any(name.lower().startswith("x-amz") for name in response_dict["headers"]):
        raise AnswerError(
            f"{operation_model.name} was answered with HTTP status {status}, but not by AWS: check --endpoint-url, and "
            "the proxy between here and AWS"
        )
