package main

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidegate-io/tidegate/internal/app"
	"github.com/tidegate-io/tidegate/internal/httpapi"
)

func (c *cli) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "What the server stores, receives and refuses, and where it listens", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.client()
			if err != nil {
				return err
			}
			s, err := get[httpapi.Status](cmd.Context(), api, "/v1/status", nil)
			if err != nil {
				return err
			}
			d, err := detailsOf(s)
			if err != nil {
				return err
			}
			return c.show(cmd, s, func(w io.Writer) { showStatus(w, api.base, s, d) })
		},
	}
}

// details are the figures of a status.
type details struct {
	Data    string
	Process int
	Listen  app.Listen
	Ingest  struct {
		Spans, Logs, Points, Rejected, Refused uint64
		LastSpan                               time.Time
	}
	Traces, Logs, Metrics stored
}

// stored is what a store says of itself: its figures, or why it cannot.
type stored struct {
	Spans, Records, Series, Bytes int64
	Oldest, Newest                time.Time
	Damaged                       []json.RawMessage
	Error                         string
}

func detailsOf(s httpapi.Status) (details, error) {
	var d details
	raw, err := json.Marshal(s.Details)
	if err != nil {
		return d, err
	}
	return d, json.Unmarshal(raw, &d)
}

func showStatus(w io.Writer, base string, s httpapi.Status, d details) {
	fmt.Fprintf(w, "tidegate %s at %s, up %s\n", s.Version, base, duration(time.Duration(s.UptimeSeconds*float64(time.Second)).Truncate(time.Second)))
	fmt.Fprintf(w, "data in %s, process %d\n", d.Data, d.Process)
	if !s.UIBuilt {
		fmt.Fprintln(w, "built without the UI: make ui build")
	}
	fmt.Fprintln(w)
	table(w, "STORED\tNUMBER\tON DISK\tFROM\tTO", "", func(row func(...any)) {
		for _, l := range []struct {
			name string
			n    int64
			stored
		}{{"spans", d.Traces.Spans, d.Traces}, {"log lines", d.Logs.Records, d.Logs}, {"series", d.Metrics.Series, d.Metrics}} {
			if l.Error != "" {
				row(l.name, l.Error)
				continue
			}
			row(l.name, l.n, bytesize(l.Bytes), ago(l.Oldest), ago(l.Newest))
		}
	})
	in := d.Ingest
	fmt.Fprintf(w, "\nreceived since the start: %d spans (the last %s), %d log lines, %d metric points\n", in.Spans, ago(in.LastSpan), in.Logs, in.Points)
	fmt.Fprintf(w, "rejected as malformed: %d; asked to come again: %d\n", in.Rejected, in.Refused)
	for _, l := range []stored{d.Traces, d.Logs} {
		for _, part := range l.Damaged {
			fmt.Fprintf(w, "damaged, set aside: %s\n", part)
		}
	}
	fmt.Fprintf(w, "\nOTLP   grpc %s, http %s\nflags  flagd %s, sync %s, OFREP http://%s\n",
		d.Listen.OTLPGRPC, d.Listen.OTLPHTTP, d.Listen.FlagEvaluation, d.Listen.FlagSync, d.Listen.OFREP)
}
