#!/bin/sh
# Creates or updates the comment with the plan. Needs GH_TOKEN (pull-requests: write), and gh, which GitHub's runners have.
# usage: github-comment.sh plan.md NUMBER
set -eu
comments="repos/$GITHUB_REPOSITORY/issues/$2/comments"
mark=$(head -n 1 "$1")
id=$(MARK=$mark gh api --paginate "$comments" --jq '.[] | select(.body | startswith(env.MARK)) | .id' | head -n 1)
if [ -n "$id" ]; then
  gh api --method PATCH "repos/$GITHUB_REPOSITORY/issues/comments/$id" --field "body=@$1" --silent
else
  gh api "$comments" --field "body=@$1" --silent
fi
