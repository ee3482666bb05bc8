{{/* The router's settings: the file of the ConfigMap, and the environment, which holds what is secret or of one pod. */}}

{{- define "fork-router.config" -}}
{{- $admin := dict "port" (int .Values.ports.admin) "metrics_without_token" .Values.metrics.withoutToken -}}
{{- if ne .Values.media.exposure "hostNetwork" -}}
{{- /* The kubelet's probes come from outside of the pod, port-forward from inside. */ -}}
{{- $_ := set $admin "host" "0.0.0.0" -}}
{{- end -}}
{{- $media := dict "workers" (int .Values.media.workers) "udp_port" (include "fork-router.firstUdpPort" . | int) -}}
{{- with .Values.media.stunServers -}}
{{- $_ := set $media "stun_servers" . -}}
{{- end -}}
{{- $drain := dict "deadline_s" (int .Values.drain.timeoutSeconds) -}}
{{- $decided := dict "public" (dict "port" (int .Values.ports.public)) "admin" $admin "media" $media "drain" $drain -}}
{{- toYaml (mergeOverwrite $decided (deepCopy .Values.config)) -}}
{{- end -}}

{{- define "fork-router.redisEnv" -}}
{{- $redis := .Values.externalRedis -}}
{{- if and $redis.existingSecret $redis.urlKey -}}
- name: ROUTER_REDIS__URL
  valueFrom:
    secretKeyRef:
      name: {{ $redis.existingSecret }}
      key: {{ $redis.urlKey }}
{{- else if $redis.url -}}
{{- with $redis.existingSecret -}}
- name: REDIS_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ . }}
      key: {{ $redis.passwordKey }}
{{ end -}}
- name: ROUTER_REDIS__URL
  value: {{ $redis.url | quote }}
{{- end -}}
{{- end -}}

{{- define "fork-router.turnEnv" -}}
{{- $turn := .Values.turn -}}
{{- if $turn.secretKey -}}
- name: ROUTER_TURN__URLS
  value: {{ join "," $turn.uris | quote }}
- name: ROUTER_TURN__SECRET
  valueFrom:
    secretKeyRef:
      name: {{ $turn.existingSecret }}
      key: {{ $turn.secretKey }}
{{- else -}}
{{- $server := dict "urls" $turn.uris -}}
{{- with $turn.existingSecret -}}
- name: TURN_USERNAME
  valueFrom:
    secretKeyRef:
      name: {{ . }}
      key: {{ $turn.usernameKey }}
- name: TURN_CREDENTIAL
  valueFrom:
    secretKeyRef:
      name: {{ . }}
      key: {{ $turn.credentialKey }}
{{ $_ := set $server "username" "$(TURN_USERNAME)" -}}
{{- $_ := set $server "credential" "$(TURN_CREDENTIAL)" -}}
{{- end -}}
- name: ROUTER_MEDIA__ICE_SERVERS
  value: {{ list $server | toJson | quote }}
{{- end -}}
{{- end -}}

{{/* Of the router's container. Kubernetes puts values for $(NAME) when NAME stands further up. */}}
{{- define "fork-router.env" -}}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: POD_IP
  valueFrom:
    fieldRef:
      fieldPath: status.podIP
- name: HOST_IP
  valueFrom:
    fieldRef:
      fieldPath: status.hostIP
- name: ROUTER_CONFIG
  value: {{ include "fork-router.arranges" . | empty | ternary "/etc/fork-router/config/router.yaml" "/run/fork-router/router.yaml" }}
- name: ROUTER_AUTH__SECRETS
  valueFrom:
    secretKeyRef:
      name: {{ include "fork-router.authSecret" . }}
      key: {{ .Values.auth.secretsKey }}
- name: ROUTER_ADMIN__TOKEN
  valueFrom:
    secretKeyRef:
      name: {{ include "fork-router.adminSecret" . }}
      key: {{ .Values.auth.adminTokenKey }}
{{- if and (eq .Values.media.exposure "hostNetwork") (not (dig "admin" "host" "" .Values.config)) }}
- name: ROUTER_ADMIN__HOST
  value: $(POD_IP)
{{- end }}
{{- with get (dict "hostIP" "$(HOST_IP)" "podIP" "$(POD_IP)" "fixed" (join "," .Values.media.announcedAddresses)) (include "fork-router.discovery" .) }}
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
{{- with .Values.auth.keyFile }}
{{- if .existingSecret }}
- name: ROUTER_AUTH__KEY_FILE
  value: /etc/fork-router/keys/{{ .key }}
{{- end }}
{{- end }}
{{- with .Values.auth.tokenFile }}
{{- if .existingSecret }}
- name: ROUTER_ADMIN__TOKEN_FILE
  value: /etc/fork-router/tokens/{{ .key }}
{{- end }}
{{- end }}
{{- with .Values.webhooks }}
{{- if .existingSecret }}
- name: ROUTER_WEBHOOKS__URLS
  valueFrom:
    secretKeyRef:
      name: {{ .existingSecret }}
      key: {{ .urlsKey }}
- name: ROUTER_WEBHOOKS__SECRET
  valueFrom:
    secretKeyRef:
      name: {{ .existingSecret }}
      key: {{ .secretKey }}
{{- end }}
{{- end }}
{{- with include "fork-router.redisEnv" . }}
{{ . }}
{{- end }}
{{- if .Values.turn.uris }}
{{ include "fork-router.turnEnv" . }}
{{- end }}
{{- range $setting, $secret := .Values.secretSettings }}
- name: ROUTER_{{ $setting | upper | replace "." "__" }}
  valueFrom:
    secretKeyRef:
      name: {{ $secret.name }}
      key: {{ $secret.key }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}
