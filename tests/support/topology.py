"""Several Redis servers that belong together: a Cluster, or a master with replicas and Sentinels."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import redis
from certificates import Authority, tls_options
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.retry import Retry
from servers import free_port, wait_until

from limelight.embedded import bound_to_parent

__all__ = ["Cluster", "Node", "SentinelGroup", "low_port", "replica_of"]

_HOST: Final = "127.0.0.1"
_SLOTS: Final = 16_384
_HIGHEST_PORT: Final = 55_535
"""A Cluster's bus listens 10,000 ports higher."""


def low_port() -> int:
    """A free port that leaves room for a Cluster's bus."""
    while (port := free_port()) > _HIGHEST_PORT:
        pass
    return port


class Node:
    """One server process, to be killed and started again on its port.

    Args:
        binary: The server.
        folder: Its own; made if it is not there.
        options: Words of its command line, after ``--port``.
        port: Where it listens; any free one by default.
        sentinel: Whether it is a Sentinel; `options` are then lines of its configuration.
        password: What it wants.
        tls: Signs a certificate with which it also listens at `tls_port`, and talks to others of its kind.
    """

    def __init__(
        self,
        binary: Path,
        folder: Path,
        options: Sequence[str] = (),
        *,
        port: int = 0,
        sentinel: bool = False,
        password: str | None = None,
        tls: Authority | None = None,
    ) -> None:
        self.password = password
        self.port = port or low_port()
        self.tls_port = low_port() if tls else 0
        options = [*options, *(self._tls_words(tls, sentinel=sentinel) if tls else ())]
        self._folder = folder
        self._log = folder / "log"
        words = [*("--port", str(self.port)), *("--bind", _HOST), *("--dir", str(folder)), *("--save", "")]
        self._command = [str(binary), *words, *options]
        folder.mkdir(parents=True, exist_ok=True)
        if sentinel:
            configuration = folder / "sentinel.conf"
            lines = [f"port {self.port}", f"bind {_HOST}", f"dir {folder}", *options]
            configuration.write_text("\n".join(lines) + "\n")
            self._command = [str(binary), str(configuration), "--sentinel"]
        self._process: subprocess.Popen[bytes] | None = None

    def _tls_words(self, authority: Authority, *, sentinel: bool) -> Sequence[str]:
        words = tls_options(self.tls_port, authority.server(_HOST), authority)
        words += ["--tls-replication", "yes", *(() if sentinel else ("--tls-cluster", "yes"))]
        pairs = zip(words[::2], words[1::2], strict=True)
        return [f"{name[2:]} {value}" for name, value in pairs] if sentinel else words

    @property
    def place(self) -> str:
        """Host and port."""
        return f"{_HOST}:{self.port}"

    @property
    def client(self) -> redis.Redis:
        """A client that repeats nothing."""
        return redis.Redis(
            port=self.port, password=self.password, retry=Retry(NoBackoff(), 0), socket_timeout=5
        )

    def start(self) -> Self:
        """Start it; returns when it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                bound_to_parent(self._command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
            )
        wait_until(self._answers, 15, f"Redis at {self.place}, see {self._log}")
        return self

    @property
    def role(self) -> str:
        """``master`` or ``slave``, "" if it does not say."""
        with contextlib.suppress(redis.exceptions.RedisError):
            return _text(self.client.execute_command("ROLE")[0])
        return ""

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()[-2_000:]
        try:
            return bool(self.client.ping())
        except redis.exceptions.AuthenticationError:
            return True
        except (redis.exceptions.RedisError, OSError):
            return False

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


class _Group:
    """Processes that end with the block."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for node in self.nodes:
            node.kill()


