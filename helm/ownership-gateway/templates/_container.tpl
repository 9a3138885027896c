{{/* The gateway's container and what it needs of its pod, the same as a service and as a sidecar. */}}

{{- define "ownership-gateway.usesSocket" -}}
{{- if and (eq .Values.mode "sidecar") (eq .Values.sidecar.listen "unixSocket") }}true{{ end -}}
{{- end -}}

{{/* "true" where the gateway asks another one instead of itch.io. */}}
{{- define "ownership-gateway.isRelay" -}}
{{- if and (eq .Values.mode "sidecar") .Values.sidecar.relay.url }}true{{ end -}}
{{- end -}}

{{/* "true" where questions come to another container of the pod, which hands them on over loopback. */}}
{{- define "ownership-gateway.isBehindAnother" -}}
{{- if and (eq .Values.mode "service") (ne .Values.service.targetPort "questions") }}true{{ end -}}
{{- end -}}

{{/* The file that a secret is in, or nothing: (dict "root" . "name" "sellerKey" "directory" "seller-key"). */}}
{{- define "ownership-gateway.secretFile" -}}
{{- $secret := get .root.Values.secrets .name -}}
{{- if $secret.file -}}
{{- $secret.file -}}
{{- else if $secret.existingSecret -}}
{{- printf "/run/secrets/ownership-gateway/%s/%s" .directory $secret.key -}}
{{- end -}}
{{- end -}}

{{- define "ownership-gateway.env" -}}
- name: OWNERSHIP_GATEWAY_CONFIG
  value: /etc/ownership-gateway/gateway.toml
{{- if include "ownership-gateway.usesSocket" . }}
- name: OWNERSHIP_GATEWAY_UNIX_SOCKET
  value: {{ printf "%s/gateway.sock" (trimSuffix "/" .Values.sidecar.socketDirectory) | quote }}
{{- else }}
- name: OWNERSHIP_GATEWAY_HOST
  value: {{ ternary .Values.listenAddress "127.0.0.1" (and (eq .Values.mode "service") (not (include "ownership-gateway.isBehindAnother" .))) | quote }}
- name: OWNERSHIP_GATEWAY_PORT
  value: {{ .Values.ports.questions | int | quote }}
{{- end }}
- name: OWNERSHIP_GATEWAY_OPERATIONS__HOST
  value: {{ .Values.listenAddress | quote }}
- name: OWNERSHIP_GATEWAY_OPERATIONS__PORT
  value: {{ .Values.ports.operations | int | quote }}
{{- if include "ownership-gateway.isRelay" . }}
- name: OWNERSHIP_GATEWAY_RELAY__URL
  value: {{ .Values.sidecar.relay.url | quote }}
- name: OWNERSHIP_GATEWAY_RELAY__TOKEN_FILE
  value: {{ include "ownership-gateway.secretFile" (dict "root" . "name" "relayToken" "directory" "relay-token") | quote }}
{{- with include "ownership-gateway.secretFile" (dict "root" . "name" "relayCa" "directory" "relay-ca") }}
- name: OWNERSHIP_GATEWAY_RELAY__CA_FILE
  value: {{ . | quote }}
{{- end }}
- name: OWNERSHIP_GATEWAY_RELAY__FRESH_SECONDS
  value: {{ .Values.sidecar.relay.freshSeconds | int | quote }}
{{- else }}
- name: OWNERSHIP_GATEWAY_REPLICAS
  value: {{ ternary .Values.autoscaling.maxReplicas .Values.replicaCount .Values.autoscaling.enabled | int | quote }}
{{- end }}
{{- with include "ownership-gateway.secretFile" (dict "root" . "name" "sellerKey" "directory" "seller-key") }}
- name: OWNERSHIP_GATEWAY_ITCH__API_KEY_FILE
  value: {{ . | quote }}
{{- end }}
{{- with include "ownership-gateway.secretFile" (dict "root" . "name" "nextSellerKey" "directory" "next-seller-key") }}
- name: OWNERSHIP_GATEWAY_ITCH__NEXT_API_KEY_FILE
  value: {{ . | quote }}
{{- end }}
{{- with include "ownership-gateway.secretFile" (dict "root" . "name" "proxy" "directory" "proxy") }}
- name: OWNERSHIP_GATEWAY_ITCH__PROXY_FILE
  value: {{ . | quote }}
{{- end }}
{{- with include "ownership-gateway.secretFile" (dict "root" . "name" "passKeys" "directory" "pass-keys") }}
- name: OWNERSHIP_GATEWAY_PASSES__KEY_FILE
  value: {{ . | quote }}
{{- end }}
{{- with include "ownership-gateway.secretFile" (dict "root" . "name" "mailUrl" "directory" "mail-url") }}
- name: OWNERSHIP_GATEWAY_MAIL__URL_FILE
  value: {{ . | quote }}
{{- end }}
{{- with include "ownership-gateway.secretFile" (dict "root" . "name" "sealingSecret" "directory" "sealing-secret") }}
- name: OWNERSHIP_GATEWAY_SECRET_FILE
  value: {{ . | quote }}
{{- end }}
{{- with include "ownership-gateway.secretFile" (dict "root" . "name" "redisUrl" "directory" "redis-url") }}
- name: OWNERSHIP_GATEWAY_REDIS__URL_FILE
  value: {{ . | quote }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "ownership-gateway.container" -}}
