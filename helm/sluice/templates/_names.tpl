{{/* What things are called. `tier` is gateway, store, coordinator, node for pods that are all three, or restore for one that is made of a backup. */}}

{{- define "sluice.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Short enough for what is added: `-coordinator-12` and the like. */}}
{{- define "sluice.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "sluice.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "sluice.tiers" -}}
{{- $tiers := eq .Values.form "compact" | ternary (list "node") (list "coordinator" "store" "gateway") -}}
{{- /* Values of an older release have no `restore`. */ -}}
{{- if (.Values.restore).claim }}{{ $tiers = append $tiers "restore" }}{{ end -}}
{{- toJson $tiers -}}
{{- end -}}

{{/* The tier that speaks MQTT and answers REST. */}}
{{- define "sluice.frontTier" -}}
{{- eq .Values.form "compact" | ternary "node" "gateway" -}}
{{- end -}}

{{/* The tier that an autoscaler asks how many workers the queues need. */}}
{{- define "sluice.scalerTier" -}}
{{- eq .Values.form "compact" | ternary "node" "coordinator" -}}
{{- end -}}

{{- define "sluice.selector" -}}
app.kubernetes.io/name: {{ include "sluice.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "sluice.tierSelector" -}}
{{ include "sluice.selector" .root }}
app.kubernetes.io/component: {{ .tier }}
{{- end -}}

{{- define "sluice.labels" -}}
{{ include "sluice.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "sluice.tierLabels" -}}
{{ include "sluice.labels" .root }}
app.kubernetes.io/component: {{ .tier }}
{{- end -}}

{{- define "sluice.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "sluice.serviceAccount" -}}
{{- default (include "sluice.fullname" .) .Values.serviceAccount.name -}}
{{- end -}}

{{/* Of the pods of a tier with stable names; others reach each at <pod>.<this>. */}}
{{- define "sluice.domain" -}}
{{- printf "%s-%s.%s.svc.%s" (include "sluice.fullname" .root) .tier .root.Release.Namespace .root.Values.clusterDomain -}}
{{- end -}}

{{/*
The names of gateways end so. Nobody looks them up: their pods have no stable address, so a certificate names them by this and
not by where they are.
*/}}
{{- define "sluice.gatewayDomain" -}}
{{- printf "gateway.%s" (include "sluice.fullname" .) -}}
{{- end -}}

{{/*
The coordinators that found the cluster together, the same list for every pod. One that is made of a backup is a cluster already, and
stands in the place of the last: then all join it.
*/}}
{{- define "sluice.join" -}}
{{- $tier := eq .Values.form "compact" | ternary "node" "coordinator" -}}
{{- $addresses := list -}}
{{- if (.Values.restore).claim -}}
{{- $addresses = list (printf "%s-restore-0.%s:5370" (include "sluice.fullname" $) (include "sluice.domain" (dict "root" $ "tier" "restore"))) -}}
{{- end -}}
{{- range $i := until (sub (index .Values $tier).replicas (len $addresses) | int) -}}
{{- $addresses = append $addresses (printf "%s-%s-%d.%s:5370" (include "sluice.fullname" $) $tier $i (include "sluice.domain" (dict "root" $ "tier" $tier))) -}}
{{- end -}}
{{- join "," $addresses -}}
{{- end -}}

{{- define "sluice.credentialsSecret" -}}
{{- default (printf "%s-credentials" (include "sluice.fullname" .)) .Values.credentials.existingSecret -}}
{{- end -}}

{{/* Whether MQTT users come from a file: not where only tokens, certificates or shared users let in. */}}
{{- define "sluice.hasUsersFile" -}}
{{- if or (not .Values.credentials.existingSecret) .Values.credentials.mqttUsers -}}true{{- end -}}
{{- end -}}

{{- define "sluice.nodesSecret" -}}
{{- if eq .root.Values.tls.nodes.mode "secret" -}}
{{- required (printf "tls.nodes.secrets.%s: the name of a secret with ca.crt, tls.crt and tls.key" .tier) (index .root.Values.tls.nodes.secrets .tier) -}}
{{- else -}}
{{- printf "%s-%s-nodes" (include "sluice.fullname" .root) .tier -}}
{{- end -}}
{{- end -}}

{{- define "sluice.mqttSecret" -}}
{{- if eq .Values.tls.mqtt.mode "secret" -}}
{{- required "tls.mqtt.secret: the name of a secret with tls.crt and tls.key" .Values.tls.mqtt.secret -}}
{{- else -}}
{{- printf "%s-mqtt" (include "sluice.fullname" .) -}}
{{- end -}}
{{- end -}}

{{/* What the certificate of a tier is for. */}}
{{- define "sluice.certificateName" -}}
{{- if eq .tier "gateway" -}}
{{- printf "*.%s" (include "sluice.gatewayDomain" .root) -}}
{{- else -}}
{{- printf "*.%s" (include "sluice.domain" .) -}}
{{- end -}}
{{- end -}}
