// Detect measures package problem/detect on public series with labelled
// incidents.
//
//	go run ./bench/detect -set cloudmonitoring|nab -data DIR -out FILE [-score] [-cross]
//
// Each file of the set is one named series, fed to a new detector value by
// value, with the default options; the step is the one most frequent between
// its timestamps. A row without a value is a value that is missing.
//
// Of cloudmonitoring FILE gets one JSON line per series:
//
//	{"file": "group/name.csv", "alarms": ["2018-06-26T20:00:00Z", …]}
//
// with the timestamps, as the data write them, of all values at which the
// detector raises an event, anew or again because it lasts. Of nab it gets CSV as in NAB's
// results, timestamp,value,anomaly_score,label, and the name of the file as a
// fifth column where there are several; a FILE that ends in / is made a
// directory of one CSV per series, as in NAB's results/. The score is 1
// where a new event is raised, 0 otherwise: NAB counts every point.
//
// The detector never sees the labels. With -score they are read after all
// alarms are written, and the figures printed; label is 0 in the CSV always.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	var c config
	flag.StringVar(&c.set, "set", "", "cloudmonitoring or nab")
	flag.StringVar(&c.data, "data", "", "directory of the set")
	flag.StringVar(&c.out, "out", "", "file for the alarms")
	flag.BoolVar(&c.score, "score", false, "score the alarms with the labels afterwards")
	flag.BoolVar(&c.cross, "cross", false, "with -score: also leave one group out, choosing the setting on the others")
	flag.Parse()
	if err := c.run(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench/detect:", err)
		os.Exit(1)
	}
}

type config struct {
	set, data, out string
	score, cross   bool
}

func (c *config) run(w io.Writer) error {
	if c.data == "" || c.out == "" {
		return fmt.Errorf("-data and -out are needed")
	}
	switch c.set {
	case "cloudmonitoring":
		return c.cloudMonitoring(w)
	case "nab":
		return c.nab(w)
	}
	return fmt.Errorf("-set is cloudmonitoring or nab, not %q", c.set)
}
