"""Blob storage beside the subscription, through Azure's own client; and telemetry."""

from __future__ import annotations

import gzip
import json

import pytest
import requests
from azure.core.exceptions import HttpResponseError, ResourceExistsError
from azure.storage.blob import BlobClient

from tests.azure.arm import ArmServer
from tests.azure.clients import VERSIONS, Bare, credential


def test_blobs_keep_conditions_leases_and_appends(arm: ArmServer) -> None:
    account, name = arm.blobs.container("state").rsplit("/", 1)
    blob = BlobClient(account, name, "locks/dev-kim", credential=credential(arm), retry_total=0,
                      connection_verify=str(arm.ca_bundle))
    blob.upload_blob(b"", overwrite=False)
    with pytest.raises(ResourceExistsError):
        blob.upload_blob(b"", overwrite=False)
    lease = blob.acquire_lease(lease_duration=15)
    with pytest.raises(ResourceExistsError):
        blob.acquire_lease(lease_duration=15)
    with pytest.raises(HttpResponseError, match="lease"):
        blob.set_blob_metadata({"who": "lee"})
    blob.set_blob_metadata({"who": "kim"}, lease=lease)
    lease.renew()
    held = blob.get_blob_properties()
    assert (held.lease.state, held.metadata) == ("leased", {"who": "kim"})
    lease.release()
    assert blob.get_blob_properties().lease.state == "available"
    arm.blobs.lease_scale = 0
    blob.acquire_lease(lease_duration=15)
    blob.acquire_lease(lease_duration=15)  # Nobody renewed the first one.
    journal = BlobClient(account, name, "journal", credential=credential(arm), retry_total=0,
                         connection_verify=str(arm.ca_bundle))
    journal.create_append_blob()
    journal.append_block(b"one")
    journal.append_block(b"two", appendpos_condition=3)
    with pytest.raises(HttpResponseError, match="append position"):
        journal.append_block(b"three", appendpos_condition=3)
    assert journal.download_blob().readall() == b"onetwo"
    journal.delete_blob()
    assert not journal.exists()


def test_telemetry_is_taken_for_components_that_are_there(arm: ArmServer) -> None:
    call = Bare(arm)
    at = f"{call.group()}/providers/Microsoft.Insights/components/team4-ai"
    component = call.create(at, {"location": "westus2", "kind": "web", "properties": {"Application_Type": "web"}},
                            VERSIONS["insights"])["properties"]
    settings = dict(part.split("=", 1) for part in component["ConnectionString"].split(";"))
    url = f"{settings['IngestionEndpoint']}v2.1/track"
    for key, status in ((settings["InstrumentationKey"], 200), ("none", 400)):
        body = gzip.compress(json.dumps([{"iKey": key, "name": "Microsoft.ApplicationInsights.Metric"}]).encode())
        answer = requests.post(url, body, headers={"Content-Encoding": "gzip"}, verify=str(arm.ca_bundle), timeout=10)
        assert answer.status_code == status
    assert [item["iKey"] for item in arm.telemetry] == [settings["InstrumentationKey"]]
