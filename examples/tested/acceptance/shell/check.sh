#!/bin/sh
# Fails at the first command that fails.
set -eux
cloud-init status --wait
systemctl is-active nginx
nginx -v
test "$(stat -c %U /var/www)" = root
