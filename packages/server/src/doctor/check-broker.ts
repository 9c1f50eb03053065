import { CliFailure } from '@sluice/admin/cli-failure';
import { type Connection, callApi } from '@sluice/admin/rest-client';
import { BUILD } from '../build.ts';
import { type Finding, failure, note, ok, warning } from './finding.ts';

const CLOCK_MS_MAX = 1_000;
const ANSWER_MS_MAX = 5_000;

/** The broker that runs at the URL, if one does, which it must where somebody named the URL: whether it is ready, what its cluster says, versions, and its clock. */
export async function checkBroker(
  connection: Connection,
  nowMs: () => number,
  { isNamed }: { isNamed: boolean },
): Promise<Finding[]> {
  const { url } = connection;
  let response: Response;
  let askedMs: number;
  try {
    askedMs = nowMs();
    response = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(ANSWER_MS_MAX) });
  } catch {
    // Nobody asked for one where the usual address is looked at: the node may be about to be started.
    if (isNamed)
      return [failure('broker', `none answers at ${url}`, 'Start it, or name the HTTP listener of one that runs')];
    return [note('broker', `none answers at ${url}`, 'To look at one that runs, name its HTTP listener with --url')];
  }
  const findings = [await checkReady(response, url), ...checkClock(response, askedMs, nowMs())];
  try {
    findings.push(...checkCluster((await callApi(connection, 'GET', '/api/v5/cluster')) as ClusterAnswer));
  } catch (error) {
    if (!(error instanceof CliFailure)) throw error;
    findings.push(warning('cluster', error.message, error.hint));
  }
  return findings;
}

interface ClusterAnswer {
  nodes: { node: string; version: string }[];
  problems: { severity: 'failing' | 'degraded' | 'notice'; message: string; hint: string }[];
}

async function checkReady(response: Response, url: string): Promise<Finding> {
  const answer = (await response.json().catch(() => undefined)) as
    | { checks?: { ok: boolean; reason: string }[] }
    | undefined;
  if (response.ok) return ok('broker', `${url} is ready`);
  const reasons = (answer?.checks ?? []).filter((check) => !check.ok).map(({ reason }) => reason);
  return failure(
    'broker',
    `${url} is not ready: ${reasons.join('; ') || response.status}`,
    'It says there what it waits for',
  );
}

/** To the second, which is what HTTP tells. */
function checkClock(response: Response, askedMs: number, answeredMs: number): Finding[] {
  const theirsMs = Date.parse(response.headers.get('date') ?? '');
  if (Number.isNaN(theirsMs)) return [];
  // Cut to the second, and from some moment between question and answer.
  const aheadMs = Math.max(0, theirsMs - answeredMs, askedMs - theirsMs - 1_000);
  if (aheadMs <= CLOCK_MS_MAX) return [ok('clock', 'agrees with the broker’s to the second')];
  const said = `this machine and the broker’s are ${(aheadMs / 1_000).toFixed(0)} s apart`;
  return [warning('clock', said, 'Synchronise both (NTP): ages, expiry and take-overs go by the clock')];
}

function checkCluster({ nodes, problems }: ClusterAnswer): Finding[] {
  const versions = [...new Set(nodes.map(({ version }) => version).filter((version) => version !== ''))];
  const findings: Finding[] = problems.map(({ severity, message, hint }) => {
    if (severity === 'notice') return note('cluster', message, hint);
    return severity === 'failing' ? failure('cluster', message, hint) : warning('cluster', message, hint);
  });
  if (findings.length === 0)
    findings.push(ok('cluster', `${nodes.length === 1 ? '1 node' : `${nodes.length} nodes`}, all is well`));
  if (versions.length > 1)
    findings.push(warning('versions', `nodes run ${versions.join(' and ')}`, 'Bring all to the same version'));
  else if (versions[0] !== undefined && versions[0] !== BUILD.version)
    findings.push(note('versions', `the broker is ${versions[0]}, this command ${BUILD.version}`));
  return findings;
}
