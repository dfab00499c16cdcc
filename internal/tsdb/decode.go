package tsdb

import (
	"io"
	"math"
	"strconv"
	"strings"

	jsoniter "github.com/json-iterator/go"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"github.com/tidegate-io/tidegate/fault"
)

// Limits of one decoded answer; its bytes are limited before.
const (
	maxAnswerSeries = 200_000
	maxAnswerPoints = 5_000_000
)

// decoder reads the answer of a query, in any order of fields, without keeping
// its text.
type decoder struct {
	*jsoniter.Iterator
	status, resultType, reason string
	warning                    string
	out                        promql.Matrix
	points                     int
	err                        error // about the meaning; about the form it is Iterator.Error
}

// decodeAnswer reads the answer to a query or a range query. An answer that
// says that it is not all there is, is an error.
func decodeAnswer(r io.Reader) (promql.Matrix, error) {
	d := &decoder{Iterator: jsoniter.Parse(jsoniter.ConfigDefault, r, 64<<10)}
	d.object(d.envelope)
	switch {
	case d.err != nil:
		return nil, d.err
	case d.Error != nil:
		what, _, _ := strings.Cut(d.Error.Error(), ", error found") // and then quotes the answer
		return nil, fault.Unavailable("the answer is not that of a Prometheus API: %s", what)
	case d.status != "success":
		return nil, fault.Invalid("the query failed: %s", d.reason)
	case d.resultType == "string":
		return nil, fault.Invalid("query: the result is a string, expected numbers")
	case d.warning != "":
		return nil, fault.Unavailable("the answer may not be complete: %s", d.warning)
	}
	return d.out, nil
}

// decodeRefusal returns what an answer says about an error; empty when it does
// not say it in the form of Prometheus.
func decodeRefusal(r io.Reader) string {
	d := &decoder{Iterator: jsoniter.Parse(jsoniter.ConfigDefault, r, 4<<10)}
	d.object(d.envelope)
	return d.reason
}

func (d *decoder) fail(err error) bool {
	if d.err == nil {
		d.err = err
	}
	return false
}

// object calls field for every field, until it returns false.
func (d *decoder) object(field func(name string) bool) bool {
	d.ReadObjectCB(func(_ *jsoniter.Iterator, name string) bool { return field(name) })
	return d.ok()
}

// array calls item for every item, until it returns false.
func (d *decoder) array(item func() bool) bool {
	d.ReadArrayCB(func(*jsoniter.Iterator) bool { return item() })
	return d.ok()
}

func (d *decoder) ok() bool { return d.err == nil && d.Error == nil }

func (d *decoder) envelope(name string) bool {
	switch name {
	case "status":
		d.status = d.ReadString()
	case "error":
		d.reason = d.ReadString()
	case "warnings":
		return d.array(func() bool {
			// PromQL's own remarks are about the expression, not about missing data.
			if w := d.ReadString(); !strings.HasPrefix(w, "PromQL") {
				d.warning = w
			}
			return d.ok()
		})
	case "data":
		return d.object(func(name string) bool {
			switch name {
			case "resultType":
				d.resultType = d.ReadString()
			case "result":
				return d.result()
			default:
				d.Skip()
			}
			return d.ok()
		})
	default:
		d.Skip()
	}
	return d.ok()
}

// result is a list of series, or one point.
func (d *decoder) result() bool {
	n := 0
	var t int64
	return d.array(func() bool {
		n++
		switch d.WhatIsNext() {
		case jsoniter.ObjectValue:
			return d.series()
		case jsoniter.NumberValue:
			t = d.time()
		case jsoniter.StringValue: // of a scalar; text, too, which the type tells
			if v, err := strconv.ParseFloat(d.ReadString(), 64); err == nil && n == 2 {
				d.out = promql.Matrix{{Floats: []promql.FPoint{{T: t, F: v}}}}
			}
		default:
			d.ReportError("result", "expected series")
		}
		return d.ok()
	})
}

func (d *decoder) series() bool {
	if len(d.out) >= maxAnswerSeries {
		return d.fail(fault.Invalid("%w: more than %d series", errTooMuch, maxAnswerSeries))
	}
	s := promql.Series{}
	floats := func() bool {
		t, v := int64(0), 0.0
		ok := d.pair(func() { t = d.time() }, func() { v = d.number() })
		s.Floats = append(s.Floats, promql.FPoint{T: t, F: v})
		return ok
	}
	histograms := func() bool {
		var p promql.HPoint
		ok := d.pair(func() { p.T = d.time() }, func() { p.H = d.histogram() })
		s.Histograms = append(s.Histograms, p)
		return ok
	}
	ok := d.object(func(name string) bool {
		switch name {
		case "metric":
			var set []labels.Label
			ok := d.object(func(name string) bool {
				// The iterator's text lives as long as its buffer.
				set = append(set, labels.Label{Name: strings.Clone(name), Value: d.ReadString()})
				return d.ok()
			})
			s.Metric = labels.New(set...)
			return ok
		case "value":
			return floats()
		case "values":
			return d.array(floats)
		case "histogram":
			return histograms()
		case "histograms":
			return d.array(histograms)
		}
		d.Skip()
		return d.ok()
	})
	if ok {
		d.out = append(d.out, s)
	}
	return ok
}

// pair reads [a, b].
func (d *decoder) pair(a, b func()) bool {
	if d.points++; d.points > maxAnswerPoints {
		return d.fail(fault.Invalid("%w: more than %d samples", errTooMuch, maxAnswerPoints))
	}
	n := 0
	d.array(func() bool {
		switch n++; n {
		case 1:
			a()
		case 2:
			b()
		default:
			d.ReportError("sample", "more than a time and a value")
		}
		return d.ok()
	})
	if n != 2 && d.ok() {
		d.ReportError("sample", "expected a time and a value")
	}
	return d.ok()
}

// time reads seconds as milliseconds.
func (d *decoder) time() int64 { return int64(math.Round(d.ReadFloat64() * 1000)) }

// number reads a number that is written as text, which knows NaN and Inf.
func (d *decoder) number() float64 {
	v, err := strconv.ParseFloat(d.ReadString(), 64)
	if err != nil && d.ok() {
		d.ReportError("number", err.Error())
	}
	return v
}

func (d *decoder) histogram() *histogram.FloatHistogram {
	var count, sum float64
	var buckets []shownBucket
	d.object(func(name string) bool {
		switch name {
		case "count":
			count = d.number()
		case "sum":
			sum = d.number()
		case "buckets":
			return d.array(func() bool {
				b := shownBucket{}
				n := 0
				ok := d.array(func() bool {
					switch n++; n {
					case 1:
						b.ends = d.ReadInt()
					case 2:
						b.lower = d.number()
					case 3:
						b.upper = d.number()
					case 4:
						b.count = d.number()
					default:
						d.ReportError("bucket", "more than four items")
					}
					return d.ok()
				})
				if n != 4 && ok {
					d.ReportError("bucket", "expected four items")
				}
				buckets = append(buckets, b)
				return d.ok()
			})
		default:
			d.Skip()
		}
		return d.ok()
	})
	if !d.ok() {
		return nil
	}
	h, err := exponential(count, sum, buckets)
	if err != nil {
		d.fail(err)
	}
	return h
}
