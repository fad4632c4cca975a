"""Checks request bodies against Microsoft's type definitions (../types/*.json), and those by hand (../types/byhand).

Two errors of the definitions are mended here, and nowhere else: numbers that are no integers are typed as integers,
and the pattern of a namespace's name asks for two characters more than the service.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

TYPES = Path(__file__).parents[1] / "types"
REQUIRED, READ_ONLY, WRITE_ONLY, DEPLOY_TIME = 1, 2, 4, 8
FRACTIONS = {"cpu", "SamplingPercentage", "dailyQuotaGb"}
NAME_PATTERNS = {"microsoft.eventhub/namespaces": r"^[a-zA-Z][a-zA-Z0-9-]{4,48}[a-zA-Z0-9]$",
                 "microsoft.dbforpostgresql/flexibleservers": r"^[a-z0-9]([a-z0-9-]{1,61}[a-z0-9])$",
                 "microsoft.keyvault/vaults": r"^[a-zA-Z](?!.*--)[a-zA-Z0-9-]{1,22}[a-zA-Z0-9]$",
                 "microsoft.app/containerapps": r"^[a-z](?!.*--)[a-z0-9-]{0,30}[a-z0-9]$",
                 "microsoft.app/jobs": r"^[a-z](?!.*--)[a-z0-9-]{0,30}[a-z0-9]$",
                 "microsoft.app/managedenvironments": r"^[a-z](?!.*--)[a-z0-9-]{0,58}[a-z0-9]$",
                 "microsoft.managedidentity/userassignedidentities": r"^[a-zA-Z0-9][a-zA-Z0-9_-]{2,127}$",
                 "microsoft.eventhub/namespaces/eventhubs/consumergroups": r"^[a-zA-Z0-9$][\w.-]{0,49}$",
                 "microsoft.eventhub/namespaces/authorizationrules": r"^[a-zA-Z0-9][\w.-]{0,49}$"}

Problem = tuple[str, str]
"""(path in the body, what is wrong)."""


@cache
def _files() -> dict[str, tuple[list[dict[str, Any]], int]]:
    found: dict[str, tuple[list[dict[str, Any]], int]] = {}
    for file in sorted(TYPES.glob("*.json")):
        entries = json.loads(file.read_text())
        for entry in entries:
            if entry["$type"] == "ResourceType":
                found[entry["name"].lower()] = (entries, _target(entry["body"]))
            elif entry["$type"] == "ResourceFunctionType" and "input" in entry:
                key = f"{entry['resourceType']}/{entry['name']}@{entry['apiVersion']}".lower()
                found[key] = (entries, _target(entry["input"]))
    return found


@cache
def _by_hand() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for file in sorted((TYPES / "byhand").glob("*.yaml")):
        document = yaml.safe_load(file.read_text())
        shared = document.pop("$defs", {})
        found |= {key.lower(): {**schema, "$defs": shared} for key, schema in document.items()}
    return found


def known(type_and_version: str) -> bool:
    """Whether `Microsoft.X/y@2020-01-01` is defined."""
    return type_and_version.lower() in _files() or type_and_version.lower() in _by_hand()


def check(type_and_version: str, body: Any, *, partial: bool = False) -> list[Problem]:
    """What is wrong with a body. `partial`: a PATCH, in which nothing is required."""
    key = type_and_version.lower()
    if key in _by_hand():
        return list(_check_by_hand(_by_hand()[key], body, partial))
    entries, root = _files()[key]
    return list(_check(entries, root, body, "", partial))


def check_name(resource_type: str, version: str, name: str) -> str | None:
    """What is wrong with a resource's name, or None."""
    pattern = NAME_PATTERNS.get(resource_type.lower())
    rule: Mapping[str, Any] = {"pattern": pattern} if pattern else _name_rule(f"{resource_type}@{version}".lower())
    problems = list(_string(rule, name, "name"))
    return problems[0][1] if problems else None


def _name_rule(key: str) -> Mapping[str, Any]:
    if key not in _files():
        return {"minLength": 1, "maxLength": 260}
    entries, root = _files()[key]
    named = entries[root].get("properties", {}).get("name")
    rule = entries[_target(named["type"])] if named else {}
    return rule if rule.get("$type") == "StringType" else {}


def without_write_only(type_and_version: str, body: Any) -> Any:
    """A body as a GET shows it."""
    key = type_and_version.lower()
    if key not in _files():
        return body
    entries, root = _files()[key]
    return _shown(entries, root, body)


def _target(reference: Mapping[str, str]) -> int:
    return int(reference["$ref"][2:])


