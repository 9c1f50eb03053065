import type { MetadataRequest, MetadataResponse } from '../contract/metadata.ts';
import type { Codec } from './codec.ts';
import { jsonCodec } from './json.ts';
import { metaCommandShape } from './meta-command.ts';
import { anyFlag, anyInteger, anyObject, anyText, listOf, typed } from './shape.ts';

/** Commands are JSON in the metadata log already, and checked before they get there. */
export const metadataRequestCodec: Codec<MetadataRequest> = jsonCodec(
  'metadata request',
  typed<MetadataRequest>({
    execute: { command: metaCommandShape },
    reach: { epoch: anyInteger },
    wanted: { name: anyText, topicFilter: anyText },
    members: {},
  }),
);

export const metadataResponseCodec: Codec<MetadataResponse> = jsonCodec(
  'metadata response',
  typed<MetadataResponse>({
    executed: { reply: anyObject, reached: anyFlag },
    reached: { reached: anyFlag },
    wanted: { created: anyFlag },
    members: { members: listOf(anyInteger) },
    'not-leader': { leader: anyInteger },
    unknown: {},
  }),
);
