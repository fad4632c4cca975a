"""The environment's JSON Schema, and its errors as diagnostics.

Owns: reading the schema file, the code, the words and the place of each kind of error. Must not: hold a rule that JSON
Schema cannot say; those are in `checks`.

The schema carries two keywords of txplan's own: `x-codes` gives another diagnostic code for a keyword's failure, and
`x-mend` says how to mend a value. A value below `secrets`, or a `password`, is never shown.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from referencing import Registry, Resource

from engine.assets import asset
from engine.load.tree import Node, Route, shorten
from engine.model.address import Position
from engine.model.diagnostic import Diagnostic, error
from engine.policy.credentials import shape_of

_CODES = {"type": "wrong-type", "required": "missing-key", "additionalProperties": "unknown-key", "format": "bad-date",
          "minimum": "out-of-range", "maximum": "out-of-range", "minLength": "out-of-range",
          "maxLength": "out-of-range", "maxProperties": "out-of-range", "minProperties": "out-of-range"}
_TYPES = {"object": "a mapping", "string": "text", "integer": "a whole number", "number": "a number",
          "boolean": "true or false"}


def environment_schema() -> dict[str, Any]:
    """The schema of a manifest; `$defs/profile` in it is the schema of a profile."""
    schema: dict[str, Any] = json.loads((asset("schemas") / "environment.schema.json").read_text("utf-8"))
    return schema


class Schema:
    """Checks the tree of one file at a time."""

    def __init__(self) -> None:
        whole = environment_schema()
        registry: Registry[Any] = Registry().with_resource(whole["$id"], Resource.from_contents(whole))
        self._manifest, self._profile = (
            Draft202012Validator({"$ref": whole["$id"] + part}, registry=registry,
                                 format_checker=Draft202012Validator.FORMAT_CHECKER)
            for part in ("", "#/$defs/profile"))

    def check(self, root: Node, *, profile: bool, bad: set[Route]) -> list[Diagnostic]:
        """All errors of `root`, each where it stands; adds to `bad` the routes whose values cannot be used."""
        validator = self._profile if profile else self._manifest
        return [diagnostic for problem in validator.iter_errors(root.plain())
                for diagnostic in _diagnose(problem, root, bad)]


def _diagnose(problem: ValidationError, root: Node, bad: set[Route]) -> Iterable[Diagnostic]:
    route: Route = tuple(problem.absolute_path)
    keyword, schema = str(problem.validator), problem.schema
    assert isinstance(schema, Mapping)  # a schema that is `false` is nowhere in the file
    if keyword == "additionalProperties":
        return _unknown_keys(route, schema, root)
    if keyword == "required":
        return _missing_keys(route, schema, root, bad)
    code = schema.get("x-codes", {}).get(keyword) or _CODES.get(keyword, "not-allowed")
    mend = schema.get("x-mend", "")
    if "propertyNames" in problem.absolute_schema_path:
        key = str(problem.instance)
        bad.add((*route, key))
        return [error(code, f"{dotted(route)} cannot have the key {shorten(key)}", mend=mend,
                      position=find(root, route, key))]
    bad.add(route)
    text = str(problem.instance)
    shown = None if is_secret(route) or shape_of(text) else shorten(text)
    summary = f"{dotted(route)} {_wrong(keyword, problem.validator_value, problem.instance, shown)}"
    return [error(code, summary, detail=_detail(schema), mend=mend or _mend(keyword, problem, schema),
                  position=find(root, route))]


def _unknown_keys(route: Route, schema: Mapping[str, Any], root: Node) -> Iterable[Diagnostic]:
    node = node_at(root, route)
    known = list(schema.get("properties", {}))
    for key in node.entries or {} if node else {}:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.7)
            mend = f"did you mean {near[0]}?" if near else schema.get("x-mend", "known here: " + ", ".join(known))
            place = f" in {dotted(route)}" if route else ""
            # A key that is no slip of the pen may mean more than an unknown one: a secret's text, say.
            code = "unknown-key" if near else schema.get("x-codes", {}).get("additionalProperties", "unknown-key")
            yield error(code, f"unknown key {shorten(key)}{place}", mend=mend,
                        position=find(root, route, key))


def _missing_keys(route: Route, schema: Mapping[str, Any], root: Node, bad: set[Route]) -> Iterable[Diagnostic]:
    node = node_at(root, route)
    for key in schema["required"]:
        # jsonschema reports each missing key by itself, without its name: all are told at the first.
        if node and key not in (node.entries or {}) and (*route, key) not in bad:
            bad.add((*route, key))
            known = schema["properties"][key]
            yield error("missing-key", f"{dotted((*route, key))} is missing", detail=known["description"],
                        mend=f"add {key}, such as {key}: {known['examples'][0]}", position=find(root, route))


def _wrong(keyword: str, limit: Any, instance: Any, shown: str | None) -> str:
    but = f", not {shown}" if shown is not None else ""
    match keyword:
        case "type":
            names = [limit] if isinstance(limit, str) else limit
            return f"must be {' or '.join(_TYPES[name] for name in names)}, not {_kind(instance)}"
        case "enum":
            return f"must be one of {', '.join(limit)}{but}"
        case "minimum" | "maximum":
            return f"must be {'at least' if keyword == 'minimum' else 'at most'} {limit}{but}"
        case "minLength":
            return "must not be empty"
        case "maxLength":
            return f"is {len(instance)} characters long; the limit is {limit}"
        case "minProperties" | "maxProperties":
            return f"must have {'at least' if keyword == 'minProperties' else 'at most'} {limit} of its keys"
        case _:
            return f"cannot be {shown}" if shown else "cannot be what stands there"


def _mend(keyword: str, problem: ValidationError, schema: Mapping[str, Any]) -> str:
    if keyword == "type" and problem.validator_value == "string" and isinstance(problem.instance, int | float):
        return "put the value in quotes"
    if keyword == "enum" and isinstance(problem.instance, str):
        near = difflib.get_close_matches(problem.instance, schema["enum"], n=1)
        if near:
            return f"did you mean {near[0]}?"
    examples = _examples(schema)
    return f"such as {examples}" if examples else ""


def _detail(schema: Mapping[str, Any]) -> str:
    return str(schema.get("description", ""))


def _examples(schema: Mapping[str, Any]) -> str:
    return ", ".join(value if isinstance(value, str) else json.dumps(value) for value in schema.get("examples", ()))


def _kind(value: Any) -> str:
    match value:
        case None:
            return "empty"
        case bool():
            return "true or false"
        case int():
            return "a whole number"
        case float():
            return "a number with a fraction"
        case str():
            return "text"
        case list():
            return "a list"
        case _:
            return "a mapping"


def is_secret(route: Route) -> bool:
    """Whether the value there could hold a secret's text by mistake, and so is never shown."""
    return route[:1] == ("secrets",) or route[-1:] == ("password",)


def dotted(route: Route) -> str:
    """The route as people write it, such as `hubs.ledger.name`."""
    return ".".join(shorten(str(part)) for part in route) or "the file"


def node_at(root: Node, route: Route) -> Node | None:
    """The node at the end of `route`, or None."""
    node: Node | None = root
    for part in route:
        if node is None:
            return None
        if isinstance(part, int):
            node = node.items[part] if node.items and part < len(node.items) else None
        else:
            node = (node.entries or {}).get(part)
    return node


def find(root: Node, route: Route, key: str | None = None) -> Position:
    """Where the value at `route` stands (a mapping where its key stands), or its key `key`."""
    node = node_at(root, route)
    if key is not None:
        return node.keys[key] if node and key in node.keys else root.at
    parent = node_at(root, route[:-1]) if route else None
    if parent and (node is None or node.entries is not None or node.value is None):
        return parent.keys.get(str(route[-1]), parent.at)
    return node.at if node else root.at
