/**
 * What the dispatcher keeps of a record: enough to read it, to settle it and to count it, never the record itself.
 * The caller makes one per fresh record and hands it over with `offer`; it comes back from `accept`, and may then be
 * used for another record.
 */
export interface DeliveryRef {
  offset: number;
  /** Base offset of the index row that holds `offset`: settling needs it. */
  rowBase: number;
  /** 1 for the first delivery; the dispatcher raises it in place when a consumer gives the record back. */
  deliveryCount: number;
  sizeBytes: number;
}
