"""The Helm chart: rendered by Helm, held against the schemas of what it makes, and against what it promises."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import crds
import jsonschema
import pytest
import yaml
from dockerfile import ROOT
from missing import missing, needed

CHART = ROOT / "deploy/helm/limelight"
CASES = ("default", "small", "everything")
KUBERNETES = ("1.29", "1.36")
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
WORKLOADS = {"Deployment", "Pod"}
Object = dict[str, Any]
Render = Callable[[Object], list[Object]]


def values_of(case: str) -> Object:
    if case == "default":
        return {}
    given: Object = yaml.safe_load((CHART / f"ci/{case}-values.yaml").read_text(encoding="utf-8"))
    return given


@pytest.fixture(scope="module")
def helm() -> Any:
    if importlib.util.find_spec("helm_python") is None:
        missing("helm was not found; to run this test: pip install '.[chart]'")
    import helm_python.chart

    return helm_python.chart


@pytest.fixture(scope="module")
def render(helm: Any) -> Iterator[Render]:
    """Renders the chart with values: the objects that it would make."""
    with helm.Chart.load(str(CHART)) as chart:

        @cache
        def rendered(values: str) -> list[Object]:
            given = json.loads(values)
            chart.validate_schema(given)
            texts = chart.render(given, name="shop", namespace="prod")
            made = (yaml.load_all(text, LOADER) for path, text in texts.items() if path.endswith(".yaml"))
            return [one for documents in made for one in documents if one]

        yield lambda values: rendered(json.dumps(values))


def of_kind(objects: list[Object], *kinds: str) -> list[Object]:
    return [one for one in objects if one["kind"] in kinds]


def pods(objects: list[Object]) -> list[Object]:
    """Metadata and spec of everything that runs."""
    return [
        one["spec"]["template"] if one["kind"] == "Deployment" else one
        for one in of_kind(objects, *WORKLOADS)
    ]


def fits(labels: Object, selector: Object) -> bool:
    return labels.items() >= selector.items()


@pytest.mark.parametrize("case", CASES)
def test_helm_finds_no_fault_with_it(helm: Any, case: str) -> None:
    report = helm.lint(str(CHART), values_of(case), strict=True)
    assert not report["errors"], report
    assert all(one["severity"] < 2 for one in report["messages"]), report


@pytest.mark.parametrize("case", CASES)
def test_everything_it_makes_keeps_its_schema(render: Render, case: str) -> None:
    if importlib.util.find_spec("kubernetes_validate") is None:
        missing("kubernetes-validate was not found; to run this test: pip install '.[chart]'")
    import kubernetes_validate

    for made in render(values_of(case)):
        if made["kind"] in crds.VERSIONS:
            jsonschema.validate(made, crds.schema(made["kind"]))
            continue
        for version in KUBERNETES:
            kubernetes_validate.validate(made, version, strict=True)


@pytest.mark.parametrize("case", CASES)
def test_no_two_objects_have_one_name(render: Render, case: str) -> None:
    named = [(made["kind"], made["metadata"]["name"]) for made in render(values_of(case))]
    assert len(set(named)) == len(named)
    assert all(re.fullmatch(r"[a-z0-9-]{1,63}", name) for _, name in named)


@pytest.mark.parametrize("case", CASES)
def test_every_container_is_locked_in_and_says_what_it_needs(render: Render, case: str) -> None:
    for pod in pods(render(values_of(case))):
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] == 65532, "the image's user"
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
            assert "memory" in container["resources"]["limits"]
            assert "cpu" not in container["resources"]["limits"], "throttling looks like a slow Redis"
            assert not container["image"].endswith(":latest")


@pytest.mark.parametrize("case", CASES)
def test_whatever_selects_pods_finds_them(render: Render, case: str) -> None:
    objects = render(values_of(case))
    labels = [pod["metadata"]["labels"] for pod in pods(objects)]
    for one in of_kind(objects, "Deployment", "PodDisruptionBudget"):
        assert sum(fits(found, one["spec"]["selector"]["matchLabels"]) for found in labels) == 1, one[
            "metadata"
        ]
    for one in of_kind(objects, "NetworkPolicy"):
        assert sum(fits(found, one["spec"]["podSelector"]["matchLabels"]) for found in labels) == 1
    services = of_kind(objects, "Service")
    for one in services:
        assert sum(fits(found, one["spec"]["selector"]) for found in labels) == 1
    for one in of_kind(objects, "ServiceMonitor"):
        (service,) = [
            found
            for found in services
            if fits(found["metadata"]["labels"], one["spec"]["selector"]["matchLabels"])
        ]
        ports = {port["name"] for port in service["spec"]["ports"]}
        assert {endpoint["port"] for endpoint in one["spec"]["endpoints"]} <= ports


@pytest.mark.parametrize("case", CASES)
def test_mounts_and_volumes_belong_together(render: Render, case: str) -> None:
    for pod in pods(render(values_of(case))):
        volumes = {volume["name"] for volume in pod["spec"].get("volumes", [])}
        mounted = {
            mount["name"] for one in pod["spec"]["containers"] for mount in one.get("volumeMounts", [])
        }
        assert mounted == volumes


def test_two_exporters_are_two_endpoints(render: Render) -> None:
    """One address in front of two would give counters that go back and forth."""
    (service,) = of_kind(render(values_of("everything")), "Service")
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True


def test_an_exporter_is_alive_without_redis_and_ready_only_with_it(render: Render) -> None:
    for case, scheme in (("default", "HTTP"), ("everything", "HTTPS")):
        (exporter,) = [
            pod for pod in pods(render(values_of(case))) if pod["spec"]["containers"][0]["name"] == "exporter"
        ]
        (container,) = exporter["spec"]["containers"]
        assert container["livenessProbe"]["httpGet"] == {
            "path": "/-/healthy",
            "port": "metrics",
            "scheme": scheme,
        }
        assert container["readinessProbe"]["httpGet"]["path"] == "/-/ready"


def test_a_consumer_has_longer_to_stop_than_it_takes(render: Render) -> None:
    for pod in pods(render(values_of("everything"))):
        (container,) = pod["spec"]["containers"]
        if container["name"] == "consumer":
            (own,) = [
                int(word.partition("=")[2])
                for word in container["args"]
                if word.startswith("--shutdown-timeout")
            ]
            assert pod["spec"]["terminationGracePeriodSeconds"] >= own + 10


def test_commands_are_those_of_the_image(render: Render) -> None:
    """Each container's words are taken by `limelight` itself, up to the point where it would begin."""
    from command_line import limelight

    for pod in pods(render(values_of("everything"))):
        for container in pod["spec"]["containers"]:
            if words := container.get("args"):
                known = limelight(words[0], "--help").out
                flags = {word.partition("=")[0] for word in words if word.startswith("--")}
                assert all(flag in known for flag in flags), flags


