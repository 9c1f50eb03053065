import { createServer } from 'node:net';
import { Aedes } from 'aedes';

/** aedes as a process: `node aedes-broker.js PORT`. */
const broker = await Aedes.createBroker({ concurrency: 1_000 });
createServer((socket) => {
  socket.setNoDelay(true);
  broker.handle(socket);
}).listen({ host: '127.0.0.1', port: Number(process.argv[2]), backlog: 511 });
