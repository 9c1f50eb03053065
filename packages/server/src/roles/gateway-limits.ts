import type { Logger } from '@sluice/common/logger';
import type { GatewayLimits } from '@sluice/gateway/gateway-limits';
import type { ServerConfig } from '../config/config.ts';
import { SETTING_BY_KEY } from '../config/settings.ts';
import { openFilesLimit, shareOpenFiles } from '../node/open-files.ts';

/** What the configuration says of a gateway's bounds, and no more connections than the process may have files. */
export function gatewayLimitsOf(config: ServerConfig, logger: Logger): Partial<GatewayLimits> {
  const { mqtt } = config;
  return {
    maximumPacketSizeBytes: mqtt.maximumPacketBytes,
    receiveMaximum: mqtt.receiveMaximum,
    topicAliasMaximum: mqtt.topicAliasMaximum,
    validatePayloadFormat: mqtt.validatePayloadFormat,
    systemIntervalMs: mqtt.systemIntervalMs,
    responseInformation: mqtt.responseInformation,
    keepAliveMaxS: Math.floor(mqtt.keepAliveMaxMs / 1000),
    connectTimeoutMs: mqtt.connectTimeoutMs,
    connectionsMax: connectionsMaxOf(config, logger),
    sendBufferBytesMax: mqtt.sendBufferBytesMax,
    liveQueueMax: mqtt.liveQueueMessagesMax,
    denyAction: config.authorization.denyAction,
    connectsPerSecond: mqtt.connectRate,
    rates: mqtt.rates,
    connectionsPerAddressMax: mqtt.connectionsPerAddress,
    retainedMessageBytesMax: config.retained.messageBytesMax,
  };
}

function connectionsMaxOf(config: ServerConfig, logger: Logger): number {
  const filesMax = openFilesLimit();
  const { connectionsMax } = shareOpenFiles(filesMax, config.mqtt.connectionsMax);
  const asked = config.mqtt.connectionsMax;
  if (connectionsMax < asked) {
    // Who left the default asked for nothing.
    const isAsked = asked !== SETTING_BY_KEY.get('mqtt.connectionsMax')?.rule.default;
    logger[isAsked ? 'warn' : 'info'](
      { connectionsMax, asked, openFilesMax: filesMax },
      'fewer MQTT connections than mqtt.connectionsMax are accepted: raise the limit of open files',
    );
  }
  return connectionsMax;
}
