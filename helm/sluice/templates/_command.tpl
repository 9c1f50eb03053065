{{/* A pod that runs a command of `sluice` against this release. */}}

{{- define "sluice.commandPod" -}}
serviceAccountName: {{ include "sluice.serviceAccount" . }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext: {{- include "sluice.podSecurity" . | nindent 2 }}
{{- with .Values.image.pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* What it may use says who includes it. */}}
{{- define "sluice.commandContainer" -}}
image: {{ include "sluice.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
env:
  - name: SLUICE_URL
    value: http://{{ include "sluice.fullname" . }}-api:18083
  - name: SLUICE_API_KEY
    valueFrom: { secretKeyRef: { name: {{ include "sluice.credentialsSecret" . }}, key: admin } }
securityContext: {{- include "sluice.containerSecurity" . | nindent 2 }}
{{- end -}}
