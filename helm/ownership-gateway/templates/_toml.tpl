{{/*
The gateway's TOML file. Helm's own toToml writes 3 as 3.0, which is no id, so this is written out here.
*/}}

{{- define "ownership-gateway.toml.value" -}}
{{- if kindIs "slice" . -}}
{{- $items := list -}}
{{- range . }}{{ $items = append $items (include "ownership-gateway.toml.value" .) }}{{ end -}}
[{{ join ", " $items }}]
{{- else if and (kindIs "float64" .) (eq (floor .) .) -}}
{{- int64 . -}}
{{- else -}}
{{- /* What JSON has, TOML reads: strings, booleans and the other numbers. */ -}}
{{- toJson . -}}
{{- end -}}
{{- end -}}

{{/* The lines of one table; what stands in tables of its own is left to others. */}}
{{- define "ownership-gateway.toml.lines" -}}
{{- range $key, $value := . }}
{{- if not (or (kindIs "map" $value) (kindIs "invalid" $value) (eq $key "callers") (eq $key "oidc")) }}
{{ $key }} = {{ include "ownership-gateway.toml.value" $value }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "ownership-gateway.toml" -}}
{{- $config := .Values.config -}}
# What the gateway does. Where it listens and where its secrets are stands in the pod's environment.
{{- include "ownership-gateway.toml.lines" (omit $config "drain_seconds") }}
drain_seconds = {{ include "ownership-gateway.drainSeconds" . }}
{{- range $group, $table := omit $config "games" "callers" "forward_auth" }}
{{- if kindIs "map" $table }}

[{{ $group }}]
{{- include "ownership-gateway.toml.lines" $table }}
{{- end }}
{{- end }}
{{- range $slug, $game := $config.games }}

[games.{{ $slug }}]
{{- include "ownership-gateway.toml.lines" $game }}
{{- end }}
{{- range $policy, $table := $config.forward_auth }}

[forward_auth.{{ $policy }}]
{{- include "ownership-gateway.toml.lines" $table }}
{{- end }}
{{- range $config.oidc }}

[[oidc]]
{{- include "ownership-gateway.toml.lines" . }}
{{- end }}
{{- range $config.callers }}

[[callers]]
{{- include "ownership-gateway.toml.lines" . }}
{{- end }}
{{ end -}}

{{/* A native sidecar is stopped when nobody is left to ask it. */}}
{{- define "ownership-gateway.drainSeconds" -}}
{{- $default := ternary 0 5 (and (eq .Values.mode "sidecar") (eq .Values.sidecar.form "native")) -}}
{{- $seconds := get .Values.config "drain_seconds" -}}{{/* "" where there is none */}}
{{- include "ownership-gateway.toml.value" (ternary $default $seconds (or (kindIs "invalid" $seconds) (kindIs "string" $seconds))) -}}
{{- end -}}
