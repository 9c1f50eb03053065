/**
 * What a record may have that its packet has not: who published it, the queues it is for and its keys in them, and some fifty
 * bytes of lengths, times and numbers.
 */
const RECORD_ONLY_BYTES_MAX = 1024;

/**
 * The largest record that can be a packet for a client with this Maximum Packet Size [MQTT-3.1.2-24]; 0 stands for any.
 *
 * What a packet comes to is known here alone: it has properties of the subscription and of the delivery, and its record does not
 * know them. A store that went by the size of a packet at its largest would keep from a worker what just fits it, for good when
 * nobody else is there. So this is a bound that nothing that fits is above; what is below it and does not fit is given back
 * (`QueueAttachment.tooLarge`), and each limit is tried once.
 */
export function recordBytesMaxFor(maximumPacketSizeBytes: number | undefined): number {
  return maximumPacketSizeBytes === undefined ? 0 : maximumPacketSizeBytes + RECORD_ONLY_BYTES_MAX;
}
