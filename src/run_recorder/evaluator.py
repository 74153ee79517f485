"""The verdict on one upload: validate the document, build the config, look for the files."""

from functools import partial
from itertools import islice

from run_recorder.config import Settings
from run_recorder.domain import Run
from run_recorder.errors import FieldError
from run_recorder.files import find_missing_files
from run_recorder.json_document import ERRORS_SOUGHT, MAX_ERRORS
from run_recorder.judgement import Judgement, judge_document, judge_size
from run_recorder.large_document_gate import LargeDocumentGate
from run_recorder.s3 import S3
from run_recorder.s3_objects import StoredObject
from run_recorder.verdict import Evaluation
from run_recorder.waiting import Wait


class Evaluator:
    """Evaluates uploads under the settings of one deployment. Safe to share between threads."""

    def __init__(self, settings: Settings, s3: S3) -> None:
        self._settings = settings
        self._s3 = s3
        self._read_gate = LargeDocumentGate()

    def evaluate(self, run: Run, stored: StoredObject) -> Evaluation:
        """Return the verdict on an upload, with all its errors.

        Raises:
            AWSCallError: S3 refuses to list the run's files, or does not answer.
        """
        # Before the files are listed: once the wait is over, no file that came in time is overlooked.
        wait = Wait.of(stored.last_modified, self._settings.files_wait_seconds)
        judgement = self._judge(run, stored)
        errors = judgement.errors
        missing = self._find_missing_files(run, judgement)
        is_incomplete = bool(missing) and not errors
        # Those that are reported have to show whether files are all that is missing.
        errors = sorted(errors + missing, key=lambda error: error.is_of_a_file)
        return Evaluation(
            version=stored.version,
            uploaded_at=stored.uploaded_at,
            size=stored.size,
            errors=tuple(errors[:MAX_ERRORS]),
            errors_truncated=len(errors) > MAX_ERRORS,
            accepted={} if errors else judgement.accepted,
            wait=wait if is_incomplete else None,
        )

    def _judge(self, run: Run, stored: StoredObject) -> Judgement:
        if stored.body is None:
            return Judgement(errors=judge_size(stored.size))
        with self._read_gate.hold(stored.size):
            return judge_document(stored.body, run, stored.version, partial(self._settings.build_config, run))

    def _find_missing_files(self, run: Run, judgement: Judgement) -> list[FieldError]:
        sought = ERRORS_SOUGHT - len(judgement.errors)
        if not judgement.files or sought <= 0:
            return []
        return [*islice(find_missing_files(self._s3, self._settings.runs_bucket, run, judgement.files), sought)]
