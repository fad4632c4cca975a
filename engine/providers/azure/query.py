"""Questions to the Log Analytics workspace.

Owns: the KQL and the call. Must not: judge an answer.
"""

from __future__ import annotations

import json
from typing import Any

from azure.core.exceptions import AzureError

from engine.providers.azure.arm import Arm
from engine.providers.azure.site import Site

_JOB_LINES = """ContainerAppConsoleLogs_CL
| where ContainerGroupName_s startswith '{execution}'
| order by TimeGenerated asc
| project TimeGenerated, Log_s"""


class Query:
    """The environment's workspace."""

    def __init__(self, arm: Arm, site: Site) -> None:
        self._arm, self._site = arm, site

    def job_lines(self, job: str, execution: str) -> list[str]:
        """What a job's execution wrote, as far as the workspace shows it by now."""
        rows = self._rows(_JOB_LINES.format(execution=execution))
        return [f"{row[0]} {row[1]}" for row in rows]

    def _rows(self, kql: str) -> list[list[Any]]:
        from azure.core import PipelineClient
        from azure.core.pipeline.policies import BearerTokenCredentialPolicy, RetryPolicy
        from azure.core.rest import HttpRequest

        workspace = self._arm.get(self._site.id(
            f"Microsoft.OperationalInsights/workspaces/{self._site.names['law']}"), "2025-07-01")
        if workspace is None:
            return []
        base, scope = f"{self._site.cloud.logs}/v1", self._site.cloud.logs_scope
        client: PipelineClient[Any, Any] = PipelineClient(base, policies=[
            RetryPolicy(retry_total=3), BearerTokenCredentialPolicy(self._arm.credential, scope)],
            connection_verify=self._site.verify)
        try:
            answer = client.send_request(HttpRequest(
                "POST", f"{base}/workspaces/{workspace['properties']['customerId']}/query",
                json={"query": kql, "timespan": "P1D"}))
            if answer.status_code != 200:
                return []
            tables = json.loads(answer.text()).get("tables") or [{}]
            return list(tables[0].get("rows") or [])
        except AzureError:
            return []
        finally:
            client.close()
