{{/*
The router's settings. `config` is the file; what other values decide is the environment, which wins over the file and so
over an existingConfigMap too.
*/}}

{{/* Of name, Secret, key, and whether the Secret may lack it. */}}
{{- define "fork-router.fromSecret" -}}
- name: {{ index . 0 }}
  valueFrom:
    secretKeyRef:
      name: {{ index . 1 }}
      key: {{ index . 2 }}
      {{- if index . 3 }}
      optional: true
      {{- end }}
{{- end -}}

{{/* Of name and path of a field of the pod. */}}
{{- define "fork-router.fromField" -}}
- name: {{ index . 0 }}
  valueFrom:
    fieldRef:
      fieldPath: {{ index . 1 }}
{{- end -}}

{{/* Ports, threads, drain: plain values. The init container writes the port of nodePortPerPod, which is the pod's own. */}}
{{- define "fork-router.decidedEnv" -}}
- name: ROUTER_PUBLIC__PORT
  value: {{ .Values.ports.public | quote }}
- name: ROUTER_ADMIN__PORT
  value: {{ .Values.ports.admin | quote }}
{{- if not (dig "admin" "host" "" .Values.config) }}
# Probes come from outside of the pod, port-forward from inside; on the node's network it is for one address only.
- name: ROUTER_ADMIN__HOST
  value: {{ eq .Values.media.exposure "hostNetwork" | ternary "$(POD_IP)" "*" | quote }}
{{- end }}
{{- if not (or .Values.existingConfigMap (dig "media" "addresses" "" .Values.config)) }}
# Whichever of IPv4 and IPv6 the pod has.
- name: ROUTER_MEDIA__ADDRESSES
  value: "*"
{{- end }}
- name: ROUTER_ADMIN__METRICS_WITHOUT_TOKEN
  value: {{ .Values.metrics.withoutToken | quote }}
- name: ROUTER_MEDIA__WORKERS
  value: {{ .Values.media.workers | quote }}
{{- if ne .Values.media.exposure "nodePortPerPod" }}
- name: ROUTER_MEDIA__UDP_PORT
  value: {{ .Values.media.udpPort | quote }}
{{- end }}
{{- with .Values.media.stunServers }}
- name: ROUTER_MEDIA__STUN_SERVERS
  value: {{ join "," . | quote }}
{{- end }}
{{- with get (dict "hostIP" "$(HOST_IPS)" "podIP" "$(POD_IPS)" "fixed" (join "," .Values.media.announcedAddresses)) (include "fork-router.discovery" .) }}
- name: ROUTER_MEDIA__ANNOUNCED_ADDRESSES
  value: {{ . | quote }}
{{- end }}
{{- $perPodUrl := and .Values.ingress.enabled .Values.ingress.perPod | ternary (printf "https://$(POD_NAME).%s" .Values.ingress.host) "" }}
{{- with default $perPodUrl .Values.publicUrl }}
- name: ROUTER_PUBLIC__URL
  value: {{ . | quote }}
{{- end }}
- name: ROUTER_REDIS__NODE
  value: $(POD_NAME)
- name: ROUTER_REDIS__ADMIN_URL
  value: http://$(POD_IP):{{ .Values.ports.admin }}
- name: ROUTER_DRAIN__DEADLINE_S
  value: {{ .Values.drain.timeoutSeconds | quote }}
{{- end -}}

{{- define "fork-router.authEnv" -}}
{{- $auth := .Values.auth -}}
{{ include "fork-router.fromSecret" (list "ROUTER_AUTH__SECRETS" (include "fork-router.authSecret" .) $auth.secretsKey (ne $auth.keyFile.existingSecret "")) }}
{{ include "fork-router.fromSecret" (list "ROUTER_ADMIN__TOKEN" (include "fork-router.adminSecret" .) $auth.adminTokenKey (ne $auth.tokenFile.existingSecret "")) }}
{{- if $auth.keyFile.existingSecret }}
- name: ROUTER_AUTH__KEY_FILE
  value: /etc/fork-router/keys/{{ $auth.keyFile.key }}
{{- end }}
{{- if $auth.tokenFile.existingSecret }}
- name: ROUTER_ADMIN__TOKEN_FILE
  value: /etc/fork-router/tokens/{{ $auth.tokenFile.key }}
{{- end }}
{{- end -}}

{{- define "fork-router.redisEnv" -}}
{{- $redis := .Values.externalRedis -}}
{{- if $redis.urlKey }}
{{ include "fork-router.fromSecret" (list "ROUTER_REDIS__URL" $redis.existingSecret $redis.urlKey false) }}
{{- else if $redis.url }}
{{- with $redis.existingSecret }}
{{ include "fork-router.fromSecret" (list "REDIS_PASSWORD" . $redis.passwordKey false) }}
{{- end }}
- name: ROUTER_REDIS__URL
  value: {{ $redis.url | quote }}
{{- end }}
{{- end -}}

{{- define "fork-router.turnEnv" -}}
{{- $turn := .Values.turn -}}
{{- if $turn.secretKey }}
- name: ROUTER_TURN__URLS
  value: {{ join "," $turn.uris | quote }}
{{ include "fork-router.fromSecret" (list "ROUTER_TURN__SECRET" $turn.existingSecret $turn.secretKey false) }}
{{- else if $turn.uris }}
{{- $server := dict "urls" $turn.uris }}
{{- with $turn.existingSecret }}
{{ include "fork-router.fromSecret" (list "TURN_USERNAME" . $turn.usernameKey false) }}
{{ include "fork-router.fromSecret" (list "TURN_CREDENTIAL" . $turn.credentialKey false) }}
{{- $_ := set $server "username" "$(TURN_USERNAME)" }}
{{- $_ := set $server "credential" "$(TURN_CREDENTIAL)" }}
{{- end }}
- name: ROUTER_MEDIA__ICE_SERVERS
  value: {{ list $server | toJson | quote }}
{{- end }}
{{- end -}}

{{/* Of the router's container. Kubernetes puts values for $(NAME) when NAME stands further up. */}}
{{- define "fork-router.env" -}}
{{ include "fork-router.fromField" (list "POD_NAME" "metadata.name") }}
{{ include "fork-router.fromField" (list "POD_IP" "status.podIP") }}
{{ include "fork-router.fromField" (list "POD_IPS" "status.podIPs") }}
{{ include "fork-router.fromField" (list "HOST_IPS" "status.hostIPs") }}
- name: ROUTER_CONFIG
  value: {{ include "fork-router.arranges" . | empty | ternary "/etc/fork-router/config/router.yaml" "/run/fork-router/router.yaml" }}
{{ include "fork-router.decidedEnv" . }}
{{ include "fork-router.authEnv" . }}
{{- include "fork-router.redisEnv" . }}
{{- include "fork-router.turnEnv" . }}
{{- with .Values.webhooks }}
{{- if .existingSecret }}
{{ include "fork-router.fromSecret" (list "ROUTER_WEBHOOKS__URLS" .existingSecret .urlsKey false) }}
{{ include "fork-router.fromSecret" (list "ROUTER_WEBHOOKS__SECRET" .existingSecret .secretKey false) }}
{{- end }}
{{- end }}
{{- range $setting, $secret := .Values.secretSettings }}
{{ include "fork-router.fromSecret" (list (printf "ROUTER_%s" ($setting | upper | replace "." "__")) $secret.name $secret.key false) }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}
