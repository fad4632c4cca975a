"""txplan's engine: from a manifest to a graph, a plan, and its application."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("txplan")
except PackageNotFoundError:  # Run from a source tree that is not installed.
    __version__ = "0+unknown"
