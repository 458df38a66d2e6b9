{{- /* Names and labels. The fullname is the release name, and every object's name starts with it. */ -}}

{{- define "sidecar-policy.fullname" -}}
{{ .Release.Name }}
{{- end }}

{{- /* Labels by which selectors find the pods of a component; they must never change. Takes (dict "root" . "component" NAME). */ -}}
{{- define "sidecar-policy.selectorLabels" -}}
app.kubernetes.io/name: sidecar-policy
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- /* Labels of every object; takes the same. */ -}}
{{- define "sidecar-policy.labels" -}}
{{ include "sidecar-policy.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name (.root.Chart.Version | replace "+" "_") }}
{{- end }}
