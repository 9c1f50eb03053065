import { chmodSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type KubeObject, podOf } from './pod.ts';
import { type Ending, type Machine, RunningPod } from './running-pod.ts';

const BIN = join(import.meta.dirname, '../../packages/server/bin/sluice.mjs');
/** Until every proxy has heard that a pod comes or goes. */
const ENDPOINTS_LAG_MS = 1_000;
const LOOK_MS = 50;
const READY_MS_MAX = 120_000;

/** Addresses of pods, in a part of loopback that nobody else uses; each new pod has another one. */
const FIRST_ADDRESS = { second: 96 + Math.floor(Math.random() * 100), third: Math.floor(Math.random() * 200) };

interface Workload {
  object: KubeObject;
  pods: RunningPod[];
}

/**
 * What Kubernetes does with a rendered release, on one machine and without containers: it starts the pods of its sets and
 * deployments, keeps names and endpoints, and replaces pods in its own order. Everything that a pod is told comes from the
 * release. What is not played: scheduling, volumes as such, policies of the network, memory limits.
 */
export class LocalKubernetes {
  readonly endings: Ending[] = [];
  readonly #objects: readonly KubeObject[];
  readonly #folder: string;
  readonly #machine: Machine;
  readonly #workloads = new Map<string, Workload>();
  /** Of each service, the pods that connections go to. */
  readonly #endpoints = new Map<string, { pod: RunningPod; sinceMs: number }[]>();
  readonly #hosts: Record<string, string> = {};
  readonly #namespace: string;
  #addresses = 0;
  #pods = 0;
  #looking: NodeJS.Timeout | undefined;

  constructor(
    objects: readonly KubeObject[],
    { folder, namespace, say }: { folder: string; namespace: string; say: (text: string) => void },
  ) {
    this.#objects = objects;
    this.#folder = folder;
    this.#namespace = namespace;
    const bin = join(folder, 'bin');
    mkdirSync(bin, { recursive: true });
    // The image's only command.
    writeFileSync(join(bin, 'sluice'), `#!/bin/sh\nexec '${process.execPath}' '${BIN}' "$@"\n`);
    chmodSync(join(bin, 'sluice'), 0o755);
    this.#machine = { hostsFile: join(folder, 'hosts.json'), bin, say };
    this.#tellHosts();
  }

  /** Everything at once, as `helm install` does; resolves when all pods are ready. */
  async install(): Promise<void> {
    for (const object of this.#objects) {
      const { kind, metadata } = object;
      if (kind !== 'StatefulSet' && kind !== 'Deployment') continue;
      const workload: Workload = { object, pods: [] };
      this.#workloads.set(metadata.name, workload);
      const count = kind === 'StatefulSet' ? object.spec.replicas : this.#replicasOf(object);
      for (let n = 0; n < count; n++) workload.pods.push(this.#begin(object, n));
    }
    this.#looking = setInterval(() => this.#followEndpoints(), LOOK_MS);
    await Promise.all(this.pods().map((pod) => this.#ready(pod)));
    await this.#until(() => this.addressesOf('http').length > 0, 'endpoints');
  }

  /** New pods for all old ones: every set and deployment by itself, at the same time, each in its own order. */
  async rollOut(): Promise<void> {
    await Promise.all(
      [...this.#workloads.values()].map((workload) =>
        workload.object.kind === 'StatefulSet' ? this.#rollSet(workload) : this.#rollDeployment(workload),
      ),
    );
  }

  pods(): RunningPod[] {
    return [...this.#workloads.values()].flatMap(({ pods }) => pods);
  }

  /** `host:port` of the pods behind the service that has a port of this name. */
  addressesOf(port: string): string[] {
    const service = this.#objects.find(
      ({ kind, spec }) =>
        kind === 'Service' &&
        !spec.publishNotReadyAddresses &&
        spec.ports.some((one: { name: string }) => one.name === port),
    );
    if (service === undefined) throw new Error(`no service has a port ${port}`);
    const { port: number } = service.spec.ports.find((one: { name: string }) => one.name === port);
    return (this.#endpoints.get(service.metadata.name) ?? []).map(({ pod }) => `${pod.place.ip}:${number}`);
  }

  async dispose(): Promise<void> {
    clearInterval(this.#looking);
    await Promise.all(this.pods().map((pod) => pod.kill()));
  }

  /** The last first, each gone before its successor begins, and that ready for a while before the next. */
  async #rollSet({ object, pods }: Workload): Promise<void> {
    for (let n = pods.length - 1; n >= 0; n--) {
      await this.#end(pods[n] as RunningPod);
      const next = this.#begin(object, n);
      pods[n] = next;
      await this.#ready(next, object.spec.minReadySeconds);
    }
  }

  /** One more than before, then one less: nobody waits for the end of those that go. */
  async #rollDeployment(workload: Workload): Promise<void> {
    const { maxSurge, maxUnavailable } = workload.object.spec.strategy.rollingUpdate;
    if (maxSurge !== 1 || maxUnavailable !== 0) throw new Error('only a surge of one is played');
    const going: Promise<void>[] = [];
    for (const old of [...workload.pods]) {
      const next = this.#begin(workload.object, 0);
      workload.pods.push(next);
      await this.#ready(next, workload.object.spec.minReadySeconds);
      going.push(
        this.#end(old).then(() => {
          workload.pods = workload.pods.filter((pod) => pod !== old);
        }),
      );
    }
    await Promise.all(going);
  }

  #begin({ kind, metadata, spec }: KubeObject, ordinal: number): RunningPod {
    const isSet = kind === 'StatefulSet';
    const name = isSet ? `${metadata.name}-${ordinal}` : `${metadata.name}-5d7f9-${this.#pods}`;
    const place = { name, ip: this.#nextAddress(), node: `machine-${ordinal}` };
    const folder = join(this.#folder, `${name}-${this.#pods++}`);
    const pod = new RunningPod(podOf(spec.template, place, this.#objects), place, this.#machine, {
      folder,
      claims: isSet ? join(this.#folder, 'claims', name) : folder,
    });
    if (isSet) {
      this.#hosts[`${name}.${spec.serviceName}.${this.#namespace}.svc.cluster.local`] = place.ip;
      this.#tellHosts();
    }
    pod.start();
    return pod;
  }

  async #end(pod: RunningPod): Promise<void> {
    const ending = await pod.terminate();
    this.endings.push(ending);
    const { hookMs, hookCode, stopMs, exitCode, killed } = ending;
    this.#machine.say(
      `${pod.place.name} gone: hook ${Math.round(hookMs)} ms (${hookCode}), SIGTERM ${Math.round(stopMs)} ms (${killed ? 'KILLED' : exitCode})`,
    );
  }

  async #ready(pod: RunningPod, forSeconds = 0): Promise<void> {
    await this.#until(() => pod.isReady, `${pod.place.name} to be ready; its log: ${pod.logFile}`);
    this.#machine.say(`${pod.place.name} is ready`);
    await delay(forSeconds * 1_000);
  }

