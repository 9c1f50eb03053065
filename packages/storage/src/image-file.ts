import type { KeyValue } from './engine.ts';
export interface ImageHeader {
  groupId: number;
  index: number;
  term: number;
}
export interface ImageName {
  groupId: number;
  index: number;
  path: string;
}
export async function writeImage(
  _path: string,
  _header: ImageHeader,
  _chunks: AsyncIterable<KeyValue[]>,
): Promise<void> {
  throw new Error('placeholder');
}
export async function readImage(_path: string): Promise<{ header: ImageHeader; chunks: AsyncIterable<KeyValue[]> }> {
  throw new Error('placeholder');
}
export async function listImages(_directory: string): Promise<ImageName[]> {
  return [];
}