def _check(entries: list[dict[str, Any]], number: int, value: Any, path: str, partial: bool) -> Iterator[Problem]:
    entry = entries[number]
    match entry["$type"]:
        case "ObjectType":
            yield from _object(entries, entry, value, path, partial)
        case "ArrayType":
            if not isinstance(value, list):
                yield path, f"an array is wanted, not {_kind(value)}"
                return
            for index, item in enumerate(value):
                yield from _check(entries, _target(entry["itemType"]), item, f"{path}[{index}]", partial)
        case "UnionType":
            yield from _union(entries, entry, value, path)
        case "StringType":
            yield from _string(entry, value, path)
        case "StringLiteralType":
            if not isinstance(value, str) or value.lower() != entry["value"].lower():
                yield path, f"'{entry['value']}' is wanted"
        case "IntegerType":
            yield from _number(entry, value, path)
        case "BooleanType":
            if not isinstance(value, bool):
                yield path, f"a boolean is wanted, not {_kind(value)}"
        case "AnyType":
            return
        case other:
            raise NotImplementedError(other)


def _object(entries: list[dict[str, Any]], entry: dict[str, Any], value: Any, path: str,
            partial: bool) -> Iterator[Problem]:
    if not isinstance(value, dict):
        yield path, f"an object is wanted, not {_kind(value)}"
        return
    properties = entry["properties"]
    for name, item in value.items():
        where = f"{path}.{name}" if path else name
        if name not in properties:
            if "additionalProperties" not in entry:
                yield where, f"Could not find member '{name}' on object of type '{entry['name']}'"
            elif item is not None:
                yield from _check(entries, _target(entry["additionalProperties"]), item, where, partial)
        elif properties[name]["flags"] & READ_ONLY:
            yield where, "the property is read-only"
        elif item is not None:
            yield from _check(entries, _target(properties[name]["type"]), item, where, partial)
    for name, rule in properties.items():
        if rule["flags"] & REQUIRED and not rule["flags"] & DEPLOY_TIME and not partial and value.get(name) is None:
            yield f"{path}.{name}" if path else name, "a required property is missing"


def _union(entries: list[dict[str, Any]], entry: dict[str, Any], value: Any, path: str) -> Iterator[Problem]:
    members = [entries[_target(element)] for element in entry["elements"]]
    # An open enum: the type takes any string, the service none that it does not know.
    literals = [member["value"] for member in members if member["$type"] == "StringLiteralType"]
    if literals:
        if not isinstance(value, str) or value.lower() not in {literal.lower() for literal in literals}:
            yield path, f"{value!r} is none of {', '.join(literals)}"
        return
    if all(list(_check(entries, _target(element), value, path, False)) for element in entry["elements"]):
        yield path, "the value is of no type that is allowed here"


def _string(rule: Mapping[str, Any], value: Any, path: str) -> Iterator[Problem]:
    if not isinstance(value, str):
        yield path, f"a string is wanted, not {_kind(value)}"
        return
    if not rule.get("minLength", 0) <= len(value) <= rule.get("maxLength", len(value)):
        yield path, f"a length of {rule.get('minLength', 0)} to {rule.get('maxLength', 'any')} is wanted"
    if "pattern" in rule and not re.search(rule["pattern"], value):
        yield path, f"it does not match the pattern {rule['pattern']}"


def _number(rule: Mapping[str, Any], value: Any, path: str) -> Iterator[Problem]:
    fraction = path.rsplit(".", 1)[-1] in FRACTIONS and isinstance(value, float)
    if isinstance(value, bool) or not (isinstance(value, int) or fraction):
        yield path, f"an integer is wanted, not {_kind(value)}"
    elif not rule.get("minValue", value) <= value <= rule.get("maxValue", value):
        yield path, f"{value} is not between {rule.get('minValue', '…')} and {rule.get('maxValue', '…')}"


def _kind(value: Any) -> str:
    return {bool: "a boolean", dict: "an object", list: "an array", str: "a string"}.get(type(value), "a number")


def _shown(entries: list[dict[str, Any]], number: int, value: Any) -> Any:
    entry = entries[number]
    if isinstance(value, dict) and entry["$type"] == "ObjectType":
        properties, more = entry["properties"], entry.get("additionalProperties")
        shown = {}
        for name, item in value.items():
            rule = properties.get(name)
            if rule is not None and rule["flags"] & WRITE_ONLY:
                continue
            inner = rule["type"] if rule is not None else more
            shown[name] = _shown(entries, _target(inner), item) if inner is not None else item
        return shown
    if isinstance(value, list) and entry["$type"] == "ArrayType":
        return [_shown(entries, _target(entry["itemType"]), item) for item in value]
    return value


def _check_by_hand(schema: Mapping[str, Any], body: Any, partial: bool) -> Iterator[Problem]:
    for error in jsonschema.Draft202012Validator(schema).iter_errors(body):
        if not (partial and error.validator == "required"):
            yield ".".join(str(part) for part in error.absolute_path), error.message
