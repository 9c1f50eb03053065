import { openLinked } from './link/linked-file.ts';

/** The `sluice` command: from the linked file of the last build, or module by module. */
const { runCommand } = openLinked<typeof import('./command.ts')>() ?? (await import('./command.ts'));
await runCommand(process.argv);
