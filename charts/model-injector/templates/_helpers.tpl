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

{{- /* Selects the webhook's pods only, not those of `helm test`. */ -}}
{{- define "model-injector.selectorLabels" -}}
{{ include "model-injector.releaseLabels" . }}
app.kubernetes.io/component: webhook
{{- end }}

{{- /* Selects the controller's pods only: no selector of the webhook matches them. */ -}}
{{- define "model-injector.controllerSelectorLabels" -}}
{{ include "model-injector.releaseLabels" . }}
app.kubernetes.io/component: controller
{{- end }}

{{- /* Selects the pods of the node cache only. */ -}}
{{- define "model-injector.nodeCacheSelectorLabels" -}}
{{ include "model-injector.releaseLabels" . }}
app.kubernetes.io/component: node-cache
{{- end }}

{{- define "model-injector.labels" -}}
{{- $chart := dict
  "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-")
  "app.kubernetes.io/version" .Chart.AppVersion
  "app.kubernetes.io/managed-by" .Release.Service }}
{{- merge (include "model-injector.releaseLabels" . | fromYaml) $chart (omit (.Values.commonLabels | default dict) "app.kubernetes.io/component") | toYaml }}
{{- end }}

{{- define "model-injector.serviceAccountName" -}}
{{- default (ternary (include "model-injector.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name }}
{{- end }}

{{- define "model-injector.controllerName" -}}
{{ include "model-injector.fullname" . }}-controller
{{- end }}

{{- define "model-injector.controllerServiceAccountName" -}}
{{- with .Values.controller.serviceAccount }}
{{- default (ternary (include "model-injector.controllerName" $) "default" .create) .name }}
{{- end }}
{{- end }}

{{- define "model-injector.nodeCacheName" -}}
{{ include "model-injector.fullname" . }}-node-cache
{{- end }}

{{- define "model-injector.nodeCacheServiceAccountName" -}}
{{- with .Values.nodeCache.serviceAccount }}
{{- default (ternary (include "model-injector.nodeCacheName" $) "default" .create) .name }}
{{- end }}
{{- end }}

{{- /* What the objects of the node cache follow of config.strategies.node-cache, with the defaults, as YAML. */ -}}
{{- define "model-injector.nodeCacheSettings" -}}
{{- $settings := index (.Values.config.strategies | default dict) "node-cache" | default dict -}}
authenticationSource: {{ $settings.authenticationSource | default "pod" | quote }}
folder: {{ $settings.folder | default "/var/lib/model-injector" | trimSuffix "/" | quote }}
kubeletFolder: {{ $settings.kubeletFolder | default "/var/lib/kubelet" | trimSuffix "/" | quote }}
prefetches: {{ not (empty $settings.prefetch) }}
peersPort: {{ ($settings.peers | default dict).port | default 8082 }}
marksNode: {{ or $settings.placement $settings.startupTaint | default false }}
{{- end }}

{{- define "model-injector.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{- /* Name of the Secret from which the webhook's certificate is mounted. Empty in the mode auto. */ -}}
{{- define "model-injector.tlsSecret" -}}
{{- if eq .Values.certificates.mode "cert-manager" }}{{ include "model-injector.fullname" . }}-tls
{{- else if eq .Values.certificates.mode "provided" }}
{{- required "certificates.mode is provided: set certificates.provided.secretName" .Values.certificates.provided.secretName }}
{{- end }}
{{- end }}

{{- /*
The content of the settings file, as JSON: the value `config`, and settings that follow from the release and the cluster:
some of the groups `certificates` and `controller`, and the cluster's version, unless the webhook reads that itself.
*/ -}}
{{- define "model-injector.settings" -}}
{{- $config := .Values.config }}
{{- if not (or $config.bucket $config.sources) }}
{{- fail "no bucket is set: set config.bucket, or config.sources" }}
{{- end }}
{{- if and (eq (dig "preview" "auth" "" $config) "none") (not (dig "preview" "force" false $config)) }}
{{- fail "config.preview.auth is none: every client in the cluster could ask for previews; if that is intended, set config.preview.force to true" }}
{{- end }}
{{- if eq (int $config.server.port) (int $config.server.opsPort) }}
{{- fail "config.server.port and config.server.opsPort are the same: set one of them to another port" }}
{{- end }}
{{- $fullname := include "model-injector.fullname" . }}
{{- $ofRelease := dict "mode" .Values.certificates.mode "webhookConfiguration" .Values.webhook.name "hosts" (list (printf "%s.%s.svc" $fullname .Release.Namespace)) }}
{{- if eq .Values.certificates.mode "auto" }}
{{- $ofRelease = merge $ofRelease (dict "namespace" .Release.Namespace "secret" (printf "%s-ca" $fullname)) }}
{{- end }}
{{- $certificates := $config.certificates | default dict }}
{{- range $name, $_ := $ofRelease }}
{{- if hasKey $certificates $name }}
{{- fail (printf "config.certificates.%s follows from the release: remove it%s" $name (ternary ", and set certificates.mode" "" (eq $name "mode"))) }}
{{- end }}
{{- end }}
{{- if hasKey $config "workloads" }}
{{- fail "config.workloads follows from webhook.workloads: remove it, and set webhook.workloads.kinds" }}
{{- end }}
{{- $settings := set (deepCopy $config) "certificates" (merge $ofRelease $certificates) }}
{{- with include "model-injector.kinds" . | fromJsonArray }}
{{- $_ := set $settings "workloads" (dict "kinds" .) }}
{{- end }}
{{- if .Values.controller.enabled }}
{{- if ne (($config.catalog | default dict).mode | default "none") "s3" }}
{{- fail "controller.enabled is true, and the controller reads the catalog: set config.catalog.mode to s3" }}
{{- end }}
{{- $does := include "model-injector.controllerFeatures" . | fromYaml }}
{{- if and (or $does.mounting $does.cleaning) (not ($config.inventory | default dict).enabled) }}
{{- fail "the controller keeps pods from claims that are not ready by the inventory: set config.inventory.enabled" }}
{{- end }}
{{- $controller := $config.controller | default dict }}
{{- $push := $controller.push | default dict }}
{{- $ofRelease := dict "namespace" .Release.Namespace "lease" (include "model-injector.controllerName" .) }}
{{- $pushOfRelease := dict "image" (include "model-injector.image" .) "configMap" $fullname }}
{{- range concat (keys (pick $controller "namespace" "lease")) (keys (pick $push "image" "configMap") | sortAlpha) }}
{{- fail (printf "config.controller.%s%s follows from the release: remove it" (ternary "push." "" (hasKey $pushOfRelease .)) .) }}
{{- end }}
{{- $ofRelease = set $ofRelease "push" (merge $pushOfRelease $push) }}
{{- $_ := set $settings "controller" (merge $ofRelease (omit $controller "push")) }}
{{- end }}
{{- $prefetches := and .Values.nodeCache.enabled (include "model-injector.nodeCacheSettings" . | fromYaml).prefetches }}
{{- if and $prefetches (ne (($config.catalog | default dict).mode | default "none") "s3") }}
{{- fail "config.strategies.node-cache.prefetch needs the catalog: set config.catalog.mode to s3" }}
{{- end }}
{{- if and .Values.nodeCache.enabled .Values.nodeCache.peers.enabled }}
{{- if not .Values.nodeCache.peers.secretName }}
{{- fail "nodeCache.peers.enabled needs a Secret with the key that the nodes share: set nodeCache.peers.secretName" }}
{{- end }}
{{- $strategies := $settings.strategies | default dict }}
{{- $cache := index $strategies "node-cache" | default dict }}
{{- $service := printf "%s-peers.%s.svc" (include "model-injector.nodeCacheName" .) .Release.Namespace }}
{{- $ofRelease := dict "service" $service "keyFile" "/etc/model-injector/peers/key" }}
{{- range keys (pick ($cache.peers | default dict) "service" "keyFile") | sortAlpha }}
{{- fail (printf "config.strategies.node-cache.peers.%s follows from the release: remove it" .) }}
{{- end }}
{{- $cache = set $cache "peers" (merge $ofRelease ($cache.peers | default dict)) }}
{{- $_ := set $settings "strategies" (set $strategies "node-cache" $cache) }}
{{- end }}
{{- if not ($config.inventory | default dict).enabled }}
{{- $strategies := $settings.strategies | default dict }}
{{- $image := index $strategies "oci-image" | default dict }}
{{- if not (hasKey $image "clusterVersion") }}
{{- $version := .Capabilities.KubeVersion }}
{{- $_ := set $image "clusterVersion" (printf "%s.%s" $version.Major (trimSuffix "+" $version.Minor)) }}
{{- end }}
{{- $_ := set $settings "strategies" (set $strategies "oci-image" $image) }}
{{- end }}
{{- $settings | toPrettyJson }}
{{- end }}

{{- /*
namespaceSelector and objectSelector. Users can add expressions to the namespaces' selector, but not replace the first, which
excludes the system's namespaces and the release's.
*/ -}}
{{- define "model-injector.selectors" -}}
{{- $inject := printf "%s/inject" .Values.config.annotationPrefix }}
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

{{- /* Suffix of the webhooks' names. It differs between releases, because the API server's metrics have the name as label. */ -}}
{{- define "model-injector.domain" -}}
{{- if ne .Values.webhook.name "model-injector" }}{{ .Values.webhook.name }}.{{ end }}model-injector.io
{{- end }}

{{- /* Name of the webhook that is called for pods. */ -}}
{{- define "model-injector.entry" -}}
pods.{{ include "model-injector.domain" . }}
{{- end }}

{{- /* The kinds whose templates are pinned besides those of Kubernetes, as a JSON array. */ -}}
{{- define "model-injector.kinds" -}}
{{- $kinds := list }}
{{- if and .Values.webhook.workloads.enabled (eq .Values.webhook.select "annotations") }}
{{- $kinds = .Values.webhook.workloads.kinds | default list }}
{{- end }}
{{- $served := list "/pods" "apps/deployments" "apps/statefulsets" "apps/daemonsets" "batch/jobs" "batch/cronjobs" }}
{{- range $index, $kind := $kinds }}
{{- if has (printf "%s/%s" $kind.group $kind.resource) $served }}
{{- fail (printf "webhook.workloads.kinds[%d] is %s, which the webhook handles without it: remove the item" $index $kind.resource) }}
{{- end }}
{{- end }}
{{- $kinds | toJson }}
{{- end }}

{{- /*
What the settings make the controller do, as YAML: the features of which each needs rights of its own, and `jobs`, the
namespaces in which it creates Jobs. Without a namespace and with `sharing: none`, these are all.
*/ -}}
{{- define "model-injector.controllerFeatures" -}}
{{- $loads := list }}
{{- range .Values.config.loads }}
{{- $loads = append $loads .strategy }}
{{- end }}
{{- $volume := index (.Values.config.strategies | default dict) "shared-volume" | default dict }}
{{- $isShared := has "shared-volume" $loads }}
{{- $isTrident := eq ($volume.sharing | default "trident") "trident" }}
{{- $jobs := ternary (list .Release.Namespace) list (has "oci-image" $loads) }}
{{- if and $isShared $isTrident }}
{{- $jobs = append $jobs ($volume.namespace | default "model-injector") | uniq }}
{{- end }}
{{- $argo := false }}
{{- range include "model-injector.kinds" . | fromJsonArray }}
{{- if eq (printf "%s/%s" .group .resource) "argoproj.io/rollouts" }}
{{- $argo = true }}
{{- end }}
{{- end }}
{{- $features := dict "loads" (not (empty $loads)) "mounts" (has "s3-mount" $loads) "jobs" $jobs }}
{{- $_ := set $features "mounting" (or $isShared $features.mounts) }}
{{- $_ := set $features "trident" (and $isShared $isTrident) }}
{{- $_ := set $features "unshared" (and $isShared (not $isTrident)) }}
{{- range $name := list "rollouts" "progress" "cleaning" "withdrawals" }}
{{- $_ := set $features $name (not (empty (index ($.Values.config.controller | default dict) $name | default dict).enabled)) }}
{{- end }}
{{- set $features "argo" (and $features.rollouts $argo) | toYaml }}
{{- end }}

{{- /*
A headless Service for the metrics of a component other than the webhook, and who may reach its port for operators. The
argument is [., the name, the labels that select its pods]. The ServiceMonitor of the webhook's metrics selects the
Service too, by the component.
*/ -}}
{{- define "model-injector.operations" -}}
{{- $root := first . }}
{{- $name := index . 1 }}
{{- $selected := last . }}
{{- with $root -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ $name | quote }}
  namespace: {{ .Release.Namespace | quote }}
  labels:
    {{- include "model-injector.labels" . | nindent 4 }}
    app.kubernetes.io/component: metrics
spec:
  clusterIP: None
  publishNotReadyAddresses: true
  selector:
    {{- $selected | nindent 4 }}
  ports:
    - name: ops
      port: {{ .Values.config.server.opsPort }}
      targetPort: ops
      protocol: TCP
{{- if .Values.networkPolicy.enabled }}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ $name | quote }}
  namespace: {{ .Release.Namespace | quote }}
  labels:
    {{- include "model-injector.labels" . | nindent 4 }}
spec:
  podSelector:
    matchLabels:
      {{- $selected | nindent 6 }}
  policyTypes: {{ ternary (list "Ingress" "Egress") (list "Ingress") (not (empty .Values.networkPolicy.egress)) | toJson }}
  ingress:
    - ports:
        - port: ops
          protocol: TCP
      {{- with .Values.networkPolicy.opsFrom }}
      from:
        {{- toYaml . | nindent 8 }}
      {{- end }}
  {{- with .Values.networkPolicy.egress }}
  egress:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}
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

{{- /* CEL: whether `metadata` has an annotation with the prefix. The argument is [prefix, metadata]. */ -}}
{{- define "model-injector.isAnnotated" -}}
has({{ last . }}.annotations) && {{ last . }}.annotations.exists(name, name.startsWith('{{ first . }}/'))
{{- end }}

{{- /* CEL: whether an annotated pod is no mirror pod, which cannot be changed, and does not opt out. */ -}}
{{- define "model-injector.isOurs" -}}
{{- $inject := printf "%s/inject" .Values.config.annotationPrefix | squote -}}
!('kubernetes.io/config.mirror' in object.metadata.annotations)
&& !({{ $inject }} in object.metadata.annotations
&& object.metadata.annotations[{{ $inject }}].matches('^\\s*false\\s*$'))
{{- end }}
