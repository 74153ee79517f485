"""The inputs of the computed rush, each with its source."""

from dataclasses import dataclass

_DOCS = "https://docs.aws.amazon.com"
_TEMPLATE = "`template.yaml`"
_MILLION = "[A million runs](#a-million-runs)"


@dataclass(frozen=True, slots=True)
class Input:
    """A value with its unit and its source."""

    name: str
    value: float
    unit: str
    source: str

    @property
    def text(self) -> str:
        """The value with its unit."""
        return f"{self.value:,g} {self.unit}".strip()


def _look_up(title: str, path: str) -> str:
    return f"[{title}]({_DOCS}/{path}), 2026-11-29"


_SQS_SCALING = _look_up("Lambda, SQS scaling", "lambda/latest/dg/services-sqs-scaling.html")
_SQS_QUOTAS = _look_up("SQS, quotas", "AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html")
_WARM = _look_up("DynamoDB, warm throughput", "amazondynamodb/latest/developerguide/warm-throughput-scenarios.html")
_S3 = _look_up("S3, performance", "AmazonS3/latest/userguide/optimizing-performance.html")

CPU = Input("CPU time of a run", 3.5, "ms", _MILLION)
WAIT = Input("wait of an invocation for AWS", 60, "ms", _MILLION)
CORES = Input("CPU cores of an invocation", 0.29, "", _MILLION)
UNITS = Input("write units of a record in the table", 2, "", _MILLION)
INDEX_UNITS = Input("write units of a record in the index", 1, "", _MILLION)
BATCH = Input("messages in a batch", 10, "", _TEMPLATE)
CONCURRENCY = Input("`MaximumConcurrency`", 50, "invocations", _TEMPLATE)
REDELIVERY = Input("time until SQS redelivers a failed message", 360, "s", _TEMPLATE)
DELIVERIES = Input("deliveries before the dead-letter queue", 5, "", _TEMPLATE)
RETRY_WAIT = Input("wait of the SDK for the retries of a throttled write, at most", 3, "s", "botocore: 1 s, then 2 s")
FIRST = Input("concurrent invocations at first", 5, "", _SQS_SCALING)
GROWTH = Input("further concurrent invocations", 300, "a minute", _SQS_SCALING)
IN_FLIGHT = Input("messages in flight, at most", 120_000, "", _SQS_QUOTAS)
TABLE = Input("write units of a new on-demand table", 4000, "a second", _WARM)
PARTITION = Input("write units of a partition of a table or index", 1000, "a second", _WARM)
S3_READS = Input("GET requests of a prefix", 5500, "a second", _S3)

INPUTS = (
    CPU, WAIT, CORES, UNITS, INDEX_UNITS, BATCH, CONCURRENCY, REDELIVERY, DELIVERIES, RETRY_WAIT, FIRST, GROWTH,
    IN_FLIGHT, TABLE, PARTITION, S3_READS,
)  # fmt: skip
"""The inputs that decide how late a run is."""

MEMORY = Input("memory", 0.5, "GB", _MILLION)
LOG = Input("log", 0.7, "KB for each run", _MILLION)
LAMBDA_REQUESTS = Input("price of Lambda", 0.20, "a million requests", _MILLION)
GB_SECONDS = Input("price of Lambda", 0.0000133334, "a GB-second", _MILLION)
WRITE_UNITS = Input("price of DynamoDB", 0.625, "a million write units", _MILLION)
S3_REQUESTS = Input("price of S3", 0.40, "a million GET requests", _MILLION)
SQS_REQUESTS = Input("price of SQS", 0.40, "a million requests", _MILLION)
LOGS = Input("price of logs", 0.50, "a GB", _MILLION)
EVENTS = Input("price of EventBridge", 1.00, "a million events", _MILLION)
PIPES = Input("price of EventBridge", 0.40, "a million requests of a pipe", _MILLION)

PRICES = (LAMBDA_REQUESTS, GB_SECONDS, WRITE_UNITS, S3_REQUESTS, SQS_REQUESTS, LOGS, EVENTS, PIPES)
