"""The search for the last accepted upload of a run whose current upload is not accepted."""

from dataclasses import dataclass

from run_recorder.domain import ObjectVersion, Run
from run_recorder.evaluator import Evaluator
from run_recorder.s3_objects import StoredObject
from run_recorder.uploads import Uploads
from run_recorder.verdict import Evaluation

MAX_OLDER_VERSIONS = 100


@dataclass(frozen=True, slots=True)
class Search:
    """The result of a search.

    Attributes:
        found: the verdict on the last accepted upload; None if the record shows it already, or
            if there is none.
        is_complete: False if there were more uploads than are read.
        incomplete: the verdicts on those uploads between the current one and the last accepted one that
            lack nothing but files.
    """

    found: Evaluation | None = None
    is_complete: bool = True
    incomplete: tuple[Evaluation, ...] = ()


class Verdicts:
    """The verdicts on the uploads of one run. Each upload is evaluated once, because a version never changes."""

    def __init__(self, evaluator: Evaluator, uploads: Uploads, run: Run, key: str) -> None:
        self._evaluator = evaluator
        self._uploads = uploads
        self._run = run
        self._key = key
        self._known: dict[ObjectVersion, Evaluation] = {}

    def on(self, stored: StoredObject) -> Evaluation:
        """Return the verdict on an upload that was read."""
        known = self._known.get(stored.version)
        # Without versions, the same bytes uploaded again are another upload.
        if known is None or known.uploaded_at != stored.uploaded_at:
            self.add(self._evaluator.evaluate(self._run, stored))
        return self._known[stored.version]

    def add(self, verdict: Evaluation) -> None:
        """Add a verdict that was reached elsewhere."""
        self._known[verdict.version] = verdict

    def keep_only(self, verdict: Evaluation) -> None:
        """Drop all other verdicts, to limit the memory that they use."""
        self._known = {verdict.version: verdict}

    def find_last_accepted(self, current: StoredObject, source: ObjectVersion | None) -> Search | None:
        """Search the uploads before the current one, back to the one that is recorded as the last accepted.

        S3 lists the versions in the order in which it stored them. Uploads before ``source`` are
        settled. If ``source`` is no longer listed, the uploads before it cannot be distinguished from
        those after it, and nothing is found.

        Args:
            current: the current upload, which is not accepted.
            source: the last accepted upload that the record shows, if it shows one.

        Returns:
            The result; None if the current upload is no longer listed.
        """
        listed = self._uploads.list_versions(self._key)
        if current.version not in listed:  # consumes the listing up to the current upload
            return None
        older: list[ObjectVersion] = []
        is_complete, is_source_listed = True, source in (None, current.version)
        for version in listed:
            if version == source:
                is_source_listed = True
                break
            if len(older) < MAX_OLDER_VERSIONS:
                older.append(version)
            else:
                is_complete = False
        if not is_source_listed or source == current.version:
            return Search()
        incomplete: list[Evaluation] = []
        for verdict in filter(None, map(self._on_listed, older)):
            if verdict.is_accepted:
                return Search(verdict, incomplete=tuple(incomplete))
            if verdict.wait:
                incomplete.append(verdict)
        return Search(None, is_complete, tuple(incomplete))

    def _on_listed(self, version: ObjectVersion) -> Evaluation | None:
        """Return the verdict on an upload that was listed; None if it no longer exists."""
        if version not in self._known:
            stored = self._uploads.read_version(self._key, version)
            return self.on(stored) if stored else None
        return self._known[version]
