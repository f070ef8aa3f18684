// Echo over TLS with Node's tls: PORT CERT KEY [CLIENT_CA].
const fs = require('fs');
const tls = require('tls');

const [port, cert, key, ca] = process.argv.slice(2);
const sockets = new Set();
const server = tls.createServer({
  cert: fs.readFileSync(cert),
  key: fs.readFileSync(key),
  ca: ca && fs.readFileSync(ca),
  requestCert: Boolean(ca),
  rejectUnauthorized: Boolean(ca),
  minVersion: 'TLSv1.2',
  handshakeTimeout: 10000,
  allowHalfOpen: true,
  noDelay: true,
}, (socket) => {
  sockets.add(socket);
  socket.on('error', () => socket.destroy());
  socket.on('close', () => sockets.delete(socket));
  socket.pipe(socket);
});
server.on('tlsClientError', (err, socket) => socket.destroy());
server.listen({ port: Number(port), host: '127.0.0.1', backlog: 1024 });
process.on('SIGTERM', () => {
  server.close(() => process.exit(0));
  for (const socket of sockets) socket.destroy();
});
