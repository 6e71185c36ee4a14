"""Says who it is."""

import argparse
import json


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("say", help="Says who it is")
    parser.parse_args()
    print(json.dumps({"status": "success", "result": "python"}))


if __name__ == "__main__":
    main()
