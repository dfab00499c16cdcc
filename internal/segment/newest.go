package segment

import (
	"cmp"
	"slices"
)

// EachSummary visits summaries that together cover all entries of the
// segment: its digest if it has one, else one per frame.
func (s Segment[S]) EachSummary(visit func(S)) error {
	if digest, ok := s.Digest(); ok {
		visit(digest)
		return nil
	}
	sums, err := s.Summaries()
	for _, sum := range sums {
		visit(sum)
	}
	return err
}

// Candidate is a segment that a search has to look into.
type Candidate[S any] struct {
	Segment[S]
	Newest uint64 // no match in it is later
	look   func(S) (newest uint64, may bool)
}

// CandidateFrame is a frame that a search has to look into.
type CandidateFrame[S any] struct {
	Frame[S]
	Newest uint64 // no match in it is later
}

// Newest returns the segments that may hold matches, those with the latest
// possible match first. look says of a summary what the latest time in it is,
// and whether what it covers may match. A search that has all it wants later
// than the next candidate's Newest is finished.
func Newest[S any](v *View[S], look func(S) (newest uint64, may bool)) []Candidate[S] {
	var out []Candidate[S]
	for _, seg := range v.Segments() {
		c := Candidate[S]{Segment: seg, Newest: ^uint64(0), look: look}
		if digest, ok := seg.Digest(); ok {
			var may bool
			if c.Newest, may = look(digest); !may {
				continue
			}
		}
		out = append(out, c)
	}
	slices.SortStableFunc(out, func(a, b Candidate[S]) int { return cmp.Compare(b.Newest, a.Newest) })
	return out
}

// Frames returns the frames of the segment that may hold matches, those with
// the latest possible match first.
func (c Candidate[S]) Frames() ([]CandidateFrame[S], error) {
	sums, err := c.Summaries()
	if err != nil {
		return nil, err
	}
	var out []CandidateFrame[S]
	for n, sum := range sums {
		if newest, may := c.look(sum); may {
			out = append(out, CandidateFrame[S]{c.Frame(n), newest})
		}
	}
	slices.SortStableFunc(out, func(a, b CandidateFrame[S]) int {
		return cmp.Or(cmp.Compare(b.Newest, a.Newest), b.n-a.n)
	})
	return out, nil
}
