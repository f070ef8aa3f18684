"""Echo over TLS with Python's ssl and socketserver: PORT CERT KEY [CLIENT_CA]."""
import errno
import signal
import socket
import socketserver
import ssl
import sys
import time

context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.minimum_version = ssl.TLSVersion.TLSv1_2
context.load_cert_chain(sys.argv[2], sys.argv[3])
if len(sys.argv) > 4:
    context.load_verify_locations(sys.argv[4])
    context.verify_mode = ssl.CERT_REQUIRED


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.request.settimeout(10)
        tls = None
        try:
            tls = context.wrap_socket(self.request, server_side=True)  # the handshake
            tls.settimeout(None)
            while data := tls.recv(65536):
                tls.sendall(data)
            tls.settimeout(10)
            tls.unwrap()  # close_notify
        except OSError:  # ssl.SSLError is one: the end of this client only
            pass
        finally:
            if tls:
                tls.close()


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 1024

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
