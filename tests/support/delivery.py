"""The function beside a producer that waits for its verdict."""

from itertools import count
from unittest.mock import MagicMock

from pytest_mock import MockerFixture

from handler.app import lambda_handler
from local.stack import LocalStack
from run_recorder.producer import waiting_for_verdict


class Delivery:
    """Has the function handle the events of a stack, whenever somebody waits for a verdict.

    A wait takes no time: each look at the clock is a second later.

    Attributes:
        is_on: whether events are handled during a wait.
        clock: the module ``time`` as the wait sees it.
    """

    def __init__(self, stack: LocalStack, mocker: MockerFixture) -> None:
        self._stack = stack
        self.is_on = True
        self.clock: MagicMock = mocker.patch.object(waiting_for_verdict, "time", autospec=True)
        self.clock.monotonic.side_effect = count()
        self.clock.sleep.side_effect = lambda _: self.handle() if self.is_on else None

    def handle(self) -> None:
        """Have the function handle the events that are there, and those of messages that were put back."""
        while self._stack.deliver(lambda_handler):
            pass
