"""An environment whose secrets nobody can read any more: what is left to do is to destroy it, and that can be done."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.stage import staged


def test_an_environment_that_lost_the_key_of_its_vault_is_destroyed(tmp_path: Path) -> None:
    with staged(tmp_path) as stage:
        planned = stage.plan("--only", "app.*")
        assert planned.code == 2, planned.failures
        applied = stage.run("apply", "--json")
        assert applied.code == 0, applied.failures
        (stage.home / "keys" / "vault.key").unlink()
        seen = stage.plan()
        assert seen.code == 1 and "vault-key-missing" in {d["code"] for d in seen.plan["diagnostics"]}
        gone = stage.destroy()
        assert gone.code == 0, gone.failures
        stage.assert_gone()
