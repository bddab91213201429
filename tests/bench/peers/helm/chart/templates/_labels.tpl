{{- define "shop.selector" -}}
app.kubernetes.io/name: {{ .workload.metadata.name }}
app.kubernetes.io/instance: {{ printf "%s-production" .root.Release.Name }}
deployd.dev/track: stable
{{- end }}

{{- define "shop.labels" -}}
{{ include "shop.selector" . }}
app.kubernetes.io/part-of: {{ .root.Release.Name }}
app.kubernetes.io/managed-by: deployd
deployd.dev/application: {{ .root.Release.Name }}
deployd.dev/environment: production
deployd.dev/workload: {{ .workload.metadata.name }}
{{- end }}
