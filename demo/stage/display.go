package stage

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// Display shows what is happening, what comes next and how long it takes: on
// a terminal in a line that is repainted, elsewhere in plain lines.
type Display struct {
	w     io.Writer
	tty   bool
	began time.Time
	quit  chan struct{}
	wg    sync.WaitGroup

	mu        sync.Mutex
	title     string // of the step under way; empty between steps
	next      string
	detailed  string
	remaining time.Duration // at the step's start
	stepBegan time.Time
	frame     int
}

const repaintEvery = 150 * time.Millisecond

func newDisplay(w io.Writer) *Display {
	d := &Display{w: w, began: time.Now(), quit: make(chan struct{}), tty: isTerminal(w)}
	if d.tty {
		d.wg.Go(d.repaint)
	}
	return d
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func (d *Display) repaint() {
	tick := time.NewTicker(repaintEvery)
	defer tick.Stop()
	for {
		select {
		case <-d.quit:
			return
		case <-tick.C:
			d.mu.Lock()
			d.frame++
			d.paint()
			d.mu.Unlock()
		}
	}
}

func (d *Display) close() {
	close(d.quit)
	d.wg.Wait()
}

// begin says what starts now; remaining is about how long everything left takes.
func (d *Display) begin(title, next string, remaining time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.title, d.next, d.detailed, d.remaining, d.stepBegan = title, next, "", remaining, time.Now()
	if d.tty {
		d.paint()
		return
	}
	fmt.Fprintf(d.w, "%s  … %s (about %s to go%s)\n", clock(time.Since(d.began)), title, clock(remaining), andThen(next))
}

// Detail says how far the step is; only a terminal shows it.
func (d *Display) Detail(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.detailed = fmt.Sprintf(format, args...)
}

func (d *Display) done(outcome string) { d.end("✓", outcome) }
func (d *Display) fail(err error)      { d.end("✕", err.Error()) }

func (d *Display) end(mark, outcome string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.clear()
	fmt.Fprintf(d.w, "%s  %s %s\n", clock(time.Since(d.began)), mark, d.title)
	if outcome != "" {
		fmt.Fprintf(d.w, "        %s\n", outcome)
	}
	d.title = ""
}

func (d *Display) note(text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.clear()
	fmt.Fprintf(d.w, "%s  %s\n", clock(time.Since(d.began)), text)
}

// Claims says whether the story came out as told.
func (d *Display) Claims(all []Claim) {
	d.mu.Lock()
	defer d.mu.Unlock()
	failed := Failed(all)
	if len(failed) == 0 {
		fmt.Fprintf(d.w, "\nThe story came out as told, %d of %d claims hold. %s.\n", len(all), len(all), d.took())
		return
	}
	fmt.Fprintf(d.w, "\nThe story did NOT come out as told (%s):\n", d.took())
	for _, c := range failed {
		fmt.Fprintf(d.w, "  ✕ %s\n", c)
	}
}

func (d *Display) took() string { return "It took " + clock(time.Since(d.began)) }

// Say shows some lines, as they are.
func (d *Display) Say(text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	fmt.Fprint(d.w, text)
}

// lineWidth keeps the repainted line on one row.
const lineWidth = 100

// paint and clear are called with mu held.
func (d *Display) paint() {
	if d.title == "" {
		return
	}
	spinner := []rune("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")
	text := d.title
	if d.detailed != "" {
		text += ": " + d.detailed
	}
	left := max(0, d.remaining-time.Since(d.stepBegan))
	line := []rune(fmt.Sprintf("%s  %c %s · about %s to go%s", clock(time.Since(d.began)), spinner[d.frame%len(spinner)], text, clock(left), andThen(d.next)))
	if len(line) > lineWidth {
		line = append(line[:lineWidth-1], '…')
	}
	fmt.Fprintf(d.w, "\r%s\x1b[K", string(line))
}

func (d *Display) clear() {
	if d.tty {
		fmt.Fprint(d.w, "\r\x1b[K")
	}
}

func andThen(next string) string {
	if next == "" {
		return ""
	}
	return " · next: " + next
}

// clock writes a duration as minutes and seconds.
func clock(d time.Duration) string {
	s := int(d.Round(time.Second).Seconds())
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}
