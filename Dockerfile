# One image for the server, the workers and the learner; another, smaller one for robots. `docker compose build`.
FROM node:20.20-bookworm-slim AS console
WORKDIR /build/frontend
COPY frontend/package.json frontend/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY frontend/ ./
RUN npm run build

FROM python:3.11-slim-bookworm AS base
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN useradd --system --create-home --uid 10001 sop && mkdir /data && chown sop:sop /data
WORKDIR /app

FROM base AS server
COPY requirements.txt ./
COPY fleet/daemon/requirements.txt fleet/daemon/requirements.txt
COPY fleet/daemon/drivers/metaworld/requirements.txt fleet/daemon/drivers/metaworld/requirements.txt
RUN pip install -r requirements.txt
COPY manage.py ./
COPY fleet/ fleet/
COPY learner/ learner/
COPY sop_web/ sop_web/
COPY --from=console /build/frontend/dist frontend/dist
USER sop
ENV SOP_DATA_DIR=/data
EXPOSE 8000

# What a robot carries: no Django, no database driver, no bucket keys.
FROM base AS robot
RUN apt-get update && apt-get install -y --no-install-recommends libegl1 libgl1-mesa-dri libopengl0 \
    && rm -rf /var/lib/apt/lists/*
COPY fleet/daemon/requirements.txt fleet/daemon/requirements.txt
COPY fleet/daemon/drivers/metaworld/requirements.txt fleet/daemon/drivers/metaworld/requirements.txt
RUN pip install -r fleet/daemon/requirements.txt -r fleet/daemon/drivers/metaworld/requirements.txt
COPY fleet/__init__.py fleet/__init__.py
COPY fleet/protocol/ fleet/protocol/
COPY fleet/daemon/ fleet/daemon/
COPY learner/__init__.py learner/__init__.py
COPY learner/policies/ learner/policies/
USER sop
