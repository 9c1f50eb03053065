import type { KubeObject } from '../kubelet/pod.ts';

/** Volumes that bring nothing of the machine into the pod. */
const VOLUMES = [
  'configMap',
  'csi',
  'downwardAPI',
  'emptyDir',
  'ephemeral',
  'persistentVolumeClaim',
  'projected',
  'secret',
];

/** What Kubernetes' Pod Security Standards, level `restricted`, would refuse of a pod; and, beyond them, a root that is written. */
export function refusedByRestricted({ spec }: KubeObject['spec']): string[] {
  const refused: string[] = [];
  const must = (holds: boolean, what: string): void => {
    if (!holds) refused.push(what);
  };
  const pod = spec.securityContext ?? {};
  for (const field of ['hostNetwork', 'hostPID', 'hostIPC', 'hostUsers']) must(!spec[field], field);
  must((pod.sysctls ?? []).length === 0, 'sysctls');
  for (const volume of spec.volumes ?? []) {
    for (const type of Object.keys(volume)) must(type === 'name' || VOLUMES.includes(type), `a volume of ${type}`);
  }
  for (const container of [...(spec.initContainers ?? []), ...spec.containers]) {
    const own = container.securityContext ?? {};
    const either = (field: string) => own[field] ?? pod[field];
    must(own.privileged !== true, 'privileged');
    must(own.allowPrivilegeEscalation === false, 'allowPrivilegeEscalation');
    must(own.capabilities?.drop?.includes('ALL') === true, 'capabilities that are not dropped');
    must(
      (own.capabilities?.add ?? []).every((one: string) => one === 'NET_BIND_SERVICE'),
      'capabilities that are added',
    );
    must(either('runAsNonRoot') === true, 'runAsNonRoot');
    must(either('runAsUser') !== 0, 'runAsUser 0');
    must(['RuntimeDefault', 'Localhost'].includes(either('seccompProfile')?.type), 'seccompProfile');
    must(['Default', undefined].includes(own.procMount), 'procMount');
    must(
      (container.ports ?? []).every(({ hostPort }: { hostPort?: number }) => !hostPort),
      'hostPort',
    );
    must(own.readOnlyRootFilesystem === true, 'a root filesystem that can be written');
  }
  return refused;
}
