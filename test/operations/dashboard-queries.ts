import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const FOLDER = join(import.meta.dirname, '../../deploy/grafana');
const DASHBOARDS = ['sluice-lag', 'sluice-cluster', 'sluice-gateways', 'sluice-storage'];

export interface PanelQuery {
  dashboard: string;
  panel: string;
  expr: string;
}

interface Dashboard {
  panels: { type: string; title: string; targets?: { expr: string }[] }[];
  annotations: { list: { name: string; expr: string }[] };
  templating: { list: { name: string; query: string | { query: string } }[] };
}

/** Every query of every panel, with the variables as they are when a dashboard is opened. */
export function panelQueries(): PanelQuery[] {
  return DASHBOARDS.flatMap((name) =>
    read(name).panels.flatMap(({ title, targets = [] }) =>
      targets.map(({ expr }) => ({ dashboard: name, panel: title, expr: filledIn(expr) })),
    ),
  );
}

/** What marks moments in the graphs. Nothing may have happened: these need only be understood. */
export function annotationQueries(): PanelQuery[] {
  return DASHBOARDS.flatMap((name) =>
    read(name).annotations.list.map(({ name: panel, expr }) => ({ dashboard: name, panel, expr: filledIn(expr) })),
  );
}

function read(name: string): Dashboard {
  return JSON.parse(readFileSync(join(FOLDER, `${name}.json`), 'utf8')) as Dashboard;
}

/** As Grafana fills it in for a data source that is scraped every second. */
function filledIn(expr: string): string {
  const text = expr.replaceAll('$__rate_interval', '10s').replaceAll('$job', 'sluice').replaceAll('$queue', '.*');
  const left = /\$\w+/.exec(text);
  if (left !== null) throw new Error(`${expr}: nobody knows ${left[0]}`);
  return text;
}
