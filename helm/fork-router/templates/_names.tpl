{{/* Names, labels and the image: what every object needs. */}}

{{- define "fork-router.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* Short enough for the suffixes that Services and pods add. */}}
{{- define "fork-router.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 46 | trimSuffix "-" -}}
{{- else if contains (include "fork-router.name" .) .Release.Name -}}
{{- .Release.Name | trunc 46 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "fork-router.name" .) | trunc 46 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "fork-router.selectorLabels" -}}
app.kubernetes.io/name: {{ include "fork-router.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "fork-router.labels" -}}
{{ include "fork-router.podLabels" . }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* Without the chart's version: one in which the pod is the same ends no calls. */}}
{{- define "fork-router.podLabels" -}}
{{ include "fork-router.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "fork-router.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "fork-router.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "fork-router.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "fork-router.authSecret" -}}
{{- default (printf "%s-auth" (include "fork-router.fullname" .)) .Values.auth.existingSecret -}}
{{- end -}}

{{- define "fork-router.adminSecret" -}}
{{- default (include "fork-router.authSecret" .) .Values.auth.adminExistingSecret -}}
{{- end -}}
