# One image for the server, the workers and the learner; a smaller one for robots; one for learners of LeRobot's policies,
# which want another Python and torch. `docker compose build`, `docker compose --profile lerobot build`.
# Compilers, pip's cache and node stay in the stages that make things; what runs gets a virtual environment and the code.
FROM node:20.20-bookworm-slim AS console
WORKDIR /build/frontend
COPY frontend/package.json frontend/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY frontend/ ./
RUN npm run build

FROM python:3.11.14-slim-bookworm AS builder
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /build
COPY fleet/daemon/requirements.txt fleet/daemon/requirements.txt
COPY fleet/daemon/drivers/metaworld/requirements.txt fleet/daemon/drivers/metaworld/requirements.txt

FROM builder AS server-packages
COPY requirements.txt ./
RUN pip install -r requirements.txt

FROM builder AS robot-packages
RUN pip install -r fleet/daemon/requirements.txt -r fleet/daemon/drivers/metaworld/requirements.txt

FROM python:3.11.14-slim-bookworm AS base
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PATH=/opt/venv/bin:$PATH
RUN useradd --system --uid 10001 --home-dir /tmp --shell /usr/sbin/nologin sop && mkdir /data && chown sop:sop /data
WORKDIR /app

FROM base AS server
COPY --from=server-packages /opt/venv /opt/venv
COPY manage.py ./
COPY fleet/ fleet/
COPY learner/ learner/
COPY sop_web/ sop_web/
COPY --from=console /build/frontend/dist frontend/dist
USER sop
ENV SOP_DATA_DIR=/data
EXPOSE 8000

# LeRobot's policies are trained by workers of a queue of their own (SOP_LEARNER_QUEUES): docs/guides/lerobot_policy.md.
FROM python:3.12.12-slim-bookworm AS lerobot-packages
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /build
COPY learner/policies/architectures/lerobot/requirements.txt learner/policies/architectures/lerobot/worker-requirements.txt ./
RUN pip install -r worker-requirements.txt

FROM python:3.12.12-slim-bookworm AS learner-lerobot
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PATH=/opt/venv/bin:$PATH
RUN useradd --system --uid 10001 --home-dir /tmp --shell /usr/sbin/nologin sop && mkdir /data && chown sop:sop /data
WORKDIR /app
COPY --from=lerobot-packages /opt/venv /opt/venv
COPY manage.py ./
COPY fleet/ fleet/
COPY learner/ learner/
COPY sop_web/ sop_web/
USER sop
ENV SOP_DATA_DIR=/data

# What a robot carries: no Django, no database driver, no bucket keys.
FROM base AS robot
RUN apt-get update && apt-get install -y --no-install-recommends libegl1 libgl1-mesa-dri libopengl0 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=robot-packages /opt/venv /opt/venv
COPY fleet/__init__.py fleet/__init__.py
COPY fleet/protocol/ fleet/protocol/
COPY fleet/daemon/ fleet/daemon/
COPY learner/__init__.py learner/__init__.py
COPY learner/policies/ learner/policies/
USER sop