class Cluster(_Group):
    """Three masters that share the slots evenly, each with so many replicas; ready when it is made.

    Args:
        binary: The server.
        folder: An empty one.
        replicas: Per master.
        options: More of each node's command line.
        tls: Signs a certificate, with which nodes also listen at `tls_url`, and talk to each other.
    """

    def __init__(
        self,
        binary: Path,
        folder: Path,
        *,
        replicas: int = 0,
        options: Sequence[str] = (),
        tls: Authority | None = None,
    ) -> None:
        super().__init__()
        words = [*("--cluster-enabled", "yes"), *("--cluster-node-timeout", "1000")]
        words += ["--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0", *options]
        try:
            for number in range(3 * (1 + replicas)):
                home = folder / str(number)
                own = ["--cluster-config-file", f"{home}/nodes.conf"]
                self.nodes.append(Node(binary, home, [*words, *own], tls=tls).start())
            self._join()
        except BaseException:
            self.__exit__(None, None, None)
            raise

    @property
    def url(self) -> str:
        """As `RedisQueue` takes it."""
        return f"redis+cluster://{','.join(node.place for node in self.nodes)}"

    @property
    def tls_url(self) -> str:
        """The same, over TLS."""
        return f"rediss+cluster://{','.join(f'{_HOST}:{node.tls_port}' for node in self.nodes)}"

    def _join(self) -> None:
        masters, replicas = self.nodes[:3], self.nodes[3:]
        for number, master in enumerate(masters):
            first, last = (_SLOTS * at // 3 for at in (number, number + 1))
            master.client.execute_command("CLUSTER ADDSLOTS", *range(first, last))
            master.client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
        for node in self.nodes[1:]:
            node.client.execute_command("CLUSTER MEET", _HOST, masters[0].tls_port or masters[0].port)
        wait_until(lambda: all(self._known(node) == len(self.nodes) for node in self.nodes), 20, "nodes met")
        for number, replica in enumerate(replicas):
            replica.client.execute_command("CLUSTER REPLICATE", self.id_of(masters[number % 3]))
        wait_until(lambda: all(self.is_ok(node) for node in self.nodes), 20, "cluster ok")
        wait_until(lambda: all(_in_sync(replica, masters) for replica in replicas), 20, "replicas in sync")

    def is_ok(self, node: Node) -> bool:
        """Whether a node finds the Cluster in order."""
        told = node.client.execute_command("CLUSTER INFO")
        return told.get("cluster_state") == "ok"

    def _known(self, node: Node) -> int:
        return len(node.client.execute_command("CLUSTER NODES"))

    def id_of(self, node: Node) -> str:
        """The name of a node among nodes."""
        return _text(node.client.execute_command("CLUSTER MYID"))

    def owner(self, key: str) -> Node:
        """The master that has a key, as the others see it."""
        slot = key_slot(key.encode())
        for node in self.nodes:
            try:
                ranges = node.client.execute_command("CLUSTER", "SLOTS")  # as it is, not as redis-py tells it
            except redis.exceptions.ConnectionError:
                continue
            for first, last, master, *_ in ranges:
                if first <= slot <= last:
                    return next(one for one in self.nodes if one.port == master[1])
        raise AssertionError(f"nobody serves slot {slot}")

    def migrate(self, key: str, target: Node, *, seconds: float = 0.0) -> None:
        """Move the slot of a key, key by key, taking at least so long between beginning and end."""
        slot, source = key_slot(key.encode()), self.owner(key)
        target.client.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", self.id_of(source))
        source.client.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", self.id_of(target))
        deadline = time.monotonic() + seconds
        while True:
            keys = source.client.execute_command("CLUSTER GETKEYSINSLOT", slot, 10)
            if keys:
                source.client.execute_command("MIGRATE", _HOST, target.port, "", 0, 5_000, "KEYS", *keys)
            elif time.monotonic() >= deadline:
                break
        for node in (target, source, *self.nodes):
            node.client.execute_command("CLUSTER SETSLOT", slot, "NODE", self.id_of(target))


class SentinelGroup(_Group):
    """A master with a replica, and three Sentinels that fail over within seconds; ready when it is made.

    Args:
        binary: The server.
        folder: An empty one.
        options: More of the command line of master and replica.
        sentinel_options: More lines of the Sentinels' configuration.
        passwords: What the servers and what the Sentinels want, where these say so.
        tls: As for a `Cluster`.
    """

    SERVICE: Final = "shop"

    def __init__(
        self,
        binary: Path,
        folder: Path,
        *,
        options: Sequence[str] = (),
        sentinel_options: Sequence[str] = (),
        passwords: tuple[str | None, str | None] = (None, None),
        tls: Authority | None = None,
    ) -> None:
        super().__init__()
        try:
            words = ["--repl-diskless-sync-delay", "0", *options]
            self.master = self._started(
                Node(binary, folder / "master", words, password=passwords[0], tls=tls)
            )
            master_port = self.master.tls_port or self.master.port
            words += ["--replicaof", _HOST, str(master_port)]
            self.replica = self._started(
                Node(binary, folder / "replica", words, password=passwords[0], tls=tls)
            )
            lines = [
                f"sentinel monitor {self.SERVICE} {_HOST} {master_port} 2",
                f"sentinel down-after-milliseconds {self.SERVICE} 800",
                f"sentinel failover-timeout {self.SERVICE} 5000",
                *sentinel_options,
            ]
            self.sentinels = [
                self._started(
                    Node(
                        binary,
                        folder / f"sentinel{number}",
                        lines,
                        sentinel=True,
                        password=passwords[1],
                        tls=tls,
                    )
                )
                for number in range(3)
            ]
            wait_until(self._is_ready, 30, "Sentinels know each other and the replica")
            wait_until(lambda: _in_sync(self.replica, [self.master]), 20, "the replica in sync")
        except BaseException:
            self.__exit__(None, None, None)
            raise

    @property
    def url(self) -> str:
        """As `RedisQueue` takes it."""
        return f"redis+sentinel://{','.join(node.place for node in self.sentinels)}/{self.SERVICE}/0"

    @property
    def tls_url(self) -> str:
        """The same, over TLS."""
        places = ",".join(f"{_HOST}:{node.tls_port}" for node in self.sentinels)
        return f"rediss+sentinel://{places}/{self.SERVICE}/0"

    def _started(self, node: Node) -> Node:
        self.nodes.append(node)
        return node.start()

    def _is_ready(self) -> bool:
        states = [self.state_at(node) for node in self.sentinels]
        return all(state["num-other-sentinels"] == 2 and state["num-slaves"] == 1 for state in states)

    def state_at(self, sentinel: Node) -> Any:
        """What a Sentinel knows of the master."""
        return sentinel.client.sentinel_master(self.SERVICE)

    def wait_for_failover(self, seconds: float = 20) -> None:
        """Return when every Sentinel names the replica as master."""
        wait_until(
            lambda: all(self.state_at(node)["port"] == self.replica.port for node in self.sentinels),
            seconds,
            "failover",
        )


def replica_of(master: Node, binary: Path, folder: Path) -> Node:
    """A replica that has all its master has."""
    words = ["--repl-diskless-sync-delay", "0", "--replicaof", _HOST, str(master.port)]
    replica = Node(binary, folder, words).start()
    wait_until(lambda: _in_sync(replica, [master]), 20, "the replica in sync")
    return replica


def _in_sync(replica: Node, masters: Sequence[Node]) -> bool:
    """Whether a replica really receives: a fresh one says `up` before its master sends it anything."""
    told = replica.client.info("replication")
    if told.get("master_link_status") != "up":
        return False
    master_port = int(told["master_port"])
    with next(node for node in masters if master_port in {node.port, node.tls_port}).client as master:
        for number in range(100):  # the master of a Cluster takes only some keys
            with contextlib.suppress(redis.exceptions.ResponseError):
                master.set(f"test-sync{number}", 1, px=1)
                break
        return bool(master.execute_command("WAIT", 1, 2_000))


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
