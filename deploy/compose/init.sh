#!/bin/sh
# Writes the secrets of the compose stack to .env, beside docker-compose.yml, where every docker compose command reads
# them: sh deploy/compose/init.sh
# A name that .env has already is left as it is, also with an empty value, so it may be run at any time. A DEV_API_KEY or
# REDIS_PASSWORD of the shell is taken over.
set -eu
cd "$(dirname "$0")/../.."
umask 077
touch .env
chmod 600 .env

secret() { od -An -v -tx1 -N32 /dev/urandom | tr -d ' \n'; }

# The last line of a file that was edited by hand may lack its end.
[ -z "$(tail -c 1 .env)" ] || echo >> .env

add() {
  if grep -q "^ *\(export \)\{0,1\}$1 *=" .env; then
    echo "$1: kept"
  else
    echo "$1=${2:-$(secret)}" >> .env
    echo "$1: written to .env"
  fi
}

add DEV_API_KEY "${DEV_API_KEY:-}"
add REDIS_PASSWORD "${REDIS_PASSWORD:-}"
