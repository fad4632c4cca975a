"""One environment on the tests' ARM server, step by step, by the azure target's own resource types."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from engine.kinds.base import Kind, discover
from engine.load import load_manifest
from engine.model.address import Address
from engine.model.change import Action
from engine.model.step import Step
from engine.planning.graph import Graph, compile_graph, environment_of
from engine.policy.naming import all_names, names_of
from engine.providers.azure import open_target
from engine.providers.base import Capabilities, Context
from tests.azure.arm import ArmServer

# What needs no SQL and no image: the types alone.
PLAIN = ["group", "workspace", "insights", "vault", "identity", "registry", "role-deployer-secrets",
          "role-identity-secrets", "role-identity-pull", "namespace", "hub-ledger", "hub-order", "group-ledger",
          "rule-listen", "rule-send", "apphost", "postgres", "firewall-azure-services"]


TXPLAN = str(Path(sys.executable).with_name("txplan"))


class Azure:
    """One environment on the server, step by step."""

    def __init__(self, arm: ArmServer, folder: Path, **values: Any) -> None:
        self.arm, self.folder = arm, folder
        manifest = {"project": "txlookup", "team": "team4", "owner": "eva", "env": "test", "ttl": "2099-12-31",
                    "target": "azure", "profile": "cloud-test", "azure": {
                        "subscription": arm.subscription, "tenant": arm.tenant, "location": "West US 2",
                        "endpoint": arm.endpoint, "authority": arm.authority, "ca_file": str(arm.ca_bundle)},
                    **values}
        path = folder / "manifest.yaml"
        path.write_text(yaml.safe_dump(manifest))
        found, problems = load_manifest(path, today=date(2026, 11, 24))
        assert found is not None, problems
        self.manifest = found
        self.kinds: Mapping[str, Kind] = discover()
        self.graph: Graph = compile_graph(found, self.kinds)
        self.open()

    def open(self) -> None:
        """As another process would: nothing is remembered."""
        environment = environment_of(self.manifest)
        self.target: Capabilities = open_target(environment, all_names(names_of(environment)), self.folder / "state")
        self.context = Context(lambda progress: None, lambda: False)

    def step(self, name: str) -> Step:
        return self.graph.steps[Address("resource", name)]

    def action(self, name: str) -> Action:
        kind, step = self.kinds["resource"], self.step(name)
        return kind.decide(step, kind.observe(step, self.target), {}).action

    def diffs(self, name: str) -> list[str]:
        kind, step = self.kinds["resource"], self.step(name)
        return [d.path for d in kind.decide(step, kind.observe(step, self.target), {}).diffs]

    def make(self, name: str) -> None:
        step = self.step(name)
        type_ = self.target.resources[str(step.spec["type"])]
        type_.apply(str(step.spec["name"]), {k: v for k, v in step.spec.items() if k != "type"}, self.context)
        until(lambda: type_.ready(str(step.spec["name"])) is None)

    def make_all(self) -> None:
        for name in PLAIN:
            if name == "postgres":
                assert self.target.secrets is not None
                self.target.secrets.set("postgres-admin", "Only-for-4-tests")
            self.make(name)

    def variables(self, state: str, **more: str) -> dict[str, str]:
        """The environment of a process on a machine whose state is in the folder `state`."""
        return {**os.environ, **self.arm.environment(), "TXPLAN_STATE_DIR": str(self.folder / state), **more}

    def run(self, command: str, *arguments: str, state: str = "state",
            **more: str) -> subprocess.CompletedProcess[str]:
        """`txplan COMMAND MANIFEST ARGUMENTS`, as a process of its own."""
        return subprocess.run([TXPLAN, *command.split(), str(self.folder / "manifest.yaml"), *arguments],
                              env=self.variables(state, **more), stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, check=False, timeout=120)


def until(holds: Any) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
