{{/* A tier that keeps data: its pods, their names and addresses, and how many may be away at once. */}}

{{- define "sluice.stateful" -}}
{{- $ := .root -}}
{{- $values := index $.Values .tier -}}
{{- $name := printf "%s-%s" (include "sluice.fullname" $) .tier -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ $name }}
  labels: {{- include "sluice.tierLabels" . | nindent 4 }}
spec:
  # The addresses of pods, not of the tier: whoever founds a cluster is found before anybody is ready.
  clusterIP: None
  publishNotReadyAddresses: true
  selector: {{- include "sluice.tierSelector" . | nindent 4 }}
  ports:
    - { name: grpc, port: 5370, targetPort: grpc }
---
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: {{ $name }}
  labels: {{- include "sluice.tierLabels" . | nindent 4 }}
spec:
  serviceName: {{ $name }}
  replicas: {{ default 1 $values.replicas }}
  # One after the other, the first would wait for a majority that is not there yet.
  podManagementPolicy: Parallel
  updateStrategy: { type: RollingUpdate }
  minReadySeconds: 10
  selector:
    matchLabels: {{- include "sluice.tierSelector" . | nindent 6 }}
  template: {{- include "sluice.pod" . | nindent 4 }}
  # Volumes stay when pods or the release go, unless somebody deletes them.
  volumeClaimTemplates:
    - metadata:
        name: data
        labels: {{- include "sluice.tierSelector" . | nindent 10 }}
      spec:
        accessModes: [ReadWriteOnce]
        {{- with $values.storage.className }}
        storageClassName: {{ . }}
        {{- end }}
        resources:
          requests: { storage: {{ $values.storage.size }} }
{{- if gt (int $values.replicas) 1 }}
---
{{ include "sluice.disruptionBudget" . }}
{{- end }}
{{- end -}}

{{- define "sluice.disruptionBudget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "sluice.fullname" .root }}-{{ .tier }}
  labels: {{- include "sluice.tierLabels" . | nindent 4 }}
spec:
  maxUnavailable: {{ (index .root.Values .tier).maxUnavailable }}
  selector:
    matchLabels: {{- include "sluice.tierSelector" . | nindent 6 }}
{{- end -}}
