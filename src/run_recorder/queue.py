"""The queue that feeds the function: a message is put back into it while files of a run are late."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from run_recorder.errors import AWSCallError

if TYPE_CHECKING:
    from botocore.config import Config
    from mypy_boto3_sqs import SQSClient

# botocore does not catch the error of an answer that is not UTF-8.
_FAULTS = (ClientError, BotoCoreError, ResponseParserError, UnicodeDecodeError)


class UploadsQueue:
    """The queue of uploads. Safe to share between threads."""

    def __init__(self, url: str, client: SQSClient | None = None, *, config: Config | None = None) -> None:
        """Use ``client``, or make one with ``config`` when the first message is put back.

        Most execution environments never put a message back, and a client takes time to make.
        """
        self.url = url
        self._client = client
        self._config = config
        # boto3's default session must not be used by two threads at once.
        self._making = threading.Lock()

    def put_back(self, body: str, delay: int) -> None:
        """Send a message that was received, so that it is delivered again as a new one.

        Args:
            body: its body as it was received.
            delay: seconds until it is delivered, 0 to 900.

        Raises:
            AWSCallError: SQS refused or did not answer; the message may have been sent.
        """
        try:
            response = self._get_client().send_message(QueueUrl=self.url, MessageBody=body, DelaySeconds=delay)
        except _FAULTS as error:
            raise AWSCallError(f"putting the message back into the queue failed: {error}") from error
        if "MessageId" not in response:
            raise AWSCallError("putting the message back into the queue failed: the answer ended early")

    def _get_client(self) -> SQSClient:
        with self._making:
            if self._client is None:
                self._client = boto3.client("sqs", config=self._config)
            return self._client
