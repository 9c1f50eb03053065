/**
 * A dashboard as we think of it: rows of panels, each with its queries; everything else that Grafana wants to hear is the
 * same in all of them and said here. Written for Grafana 10 and later; the data source is chosen on the dashboard.
 */
const DATA_SOURCE = { type: 'prometheus', uid: '$datasource' };
const WIDTH = 24;

/** `uid` is the file's name too. `variables` come after the data source and the job. */
export function dashboard({ uid, title, description, variables = [], annotations = [], rows }) {
  return {
    uid,
    title,
    description,
    tags: ['sluice'],
    schemaVersion: 39,
    version: 1,
    editable: true,
    graphTooltip: 1,
    refresh: '30s',
    time: { from: 'now-3h', to: 'now' },
    timezone: 'browser',
    links: [
      { title: 'Sluice', type: 'dashboards', tags: ['sluice'], asDropdown: true, includeVars: true, keepTime: true },
    ],
    annotations: { list: annotations },
    templating: {
      list: [
        { name: 'datasource', label: 'Data source', type: 'datasource', query: 'prometheus' },
        variable('job', 'Cluster', 'label_values(sluice_build_info, job)', { multi: false }),
        ...variables,
      ],
    },
    panels: placed(rows),
  };
}

export function variable(name, label, query, { multi = true } = {}) {
  return {
    name,
    label,
    type: 'query',
    datasource: DATA_SOURCE,
    query: { query, refId: name },
    definition: query,
    refresh: 2,
    sort: 1,
    multi,
    includeAll: multi,
    ...(multi ? { allValue: '.*', current: { text: 'All', value: '$__all' } } : {}),
  };
}

/** Marks moments, for example a change of leader, in every graph. */
export function annotation(name, expr, color) {
  return { name, datasource: DATA_SOURCE, enable: true, iconColor: color, expr, step: '30s', titleFormat: name };
}

export function row(title, ...panels) {
  return { title, panels };
}

/** `queries`: expression by legend. */
export function graph(title, queries, options = {}) {
  const { unit = 'short', stack = false, width, height, description, max, log = false } = options;
  return {
    type: 'timeseries',
    ...said(title, description, width, height),
    targets: targets(queries),
    fieldConfig: {
      defaults: {
        unit,
        min: 0,
        ...(max === undefined ? {} : { max }),
        custom: {
          lineWidth: 1,
          fillOpacity: stack ? 40 : 5,
          showPoints: 'never',
          stacking: { mode: stack ? 'normal' : 'none' },
          ...(log ? { scaleDistribution: { type: 'log', log: 10 } } : {}),
        },
      },
      overrides: [],
    },
    options: { legend: { displayMode: 'list', placement: 'bottom' }, tooltip: { mode: 'multi', sort: 'desc' } },
  };
}

/** One number, coloured from the thresholds on: `[[80, 'orange'], [95, 'red']]`. */
export function number(title, expr, options = {}) {
  const { unit = 'short', thresholds = [], width = 4, height = 4, description } = options;
  return {
    type: 'stat',
    ...said(title, description, width, height),
    targets: targets({ '': expr }),
    fieldConfig: { defaults: { unit, thresholds: steps(thresholds) }, overrides: [] },
    options: {
      reduceOptions: { calcs: ['lastNotNull'] },
      colorMode: thresholds.length > 0 ? 'background' : 'value',
      graphMode: 'area',
    },
  };
}

/** Where the time goes: a histogram over time. */
export function heatmap(title, expr, options = {}) {
  const { unit = 's', width, height, description } = options;
  return {
    type: 'heatmap',
    ...said(title, description, width, height),
    targets: [{ ...target('A', expr, '{{le}}'), format: 'heatmap' }],
    options: {
      calculate: false,
      yAxis: { unit },
      color: { mode: 'scheme', scheme: 'Spectral', steps: 64 },
      tooltip: { mode: 'single', yHistogram: false },
      legend: { show: true },
      filterValues: { le: 1e-9 },
    },
  };
}

