{{/* What things are called. */}}

{{- define "ownership-gateway.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* 50 characters: suffixes such as -operations stand behind it, and 63 is the limit. */}}
{{- define "ownership-gateway.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "ownership-gateway.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "ownership-gateway.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "ownership-gateway.selectorLabels" -}}
app.kubernetes.io/name: {{ include "ownership-gateway.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "ownership-gateway.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name (.Chart.Version | replace "+" "_") }}
{{ include "ownership-gateway.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{/*
The metadata of an object: (dict "root" . "of" .Values.service). `of` has the object's own `labels` and `annotations`, which
beat those of every object, and its `namespace`, if it may be another than that of the release. More keys: `name`, where it
is not that of the release; `suffix`, which stands behind the name; `component`.
*/}}
{{- define "ownership-gateway.metadata" -}}
name: {{ default (include "ownership-gateway.fullname" .root) .name }}{{ .suffix }}
namespace: {{ default .root.Release.Namespace .of.namespace }}
labels:
  {{- include "ownership-gateway.labels" .root | nindent 2 }}
  {{- with .component }}
  app.kubernetes.io/component: {{ . }}
  {{- end }}
  {{- with mergeOverwrite dict .root.Values.commonLabels (default dict .of.labels) }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with mergeOverwrite dict .root.Values.commonAnnotations (default dict .of.annotations) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "ownership-gateway.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}
