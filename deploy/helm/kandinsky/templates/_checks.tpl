{{- /* What a schema cannot say. Each ends the rendering with a sentence that says what to change. */ -}}
{{- define "kandinsky.checks" -}}
{{- $v := .Values -}}
{{- $needed := addf $v.preStopSeconds $v.drainSeconds 15 -}}
{{- if lt (float64 $v.terminationGracePeriodSeconds) $needed -}}
{{- fail (printf "terminationGracePeriodSeconds is %v and must be at least %v: preStopSeconds + drainSeconds + 15" $v.terminationGracePeriodSeconds $needed) -}}
{{- end -}}
{{- range $key := list "host" "port" "metrics_host" "metrics_port" "insecure" "tls_certificate" "tls_key" "tls_client_ca" "tokens_file" "drain_seconds" "backend_cache_dir" -}}
{{- if hasKey $v.config $key -}}
{{- fail (printf "config.%s is set by the chart itself: use tls, tokens, metrics, cache or drainSeconds" $key) -}}
{{- end -}}
{{- end -}}
{{- range $stage, $_ := $v.models.download -}}
{{- if hasKey $v.config (ternary "depth_model" $stage (eq $stage "depth")) -}}
{{- fail (printf "%s is in config and in models.download: name it in one of them" $stage) -}}
{{- end -}}
{{- end -}}
{{- if and $v.models.download $v.models.readOnly -}}
{{- fail "models.download writes to the claim, and models.readOnly forbids it: choose one" -}}
{{- end -}}
{{- if and (not $v.models.online) (eq (toString $v.config.model) "kandinsky-2.2") -}}
{{- fail "config.model kandinsky-2.2 comes from the hub: set models.online, or fetch its stages by models.download" -}}
{{- end -}}
{{- if and $v.tls.existingSecret (not $v.tls.serverName) -}}
{{- fail "tls.serverName is needed with tls.existingSecret: a name that the certificate holds" -}}
{{- end -}}
{{- if and $v.tls.requireClientCertificate (not $v.tls.clientSecret) -}}
{{- fail "tls.clientSecret is needed with tls.requireClientCertificate: probes need a certificate like everyone else" -}}
{{- end -}}
{{- if and $v.tls.requireClientCertificate (not $v.tls.existingSecret) -}}
{{- fail "tls.requireClientCertificate needs tls.existingSecret" -}}
{{- end -}}
{{- with $v.autoscaling -}}
{{- if and .enabled (lt (float64 .maxReplicas) (float64 .minReplicas)) -}}
{{- fail "autoscaling.maxReplicas is below autoscaling.minReplicas" -}}
{{- end -}}
{{- if and .enabled (lt (float64 .scaleDownWindowSeconds) (float64 .longestRequestSeconds)) -}}
{{- fail "autoscaling.scaleDownWindowSeconds must be at least autoscaling.longestRequestSeconds" -}}
{{- end -}}
{{- if and .enabled (not $v.metrics.enabled) -}}
{{- fail "autoscaling needs metrics.enabled" -}}
{{- end -}}
{{- end -}}
{{- if and $v.grpcRoute.enabled (not $v.grpcRoute.parentRefs) -}}
{{- fail "grpcRoute.parentRefs is needed: the gateway that the route belongs to" -}}
{{- end -}}
{{- if and $v.inferencePool.enabled (not $v.inferencePool.endpointPicker.name) -}}
{{- fail "inferencePool.endpointPicker.name is needed: the service of the endpoint picker" -}}
{{- end -}}
{{- end -}}

{{- /* Ends the rendering where the cluster lacks a kind. Takes a list: the root, the kind, the value that asks for it. */ -}}
{{- define "kandinsky.needs" -}}
{{- $root := index . 0 -}}
{{- if not ($root.Capabilities.APIVersions.Has (index . 1)) -}}
{{- fail (printf "%s needs %s, which this cluster does not have: install its CRDs first (helm template: --api-versions %s)" (index . 2) (index . 1) (index . 1)) -}}
{{- end -}}
{{- end -}}
