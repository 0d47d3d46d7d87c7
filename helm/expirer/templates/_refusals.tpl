{{/*
What no schema can say, or not in a sentence. Every refusal begins with the
value it is about.
*/}}
{{- define "expirer.refusals" -}}
{{- $values := .Values }}
{{- $nats := .Values.nats }}
{{- if not .Values.image.repository }}
{{- fail "image.repository: expected where you pushed the image; it is published nowhere (README, \"The image\")" }}
{{- end }}
{{- if contains "@" $nats.url }}
{{- fail "nats.url: it holds a user or password, which would stand in the pod's manifest; put them into a Secret and name it in nats.userPassword.existingSecret" }}
{{- end }}
{{- $identities := list }}
{{- range $kind := list "creds" "nkey" "userPassword" "token" }}
{{- if (index $nats $kind).existingSecret }}
{{- $identities = append $identities (printf "nats.%s.existingSecret" $kind) }}
{{- end }}
{{- end }}
{{- if gt (len $identities) 1 }}
{{- fail (printf "%s: expected one of them, since a connection has one identity" (join ", " $identities)) }}
{{- end }}
{{- if ne (empty $nats.tls.certKey) (empty $nats.tls.keyKey) }}
{{- fail "nats.tls.certKey, nats.tls.keyKey: expected both or none, a certificate is of no use without its key" }}
{{- end }}
{{- if and $nats.tls.certKey (not $nats.tls.existingSecret) }}
{{- fail "nats.tls.certKey: expected nats.tls.existingSecret too, the Secret that holds it" }}
{{- end }}
{{- if and $nats.tls.existingSecret (not $nats.tls.caKey) (not $nats.tls.certKey) }}
{{- fail "nats.tls.existingSecret: expected caKey, or certKey and keyKey, since nothing would be taken out of it" }}
{{- end }}
{{- range $key := list "url" "creds" "nkey" "user" "password" "token" "tls" "stan" }}
{{- if hasKey (default dict $values.config.nats) $key }}
{{- fail (printf "config.nats.%s: the connection is set by the values under nats, and a secret has no place in a ConfigMap" $key) }}
{{- end }}
{{- end }}
{{- if and $nats.stan.client (not $nats.stan.cluster) }}
{{- fail "nats.stan.client: expected nats.stan.cluster too, the streaming cluster in which it is ours" }}
{{- end }}
{{- if and (not $nats.stan.cluster) (regexMatch "\"(source|via)\":\"stan\"" (toJson $values.config.rules)) }}
{{- fail "nats.stan.cluster: expected the id of the streaming cluster that a rule in config.rules reads or publishes over" }}
{{- end }}
{{- if hasKey (default dict $values.config.store) "path" }}
{{- fail "config.store.path: the chart mounts the volume at /var/lib/expirer; leave it out" }}
{{- end }}
{{- if hasKey $values.config "status_file" }}
{{- fail "config.status_file: the probes read it in the store; leave it out" }}
{{- end }}
{{- if hasKey $values.config "api" }}
{{- fail "config.api: it is not in this release of expirer" }}
{{- end }}
{{- if hasKey $values.config "metrics" }}
{{- fail "config.metrics: it is set by metrics.enabled and metrics.port, since the pod has to name its port" }}
{{- end }}
{{- range $kind := list "podMonitor" "prometheusRule" "dashboard" }}
{{- if and (index $values.metrics $kind).enabled (not $values.metrics.enabled) }}
{{- fail (printf "metrics.%s.enabled: expected metrics.enabled too, without which there are no metrics" $kind) }}
{{- end }}
{{- end }}
{{- if and .Values.start.fireOverdue (ne .Values.start.adopt "rebuild") }}
{{- fail "start.fireOverdue: expected start.adopt: rebuild beside it, without which it decides nothing" }}
{{- end }}
{{- range $where := list "commonLabels" "podLabels" }}
{{- range $label := list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component" "app.kubernetes.io/version" "app.kubernetes.io/managed-by" "helm.sh/chart" }}
{{- if hasKey (index $values $where) $label }}
{{- fail (printf "%s: the chart sets %s itself" $where $label) }}
{{- end }}
{{- end }}
{{- end }}
{{- if hasKey .Values.podAnnotations "checksum/config" }}
{{- fail "podAnnotations: the chart sets checksum/config itself" }}
{{- end }}
{{- $set := list "EXPIRER_CONFIG" "EXPIRER_STORE" "NATS_URL" }}
{{- $variables := dict "creds" (list "NATS_CREDS") "nkey" (list "NATS_NKEY") "userPassword" (list "NATS_USER" "NATS_PASSWORD") "token" (list "NATS_TOKEN") "tls" (list "NATS_CA" "NATS_CERT" "NATS_KEY") }}
{{- range $kind, $names := $variables }}
{{- if (index $nats $kind).existingSecret }}
{{- $set = concat $set $names }}
{{- end }}
{{- end }}
{{- if $nats.stan.cluster }}
{{- $set = concat $set (list "NATS_CLUSTER_ID" "NATS_CLIENT_ID") }}
{{- end }}
{{- range .Values.extraEnv }}
{{- if has .name $set }}
{{- fail (printf "extraEnv: the chart sets %s itself; use the value that is for it" .name) }}
{{- end }}
{{- end }}
{{- end }}
