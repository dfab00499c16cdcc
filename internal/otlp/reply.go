package otlp

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/tidegate-io/tidegate/fault"
)

// retryAfter is what a sender is asked to wait when there is no room.
const retryAfter = time.Second

// proto encodes the answer: an Export…ServiceResponse, whose field 1 is the
// partial success (1: how many were rejected, 2: why). All is well is empty.
func (o outcome) proto() []byte {
	if o.rejected == 0 {
		return []byte{}
	}
	var partial []byte
	partial = protowire.AppendTag(partial, 1, protowire.VarintType)
	partial = protowire.AppendVarint(partial, uint64(o.rejected))
	partial = appendField(partial, 2, []byte(o.message))
	return appendField(nil, 1, partial)
}

// json encodes the same; 64-bit numbers are strings in protobuf's JSON.
func (o outcome) json(s signal) []byte {
	if o.rejected == 0 {
		return []byte("{}")
	}
	b, err := json.Marshal(map[string]any{"partialSuccess": map[string]string{
		rejectedFields[s]: strconv.Itoa(o.rejected),
		"errorMessage":    o.message,
	}})
	if err != nil {
		panic(err) // strings always encode
	}
	return b
}

// refusal is the gRPC status of an error. What is not the sender's fault asks
// to be tried again: refusing for good would lose the data.
func refusal(err error) *status.Status {
	switch {
	case errors.Is(err, context.Canceled):
		return status.New(codes.Canceled, err.Error())
	case errors.Is(err, context.DeadlineExceeded):
		return status.New(codes.DeadlineExceeded, err.Error())
	case fault.Is(err, fault.KindInvalid):
		return status.New(codes.InvalidArgument, err.Error())
	}
	st := status.New(codes.Unavailable, err.Error())
	with, detailErr := st.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(retryAfter)})
	if detailErr != nil {
		return st
	}
	return with
}
