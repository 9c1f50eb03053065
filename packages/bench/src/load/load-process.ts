import { ConsumingSide } from './consuming-side.ts';
import type { Driver } from './driver.ts';
import { IdleSide } from './idle-side.ts';
import type { LoadCommand, LoadEvent, LoadPlan } from './load-plan.ts';
import { PublishingSide } from './publishing-side.ts';

/**
 * A process of the load: it does what the runner says over the pipe it was started with, and ends when that closes.
 * Publishers and consumers are in different ones, so that reading does not wait for writing.
 */
type Side = PublishingSide | ConsumingSide | IdleSide;

let side: Side | undefined;

function tell(event: LoadEvent): void {
  if (process.connected) process.send?.(event);
}

function fail(error: Error): void {
  tell({ event: 'failed', message: error.message });
}

async function prepare(plan: LoadPlan): Promise<Side> {
  const { driver } = (await import(plan.driver)) as { driver: Driver };
  switch (plan.side) {
    case 'publishers':
      return await PublishingSide.connect(plan, driver, fail);
    case 'consumers':
      return await ConsumingSide.connect(plan, driver, (messages) => tell({ event: 'consumed', messages }), fail);
    case 'idlers':
      return await IdleSide.connect(plan, driver);
  }
}

async function obey(command: LoadCommand): Promise<void> {
  if (command.do === 'prepare') {
    side = await prepare(command.plan);
    tell({ event: 'prepared' });
    return;
  }
  if (side === undefined) throw new Error(`"${command.do}" before it was prepared`);
  switch (command.do) {
    case 'open':
      if (side instanceof PublishingSide) side.open(command.perSecond);
      break;
    case 'change':
      if (side instanceof PublishingSide) side.change(command.perSecond, command.backlogMax);
      break;
    case 'consumed':
      if (side instanceof PublishingSide) side.consumed(command.messages);
      break;
    case 'close':
      if (side instanceof PublishingSide) side.close();
      tell({ event: 'closed' });
      break;
    case 'look':
      tell({ event: 'looked', look: side.look() });
      break;
    case 'account':
      tell({ event: 'accounts', accounts: side.accounts() });
      break;
    case 'end':
      await side.end().catch(() => {});
      process.exit(0);
  }
}

process.on('message', (command: LoadCommand) => {
  obey(command).catch((error: unknown) => fail(error instanceof Error ? error : new Error(String(error))));
});
process.on('disconnect', () => process.exit(0));
process.on('uncaughtException', (error) => {
  fail(error);
  process.exit(1);
});
