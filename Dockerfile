# Two images: `services` runs every server and holds neither torch nor feast; `training` trains, applies and materialises.
#   docker build --target services -t penchant-services:0.1.0 .
#   docker build --target training -t penchant-training:0.1.0 .
FROM python:3.11.11-slim-bookworm AS base
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PATH=/venv/bin:$PATH
RUN groupadd --gid 10001 penchant \
    && useradd --uid 10001 --gid penchant --no-create-home --shell /usr/sbin/nologin penchant \
    && install -d -o penchant -g penchant /var/lib/penchant/models /var/lib/penchant/log /var/lib/penchant/data
WORKDIR /app

# hnswlib comes as source.
FROM base AS build
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/* \
    && python -m venv /venv
COPY pyproject.toml README.md LICENSE ./
COPY penchant penchant

FROM build AS build-services
# hadolint ignore=DL3013
RUN pip install --no-cache-dir '.[services,kafka]' \
    && python -m compileall -q /venv

FROM build AS build-training
# Its own step, and exact: an open range may bring gigabytes of CUDA packages.
RUN pip install --no-cache-dir torch==2.13.0
# hadolint ignore=DL3013
RUN pip install --no-cache-dir '.[training,kafka]' \
    && python -m compileall -q /venv

FROM base AS services
COPY --from=build-services /venv /venv
COPY services services
USER 10001:10001
EXPOSE 50051 50052 50053 50054
ENTRYPOINT ["python"]
CMD ["-m", "services.standalone"]

FROM base AS training
COPY --from=build-training /venv /venv
COPY training training
COPY feature_repo feature_repo
USER 10001:10001
ENV HOME=/tmp
ENTRYPOINT ["python"]
CMD ["-m", "training", "--help"]
