import { hashPassword } from '@sluice/gateway/auth/password-hash';
import { makeScramVerifier } from '@sluice/gateway/auth/scram-verifier';

/** What is kept of a password: enough to check it, by both ways of being shown it, and not enough to know it. */
export async function keptSecret(password: string): Promise<{ hash: string; scram: string }> {
  return { hash: await hashPassword(password), scram: await makeScramVerifier(password) };
}
