import { AssertionFailed } from '@sluice/common/assert';
import type { Logger } from '@sluice/common/logger';
import type { ProtocolVersion } from '@sluice/mqtt/codec/packet';
import { MqttProtocolError } from '@sluice/mqtt/codec/protocol-error';
import { ReasonCode } from '@sluice/mqtt/codec/reason-code';
import { ConnectionPhase } from '@sluice/mqtt/protocol/connection-phase';
import type { ConnectionState } from '@sluice/mqtt/protocol/connection-state';
import { refuseStranger } from './refuse-stranger.ts';

/** A packet could not be read, or handled: its connection ends with the reason; a bug of ours ends the process. */
export function refuseUnread(
  error: unknown,
  state: ConnectionState,
  version: ProtocolVersion,
  { logger, peer }: { logger: Logger; peer: string },
): void {
  if (error instanceof MqttProtocolError) {
    if (state.phase === ConnectionPhase.AWAITING_CONNECT) refuseStranger(state, version, error);
    else state.fail(error.reasonCode, error.message);
    return;
  }
  if (error instanceof AssertionFailed) throw error;
  logger.error({ err: error, peer }, 'a packet could not be handled');
  state.fail(ReasonCode.IMPLEMENTATION_SPECIFIC_ERROR, 'internal error');
}
