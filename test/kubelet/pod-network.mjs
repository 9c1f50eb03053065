// Loaded into a process before anything else (--import): the network of a pod, as far as a program sees it. "Every
// interface" is the pod's address, and names of pods are looked up as a cluster's DNS has them at that moment.
import dns from 'node:dns';
import { readFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import net from 'node:net';

const { POD_ADDRESS, POD_HOSTS } = process.env;

const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (...args) {
  const [options] = args;
  if (options?.host === '0.0.0.0') args[0] = { ...options, host: POD_ADDRESS };
  else if (args[1] === '0.0.0.0') args[1] = POD_ADDRESS;
  return listen.apply(this, args);
};

const lookup = dns.lookup;
dns.lookup = (host, options, callback) => {
  const [given, done] = typeof options === 'function' ? [{}, options] : [options, callback];
  if (!host.includes('.svc.')) return lookup(host, given, done);
  const address = JSON.parse(readFileSync(POD_HOSTS, 'utf8'))[host];
  process.nextTick(() => {
    if (address === undefined) done(Object.assign(new Error(`getaddrinfo ENOTFOUND ${host}`), { code: 'ENOTFOUND' }));
    else if (given.all) done(null, [{ address, family: 4 }]);
    else done(null, address, 4);
  });
};
syncBuiltinESMExports();
