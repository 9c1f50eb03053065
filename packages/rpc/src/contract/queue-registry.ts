/**
 * Gateway to coordinator: somebody subscribed to a queue that does not exist. Whether it is then made is for the
 * coordinator to say (`auto_create`). Lost or refused: the subscription waits, as it does anyway.
 */
export interface QueueRegistryRequest {
  type: 'wanted';
  name: string;
  topicFilter: string;
}

export interface QueueRegistryResponse {
  created: boolean;
}
