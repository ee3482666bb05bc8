{{/* Mixes that cannot work are refused here, with a sentence each. Included by the workload. */}}

{{- define "fork-router.check" -}}
{{- $media := .Values.media -}}
{{- $mode := $media.exposure -}}
{{- $discovery := include "fork-router.discovery" . -}}
{{- $pods := include "fork-router.maxPods" . | int -}}
{{- $services := include "fork-router.podServices" . | int -}}
{{- $workers := int $media.workers -}}

{{- if and .Values.autoscaling.enabled .Values.keda.enabled -}}
{{- fail "autoscaling.enabled and keda.enabled exclude each other: both would set the number of pods" -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled (not .Values.autoscaling.loadMetric) (not .Values.autoscaling.targetCPUPercent) -}}
{{- fail "autoscaling.enabled needs autoscaling.loadMetric or autoscaling.targetCPUPercent" -}}
{{- end -}}
{{- if gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas) -}}
{{- fail "autoscaling.minReplicas is above autoscaling.maxReplicas" -}}
{{- end -}}

{{- $needed := add .Values.drain.preStopSeconds .Values.drain.timeoutSeconds .Values.drain.marginSeconds | int -}}
{{- if lt (include "fork-router.gracePeriod" . | int) $needed -}}
{{- fail (printf "terminationGracePeriodSeconds is less than drain.preStopSeconds + drain.timeoutSeconds + drain.marginSeconds = %d: pods would be killed before their calls may end" $needed) -}}
{{- end -}}

{{- if and (has $discovery (list "stun" "interfaces")) (ne $mode "hostNetwork") -}}
{{- fail (printf "media.discovery: %s tells an address that leads to the pod only with media.exposure: hostNetwork, not with %s" $discovery $mode) -}}
{{- end -}}
{{- if and (eq $discovery "stun") (not $media.stunServers) -}}
{{- fail "media.discovery: stun needs media.stunServers" -}}
{{- end -}}
{{- if and $media.stunServers (ne $mode "hostNetwork") -}}
{{- fail (printf "media.stunServers tell a port that leads to the pod only with media.exposure: hostNetwork, not with %s" $mode) -}}
{{- end -}}
{{- if and (eq $discovery "service") (ne $mode "loadBalancerPerPod") -}}
{{- fail (printf "media.discovery: service needs media.exposure: loadBalancerPerPod, not %s" $mode) -}}
{{- end -}}
{{- if and (eq $mode "loadBalancerPerPod") (not (has $discovery (list "service" "fixed" "fixedPerPod"))) -}}
{{- fail (printf "media.discovery: %s tells an address that is not the load balancer's: leave it at auto, or set media.loadBalancer.addresses" $discovery) -}}
{{- end -}}
{{- if and (eq $mode "turnOnly") (not (has $discovery (list "podIP" "fixed"))) -}}
{{- fail (printf "media.discovery: %s with media.exposure: turnOnly: only the pod's own address leads to it" $discovery) -}}
{{- end -}}
{{- if and (eq $discovery "podIP") (not (has $mode (list "turnOnly" "hostNetwork"))) -}}
{{- fail (printf "media.discovery: podIP with media.exposure: %s: clients outside the cluster cannot reach a pod's address" $mode) -}}
{{- end -}}
{{- if and (eq $discovery "fixed") (gt $pods 1) (ne $mode "nodePortPerPod") -}}
{{- fail "media.announcedAddresses would be told by every pod: use them with one pod, with nodePortPerPod, or as media.loadBalancer.addresses, one for each" -}}
{{- end -}}
{{- if and (eq $discovery "fixedPerPod") (lt (len $media.loadBalancer.addresses) $services) -}}
{{- fail (printf "media.loadBalancer.addresses has %d, but there can be %d pods" (len $media.loadBalancer.addresses) $services) -}}
{{- end -}}

