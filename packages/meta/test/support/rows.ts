/** The rows of a machine, as an engine keeps them. */
export class Rows {
  readonly map = new Map<string, { key: Uint8Array; value: Uint8Array }>();
  put(key: Uint8Array, value: Uint8Array): void {
    this.map.set(Buffer.from(key).toString('hex'), { key, value });
  }
  delete(key: Uint8Array): void {
    this.map.delete(Buffer.from(key).toString('hex'));
  }
  /** As an engine brings them: in the order of keys. */
  sorted(): { key: Uint8Array; value: Uint8Array }[] {
    return [...this.map.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
  }
  texts(): string[] {
    return this.sorted().map(({ value }) => Buffer.from(value).toString());
  }
}
