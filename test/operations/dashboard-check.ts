import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { ClusterUnderTest } from '../cluster/cluster-under-test.ts';
import { annotationQueries, type PanelQuery, panelQueries } from './dashboard-queries.ts';
import { DemoLoad } from './demo-load.ts';
import {
  METRIC_REFERENCE,
  type MetricFamily,
  metricFamilies,
  RARE_FAMILIES,
  referenceText,
} from './metric-reference.ts';
import { Scraper } from './scraper.ts';

const DATA_MS_MAX = 60_000;

export interface DashboardOutcome {
  queries: number;
  panels: number;
  /** Queries that never had data, with why. */
  empty: string[];
  /** On the pages of the nodes. */
  families: MetricFamily[];
}

/**
 * A real Prometheus scrapes a cluster under load, and every query of every panel is asked until it has had data: a panel
 * of a metric that was renamed, or of a label that nobody sets, stays empty and is named.
 */
export async function checkDashboards(): Promise<DashboardOutcome> {
  const cluster = await ClusterUnderTest.start({ layout: 'compact' });
  let scraper: Scraper | undefined;
  const load = new DemoLoad(cluster);
  try {
    scraper = await Scraper.start(cluster.nodes.map(({ http }) => http));
    await load.start();
    const queries = panelQueries();
    for (const { expr } of [...annotationQueries(), ...queries.filter(isRare)]) await scraper.query(expr);
    const empty = await unanswered(
      scraper,
      queries.filter((query) => !isRare(query)),
    );
    const panels = new Set(queries.map(({ dashboard, panel }) => `${dashboard}/${panel}`)).size;
    return { queries: queries.length, panels, empty, families: await familiesShown(cluster) };
  } catch (cause) {
    throw cluster.failure(cause);
  } finally {
    await load.stop();
    await scraper?.stop();
    await cluster.dispose();
  }
}

/** A family is on a page seconds before its first series, by which its labels are known: until all are as the reference says. */
async function familiesShown(cluster: ClusterUnderTest): Promise<MetricFamily[]> {
  const deadlineMs = performance.now() + DATA_MS_MAX;
  for (;;) {
    const families = await metricFamilies(cluster);
    const isTold = readFileSync(METRIC_REFERENCE, 'utf8') === referenceText(families);
    if (isTold || performance.now() > deadlineMs) return families;
    await delay(1_000);
  }
}

async function unanswered(scraper: Scraper, queries: readonly PanelQuery[]): Promise<string[]> {
  const deadlineMs = performance.now() + DATA_MS_MAX;
  let left = [...queries];
  for (;;) {
    const still: PanelQuery[] = [];
    for (const query of left) if (!hasData(await scraper.query(query.expr))) still.push(query);
    left = still;
    if (left.length === 0 || performance.now() > deadlineMs) break;
    await delay(1_000);
  }
  return left.map(({ dashboard, panel, expr }) => `${dashboard}, ${panel}: ${expr}`);
}

/** It has data with a setting, or a mishap, that this cluster does not have: it need only be understood. */
function isRare({ expr }: PanelQuery): boolean {
  return RARE_FAMILIES.some(({ name }) => new RegExp(`\\b${name}\\b`).test(expr)) && !expr.includes(' or vector(');
}

/** A quotient of nothing by nothing draws no line. */
function hasData(results: readonly { value: [number, string] }[]): boolean {
  return results.some(({ value: [, value] }) => value !== 'NaN');
}
