import type { ServerConfig } from '../config/config.ts';
import { shareOpenFiles } from '../node/open-files.ts';
import { type Finding, failure, note, ok, warning } from './finding.ts';

const NODE_MAJORS = [20, 22, 24, 26];

/** What the process runs on: the release of Node.js, and how many files it may have open. */
export function checkRuntime(
  { mqtt, node }: ServerConfig,
  runtime: { nodeVersion: string; platform: string; openFiles: number | undefined },
): Finding[] {
  return [checkNode(runtime), ...(node.roles.has('gateway') ? [checkOpenFiles(mqtt.connectionsMax, runtime)] : [])];
}

function checkNode({ nodeVersion, platform }: { nodeVersion: string; platform: string }): Finding {
  const major = Number(nodeVersion.split('.')[0]);
  const on = `Node.js ${nodeVersion} on ${platform}`;
  if (major < (NODE_MAJORS[0] as number))
    return failure('runtime', `${on} is too old`, `Use Node.js ${NODE_MAJORS.join(', ')}`);
  if (platform !== 'linux')
    return warning('runtime', `${on}: Sluice is tested on Linux alone`, 'Run what matters on Linux x64');
  if (!NODE_MAJORS.includes(major))
    return warning('runtime', `${on} is none that Sluice is tested with`, `Use Node.js ${NODE_MAJORS.join(', ')}`);
  return ok('runtime', on);
}

function checkOpenFiles(connectionsMax: number, { openFiles }: { openFiles: number | undefined }): Finding {
  if (openFiles === undefined) return ok('open files', 'the system states no limit');
  const possible = shareOpenFiles(openFiles, connectionsMax).connectionsMax;
  if (possible >= connectionsMax) return ok('open files', `${openFiles}, enough for ${connectionsMax} connections`);
  // The node takes no more than it can have, and says so when it starts.
  return note(
    'open files',
    `${openFiles} leave room for ${possible} connections; mqtt.connectionsMax would take ${connectionsMax}`,
    'For more, raise the limit (ulimit -n, LimitNOFILE= of the service)',
  );
}
