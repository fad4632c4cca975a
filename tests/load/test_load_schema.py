"""The schema explains every property, and says the same as the code about defaults."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from engine.load import environment_schema, load_manifest

SCHEMA = environment_schema()
HEAD = ("project: txlookup\nteam: team4\nowner: kim\nenv: dev\nttl: 2026-12-31\ntarget: local\nprofile: cloud-test\n"
        "secrets: {source-password: {generate: 32}}\n")


def properties(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every property in the schema, wherever it stands, with its `$ref` laid in."""
    if isinstance(node, dict):
        for name, value in node.get("properties", {}).items():
            yield f"{path}/{name}", resolve(value)
        extra = node.get("additionalProperties")
        if isinstance(extra, dict):
            yield f"{path}/*", resolve(extra)
        for key, value in node.items():
            if key not in ("examples", "default"):
                yield from properties(value, f"{path}/{key}")


def resolve(value: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in value:
        return value
    target: Any = SCHEMA
    for part in value["$ref"].removeprefix("#/").split("/"):
        target = target[part]
    return {**resolve(target), **{key: held for key, held in value.items() if key != "$ref"}}


PROPERTIES = dict(properties(SCHEMA))


def test_the_schema_is_valid() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert len(PROPERTIES) > 60


@pytest.mark.parametrize("path", sorted(PROPERTIES))
def test_every_property_is_explained(path: str) -> None:
    held = PROPERTIES[path]
    assert held["title"] and held["description"] and held["examples"]
    for example in held["examples"]:
        Draft202012Validator({**SCHEMA, "properties": {"x": held}, "required": []},
                             format_checker=Draft202012Validator.FORMAT_CHECKER).validate({"x": example})


@pytest.mark.parametrize("path", sorted(path for path, held in PROPERTIES.items() if "object" in held.get("type", ())))
def test_no_mapping_takes_unknown_keys(path: str) -> None:
    held = PROPERTIES[path].get("else", PROPERTIES[path])
    extra = held["additionalProperties"]
    assert extra is False or resolve(extra)["description"]


def test_defaults_in_the_schema_are_those_of_the_code(tmp_path: Path) -> None:
    path = tmp_path / "e.yaml"
    database = "{host: h, database: d, user: u, password: source-password, orders_table: o, ledger_table: l}"
    place = "{subscription: 00000000-0000-0000-0000-000000000000, location: koreacentral}"
    seen = set()
    for body, prefix, defaults in (
            ("", "", SCHEMA),
            ("", "broker", SCHEMA["properties"]["broker"]),
            (f"azure: {place}\n", "azure", SCHEMA["properties"]["azure"]),
            ("", "max_destroy", SCHEMA["properties"]["max_destroy"]),
            ("", "api.limits", SCHEMA["properties"]["api"]["properties"]["limits"]),
            ("", "slo", SCHEMA["properties"]["slo"]),
            ("", "reconcile", SCHEMA["properties"]["reconcile"]),
            ("backfill: {source: {synthetic: {payments: 5}}}\n", "backfill.source.synthetic",
             SCHEMA["$defs"]["synthetic"]),
            (f"backfill: {{source: {{postgres: {database}}}}}\n", "backfill.source.postgres",
             SCHEMA["$defs"]["source_database"])):
        path.write_text((HEAD.replace("local", "azure") if prefix == "azure" else HEAD) + body)
        manifest, found = load_manifest(path, today=date(2026, 11, 23))
        assert manifest, found
        for name, held in defaults["properties"].items():
            if "default" in held:
                path_of = f"{prefix}.{name}".lstrip(".")
                seen.add(path_of)
                assert manifest.values[path_of] == held["default"]
    assert len(seen) == json.dumps(SCHEMA).count('"default": ')
