"""An echo server on Python's socketserver: a thread for each client."""

import errno
import signal
import socketserver
import sys
import time


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        try:
            while data := self.request.recv(65536):
                self.request.sendall(data)
        except ConnectionError:
            pass  # it left


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True  # do not wait for clients at the end
    request_queue_size = 1024  # the backlog; 5 if nothing is said

    def get_request(self):
        try:
            return super().get_request()
        except OSError as error:
            if error.errno == errno.EMFILE:
                time.sleep(0.05)  # or serve_forever asks again at once, for ever
            raise


with Server(("127.0.0.1", int(sys.argv[1])), Echo) as server:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server.serve_forever()
