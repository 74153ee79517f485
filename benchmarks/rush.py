"""How late runs are recorded in a rush, computed: `python -m benchmarks.rush` prints the tables of docs/scale.md.

Nothing is measured here: the inputs are in `benchmarks.rush_inputs`. The model counts messages second by second. It
takes the queue to deliver the oldest message first, in full batches.
"""

from collections import defaultdict, deque
from dataclasses import dataclass, field

from benchmarks import rush_inputs as given

RATE = 1000
SECONDS = 600
RUNS = RATE * SECONDS
BATCH_SECONDS = (given.BATCH.value * given.CPU.value / given.CORES.value + given.WAIT.value) / 1000


@dataclass(frozen=True, slots=True)
class Case:
    """A rush of `RATE` runs a second for `SECONDS`.

    Attributes:
        name: the situation, for a reader.
        writable: the runs that DynamoDB can write in a second.
        concurrency: the value of ``MaximumConcurrency``.
        retry_wait: the seconds that a batch takes longer if one of its writes is throttled and the SDK retries it.
    """

    name: str
    writable: float
    concurrency: float = given.CONCURRENCY.value
    retry_wait: float = given.RETRY_WAIT.value


@dataclass(slots=True)
class Effect:
    """The effect of a rush.

    Attributes:
        late: how many runs were recorded so many seconds after their upload.
        first_delivery: the seconds after which any message was delivered for the first time. So late are the runs of
            other organisations, whose writes are not throttled.
        deliveries: how many messages were delivered, repeatedly delivered ones included.
        busy: the duration of all invocations in seconds.
        dead: how many messages are in the dead-letter queue.
    """

    late: defaultdict[int, float] = field(default_factory=lambda: defaultdict(float))
    first_delivery: int = 0
    deliveries: float = 0
    busy: float = 0
    dead: float = 0

    def late_by(self, share: float) -> int:
        """Return the seconds after which this share of the recorded runs was recorded."""
        wanted = share * sum(self.late.values()) - 1
        recorded = 0.0
        for seconds in sorted(self.late):
            recorded += self.late[seconds]
            if recorded >= wanted:
                return seconds
        raise ValueError(f"share is {share}, expected at most 1")


@dataclass(slots=True)
class _Messages:
    """Messages that were sent in the same second and delivered equally often."""

    sent: int
    deliveries: int
    count: float


def simulate(case: Case) -> Effect:
    """Return the effect of a rush, up to the last message."""
    effect = Effect()
    queue: deque[_Messages] = deque()
    failed: dict[int, list[_Messages]] = {}
    now = 0
    while now < SECONDS or queue or failed:
        queue.extend(failed.pop(now, []))
        if now < SECONDS:
            queue.append(_Messages(now, 0, RATE))
        in_flight = sum(messages.count for later in failed.values() for messages in later)
        delivered = _deliver(case, now, min(_count(queue), given.IN_FLIGHT.value - in_flight), effect)
        written = min(1, case.writable / delivered) if delivered else 1
        for messages in _take(queue, delivered):
            effect.late[now - messages.sent] += messages.count * written
            if messages.deliveries == 0:
                effect.first_delivery = max(effect.first_delivery, now - messages.sent)
            unwritten = _Messages(messages.sent, messages.deliveries + 1, messages.count * (1 - written))
            if unwritten.deliveries == given.DELIVERIES.value:
                effect.dead += unwritten.count
            elif unwritten.count > 0:
                failed.setdefault(now + int(given.REDELIVERY.value), []).append(unwritten)
        now += 1
    return effect


def _deliver(case: Case, now: int, waiting: float, effect: Effect) -> float:
    """Return how many of the waiting messages are delivered in this second, and add them to the effect."""
    concurrency = min(case.concurrency, given.FIRST.value + given.GROWTH.value / 60 * now)
    duration = BATCH_SECONDS
    delivered = min(waiting, concurrency / duration * given.BATCH.value)
    if delivered > case.writable:
        # Batches wait for retries only while more messages are delivered than DynamoDB writes.
        duration += case.retry_wait
        delivered = min(delivered, max(case.writable, concurrency / duration * given.BATCH.value))
    effect.deliveries += delivered
    effect.busy += min(concurrency, delivered / given.BATCH.value * duration)
    return delivered


def _count(queue: deque[_Messages]) -> float:
    return sum(messages.count for messages in queue)


def _take(queue: deque[_Messages], count: float) -> list[_Messages]:
    """Take the oldest messages from the queue."""
    taken = []
    while queue and count > 1e-6:
        oldest = queue[0]
        part = min(oldest.count, count)
        taken.append(_Messages(oldest.sent, oldest.deliveries, part))
        oldest.count -= part
        count -= part
        if oldest.count < 1e-6:
            queue.popleft()
    return taken


def compute_cost(effect: Effect) -> float:
    """Return the dollars for all runs, by the formulas of docs/scale.md."""
    batches = effect.deliveries / given.BATCH.value
    requests = (
        given.LAMBDA_REQUESTS.value * batches
        + given.SQS_REQUESTS.value * (RUNS + 2 * batches)
        + given.S3_REQUESTS.value * effect.deliveries
        + given.WRITE_UNITS.value * RUNS * (given.UNITS.value + given.INDEX_UNITS.value)
        + (given.EVENTS.value + given.PIPES.value) * RUNS
        + given.LOGS.value * given.LOG.value * effect.deliveries
    )
    return requests / 1e6 + given.GB_SECONDS.value * given.MEMORY.value * effect.busy


_ANY = min(given.TABLE.value / given.UNITS.value, given.S3_READS.value)
_PARTITION = given.PARTITION.value / given.UNITS.value
_INDEX = given.PARTITION.value / given.INDEX_UNITS.value
CASES = (
    Case("100 organisations", _ANY),
    Case("one organisation", _PARTITION),
    Case("one organisation, the SDK does not retry", _PARTITION, retry_wait=0),
    Case("one organisation, higher concurrency", _PARTITION, concurrency=1000),
    Case("one organisation, lower concurrency", _PARTITION, concurrency=10),
    Case("one organisation, after its partition was split", _INDEX),
)


def format_inputs() -> str:
    """Return the table of the inputs in Markdown."""
    rows = [[each.name, each.text, each.source] for each in given.INPUTS]
    return _format_table([["input of a rush", "value", "source"], *rows])


def format_cases() -> str:
    """Return the table of the cases in Markdown."""
    heading = [
        "rush of",
        "`MaximumConcurrency`",
        "other runs",
        "half of its runs",
        "all of its runs",
        "deliveries",
        "cost",
    ]
    return _format_table([heading, *(_describe(case) for case in CASES)])


def _describe(case: Case) -> list[str]:
    effect = simulate(case)
    times = (effect.first_delivery, effect.late_by(0.5), effect.late_by(1))
    late = [f"{max(1, seconds)} s" if seconds < 60 else f"{round(seconds / 60)} min" for seconds in times]
    return [
        case.name,
        f"{case.concurrency:,}",
        *late,
        f"{effect.deliveries / RUNS:.1f}",
        f"${compute_cost(effect):.2f}",
    ]


def _format_table(rows: list[list[str]]) -> str:
    lines = [f"| {' | '.join(cells)} |" for cells in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


if __name__ == "__main__":
    print(f"{format_inputs()}\n\n{format_cases()}")