def test_a_password_is_a_file_and_never_a_word(render: Render) -> None:
    objects = render(values_of("everything"))
    assert not of_kind(objects, "Secret"), "secrets exist already; the chart makes none"
    for pod in pods(objects):
        (container,) = pod["spec"]["containers"]
        for variable in container.get("env", []):
            if variable["name"] == "LIMELIGHT_REDIS_URL" and "value" in variable:
                assert variable["value"].endswith("password_file=/etc/limelight/redis/password")
                assert "/etc/limelight/redis" in {mount["mountPath"] for mount in container["volumeMounts"]}


def test_a_changed_configuration_rolls_the_exporter(render: Render) -> None:
    def annotation(values: Object) -> str:
        (deployment,) = of_kind(render(values), "Deployment")
        return str(deployment["spec"]["template"]["metadata"]["annotations"]["checksum/config"])

    assert annotation({}) != annotation({"exporter": {"config": {"limits": {"tasks": 7}}}})


def test_consumers_that_scale_have_no_number_of_replicas(render: Render) -> None:
    objects = render(values_of("everything"))
    scaled = {
        one["spec"]["scaleTargetRef"]["name"]
        for one in of_kind(objects, "ScaledObject", "HorizontalPodAutoscaler")
    }
    assert len(scaled) == 2
    for one in of_kind(objects, "Deployment"):
        assert ("replicas" in one["spec"]) is (one["metadata"]["name"] not in scaled)


