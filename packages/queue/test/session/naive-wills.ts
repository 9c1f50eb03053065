import type { SessionCommand } from '../../src/session/commands.ts';

/** Wills by the words of MQTT 5 section 3.1.2.5, one object a client and no thought of logs, groups or restarts. */
export class NaiveWills {
  readonly #clients = new Map<string, NaiveClient>();
  /** In whatever order. */
  readonly fired: string[] = [];
  nowMs = 0;

  get held(): number {
    return [...this.#clients.values()].filter(({ will }) => will !== undefined).length;
  }

  run(command: SessionCommand, epochs: ReadonlyMap<string, number>): void {
    switch (command.type) {
      case 'open-session': {
        const { clientId, cleanStart, expiryS, will } = command;
        const known = this.#clients.get(clientId);
        // Whoever is turned away is not looked at for it: a will whose delay is over waits for the next look.
        if (known !== undefined && known.identity !== command.identity && !this.#isOver(known)) return;
        this.#timePasses(clientId);
        const client = this.#clients.get(clientId);
        if (client?.isConnected === true && will !== undefined && client.ticket === will.ticket) return;
        // "the Session ends": by Clean Start, or because nothing of it was to outlive its connection.
        const endsSession = cleanStart || (client?.expiryS === 0 && client.will !== undefined);
        if (client !== undefined && endsSession) this.#end(clientId);
        else if (client?.will !== undefined) {
          // The connection is closed, or was; "a new Network Connection to this Session is opened" before the delay is over.
          if (client.isConnected && client.will.delayS === 0) this.#fire(client);
          client.will = undefined;
        }
        const goesOn = this.#clients.get(clientId);
        if (goesOn === undefined && expiryS === 0 && will === undefined) return;
        this.#clients.set(clientId, {
          identity: command.identity,
          isConnected: true,
          ticket: will?.ticket,
          expiryS,
          endedMs: 0,
          will: will === undefined ? undefined : { delayS: will.delayS, says: Buffer.from(will.message).toString() },
        });
        return;
      }
      case 'close-session': {
        const { clientId, epoch, expiryS, takesWillBack } = command;
        const client = this.#clients.get(clientId);
        if (client?.isConnected !== true || epochs.get(clientId) !== epoch) return;
        client.isConnected = false;
        client.endedMs = this.nowMs;
        client.expiryS = expiryS ?? client.expiryS;
        if (takesWillBack === true) client.will = undefined;
        if (client.will?.delayS === 0) this.#fire(client);
        if (client.expiryS === 0) this.#end(clientId);
        return;
      }
      case 'expire-sessions':
      case 'fire-wills':
        for (const clientId of command.clientIds) this.#timePasses(clientId);
    }
  }

  /** Before any client is looked at: what is due by time alone. */
  #timePasses(clientId: string): void {
    const client = this.#clients.get(clientId);
    if (client === undefined || client.isConnected) return;
    const awayMs = this.nowMs - client.endedMs;
    if (client.will !== undefined && awayMs >= client.will.delayS * 1000) this.#fire(client);
    if (this.#isOver(client)) this.#end(clientId);
  }

  #isOver({ isConnected, endedMs, expiryS }: NaiveClient): boolean {
    return !isConnected && this.nowMs - endedMs >= expiryS * 1000;
  }

  #end(clientId: string): void {
    const client = this.#clients.get(clientId);
    if (client !== undefined) this.#fire(client);
    this.#clients.delete(clientId);
  }

  #fire(client: NaiveClient): void {
    if (client.will !== undefined) this.fired.push(client.will.says);
    client.will = undefined;
  }
}

interface NaiveClient {
  identity: string;
  isConnected: boolean;
  ticket: number | undefined;
  expiryS: number;
  endedMs: number;
  will: { delayS: number; says: string } | undefined;
}
