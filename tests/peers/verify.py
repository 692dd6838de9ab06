"""What stands behind a gateway and believes nobody: PyPI's `pyjwt` with the keys that the gateway publishes.

`{"token", "jwks", "issuer", "audience"}` on standard input; `{"claims"}` or `{"error": the exception's name}` on
standard output.
"""

import json
import sys

import jwt


def verify(asked):
    try:
        key = jwt.PyJWKClient(asked["jwks"], timeout=10).get_signing_key_from_jwt(asked["token"])
        claims = jwt.decode(
            asked["token"], key, algorithms=["EdDSA"], audience=asked["audience"], issuer=asked["issuer"]
        )
        return {"claims": claims}
    except jwt.PyJWTError as error:
        return {"error": type(error).__name__}


if __name__ == "__main__":
    json.dump(verify(json.load(sys.stdin)), sys.stdout)
