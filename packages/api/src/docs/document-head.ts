import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger';

const DESCRIPTION = `Manage durable message queues.

Publish with any MQTT client to a topic that matches a queue's filter. Consume by subscribing to \`$queue/<name>\` or
\`$q/<topic_filter>\`; each message goes to one consumer and stays until that consumer acknowledges it.

Paths and bodies are those of EMQX 6 for queues; figures, looking into a queue, purging and \`limits.overflow\` come on top.
Durations are given as \`"7d"\` or as milliseconds and answered in milliseconds; sizes as \`"100MB"\` or as bytes and answered
in bytes.

Every refusal is \`{"code", "message"}\`, with a \`hint\` where there is a next step to name.`;

/** What stands in the document besides the routes. */
export function documentHead(version: string): FastifyDynamicSwaggerOptions {
  return {
    mode: 'dynamic',
    openapi: {
      openapi: '3.0.3',
      info: { title: 'Sluice API', version, description: DESCRIPTION, license: { name: 'Apache-2.0' } },
      tags: [
        { name: 'Queues', description: 'Create, read, change and delete queues.' },
        { name: 'Messages', description: 'Look into a queue, or empty it.' },
        { name: 'Retained messages', description: 'Look at what is retained, or remove it.' },
        { name: 'Statistics', description: 'Depth, lag, consumers and totals.' },
        { name: 'Access', description: 'Users, rules and bans of MQTT clients, for the whole cluster.' },
        { name: 'Configuration', description: 'What holds for queues as a whole.' },
        { name: 'Operations', description: 'Nodes, health and metrics.' },
      ],
      components: {
        securitySchemes: {
          apiKey: { type: 'http', scheme: 'basic', description: 'API key as user name, its secret as password.' },
        },
      },
      security: [{ apiKey: [] }],
    },
    refResolver: {
      buildLocalReference: (json, _baseUri, _fragment, i) => (typeof json.$id === 'string' ? json.$id : `Schema${i}`),
    },
  };
}
