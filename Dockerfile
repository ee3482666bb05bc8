# syntax=docker/dockerfile:1
# Two stages: the first builds the wheel, the second holds Python, the locked dependencies and the wheel, and no compiler.
# Run: docker run --network host -e ROUTER_AUTH__SECRETS=… -e ROUTER_ADMIN__TOKEN=… fork-router
# (host networking, or publish UDP ports one to one and set ROUTER_MEDIA__ANNOUNCED_ADDRESSES)
# With --build-arg EXTRAS=otel it can send traces.

ARG PYTHON=3.11
ARG RUST=1.95

FROM rust:${RUST}-slim-trixie AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3 python3-venv \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY requirements-dev.lock ./
# Only maturin is needed from the lock file, at the version and with the hashes that it names.
RUN python3 -m venv /venv \
 && sed -n '/^maturin==/,/^[^ ]*==/p' requirements-dev.lock | sed '${/^[^ ]*==/d}' | grep -v '^ *#' > maturin.lock \
 && /venv/bin/pip install --no-cache-dir --require-hashes --requirement maturin.lock
COPY Cargo.toml Cargo.lock pyproject.toml README.md ./
COPY router ./router
# Not built, but a member of the workspace: cargo wants to see it.
COPY loadtest/native ./loadtest/native
RUN /venv/bin/maturin build --release --locked --out /wheels

FROM python:${PYTHON}-slim-trixie
ARG EXTRAS=
RUN useradd --system --uid 10001 --home-dir /nonexistent --shell /usr/sbin/nologin router
COPY requirements.lock /tmp/
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --require-hashes --requirement /tmp/requirements.lock \
 && pip install --no-cache-dir --no-deps /wheels/*.whl \
 && if [ -n "$EXTRAS" ]; then pip install --no-cache-dir "fork-router[$EXTRAS]"; fi \
 && rm /tmp/requirements.lock
COPY config/router.yaml /etc/fork-router/router.yaml
ENV ROUTER_CONFIG=/etc/fork-router/router.yaml PYTHONUNBUFFERED=1
USER 10001
EXPOSE 8080/tcp 8081/tcp 10000/udp
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8081/healthz', timeout=2)"]
ENTRYPOINT ["router"]
CMD ["serve"]
