"""An echo server on Python's asyncio: a task for each client."""

import asyncio
import errno
import signal
import socket
import sys


async def echo(connection):
    reader, writer = await asyncio.open_connection(sock=connection)
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()  # sleeps while the client does not read
    except ConnectionError:
        pass  # it left
    finally:
        writer.close()


async def accept(listener):
    loop = asyncio.get_running_loop()
    clients = set()  # a task that nobody holds may be collected: create_task
    while True:
        try:
            connection, _ = await loop.sock_accept(listener)
        except OSError as error:
            if error.errno != errno.EMFILE:
                raise
            await asyncio.sleep(0.05)  # until a client may have left
            continue
        task = asyncio.create_task(echo(connection))
        clients.add(task)
        task.add_done_callback(clients.discard)


async def main():
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=1024)
    listener.setblocking(False)
    serving = asyncio.create_task(accept(listener))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, serving.cancel)
    try:
        await serving
    except asyncio.CancelledError:
        pass


asyncio.run(main())
