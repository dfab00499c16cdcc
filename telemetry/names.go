package telemetry

// Names of the metric series derived from spans. They are the names that the
// OpenTelemetry Collector's spanmetrics and servicegraph connectors produce
// when exported to Prometheus, so that one PromQL expression works on the
// embedded store and on any cluster fed by a Collector.
const (
	// MetricCalls counts spans. Labels: the Label… constants below.
	MetricCalls = "traces_span_metrics_calls_total"
	// MetricDuration is a native histogram of span durations in seconds,
	// with the same labels.
	MetricDuration = "traces_span_metrics_duration_seconds"

	// MetricGraphRequests counts calls from one service to another.
	// Labels: client, server, deployment_environment_name, connection_type.
	MetricGraphRequests = "traces_service_graph_request_total"
	// MetricGraphFailed counts the failed ones among them.
	MetricGraphFailed = "traces_service_graph_request_failed_total"
	// MetricGraphDuration is a native histogram, in seconds, of the duration
	// the server saw.
	MetricGraphDuration = "traces_service_graph_request_server_seconds"
)

// Labels of the span metrics.
const (
	LabelService     = "service_name"
	LabelOperation   = "span_name"
	LabelKind        = "span_kind"   // SPAN_KIND_SERVER …
	LabelStatus      = "status_code" // STATUS_CODE_UNSET, STATUS_CODE_OK, STATUS_CODE_ERROR
	LabelEnvironment = "deployment_environment_name"
	LabelVersion     = "service_version"
	LabelClient      = "client"
	LabelServer      = "server"
)

// Values of LabelKind and LabelStatus.
const (
	LabelKindServer   = "SPAN_KIND_SERVER"
	LabelKindClient   = "SPAN_KIND_CLIENT"
	LabelKindInternal = "SPAN_KIND_INTERNAL"
	LabelKindProducer = "SPAN_KIND_PRODUCER"
	LabelKindConsumer = "SPAN_KIND_CONSUMER"

	LabelStatusUnset = "STATUS_CODE_UNSET"
	LabelStatusOK    = "STATUS_CODE_OK"
	LabelStatusError = "STATUS_CODE_ERROR"
)
