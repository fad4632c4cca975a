"""Reconciliation: the source against the store, by segments of the primary key that the two databases hash."""
