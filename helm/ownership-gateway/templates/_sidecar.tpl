{{/*
What other charts include in the pods of their game servers. All of these take the context of this chart, which a chart
that depends on it has as

    {{- $gateway := index .Subcharts "ownership-gateway" }}

ownership-gateway.sidecar               the container: a list with one item, to stand under `initContainers` where
                                        sidecar.form is `native`, under `containers` where it is `container`
ownership-gateway.sidecar.volumes       items for the pod's `volumes`
ownership-gateway.sidecar.volumeMounts  items for the game server's `volumeMounts`: the socket, or nothing
ownership-gateway.sidecar.url           what the game server asks: http://127.0.0.1:8080, or unix:/path/of/the.sock
ownership-gateway.sidecar.labels        labels for the pod, by which the PodMonitor finds it
ownership-gateway.sidecar.annotations   annotations for the pod, which restart it when the configuration changes

The pod itself should have `enableServiceLinks: false`, and with a socket `securityContext.fsGroup`: the gateway's
group, which may write to it.
*/}}

{{- define "ownership-gateway.sidecar" -}}
{{- if ne .Values.mode "sidecar" -}}
{{- fail "\n  error: mode is not sidecar: set it where this chart is a dependency" -}}
{{- end -}}
{{- include "ownership-gateway.refusals" . -}}
- {{ include "ownership-gateway.container" . | nindent 2 | trim }}
{{- if eq .Values.sidecar.form "native" }}
  restartPolicy: Always
{{- end }}
{{- end -}}

{{- define "ownership-gateway.sidecar.volumes" -}}
{{- include "ownership-gateway.volumes" . -}}
{{- end -}}

{{- define "ownership-gateway.sidecar.volumeMounts" -}}
{{- if include "ownership-gateway.usesSocket" . -}}
- name: ownership-gateway-socket
  mountPath: {{ .Values.sidecar.socketDirectory | quote }}
{{- end }}
{{- end -}}

{{- define "ownership-gateway.sidecar.url" -}}
{{- if include "ownership-gateway.usesSocket" . -}}
unix:{{ trimSuffix "/" .Values.sidecar.socketDirectory }}/gateway.sock
{{- else -}}
http://127.0.0.1:{{ int .Values.ports.questions }}
{{- end -}}
{{- end -}}

{{- define "ownership-gateway.sidecar.labels" -}}
ownership-gateway/sidecar: {{ include "ownership-gateway.fullname" . }}
{{- end -}}

{{- define "ownership-gateway.sidecar.annotations" -}}
ownership-gateway/config-checksum: {{ include "ownership-gateway.checksum" . }}
{{- end -}}
