"""The addresses by which steps name each other, in the order of a rebuild (P5).

Owns nothing but names: resources → secrets → migrate → cutover → backfill → apps → smoke → gates.
"""

from __future__ import annotations

from engine.model.address import Address

GROUP = Address("resource", "group")
VAULT = Address("resource", "vault")
POSTGRES = Address("resource", "postgres")
DATABASE = Address("resource", "database")
NAMESPACE = Address("resource", "namespace")
# What only a cloud has.
REGISTRY = Address("resource", "registry")
IMAGE = Address("resource", "image")
APP_HOST = Address("resource", "apphost")
IDENTITY = Address("resource", "identity")
WORKSPACE = Address("resource", "workspace")
INSIGHTS = Address("resource", "insights")
NETWORK = Address("resource", "network")

SCHEMA = Address("migrate", "schema")
CUTOVER = Address("cutover", "stream")
BACKFILL = Address("backfill", "source")
REPROCESS = Address("reprocess", "offsets")
REPLAY = Address("reprocess", "replay")
CONSUMER = Address("app", "consumer")
API = Address("app", "api")
SMOKE = Address("smoke", "service")
LOAD = Address("smoke", "load")

ADMIN_SECRET = "postgres-admin"
MIGRATOR_SECRET = "postgres-migrator"
CONSUMER_SECRET = "postgres-consumer"
API_SECRET = "postgres-api"
TOKEN_SECRET = "api-token"

MIGRATOR, CONSUMER_ROLE, API_ROLE = "bo_migrator", "bo_consumer", "bo_api"
LOGINS = {MIGRATOR: MIGRATOR_SECRET, CONSUMER_ROLE: CONSUMER_SECRET, API_ROLE: API_SECRET}

API_ACTOR = "operator"
"""The name under which the environment's own credential appears in the audit log."""


def hub(key: str) -> Address:
    """The step of the hub that carries `ledger` or `order`."""
    return Address("resource", f"hub-{key}")


def role(name: str) -> Address:
    """The step of a role assignment."""
    return Address("resource", f"role-{name}")


def rule(name: str) -> Address:
    """The step of an authorization rule of the broker."""
    return Address("resource", f"rule-{name}")


def secret(name: str) -> Address:
    """The step of a secret."""
    return Address("secret", name)