/**
 * A line a `key`, a column a query: `{ 'Lag': { expr, unit, thresholds, words } }`. Only what exists now: a queue that is
 * gone is in no table. The first column's query says which lines there are.
 */
export function table(title, key, columns, options = {}) {
  const { width = WIDTH, height = 10, description, links = [], sortBy } = options;
  const names = Object.keys(columns);
  const refs = names.map((_, i) => String.fromCharCode(65 + i));
  return {
    type: 'table',
    ...said(title, description, width, height),
    targets: names.map((name, i) => ({
      ...target(refs[i], columns[name].expr, ''),
      format: 'table',
      instant: true,
      range: false,
    })),
    transformations: [
      { id: 'joinByField', options: { byField: key, mode: 'outerTabular' } },
      {
        id: 'organize',
        options: {
          excludeByName: Object.fromEntries(
            ['Time', 'job', ...names.flatMap((_, i) => [`Time ${i + 1}`, `job ${i + 1}`])].map((name) => [name, true]),
          ),
          renameByName: Object.fromEntries(names.map((name, i) => [`Value #${refs[i]}`, name])),
        },
      },
    ],
    fieldConfig: {
      defaults: { custom: { filterable: true } },
      overrides: [
        ...names.map((name) => override(name, columns[name])),
        ...(links.length === 0 ? [] : [{ matcher: byName(key), properties: [{ id: 'links', value: links }] }]),
      ],
    },
    options: { sortBy: [{ displayName: sortBy ?? names[0], desc: true }], footer: { show: false } },
  };
}

function override(name, { unit, thresholds, words }) {
  const properties = [];
  if (unit !== undefined) properties.push({ id: 'unit', value: unit });
  if (thresholds !== undefined) {
    properties.push({ id: 'thresholds', value: steps(thresholds) });
    properties.push({ id: 'custom.cellOptions', value: { type: 'color-background' } });
  }
  if (words !== undefined) {
    const options = Object.fromEntries(words.map(([text, color], i) => [i, { text, color, index: i }]));
    properties.push({ id: 'mappings', value: [{ type: 'value', options }] });
    properties.push({ id: 'custom.cellOptions', value: { type: 'color-background' } });
  }
  return { matcher: byName(name), properties };
}

function byName(name) {
  return { id: 'byName', options: name };
}

function steps(thresholds) {
  return {
    mode: 'absolute',
    steps: [{ color: 'green', value: null }, ...thresholds.map(([value, color]) => ({ color, value }))],
  };
}

function said(title, description, width, height) {
  return {
    title,
    ...(description === undefined ? {} : { description }),
    datasource: DATA_SOURCE,
    gridPos: { w: width ?? 12, h: height ?? 8 },
  };
}

function targets(queries) {
  return Object.entries(queries).map(([legend, expr], i) => target(String.fromCharCode(65 + i), expr, legend));
}

function target(refId, expr, legendFormat) {
  return { refId, expr: expr.replaceAll(/\s+/g, ' ').trim(), legendFormat, datasource: DATA_SOURCE };
}

/** Side by side from the left, a new line where they do not fit; each row below the one before. */
function placed(rows) {
  const panels = [];
  let y = 0;
  let id = 1;
  for (const { title, panels: ofRow } of rows) {
    panels.push({ id: id++, type: 'row', title, collapsed: false, gridPos: { x: 0, y, w: WIDTH, h: 1 }, panels: [] });
    y++;
    let x = 0;
    let lineHeight = 0;
    for (const panel of ofRow) {
      const { w, h } = panel.gridPos;
      if (x + w > WIDTH) {
        x = 0;
        y += lineHeight;
        lineHeight = 0;
      }
      panels.push({ id: id++, ...panel, gridPos: { x, y, w, h } });
      x += w;
      lineHeight = Math.max(lineHeight, h);
    }
    y += lineHeight;
  }
  return panels;
}
