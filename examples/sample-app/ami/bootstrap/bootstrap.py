#!/usr/bin/env python3
"""Started at boot: tells the sample app which environment it runs in."""

import argparse
import json
import pathlib

STATE = pathlib.Path("/run/sample-app.json")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--environment", required=True, help="for example: staging")
    arguments = parser.parse_args()
    STATE.write_text(json.dumps({"environment": arguments.environment}))
    print(f"sample-app: set up for {arguments.environment}")


if __name__ == "__main__":
    main()
