/**
 * Who reads what a command prints may go before its end, as `head` does. Node.js makes an error of that which nobody
 * expects: a stack and a failure, where nothing failed. `end` is what to do instead: most have nothing left to say to
 * anybody, a node goes on.
 */
export function whenUnread(output: NodeJS.EventEmitter, end: () => void): void {
  output.on('error', (cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'EPIPE') throw cause;
    end();
  });
}
