#!/bin/sh
# Runs once, while the AMI is baked: installs what the sample app needs.
set -eu
export DEBIAN_FRONTEND=noninteractive

apt-get update
apt-get install -y --no-install-recommends jq nginx-light python3
chmod 0755 /opt/sample-app/bootstrap.py
apt-get clean
rm -rf /var/lib/apt/lists/*
