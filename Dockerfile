# The gateway as a container image.
#
#   docker build -t ownership-gateway .
#   docker run --rm --read-only --cap-drop ALL --security-opt no-new-privileges ownership-gateway serve --sandbox
#
# It listens where the gateway always listens unless told otherwise: on 127.0.0.1:8080. That is right for a sidecar,
# which shares its network with the game server. As a service of its own it needs OWNERSHIP_GATEWAY_HOST=0.0.0.0 and,
# because then others reach it, [[callers]] in the file that OWNERSHIP_GATEWAY_CONFIG names; without callers it
# refuses to start. The image leaves the choice to whoever runs it: an open port has to be asked for.
#
# Set host and port by variables or in the file, not by flags of `serve`: the health check cannot see flags.

# By tag, because a digest written here is only true for the day it was looked up; the release names the digest it was
# built on: --build-arg BASE_IMAGE=docker.io/library/python:3.13-slim@sha256:...
ARG BASE_IMAGE=docker.io/library/python:3.13-slim

# hadolint ignore=DL3006
FROM ${BASE_IMAGE} AS build
ENV UV_PROJECT_ENVIRONMENT=/opt/ownership-gateway \
    UV_PYTHON=python3 \
    UV_PYTHON_DOWNLOADS=never \
    UV_SYSTEM_CERTS=1 \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1 \
    UV_COMPILE_BYTECODE=1 \
    # Never compared with the source again: nothing changes in a read-only image, and its time stamps may be rewritten.
    PYC_INVALIDATION_MODE=UNCHECKED_HASH
WORKDIR /src
COPY .ci/uv.txt ./
RUN python3 -m venv /uv \
    && /uv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes --no-deps -r uv.txt

# What changes rarely comes first. The two packages left out make up test data; Litestar names them as requirements, and
# needs them only to invent examples for an OpenAPI page that the gateway does not have.
COPY pyproject.toml uv.lock ./
RUN /uv/bin/uv sync --locked --no-dev --no-install-project \
        --no-install-package faker --no-install-package polyfactory

# The lock does not cover what a wheel is built with, so `uv sync` would fetch the newest; build.txt pins it by hash.
COPY deploy/image/build.txt README.md LICENSE ./
COPY service service
RUN /uv/bin/uv build --wheel --build-constraints build.txt --require-hashes --out-dir /wheel \
    && /uv/bin/uv pip install --python "$UV_PROJECT_ENVIRONMENT" --no-deps /wheel/*.whl \
    # uv leaves its lock behind, which everybody could write to.
    && rm -f "$UV_PROJECT_ENVIRONMENT/.lock"

# hadolint ignore=DL3006
FROM ${BASE_IMAGE}
ARG BASE_IMAGE
ARG VERSION=0.0.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
# The address below which this project can be read, and its repository; empty where there is none.
ARG LINKS_BASE_URL=
ARG SOURCE=${LINKS_BASE_URL}
LABEL org.opencontainers.image.title="ownership-gateway" \
      org.opencontainers.image.description="Answers one question for game servers: does this player own the game on itch.io?" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.url="${LINKS_BASE_URL}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.base.name="${BASE_IMAGE}"

COPY --from=build /opt/ownership-gateway /opt/ownership-gateway
COPY --chmod=0444 deploy/image/healthcheck.py /opt/ownership-gateway/healthcheck.py
ENV PATH=/opt/ownership-gateway/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1

# A number, so that Kubernetes can see that it is not root; no user of that number needs to exist.
USER 65532:65532
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
    CMD ["/opt/ownership-gateway/bin/python", "/opt/ownership-gateway/healthcheck.py"]
ENTRYPOINT ["/opt/ownership-gateway/bin/ownership-gateway"]
CMD ["serve"]
