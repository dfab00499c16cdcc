package tracestore

import "github.com/tidegate-io/tidegate/internal/segment"

// Groups of identifiers.
const (
	traceIDs = 0
	spanIDs  = 1
	names    = 2
)

// layout is that of an ExportTraceServiceRequest, by the field numbers of
// opentelemetry-proto: what data that stays is put into columns by.
var layout = segment.Layout{1: {Kind: segment.Into, Layout: segment.Layout{
	1: {Kind: segment.Into, Layout: segment.Layout{1: attribute}}, // resource
	2: {Kind: segment.Into, Layout: segment.Layout{
		1: {Kind: segment.Into, Layout: segment.Layout{3: attribute}}, // scope
		2: {Kind: segment.Into, Layout: span},
	}},
}}}

var span = segment.Layout{
	1:  {Kind: segment.ID, Group: traceIDs},
	2:  {Kind: segment.ID, Group: spanIDs},
	4:  {Kind: segment.ID, Group: spanIDs},
	5:  {Kind: segment.ID, Group: names},
	7:  {Kind: segment.Time},
	8:  {Kind: segment.Time},
	9:  attribute,
	11: {Kind: segment.Into, Layout: segment.Layout{1: {Kind: segment.Time}, 3: attribute}},
	13: {Kind: segment.Into, Layout: segment.Layout{1: {Kind: segment.ID, Group: traceIDs}, 2: {Kind: segment.ID, Group: spanIDs}, 4: attribute}},
	15: {Kind: segment.Into},
}

var attribute = segment.Field{Kind: segment.Into, Name: 1, Layout: segment.Layout{
	1: {Kind: segment.Name},
	2: {Kind: segment.Into},
}}