def test_a_prometheus_that_does_not_answer_is_no_empty_queue(render: Render) -> None:
    (scaled,) = of_kind(render(values_of("everything")), "ScaledObject")
    assert scaled["spec"]["fallback"]["replicas"] > 0
    queries = [trigger["metadata"]["query"] for trigger in scaled["spec"]["triggers"]]
    assert len(queries) == 3
    assert all(trigger["metadata"]["ignoreNullValues"] == "false" for trigger in scaled["spec"]["triggers"])
    assert not [query for query in queries if "vector(" in query], "which has a value whatever happens"
    assert any("oldest_due" in query for query in queries), "a task that is due must wake a consumer"


def promtool(*words: str, folder: Path) -> None:
    program = needed(shutil.which("promtool"), "promtool", "apt install prometheus")
    done = subprocess.run([program, *words], cwd=folder, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_queries_of_the_autoscaler_give_one_number_busy_idle_and_unscraped(
    render: Render, tmp_path: Path
) -> None:
    (scaled,) = of_kind(render(values_of("everything")), "ScaledObject")
    ready, due, tasks = [trigger["metadata"]["query"] for trigger in scaled["spec"]["triggers"]]
    mail = 'job="limelight-shop",queue="mail"'
    gauges = {
        f'limelight_queue_tasks{{{mail},instance="{instance}",state="{state}"}}': values
        for instance in "ab"
        for state, values in {"ready": "0x9 7x10 stale", "running": "0x9 2x10 stale"}.items()
    }
    since = {f'limelight_queue_oldest_ready_timestamp_seconds{{{mail},instance="a"}}': "_x9 540x10 stale"}
    later = {f'limelight_queue_oldest_due_timestamp_seconds{{{mail},instance="a"}}': "1500x19 stale"}
    moments = {"5m": (0, 0, 0), "15m": (360, 0, 9), "19m": (600, 0, 9), "25m": (None, None, None)}
    checks = [
        {
            "expr": query,
            "eval_time": at,
            "exp_samples": [] if value is None else [{"labels": "{}", "value": value}],
        }
        for at, values in moments.items()
        for query, value in zip((ready, due, tasks), values, strict=True)
    ]
    series = [{"series": name, "values": values} for name, values in {**gauges, **since, **later}.items()]
    case = {"interval": "1m", "input_series": series, "promql_expr_test": checks}
    (tmp_path / "case.yaml").write_text(json.dumps({"evaluation_interval": "1m", "tests": [case]}))
    promtool("test", "rules", "case.yaml", folder=tmp_path)


PAGE = (ROOT / "docs/kubernetes.md").read_text(encoding="utf-8")
EXAMPLE, ADAPTER = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]


def test_the_pages_example_is_good(render: Render) -> None:
    kinds = {one["kind"] for one in render(EXAMPLE)}
    assert {"Deployment", "ScaledObject", "ServiceMonitor", "PrometheusRule", "NetworkPolicy"} <= kinds


def test_the_pages_rules_of_the_adapter_serve_what_the_autoscaler_asks_for(
    render: Render, tmp_path: Path
) -> None:
    (scaler,) = of_kind(render(values_of("everything")), "HorizontalPodAutoscaler")
    asked = {metric["external"]["metric"]["name"] for metric in scaler["spec"]["metrics"]}
    rules = {rule["name"]["as"]: rule["metricsQuery"] for rule in ADAPTER["externalRules"]}
    assert rules.keys() == asked
    queries = [query.replace("<<.LabelMatchers>>", 'queue="reports"') for query in rules.values()]
    group = {"name": "adapter", "rules": [{"record": "a", "expr": query} for query in queries]}
    (tmp_path / "adapter.yaml").write_text(json.dumps({"groups": [group]}))
    promtool("check", "rules", "adapter.yaml", folder=tmp_path)


