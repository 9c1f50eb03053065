/**
 * Where the nodes of the cluster listen and what they are called, as far as this node knows: filled from what it
 * remembers, from what it is told when it registers, and from the metadata. Both may change while the node runs.
 */
export class AddressBook {
  readonly #entries = new Map<number, AddressBookEntry>();

  /** `host:port`; an IPv6 address in brackets. An empty one is that of a node that listens to nobody. */
  set(nodeId: number, address: string, name = ''): void {
    this.#entries.set(nodeId, { address, name, isGone: false });
  }

  /** Its place was given up: nothing is sent there any more, though it is still known who may speak for it. */
  retire(nodeId: number): void {
    const entry = this.#entries.get(nodeId);
    if (entry !== undefined) entry.isGone = true;
  }

  addressOf(nodeId: number): string | undefined {
    const entry = this.#entries.get(nodeId);
    return entry === undefined || entry.isGone || entry.address === '' ? undefined : entry.address;
  }

  entryOf(nodeId: number): Readonly<AddressBookEntry> | undefined {
    return this.#entries.get(nodeId);
  }

  /** What the nodes at an address are called; one that is being replaced and who replaces it may both be there. */
  namesAt(address: string): string[] {
    const names: string[] = [];
    for (const entry of this.#entries.values()) {
      if (!entry.isGone && entry.address === address && entry.name !== '') names.push(entry.name);
    }
    return names;
  }

  /** The node that bears the name now. */
  entryNamed(name: string): Readonly<AddressBookEntry> | undefined {
    for (const entry of this.#entries.values()) if (!entry.isGone && entry.name === name) return entry;
    return undefined;
  }
}

export interface AddressBookEntry {
  address: string;
  /** Empty while it is not known. */
  name: string;
  isGone: boolean;
}
