# One image for the consumer and the exporter: `docker build --tag limelight:0.1.0 .`
# The base image stands in deploy/images.yaml; `make generate` writes it here.
FROM docker.io/library/python:3.13-slim AS build
WORKDIR /src

# What is locked changes seldom, so it goes first: a new version of ours does not install the rest again.
COPY deploy/build-requirements.txt deploy/requirements.txt deploy/
RUN python -m venv /opt/build \
    && python -m venv --without-pip /opt/limelight \
    && /opt/build/bin/pip install --no-cache-dir --require-hashes --requirement deploy/build-requirements.txt \
    && /opt/build/bin/pip --python /opt/limelight/bin/python install --no-cache-dir --require-hashes --requirement deploy/requirements.txt

COPY pyproject.toml README.md LICENSE ./
COPY queue queue
COPY exporter exporter
RUN /opt/build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /opt/wheels . \
    && /opt/build/bin/pip --python /opt/limelight/bin/python install --no-cache-dir --no-index --no-deps /opt/wheels/*.whl



FROM docker.io/library/python:3.13-slim
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Limelight" \
      org.opencontainers.image.description="A Redis task queue whose every task is in the light: consumer and exporter." \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

COPY --from=build /opt/limelight /opt/limelight

# A container is reached from outside or not at all, so the exporter listens on all addresses. Nothing is written.
ENV PATH="/opt/limelight/bin:${PATH}" \
    PYTHONUNBUFFERED="1" \
    PYTHONDONTWRITEBYTECODE="1" \
    LIMELIGHT_HOST="0.0.0.0"

# Your application goes here: `FROM limelight:0.1.0`, `COPY app /app/app`.
WORKDIR /app

# A number, because Kubernetes' runAsNonRoot cannot tell whether a name is root.
USER 65532:65532
EXPOSE 9898

# Of the exporter, over plain HTTP; a consumer is asked by its --alive-file (docs/deployment.md).
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:%s/-/healthy' % os.environ.get('LIMELIGHT_PORT', '9898'), timeout=4)"]

ENTRYPOINT ["limelight"]
CMD ["exporter"]
