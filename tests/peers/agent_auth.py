"""An agent as `rotagent` has it: Flask with its AgentAuth, `agent_auth.py PORT KEYS_FOLDER`.

What `attach` signs must be good here too, or it would be a dialect of its own.
"""

import sys

from flask import Flask, jsonify, request
from rotagent import AgentAuth
from werkzeug.serving import make_server

port, keys = sys.argv[1:]
app = Flask(__name__)
auth = AgentAuth(keys_dir=keys)


@app.route("/agent", methods=["POST"])
@auth.require_auth
def agent():
    return jsonify({"response": request.get_json()["query"]})


if __name__ == "__main__":
    server = make_server("127.0.0.1", int(port), app)
    print("ready", flush=True)
    server.serve_forever()
