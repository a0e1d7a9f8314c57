"""What a script of one's own with boto3 looks like: every file of a tree to its transfer manager, with 64 threads.

python transfer_manager.py URL BUCKET PREFIX TREE
"""

import os
import sys

import boto3
from boto3.s3.transfer import TransferConfig, create_transfer_manager
from botocore.config import Config

THREADS = 64


def main(url: str, bucket: str, prefix: str, tree: str) -> None:
    """Send everything; the first failure ends it."""
    client = boto3.client("s3", endpoint_url=url, config=Config(max_pool_connections=THREADS))
    with create_transfer_manager(client, TransferConfig(max_concurrency=THREADS)) as manager:
        futures = []
        for directory, _, names in os.walk(tree):
            for name in names:
                path = os.path.join(directory, name)
                futures.append(manager.upload(path, bucket, f"{prefix}/{os.path.relpath(path, tree)}"))
        for future in futures:
            future.result()


if __name__ == "__main__":
    if sys.argv[1:] == ["--version"]:
        print(f"boto3 {boto3.__version__}")
    else:
        main(*sys.argv[1:])
