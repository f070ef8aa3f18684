"""An echo server on Python's selectors: one thread, which waits for all."""

import errno
import selectors
import signal
import socket
import sys

selector = selectors.DefaultSelector()


def watch(sock, events, owed=None):
    """Wait for these events of a socket; for none, if there are none."""
    if sock in selector.get_map():
        selector.unregister(sock)
    if events:
        selector.register(sock, events, owed)


def on_connection():
    try:
        client, _ = listener.accept()
    except BlockingIOError:
        return  # it left before we came
    except OSError as error:
        if error.errno != errno.EMFILE:
            raise
        watch(listener, 0)  # until a client leaves
        return
    client.setblocking(False)
    watch(client, selectors.EVENT_READ)


def on_client(client, owed):
    """Read if nothing is owed, and write what is; so at most one read is owed."""
    try:
        owed = owed or client.recv(65536)
        if not owed:
            return leave(client)
        owed = owed[client.send(owed) :]
    except BlockingIOError:
        pass
    except ConnectionError:
        return leave(client)
    if owed:
        watch(client, selectors.EVENT_WRITE, owed)
    else:
        watch(client, selectors.EVENT_READ)


def leave(client):
    watch(client, 0)
    client.close()
    watch(listener, selectors.EVENT_READ)  # there is room for one more


signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=1024)
listener.setblocking(False)
watch(listener, selectors.EVENT_READ)
while True:
    for key, _ in selector.select():
        if key.fileobj is listener:
            on_connection()
        else:
            on_client(key.fileobj, key.data)
