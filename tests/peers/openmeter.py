"""A stand-in for OpenMeter: takes CloudEvents as it does, and keeps every event that it has said yes to.

    openmeter.py PORT KEY FOLDER

Events go to FOLDER/events, one JSON object a line, before they are acknowledged, as often as they come; why a batch was
not taken goes to FOLDER/complaints. Events of a subject that is listed in FOLDER/poison, one a line, are never taken.
"""

import json
import os
import re
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT, KEY, FOLDER = int(sys.argv[1]), sys.argv[2], sys.argv[3]
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def append(name, lines):
    # One write, so that a line is there as a whole or not at all, whenever this process is killed.
    handle = os.open(os.path.join(FOLDER, name), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(handle, "".join(line + "\n" for line in lines).encode())
    finally:
        os.close(handle)


def poisoned():
    try:
        with open(os.path.join(FOLDER, "poison"), encoding="utf-8") as file:
            return set(file.read().split())
    except FileNotFoundError:
        return set()


def wrong(event):
    """What is wrong with an event; nothing if it is as the original sends them."""
    if not isinstance(event, dict):
        return "no object"
    if set(event) != {"specversion", "type", "id", "time", "source", "subject", "data"}:
        return f"members {sorted(event)}"
    fixed = {"specversion": "1.0", "type": "prompt", "source": "attach-gateway"}
    for name, value in fixed.items():
        if event[name] != value:
            return f"{name} {event[name]!r}"
    for name in ("id", "subject"):
        if not isinstance(event[name], str) or not event[name]:
            return f"{name} {event[name]!r}"
    if not TIME.fullmatch(event["time"]):
        return f"time {event['time']!r}"
    data = event["data"]
    if not isinstance(data, dict) or set(data) != {"tokens", "model", "type"}:
        return f"data {data!r}"
    if type(data["tokens"]) is not int or data["tokens"] < 1 or not isinstance(data["model"], str):
        return f"data {data!r}"
    if data["type"] not in ("input", "output"):
        return f"data {data!r}"
    return None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        status, why = self.judge(body)
        if why:
            append("complaints", [f"{status} {why}"])
        self.send_response(status)
        if status != 204:
            self.send_header("content-length", str(len(why)))
        self.end_headers()
        if status != 204:
            self.wfile.write(why.encode())

    def judge(self, body):
        if self.path != "/api/v1/events":
            return 404, "no such path"
        if self.headers.get_all("authorization") != [f"Bearer {KEY}"]:
            return 401, "wrong key"
        if self.headers.get_all("content-type") != ["application/cloudevents-batch+json"]:
            return 415, "wrong content type"
        try:
            events = json.loads(body)
        except ValueError:
            return 400, "no JSON"
        if not isinstance(events, list) or not events:
            return 400, "no batch"
        for event in events:
            problem = wrong(event)
            if problem:
                return 400, problem
        bad = poisoned()
        if any(event["subject"] in bad for event in events):
            return 400, "poison"
        append("events", [json.dumps(event) for event in events])
        # As a network takes its time: whoever is killed now has it and has not said so.
        time.sleep(0.1)
        return 204, ""

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", PORT), Handler)
server.daemon_threads = True
print("ready", flush=True)
server.serve_forever()
