"""PyPI's `weaviate-client`, unchanged: reads every object of a class as its users do, over gRPC.

On standard input `{"port", "grpc_port", "key", "class", "tenant"}`, `key` and `tenant` possibly `null`. On standard output
a list of objects, each with its `id` and its `properties`, times as RFC 3339 has them.
"""

import datetime
import json
import sys

import weaviate
from weaviate.classes.init import Auth


def plain(value):
    return value.isoformat() if isinstance(value, datetime.datetime) else value


def main():
    asked = json.load(sys.stdin)
    client = weaviate.connect_to_local(
        host="127.0.0.1",
        port=asked["port"],
        grpc_port=asked["grpc_port"],
        auth_credentials=Auth.api_key(asked["key"]) if asked["key"] else None,
        # Else it asks PyPI whether there is a newer one of itself.
        skip_init_checks=True,
    )
    with client:
        collection = client.collections.get(asked["class"])
        if asked["tenant"]:
            collection = collection.with_tenant(asked["tenant"])
        found = [
            {
                "id": str(item.uuid),
                "properties": {name: plain(value) for name, value in item.properties.items() if value is not None},
            }
            for item in collection.iterator()
        ]
    json.dump(found, sys.stdout)


main()
