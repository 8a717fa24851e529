#!/bin/sh
# Creates or updates the note with the plan. Needs curl, jq, and GITLAB_TOKEN: a project access token with the scope `api`.
# usage: gitlab-comment.sh plan.md
set -eu
notes="$CI_API_V4_URL/projects/$CI_PROJECT_ID/merge_requests/$CI_MERGE_REQUEST_IID/notes"
request() {
  curl --fail --silent --show-error --header "PRIVATE-TOKEN: $GITLAB_TOKEN" "$@"
}
mark=$(head -n 1 "$1")
id=$(request "$notes?per_page=100&order_by=created_at&sort=asc" |
  jq -r --arg mark "$mark" '[.[] | select(.body | startswith($mark)) | .id][0] // empty')
if [ -n "$id" ]; then
  request --output /dev/null --request PUT --form "body=<$1" "$notes/$id"
else
  request --output /dev/null --form "body=<$1" "$notes"
fi
