import type { ConsumeRequest, ConsumeResponse, DeliverItem } from '@sluice/rpc/contract/consume';
import type { Channel, Transport } from '@sluice/rpc/transport';

type Of<T extends ConsumeRequest['type']> = Extract<ConsumeRequest, { type: T }>;

/** One store as consumers see it: writes down what it is asked, and says what the test wants. */
class ScriptedStore {
  readonly requests: ConsumeRequest[] = [];
  /** What is said to a request, in the next microtask as over any transport. */
  answer: (request: ConsumeRequest) => ConsumeResponse | undefined = () => undefined;
  receive: (response: ConsumeResponse) => void = () => {};
  /** The channel ends; the next one may be opened. */
  lose: () => void = () => {};

  of<T extends ConsumeRequest['type']>(type: T): Of<T>[] {
    return this.requests.filter((request) => request.type === type) as Of<T>[];
  }

  /** The newest consumer of a partition. */
  consumerOf(partition: number): number {
    return this.of('attach').findLast((request) => request.partition === partition)?.consumerId ?? 0;
  }

  deliver(partition: number, ...deliveries: DeliverItem[]): void {
    this.receive({ type: 'deliver', consumerId: this.consumerOf(partition), deliveries });
  }

  /** Says whether work waits. */
  waiting(partition: number, waiting: boolean): void {
    this.receive({ type: 'waiting', consumerId: this.consumerOf(partition), waiting });
  }

  refuse(partition: number, leader: number): void {
    this.receive({ type: 'detached', consumerId: this.consumerOf(partition), reason: 'not-leader', leader });
  }
}

export class ScriptedStores implements Transport {
  readonly #stores = new Map<number, ScriptedStore>();

  of(nodeId: number): ScriptedStore {
    let store = this.#stores.get(nodeId);
    if (store === undefined) {
      store = new ScriptedStore();
      this.#stores.set(nodeId, store);
    }
    return store;
  }

  open<Out, In>(nodeId: number): Channel<Out, In> {
    const store = this.of(nodeId);
    let isOpen = true;
    let listener: (response: ConsumeResponse) => void = () => {};
    let closeListener = (): void => {};
    const channel: Channel<ConsumeRequest, ConsumeResponse> = {
      unsentBytes: 0,
      send: (request) => {
        if (!isOpen) return;
        store.requests.push(request);
        const response = store.answer(request);
        if (response !== undefined) queueMicrotask(() => isOpen && listener(response));
      },
      onMessage: (heard) => {
        listener = heard;
      },
      onClose: (heard) => {
        closeListener = heard;
      },
      close: () => {
        isOpen = false;
      },
    };
    store.receive = (response) => {
      if (isOpen) listener(response);
    };
    store.lose = () => {
      if (!isOpen) return;
      isOpen = false;
      closeListener();
    };
    return channel as unknown as Channel<Out, In>;
  }

  call(): never {
    throw new Error('nothing is asked here');
  }
}
