{{- define "limelight.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "limelight.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains (include "limelight.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "limelight.name" .) | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* What selects the pods of a component; never changed by an upgrade. Takes (dict "root" $ "component" "exporter"). */}}
{{- define "limelight.selector" -}}
app.kubernetes.io/name: {{ include "limelight.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "limelight.labels" -}}
{{ include "limelight.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: limelight
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Of pods: without the version, so that a new chart of the same image restarts nothing. Takes also "more". */}}
{{- define "limelight.podLabels" -}}
{{- mergeOverwrite (deepCopy .root.Values.commonLabels) (.more | default dict) (include "limelight.selector" . | fromYaml) | toYaml }}
{{- end }}

{{- define "limelight.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "limelight.fullname" .) .Values.serviceAccount.name }}
{{- else -}}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* Takes (dict "root" $ "image" of the component, "of" its name for an error); one that names a repository shares no tag with ours. */}}
{{- define "limelight.image" -}}
{{- $image := .root.Values.image -}}
{{- if (.image | default dict).repository -}}
{{- $image = .image -}}
{{- if not (or $image.tag $image.digest) -}}
{{- fail (printf "%s: image.repository is given, so image.tag or image.digest must be" .of) -}}
{{- end -}}
{{- end -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest }}
{{- else -}}
{{- printf "%s:%s" $image.repository ($image.tag | default .root.Chart.AppVersion) }}
{{- end }}
{{- end }}

{{- define "limelight.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "limelight.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* LIMELIGHT_REDIS_URL. Takes (dict "root" $ "redis" of the component). */}}
{{- define "limelight.redisUrl" -}}
{{- $redis := mergeOverwrite (deepCopy .root.Values.redis) (.redis | default dict) -}}
- name: LIMELIGHT_REDIS_URL
{{- if $redis.urlSecret.name }}
  valueFrom:
    secretKeyRef: {name: {{ $redis.urlSecret.name }}, key: {{ $redis.urlSecret.key }}}
{{- else if $redis.passwordSecret.name }}
  value: {{ printf "%s%spassword_file=/etc/limelight/redis/password" $redis.url (contains "?" $redis.url | ternary "&" "?") | quote }}
{{- else }}
  value: {{ $redis.url | quote }}
{{- end }}
{{- end }}

{{/* The volume of the password, or nothing. */}}
{{- define "limelight.passwordVolume" -}}
{{- $redis := mergeOverwrite (deepCopy .root.Values.redis) (.redis | default dict) -}}
{{- if and $redis.passwordSecret.name (not $redis.urlSecret.name) -}}
- name: redis-password
  secret:
    secretName: {{ $redis.passwordSecret.name }}
    defaultMode: 0440
    items: [{key: {{ $redis.passwordSecret.key }}, path: password}]
{{- end }}
{{- end }}

{{- define "limelight.scheduling" -}}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Replicas on different nodes where there are any. Takes the same as the selector. */}}
{{- define "limelight.spread" -}}
- maxSkew: 1
  topologyKey: kubernetes.io/hostname
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels: {{- include "limelight.selector" . | nindent 6 }}
{{- end }}
