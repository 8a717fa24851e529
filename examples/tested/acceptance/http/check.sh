#!/bin/sh
# The instance has just booted from the AMI, so this also tests that the service starts at boot.
set -eu
curl --fail --silent --show-error --retry 30 --retry-delay 2 --retry-connrefused \
  --output /tmp/index.html http://localhost/
grep -q 'Welcome to nginx' /tmp/index.html
