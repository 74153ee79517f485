"""The state of a run in words, with the next step."""

from run_recorder.cli.comparison import Finding, State
from run_recorder.cli.output import name_of
from run_recorder.consumer.run_reader import RunRecord
from run_recorder.domain import Outcome, Run

_NOT_RECORDED = (
    "its event is on its way, in the dead-letter queue, or lost. `run-recorder reconcile --repair {organisation}` "
    "records it."
)
_SENTENCES = {
    State.MISSING: "metadata.json was uploaded at {uploaded_at} and is not recorded: " + _NOT_RECORDED,
    State.OUTDATED: "metadata.json was uploaded again at {uploaded_at}, and the new upload is not recorded: "
    + _NOT_RECORDED,
    State.ORPHANED: "The bucket no longer has the metadata.json of this record: upload it again, remove its delete "
    "marker, or delete the record.",
    State.INCOMPLETE: "There is neither a record nor a metadata.json: the upload is not complete, or has other ids.",
}
_CURRENT = "The record shows the current metadata.json. "
_SENTENCES_OF_CURRENT: dict[tuple[State, str], str] = {
    (State.CURRENT, Outcome.REJECTED): "Correct the document and upload it again; `run-recorder validate` checks it "
    "before. If a setting of the stack was wrong, correct it, and then `run-recorder replay {run}`.",
    (State.UNSETTLED, Outcome.REJECTED): "All listed files are there now: `run-recorder replay {run}` evaluates it "
    "again.",
    (State.UNSETTLED, Outcome.PENDING): "All listed files are there now, or the wait for them is over: the function "
    "evaluates it again by itself, within 15 minutes. If it does not, `run-recorder replay {run}` does.",
    (State.LACKS_FILES, Outcome.REJECTED): "Listed files are not there: upload them, and then `run-recorder replay "
    "{run}`.",
    (State.LACKS_FILES, Outcome.PENDING): "Listed files are not there yet: the function waits for them, and then "
    "evaluates it again by itself.",
}


def explain(run: Run, finding: Finding, record: RunRecord | None) -> str:
    """Return how the record and the current upload compare, and what to do next."""
    if record is None or finding.state in _SENTENCES:
        sentence = _SENTENCES[finding.state]
    else:
        # An accepted record needs nothing.
        sentence = _CURRENT + _SENTENCES_OF_CURRENT.get((finding.state, record.status), "")
    uploaded_at = finding.stored and finding.stored.uploaded_at
    return sentence.format(run=name_of(run), organisation=run.organisation_id, uploaded_at=uploaded_at).strip()
