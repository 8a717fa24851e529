#!/bin/sh
# Runs pytest with testinfra over SSH: pip install pytest pytest-testinfra
set -eu
export PYTHONDONTWRITEBYTECODE=1
key=$(mktemp)
trap 'rm -f "$key"' EXIT
printf '%s\n' "$SSH_KEY" >"$key"
pytest -p no:cacheprovider \
  --hosts="ssh://$SSH_USER@$SSH_HOST:$SSH_PORT" \
  --ssh-identity-file="$key" \
  --ssh-extra-args="-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null" \
  test_web.py
