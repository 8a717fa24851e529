#!/bin/sh
# A pipeline stage in drop-in mode: environment variables in, the AMI id on stdout.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
export PACKER_JSON_PATH="$here/ami/packer/ami.json"
export AMI_DEFINITION_DIRS="$here/ami"
exec bake "$@"
