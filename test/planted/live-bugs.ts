import type { PlantedBug, PlantedBugs } from './planted-bug.ts';

/** Who leaves with thousands of subscriptions: mistakes by which they bring somebody what is not his, or hold somebody up. */
const bug = (file: string, name: string, find: string, put: string): PlantedBug => ({
  name,
  file: `packages/gateway/src/${file}.ts`,
  find,
  put,
});

export const LIVE_BUGS: PlantedBugs = {
  tests: 'packages/gateway/test/(live/left-routes-removal|live/live-router|leaving)',
  bugs: [
    bug(
      'live/live-router',
      'who has left is given what comes until its routes are removed',
      '      } else route.active = false;\n',
      '      }\n',
    ),
    bug(
      'live/live-router',
      'a group without members is dealt to until its place is removed',
      '        if (route.size > 0) continue;\n        this.#endGroup(route);\n',
      '        if (route.size > 0) continue;\n',
    ),
    bug(
      'live/live-router',
      'what others have left takes the places of those who come',
      '    if (this.#subscriptions + this.#left.size >= this.#totalMax) this.removeLeft(1);\n',
      '',
    ),
    bug(
      'live/left-routes-removal',
      'each that leaves has a turn’s share of its own',
      '    this.#room -= this.#live.removeLeft(this.#room);\n',
      '    this.#live.removeLeft(this.#room);\n',
    ),
    bug(
      'live/left-routes-removal',
      'what a turn has left over is not used by the next',
      '    this.#room = FILTERS_A_STEP;\n    this.begin();\n',
      '    this.begin();\n',
    ),
    bug(
      'deliver/gateway-session',
      'queues hear nothing of the end of who consumes from them',
      '    for (const link of this.#queues?.values() ?? []) link.detach();\n',
      '',
    ),
  ],
};
