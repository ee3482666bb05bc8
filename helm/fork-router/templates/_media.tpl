{{/*
What follows from media.exposure. A client's packets must reach the one pod that has its call, so every pod has an
address and a port of its own in each mode, and binds the very port that clients are told.
*/}}

{{/* "true" where each pod has a Service of its own, found by the pod's index; "" elsewhere. */}}
{{- define "fork-router.perPod" -}}
{{- if has .Values.media.exposure (list "nodePortPerPod" "loadBalancerPerPod") -}}true{{- end -}}
{{- end -}}

{{/* "true" where a pod occupies its port on the node. */}}
{{- define "fork-router.onHost" -}}
{{- if has .Values.media.exposure (list "hostPort" "hostNetwork") -}}true{{- end -}}
{{- end -}}

{{- define "fork-router.kind" -}}
{{- if include "fork-router.perPod" . -}}StatefulSet{{- else -}}Deployment{{- end -}}
{{- end -}}

{{/* Where announced addresses come from, with auto and the explicit lists resolved. */}}
{{- define "fork-router.discovery" -}}
{{- $media := .Values.media -}}
{{- if $media.announcedAddresses -}}fixed
{{- else if and (eq $media.exposure "loadBalancerPerPod") $media.loadBalancer.addresses -}}fixedPerPod
{{- else if ne $media.discovery "auto" -}}{{ $media.discovery }}
{{- else -}}
{{- get (dict "loadBalancerPerPod" "service" "turnOnly" "podIP") $media.exposure | default "hostIP" -}}
{{- end -}}
{{- end -}}

{{/* "true" when port or address are known only once the pod has its place: an init container writes the settings. */}}
{{- define "fork-router.arranges" -}}
{{- $discovery := include "fork-router.discovery" . -}}
{{- if or (eq .Values.media.exposure "nodePortPerPod") (has $discovery (list "node" "service" "fixedPerPod")) -}}true{{- end -}}
{{- end -}}

{{/* "true" when the init container asks the Kubernetes API. */}}
{{- define "fork-router.asksApi" -}}
{{- if has (include "fork-router.discovery" .) (list "node" "service") -}}true{{- end -}}
{{- end -}}

{{/* The most pods there can be. */}}
{{- define "fork-router.maxPods" -}}
{{- if or .Values.autoscaling.enabled .Values.keda.enabled -}}
{{- max .Values.autoscaling.maxReplicas 1 -}}
{{- else -}}
{{- int .Values.replicaCount -}}
{{- end -}}
{{- end -}}

{{/* So many Services are made where each pod has its own. */}}
{{- define "fork-router.podServices" -}}
{{- max (include "fork-router.maxPods" . | int) .Values.media.services -}}
{{- end -}}

{{- define "fork-router.firstUdpPort" -}}
{{- if eq .Values.media.exposure "nodePortPerPod" -}}{{ int .Values.media.nodePort.base }}{{- else -}}{{ int .Values.media.udpPort }}{{- end -}}
{{- end -}}

{{- define "fork-router.lowestPort" -}}
{{- min .Values.ports.public .Values.ports.admin (include "fork-router.firstUdpPort" . | int) -}}
{{- end -}}

{{/* Seconds: sleep, drain and margin together. */}}
{{- define "fork-router.gracePeriod" -}}
{{- $needed := add .Values.drain.preStopSeconds .Values.drain.timeoutSeconds .Values.drain.marginSeconds -}}
{{- .Values.terminationGracePeriodSeconds | default $needed | int -}}
{{- end -}}
