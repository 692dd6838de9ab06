"""PyPI's `rotagent` as a caller: `{"op": …}` on standard input, JSON on standard output.

`keypair` makes a key pair with its KeyManager; `send` is its OrchestratorClient, unchanged; `tokens` makes what
that client would send, with claims of one's own (`null` removes one), so that a test can send it itself, twice
or beside another body; `dev` is its DevTools.
"""

import asyncio
import contextlib
import functools
import hashlib
import io
import json
import os
import sys
import time
import uuid

import aiohttp
import jwt
from cryptography.hazmat.primitives import serialization
from rotagent import DevTools, KeyManager, OrchestratorClient


def keypair(_):
    private, public = KeyManager.generate_rsa_keypair()
    return {"private": private, "public": public}


def send(asked):
    async def run():
        async with aiohttp.ClientSession() as session:
            return await OrchestratorClient.send_secure_request(
                session=session,
                url=asked["url"],
                payload=asked["payload"],
                issuer_id=asked["issuer"],
                private_key_pem=asked["private"],
            )

    return asyncio.run(run())


@functools.cache
def loaded(pem):
    """Parsed once: to check an RSA key takes longer than to sign with it."""
    return serialization.load_pem_private_key(pem.encode(), password=None)


def token(asked):
    now = time.time()
    # As in OrchestratorClient.send_secure_request.
    claims = {
        "iss": asked["issuer"],
        "iat": now,
        "exp": now + asked.get("lifetime", 60),
        "jti": uuid.uuid4().hex,
        "content_sha256": hashlib.sha256(asked["body"].encode()).hexdigest(),
    }
    for name, value in asked.get("claims", {}).items():
        claims[name] = value
        if value is None:
            del claims[name]
    return jwt.encode(claims, loaded(asked["private"]), algorithm=asked.get("algorithm", "RS256"))


def dev(asked):
    os.chdir(asked["folder"])
    # Its words are for people; what they hold is returned, too.
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        DevTools.setup_persistent_keys(keys_dir=asked["keys"], issuer_id=asked["issuer"])
        line = next(line for line in said.getvalue().splitlines() if line.startswith("DEV_PRIVATE_KEY="))
        os.environ["DEV_PRIVATE_KEY"] = line.partition("=")[2]
        token, body = DevTools.generate_bearer_token(asked["query"], issuer_id=asked["issuer"])
    return {"token": token, "body": body}


OPERATIONS = {
    "keypair": keypair,
    "send": send,
    "tokens": lambda asked: [token(one) for one in asked["tokens"]],
    "dev": dev,
}

if __name__ == "__main__":
    asked = json.load(sys.stdin)
    json.dump(OPERATIONS[asked["op"]](asked), sys.stdout)
