#!/bin/sh
# Pins the base images of the compose stack by digest in .env: pulls their tags, and writes NODE_IMAGE and REDIS_IMAGE.
# Run it again to move to newer images: sh deploy/compose/pin.sh [node image] [redis image]
set -eu
cd "$(dirname "$0")/../.."
umask 077
touch .env
[ -z "$(tail -c 1 .env)" ] || echo >> .env

pin() {
  docker pull -q "$2" > /dev/null
  # A registry names what it serves by digest; an image that was only built here has none.
  pinned=$(docker image inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' "$2" | head -n 1)
  [ -n "$pinned" ] || { echo "$2 has no digest: it is of no registry." >&2; exit 1; }
  grep -v "^$1=" .env > .env.new || true
  echo "$1=$2@${pinned#*@}" >> .env.new
  mv .env.new .env
  echo "$1=$2@${pinned#*@}"
}

pin NODE_IMAGE "${1:-node:24-bookworm-slim}"
pin REDIS_IMAGE "${2:-redis:8}"
