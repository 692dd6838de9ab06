"""Verifies an X-Attach-Assertion as any service behind the gateway can: pip install "pyjwt[crypto]"

python verify_assertion.py PUBLIC_URL NAME TOKEN, NAME being what the gateway calls this service: engine, control
or a name of A2A_TARGETS. A service that stays up keeps the PyJWKClient: it fetches a new key's set by itself.
"""

import sys

import jwt


def verify(token: str, keys: jwt.PyJWKClient, issuer: str, audience: str) -> dict:
    """The claims, if the token is the gateway's, for this service, and still good."""
    if jwt.get_unverified_header(token).get("typ") != "attach-assertion+jwt":
        raise jwt.InvalidTokenError("not an assertion")
    key = keys.get_signing_key_from_jwt(token).key
    required = ["iss", "sub", "aud", "exp"]
    options = {"require": required, "strict_aud": True}
    return jwt.decode(token, key, algorithms=["EdDSA"], issuer=issuer, audience=audience, options=options)


if __name__ == "__main__":
    public_url, name, assertion = sys.argv[1:]
    jwks = jwt.PyJWKClient(f"{public_url}/.well-known/attach-jwks.json", lifespan=60)
    print(verify(assertion, jwks, public_url, name))
