"""A server on the loopback address for tests: byte ranges, and connections that break where a test wants them to."""

import hashlib
import re
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


class ArchiveServer:
    """Serves `files`; each item of `cuts` breaks one answer after that many bytes; `ranges` are those asked for."""

    def __init__(self, files):
        self.files, self.cuts, self.ranges, self.url = files, [], [], ""

    def answer(self, request, body):
        name = request.path.strip("/")
        if name not in self.files:
            request.send_error(404)
            return
        content = self.files[name]
        version = f'"{hashlib.sha256(content).hexdigest()}"'
        asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
        part = asked and request.headers.get("If-Range") == version
        first = int(asked[1]) if part else 0
        if first >= len(content) > 0:
            request.send_error(416)
            return
        request.send_response(206 if part else 200)
        request.send_header("ETag", version)
        request.send_header("Content-Length", str(len(content) - first))
        request.end_headers()
        if body:
            self.ranges.append((name, first))
            last = first + self.cuts.pop(0) if self.cuts else len(content)
            request.wfile.write(content[first:last])
            request.close_connection = True


@contextmanager
def serving(files):
    """The server, until the block ends."""
    server = ArchiveServer(files)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            server.answer(self, body=True)

        def do_HEAD(self):
            server.answer(self, body=False)

        def log_message(self, *_):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{http.server_port}"
    thread = Thread(target=http.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
