#!/bin/sh
# Runs InSpec over SSH. CINC Auditor is the same program without a license: cinc-auditor exec.
set -eu
key=$(mktemp)
trap 'rm -f "$key"' EXIT
printf '%s\n' "$SSH_KEY" >"$key"
inspec exec profile --sudo --no-color \
  --target "ssh://$SSH_USER@$SSH_HOST:$SSH_PORT" \
  --key-files "$key"
