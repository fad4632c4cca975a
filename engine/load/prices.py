"""The price tables that travel with txplan: one a target that costs something.

Owns: where they lie and how they are read. Must not: estimate anything.
"""

from __future__ import annotations

from typing import Any

import yaml

from engine.assets import asset
from engine.model.costs import Price, Prices


def load_prices() -> dict[str, Prices]:
    """The tables by target."""
    return {path.stem: _table(yaml.safe_load(path.read_text(encoding="utf-8")))
            for path in sorted((asset("manifests") / "prices").glob("*.yaml"))}


def _table(data: Any) -> Prices:
    fixed = {str(type_): tuple(_price(line) for line in lines) for type_, lines in data["fixed"].items()}
    return Prices(str(data["as_of"]), str(data["currency"]), str(data["region"]), fixed,
                  {str(k): str(v) for k, v in data["by_use"].items()})


def _price(line: Any) -> Price:
    amount, by = line["a_month"], str(line.get("by", ""))
    amounts = {str(k): float(v) for k, v in amount.items()} if by else {"": float(amount)}
    return Price(by, str(line.get("times", "")), amounts)