def test_rules_arrive_as_they_are_but_for_their_links(render: Render, tmp_path: Path) -> None:
    rules = of_kind(render(values_of("everything")), "PrometheusRule")
    sources = sorted((ROOT / "deploy/prometheus").glob("*.rules.yaml"))
    assert len(rules) == len(sources) > 0
    text = "".join(source.read_text(encoding="utf-8") for source in sources)
    for number, rule in enumerate(rules):
        (tmp_path / f"{number}.yaml").write_text(yaml.safe_dump(rule["spec"]))
        promtool("check", "rules", f"{number}.yaml", folder=tmp_path)
    rendered = json.dumps([rule["spec"] for rule in rules])
    assert rendered.count("{{ $") == text.count("{{ $") > 0
    assert "localhost" not in rendered
    assert "https://grafana.example.org/d/limelight-" in rendered
    assert "https://docs.example.org/runbooks/" in rendered


def test_dashboards_arrive_as_they_are(render: Render) -> None:
    made = [
        one
        for one in of_kind(render(values_of("everything")), "ConfigMap")
        if "grafana_dashboard" in one["metadata"]["labels"]
    ]
    arrived = {name: text for one in made for name, text in one["data"].items()}
    assert arrived == {
        path.name: path.read_text(encoding="utf-8") for path in (ROOT / "grafana/dashboards").glob("*.json")
    }
    assert arrived
    assert all(len(text) < 900_000 for text in arrived.values()), "a ConfigMap holds 1 MiB"


def test_the_charts_copies_are_fresh() -> None:
    done = subprocess.run(
        [sys.executable, "deploy/chart_files.py", "--check"],
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "wrong",
    [
        {"exporter": {"replica": 2}},
        {"consumers": [{"name": "mail"}]},
        {"consumers": [{"name": "Mail", "queues": ["app:mail"]}]},
        {"consumers": [{"name": "mail", "queues": ["app:mail; rm"]}]},
        {"image": {"tag": "latest"}},
        {"redis": {"url": "http://redis"}},
        {"redis": {"password": "geheim"}},
        {"serviceMonitor": {"job": "shop"}},
        {"exporter": {"config": {"bucket": [1]}}},
    ],
)
def test_values_that_cannot_be_meant_are_refused(render: Render, wrong: Object) -> None:
    with pytest.raises(Exception, match=r"- at '/"):
        render(wrong)


@pytest.mark.parametrize(
    ("scaling", "told"),
    [
        ({"kind": "keda"}, "autoscaling.queues must name the queues"),
        ({"kind": "hpa", "queues": ["mail"], "minReplicas": 0}, "keda can start from 0"),
    ],
)
def test_an_autoscaler_without_what_it_needs_is_refused(render: Render, scaling: Object, told: str) -> None:
    with pytest.raises(Exception, match=told):
        render({"consumers": [{"name": "mail", "queues": ["app:mail"], "autoscaling": scaling}]})


def test_an_image_of_ones_own_needs_a_tag_of_its_own(render: Render) -> None:
    mine = {"name": "mail", "queues": ["app:mail"], "image": {"repository": "registry.example.org/shop"}}
    with pytest.raises(Exception, match=r"consumers mail: image.repository is given, so image.tag"):
        render({"consumers": [mine]})


def test_every_value_is_in_the_schema_and_explained(helm: Any) -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    assert values.keys() == schema["properties"].keys()
    for name in ("exporter", "consumerDefaults", "serviceMonitor", "prometheusRule", "networkPolicy"):
        assert values[name].keys() == schema["properties"][name]["properties"].keys(), name
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert f'version = "{chart["appVersion"]}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
