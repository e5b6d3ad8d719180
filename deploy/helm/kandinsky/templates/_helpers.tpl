{{- define "kandinsky.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- /* The release's name, with the chart's where it lacks it; short enough for what is added to it. */ -}}
{{- define "kandinsky.fullname" -}}
{{- $name := include "kandinsky.name" . -}}
{{- $whole := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $whole .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "kandinsky.selectorLabels" -}}
app.kubernetes.io/name: {{ include "kandinsky.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- /* What the service, the budget and the policy choose; the pod of `helm test` is none of them. */ -}}
{{- define "kandinsky.serverLabels" -}}
{{ include "kandinsky.selectorLabels" . }}
app.kubernetes.io/component: server
{{- end -}}

{{- define "kandinsky.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "kandinsky.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: kandinsky
{{- end -}}

{{- define "kandinsky.image" -}}
{{- $tag := default (printf "%s-%s" .Chart.AppVersion .Values.image.flavour) .Values.image.tag -}}
{{- with .Values.image -}}
{{- if .digest -}}{{ .repository }}@{{ .digest }}{{- else -}}{{ .repository }}:{{ $tag }}{{- end -}}
{{- end -}}
{{- end -}}

{{- define "kandinsky.serviceAccountName" -}}
{{- default (include "kandinsky.fullname" .) .Values.serviceAccount.name -}}
{{- end -}}

{{- /* The server's file of settings. A value's JSON is its TOML too. */ -}}
{{- define "kandinsky.config" -}}
{{- range $key, $value := .Values.config }}
{{ $key }} = {{ toJson $value }}
{{- end }}
{{- end -}}

{{- /* A probe of one health service: gRPC where it is plain, a command under TLS, which Kubernetes' own probes do not speak. */ -}}
{{- define "kandinsky.probe" -}}
{{- $tls := .root.Values.tls -}}
{{- if $tls.existingSecret -}}
exec:
  command:
    - kandinsky
    - health
    {{- with .service }}
    - {{ . }}
    {{- end }}
    {{- include "kandinsky.connection" .root | nindent 4 }}
timeoutSeconds: 10
{{- else -}}
grpc:
  port: 50051
  {{- with .service }}
  service: {{ . }}
  {{- end }}
timeoutSeconds: 5
{{- end }}
periodSeconds: {{ .probe.periodSeconds }}
failureThreshold: {{ .probe.failureThreshold }}
{{- end -}}

{{- /* The client's options under TLS. */ -}}
{{- define "kandinsky.connection" -}}
{{- with .Values.tls -}}
- --target={{ .serverName }}:50051
- --root-certificates=/etc/kandinsky/tls/{{ .caKey }}
{{- if .requireClientCertificate }}
- --client-certificate=/etc/kandinsky/client/tls.crt
- --client-key=/etc/kandinsky/client/tls.key
{{- end }}
{{- end -}}
{{- end -}}

{{- /* How the test calls the server: by its service, whose name the certificate must hold. */ -}}
{{- define "kandinsky.clientEnv" -}}
- {name: KANDINSKY_TARGET, value: "{{ include "kandinsky.fullname" . }}.{{ .Release.Namespace }}.svc:{{ .Values.service.port }}"}
{{- if .Values.tls.existingSecret }}
- {name: KANDINSKY_CLIENT_ROOT_CERTIFICATES, value: /etc/kandinsky/tls/{{ .Values.tls.caKey }}}
{{- if .Values.tls.requireClientCertificate }}
- {name: KANDINSKY_CLIENT_CERTIFICATE, value: /etc/kandinsky/client/tls.crt}
- {name: KANDINSKY_CLIENT_KEY, value: /etc/kandinsky/client/tls.key}
{{- end }}
{{- end }}
{{- with .Values.test.tokenSecret }}
- name: KANDINSKY_CLIENT_TOKEN
  valueFrom: {secretKeyRef: {name: {{ . }}, key: {{ $.Values.test.tokenSecretKey }}}}
{{- end }}
{{- end -}}
