import { type ByteCursor, malformed } from './byte-cursor.ts';
import type { RecordProperties } from './record.ts';

/** Which properties follow, in the order of the bits. */
const FORMAT_PRESENT = 0x01;
const FORMAT_IS_TEXT = 0x02;
const CONTENT_TYPE = 0x04;
const RESPONSE_TOPIC = 0x08;
const CORRELATION_DATA = 0x10;
const USER_PROPERTIES = 0x20;
const KNOWN = 0x3f;

/** What `writeProperties` needs, where texts need what `textBytes` says. */
export function propertiesBytes(properties: RecordProperties, textBytes: (text: string) => number): number {
  let bytes = 1;
  if (properties.contentType !== undefined) bytes += 2 + textBytes(properties.contentType);
  if (properties.responseTopic !== undefined) bytes += 2 + textBytes(properties.responseTopic);
  if (properties.correlationData !== undefined) bytes += 2 + properties.correlationData.length;
  if (properties.userProperties !== undefined) {
    bytes += 2;
    for (const text of properties.userProperties) bytes += 2 + textBytes(text);
  }
  return bytes;
}

/** Returns where the next byte goes. Room and lengths were checked by the caller. */
export function writeProperties(bytes: Buffer, start: number, properties: RecordProperties): number {
  let which = 0;
  let at = start + 1;
  if (properties.payloadFormatIndicator !== undefined) {
    which |= properties.payloadFormatIndicator === 1 ? FORMAT_PRESENT | FORMAT_IS_TEXT : FORMAT_PRESENT;
  }
  if (properties.contentType !== undefined) {
    which |= CONTENT_TYPE;
    at = writeText16(bytes, at, properties.contentType);
  }
  if (properties.responseTopic !== undefined) {
    which |= RESPONSE_TOPIC;
    at = writeText16(bytes, at, properties.responseTopic);
  }
  if (properties.correlationData !== undefined) {
    which |= CORRELATION_DATA;
    bytes.writeUInt16BE(properties.correlationData.length, at);
    bytes.set(properties.correlationData, at + 2);
    at += 2 + properties.correlationData.length;
  }
  if (properties.userProperties !== undefined) {
    which |= USER_PROPERTIES;
    bytes.writeUInt16BE(properties.userProperties.length, at);
    at += 2;
    for (const text of properties.userProperties) at = writeText16(bytes, at, text);
  }
  bytes[start] = which;
  return at;
}

/** Reads exactly up to the cursor's end. */
export function readProperties(cursor: ByteCursor): RecordProperties {
  const which = cursor.u8();
  if (which > KNOWN || (which & (FORMAT_PRESENT | FORMAT_IS_TEXT)) === FORMAT_IS_TEXT) {
    throw malformed(`record properties of unknown kind ${which}`);
  }
  const properties: RecordProperties = {};
  if (which & FORMAT_PRESENT) properties.payloadFormatIndicator = which & FORMAT_IS_TEXT ? 1 : 0;
  if (which & CONTENT_TYPE) properties.contentType = cursor.text16();
  if (which & RESPONSE_TOPIC) properties.responseTopic = cursor.text16();
  if (which & CORRELATION_DATA) properties.correlationData = cursor.raw(cursor.u16());
  if (which & USER_PROPERTIES) {
    const count = cursor.u16();
    if (count % 2 !== 0) throw malformed('user properties come in pairs of name and value');
    const texts: string[] = [];
    for (let i = 0; i < count; i++) texts.push(cursor.text16());
    properties.userProperties = texts;
  }
  if (cursor.at !== cursor.end) throw malformed(`${cursor.end - cursor.at} bytes after the record properties`);
  return properties;
}

/** Text behind a 16-bit length. Returns where the next byte goes. */
export function writeText16(bytes: Buffer, at: number, text: string): number {
  const length = bytes.write(text, at + 2, 'utf8');
  bytes[at] = length >>> 8;
  bytes[at + 1] = length;
  return at + 2 + length;
}
