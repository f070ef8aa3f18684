// An echo server on Node's net, with nothing set: docs/foreign.md.
"use strict";

const net = require("node:net");

net.createServer((client) => client.pipe(client)).listen(Number(process.argv[2]), "127.0.0.1");
