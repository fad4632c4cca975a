"""The PostgreSQL server and its database: made, changed, mended, refused."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator

import psutil
import pytest
from psycopg import errors

from engine.model.diagnostic import Refused
from engine.providers.local import strays
from engine.providers.local.cluster import Cluster

from .environment import DATABASE, LOGINS, POSTGRES, SERVER, TX_DATABASE, Local, wait_for


@pytest.fixture(autouse=True)
def whole(database: Local) -> Iterator[None]:
    """Every test leaves the shared server as it is declared."""
    yield
    _apply_server(database)
    database.apply("database", **TX_DATABASE)


def _apply_server(local: Local, **changes: object) -> None:
    local.apply("postgres", **{**POSTGRES, **changes})
    wait_for(lambda: local.target.resources["postgres"].ready(SERVER) is None)


def test_what_was_applied_is_what_is_observed(database: Local) -> None:
    assert database.observe("postgres", SERVER) == POSTGRES
    assert database.observe("database", DATABASE) == TX_DATABASE
    assert database.target.resources["postgres"].inventory() == [SERVER]
    assert database.target.resources["database"].ready(DATABASE) is None


def test_the_server_is_closed_to_all_but_its_logins(database: Local) -> None:
    assert database.query("postgres", "SELECT current_setting('listen_addresses')") == "127.0.0.1"
    assert database.query("postgres", "SELECT current_setting('unix_socket_directories')") == ""
    assert database.query("postgres", "SELECT current_setting('data_checksums')") == "on"
    assert database.query("postgres", "SELECT string_agg(DISTINCT auth_method, ',') FROM pg_hba_file_rules") == (
        "scram-sha-256")
    assert database.query("postgres", "SELECT count(*) FROM pg_authid WHERE rolcanlogin AND "
                          "rolpassword NOT LIKE 'SCRAM-SHA-256$%'") == 0
    with pytest.raises(Refused) as refused, database.target.database.connect("somebody"):  # type: ignore[union-attr]
        pass
    assert refused.value.diagnostics[0].code == "no-login"


def test_the_roles_can_what_they_may_and_no_more(database: Local) -> None:
    flags = ("SELECT rolsuper OR rolcreatedb OR rolreplication OR rolbypassrls FROM pg_roles "
             "WHERE rolname = current_user")
    for role in LOGINS:
        assert database.query(role, flags) is False
        assert database.query(role, "SELECT current_database()") == DATABASE
    assert database.query("bo_migrator", "SELECT rolcreaterole FROM pg_roles WHERE rolname = current_user") is True
    with pytest.raises(errors.InsufficientPrivilege):
        database.query("bo_api", "CREATE SCHEMA mine")
    with pytest.raises(errors.InsufficientPrivilege):
        database.query("bo_api", "CREATE TEMPORARY TABLE mine (x int)")


def test_no_password_is_in_a_log_or_an_argument(database: Local) -> None:
    texts = [file.read_text(errors="replace") for file in (database.home.path / "logs").rglob("*") if file.is_file()]
    texts += [" ".join(process.cmdline()) for process in strays.find(database.home.instance)]
    assert not any("only for" in text for text in texts)


def test_parameters_change_by_reload_or_restart(database: Local) -> None:
    started = database.query("postgres", "SELECT pg_postmaster_start_time()")
    _apply_server(database, parameters={"work_mem": "7MB"})
    assert database.query("postgres", "SELECT current_setting('work_mem')") == "7MB"
    assert database.query("postgres", "SELECT pg_postmaster_start_time()") == started
    _apply_server(database, parameters={"work_mem": "7MB", "max_connections": "55"})
    assert database.query("postgres", "SELECT current_setting('max_connections')") == "55"
    assert database.observe("postgres", SERVER)["parameters"] == {"work_mem": "7MB", "max_connections": "55"}
    assert "needs" not in database.observe("postgres", SERVER)


def test_a_change_that_was_cut_off_before_the_reload_takes_effect(database: Local) -> None:
    # The file is written, then txplan dies before it tells the server.
    server = Cluster(database.home, SERVER)
    server.configure(server.render(database.home.port(f"postgres/{SERVER}"), {"work_mem": "6MB"}))
    assert database.query("postgres", "SELECT current_setting('work_mem')") != "6MB"
    _apply_server(database, parameters={"work_mem": "6MB"})
    assert database.query("postgres", "SELECT current_setting('work_mem')") == "6MB"


@pytest.mark.parametrize(("parameters", "code"), [
    ({"work_memory": "7MB"}, "bad-parameter"), ({"work_mem": "much"}, "bad-parameter"),
    ({"work_mem": "7MB'\nport = '1"}, "bad-parameter"), ({"port": "5432"}, "reserved-parameter")])
def test_a_bad_parameter_is_refused_and_the_server_goes_on(database: Local, parameters: object, code: str) -> None:
    with pytest.raises(Refused) as refused:
        database.apply("postgres", **{**POSTGRES, "parameters": parameters})
    assert refused.value.diagnostics[0].code == code
    assert database.observe("postgres", SERVER) == POSTGRES
    assert database.query("postgres", "SELECT 1") == 1


def test_another_version_is_refused(database: Local) -> None:
    with pytest.raises(Refused) as refused:
        database.apply("postgres", **{**POSTGRES, "version": 9})
    assert refused.value.diagnostics[0].code == "postgres-version"


def test_a_file_changed_by_hand_is_seen_and_mended(database: Local) -> None:
    with Cluster(database.home, SERVER).configuration.open("a") as file:
        file.write("work_mem = '9MB'\n")
    assert database.observe("postgres", SERVER)["needs"] == ["configuration"]
    _apply_server(database)
    assert database.observe("postgres", SERVER) == POSTGRES


def test_rotated_secrets_are_seen_and_take_effect(database: Local) -> None:
    secrets = database.target.secrets
    assert secrets is not None
    secrets.set("postgres-admin", "another one")
    secrets.set("postgres-api", "yet another")
    assert database.observe("postgres", SERVER)["needs"] == ["admin-password"]
    assert database.target.resources["postgres"].ready(SERVER) is not None
    _apply_server(database)
    assert database.observe("database", DATABASE)["needs"] == ["login:bo_api"]
    with pytest.raises(Refused) as refused:
        database.query("bo_api", "SELECT 1")
    assert refused.value.diagnostics[0].code == "database-unreachable"
    database.apply("database", **TX_DATABASE)
    assert database.query("bo_api", "SELECT 1") == 1
    assert "needs" not in database.observe("database", DATABASE)


def test_a_vault_that_cannot_be_opened_hides_no_tags(database: Local) -> None:
    key = database.home.path / "keys" / "vault.key"
    content = key.read_bytes()
    key.unlink()
    try:
        assert database.observe("postgres", SERVER) == {**POSTGRES, "needs": ["vault"]}
        assert database.target.resources["postgres"].foreign(SERVER) is None
    finally:
        key.write_bytes(content)
        key.chmod(0o600)


def test_a_killed_server_comes_back_with_its_data(database: Local) -> None:
    database.query("bo_migrator", "CREATE TABLE kept AS SELECT 42 AS x")
    status = database.processes.status(SERVER)
    assert status is not None and status.pid is not None
    os.kill(status.pid, signal.SIGKILL)
    wait_for(lambda: database.target.database.reachable())  # type: ignore[union-attr]
    assert database.query("bo_migrator", "SELECT x FROM kept") == 42


def test_a_stopped_server_is_seen_and_started(database: Local) -> None:
    database.processes.stop(SERVER)
    assert database.observe("postgres", SERVER)["needs"] == ["start"]
    assert database.observe("database", DATABASE) == TX_DATABASE
    assert database.target.database is not None and not database.target.database.reachable()
    _apply_server(database)
    assert database.observe("postgres", SERVER) == POSTGRES


def test_a_port_taken_meanwhile_is_given_up(database: Local) -> None:
    port = database.home.port(f"postgres/{SERVER}")
    database.processes.stop(SERVER)
    with socket.create_server(("127.0.0.1", port)):
        _apply_server(database)
        assert database.home.port(f"postgres/{SERVER}") != port
        assert any(str(port) in note for note in database.notes)
        assert database.query("bo_api", "SELECT 1") == 1


def test_public_rights_are_seen_and_taken_back(database: Local) -> None:
    database.query("bo_migrator", f"GRANT CONNECT ON DATABASE {DATABASE} TO PUBLIC")
    assert database.observe("database", DATABASE)["needs"] == ["grants"]
    database.apply("database", **TX_DATABASE)
    assert database.observe("database", DATABASE) == TX_DATABASE


def test_a_deleted_database_goes_with_the_roles_that_it_brought(database: Local) -> None:
    database.query("bo_migrator", "CREATE ROLE bo_extra; CREATE TABLE owned (x int); GRANT SELECT ON owned TO bo_extra")
    type_ = database.target.resources["database"]
    type_.delete(DATABASE, database.context)
    type_.delete(DATABASE, database.context)
    assert type_.observe(DATABASE) is None
    assert database.query("postgres", "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'bo_%'") == 0


def test_a_half_made_cluster_is_made_again(local: Local) -> None:
    local.make_group()
    assert local.target.secrets is not None
    local.target.secrets.set("postgres-admin", "first")
    half = local.home.server_folder("postgres", SERVER) / "data.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    assert local.observe("postgres", SERVER) is None
    local.apply("postgres", **POSTGRES)
    wait_for(lambda: local.target.resources["postgres"].ready(SERVER) is None)
    leftovers = {path.name for path in Cluster(local.home, SERVER).folder.iterdir()}
    assert leftovers == {"data"}
    children = psutil.Process(local.processes.status(SERVER).pid).children()  # type: ignore[union-attr]
    type_ = local.target.resources["postgres"]
    type_.delete(SERVER, local.context)
    assert type_.observe(SERVER) is None
    assert not any(child.is_running() for child in children)
    assert not Cluster(local.home, SERVER).folder.exists()
