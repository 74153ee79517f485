"""`template.yaml`, and other templates, translated to CloudFormation by SAM's own translator."""

import copy
import functools
import logging
from pathlib import Path
from typing import Any

import boto3
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

# It logs warnings about usage metrics, which are not collected.
logging.getLogger("samtranslator.metrics").setLevel(logging.ERROR)

REGION = "us-east-1"
TEMPLATE = Path(__file__).parent.parent / "template.yaml"

# The code is an object in S3, as after `sam package`.
CODE = {"Bucket": "local-artifacts", "Key": "code.zip"}


def translate(parameters: dict[str, str], file: Path = TEMPLATE) -> dict[str, Any]:
    """Return a template as CloudFormation, with these parameters and the defaults of the others."""
    template = copy.deepcopy(_load(file))  # the translator changes it
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = dict(CODE)
            resource["Metadata"] = {}
    given = template["Parameters"].items()
    defaults = {name: parameter["Default"] for name, parameter in given if "Default" in parameter}
    translator = Translator({}, Parser(), boto_session=boto3.Session(region_name=REGION))
    translated: dict[str, Any] = translator.translate(template, {**defaults, **parameters})
    return translated


@functools.cache
def _load(file: Path) -> dict[str, Any]:
    template: dict[str, Any] = yaml_parse(file.read_text())
    return template
