#!/bin/sh
# A pipeline's stage, as with the original AMI bakery: four environment variables, and the id on stdout.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
export PACKER_JSON_PATH="$here/ami/packer/ami.json"
export AMI_DEFINITION_DIRS="$here/ami"
exec bake "$@"
