{{- define "kandinsky.pod" -}}
serviceAccountName: {{ include "kandinsky.serviceAccountName" . }}
automountServiceAccountToken: false
# A service called kandinsky would set KANDINSKY_PORT.
enableServiceLinks: false
terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
securityContext: {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.resourceClaims }}
resourceClaims: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  {{- if .Values.topologySpreadConstraints }}
  {{- toYaml .Values.topologySpreadConstraints | nindent 2 }}
  {{- else }}
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "kandinsky.serverLabels" . | nindent 8 }}
  {{- end }}
{{- if .Values.tls.existingSecret }}
# Probes call the server by a name that its certificate holds.
hostAliases:
  - {ip: 127.0.0.1, hostnames: [{{ .Values.tls.serverName | quote }}]}
{{- end }}
{{- if .Values.models.download }}
initContainers:
  - name: download
    image: {{ include "kandinsky.image" $ }}
    imagePullPolicy: {{ $.Values.image.pullPolicy }}
    # Files that are complete are left as they are.
    command: [kandinsky, download, /models]
    args:
      {{- range $stage, $from := .Values.models.download }}
      - --stage={{ $stage }}={{ $from.repository }}@{{ $from.revision }}
      {{- end }}
    env:
      - {name: HF_HOME, value: /tmp/huggingface}
      {{- with $.Values.models.tokenSecret }}
      - name: HF_TOKEN
        valueFrom: {secretKeyRef: {name: {{ . }}, key: {{ $.Values.models.tokenSecretKey }}}}
      {{- end }}
    securityContext: {{- toYaml $.Values.securityContext | nindent 6 }}
    resources:
      requests: {cpu: 500m, memory: 512Mi}
      limits: {memory: 2Gi}
    volumeMounts:
      - {name: models, mountPath: /models}
      - {name: tmp, mountPath: /tmp}
{{- end }}
containers:
  - name: kandinsky
    image: {{ include "kandinsky.image" . }}
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    args: [serve]
    env: {{- include "kandinsky.env" . | nindent 6 }}
    ports:
      - {name: grpc, containerPort: 50051}
      {{- if .Values.metrics.enabled }}
      - {name: metrics, containerPort: 9464}
      {{- end }}
    # The process lives: a full queue or a model that loads restarts nothing.
    startupProbe: {{- include "kandinsky.probe" (dict "root" . "probe" .Values.probes.startup "service" "kandinsky_api.v1.ServerService") | nindent 6 }}
    livenessProbe: {{- include "kandinsky.probe" (dict "root" . "probe" .Values.probes.liveness "service" "kandinsky_api.v1.ServerService") | nindent 6 }}
    # The model is loaded and the server is not draining.
    readinessProbe: {{- include "kandinsky.probe" (dict "root" . "probe" .Values.probes.readiness "service" "") | nindent 6 }}
    lifecycle: {preStop: {sleep: {seconds: {{ .Values.preStopSeconds }}}}}
    securityContext: {{- toYaml .Values.securityContext | nindent 6 }}
    {{- $resources := deepCopy .Values.resources }}
    {{- with .Values.gpu }}
    {{- if .resource }}
    {{- $_ := set $resources "limits" (merge (dict .resource .count) (default dict $resources.limits)) }}
    {{- end }}
    {{- end }}
    resources: {{- toYaml $resources | nindent 6 }}
    volumeMounts:
      - {name: config, mountPath: /etc/kandinsky/config, readOnly: true}
      - {name: tmp, mountPath: /tmp}
      - {name: cache, mountPath: /var/cache/kandinsky}
      {{- if or .Values.models.download .Values.models.existingClaim }}
      - {name: models, mountPath: /models, readOnly: true}
      {{- end }}
      {{- if .Values.tls.existingSecret }}
      - {name: tls, mountPath: /etc/kandinsky/tls, readOnly: true}
      {{- end }}
      {{- if .Values.tls.clientSecret }}
      - {name: client, mountPath: /etc/kandinsky/client, readOnly: true}
      {{- end }}
      {{- if .Values.tokens.existingSecret }}
      - {name: tokens, mountPath: /etc/kandinsky/tokens, readOnly: true}
      {{- end }}
      {{- with .Values.extraVolumeMounts }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
volumes: {{- include "kandinsky.volumes" . | nindent 2 }}
{{- end -}}

{{- define "kandinsky.env" -}}
- {name: KANDINSKY_CONFIG, value: /etc/kandinsky/config/config.toml}
- {name: KANDINSKY_HOST, value: "0.0.0.0"}
- {name: KANDINSKY_PORT, value: "50051"}
- {name: KANDINSKY_METRICS_HOST, value: "0.0.0.0"}
- {name: KANDINSKY_METRICS_PORT, value: {{ ternary "9464" "null" .Values.metrics.enabled | quote }}}
- {name: KANDINSKY_DRAIN_SECONDS, value: {{ .Values.drainSeconds | quote }}}
- {name: KANDINSKY_BACKEND_CACHE_DIR, value: /var/cache/kandinsky/backends}
- {name: HF_HOME, value: /var/cache/kandinsky/huggingface}
{{- if not .Values.models.online }}
- {name: HF_HUB_OFFLINE, value: "1"}
{{- end }}
{{- range $stage, $_ := .Values.models.download }}
- {name: KANDINSKY_{{ ternary "DEPTH_MODEL" (upper $stage) (eq $stage "depth") }}, value: /models/{{ $stage }}}
{{- end }}
{{- if .Values.tls.existingSecret }}
- {name: KANDINSKY_TLS_CERTIFICATE, value: /etc/kandinsky/tls/tls.crt}
- {name: KANDINSKY_TLS_KEY, value: /etc/kandinsky/tls/tls.key}
{{- if .Values.tls.requireClientCertificate }}
- {name: KANDINSKY_TLS_CLIENT_CA, value: /etc/kandinsky/tls/{{ .Values.tls.caKey }}}
{{- end }}
{{- else }}
- {name: KANDINSKY_INSECURE, value: "true"}
{{- end }}
{{- if .Values.tokens.existingSecret }}
- {name: KANDINSKY_TOKENS_FILE, value: /etc/kandinsky/tokens/{{ .Values.tokens.key }}}
{{- end }}
{{- if and .Values.models.online .Values.models.tokenSecret }}
- name: HF_TOKEN
  valueFrom: {secretKeyRef: {name: {{ .Values.models.tokenSecret }}, key: {{ .Values.models.tokenSecretKey }}}}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "kandinsky.volumes" -}}
- name: config
  configMap: {name: {{ include "kandinsky.fullname" . }}}
- name: tmp
  emptyDir: {sizeLimit: {{ .Values.tmpSizeLimit }}}
- name: cache
  {{- if .Values.cache.existingClaim }}
  persistentVolumeClaim: {claimName: {{ .Values.cache.existingClaim }}}
  {{- else }}
  emptyDir: {sizeLimit: {{ .Values.cache.sizeLimit }}}
  {{- end }}
{{- if .Values.models.existingClaim }}
- name: models
  persistentVolumeClaim: {claimName: {{ .Values.models.existingClaim }}, readOnly: {{ .Values.models.readOnly }}}
{{- else if .Values.models.download }}
- name: models
  emptyDir: {sizeLimit: {{ .Values.models.sizeLimit }}}
{{- end }}
{{- with .Values.tls.existingSecret }}
- name: tls
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- with .Values.tls.clientSecret }}
- name: client
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- with .Values.tokens.existingSecret }}
- name: tokens
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
