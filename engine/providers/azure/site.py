"""Where an environment is on Azure: the cloud's endpoints, the subscription, the region, the names.

Owns: reading the environment's `site`. Must not: call anything.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass

from engine.model.diagnostic import Refused, error
from engine.model.step import Environment


@dataclass(frozen=True, slots=True)
class Cloud:
    """The addresses of one Azure; `own` where the manifest names them."""

    arm: str
    authority: str
    logs: str
    own: bool = False

    @property
    def scope(self) -> str:
        """What a token for the resource manager is asked for."""
        return f"{self.arm}/.default"

    @property
    def logs_scope(self) -> str:
        """What a token for the logs' API is asked for."""
        return f"{self.logs}/.default"


CLOUDS: Mapping[str, Cloud] = {
    "public": Cloud("https://management.azure.com", "https://login.microsoftonline.com",
                    "https://api.loganalytics.io"),
    "usgovernment": Cloud("https://management.usgovcloudapi.net", "https://login.microsoftonline.us",
                          "https://api.loganalytics.us"),
    "china": Cloud("https://management.chinacloudapi.cn", "https://login.chinacloudapi.cn",
                   "https://api.loganalytics.azure.cn"),
}


@dataclass(frozen=True, slots=True)
class Site:
    """All that is fixed of an environment before anything is read. `names` maps a token (P3.3) to a name."""

    environment: Environment
    names: Mapping[str, str]
    cloud: Cloud
    subscription: str
    tenant: str | None
    location: str
    ca_file: str | None
    private: bool
    purge: bool
    image: str | None
    state: str | None

    @property
    def group(self) -> str:
        """The id of the resource group."""
        return f"/subscriptions/{self.subscription}/resourceGroups/{self.names['rg']}"

    def id(self, path: str) -> str:
        """The id of a resource of the group, by `Provider/type/name[/type/name]`."""
        return f"{self.group}/providers/{path}"

    @property
    def verify(self) -> str | bool:
        """What HTTPS clients check certificates against: a file, or the system's authorities."""
        return self.ca_file or True

    def tls(self) -> ssl.SSLContext:
        """A context that checks certificates against them."""
        try:
            return ssl.create_default_context(cafile=self.ca_file)
        except OSError as problem:
            raise Refused([error("ca-file", f"The authorities in {self.ca_file} cannot be read.", str(problem),
                                 "See azure.ca_file.")]) from None


def site_of(environment: Environment, names: Mapping[str, str]) -> Site:
    """The site of an environment whose target is Azure."""
    at = environment.site
    known = CLOUDS[str(at["cloud"])]
    arm, authority = at.get("endpoint"), at.get("authority")
    at_arm = str(arm or known.arm).rstrip("/")
    cloud = Cloud(at_arm, str(authority or known.authority).rstrip("/"), at_arm if arm else known.logs, bool(arm))
    return Site(environment, names, cloud, str(at["subscription"]), _text(at.get("tenant")), str(at["location"]),
                _text(at.get("ca_file")), environment.access == "private", at["soft_deleted"] == "purge",
                _text(at.get("image")), _text(at.get("state")))


def _text(value: object) -> str | None:
    return str(value) if value else None


def region(text: object) -> str:
    """A region's name, from its name or its display name: `West US 2` is `westus2`."""
    return str(text or "").replace(" ", "").lower()
