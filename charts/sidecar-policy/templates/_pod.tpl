{{- /* What the pods of the webhook and of the operator have in common. */ -}}

{{- define "sidecar-policy.image" -}}
{{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) }}
{{- end }}

{{- /* Fields of a pod's spec; takes (dict "root" . "component" NAME). */ -}}
{{- define "sidecar-policy.podSettings" -}}
serviceAccountName: {{ include "sidecar-policy.fullname" .root }}-{{ .component }}
automountServiceAccountToken: true
enableServiceLinks: false
{{- with .root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
{{ toYaml . }}
{{- end }}
securityContext:
  {{- include "sidecar-policy.podSecurityContext" . | nindent 2 }}
{{- with .root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations:
{{ toYaml . }}
{{- end }}
{{- with .root.Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
{{- range $topologyKey := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
- topologyKey: {{ $topologyKey }}
  maxSkew: 1
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "sidecar-policy.selectorLabels" $ | nindent 6 }}
{{- end }}
{{- end }}

{{- define "sidecar-policy.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "sidecar-policy.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- /* Arguments that both programs take; takes the chart's root. */ -}}
{{- define "sidecar-policy.arguments" -}}
- --namespace=$(POD_NAMESPACE)
- --certificate-secret={{ include "sidecar-policy.fullname" . }}-webhook-certificate
{{- with .Values.excludedNamespaces }}
- --excluded-namespaces={{ join "," . }}
{{- end }}
- --health-address=0.0.0.0:8080
- --log-format={{ .Values.logFormat }}
- --log-level={{ .Values.logLevel }}
{{- with .Values.tracing.endpoint }}
- --otlp-endpoint={{ . }}
{{- end }}
{{- end }}

{{- /* Environment of both programs; takes the chart's root. */ -}}
{{- define "sidecar-policy.environment" -}}
- name: POD_NAMESPACE
  valueFrom:
    fieldRef: {fieldPath: metadata.namespace}
- name: POD_NAME
  valueFrom:
    fieldRef: {fieldPath: metadata.name}
{{- if .Values.tracing.endpoint }}
- {name: OTEL_RESOURCE_ATTRIBUTES, value: "k8s.namespace.name=$(POD_NAMESPACE),k8s.pod.name=$(POD_NAME)"}
- {name: OTEL_TRACES_SAMPLER, value: parentbased_traceidratio}
- {name: OTEL_TRACES_SAMPLER_ARG, value: {{ .Values.tracing.sampleRatio | quote }}}
{{- end }}
{{- end }}

{{- /* Probes of the plain HTTP server that both programs have. */ -}}
{{- define "sidecar-policy.probes" -}}
livenessProbe:
  httpGet: {path: /healthz, port: health}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: health}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 3
{{- end }}
