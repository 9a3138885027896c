{{/*
Values that contradict each other or would be unsafe are refused, all at once, one line each: as the gateway itself does.
Prints nothing.
*/}}
{{- define "ownership-gateway.refusals" -}}
{{- $mistakes := list -}}
{{- $values := .Values -}}
{{- $secrets := $values.secrets -}}
{{- $hasKey := or $secrets.sellerKey.existingSecret $secrets.sellerKey.file -}}
{{- $hasNextKey := or $secrets.nextSellerKey.existingSecret $secrets.nextSellerKey.file -}}
{{- $hasRedis := or $secrets.redisUrl.existingSecret $secrets.redisUrl.file -}}
{{- $hasSealing := or $secrets.sealingSecret.existingSecret $secrets.sealingSecret.file -}}
{{- $sandbox := $values.config.sandbox -}}
{{- $isRelay := include "ownership-gateway.isRelay" . -}}
{{- $hasToken := or $secrets.relayToken.existingSecret $secrets.relayToken.file -}}
{{- range $name := list "sellerKey" "nextSellerKey" "proxy" "passKeys" "mailUrl" "sealingSecret" "redisUrl" "relayToken" "relayCa" -}}
  {{- $secret := get $secrets $name -}}
  {{- if and $secret.existingSecret $secret.file -}}
    {{- $mistakes = append $mistakes (printf "secrets.%s.existingSecret and secrets.%s.file are both set: keep one" $name $name) -}}
  {{- end -}}
{{- end -}}
{{- if and $sandbox $hasKey -}}
  {{- $mistakes = append $mistakes "config.sandbox and secrets.sellerKey are both set: the sandbox never stands in for the real store, keep one" -}}
{{- end -}}
{{- if and $sandbox (or $secrets.proxy.existingSecret $secrets.proxy.file) -}}
  {{- $mistakes = append $mistakes "config.sandbox and secrets.proxy are both set: nothing leads from the sandbox to the real store, keep one" -}}
{{- end -}}
{{- if and $hasNextKey (not $hasKey) -}}
  {{- $mistakes = append $mistakes "secrets.nextSellerKey is set, but secrets.sellerKey is not: the other key is for when itch.io refuses the first" -}}
{{- end -}}
{{- if and $hasNextKey (eq $secrets.nextSellerKey.existingSecret $secrets.sellerKey.existingSecret) (eq $secrets.nextSellerKey.key $secrets.sellerKey.key) (eq $secrets.nextSellerKey.file $secrets.sellerKey.file) -}}
  {{- $mistakes = append $mistakes "secrets.nextSellerKey is the same place as secrets.sellerKey: name where the other key is" -}}
{{- end -}}
{{- if $isRelay -}}
  {{- range $name := list "sellerKey" "nextSellerKey" "proxy" "passKeys" "mailUrl" "sealingSecret" "redisUrl" "redisTls" -}}
    {{- $secret := get $secrets $name -}}
    {{- if or $secret.existingSecret $secret.file -}}
      {{- $mistakes = append $mistakes (printf "sidecar.relay.url and secrets.%s are both set: the hub has that, and a relay needs none of it" $name) -}}
    {{- end -}}
  {{- end -}}
  {{- range $name := list "sandbox" "itch" "passes" "mail" -}}
    {{- if get $values.config $name -}}
      {{- $mistakes = append $mistakes (printf "sidecar.relay.url and config.%s are both set: that is the hub's" $name) -}}
    {{- end -}}
  {{- end -}}
  {{- if not $hasToken -}}
    {{- $mistakes = append $mistakes "secrets.relayToken is not set, but sidecar.relay.url is: name the Secret with the token by which the hub knows this gateway" -}}
  {{- end -}}
{{- else -}}
  {{- if or $hasToken $secrets.relayCa.existingSecret $secrets.relayCa.file -}}
    {{- $mistakes = append $mistakes "secrets.relayToken or secrets.relayCa is set, but sidecar.relay.url is not, or mode is not sidecar: only a relay needs them" -}}
  {{- end -}}
  {{- if and $values.sidecar.relay.url (ne $values.mode "sidecar") -}}
    {{- $mistakes = append $mistakes "sidecar.relay.url is for sidecar mode: a gateway that is a service has the seller's key itself" -}}
  {{- end -}}
{{- end -}}
{{- if not (or $sandbox $hasKey $isRelay) -}}
  {{- $mistakes = append $mistakes "secrets.sellerKey is not set: name the Secret with the seller's itch.io API key in secrets.sellerKey.existingSecret, make the sidecar a relay by sidecar.relay.url, or try the gateway with config.sandbox=true" -}}
{{- end -}}
{{- if and $hasRedis (not $hasSealing) -}}
  {{- $mistakes = append $mistakes "secrets.sealingSecret is not set, but secrets.redisUrl is: what is kept in Redis must be sealed with a secret, the same on all replicas" -}}
{{- end -}}
{{- $hasPasses := or $secrets.passKeys.existingSecret $secrets.passKeys.file -}}
{{- if and $hasPasses $sandbox -}}
  {{- $mistakes = append $mistakes "config.sandbox and secrets.passKeys are both set: the sandbox signs with a key of its own, keep one" -}}
{{- end -}}
{{- if and $hasPasses (not $hasSealing) -}}
  {{- $mistakes = append $mistakes "secrets.sealingSecret is not set, but secrets.passKeys is: what passes are revoked by is made with a secret, the same on all replicas" -}}
{{- end -}}
{{- $passes := $values.config.passes | default dict -}}
{{- if and $hasPasses (not $passes.issuer) -}}
  {{- $mistakes = append $mistakes "config.passes.issuer is not set, but secrets.passKeys is: say by which name passes are yours" -}}
{{- end -}}
{{- $hasMail := or $secrets.mailUrl.existingSecret $secrets.mailUrl.file -}}
{{- if and $hasMail $sandbox -}}
  {{- $mistakes = append $mistakes "config.sandbox and secrets.mailUrl are both set: the sandbox keeps its mails, keep one" -}}
{{- end -}}
{{- $mail := $values.config.mail | default dict -}}
{{- if and $hasMail (not $mail.from) -}}
  {{- $mistakes = append $mistakes "config.mail.from is not set, but secrets.mailUrl is: say which address the mails come from" -}}
{{- end -}}
{{- if eq $values.mode "service" -}}
  {{- if not $values.config.callers -}}
    {{- $mistakes = append $mistakes "config.callers is empty: whoever reaches the Service could ask. `ownership-gateway new-caller` prints a token and its entry" -}}
  {{- end -}}
  {{- if and $hasRedis $values.networkPolicy.enabled (not $values.networkPolicy.redis) -}}
    {{- $mistakes = append $mistakes "networkPolicy.redis is empty, but secrets.redisUrl is set: say where Redis is, or the network policy keeps the gateway from it" -}}
  {{- end -}}
  {{- $grace := $values.terminationGracePeriodSeconds -}}
  {{- $drain := include "ownership-gateway.drainSeconds" . | float64 -}}
  {{- if and (not (kindIs "invalid" $grace)) (lt (float64 $grace) (addf $drain 10)) -}}
    {{- $mistakes = append $mistakes (printf "terminationGracePeriodSeconds is %v: with config.drain_seconds %v at least %v is needed, or answers are cut off" $grace $drain (addf $drain 10)) -}}
  {{- end -}}
  {{- if and $values.autoscaling.enabled (gt (int $values.autoscaling.minReplicas) (int $values.autoscaling.maxReplicas)) -}}
    {{- $mistakes = append $mistakes "autoscaling.minReplicas is greater than autoscaling.maxReplicas" -}}
  {{- end -}}
  {{- if and $values.networkPolicy.proxy (not (or $secrets.proxy.existingSecret $secrets.proxy.file)) -}}
    {{- $mistakes = append $mistakes "networkPolicy.proxy is set, but secrets.proxy is not: without its URL no proxy is used" -}}
  {{- end -}}
  {{- range $name := list "ingress" "httpRoute" -}}
    {{- if and (get $values $name).enabled (not (get $values $name).hosts) -}}
      {{- $mistakes = append $mistakes (printf "%s.hosts is empty: name the hosts that are the gateway's, or it would answer for all" $name) -}}
    {{- end -}}
  {{- end -}}
  {{- if and $values.httpRoute.enabled (not $values.httpRoute.parentRefs) -}}
    {{- $mistakes = append $mistakes "httpRoute.parentRefs is empty: name the Gateway that it belongs to" -}}
  {{- end -}}
  {{- if include "ownership-gateway.isBehindAnother" . -}}
    {{- $names := list -}}
    {{- range concat $values.extraContainers $values.initContainers -}}
      {{- range .ports -}}
        {{- $names = append $names .name -}}
      {{- end -}}
    {{- end -}}
    {{- if not (has $values.service.targetPort $names) -}}
      {{- $mistakes = append $mistakes (printf "service.targetPort is %s, but no container in extraContainers or initContainers has a port of that name" $values.service.targetPort) -}}
    {{- end -}}
  {{- end -}}
  {{- $update := $values.strategy.rollingUpdate -}}
  {{- if and (eq $values.strategy.type "RollingUpdate") (has (toString $update.maxSurge) (list "0" "0%")) (has (toString $update.maxUnavailable) (list "0" "0%")) -}}
    {{- $mistakes = append $mistakes "strategy.rollingUpdate: maxSurge and maxUnavailable are both 0, so that no pod could ever be replaced" -}}
  {{- end -}}
  {{- if and $values.autoscaling.enabled (not (or $values.autoscaling.targetCPU $values.autoscaling.metrics)) -}}
    {{- $mistakes = append $mistakes "autoscaling.targetCPU and autoscaling.metrics are both empty: name what the number of pods should follow" -}}
  {{- end -}}
  {{- if $values.podMonitor.enabled -}}
    {{- $mistakes = append $mistakes "podMonitor is for sidecar mode: use serviceMonitor" -}}
  {{- end -}}
{{- else -}}
  {{- if and $hasKey (not $values.sidecar.acceptKeyInPod) -}}
    {{- $mistakes = append $mistakes "the seller's key would be in every pod of the game server: whoever breaks into one has full power over the account that sells the game. Make it a relay by sidecar.relay.url, use mode: service, or accept it with sidecar.acceptKeyInPod=true" -}}
  {{- end -}}
  {{- if and (eq $values.sidecar.form "native") (semverCompare "<1.29.0-0" .Capabilities.KubeVersion.Version) -}}
    {{- $mistakes = append $mistakes (printf "sidecar.form=native needs Kubernetes 1.29, and this is %s: use sidecar.form=container" .Capabilities.KubeVersion.Version) -}}
  {{- end -}}
  {{- if and $values.config.console (not $values.config.callers) -}}
    {{- $mistakes = append $mistakes "config.console is on, but config.callers is empty: whoever reaches the pod could let players in. `ownership-gateway new-caller` prints a token and its entry" -}}
  {{- end -}}
  {{- range $name := list "ingress" "httpRoute" -}}
    {{- if (get $values $name).enabled -}}
      {{- $mistakes = append $mistakes (printf "%s is for service mode: nobody but the game server asks a sidecar" $name) -}}
    {{- end -}}
  {{- end -}}
  {{- range $name := list "extraContainers" "initContainers" "hostAliases" "dnsPolicy" "dnsConfig" -}}
    {{- if get $values $name -}}
      {{- $mistakes = append $mistakes (printf "%s is for service mode: a sidecar's pod is the game server's, so set it there" $name) -}}
    {{- end -}}
  {{- end -}}
  {{- if $values.autoscaling.enabled -}}
    {{- $mistakes = append $mistakes "autoscaling is for service mode: sidecars come and go with the game server" -}}
  {{- end -}}
  {{- if $values.serviceMonitor.enabled -}}
    {{- $mistakes = append $mistakes "serviceMonitor is for service mode: use podMonitor" -}}
  {{- end -}}
{{- end -}}
{{- if eq (int $values.ports.questions) (int $values.ports.operations) -}}
  {{- $mistakes = append $mistakes "ports.questions and ports.operations are the same: each needs its own" -}}
{{- end -}}
{{- if $mistakes -}}
  {{- fail (printf "\n  error: %s" (join "\n  error: " $mistakes)) -}}
{{- end -}}
{{- end -}}
