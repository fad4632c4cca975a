"""Kinds of steps, one file each; `base` says what a kind is.

Must not: name a concrete provider, print, or keep state between calls.
"""
