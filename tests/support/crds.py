"""What our chart may say in objects of the Prometheus operator and of KEDA, as JSON schemas.

Kubernetes' own schemas do not have these kinds. Only the fields that the chart uses are here, named and typed as in the
operators' API references (monitoring.coreos.com/v1, keda.sh/v1alpha1); anything else is refused, a misspelt field too.
"""

from __future__ import annotations

from typing import Any, Final

Schema = dict[str, Any]
_TEXT: Final[Schema] = {"type": "string"}
_NUMBER: Final[Schema] = {"type": "integer"}
_FLAG: Final[Schema] = {"type": "boolean"}
_TEXTS: Final[Schema] = {"type": "object", "additionalProperties": _TEXT}
_DURATION: Final[Schema] = {"type": "string", "pattern": r"^(0|([0-9]+(y|w|d|h|m|s|ms))+)$"}


def _object(*required: str, **properties: Schema) -> Schema:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(required),
        "properties": properties,
    }


def _list(items: Schema) -> Schema:
    return {"type": "array", "minItems": 1, "items": items}


_KEY: Final = _object("name", "key", name=_TEXT, key=_TEXT)
_RULE: Final[Schema] = {
    **_object(
        "expr",
        record=_TEXT, alert=_TEXT, expr=_TEXT, labels=_TEXTS, annotations=_TEXTS,
        **{"for": _DURATION, "keep_firing_for": _DURATION},
    ),
    "oneOf": [{"required": ["record"]}, {"required": ["alert"]}],
}  # fmt: skip
_ENDPOINT: Final = _object(
    "port",
    port=_TEXT, scheme={"enum": ["http", "https"]}, interval=_DURATION, scrapeTimeout=_DURATION, honorLabels=_FLAG,
    relabelings=_list(_object(action=_TEXT, targetLabel=_TEXT, replacement=_TEXT)), tlsConfig={"type": "object"},
    basicAuth=_object("username", "password", username=_KEY, password=_KEY),
)  # fmt: skip
_TRIGGER: Final = _object(
    "type", "metadata",
    type=_TEXT, metricType={"enum": ["AverageValue", "Value"]},
    metadata={
        **_object(
            "serverAddress", "query", "threshold",
            serverAddress=_TEXT, query=_TEXT, threshold=_TEXT, activationThreshold=_TEXT, ignoreNullValues=_TEXT,
        ),
    },
)  # fmt: skip
_BEHAVIOUR: Final = _object(
    policies=_list(
        _object("type", "value", "periodSeconds", type=_TEXT, value=_NUMBER, periodSeconds=_NUMBER)
    ),
    stabilizationWindowSeconds=_NUMBER,
)
_BEHAVIOURS: Final = _object(scaleUp=_BEHAVIOUR, scaleDown=_BEHAVIOUR)
_SPECS: Final = {
    "ServiceMonitor": _object(
        "selector", "endpoints",
        selector=_object(matchLabels=_TEXTS), endpoints=_list(_ENDPOINT), sampleLimit=_NUMBER,
    ),
    "PrometheusRule": _object(
        "groups", groups=_list(_object("name", "rules", name=_TEXT, interval=_DURATION, rules=_list(_RULE)))
    ),
    "ScaledObject": _object(
        "scaleTargetRef", "triggers",
        scaleTargetRef=_object("name", name=_TEXT), minReplicaCount=_NUMBER, maxReplicaCount=_NUMBER,
        pollingInterval=_NUMBER, cooldownPeriod=_NUMBER, triggers=_list(_TRIGGER),
        fallback=_object("failureThreshold", "replicas", failureThreshold=_NUMBER, replicas=_NUMBER),
        advanced=_object(horizontalPodAutoscalerConfig=_object(behavior=_BEHAVIOURS)),
    ),
}  # fmt: skip
VERSIONS: Final = {
    "ServiceMonitor": "monitoring.coreos.com/v1",
    "PrometheusRule": "monitoring.coreos.com/v1",
    "ScaledObject": "keda.sh/v1alpha1",
}


def schema(kind: str) -> Schema:
    """The schema of an object of that kind."""
    metadata = _object("name", "labels", name=_TEXT, labels=_TEXTS, annotations=_TEXTS)
    return _object(
        "apiVersion", "kind", "metadata", "spec",
        apiVersion={"const": VERSIONS[kind]}, kind={"const": kind}, metadata=metadata, spec=_SPECS[kind],
    )  # fmt: skip
