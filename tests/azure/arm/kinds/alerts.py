"""Microsoft.Insights alerts and workbooks. The bodies are checked against schemas by hand."""

from __future__ import annotations

import uuid

from tests.azure.arm.bodies import filled
from tests.azure.arm.errors import ArmError, bad
from tests.azure.arm.resource import Put, ResourceType
from tests.azure.arm.state import Resource


class ActionGroups(ResourceType):
    type = "Microsoft.Insights/actionGroups"
    version = "2023-01-01"
    shows_state = False

    def fill(self, resource: Resource) -> None:
        filled(resource.body, tags={})
        filled(resource.properties, emailReceivers=[], smsReceivers=[], webhookReceivers=[], armRoleReceivers=[])


class MetricAlerts(ResourceType):
    type = "Microsoft.Insights/metricAlerts"
    version = "2018-03-01"
    created = 200
    shows_state = False

    def prepare(self, put: Put) -> None:
        for scope in put.properties["scopes"]:
            if self.state.get(scope) is None:
                raise bad("ResourceNotFound", f"The scope '{scope}' was not found.", "scopes")

    def fill(self, resource: Resource) -> None:
        filled(resource.body, tags={})
        filled(resource.properties, autoMitigate=True, actions=[], targetResourceType="", targetResourceRegion="")


class QueryAlerts(MetricAlerts):
    type = "Microsoft.Insights/scheduledQueryRules"
    version = "2023-12-01"
    created = 201

    def fill(self, resource: Resource) -> None:
        filled(resource.body, tags={}, kind="LogAlert")
        filled(resource.properties, autoMitigate=True, checkWorkspaceAlertsStorageConfigured=False,
               skipQueryValidation=False)


class Workbooks(ResourceType):
    """Its name is a GUID; its content a string of JSON, returned only to those who ask for it."""

    type = "Microsoft.Insights/workbooks"
    version = "2023-06-01"
    shows_state = False

    def prepare(self, put: Put) -> None:
        try:
            uuid.UUID(put.target.names[-1])
        except ValueError:
            raise ArmError(400, "InvalidWorkbookId", "A workbook's name is a GUID.") from None

    def fill(self, resource: Resource) -> None:
        filled(resource.body, tags={})
        filled(resource.properties, version="Notebook/1.0", sourceId="azure monitor")
