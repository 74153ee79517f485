"""The packages that are compared, as SAM builds them, each in a folder with the timestamps of SAM's zips."""

import json
import os
import shutil
import subprocess
from pathlib import Path

from build_package import copy_modules
from local.sam import ARCHITECTURE, ROOT, run_sam

_HERE = Path(__file__).parent
_1980 = 315_532_800


def build(python: Path, work: Path) -> dict[str, Path]:
    """Build the packages in ``work``.

    Returns:
        The folder of each package. ``ours``: a plain `sam build`. ``default``: the same code, built by SAM's own
        builder for Python. ``tutorial``: the handler built from the tutorials, likewise. ``floor``: all of boto3
        as pip installs it, with bytecode.
    """
    run_sam(python, "build", "--build-dir", work / "sam", "--parameter-overrides", f"Architecture={ARCHITECTURE}")
    copy_modules(work / "default")
    shutil.copy(ROOT / "requirements.txt", work / "default")
    shutil.copytree(_HERE / "tutorial", work / "tutorial")
    shutil.copy(ROOT / "requirements" / "bench.txt", work / "tutorial" / "requirements.txt")
    template = work / "template.json"
    template.write_text(json.dumps(_template("default", "tutorial")))
    run_sam(python, "build", "--template", template, "--build-dir", work / "usual")
    folders = {"ours": work / "sam" / "RecorderFunction", "default": work / "usual" / "default"}
    folders |= {"tutorial": work / "usual" / "tutorial", "floor": work / "floor"}
    shutil.copytree(folders["default"], folders["floor"])
    shutil.copy(_HERE / "floor.py", folders["floor"])
    compile_all = ["-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
    subprocess.run([python, *compile_all, folders["floor"]], check=True)  # noqa: S603
    for folder in folders.values():
        for path in folder.rglob("*"):
            os.utime(path, (_1980, _1980))
    return folders


def _template(*names: str) -> dict[str, object]:
    function = {"Handler": "app.lambda_handler", "Runtime": "python3.13", "Architectures": [ARCHITECTURE]}
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Transform": "AWS::Serverless-2016-10-31",
        "Resources": {
            name: {"Type": "AWS::Serverless::Function", "Properties": {**function, "CodeUri": f"{name}/"}}
            for name in names
        },
    }
