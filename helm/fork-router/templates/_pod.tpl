{{/* The pod, the same for Deployment and StatefulSet. */}}

{{- define "fork-router.ports" -}}
- name: public
  containerPort: {{ .Values.ports.public }}
  protocol: TCP
- name: admin
  containerPort: {{ .Values.ports.admin }}
  protocol: TCP
{{- $first := include "fork-router.firstUdpPort" . | int }}
{{- if ne .Values.media.exposure "nodePortPerPod" }}
{{- range $worker := until (int .Values.media.workers) }}
- name: media-{{ $worker }}
  containerPort: {{ add $first $worker }}
  {{- if eq $.Values.media.exposure "hostPort" }}
  hostPort: {{ add $first $worker }}
  {{- end }}
  protocol: UDP
{{- end }}
{{- end }}
{{- end -}}

{{/* Writes the settings of this very pod: its port by its index, its address from the node or the load balancer. */}}
{{- define "fork-router.arrangement" -}}
- name: arrange
  image: {{ include "fork-router.image" . }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  command: [python, /etc/fork-router/scripts/arrange.py]
  env:
    - name: SETTINGS
      value: /etc/fork-router/config/router.yaml
    - name: ARRANGED
      value: /run/fork-router/router.yaml
    - name: DISCOVERY
      value: {{ include "fork-router.discovery" . }}
    {{- if include "fork-router.perPod" . }}
    - name: POD_INDEX
      valueFrom:
        fieldRef:
          fieldPath: metadata.labels['apps.kubernetes.io/pod-index']
    {{- end }}
    {{- if eq .Values.media.exposure "nodePortPerPod" }}
    - name: FIRST_NODE_PORT
      value: {{ .Values.media.nodePort.base | quote }}
    - name: WORKERS
      value: {{ .Values.media.workers | quote }}
    {{- end }}
    - name: NODE_NAME
      valueFrom:
        fieldRef:
          fieldPath: spec.nodeName
    - name: NAMESPACE
      valueFrom:
        fieldRef:
          fieldPath: metadata.namespace
    - name: NODE_ANNOTATION
      value: {{ .Values.media.nodeAnnotation }}
    - name: SERVICE_PREFIX
      value: {{ include "fork-router.fullname" . }}-media-
    - name: ADDRESSES
      value: {{ join "," .Values.media.loadBalancer.addresses | quote }}
    - name: TIMEOUT_S
      value: {{ .Values.media.discoveryTimeoutSeconds | quote }}
  securityContext: {{- toYaml .Values.securityContext | nindent 4 }}
  resources:
    requests:
      cpu: 50m
      memory: 64Mi
    limits:
      memory: 128Mi
  volumeMounts:
    - name: config
      mountPath: /etc/fork-router/config
      readOnly: true
    - name: scripts
      mountPath: /etc/fork-router/scripts
      readOnly: true
    - name: arranged
      mountPath: /run/fork-router
    {{- if include "fork-router.asksApi" . }}
    - name: api
      mountPath: /var/run/secrets/fork-router
      readOnly: true
    {{- end }}
{{- end -}}

{{- define "fork-router.container" -}}
- name: router
  image: {{ include "fork-router.image" . }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  args: [serve]
  env: {{- include "fork-router.env" . | nindent 4 }}
  {{- with .Values.extraEnvFrom }}
  envFrom: {{- toYaml . | nindent 4 }}
  {{- end }}
  ports: {{- include "fork-router.ports" . | nindent 4 }}
  startupProbe:
    httpGet:
      path: /healthz
      port: admin
    periodSeconds: {{ .Values.probes.startup.periodSeconds }}
    failureThreshold: {{ .Values.probes.startup.failureThreshold }}
  livenessProbe:
    httpGet:
      path: /healthz
      port: admin
    periodSeconds: {{ .Values.probes.liveness.periodSeconds }}
    failureThreshold: {{ .Values.probes.liveness.failureThreshold }}
    timeoutSeconds: {{ .Values.probes.liveness.timeoutSeconds }}
  readinessProbe:
    httpGet:
      path: /readyz
      port: admin
    periodSeconds: {{ .Values.probes.readiness.periodSeconds }}
    failureThreshold: {{ .Values.probes.readiness.failureThreshold }}
    timeoutSeconds: {{ .Values.probes.readiness.timeoutSeconds }}
  {{- if .Values.drain.preStopSeconds }}
  lifecycle:
    preStop:
      sleep:
        seconds: {{ .Values.drain.preStopSeconds }}
  {{- end }}
  resources: {{- toYaml .Values.resources | nindent 4 }}
  securityContext: {{- toYaml .Values.securityContext | nindent 4 }}
  volumeMounts:
    - name: config
      mountPath: /etc/fork-router/config
      readOnly: true
    - name: tmp
      mountPath: /tmp
    {{- if include "fork-router.arranges" . }}
    - name: arranged
      mountPath: /run/fork-router
      readOnly: true
    {{- end }}
    {{- if .Values.externalRedis.tlsExistingSecret }}
    - name: redis-tls
      mountPath: /etc/fork-router/redis-tls
      readOnly: true
    {{- end }}
    {{- if .Values.auth.keyFile.existingSecret }}
    - name: keys
      mountPath: /etc/fork-router/keys
      readOnly: true
    {{- end }}
    {{- if .Values.auth.tokenFile.existingSecret }}
    - name: tokens
      mountPath: /etc/fork-router/tokens
      readOnly: true
    {{- end }}
    {{- with .Values.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{- define "fork-router.volumes" -}}
- name: config
  configMap:
    name: {{ .Values.existingConfigMap | default (include "fork-router.fullname" .) }}
    items:
      - key: router.yaml
        path: router.yaml
- name: tmp
  emptyDir: {}
{{- if include "fork-router.arranges" . }}
- name: scripts
  configMap:
    name: {{ include "fork-router.fullname" . }}-scripts
- name: arranged
  emptyDir: {}
{{- end }}
{{- if include "fork-router.asksApi" . }}
- name: api
  projected:
    sources:
      - serviceAccountToken:
          path: token
          expirationSeconds: 3600
      - configMap:
          name: kube-root-ca.crt
          items:
            - key: ca.crt
              path: ca.crt
{{- end }}
{{- with .Values.externalRedis.tlsExistingSecret }}
- name: redis-tls
  secret:
    secretName: {{ . }}
    items:
      - key: ca.crt
        path: ca.crt
{{- end }}
{{- with .Values.auth.keyFile.existingSecret }}
- name: keys
  secret:
    secretName: {{ . }}
{{- end }}
{{- with .Values.auth.tokenFile.existingSecret }}
- name: tokens
  secret:
    secretName: {{ . }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Ports below 1024 are for root, unless this sysctl says otherwise. It is a safe one, which every cluster allows. */}}
{{- define "fork-router.podSecurityContext" -}}
{{- $context := deepCopy .Values.podSecurityContext -}}
{{- $lowest := include "fork-router.lowestPort" . | int -}}
{{- if and (lt $lowest 1024) (ne .Values.media.exposure "hostNetwork") (not (hasKey $context "sysctls")) -}}
{{- $_ := set $context "sysctls" (list (dict "name" "net.ipv4.ip_unprivileged_port_start" "value" (toString $lowest))) -}}
{{- end -}}
{{- toYaml $context -}}
{{- end -}}

{{- define "fork-router.affinity" -}}
{{- $affinity := deepCopy .Values.affinity -}}
{{- if and (include "fork-router.onHost" .) (not (hasKey $affinity "podAntiAffinity")) -}}
{{- $selector := dict "matchLabels" (include "fork-router.selectorLabels" . | fromYaml) -}}
{{- $term := dict "topologyKey" "kubernetes.io/hostname" "labelSelector" $selector -}}
{{- $_ := set $affinity "podAntiAffinity" (dict "requiredDuringSchedulingIgnoredDuringExecution" (list $term)) -}}
{{- end -}}
{{- with $affinity }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{- define "fork-router.pod" -}}
metadata:
  labels:
    {{- include "fork-router.podLabels" . | nindent 4 }}
    {{- range $name, $value := .Values.podLabels }}
    {{- if not (kindIs "invalid" $value) }}
    {{ $name }}: {{ $value | quote }}
    {{- end }}
    {{- end }}
  annotations:
    checksum/config: {{ toYaml .Values.config | sha256sum }}
    {{- if include "fork-router.arranges" . }}
    checksum/scripts: {{ .Files.Get "files/arrange.py" | sha256sum }}
    {{- end }}
    {{- range $name, $value := .Values.podAnnotations }}
    {{- if not (kindIs "invalid" $value) }}
    {{ $name }}: {{ $value | quote }}
    {{- end }}
    {{- end }}
spec:
  serviceAccountName: {{ include "fork-router.serviceAccountName" . }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- if eq .Values.media.exposure "hostNetwork" }}
  hostNetwork: true
  dnsPolicy: ClusterFirstWithHostNet
  {{- end }}
  terminationGracePeriodSeconds: {{ include "fork-router.gracePeriod" . }}
  securityContext: {{- include "fork-router.podSecurityContext" . | nindent 4 }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if include "fork-router.arranges" . }}
  initContainers: {{- include "fork-router.arrangement" . | nindent 4 }}
  {{- end }}
  containers: {{- include "fork-router.container" . | nindent 4 }}
  volumes: {{- include "fork-router.volumes" . | nindent 4 }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with include "fork-router.affinity" . }}
  affinity: {{- . | nindent 4 }}
  {{- end }}
  topologySpreadConstraints:
    {{- if .Values.topologySpreadConstraints }}
    {{- toYaml .Values.topologySpreadConstraints | nindent 4 }}
    {{- else }}
    - maxSkew: 1
      topologyKey: topology.kubernetes.io/zone
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels: {{- include "fork-router.selectorLabels" . | nindent 10 }}
    {{- end }}
{{- end -}}
