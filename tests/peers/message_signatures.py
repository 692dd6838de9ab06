"""Requests signed by PyPI's `http-message-signatures`: `{"op": …}` on standard input, JSON on standard output.

`keys` makes a key of each algorithm named: `{algorithm: {"private": pem, "jwk": {…}}}`. `sign` gives the headers
of each of `{"algorithm", "key", "keyid", "method", "url", "headers", "components", "body"?, "nonce"?, "tag"?,
"age"?, "lifetime"?, "include_alg"?}`; `key` is a PEM, or the shared secret for `hmac-sha256`.
"""

import base64
import datetime
import json
import sys
from types import SimpleNamespace

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from http_message_signatures import HTTPMessageSigner, HTTPSignatureKeyResolver, algorithms
from http_message_signatures.digests import ContentDigest

ALGORITHMS = {
    "ed25519": algorithms.ED25519,
    "ecdsa-p256-sha256": algorithms.ECDSA_P256_SHA256,
    "rsa-pss-sha512": algorithms.RSA_PSS_SHA512,
    "rsa-v1_5-sha256": algorithms.RSA_V1_5_SHA256,
    "hmac-sha256": algorithms.HMAC_SHA256,
}


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value, length=None):
    return encode(value.to_bytes(length or (value.bit_length() + 7) // 8, "big"))


def make(algorithm):
    if algorithm == "ed25519":
        key = ed25519.Ed25519PrivateKey.generate()
        raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        jwk = {"kty": "OKP", "crv": "Ed25519", "x": encode(raw), "alg": "EdDSA"}
    elif algorithm.startswith("ecdsa"):
        key = ec.generate_private_key(ec.SECP256R1())
        point = key.public_key().public_numbers()
        jwk = {"kty": "EC", "crv": "P-256", "x": number(point.x, 32), "y": number(point.y, 32), "alg": "ES256"}
    else:
        key = rsa.generate_private_key(65537, 2048)
        public = key.public_key().public_numbers()
        alg = "PS512" if algorithm.startswith("rsa-pss") else "RS256"
        jwk = {"kty": "RSA", "n": number(public.n), "e": number(public.e), "alg": alg}
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {"private": pem.decode(), "jwk": {**jwk, "kid": algorithm, "use": "sig"}}


class Keys(HTTPSignatureKeyResolver):
    def __init__(self, key):
        self.key = key

    def resolve_private_key(self, key_id):
        return self.key.encode()

    def resolve_public_key(self, key_id):
        raise NotImplementedError


def sign(asked):
    message = SimpleNamespace(method=asked["method"], url=asked["url"], headers=dict(asked.get("headers", {})))
    body = asked.get("body")
    created = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=asked.get("age", 0))
    lifetime = asked.get("lifetime")
    HTTPMessageSigner(signature_algorithm=ALGORITHMS[asked["algorithm"]], key_resolver=Keys(asked["key"])).sign(
        message,
        key_id=asked["keyid"],
        created=created,
        expires=created + datetime.timedelta(seconds=lifetime) if lifetime is not None else None,
        nonce=asked.get("nonce"),
        tag=asked.get("tag"),
        include_alg=asked.get("include_alg", True),
        covered_component_ids=asked["components"],
        body=body.encode() if body is not None else None,
    )
    return dict(message.headers)


OPERATIONS = {
    "keys": lambda asked: {algorithm: make(algorithm) for algorithm in asked["algorithms"]},
    "sign": lambda asked: [sign(one) for one in asked["requests"]],
}

if __name__ == "__main__":
    asked = json.load(sys.stdin)
    json.dump(OPERATIONS[asked["op"]](asked), sys.stdout)
