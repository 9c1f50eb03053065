{{/* The pod of a tier, whatever keeps it running: `metadata` and `spec` of a template. */}}

{{- define "sluice.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: { type: RuntimeDefault }
{{- end -}}

{{- define "sluice.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end -}}

{{/*
Before SIGTERM, which drains by itself: a gateway gives every proxy the time to hear that it goes, a node with copies waits
until those of the others are whole, so that no partition is left with fewer than a majority.
*/}}
{{- define "sluice.preStop" -}}
{{- $pause := int .root.Values.drain.pauseSeconds -}}
{{- $settle := int .root.Values.drain.settleSeconds -}}
{{- $settled := printf "sluice cluster status --wait %ds" $settle -}}
{{- if eq .tier "gateway" -}}
{{- if $pause }}{{ list "sleep" (toString $pause) | toJson }}{{ end -}}
{{- else if and (gt $settle 0) (gt (int (index .root.Values .tier).replicas) 1) -}}
{{- if eq .tier "node" -}}
{{- list "sh" "-c" (printf "sleep %d; exec %s" $pause $settled) | toJson -}}
{{- else -}}
{{- splitList " " $settled | toJson -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* preStop counts towards it; the broker leaves by itself 4 s after the time for draining. */}}
{{- define "sluice.graceSeconds" -}}
{{- $pause := eq .tier (include "sluice.frontTier" .root) | ternary (int .root.Values.drain.pauseSeconds) 0 -}}
{{- $settle := eq .tier "gateway" | ternary 0 (int .root.Values.drain.settleSeconds) -}}
{{- add $pause $settle (int .root.Values.drain.seconds) 10 -}}
{{- end -}}

{{- define "sluice.affinity" -}}
{{- $how := (index .root.Values .tier).antiAffinity -}}
{{- if ne $how "none" -}}
affinity:
  podAntiAffinity:
{{- if eq $how "hard" }}
    requiredDuringSchedulingIgnoredDuringExecution:
      - topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels: {{- include "sluice.tierSelector" . | nindent 12 }}
{{- else }}
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels: {{- include "sluice.tierSelector" . | nindent 14 }}
{{- end }}
{{- end }}
{{- if .root.Values.topologySpread }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: topology.kubernetes.io/zone
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "sluice.tierSelector" . | nindent 8 }}
{{- end }}
{{- end -}}

{{- define "sluice.pod" -}}
{{- $ := .root -}}
{{- $tier := .tier -}}
{{- $values := index $.Values $tier -}}
{{- $isFront := eq $tier (include "sluice.frontTier" $) -}}
{{- $preStop := include "sluice.preStop" . -}}
metadata:
  labels:
    {{- include "sluice.tierLabels" . | nindent 4 }}
    {{- with $.Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    checksum/config: {{ include "sluice.checksum" . }}
    {{- with $values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "sluice.serviceAccount" $ }}
  automountServiceAccountToken: false
  # Variables of services called sluice would look like settings.
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ include "sluice.graceSeconds" . }}
  securityContext: {{- include "sluice.podSecurity" . | nindent 4 }}
  {{- with $.Values.image.pullSecrets }}
  imagePullSecrets: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with $values.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- include "sluice.affinity" . | nindent 2 }}
  {{- if eq $tier "restore" }}
  initContainers:
    # Once: what is there, it goes on with.
    - name: restore
      image: {{ include "sluice.image" $ }}
      imagePullPolicy: {{ $.Values.image.pullPolicy }}
      command: [sh, -c, 'test -e /var/lib/sluice/data || exec sluice restore --from "/backup/$BACKUP" --data /var/lib/sluice/data']
      env:
        - name: BACKUP
          value: {{ $values.path | quote }}
      resources: {{- toYaml $values.resources | nindent 8 }}
      securityContext: {{- include "sluice.containerSecurity" . | nindent 8 }}
      volumeMounts:
        - { name: data, mountPath: /var/lib/sluice }
        - { name: tmp, mountPath: /tmp }
        - { name: backup, mountPath: /backup, readOnly: true }
  {{- end }}
  containers:
    - name: sluice
      image: {{ include "sluice.image" $ }}
      imagePullPolicy: {{ $.Values.image.pullPolicy }}
      args: [server]
      env:
        {{- include "sluice.environment" . | nindent 8 }}
        {{- if contains "sluice" $preStop }}
        # Of the command that waits before a stop.
        - name: SLUICE_API_KEY
          valueFrom: { secretKeyRef: { name: {{ include "sluice.credentialsSecret" $ }}, key: admin } }
        {{- end }}
        {{- with $values.env }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      ports:
        {{- if $isFront }}
        {{- range include "sluice.ports" $ | fromJsonArray }}
        - { name: {{ .name }}, containerPort: {{ .port }} }
        {{- end }}
        {{- end }}
        {{- if and $.Values.scaler.enabled (eq $tier (include "sluice.scalerTier" $)) }}
        - { name: scaler, containerPort: 6000 }
        {{- end }}
        - { name: http, containerPort: 18083 }
        - { name: grpc, containerPort: 5370 }
      # Answered from memory, from the first moment on, whatever becomes of a queue, a group or a disk. A node that waits for
      # others, or reads a long log, lives and is not ready.
      startupProbe:
        httpGet: { path: /livez, port: http }
        periodSeconds: 2
        failureThreshold: 90
      livenessProbe:
        httpGet: { path: /livez, port: http }
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        httpGet: { path: /readyz, port: http }
        periodSeconds: 2
        timeoutSeconds: 2
        failureThreshold: 2
      {{- with $preStop }}
      lifecycle:
        preStop:
          exec: { command: {{ . }} }
      {{- end }}
      resources: {{- toYaml $values.resources | nindent 8 }}
      securityContext: {{- include "sluice.containerSecurity" . | nindent 8 }}
      volumeMounts:
        - { name: data, mountPath: /var/lib/sluice }
        - { name: tmp, mountPath: /tmp }
        - { name: config, mountPath: /etc/sluice/config, readOnly: true }
        - { name: credentials, mountPath: /etc/sluice/credentials, readOnly: true }
        {{- if ne $.Values.tls.nodes.mode "none" }}
        - { name: nodes-tls, mountPath: /etc/sluice/nodes-tls, readOnly: true }
        {{- end }}
        {{- if and $isFront (ne $.Values.tls.mqtt.mode "none") }}
        - { name: mqtt-tls, mountPath: /etc/sluice/mqtt-tls, readOnly: true }
        {{- end }}
  volumes:
    {{- if eq $tier "gateway" }}
    # Who this pod is; the next one is somebody else.
    - name: data
      emptyDir: { sizeLimit: 64Mi }
    {{- end }}
    {{- if eq $tier "restore" }}
    - name: backup
      persistentVolumeClaim: { claimName: {{ $values.claim }}, readOnly: true }
    {{- end }}
    - name: tmp
      emptyDir: { sizeLimit: 64Mi }
    - name: config
      configMap: { name: {{ include "sluice.fullname" $ }} }
    - name: credentials
      secret:
        secretName: {{ include "sluice.credentialsSecret" $ }}
        items:
          - { key: api-keys, path: api-keys }
          {{- if and $isFront (include "sluice.hasUsersFile" $) }}
          - { key: mqtt-users, path: mqtt-users }
          {{- end }}
    {{- if ne $.Values.tls.nodes.mode "none" }}
    - name: nodes-tls
      secret: { secretName: {{ include "sluice.nodesSecret" . }} }
    {{- end }}
    {{- if and $isFront (ne $.Values.tls.mqtt.mode "none") }}
    - name: mqtt-tls
      secret: { secretName: {{ include "sluice.mqttSecret" $ }} }
    {{- end }}
{{- end -}}
