"""Start workers by SLURM, as jobqueue.yaml says, and write where they are found: python start_workers.py 32.

The workers stay until this program ends. Commands, scripts and the window use scheduler.json meanwhile.
"""

from __future__ import annotations

import sys

from dask_jobqueue import SLURMCluster
from distributed import Client


def main(jobs: int) -> None:
    """Ask for so many jobs, and wait."""
    with SLURMCluster() as cluster, Client(cluster) as client:
        cluster.scale(jobs=jobs)
        client.write_scheduler_file("scheduler.json")
        input("Workers are asked for; scheduler.json is written. Press Enter to end them. ")


if __name__ == "__main__":
    main(int(sys.argv[1]))
