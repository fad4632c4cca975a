"""Targets: `base` says what a target can offer, each folder beside it is one target that offers it."""
