/**
 * Where the nodes of the cluster listen, as far as this node knows: filled from its configuration, from what it is told
 * when it registers, and from the metadata. An address may change while the node runs.
 */
export class AddressBook {
  readonly #addresses = new Map<number, string>();

  /** `host:port`; an IPv6 address in brackets. An empty one is that of a node that listens to nobody. */
  set(nodeId: number, address: string): void {
    if (address === '') this.#addresses.delete(nodeId);
    else this.#addresses.set(nodeId, address);
  }

  delete(nodeId: number): void {
    this.#addresses.delete(nodeId);
  }

  addressOf(nodeId: number): string | undefined {
    return this.#addresses.get(nodeId);
  }
}
