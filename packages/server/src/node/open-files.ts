import { readFileSync } from 'node:fs';

/**
 * How the open files of this process are shared. Sockets are files: without a share of its own, the entry log could not
 * open its next file once enough strangers have connected, and a log that cannot be written fences its node.
 */
export interface FileShares {
  /** MQTT connections, those that only shake hands included. */
  connectionsMax: number;
  apiConnectionsMax: number;
}

/** Segments, tables and pipes of the storage. */
const OWN_FILES_MAX = 512;
const API_CONNECTIONS_MAX = 1_000;

/** `limit` undefined: the system does not tell, or there is none. */
export function shareOpenFiles(limit: number | undefined, connectionsAsked: number): FileShares {
  if (limit === undefined) return { connectionsMax: connectionsAsked, apiConnectionsMax: API_CONNECTIONS_MAX };
  const own = Math.min(OWN_FILES_MAX, Math.ceil(limit / 4));
  const apiConnectionsMax = Math.min(API_CONNECTIONS_MAX, Math.floor(limit / 8));
  return {
    connectionsMax: Math.max(1, Math.min(connectionsAsked, limit - own - apiConnectionsMax)),
    apiConnectionsMax: Math.max(1, apiConnectionsMax),
  };
}

/** Of this process, where Linux tells. Node has raised the soft limit to the hard one. */
export function openFilesLimit(): number | undefined {
  try {
    return parseOpenFilesLimit(readFileSync('/proc/self/limits', 'latin1'));
  } catch {
    return undefined;
  }
}

export function parseOpenFilesLimit(limits: string): number | undefined {
  const soft = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
  return soft === undefined ? undefined : Number(soft);
}
