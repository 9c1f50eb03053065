import { ReasonCode } from '../codec/reason-code.ts';

/**
 * Acknowledgements leave in the order in which their PUBLISH packets arrived [MQTT-4.6.0-2] [MQTT-4.6.0-3], while the
 * stores that must commit them finish in any order. So every QoS 1 and 2 publish takes a place here when it is read; a
 * finished one waits for those before it. One line serves both QoS levels: the specification orders them separately, but
 * a publisher that uses both gains nothing from two.
 *
 * Bounded by the reader: it stops reading at `count` or `bytes` above its limits.
 *
 * @hotpath
 */
export class AckOrder {
  readonly #sink: AckSink;
  #line: InboundAck[] = NOBODY;
  #head = 0;
  #bytes = 0;
  #draining = false;
  #closed = false;

  constructor(sink: AckSink) {
    this.#sink = sink;
  }

  /** Publishes without an acknowledgement. */
  get count(): number {
    return this.#line.length - this.#head;
  }
  /** Their size. */
  get bytes(): number {
    return this.#bytes;
  }

  open(packetId: number, qos: 1 | 2, sizeBytes: number, receivedAtMs: number): InboundAck {
    const ack = new InboundAck(packetId, qos, sizeBytes, receivedAtMs);
    this.enqueue(ack);
    return ack;
  }

  /** Also for an exchange that began on an earlier connection of the session: its answer goes out on this one. */
  enqueue(ack: InboundAck): void {
    ack.order = this;
    if (this.#line === NOBODY) this.#line = [];
    this.#line.push(ack);
    this.#bytes += ack.sizeBytes;
  }

  /** Called by `InboundAck.complete`. */
  completed(ack: InboundAck): void {
    if (this.#closed) {
      this.#sink.abandoned(ack);
      return;
    }
    this.#sink.committed(ack);
    this.drain();
  }

  drain(): void {
    if (this.#draining) return;
    this.#draining = true;
    while (!this.#closed) {
      const ack = this.#line[this.#head];
      if (ack === undefined || !ack.done) break;
      this.#head++;
      this.#bytes -= ack.sizeBytes;
      if (this.#head === this.#line.length) {
        this.#line.length = 0;
        this.#head = 0;
      } else if (this.#head >= 64 && this.#head * 2 >= this.#line.length) {
        this.#line.splice(0, this.#head);
        this.#head = 0;
      }
      this.#sink.acknowledge(ack);
    }
    this.#draining = false;
  }

  /** The connection is gone: nothing is sent any more, but exchanges still learn what became of them. */
  close(): void {
    this.#closed = true;
    this.#line = NOBODY;
    this.#head = 0;
    this.#bytes = 0;
  }
}

/** Nobody pushes to it: a line is made by the first publish. */
const NOBODY: InboundAck[] = [];

export interface AckSink {
  /** The publish is finished, its acknowledgement may have to wait. */
  committed(ack: InboundAck): void;
  /** Its turn to be acknowledged. */
  acknowledge(ack: InboundAck): void;
  /** Finished after the connection was gone. */
  abandoned(ack: InboundAck): void;
}

/** One publish on its way into the stores. Completed once. */
export class InboundAck {
  readonly packetId: number;
  readonly qos: 1 | 2;
  readonly sizeBytes: number;
  readonly receivedAtMs: number;
  order: AckOrder | undefined = undefined;
  done = false;
  reasonCode: number = ReasonCode.SUCCESS;

  constructor(packetId: number, qos: 1 | 2, sizeBytes: number, receivedAtMs: number) {
    this.packetId = packetId;
    this.qos = qos;
    this.sizeBytes = sizeBytes;
    this.receivedAtMs = receivedAtMs;
  }

  complete(reasonCode: number): void {
    if (this.done) return;
    this.done = true;
    this.reasonCode = reasonCode;
    this.order?.completed(this);
  }
}
