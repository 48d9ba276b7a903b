"""A client that submits jobs, names them, and waits: to be killed while it does.

Arguments: URL, namespace, script.
"""

from __future__ import annotations

import sys

from corex import Client, Command

JOBS = 8


def main() -> None:
    url, namespace, script = sys.argv[1:]
    with Client(url, namespace=namespace) as client:
        commands = [("n1", Command("bash", arguments={"script": script})) for _ in range(JOBS)]
        jobs = client.submit_many(commands)
        print(*(job.id for job in jobs), flush=True)
        for job in jobs:
            job.wait(timeout=60)


if __name__ == "__main__":
    main()
