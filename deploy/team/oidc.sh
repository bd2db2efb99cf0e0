#!/bin/sh
# Writes what oauth2-proxy needs: ./oidc.sh ISSUER CLIENT_ID EMAIL_DOMAIN < file-with-the-client-secret
# Of whom the provider says an address of that domain may log in; '*' means everybody whom the provider knows.
set -eu
usage="usage: ./oidc.sh ISSUER CLIENT_ID EMAIL_DOMAIN < file-with-the-client-secret"
issuer=${1:?$usage} client=${2:?$usage} domain=${3:?$usage}
cd "$(dirname "$0")"
if [ ! -d secrets ]; then
    echo "run ./secrets.sh HOST first" >&2
    exit 1
fi
secret=$(cat)
if [ -z "$secret" ]; then
    echo "the client secret is read from standard input, and there was none" >&2
    exit 1
fi
umask 077
cat > secrets/oidc.env <<SETTINGS
OAUTH2_PROXY_OIDC_ISSUER_URL=$issuer
OAUTH2_PROXY_CLIENT_ID=$client
OAUTH2_PROXY_CLIENT_SECRET=$secret
OAUTH2_PROXY_EMAIL_DOMAINS=$domain
OAUTH2_PROXY_COOKIE_SECRET=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
SETTINGS
