import { once } from 'node:events';
import { connect, createServer } from 'node:net';

/**
 * A TCP load balancer for one machine: each connection goes to the next address that accepts it. Clients then know one
 * address and end at any gateway, as behind a service of Kubernetes.
 */
export class Balancer {
  #targets;
  #server;
  #next = 0;
  #sockets = new Set();

  /** `targets()` gives `host:port` of those to try, in any order. */
  constructor(targets) {
    this.#targets = targets;
    this.#server = createServer((client) => this.#accept(client));
  }

  async listen(port, host = '127.0.0.1') {
    this.#server.listen(port, host);
    await once(this.#server, 'listening');
    return this.#server.address().port;
  }

  close() {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #accept(client) {
    this.#track(client);
    const targets = this.#targets();
    this.#try(client, targets, this.#next++, targets.length);
  }

  #try(client, targets, at, left) {
    if (left === 0 || client.destroyed) {
      client.destroy();
      return;
    }
    const [host, port] = targets[at % targets.length].split(':');
    const server = connect({ host, port: Number(port), noDelay: true });
    this.#track(server);
    server.once('connect', () => {
      // Gone meanwhile: nobody would end this one.
      if (client.destroyed) {
        server.destroy();
        return;
      }
      client.setNoDelay(true);
      client.pipe(server);
      server.pipe(client);
      client.once('close', () => server.destroy());
      server.once('close', () => client.destroy());
      server.removeAllListeners('error');
      server.on('error', () => client.destroy());
    });
    server.once('error', () => this.#try(client, targets, at + 1, left - 1));
  }

  #track(socket) {
    this.#sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => this.#sockets.delete(socket));
  }
}
