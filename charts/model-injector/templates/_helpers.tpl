{{- define "model-injector.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "model-injector.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains (include "model-injector.name" .) .Release.Name }}
{{- .Release.Name | replace "." "-" | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "model-injector.name" .) | replace "." "-" | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "model-injector.releaseLabels" -}}
app.kubernetes.io/name: {{ include "model-injector.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- /* Of the webhook's pods, and no others. */ -}}
{{- define "model-injector.selectorLabels" -}}
{{ include "model-injector.releaseLabels" . }}
app.kubernetes.io/component: webhook
{{- end }}

{{- define "model-injector.labels" -}}
{{- $ours := dict
  "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-")
  "app.kubernetes.io/version" .Chart.AppVersion
  "app.kubernetes.io/managed-by" .Release.Service }}
{{- merge (include "model-injector.releaseLabels" . | fromYaml) $ours (omit (.Values.commonLabels | default dict) "app.kubernetes.io/component") | toYaml }}
{{- end }}

{{- define "model-injector.serviceAccountName" -}}
{{- default (ternary (include "model-injector.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name }}
{{- end }}

{{- define "model-injector.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{- /* The Secret that the webhook's certificate is mounted from; there is none with `auto`. */ -}}
{{- define "model-injector.tlsSecret" -}}
{{- if eq .Values.certificates.mode "cert-manager" }}{{ include "model-injector.fullname" . }}-tls
{{- else if eq .Values.certificates.mode "provided" }}
{{- required "certificates.mode is provided: set certificates.provided.secretName" .Values.certificates.provided.secretName }}
{{- end }}
{{- end }}

{{- /* The webhook's settings, as its file has them. */ -}}
{{- define "model-injector.settings" -}}
{{- if not (or .Values.bucket .Values.sources) }}
{{- fail "no bucket is set: set `bucket`, or `sources`" }}
{{- end }}
{{- if and (eq (get (.Values.preview | default dict) "auth" | default "kubernetes") "none") (not (get (.Values.preview | default dict) "force")) }}
{{- fail "preview.auth is none: anyone in the cluster could ask; set preview.force to true where that is meant" }}
{{- end }}
{{- $settings := dict }}
{{- range $name := list "bucket" "prefix" "layout" "region" "endpointUrl" "anonymous" "requesterPays" "sources" "annotationPrefix" "defaults" "fetch" "catalog" "rules" "preview" "server" }}
{{- with index $.Values $name }}{{ $_ := set $settings $name . }}{{ end }}
{{- end }}
{{- if eq (int .Values.server.port) (int .Values.server.opsPort) }}
{{- fail "server.port and server.opsPort are the same" }}
{{- end }}
{{- $fullname := include "model-injector.fullname" . }}
{{- $certificates := dict "mode" .Values.certificates.mode "webhookConfiguration" .Values.webhook.name "hosts" (list (printf "%s.%s.svc" $fullname .Release.Namespace)) }}
{{- if eq .Values.certificates.mode "auto" }}
{{- $_ := merge $certificates (dict "namespace" .Release.Namespace "secret" (printf "%s-ca" $fullname)) }}
{{- range $name := list "caLifetime" "leafLifetime" "overlap" }}
{{- with index $.Values.certificates $name }}{{ $_ := set $certificates $name . }}{{ end }}
{{- end }}
{{- end }}
{{- merge $settings (dict "certificates" $certificates) | toYaml }}
{{- end }}

{{- /* Which pods are looked at. The first expression stands here, where no value replaces it. */ -}}
{{- define "model-injector.selectors" -}}
{{- $inject := printf "%s/inject" .Values.annotationPrefix }}
{{- $namespaces := deepCopy .Values.webhook.namespaceSelector }}
{{- $never := dict "key" "kubernetes.io/metadata.name" "operator" "NotIn" "values" (list "kube-system" "kube-node-lease" .Release.Namespace | uniq) }}
{{- $chosen := dict "key" $inject "operator" (ternary "In" "NotIn" .Values.webhook.optIn) "values" (list (ternary "true" "false" .Values.webhook.optIn)) }}
{{- $_ := set $namespaces "matchExpressions" (concat (list $never $chosen) ($namespaces.matchExpressions | default list)) }}
{{- $pods := deepCopy .Values.webhook.objectSelector }}
{{- if eq .Values.webhook.select "label" }}
{{- $label := dict "key" $inject "operator" "In" "values" (list "true") }}
{{- $_ := set $pods "matchExpressions" (prepend ($pods.matchExpressions | default list) $label) }}
{{- end }}
{{- dict "namespaceSelector" $namespaces "objectSelector" $pods | toYaml }}
{{- end }}

{{- /* How the configuration's entries end. Two releases' have different names: API servers' metrics go by them. */ -}}
{{- define "model-injector.domain" -}}
{{- if ne .Values.webhook.name "model-injector" }}{{ .Values.webhook.name }}.{{ end }}model-injector.io
{{- end }}

{{- /* The entry that pods wait for. */ -}}
{{- define "model-injector.entry" -}}
pods.{{ include "model-injector.domain" . }}
{{- end }}

{{- define "model-injector.clientConfig" -}}
service:
  name: {{ include "model-injector.fullname" . | quote }}
  namespace: {{ .Release.Namespace | quote }}
  path: /mutate
  port: 443
{{- if eq .Values.certificates.mode "provided" }}
{{- with .Values.certificates.provided.caBundle }}
caBundle: {{ b64enc . }}
{{- end }}
{{- end }}
{{- end }}

{{- /* CEL: whether the annotations of `metadata` have one of ours; the argument is [prefix, metadata]. */ -}}
{{- define "model-injector.isAnnotated" -}}
has({{ last . }}.annotations) && {{ last . }}.annotations.exists(name, name.startsWith('{{ first . }}/'))
{{- end }}

{{- /* CEL: pods that kubelet only mirrors from a file, and pods that say no, are left alone. */ -}}
{{- define "model-injector.matchConditions" -}}
{{- $inject := printf "%s/inject" .Values.annotationPrefix | squote -}}
- name: not-a-mirror-pod
  expression: >-
    !has(object.metadata.annotations) || !('kubernetes.io/config.mirror' in object.metadata.annotations)
- name: not-opted-out
  expression: >-
    !has(object.metadata.annotations) || !({{ $inject }} in object.metadata.annotations)
    || object.metadata.annotations[{{ $inject }}] != 'false'
{{- with .Values.webhook.matchConditions }}
{{ toYaml . }}
{{- end }}
{{- end }}
