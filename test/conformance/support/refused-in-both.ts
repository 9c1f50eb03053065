import { wire } from './wire.ts';

/** A packet that ends the connection in either version; P in it is what MQTT 5 has for no properties. */
export async function refusedInBoth(bytes: string, reasonCode: number): Promise<void> {
  for (const version of [4, 5] as const) {
    const client = await wire().client({ version });
    client.write(bytes.replace(' P', version === 5 ? ' 00' : ''));
    await client.refused(reasonCode);
  }
}
