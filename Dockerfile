# The server and, as a second target, the nginx in front of it with the static files:
#   docker build -t educenter-terminals .
#   docker build -t educenter-terminals-proxy --target proxy .
# Everything is compiled and bundled here: nothing is at run time.

FROM node:22-bookworm-slim AS front
WORKDIR /build
COPY static/package.json static/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY static ./
RUN npm run build

FROM debian:bookworm-slim AS holder
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev make && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY terminals/holder ./
RUN make

FROM python:3.11-slim-bookworm AS packages
COPY requirements.txt .
# Wheels only, so that no compiler is needed; without pip, which the server doesn't need.
RUN python -m venv --without-pip /opt/venv \
 && pip --python /opt/venv/bin/python install --no-cache-dir --only-binary :all: -r requirements.txt

FROM nginx:1-bookworm AS proxy
COPY deploy/nginx/nginx.conf /etc/nginx/nginx.conf
COPY --from=front /build/dist /srv/static
# www-data. Docker lets anybody in a container listen on port 80.
USER 33:33
EXPOSE 80
CMD ["nginx", "-g", "daemon off;"]

FROM python:3.11-slim-bookworm AS app
WORKDIR /app
COPY migrations migrations
COPY terminals terminals
COPY server server
# The root file system may be read-only: what Python would cache is made now.
RUN rm terminals/holder/*.[ch] terminals/holder/Makefile && python -m compileall -q server terminals
COPY --from=holder /build/build/holder holder
COPY --from=front /build/dist static
COPY --from=front /build/helper/screen.mjs screen.mjs

FROM python:3.11-slim-bookworm
RUN groupadd --gid 10001 educenter && useradd --uid 10001 --gid educenter --no-create-home --home-dir /app educenter
WORKDIR /app
COPY --from=packages /opt/venv /opt/venv
COPY --from=app /app /app
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOLDER_PATH=/app/holder \
    STATIC_DIR=/app/static \
    SCREEN_SCRIPT=/app/screen.mjs \
    HOST=0.0.0.0 \
    PORT=8000
USER educenter
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['PORT']), timeout=2); c.request('GET', '/healthz'); sys.exit(c.getresponse().status != 200)"]
CMD ["python", "-m", "server", "serve"]
