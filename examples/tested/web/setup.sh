#!/bin/sh
set -eu
cloud-init status --wait
sudo apt-get update
sudo apt-get install -y nginx
sudo systemctl enable nginx