name: ownership-gateway
{{ include "ownership-gateway.container.started" (dict "root" . "command" "serve") }}
ports:
  {{- if and (eq .Values.mode "service") (not (include "ownership-gateway.isBehindAnother" .)) }}
  - name: questions
    containerPort: {{ .Values.ports.questions }}
  {{- end }}
  - name: {{ include "ownership-gateway.operationsPort" . }}
    containerPort: {{ .Values.ports.operations }}
startupProbe:
  httpGet:
    path: /readyz
    port: {{ include "ownership-gateway.operationsPort" . }}
  periodSeconds: 1
  timeoutSeconds: 1
  failureThreshold: {{ .Values.probes.startupSeconds }}
livenessProbe:
  httpGet:
    path: /livez
    port: {{ include "ownership-gateway.operationsPort" . }}
  periodSeconds: {{ .Values.probes.livenessPeriodSeconds }}
  timeoutSeconds: 2
  failureThreshold: 3
readinessProbe:
  httpGet:
    path: /readyz
    port: {{ include "ownership-gateway.operationsPort" . }}
  periodSeconds: {{ .Values.probes.readinessPeriodSeconds }}
  timeoutSeconds: 2
  failureThreshold: 1
{{- include "ownership-gateway.container.confined" . }}
{{- end -}}

{{/* The image, how it is started and with which environment: (dict "root" . "command" "serve"). */}}
{{- define "ownership-gateway.container.started" -}}
image: {{ include "ownership-gateway.image" .root | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
args: [{{ .command }}]
env:
  {{- include "ownership-gateway.env" .root | nindent 2 }}
{{- with .root.Values.envFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* What it may use and see. */}}
{{- define "ownership-gateway.container.confined" -}}
{{- with .Values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  {{- with .Values.runAs.user }}
  runAsUser: {{ int64 . }}
  {{- end }}
  {{- with .Values.runAs.group }}
  runAsGroup: {{ int64 . }}
  {{- end }}
  capabilities:
    drop: [ALL]
  seccompProfile:
    type: RuntimeDefault
volumeMounts:
  - name: ownership-gateway-config
    mountPath: /etc/ownership-gateway
    readOnly: true
  {{- if include "ownership-gateway.usesSocket" . }}
  - name: ownership-gateway-socket
    mountPath: {{ .Values.sidecar.socketDirectory | quote }}
  {{- end }}
  {{- range $volume := include "ownership-gateway.secretVolumes" . | fromYamlArray }}
  - name: {{ $volume.name }}
    mountPath: /run/secrets/ownership-gateway/{{ trimPrefix "ownership-gateway-" $volume.name }}
    readOnly: true
  {{- end }}
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* The names of ports are shared by all containers of a pod, and at most 15 characters long. */}}
{{- define "ownership-gateway.operationsPort" -}}
{{- ternary "operations" "gateway-ops" (eq .Values.mode "service") -}}
{{- end -}}

{{/*
Whole directories, not single files by subPath: only these follow when a Secret changes. As a service their group is
the gateway's. A sidecar has no say over the pod's fsGroup, so there anybody may read them who sees them, and only the
gateway's container does.
*/}}
{{- define "ownership-gateway.secretVolumes" -}}
{{- $mode := ternary 288 292 (eq .Values.mode "service") -}}{{/* 0440, 0444 */}}
{{- range $name, $secret := dict "seller-key" .Values.secrets.sellerKey "next-seller-key" .Values.secrets.nextSellerKey "proxy" .Values.secrets.proxy "pass-keys" .Values.secrets.passKeys "mail-url" .Values.secrets.mailUrl "sealing-secret" .Values.secrets.sealingSecret "redis-url" .Values.secrets.redisUrl "redis-tls" .Values.secrets.redisTls "relay-token" .Values.secrets.relayToken "relay-ca" .Values.secrets.relayCa }}
{{- if $secret.existingSecret }}
- name: ownership-gateway-{{ $name }}
  secret:
    secretName: {{ $secret.existingSecret | quote }}
    defaultMode: {{ $mode }}
    # Kubernetes' own default; podman's kube play wants it said.
    optional: false
    {{- with $secret.key }}
    items:
      - key: {{ . | quote }}
        path: {{ . | quote }}
    {{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "ownership-gateway.volumes" -}}
- name: ownership-gateway-config
  configMap:
    name: {{ include "ownership-gateway.fullname" . }}
{{- if include "ownership-gateway.usesSocket" . }}
- name: ownership-gateway-socket
  emptyDir:
    sizeLimit: 1Mi
{{- end }}
{{- include "ownership-gateway.secretVolumes" . }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/*
Of what takes another pod to change: games, callers, policies and `log.level` are read again. Whether there are callers counts, for
a gateway that runs refuses a file without the last of them.
*/}}
{{- define "ownership-gateway.checksum" -}}
{{- $config := omit .Values.config "games" "callers" "forward_auth" "log" -}}
{{- with omit (default dict .Values.config.log) "level" -}}
{{- $config = set $config "log" . -}}
{{- end -}}
{{- $rest := include "ownership-gateway.toml" (dict "Values" (set (omit .Values "config") "config" $config)) -}}
{{- printf "%s\ncallers: %t" $rest (not (empty .Values.config.callers)) | sha256sum -}}
{{- end -}}
