"""A small real app: serves its revision on every path, and metrics."""

import http.server
import json
import os
import sys


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = 'tiny_requests_total{route="/"} 3\n' if self.path == "/metrics" else json.dumps(dict(os.environ))
        self.send_response(int(os.environ.get("READY_STATUS", "200")) if self.path == "/readyz" else 200)
        self.end_headers()
        self.wfile.write(body.encode())


if __name__ == "__main__":
    sys.stderr.write(f"serving {os.environ['APP_REVISION']}\n")
    address = (os.environ["WEB_HOST"], int(os.environ["WEB_PORT"]))
    http.server.ThreadingHTTPServer(address, Handler).serve_forever()
