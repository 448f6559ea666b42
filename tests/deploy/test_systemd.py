"""The systemd units: systemd finds no fault with them, they are shut in, and what they run works."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import redis
from dockerfile import Image
from missing import needed
from processes import Limelight
from servers import wait_until
from starters import OwnRedis
from systemd_unit import FOLDER, Unit

from limelight import RedisQueue

pytestmark = pytest.mark.timeout(300)  # building the image may wait for a registry

EXPORTER, CONSUMER = "limelight-exporter.service", "limelight-consumer@.service"
WORST_EXPOSURE = {EXPORTER: 1.5, CONSUMER: 2.0}
APP = """
from limelight import RedisQueue

queue = RedisQueue("shop")


@queue.task()
def double(number):
    return 2 * number
"""


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    program = needed(shutil.which("systemd-analyze"), "systemd-analyze", "apt install systemd")
    return subprocess.run([program, *words], text=True, capture_output=True, check=False)


@pytest.mark.parametrize("name", [EXPORTER, CONSUMER])
def test_systemd_finds_no_fault_with_it(name: str, tmp_path: Path) -> None:
    unit = tmp_path / name.replace("@.", "@shop.")
    unit.write_text((FOLDER / name).read_text().replace("/opt/limelight/bin/limelight", sys.executable))
    done = analyze("verify", "--man=no", str(unit))
    assert done.returncode == 0, done.stderr
    assert not done.stderr.strip()


@pytest.mark.parametrize("name", [EXPORTER, CONSUMER])
def test_it_is_shut_in(name: str) -> None:
    done = analyze("security", "--offline=true", str(FOLDER / name))
    (exposure,) = re.findall(r"exposure level for \S+: ([\d.]+)", done.stdout)
    assert float(exposure) <= WORST_EXPOSURE[name], done.stdout


def test_systemd_waits_longer_than_a_consumer_does_for_its_tasks() -> None:
    unit = Unit(CONSUMER)
    assert int(unit.settings["TimeoutStopSec"][0]) > 25 + 5
    assert unit.settings["KillMode"] == ["mixed"], "worker processes are the consumer's to stop"


def test_the_exporters_settings_are_good_and_its_password_comes_from_the_credential(
    tmp_path: Path, image: Image
) -> None:
    (tmp_path / "redis-password").write_text("geheim\n")
    unit = Unit(EXPORTER, credentials=tmp_path)
    program, *words = unit.command(unit.environment())
    assert program == "/opt/limelight/bin/limelight"
    done = image.run(*words, "--check-config", **unit.environment())
    assert done.returncode == 0, done.stderr
    assert "localhost:6379/0 with a password" in done.stdout
    assert "geheim" not in done.stdout


def test_the_consumer_runs_tasks_with_the_password_from_the_credential(
    tmp_path: Path, own_redis: OwnRedis
) -> None:
    server = own_redis()
    with redis.Redis.from_url(server.url) as client:
        client.acl_setuser(
            "limelight-consumer",
            enabled=True,
            passwords=["+ge heim"],
            keys=["*"],
            channels=["*"],
            categories=["+@all"],
        )
        client.acl_setuser("default", enabled=False)
    (tmp_path / "redis-password").write_text("ge heim\n")
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/tasks.py").write_text(APP)
    unit = Unit(CONSUMER, instance="shop")
    (granted,) = [line.partition(":")[0] for line in unit.settings["LoadCredential"]]
    url = unit.environment()["LIMELIGHT_REDIS_URL"]
    assert url.endswith(f"/limelight-consumer@shop.service/{granted}"), "the folder is that of the unit"
    url = url.replace("localhost:6379", f"localhost:{server.port}").replace(
        "/run/credentials/limelight-consumer@shop.service", str(tmp_path)
    )
    environment = unit.environment(APPLICATION=str(tmp_path), LIMELIGHT_REDIS_URL=url)
    queue = RedisQueue("shop", url=url)
    handle = queue.task(name="double")(lambda number: 0)(21)
    with Limelight(*unit.command(environment)[1:], env=environment) as consumer:
        assert wait_until(lambda: consumer.process.poll() is None and handle.get(), 20) == 42
        assert consumer.stop()[0] == 0
