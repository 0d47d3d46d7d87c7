{{/* Names. 52: the StatefulSet's name and a hash have to fit into a label. */}}
{{- define "expirer.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- define "expirer.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride }}
{{- else }}
{{- $name := include "expirer.name" . }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "expirer.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "expirer.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "expirer.image" -}}
{{- with .Values.image }}
{{- if .digest }}
{{- printf "%s@%s" .repository .digest }}
{{- else }}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) }}
{{- end }}
{{- end }}
{{- end }}

{{/* What a selector holds cannot be changed: no version, no chart, no label of the user's. */}}
{{- define "expirer.selector" -}}
app.kubernetes.io/name: {{ include "expirer.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "expirer.labels" -}}
{{ include "expirer.selector" . }}
app.kubernetes.io/version: {{ default .Chart.AppVersion .Values.image.tag | trunc 63 | trimAll "-_." | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Without the chart's version, which alone should not restart anything. */}}
{{- define "expirer.podLabels" -}}
{{ include "expirer.selector" . }}
app.kubernetes.io/component: service
{{- with merge (dict) .Values.podLabels .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* JSON, which is YAML: so every text is quoted, as expirer wants it where ${ is in it. */}}
{{- define "expirer.config" -}}
{{- $config := .Values.config }}
{{- if .Values.metrics.enabled }}
{{- $config = merge (dict "metrics" (dict "listen" (printf ":%v" .Values.metrics.port))) $config }}
{{- end }}
{{- mustToPrettyJson $config }}
{{- end }}

{{/*
The variables that lead to config, store and NATS. In the environment and not in
flags or the config file, so that `kubectl exec … expirer ls` finds them too.
*/}}
{{- define "expirer.env" -}}
- name: EXPIRER_CONFIG
  value: /etc/expirer/config/expirer.yaml
- name: EXPIRER_STORE
  value: /var/lib/expirer
- name: NATS_URL
  value: {{ .Values.nats.url | quote }}
{{- with .Values.nats.creds }}
{{- if .existingSecret }}
- name: NATS_CREDS
  value: /etc/expirer/creds/nats.creds
{{- end }}
{{- end }}
{{- with .Values.nats.nkey }}
{{- if .existingSecret }}
- name: NATS_NKEY
  value: /etc/expirer/nkey/nats.nk
{{- end }}
{{- end }}
{{- with .Values.nats.userPassword }}
{{- if .existingSecret }}
- name: NATS_USER
  valueFrom: {secretKeyRef: {name: {{ .existingSecret | quote }}, key: {{ .userKey | quote }}}}
- name: NATS_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ .existingSecret | quote }}, key: {{ .passwordKey | quote }}}}
{{- end }}
{{- end }}
{{- with .Values.nats.token }}
{{- if .existingSecret }}
- name: NATS_TOKEN
  valueFrom: {secretKeyRef: {name: {{ .existingSecret | quote }}, key: {{ .key | quote }}}}
{{- end }}
{{- end }}
{{- with .Values.nats.tls }}
{{- if .existingSecret }}
{{- if .caKey }}
- name: NATS_CA
  value: /etc/expirer/tls/ca.crt
{{- end }}
{{- if .certKey }}
- name: NATS_CERT
  value: /etc/expirer/tls/tls.crt
- name: NATS_KEY
  value: /etc/expirer/tls/tls.key
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.nats.stan }}
{{- if .cluster }}
- name: NATS_CLUSTER_ID
  value: {{ .cluster | quote }}
{{- end }}
{{- if .client }}
- name: NATS_CLIENT_ID
  value: {{ .client | quote }}
{{- end }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Whole Secrets, never a subPath: kubelet exchanges only such files when a Secret changes. */}}
{{- define "expirer.mounts" -}}
- name: config
  mountPath: /etc/expirer/config
  readOnly: true
{{- range $name := list "creds" "nkey" "tls" }}
{{- if (index $.Values.nats $name).existingSecret }}
- name: {{ $name }}
  mountPath: /etc/expirer/{{ $name }}
  readOnly: true
{{- end }}
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* 0440: readable through fsGroup, by nobody else. */}}
{{- define "expirer.volumes" -}}
- name: config
  configMap:
    name: {{ include "expirer.fullname" . }}
{{- with .Values.nats.creds }}
{{- if .existingSecret }}
- name: creds
  secret:
    secretName: {{ .existingSecret | quote }}
    defaultMode: 0440
    items: [{key: {{ .key | quote }}, path: nats.creds}]
{{- end }}
{{- end }}
{{- with .Values.nats.nkey }}
{{- if .existingSecret }}
- name: nkey
  secret:
    secretName: {{ .existingSecret | quote }}
    defaultMode: 0440
    items: [{key: {{ .key | quote }}, path: nats.nk}]
{{- end }}
{{- end }}
{{- with .Values.nats.tls }}
{{- if .existingSecret }}
- name: tls
  secret:
    secretName: {{ .existingSecret | quote }}
    defaultMode: 0440
    items:
      {{- with .caKey }}
      - {key: {{ . | quote }}, path: ca.crt}
      {{- end }}
      {{- with .certKey }}
      - {key: {{ . | quote }}, path: tls.crt}
      {{- end }}
      {{- with .keyKey }}
      - {key: {{ . | quote }}, path: tls.key}
      {{- end }}
{{- end }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* What the service's pod and the test's have in common. */}}
{{- define "expirer.pod" -}}
serviceAccountName: {{ include "expirer.serviceAccount" . }}
automountServiceAccountToken: false
# Else each Service of the namespace adds variables, EXPIRER_… among them.
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "expirer.container" -}}
image: {{ include "expirer.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- with .Values.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
