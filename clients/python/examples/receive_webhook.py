"""Receives Losswatch's webhooks and checks their signature.

LOSSWATCH_WEBHOOK_SECRET=whsec_… PORT=8080 python receive_webhook.py
"""

import base64
import hashlib
import hmac
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

KEY = base64.b64decode(os.environ["LOSSWATCH_WEBHOOK_SECRET"].removeprefix("whsec_"))


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(min(int(self.headers["content-length"]), 20_000))
        name, sent_at = self.headers["webhook-id"], self.headers["webhook-timestamp"]
        digest = hmac.digest(KEY, f"{name}.{sent_at}.".encode() + body, hashlib.sha256)
        expected = "v1," + base64.b64encode(digest).decode()
        signed = any(hmac.compare_digest(s, expected) for s in self.headers["webhook-signature"].split())
        fresh = abs(time.time() - int(sent_at)) < 300
        if signed and fresh:  # the same webhook-id again is a copy: remember those that you have seen
            sys.stdout.write(json.loads(body)["title"] + "\n")
            sys.stdout.flush()
        self.send_response(204 if signed and fresh else 401)
        self.end_headers()


HTTPServer(("", int(os.environ.get("PORT", "8080"))), Receiver).serve_forever()
