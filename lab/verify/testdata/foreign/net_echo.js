// An echo server on Node's net: a socket, piped to itself.
"use strict";

const net = require("node:net");

const server = net.createServer({ allowHalfOpen: true }, (client) => {
  client.pipe(client); // with back-pressure, and FIN after the last byte
  client.on("error", () => client.destroy()); // or the error ends the server
});
server.listen({ host: "127.0.0.1", port: Number(process.argv[2]), backlog: 1024 });
process.on("SIGTERM", () => process.exit(0));
