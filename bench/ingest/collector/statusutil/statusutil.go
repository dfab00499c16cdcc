// Package statusutil stands in for the Collector's internal module of this
// name, whose sources the module proxy does not serve. The OTLP receiver needs
// it to word errors of OTLP/HTTP; nothing that the benchmark measures comes by.
package statusutil

import (
	"net/http"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// NewStatusFromMsgAndHTTPCode returns the gRPC status that corresponds to an
// HTTP status, as the OTLP specification pairs them.
func NewStatusFromMsgAndHTTPCode(msg string, code int) *status.Status {
	c := codes.Unknown
	switch code {
	case http.StatusBadRequest:
		c = codes.InvalidArgument
	case http.StatusUnauthorized:
		c = codes.Unauthenticated
	case http.StatusForbidden:
		c = codes.PermissionDenied
	case http.StatusTooManyRequests:
		c = codes.ResourceExhausted
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		c = codes.Unavailable
	}
	return status.New(c, msg)
}

// GetRetryInfo returns the RetryInfo among the details of a status, or nil.
func GetRetryInfo(s *status.Status) *errdetails.RetryInfo {
	for _, detail := range s.Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok {
			return info
		}
	}
	return nil
}
