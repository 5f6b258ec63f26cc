# syntax=docker/dockerfile:1
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY requirements.lock ./
RUN python -m venv /opt/concordat \
 && /opt/concordat/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements.lock
COPY requirements-dev.lock pyproject.toml README.md LICENSE ./
COPY gateway gateway
COPY policies policies
COPY connectors connectors
# The build backend comes from the same lock as everything else, and stays in this stage.
RUN python -m venv /opt/build \
 && /opt/build/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements-dev.lock \
 && /opt/build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /dist . \
 && /opt/concordat/bin/pip install --no-cache-dir --no-deps /dist/*.whl

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /var/lib/concordat --create-home concordat
COPY --from=build /opt/concordat /opt/concordat
# Listeners keep to loopback unless told otherwise. Consumers come from outside the container; the
# control listener stays on its loopback, where only the container's own processes reach it.
ENV PATH=/opt/concordat/bin:$PATH CONCORDAT_HOME=/var/lib/concordat CONCORDAT_DATA_LISTEN=0.0.0.0:8080
USER concordat
WORKDIR /var/lib/concordat
VOLUME /var/lib/concordat
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8081/readyz', timeout=2)"]
# Before the first start the volume needs a home: run this image once with `init`, then with
# `apply`; docs/running.md, "In a container", has the lines.
ENTRYPOINT ["concordat"]
CMD ["serve"]
