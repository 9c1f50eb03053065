/**
 * Loaded by a node that runs with `--expose-gc`: at this signal, which means nothing to anybody else, it throws its garbage
 * away. What its metrics say of the heap then is what is alive.
 */
process.on('SIGWINCH', () => {
  globalThis.gc();
  // Buffers whose owners went with the first.
  globalThis.gc();
});
