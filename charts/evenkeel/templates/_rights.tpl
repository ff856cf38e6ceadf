{{/* Rules of roles, shared by Roles and ClusterRoles. */}}

{{- define "evenkeel.resources" -}}
connectors widgets triggers workflows environments tenants connections entities roles alerts
{{- end -}}

{{/* Rights to the resources of evenkeel.dev. */}}
{{- define "evenkeel.rules" -}}
- apiGroups: [evenkeel.dev]
  resources:
    {{- range splitList " " (include "evenkeel.resources" .) }}
    - {{ . }}
    {{- end }}
  verbs: [get, list, watch]
- apiGroups: [evenkeel.dev]
  resources:
    {{- range splitList " " (include "evenkeel.resources" .) }}
    - {{ . }}/status
    {{- end }}
  verbs: [get, patch, update]
# The finalizer, and owner references that block deletion.
- apiGroups: [evenkeel.dev]
  resources: [environments]
  verbs: [patch, update]
- apiGroups: [evenkeel.dev]
  resources: [environments/finalizers]
  verbs: [update]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- if .Values.impersonation.enabled }}
- apiGroups: [""]
  resources: [serviceaccounts]
  {{- with .Values.impersonation.serviceAccounts }}
  resourceNames:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  verbs: [impersonate]
{{- end }}
{{- end -}}

{{/* Following Secrets. */}}
{{- define "evenkeel.secretRules" -}}
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch]
{{- end -}}

{{/*
A role and its binding.
Takes a dict: root, name, rules (text); namespace, or none for the whole cluster.
*/}}
{{- define "evenkeel.grant" -}}
{{- $kind := ternary "Role" "ClusterRole" (not (empty .namespace)) -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}
metadata:
  name: {{ .name }}
  {{- with .namespace }}
  namespace: {{ . | quote }}
  {{- end }}
  labels:
    {{- include "evenkeel.labels" .root | nindent 4 }}
rules:
  {{- .rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}Binding
metadata:
  name: {{ .name }}
  {{- with .namespace }}
  namespace: {{ . | quote }}
  {{- end }}
  labels:
    {{- include "evenkeel.labels" .root | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ $kind }}
  name: {{ .name }}
{{ include "evenkeel.subjects" .root }}
{{- end -}}

{{/* What the operator does in its own namespace. `create` cannot be restricted by name: the name is not known yet. */}}
{{- define "evenkeel.ownRules" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ include "evenkeel.lease" . | quote }}]
  verbs: [get, patch, update]
{{- if .Values.admission.enabled }}
- apiGroups: [""]
  resources: [secrets]
  verbs: [create]
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [{{ include "evenkeel.admission" . }}]
  verbs: [get, patch, update]
{{- end }}
{{- end -}}

{{/* Keeping the certificate authority in the webhook's configuration. */}}
{{- define "evenkeel.admissionRules" -}}
- apiGroups: [admissionregistration.k8s.io]
  resources: [validatingwebhookconfigurations]
  resourceNames: [{{ include "evenkeel.fullname" . }}]
  verbs: [get, patch, update]
{{- end -}}