{{- $last := add (include "fork-router.firstUdpPort" . | int) $workers -1 | int -}}
{{- if eq $mode "nodePortPerPod" -}}
{{- $last = add $media.nodePort.base (mul $services $workers) -1 | int -}}
{{- end -}}
{{- if gt $last 65535 -}}
{{- fail (printf "the last UDP port would be %d: there are 65535" $last) -}}
{{- end -}}
{{- $lowest := include "fork-router.lowestPort" . | int -}}
{{- if and (eq $mode "hostNetwork") (lt $lowest 1024) (ne (dig "runAsUser" 0 .Values.podSecurityContext | int) 0) -}}
{{- fail (printf "port %d: on the node's network only root may bind ports below 1024; take another port, or media.exposure: hostPort" $lowest) -}}
{{- end -}}

{{- if and .Values.ingress.enabled (not .Values.ingress.host) -}}
{{- fail "ingress.enabled needs ingress.host" -}}
{{- end -}}
{{- if and .Values.ingress.perPod (not (include "fork-router.perPod" .)) -}}
{{- fail (printf "ingress.perPod needs pods with names that last: media.exposure nodePortPerPod or loadBalancerPerPod, not %s" $mode) -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- fail "httpRoute.enabled needs httpRoute.parentRefs" -}}
{{- end -}}
{{- if and .Values.turn.existingSecret (not .Values.turn.uris) -}}
{{- fail "turn.existingSecret needs turn.uris" -}}
{{- end -}}
{{- if and .Values.turn.secretKey (not .Values.turn.existingSecret) -}}
{{- fail "turn.secretKey needs turn.existingSecret" -}}
{{- end -}}
{{- if and .Values.turn.uris (not .Values.turn.secretKey) (dig "media" "ice_servers" "" .Values.config) -}}
{{- fail "turn.uris and config.media.ice_servers exclude each other: the first would hide the second" -}}
{{- end -}}
{{- if and .Values.turn.uris (not .Values.turn.existingSecret) -}}
{{- fail "turn.uris needs turn.existingSecret: browsers refuse a TURN server without user name and credential" -}}
{{- end -}}
{{- if .Values.turn.stunner.enabled -}}
{{- if ne $mode "turnOnly" -}}
{{- fail "turn.stunner.enabled needs media.exposure: turnOnly" -}}
{{- end -}}
{{- if not .Values.turn.stunner.gateway -}}
{{- fail "turn.stunner.enabled needs turn.stunner.gateway" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.externalRedis.urlKey (not .Values.externalRedis.existingSecret) -}}
{{- fail "externalRedis.urlKey needs externalRedis.existingSecret" -}}
{{- end -}}
{{- $redis := .Values.externalRedis -}}
{{- $asks := contains "$(REDIS_PASSWORD)" $redis.url -}}
{{- if and $redis.existingSecret (not $redis.urlKey) (not $asks) -}}
{{- fail "externalRedis.existingSecret would not be used: set externalRedis.urlKey, or put $(REDIS_PASSWORD) into externalRedis.url" -}}
{{- end -}}
{{- if and $asks (not $redis.existingSecret) -}}
{{- fail "externalRedis.url has $(REDIS_PASSWORD): it needs externalRedis.existingSecret" -}}
{{- end -}}
{{- if and (regexMatch "://[^/@]*:[^/@]+@" $redis.url) (not $asks) -}}
{{- fail "externalRedis.url has a password, which everybody could read in the workload: put it into externalRedis.existingSecret and $(REDIS_PASSWORD) in its place" -}}
{{- end -}}
{{- range $place, $labels := dict "commonLabels" .Values.commonLabels "podLabels" .Values.podLabels -}}
{{- range $own := list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/version" "app.kubernetes.io/managed-by" "helm.sh/chart" -}}
{{- if hasKey $labels $own -}}
{{- fail (printf "%s may not have %s: the chart sets it" $place $own) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.existingConfigMap .Values.config -}}
{{- fail "existingConfigMap and config exclude each other" -}}
{{- end -}}
{{- end -}}
