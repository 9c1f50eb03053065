import { checkDashboards } from './dashboard-check.ts';

// npm run dashboards:check
const { queries, panels, empty } = await checkDashboards();
for (const line of empty) console.error(`no data: ${line}`);
console.log(`${panels} panels with ${queries} queries, ${empty.length} of them without data`);
process.exit(empty.length === 0 ? 0 : 1);