  async #until(reached: () => boolean, what: string): Promise<void> {
    const untilMs = performance.now() + READY_MS_MAX;
    while (!reached()) {
      if (performance.now() > untilMs) throw new Error(`waited in vain for ${what}`);
      await delay(LOOK_MS);
    }
  }

  #replicasOf({ metadata, spec }: KubeObject): number {
    const scaler = this.#objects.find(
      ({ kind, spec: scaling }) => kind === 'HorizontalPodAutoscaler' && scaling.scaleTargetRef.name === metadata.name,
    );
    return spec.replicas ?? scaler?.spec.minReplicas ?? 1;
  }

  /** Pods come when they are ready and go when they are not, or are to end; and whoever connects hears it a moment later. */
  #followEndpoints(): void {
    for (const { kind, metadata, spec } of this.#objects) {
      if (kind !== 'Service' || spec.publishNotReadyAddresses) continue;
      const known = this.#endpoints.get(metadata.name) ?? [];
      const nowMs = performance.now();
      const chosen = this.#workloadsOf(spec.selector).filter((pod) => pod.isReady && !pod.isTerminating);
      const kept = known.filter(({ pod, sinceMs }) => {
        if (chosen.includes(pod)) return true;
        return nowMs - sinceMs < ENDPOINTS_LAG_MS;
      });
      for (const one of kept) if (chosen.includes(one.pod)) one.sinceMs = nowMs;
      for (const pod of chosen) if (!kept.some((one) => one.pod === pod)) kept.push({ pod, sinceMs: nowMs });
      this.#endpoints.set(metadata.name, kept);
    }
  }

  #workloadsOf(selector: Record<string, string>): RunningPod[] {
    return [...this.#workloads.values()]
      .filter(({ object }) => {
        const labels = object.spec.template.metadata.labels;
        return Object.entries(selector).every(([key, value]) => labels[key] === value);
      })
      .flatMap(({ pods }) => pods);
  }

  #nextAddress(): string {
    this.#addresses++;
    return `127.${FIRST_ADDRESS.second}.${FIRST_ADDRESS.third}.${this.#addresses + 1}`;
  }

  #tellHosts(): void {
    // Whoever looks at it sees a whole one.
    const next = `${this.#machine.hostsFile}.next`;
    writeFileSync(next, JSON.stringify(this.#hosts));
    renameSync(next, this.#machine.hostsFile);
  }
}
