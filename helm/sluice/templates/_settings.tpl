{{/* What the broker is told. Paths and addresses stand in the variables of a pod; the file has what is the same for all. */}}

{{- define "sluice.rules" -}}
{{- if .Values.rules -}}
{{- toYaml .Values.rules -}}
{{- else -}}
- { permission: allow, users: [sluice], topics: ["#"] }
{{- end -}}
{{- end -}}

{{/* Rules are ours to give unless the settings name their own, or decide without. */}}
{{- define "sluice.hasRules" -}}
{{- if or .Values.rules (and (not .Values.users) (not .Values.credentials.existingSecret)) -}}true{{- end -}}
{{- end -}}

{{/* Of a tier: who may come in, and what they may do there, is for those who let in. */}}
{{- define "sluice.config" -}}
{{- $config := mustMergeOverwrite (dict "log" (dict "format" "json")) (deepCopy .root.Values.config) -}}
{{- if ne .tier (include "sluice.frontTier" .root) -}}
{{- $config = omit $config "auth" "jwt" "authorization" -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{/* What pods are replaced for. Users, rules and certificates are files that a node takes anew while it runs. */}}
{{- define "sluice.checksum" -}}
{{- include "sluice.config" . | sha256sum -}}
{{- end -}}

{{- define "sluice.listenOn" -}}
{{- printf "%s:%d" (.root.Values.ipv6 | ternary "[::]" "0.0.0.0") (int .port) -}}
{{- end -}}

{{- define "sluice.ports" -}}
{{- $ports := list -}}
{{- range $one := list (list "mqtt" 1883) (list "mqtts" 8883) (list "ws" 8083) (list "wss" 8084) -}}
{{- if index $.Values.listeners (first $one) -}}
{{- $ports = append $ports (dict "name" (first $one) "port" (last $one)) -}}
{{- end -}}
{{- end -}}
{{- $ports | toJson -}}
{{- end -}}

{{- define "sluice.environment" -}}
{{- $ := .root -}}
{{- $tier := .tier -}}
{{- $speaksMqtt := eq $tier (include "sluice.frontTier" $) -}}
- name: POD_NAME
  valueFrom: { fieldRef: { fieldPath: metadata.name } }
{{- if eq $tier "gateway" }}
- name: POD_IP
  valueFrom: { fieldRef: { fieldPath: status.podIP } }
- name: SLUICE_NODE__NAME
  value: $(POD_NAME).{{ include "sluice.gatewayDomain" $ }}
- name: SLUICE_NODE__ADVERTISE
  value: {{ $.Values.ipv6 | ternary "[$(POD_IP)]:5370" "$(POD_IP):5370" | quote }}
- name: SLUICE_NODE__LEAVES_ON_STOP
  value: "true"
{{- else }}
- name: SLUICE_NODE__NAME
  value: $(POD_NAME)
- name: SLUICE_NODE__ADVERTISE
  value: $(POD_NAME).{{ include "sluice.domain" . }}:5370
{{- end }}
- name: SLUICE_NODE__RACK
  valueFrom: { fieldRef: { fieldPath: {{ $.Values.rackField | quote }} } }
- name: SLUICE_NODE__JOIN
  value: {{ include "sluice.join" $ }}
- name: SLUICE_NODE__ROLES
  value: {{ dict "node" "gateway,store,coordinator" "restore" "store,coordinator" | dig $tier $tier }}
- name: SLUICE_NODE__DATA_DIRECTORY
  value: /var/lib/sluice/data
- name: SLUICE_NODE__DRAIN_TIMEOUT
  value: {{ $.Values.drain.seconds }}s
- name: SLUICE_CONFIG
  value: /etc/sluice/config/{{ $tier }}.yaml
- name: SLUICE_LISTENERS__GRPC
  value: {{ include "sluice.listenOn" (dict "root" $ "port" 5370) | quote }}
- name: SLUICE_LISTENERS__HTTP
  value: {{ include "sluice.listenOn" (dict "root" $ "port" 18083) | quote }}
{{- if and $.Values.scaler.enabled (eq $tier (include "sluice.scalerTier" $)) }}
- name: SLUICE_LISTENERS__SCALER
  value: {{ include "sluice.listenOn" (dict "root" $ "port" 6000) | quote }}
{{- end }}
- name: SLUICE_API__KEYS_FILE
  value: /etc/sluice/credentials/api-keys
{{- range $one := list (list "mqtt" 1883) (list "mqtts" 8883) (list "ws" 8083) (list "wss" 8084) }}
- name: SLUICE_LISTENERS__{{ first $one | upper }}
  value: {{ and $speaksMqtt (index $.Values.listeners (first $one)) | ternary (include "sluice.listenOn" (dict "root" $ "port" (last $one))) "none" | quote }}
{{- end }}
{{- if $speaksMqtt }}
{{- if include "sluice.hasUsersFile" $ }}
- name: SLUICE_AUTH__PASSWORD_FILE
  value: /etc/sluice/credentials/mqtt-users
{{- end }}
{{- if include "sluice.hasRules" $ }}
- name: SLUICE_AUTHORIZATION__RULES_FILE
  value: /etc/sluice/config/rules.yaml
{{- end }}
{{- if ne $.Values.tls.mqtt.mode "none" }}
- name: SLUICE_TLS__CERTIFICATE_FILE
  value: /etc/sluice/mqtt-tls/tls.crt
- name: SLUICE_TLS__KEY_FILE
  value: /etc/sluice/mqtt-tls/tls.key
{{- if $.Values.tls.mqtt.clientCertificates }}
- name: SLUICE_TLS__CLIENT_CA_FILE
  value: /etc/sluice/mqtt-tls/ca.crt
{{- end }}
{{- end }}
{{- end }}
{{- if eq $.Values.tls.nodes.mode "none" }}
- name: SLUICE_CLUSTER__INSECURE
  value: "true"
{{- else }}
- name: SLUICE_CLUSTER__CA_FILE
  value: /etc/sluice/nodes-tls/ca.crt
- name: SLUICE_CLUSTER__CERTIFICATE_FILE
  value: /etc/sluice/nodes-tls/tls.crt
- name: SLUICE_CLUSTER__KEY_FILE
  value: /etc/sluice/nodes-tls/tls.key
{{- end }}
{{- end -}}
