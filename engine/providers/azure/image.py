"""The image of the service: built by the registry's own build task from this checkout, named by its digest.

Owns: what goes into the build, the run of it, and the registry's tag that says which code the image is of. Must not:
hand out a tag; what runs is a digest.
"""

from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from engine.assets import asset
from engine.model.diagnostic import Refused, error
from engine.model.value import Attributes
from engine.providers.azure.arm import Arm
from engine.providers.azure.resource import OWN
from engine.providers.azure.site import Site
from engine.providers.base import Context, Progress

API = "2025-11-01"
TASKS = "2019-06-01-preview"
REPOSITORY = "txplan"
TAG = f"{OWN}image"
"""The registry's tag: `<code>@sha256:<digest>` of the newest image."""

_ENDED = frozenset({"Succeeded", "Failed", "Canceled", "Error", "Timeout"})
_BUILD_S = 1800.0


class Images:
    """The environment's registry as the place of one image."""

    def __init__(self, arm: Arm, site: Site) -> None:
        self._arm, self._site = arm, site

    def known(self) -> tuple[str, str] | None:
        """(code, digest) of the newest image, or None."""
        live = self._arm.get(self.registry, API)
        code, at, digest = str(((live or {}).get("tags") or {}).get(TAG, "")).partition("@")
        return (code, digest) if at else None

    def reference(self) -> str:
        """`server/repository@digest` of what apps and jobs run; Refused where there is none."""
        if self._site.image is not None:
            return self._site.image
        live = self._arm.get(self.registry, API) or {}
        known = self.known()
        if known is None:
            raise Refused([error("no-image", "The registry holds no image of the service.",
                                 mend="Build one: txplan image MANIFEST")])
        return f"{live['properties']['loginServer']}/{REPOSITORY}@{known[1]}"

    @property
    def registry(self) -> str:
        """The registry's id."""
        return self._site.id(f"Microsoft.ContainerRegistry/registries/{self._site.names['acr']}")

    def build(self, code: str, context: Context) -> str:
        """Build and push from this checkout; `server/repository@digest`. `code` names the source. Refused where the
        manifest names another that CI has built."""
        if self._site.image is not None:
            raise Refused([error("image-named", f"The manifest names its image: {self._site.image}.",
                                 "What would be built here, nothing would run.", "Take azure.image out, or build it "
                                 "where it comes from.")])
        if self._arm.get(self.registry, API) is None:
            raise Refused([error("no-registry", "The environment has no registry yet.",
                                 mend="Apply it: txplan apply MANIFEST --auto-approve; that builds the image too.")])
        source = self._upload(context)
        run = self._arm.post(f"{self.registry}/scheduleRun", TASKS, {
            "type": "DockerBuildRequest", "imageNames": [f"{REPOSITORY}:{code}"], "isPushEnabled": True,
            "dockerFilePath": "Containerfile", "sourceLocation": source,
            "platform": {"os": "Linux", "architecture": "amd64"}, "agentConfiguration": {"cpu": 2}})
        name = str(run.get("properties", {}).get("runId") or run.get("name"))
        digest = self._await(name, context)
        self._record(f"{code}@{digest}", context)
        return self.reference()

    def _upload(self, context: Context) -> str:
        context.emit(Progress(note="sending the source to the registry"))
        place = self._arm.post(f"{self.registry}/listBuildSourceUploadUrl", TASKS)
        sent = Request(str(place["uploadUrl"]), source_archive(), {"x-ms-blob-type": "BlockBlob"}, method="PUT")
        try:
            with urlopen(sent, timeout=120, context=self._site.tls()):
                return str(place["relativePath"])
        except OSError as problem:  # Its address is a signature: it is not shown.
            raise Refused([error("image-upload", "The source cannot be sent to the registry.",
                                 type(problem).__name__, "Apply again.")]) from None

    def _await(self, name: str, context: Context) -> str:
        until = time.monotonic() + _BUILD_S
        while True:
            run: Mapping[str, Any] = (self._arm.get(f"{self.registry}/runs/{name}", TASKS) or {}).get("properties", {})
            status = str(run.get("status"))
            if status in _ENDED:
                break
            if context.cancelled() or time.monotonic() > until:
                raise Refused([error("image-unfinished", f"The build {name} is still {status.lower()}.",
                                     mend="Apply again.")])
            context.emit(Progress(note=f"building the image: {status.lower()}"))
            time.sleep(5.0 if not self._site.cloud.own else 0.1)
        images = run.get("outputImages") or []
        if status != "Succeeded" or not images:
            raise Refused([error("image-failed", f"The registry's build {name} ended as {status.lower()}.",
                                 str(run.get("runErrorMessage") or ""), "Read its log in the registry's runs.")])
        return str(images[0]["digest"])

    def _record(self, value: str, context: Context) -> None:
        live = self._arm.get(self.registry, API) or {}
        self._arm.put(self.registry, API, {"tags": {**(live.get("tags") or {}), TAG: value}}, context, method="PATCH")


def source_archive() -> bytes:
    """The build's context as a tar.gz: the service, the migrations, the sample, the lock and the Containerfile."""
    root = Path(asset("migrations")).parent
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name in ("Containerfile", "pyproject.toml", "README.md", "requirements.lock", "streamapp", "engine",
                     "migrations", "manifests", "schemas"):
            if (root / name).exists():
                archive.add(root / name, name, filter=_plain)
    return buffer.getvalue()


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """The same archive for the same files, whoever has them."""
    if "__pycache__" in entry.name or entry.name.endswith(".pyc"):
        return None
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = 0
    return entry


class ImageType:
    """`image` {name, code}: an image of this code is in the registry."""

    type = "image"
    immutable: frozenset[str] = frozenset()
    grows: frozenset[str] = frozenset()

    def __init__(self, images: Images) -> None:
        self._images = images

    def observe(self, name: str) -> Attributes | None:
        """The code of the newest image."""
        known = self._images.known()
        return None if known is None else {"name": name, "code": known[0]}

    def apply(self, name: str, spec: Attributes, context: Context) -> None:
        """Build it."""
        self._images.build(str(spec["code"]), context)

    def ready(self, name: str) -> str | None:
        """A pushed image is ready."""
        return None

    def delete(self, name: str, context: Context) -> None:
        """Nothing: images go with their registry."""

    def inventory(self) -> list[str]:
        """None of its own."""
        return []

    def foreign(self, name: str) -> list[Any]:
        """Nothing lies in an image."""
        return []
