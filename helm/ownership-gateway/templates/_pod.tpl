{{/* What the pods of the Deployment and that of `helm test` have in common. */}}

{{- define "ownership-gateway.pod.identity" -}}
serviceAccountName: {{ include "ownership-gateway.serviceAccountName" . }}
automountServiceAccountToken: false
# A Service of this name would put OWNERSHIP_GATEWAY_PORT=tcp://… into the environment.
enableServiceLinks: false
{{- end -}}

{{- define "ownership-gateway.pod.confinement" -}}
securityContext:
  runAsNonRoot: true
  {{- with .Values.runAs.group }}
  fsGroup: {{ int64 . }}
  fsGroupChangePolicy: OnRootMismatch
  {{- end }}
  seccompProfile:
    type: RuntimeDefault
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "ownership-gateway.pod.names" -}}
{{- with .Values.hostAliases }}
hostAliases:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.dnsPolicy }}
dnsPolicy: {{ . }}
{{- end }}
{{- with .Values.dnsConfig }}
dnsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "ownership-gateway.pod.placement" -}}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
