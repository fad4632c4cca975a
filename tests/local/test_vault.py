"""The vault: what it keeps, and what it refuses."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from engine.model.diagnostic import Refused
from engine.providers.local.vault import Vault

from .environment import GROUP, TAGS, VAULT, Local


def code(refused: pytest.ExceptionInfo[Refused]) -> str:
    return refused.value.diagnostics[0].code


@pytest.fixture
def vault(local: Local) -> Vault:
    local.home.create(GROUP, TAGS)
    local.apply("vault", name=VAULT, tags=TAGS)
    return Vault(local.home)


def test_a_secret_keeps_its_version_until_its_value_changes(vault: Vault) -> None:
    first = vault.set("token", "päss'word\n")
    assert (first.version, vault.get("token")) == (1, "päss'word\n")
    assert vault.set("token", "päss'word\n") == first == vault.describe("token")
    second = vault.set("token", "other")
    assert second.version == 2
    assert second.fingerprint != first.fingerprint
    assert second.fingerprint == vault.fingerprint("other")
    vault.delete("token")
    vault.delete("token")
    assert vault.describe("token") is None
    assert vault.names() == []


def test_no_value_is_readable_in_any_file(vault: Vault, local: Local) -> None:
    vault.set("token", "the-very-secret-text")
    for file in (path for path in local.state.rglob("*") if path.is_file()):
        assert b"the-very-secret-text" not in file.read_bytes()
        assert file.stat().st_mode & 0o077 == 0


def test_fingerprints_of_two_vaults_tell_nothing_of_each_other(vault: Vault) -> None:
    before = vault.fingerprint("same")
    vault.key_file.write_bytes(bytes(32))
    assert vault.fingerprint("same") != before


@pytest.mark.parametrize("position", [0, 20, -1])
def test_a_changed_byte_is_seen(vault: Vault, position: int) -> None:
    vault.set("token", "value")
    content = bytearray(vault.file.read_bytes())
    content[position] ^= 1
    vault.file.write_bytes(content)
    with pytest.raises(Refused) as refused:
        vault.get("token")
    assert code(refused) == "vault-tampered"


def test_a_cut_file_is_seen(vault: Vault) -> None:
    vault.set("token", "value")
    for size in range(0, len(vault.file.read_bytes()), 7):
        vault.file.write_bytes(vault.file.read_bytes()[:size])
        with pytest.raises(Refused) as refused:
            vault.get("token")
        assert code(refused) == "vault-tampered"


def test_the_file_of_another_environment_is_refused(vault: Vault, local: Local) -> None:
    vault.set("token", "value")
    key, content = vault.key_file.read_bytes(), vault.file.read_bytes()
    local.home.remove()
    local.home.create(GROUP, TAGS)
    local.apply("vault", name=VAULT, tags=TAGS)
    vault.key_file.write_bytes(key)
    vault.file.write_bytes(content)
    with pytest.raises(Refused) as refused:
        vault.get("token")
    assert code(refused) == "vault-tampered"


def test_a_lost_key_is_told(vault: Vault) -> None:
    vault.set("token", "value")
    vault.key_file.unlink()
    with pytest.raises(Refused) as refused:
        vault.get("token")
    assert code(refused) == "vault-key-missing"


@pytest.mark.parametrize("which", ["key_file", "file"])
def test_what_others_may_open_is_refused(vault: Vault, which: str) -> None:
    vault.set("token", "value")
    getattr(vault, which).chmod(0o640)
    with pytest.raises(Refused) as refused:
        vault.get("token")
    assert code(refused) == "vault-exposed"
    getattr(vault, which).chmod(0o600)
    assert vault.get("token") == "value"


@pytest.mark.parametrize("harm", ["lost", "changed", "exposed"])
def test_what_cannot_be_opened_can_be_deleted(vault: Vault, local: Local, harm: str) -> None:
    vault.set("token", "value")
    if harm == "lost":
        vault.key_file.unlink()
    elif harm == "changed":
        vault.file.write_bytes(vault.file.read_bytes()[:-1])
    else:
        vault.file.chmod(0o640)
    vault.delete("token")
    with pytest.raises(Refused):
        vault.describe("token")
    type_ = local.target.resources["vault"]
    assert type_.observe(VAULT) == {"name": VAULT, "tags": TAGS}
    type_.delete(VAULT, local.context)
    assert type_.observe(VAULT) is None and not vault.file.exists() and not vault.key_file.exists()


def test_a_vault_is_applied_again_without_loss(vault: Vault, local: Local) -> None:
    vault.set("token", "value")
    local.apply("vault", name=VAULT, tags={**TAGS, "ttl": "2031-01-01"})
    assert local.observe("vault", VAULT) == {"name": VAULT, "tags": {**TAGS, "ttl": "2031-01-01"}}
    assert vault.get("token") == "value"
    type_ = local.target.resources["vault"]
    type_.delete(VAULT, local.context)
    type_.delete(VAULT, local.context)
    assert type_.observe(VAULT) is None and type_.inventory() == []
    assert vault.describe("token") is None


def test_writers_at_once_lose_nothing(vault: Vault) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: Vault(vault._home).set(f"secret-{n}", str(n)), range(40)))
    assert {name: vault.get(name) for name in vault.names()} == {f"secret-{n}": str(n) for n in range(40)}


def test_without_an_environment_there_is_nothing_to_describe(local: Local) -> None:
    vault = Vault(local.home)
    assert vault.describe("token") is None
    assert vault.names() == []
    vault.delete("token")
    for use in (lambda: vault.get("token"), lambda: vault.set("token", "value")):
        with pytest.raises(Refused) as refused:
            use()
        assert code(refused) == "no-vault"
