"""`txplan image`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from engine.cli.common import compiled, json_option, open_target, out, say

if TYPE_CHECKING:
    from engine.providers.base import Progress

_EPILOG = """\b
Examples:
  txplan image manifests/test-2dt026.yaml
  txplan image manifests/test-2dt026.yaml --json
An image that CI has built is named in the manifest, by its digest: azure.image.
"""


@click.command(epilog=_EPILOG)
@click.argument("manifest", type=click.Path(path_type=Path))
@json_option
def command(manifest: Path, as_json: bool) -> None:
    """Build the service's image by the registry's own build task, and push it.

    Writes its name with its digest; apps and jobs run digests, never tags. An apply does the same where the registry
    has no image of this code yet.
    """
    from engine.kinds.base import Needs
    from engine.kinds.service import code_digest
    from engine.providers.base import Context

    said = ""

    def progress(p: Progress) -> None:
        nonlocal said
        if p.note and p.note != said and not as_json and sys.stderr.isatty():
            said = p.note
            say(p.note)

    images = Needs(open_target(compiled(manifest, as_json=as_json).environment)).images
    name = images.build(code_digest()[:12], Context(progress, lambda: False))
    out(json.dumps({"event": "ImageBuilt", "image": name}) + "\n" if as_json else name + "\n")
