import { afterAll, afterEach, beforeAll } from '@jest/globals';
import './cases/connect.ts';
import './cases/connect-payload.ts';
import './cases/session.ts';
import './cases/will.ts';
import './cases/publish.ts';
import './cases/properties.ts';
import './cases/retained.ts';
import './cases/quality-of-service.ts';
import './cases/flow-control.ts';
import './cases/packet-size.ts';
import './cases/subscribe.ts';
import './cases/unsubscribe.ts';
import './cases/shared.ts';
import './cases/topics.ts';
import './cases/malformed.ts';
import './cases/disconnect.ts';
import './cases/authentication.ts';
import './cases/mqtt31.ts';
import './cases/system-topics.ts';
import './cases/websocket.ts';
import { share, Wire, wire } from './support/wire.ts';

/** All cases on one broker: starting one for each file would take longer than they do. */
beforeAll(async () => share(await Wire.start()), 120_000);
afterEach(() => wire().hangUp());
afterAll(() => wire().dispose());
