{{- /*
Lets the node cache change nothing but its own node, and of that nothing but the labels of versions and the startup taint.
Rights cannot say so: all pods of a DaemonSet have the same account.
*/ -}}
{{- define "model-injector.nodePolicy" -}}
{{- if not (semverCompare ">=1.30.0-0" .Capabilities.KubeVersion.Version) }}
{{- fail "config.strategies.node-cache.placement and startupTaint need Kubernetes 1.30: a ValidatingAdmissionPolicy" }}
{{- end }}
{{- $name := printf "%s-node-cache" .Values.webhook.name }}
{{- $prefix := .Values.config.annotationPrefix }}
{{- $account := printf "system:serviceaccount:%s:%s" .Release.Namespace (include "model-injector.nodeCacheServiceAccountName" . | trim) }}
{{- $kept := list "metadata.annotations" "metadata.finalizers" "metadata.ownerReferences" "spec.configSource" "spec.podCIDR" }}
{{- $kept = concat $kept (list "spec.podCIDRs" "spec.providerID" "spec.unschedulable") }}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  name: {{ $name | quote }}
  labels:
    {{- include "model-injector.labels" . | nindent 4 }}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
      - apiGroups: [""]
        apiVersions: [v1]
        operations: [UPDATE]
        resources: [nodes, nodes/status]
  matchConditions:
    - name: by-the-node-cache
      expression: request.userInfo.username == '{{ $account }}'
  variables:
    - name: labels
      expression: "has(object.metadata.labels) ? object.metadata.labels : {}"
    - name: oldLabels
      expression: "has(oldObject.metadata.labels) ? oldObject.metadata.labels : {}"
    - name: taints
      expression: "has(object.spec.taints) ? object.spec.taints : []"
    - name: oldTaints
      expression: "has(oldObject.spec.taints) ? oldObject.spec.taints : []"
  validations:
    # From the token of a pod, which names its node since Kubernetes 1.30.
    - expression: >-
        has(request.userInfo.extra) && 'authentication.kubernetes.io/node-name' in request.userInfo.extra
        && object.metadata.name in request.userInfo.extra['authentication.kubernetes.io/node-name']
      reason: Forbidden
      message: the node cache may only change its own node
    - expression: >-
        variables.labels.all(name, name.startsWith('{{ $prefix }}/cached-')
        || name in variables.oldLabels && variables.labels[name] == variables.oldLabels[name])
        && variables.oldLabels.all(name, name.startsWith('{{ $prefix }}/cached-') || name in variables.labels)
      reason: Forbidden
      message: the node cache may only change labels that begin with {{ $prefix }}/cached-
    - expression: >-
        variables.taints.all(taint, taint in variables.oldTaints)
        && variables.oldTaints.all(taint, taint.key == '{{ $prefix }}/node-cache-not-ready' || taint in variables.taints)
      reason: Forbidden
      message: the node cache may only remove the taint {{ $prefix }}/node-cache-not-ready
    - expression: >-
        (!has(request.subResource) || request.subResource == '')
        {{- range $kept }}
        && (has(object.{{ . }}) ? has(oldObject.{{ . }}) && object.{{ . }} == oldObject.{{ . }} : !has(oldObject.{{ . }}))
        {{- end }}
      reason: Forbidden
      message: the node cache may only change the labels and taints of its node
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ $name | quote }}
  labels:
    {{- include "model-injector.labels" . | nindent 4 }}
spec:
  policyName: {{ $name | quote }}
  validationActions: [Deny]
{{- end }}
