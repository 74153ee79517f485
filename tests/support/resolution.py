"""The template with its conditions decided, as CloudFormation would."""

from pathlib import Path
from typing import Any

from local.template import TEMPLATE, translate


def evaluate(value: Any, conditions: dict[str, bool], parameters: dict[str, Any]) -> Any:  # noqa: PLR0911
    """A template's value with its conditions decided; what has no value is left out."""

    def inner(part: Any) -> Any:
        return evaluate(part, conditions, parameters)

    match value:
        case {"Fn::If": [name, yes, no]}:
            return inner(yes if conditions[name] else no)
        case {"Fn::Equals": [left, right]}:
            return inner(left) == inner(right)
        case {"Fn::Not": [condition]}:
            return not inner(condition)
        case {"Fn::And": [*terms]}:
            return all(map(inner, terms))
        case {"Condition": str(name)} if len(value) == 1:
            return conditions[name]
        case {"Ref": name} if name in parameters:
            return parameters[name]
        case dict():
            return {name: inner(part) for name, part in value.items() if inner(part) != {"Ref": "AWS::NoValue"}}
        case list():
            return [inner(part) for part in value if inner(part) != {"Ref": "AWS::NoValue"}]
    return value


def resolve(overrides: dict[str, str], file: Path = TEMPLATE) -> dict[str, Any]:
    """Return the resources that a deployment of a template with these parameters has."""
    template = translate(overrides, file)
    parameters = {name: parameter["Default"] for name, parameter in template["Parameters"].items()} | overrides
    conditions: dict[str, bool] = {}
    for name, condition in template["Conditions"].items():
        conditions[name] = evaluate(condition, conditions, parameters)
    return {
        name: evaluate({key: part for key, part in resource.items() if key != "Condition"}, conditions, parameters)
        for name, resource in template["Resources"].items()
        if conditions.get(resource.get("Condition"), True)
    }


def statements(policy: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Those of a policy, by their ids."""
    return {statement["Sid"]: statement for statement in policy["PolicyDocument"]["Statement"]}
