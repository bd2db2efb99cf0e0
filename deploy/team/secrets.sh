#!/bin/sh
# Makes the secrets of compose.yaml once: ./secrets.sh HOST, the name that people use.
set -eu
host=${1:?usage: ./secrets.sh HOST}
cd "$(dirname "$0")"
if [ -e secrets ]; then
    echo "there are secrets already; remove the folder to begin anew" >&2
    exit 1
fi
umask 077
mkdir secrets
random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
password=$(random)
printf '%s' "$password" > secrets/postgres_password
random > secrets/grafana_password
printf 'LOSSWATCH_SITE=%s\n' "$host" > .env
cat > secrets/settings.toml <<SETTINGS
database = "postgresql://losswatch:$password@postgres/losswatch"
base_url = "https://$host"
allowed_hosts = "losswatch,losswatch-2"
trusted_proxies = "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16"
SETTINGS
# Compose hands these files to users of other numbers as they are; only the folder keeps others out.
chmod 0644 secrets/*
