{{/* Names, labels, and what more than one template says. */}}

{{- define "evenkeel.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* 53 characters, so that `-admission` still fits in a name of a Service. */}}
{{- define "evenkeel.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 53 | trimSuffix "-" -}}
{{- else if contains (include "evenkeel.name" .) .Release.Name -}}
{{- .Release.Name | trunc 53 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "evenkeel.name" .) | trunc 53 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "evenkeel.admission" -}}
{{- printf "%s-admission" (include "evenkeel.fullname" .) -}}
{{- end -}}

{{- define "evenkeel.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "evenkeel.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.create is false: name one that exists in serviceAccount.name" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "evenkeel.lease" -}}
{{- default (include "evenkeel.fullname" .) .Values.lease.name -}}
{{- end -}}

{{/* The Secret with tokens; empty without tokens. */}}
{{- define "evenkeel.tokens" -}}
{{- if .Values.tokens.existingSecret -}}
{{- .Values.tokens.existingSecret -}}
{{- else if .Values.tokens.create -}}
{{- printf "%s-tokens" (include "evenkeel.fullname" .) -}}
{{- end -}}
{{- end -}}

{{/* The key of a single token; empty without one. */}}
{{- define "evenkeel.tokenKey" -}}
{{- if .Values.tokens.existingSecret -}}
{{- .Values.tokens.testKey -}}
{{- else if .Values.tokens.create -}}
admin-token
{{- end -}}
{{- end -}}

{{- define "evenkeel.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The selector of the pods; never changes, since the selector of a Deployment cannot. */}}
{{- define "evenkeel.selector" -}}
app.kubernetes.io/name: {{ include "evenkeel.name" . }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "evenkeel.commonLabels" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: evenkeel
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "evenkeel.labels" -}}
{{ include "evenkeel.selector" . }}
{{ include "evenkeel.commonLabels" . }}
{{- end -}}

{{/* The subjects of a binding: the service account. */}}
{{- define "evenkeel.subjects" -}}
subjects:
  - kind: ServiceAccount
    name: {{ include "evenkeel.serviceAccount" . }}
    namespace: {{ .Release.Namespace | quote }}
{{- end -}}

{{/* Accepted host names, one per line, without those with a `*`: the server compares complete names. */}}
{{- define "evenkeel.hosts" -}}
{{- $name := include "evenkeel.fullname" . -}}
{{- $service := printf "%s.%s" $name .Release.Namespace -}}
{{- $hosts := list $name $service (printf "%s.svc" $service) (printf "%s.svc.%s" $service .Values.clusterDomain) -}}
{{- if .Values.ingress.enabled -}}
{{- $hosts = concat $hosts .Values.ingress.hosts -}}
{{- end -}}
{{- if .Values.httpRoute.enabled -}}
{{- $hosts = concat $hosts .Values.httpRoute.hostnames -}}
{{- end -}}
{{- range $hosts }}{{ if not (contains "*" .) }}
{{ . }}
{{- end }}{{ end }}
{{- range .Values.server.allowHosts }}
{{ . }}
{{- end }}
{{- end -}}

{{/* Checks that the schema cannot express, or not with a helpful message. */}}
{{- define "evenkeel.check" -}}
{{- if and (gt (int .Values.replicas) 1) (not .Values.store.postgres.existingSecret) -}}
{{- fail (printf "replicas is %d, but the store is SQLite, which supports one process: set store.postgres.existingSecret to a Secret with the URL of a PostgreSQL database, or replicas to 1" (int .Values.replicas)) -}}
{{- end -}}
{{- if and .Values.namespaces .Values.secrets.enabled -}}
{{- range .Values.secrets.namespaces -}}
{{- if not (has . $.Values.namespaces) -}}
{{- fail (printf "secrets.namespaces names %s, which is not among namespaces and so is not watched: add it there, or remove it here" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) -}}
{{- fail "ingress.enabled is true: name the hosts in ingress.hosts" -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- fail "httpRoute.enabled is true: name the Gateways in httpRoute.parentRefs" -}}
{{- end -}}
{{- if eq (int .Values.server.port) (int .Values.admission.port) -}}
{{- fail (printf "server.port and admission.port are both %d: change one" (int .Values.server.port)) -}}
{{- end -}}
{{- if ge (int .Values.preStopSleepSeconds) (int .Values.terminationGracePeriodSeconds) -}}
{{- fail "preStopSleepSeconds is not shorter than terminationGracePeriodSeconds: a pod would be killed while it still accepts calls" -}}
{{- end -}}
{{- end -}}
