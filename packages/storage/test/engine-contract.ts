import { expect, test } from '@jest/globals';
import type { Engine, KeyValue } from '@sluice/storage/engine';
import fc from 'fast-check';

const bytes = (text: string) => Buffer.from(text);
const texts = (rows: readonly KeyValue[]) =>
  rows.map(({ key, value }) => `${Buffer.from(key).toString()}=${Buffer.from(value).toString()}`);

/** What every engine must do. `open` gives an empty one. */
export function engineContract(open: () => Promise<Engine>): void {
  const withEngine = async (run: (engine: Engine) => Promise<void>) => {
    const engine = await open();
    try {
      await run(engine);
    } finally {
      await engine.close();
    }
  };
  const put = (engine: Engine, pairs: Record<string, string | undefined>, sync = false) =>
    engine.write(
      Object.entries(pairs).map(([key, value]) => ({
        key: bytes(key),
        value: value === undefined ? value : bytes(value),
      })),
      { sync },
    );

  test('gives back what was written, one answer a key in order', () =>
    withEngine(async (engine) => {
      await put(engine, { a: '1', b: '', c: '3' }, true);
      await put(engine, { c: undefined, d: '4' });
      expect(await engine.getMany([])).toEqual([]);
      const found = await engine.getMany([bytes('d'), bytes('c'), bytes('b'), bytes('x'), bytes('a')]);
      expect(found.map((value) => value && Buffer.from(value).toString())).toEqual([
        '4',
        undefined,
        '',
        undefined,
        '1',
      ]);
      expect(await engine.get(bytes('nothing'))).toBeUndefined();
    }));

  test('keeps its own copy of what it was given', () =>
    withEngine(async (engine) => {
      const key = new Uint8Array([1, 2]);
      const value = new Uint8Array([3, 4]);
      await engine.write([{ key, value }], { sync: false });
      key[0] = 9;
      value[0] = 9;
      const found = await engine.get(new Uint8Array([1, 2]));
      expect([...(found ?? [])]).toEqual([3, 4]);
    }));

  test('keeps its own copy of buffers too, and gives copies', () =>
    withEngine(async (engine) => {
      const [key, value] = [Buffer.from([1, 2]), Buffer.from([3, 4])];
      await engine.write([{ key, value }], { sync: false });
      key[0] = 9;
      value[0] = 9;
      const kept = Buffer.from([1, 2]);
      for (const found of [await engine.get(kept), (await engine.scan(kept, Buffer.from([2]), 1))[0]?.value]) {
        expect([...(found ?? [])]).toEqual([3, 4]);
        found?.fill(7);
      }
      expect([...((await engine.get(kept)) ?? [])]).toEqual([3, 4]);
    }));

  test('scans a half-open range in bytewise order, up to a limit', () =>
    withEngine(async (engine) => {
      await put(engine, { b: '2', a: '1', ba: '3', c: '4', B: '5' });
      expect(texts(await engine.scan(bytes('a'), bytes('c'), 10))).toEqual(['a=1', 'b=2', 'ba=3']);
      expect(texts(await engine.scan(bytes('a'), bytes('c'), 2))).toEqual(['a=1', 'b=2']);
      expect(await engine.scan(bytes('a'), bytes('c'), 0)).toEqual([]);
      expect(await engine.scan(bytes('c'), bytes('a'), 10)).toEqual([]);
    }));

  test('a snapshot shows the moment of the call, in chunks', () =>
    withEngine(async (engine) => {
      const pairs: Record<string, string> = {};
      for (let i = 0; i < 25; i++) pairs[`k${String(i).padStart(2, '0')}`] = `${i}`;
      await put(engine, pairs);
      const snapshot = engine.snapshotScan(bytes('k'), bytes('l'), 10);
      await put(engine, { k00: 'changed', k05: undefined, k99: 'new' });
      const chunks: string[][] = [];
      for await (const rows of snapshot) chunks.push(texts(rows));
      expect(chunks.map((chunk) => chunk.length)).toEqual([10, 10, 5]);
      expect(chunks.flat()).toEqual(Object.entries(pairs).map(([key, value]) => `${key}=${value}`));
    }));

  test('a snapshot may be left early, or never be read', () =>
    withEngine(async (engine) => {
      await put(engine, { a: '1', b: '2', c: '3' });
      await engine.snapshotScan(bytes('a'), bytes('z'), 1).end();
      engine.snapshotScan(bytes('a'), bytes('z'), 1);
      for await (const rows of engine.snapshotScan(bytes('a'), bytes('z'), 1)) {
        expect(texts(rows)).toEqual(['a=1']);
        break;
      }
    }));

  test.each([10, 3000])('clears a range of %i rows and nothing beside it', (count) =>
    withEngine(async (engine) => {
      const row = (i: number) => ({ key: bytes(`k${String(i).padStart(5, '0')}`), value: bytes('v') });
      await engine.write([...Array(count).keys()].map(row), { sync: false });
      await put(engine, { a: '1', z: '2' });
      await engine.clearRange(bytes('k'), bytes('l'));
      expect(texts(await engine.scan(bytes('a'), bytes('zz'), 10))).toEqual(['a=1', 'z=2']);
    }),
  );

  test('close waits for what runs, and a call after it is refused instead of crashing', async () => {
    const engine = await open();
    await put(engine, { a: '1' });
    const snapshot = engine.snapshotScan(bytes('a'), bytes('z'), 1);
    const running = [
      put(engine, { b: '2' }, true),
      engine.getMany([bytes('a')]),
      engine.scan(bytes('a'), bytes('z'), 5),
    ];
    await engine.close();
    await Promise.all(running);
    await engine.close();
    await expect(engine.get(bytes('a'))).rejects.toThrow('closed');
    await expect(put(engine, { b: '2' })).rejects.toThrow('closed');
    const step = async () => {
      for await (const _ of snapshot) break;
    };
    await expect(step()).rejects.toThrow('closed');
  });

  test('keys of the engine itself and empty keys are refused', () =>
    withEngine(async (engine) => {
      const value = bytes('v');
      await expect(engine.write([{ key: new Uint8Array([0xff, 1]), value }], { sync: false })).rejects.toThrow('0xff');
      await expect(engine.write([{ key: new Uint8Array(0), value }], { sync: false })).rejects.toThrow('empty');
    }));

  test('any sequence of writes and clears leaves what a plain map leaves', () =>
    withEngine(async (engine) => {
      const key = fc.uint8Array({ minLength: 1, maxLength: 3, max: 3 });
      const write = fc.record({ key, value: fc.option(fc.uint8Array({ maxLength: 40 }), { nil: undefined }) });
      const step = fc.oneof(
        { weight: 4, arbitrary: fc.array(write, { maxLength: 10 }).map((batch) => ({ batch })) },
        { weight: 1, arbitrary: fc.tuple(key, key).map((range) => ({ range })) },
      );
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
          await engine.clearRange(new Uint8Array([0]), new Uint8Array([0xfe]));
          const model = new Map<string, Uint8Array>();
          for (const step of steps) {
            if ('batch' in step) {
              await engine.write(step.batch, { sync: false });
              for (const { key, value } of step.batch) {
                const name = Buffer.from(key).toString('hex');
                if (value === undefined) model.delete(name);
                else model.set(name, value);
              }
            } else {
              const [from, to] = step.range;
              await engine.clearRange(from, to);
              for (const name of model.keys()) {
                const at = Buffer.from(name, 'hex');
                if (Buffer.compare(at, from) >= 0 && Buffer.compare(at, to) < 0) model.delete(name);
              }
            }
          }
          const found = await engine.scan(new Uint8Array([0]), new Uint8Array([0xfe]), 1000);
          expect(found.map(({ key, value }) => [Buffer.from(key).toString('hex'), [...value]])).toEqual(
            [...model].map(([name, value]) => [name, [...value]]).sort(([a], [b]) => (String(a) < String(b) ? -1 : 1)),
          );
        }),
        { seed: 20261120, numRuns: 60 },
      );
    }));
}
