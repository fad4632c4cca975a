"""Kafka-protocol brokers for the local target: which engines there are.

Owns: the table of engines. Must not: run a process (the environment's supervisor does) or know a kind.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.providers.local.brokers.apache import Apache
from engine.providers.local.brokers.engine import BrokerEngine
from engine.providers.local.brokers.noida import Noida
from engine.providers.local.brokers.tansu import Tansu

EXTERNAL = "external"
"""A broker that somebody else runs: no engine, no process, only a connection."""

ENGINES: Mapping[str, BrokerEngine] = {engine.name: engine for engine in (Noida(), Tansu(), Apache())}
