"""The floor plan holds: what may import what, and what must not stand where."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_floors_hold() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_python_in_the_root_finds_the_standard_librarys_queue() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import queue; queue.Empty; print(queue.__file__)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(ROOT) not in done.stdout


def test_no_package_hides_another() -> None:
    assert not (ROOT / "queue" / "__init__.py").exists()
    assert not (ROOT / "tests" / "queue").exists()
    assert not list((ROOT / "tests").rglob("__init__.py"))


def test_both_packages_ship_their_types() -> None:
    for package in ("queue/limelight", "exporter/limelight_exporter"):
        assert (ROOT / package / "py.typed").exists()


def test_the_queue_runs_where_neither_the_exporter_nor_opentelemetry_is_installed() -> None:
    code = (
        "import sys\n"
        "for name in ('limelight_exporter', 'opentelemetry', 'prometheus_client', 'uvicorn'):\n"
        "    sys.modules[name] = None\n"
        "import limelight, limelight.consumer, limelight.cli.consumer\n"
        "print(limelight.RedisQueue('mail').parcel(limelight.Task(options="
        "limelight.RedisQueue('mail').task()(len).options)).name)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "len", done.stderr


def test_nothing_is_imported_inside_a_function_and_no_star_is() -> None:
    import ast

    inside = []
    for root in ("queue", "exporter"):
        for path in (ROOT / root).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for function in ast.walk(tree):
                if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                    inside += [
                        f"{path}:{node.lineno}"
                        for node in ast.walk(function)
                        if isinstance(node, ast.Import | ast.ImportFrom)
                    ]
    assert not inside


def test_no_class_of_ours_is_a_thread() -> None:
    """Thread's own attributes differ between Pythons (3.13 has a `_handle`); a subclass may shadow one."""
    import ast

    threads = [
        f"{path}:{node.lineno}"
        for root in ("queue", "exporter")
        for path in (ROOT / root).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base).endswith("Thread") for base in node.bases)
    ]
    assert not threads
