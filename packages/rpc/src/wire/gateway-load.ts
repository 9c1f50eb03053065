import type { GatewayLoadRequest, GatewayLoadResponse } from '../contract/gateway-load.ts';
import type { Codec } from './codec.ts';
import { jsonCodec } from './json.ts';
import { anyAmount, anyFlag, anyInteger, typed } from './shape.ts';

export const gatewayLoadRequestCodec: Codec<GatewayLoadRequest> = jsonCodec(
  'gateway load request',
  typed<GatewayLoadRequest>({
    look: {},
    shed: { target: anyInteger, perSecond: anyAmount },
    keep: {},
  }),
);

export const gatewayLoadResponseCodec: Codec<GatewayLoadResponse> = jsonCodec(
  'gateway load response',
  typed<GatewayLoadResponse>({
    load: { connections: anyInteger, isShedding: anyFlag, target: anyInteger, sent: anyInteger },
  }),
);
