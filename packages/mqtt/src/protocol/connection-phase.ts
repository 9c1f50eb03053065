/** Where a connection stands: `ConnectionState` says what leads from one to the next. */
export const ConnectionPhase = {
  AWAITING_CONNECT: 0,
  AUTHENTICATING: 1,
  OPEN: 2,
  CLOSED: 3,
} as const;
export type ConnectionPhase = (typeof ConnectionPhase)[keyof typeof ConnectionPhase];
